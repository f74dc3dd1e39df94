# Buffers described in the device tree, in reserved memory and elsewhere.
. /guest/lib.sh

BLOCK=/dev/ram0
OF_TREE="camera-buffer quirk-auto quirk-off quirk-on quirk-page udmabuf0 udmabuf1 udmabuf2"

# platform NAME: the platform device of a buffer
platform() {
	basename "$(readlink -f "$CLASS/$1/device")"
}

# reload makes nothing of its own
load info_enable=7 || not_ok "insmod" "failed"
equal "the nodes have become devices" "$(ls $CLASS | sort | xargs)" \
	"$OF_TREE"
equal "a node without size is refused and told" "$(dmesg | grep -c 'the property size is missing')" 1

equal "reusable: the memory" "$(attribute udmabuf0 memory)" cma
equal "reusable: inside its region" \
	"$(($(attribute udmabuf0 cpu_phys_addr) >= 0x70000000 && $(attribute udmabuf0 cpu_phys_addr) < 0x71000001))" 1
equal "reusable: not coherent" "$(attribute udmabuf0 dma_coherent)" 0
equal "reusable: the mode" "$(attribute udmabuf0 quirk_mmap_mode)" 5
equal "minor-number" "$(stat -c %T /dev/udmabuf0)" 0
run abi /dev/udmabuf0 16777216
run devbuf 16
run vma /dev/udmabuf0 pages
insmod /modules/udb-memtype.ko
run memattr /dev/udmabuf0 exclusive
run matrix /dev/udmabuf0 $BLOCK "reusable region" ok ok ok ok ok ok ok ok ok spins ok

equal "no-map: the memory" "$(attribute udmabuf1 memory)" no-map
equal "no-map: the address of its region" "$(attribute udmabuf1 cpu_phys_addr)" 0x0000000074000000
equal "no-map: the device address" "$(attribute udmabuf1 phys_addr)" 0x0000000074000000
equal "no-map: the mode it can have" "$(attribute udmabuf1 quirk_mmap_mode)" 1
equal "no-map: told" "$(dmesg | grep -c 'udmabuf1: a no-map memory-region has no pages')" 1
equal "no-map: a size of two cells" "$(attribute udmabuf1 size)" 8388608
run vma /dev/udmabuf1 pfn
run memattr /dev/udmabuf1 uncached
equal "no-map: a new buffer is zero" "$(tail -c 1048576 /dev/udmabuf1 | tr -d '\0' | wc -c)" 0
dd if=/bin/busybox of=/dev/udmabuf1 bs=65536 2>/dev/null
equal "no-map: dd in and out" "$(head -c "$(stat -c %s /bin/busybox)" /dev/udmabuf1 | md5sum)" "$(md5sum </bin/busybox)"
succeeds "no-map: sync is harmless" sh -c "echo 1 >$CLASS/udmabuf1/sync_for_device"

equal "properties of sync" \
	"$(cd $CLASS/udmabuf2 && cat sync_mode sync_offset sync_size sync_direction | xargs)" \
	"6 0x1000 8192 1"
equal "dma-coherent" "$(attribute udmabuf2 dma_coherent)" 1
equal "dma-mask" "$(dmesg | grep 'udmabuf2: for' | grep -c 'dma mask 40 bits')" 1
equal "quirk-mmap-page" "$(attribute udmabuf2 quirk_mmap_mode)" 4
equal "quirk-mmap-on" "$(attribute quirk-on quirk_mmap_mode)" 2
equal "quirk-mmap-off goes before on" "$(attribute quirk-off quirk_mmap_mode)" 1
equal "quirk-mmap-auto goes before both" "$(attribute quirk-auto quirk_mmap_mode)" 3
equal "quirk-mmap-page goes before auto" "$(attribute quirk-page quirk_mmap_mode)" 4
equal "dma-coherent of the bus" "$(attribute quirk-on dma_coherent)" 1
equal "dma-noncoherent on it" "$(attribute quirk-off dma_coherent)" 0
equal "a name from minor-number" "$(stat -c %T /dev/udmabuf2)" 2
equal "a name from the node" "$(attribute camera-buffer size)" 65536

# What physring doctor and kmod status make of it.
[ -s /bun-name ] && run sh /guest/bun.sh /host/test/vm/guest/alone/devicetree.guest.ts

# A region has one place for one buffer: unbind in use, bind must wait.
DRIVER=/sys/bus/platform/drivers/u-dma-buf
node=$(platform udmabuf1)
holder_start
hold_step open /dev/udmabuf1
echo "$node" >$DRIVER/unbind
hold_step check
hold_step gone
fails "no-map: bind while the old buffer is in use" sh -c "echo $node >$DRIVER/bind"
equal "no-map: and the log says why" "$(dmesg | grep -c 'udmabuf1: its memory-region is still in use')" 1
hold_step check
hold_step close
succeeds "no-map: bind after the last close" sh -c "echo $node >$DRIVER/bind"
equal "no-map: the next user finds zero" "$(tr -d '\0' </dev/udmabuf1 | wc -c)" 0

node=$(platform udmabuf0)
hold_step open /dev/udmabuf0
echo "$node" >$DRIVER/unbind
hold_step check
hold_step gone
hold_step frames
succeeds "reusable: bind while the old buffer is in use" sh -c "echo $node >$DRIVER/bind"
hold_step check
hold_step close
holder_end
succeeds "rmmod" unload
load udmabuf3=65536 || not_ok "insmod with parameters beside the tree" "failed"
equal "parameters beside the tree" "$(ls $CLASS | sort | xargs)" "$OF_TREE udmabuf3"
i=0
while [ $i -lt 10 ]; do
	unload && load info_enable=0 || break
	i=$((i + 1))
done
equal "10 times load and unload" $i 10
unload
scenario_end
