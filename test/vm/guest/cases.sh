# The cases of the module on an ordinary machine; scenarios choose from them.
. /guest/lib.sh

BLOCK=/dev/ram0

# Debian's x86-64 kernels have no CMA, arm64's and the debug kernel have.  On kernels before 6.5
# io_uring registers no memory of a file that is neither shmem nor hugetlbfs, but
# looks only after it pinned the pages, and a pin of CMA pages never ends; later
# ones refuse mode 5 of CMA memory before they pin (kmod/map.c).
case $(uname -m) in
x86_64) COHERENT=1 ;;
aarch64) COHERENT=0 ;;
esac
# Without a zone for them the kernel refuses masks that do not reach all memory.
LOW_BITS=31
[ "$(uname -m)" = x86_64 ] && grep -q 'zone  *DMA$' /proc/zoneinfo && LOW_BITS=28
if grep -q '^CmaTotal: *[1-9]' /proc/meminfo; then LARGE=cma SMALL=cma; else LARGE=contig SMALL=buddy; fi
case $LARGE-$(uname -r) in
contig-6.1.*) PAGE=EOPNOTSUPP CACHE=EOPNOTSUPP ;;
contig-*) PAGE=ok CACHE=ok ;;
cma-6.1.*) PAGE=spins CACHE=spins ;;
cma-*) PAGE=spins CACHE=EFAULT ;;
esac

interface() {
	load udmabuf0=16777216 udmabuf1=1000000 info_enable=7 || not_ok "insmod" "failed"
	run abi /dev/udmabuf0 16777216
	run abi /dev/udmabuf1 1000000
	run devbuf 16
	equal "where 16 MiB come from" "$(attribute udmabuf0 memory)" $LARGE
	equal "where 1 MB comes from" "$(attribute udmabuf1 memory)" $SMALL
	# A kernel without them ends a program that tries.
	if grep -q '^CONFIG_IA32_EMULATION=y' /boot/config-*; then run compat /dev/udmabuf1; fi
	equal "udmabuf1 has its minor" "$(stat -c %T /dev/udmabuf1)" 1
	equal "the node is root's" "$(stat -c %a:%u:%g /dev/udmabuf0)" 600:0:0
}

# A small buffer in a large gap may leave none for a large one.
largest_first() {
	mark "largest first"
	load udmabuf0=4096 udmabuf1=65536 udmabuf2=8192
	equal "the largest buffer is made first" \
		"$(log_since "largest first" | sed -n 's/.*u-dma-buf \(udmabuf[0-9]\): driver.*/\1/p' | xargs)" \
		"udmabuf1 udmabuf2 udmabuf0"
	unload
}

sysfs() {
	d=$CLASS/udmabuf0
	equal "sysfs ioctl_version" "$(cat $d/ioctl_version)" 2
	equal "sysfs driver_version" "$(cut -c1-5 $d/driver_version)" 5.5.0
	equal "sysfs size" "$(cat $d/size)" 16777216
	equal "sysfs dma_coherent" "$(cat $d/dma_coherent)" $COHERENT
	equal "sysfs quirk_mmap_mode" "$(cat $d/quirk_mmap_mode)" 5
	equal "sysfs phys_addr has 18 characters" "$(cat $d/phys_addr | wc -c)" 19
	equal "sysfs phys_addr is the device address" "$(cat $d/phys_addr)" "$(cat $d/dma_addr)"
	equal "sysfs instance_id" "$(grep -c '^[0-9a-f]\{32\}$' $d/instance_id)" 1
	equal "sysfs defaults" \
		"$(cat $d/sync_mode $d/sync_offset $d/sync_size $d/sync_direction $d/sync_owner | xargs)" \
		"1 0x0 16777216 0 0"
	equal "the sync files are root's and its group's" "$(stat -c %a $d/sync_for_cpu)" 664

	# The two recipes of every u-dma-buf program: stored range, and all in one word.
	echo 0x10000 >$d/sync_offset
	echo 0x80000 >$d/sync_size
	echo 2 >$d/sync_direction
	succeeds "sync recipe with a stored range" sh -c "echo 1 >$d/sync_for_device"
	equal "then the device owns it" "$(cat $d/sync_owner)" 1
	succeeds "sync recipe back" sh -c "echo 1 >$d/sync_for_cpu"
	equal "then the CPU owns it" "$(cat $d/sync_owner)" 0
	equal "the command is over" "$(cat $d/sync_for_cpu)" 0
	word=$(printf '0x%08X%08X' $((0x20000)) $(((0x1000 & 0xFFFFFFF0) | 1 << 2 | 1)))
	succeeds "sync recipe in one word" sh -c "echo $word >$d/sync_for_device"
	equal "the word is not stored" "$(cat $d/sync_offset $d/sync_size | xargs)" "0x10000 524288"
	echo $((16777216 - 0x1000)) >$d/sync_offset
	fails "sync of a range that leaves the buffer" sh -c "echo 1 >$d/sync_for_cpu"
	fails "sync_mode 8" sh -c "echo 8 >$d/sync_mode"
	fails "sync_direction 3" sh -c "echo 3 >$d/sync_direction"
	succeeds "sync_mode 7" sh -c "echo 7 >$d/sync_mode"
	fails "sync_offset of no number" sh -c "echo abc >$d/sync_offset"

	dd if=/bin/busybox of=/dev/udmabuf0 bs=65536 2>/dev/null
	dd if=/dev/udmabuf0 of=/tmp/copy bs=65536 2>/dev/null
	bytes=$(stat -c %s /bin/busybox)
	equal "dd in and out" "$(head -c "$bytes" /tmp/copy | md5sum)" "$(md5sum </bin/busybox)"
	equal "dd reads all" "$(stat -c %s /tmp/copy)" 16777216
	rm /tmp/copy
}

zeroed() {
	phys=$(attribute udmabuf0 cpu_phys_addr)
	run fill /dev/udmabuf0 16
	equal "the pattern is in memory" "$(physical "$phys" 16777216 Z)" 4096
	unload
	equal "none of it after unload" "$(physical "$phys" 16777216 Z)" 0
	# Most free memory is dirty, so it matters that a new buffer is cleared.
	run fill memory 600
	load udmabuf0=16777216
	equal "a new buffer is zero" "$(tr -d '\0' </dev/udmabuf0 | wc -c)" 0
	unload
}

# Columns as in matrix.c.
matrices() {
	for mode in ${MODES:-1 2 3 4 5}; do
		load udmabuf0=1048576 quirk_mmap_mode=$mode || not_ok "mode $mode" "insmod"
		case $mode in
		1 | 2 | 3) row="none ok EFAULT EFAULT EFAULT EFAULT EFAULT EFAULT ok EFAULT ok" ;;
		4) row="ok ok EFAULT EFAULT ok ok ok ok ok $PAGE ok" ;;
		5) row="ok ok ok ok ok ok ok ok ok $CACHE ok" ;;
		esac
		run matrix /dev/udmabuf0 $BLOCK "mode $mode" $row
		equal "mode $mode is told" "$(attribute udmabuf0 quirk_mmap_mode)" $mode
		run vma /dev/udmabuf0 $([ $mode -lt 4 ] && echo pfn || echo pages)
		unload
	done
}

failures_of_insmod() {
	refused "4 GiB in a small machine" "more than the .* bytes of RAM. Remedy" udmabuf0=4294967296
	refused "8 GiB below a 32-bit mask" "can not lie below .* dma_mask_bit=64" udmabuf0=8589934592
	refused "32 MiB below a 24-bit mask" "can not lie below\|no memory of this machine" \
		udmabuf0=33554432 dma_mask_bit=24
	refused "too much of the memory" "no .* contiguous bytes can be freed.*Remedy" udmabuf0=$((900 << 20))
	refused "a second buffer that can not be had" "udmabuf1: .*Remedy" \
		udmabuf0=1048576 udmabuf1=$((900 << 20))
	refused "bind to a device that is not there" "no such device on this bus. Remedy" \
		udmabuf0=4096 bind=pci/0000:99:00.0
	refused "bind to a bus that is not there" "no such bus" udmabuf0=4096 udmabuf0_bind=nobus/x
	refused "dma_mask_bit=65" "must be 12 to 64" udmabuf0=4096 dma_mask_bit=65
	refused "quirk_mmap_mode=6" "must be 1 to 5" udmabuf0=4096 quirk_mmap_mode=6
}

below_a_mask() {
	for size in 1048576 16777216; do
		load udmabuf0=$size dma_mask_bit=$LOW_BITS || not_ok "$size below a mask" "insmod"
		equal "$size bytes below $LOW_BITS bits" \
			"$(($(attribute udmabuf0 phys_addr) + size <= 1 << LOW_BITS))" 1
		unload
	done
}

# Where there is memory above them, too, and most of it.
below_4_gib() {
	for size in 65536 67108864; do
		load udmabuf0=$size || not_ok "$size below 4 GiB" "insmod"
		equal "$size bytes below 4 GiB" "$(($(attribute udmabuf0 cpu_phys_addr) + size <= 1 << 32))" 1
		unload
	done
}

gibibytes() {
	load udmabuf0=4294967296 udmabuf1=2147483648 dma_mask_bit=64 || not_ok "4 and 2 GiB" "insmod"
	equal "the sizes are not cut" "$(attribute udmabuf0 size) $(attribute udmabuf1 size)" "4294967296 2147483648"
	run large /dev/udmabuf0
	run large /dev/udmabuf1
	unload
	# With 16 MiB more there are places in it that 32 bits do not name.
	load udmabuf0=$(((4 << 30) + (16 << 20))) dma_mask_bit=64 || not_ok "4 GiB and 16 MiB" "insmod"
	equal "its size is not cut" "$(attribute udmabuf0 size)" 4311744512
	run large /dev/udmabuf0
	# What a 32-bit device would not reach without a bounce buffer, it does not get.
	insmod /modules/udb-importer.ko mask_bits=32
	equal "a buffer above 4 GiB" "$(($(attribute udmabuf0 cpu_phys_addr) >= 1 << 32))" 1
	run dmabuf /dev/udmabuf0 bounces
	rmmod udb_importer
	unload
}

attributes() {
	insmod /modules/udb-memtype.ko
	load udmabuf0=1048576
	run memattr /dev/udmabuf0 $([ $COHERENT = 1 ] && echo ignored || echo exclusive)
	unload
	load udmabuf0=1048576 mixed_attributes=1
	run memattr /dev/udmabuf0 $([ $COHERENT = 1 ] && echo ignored || echo mixed)
	unload
	for mode in 1 2 4; do
		load udmabuf0=1048576 quirk_mmap_mode=$mode
		run memattr /dev/udmabuf0 $([ $COHERENT = 1 ] && echo ignored || echo exclusive)
		unload
	done
	load udmabuf0=1048576 udmabuf0_coherent=1
	equal "udmabuf0_coherent=1" "$(attribute udmabuf0 dma_coherent)" 1
	run memattr /dev/udmabuf0 ignored
	unload
	if [ $COHERENT = 1 ]; then
		refused "udmabuf0_coherent=0 on a coherent machine" "every device is coherent" \
			udmabuf0=4096 udmabuf0_coherent=0
	else
		load udmabuf0=4096 udmabuf0_coherent=0
		equal "udmabuf0_coherent=0" "$(attribute udmabuf0 dma_coherent)" 0
		unload
	fi
	refused "udmabuf0_coherent=2" "must be 0 or 1" udmabuf0=4096 udmabuf0_coherent=2
	rmmod udb_memtype
}

unbind_in_use() {
	load udmabuf0=16777216 udmabuf1=65536
	id=$(attribute udmabuf0 instance_id)
	phys=$(attribute udmabuf0 cpu_phys_addr)
	holder_start
	hold_step open /dev/udmabuf0
	fails "rmmod while it is mapped" unload
	hold_step check
	echo u-dma-buf.0 >/sys/bus/platform/drivers/u-dma-buf/unbind
	equal "unbind removes the node" "$(ls /dev/udmabuf0 2>/dev/null)" ""
	hold_step check
	hold_step gone
	hold_step frames
	echo u-dma-buf.0 >/sys/bus/platform/drivers/u-dma-buf/bind
	equal "bind makes a new one" "$(ls /dev/udmabuf0)" /dev/udmabuf0
	equal "it has another instance id" "$([ "$(attribute udmabuf0 instance_id)" != "$id" ] && echo other)" other
	equal "it has other memory" "$([ "$(attribute udmabuf0 cpu_phys_addr)" != "$phys" ] && echo other)" other
	run fill /dev/udmabuf0 16
	hold_step check
	echo 3 >/proc/sys/vm/drop_caches
	echo 1 >/proc/sys/vm/compact_memory
	dd if=/dev/zero of=/tmp/fill bs=1M count=700 2>/dev/null
	rm /tmp/fill
	hold_step check
	hold_step frames
	fails "rmmod is still refused" unload
	hold_step close
	holder_end
	succeeds "rmmod after the last close" unload
}

killed_in_use() {
	load udmabuf0=16777216
	holder_start
	hold_step open /dev/udmabuf0
	kill -9 "$holder"
	holder_end 2>/dev/null
	succeeds "rmmod after SIGKILL of the holder" unload
}

# Only a dma-buf is left when the device goes.
exported_in_use() {
	load udmabuf0=16777216
	insmod /modules/udb-importer.ko
	phys=$(attribute udmabuf0 cpu_phys_addr)
	holder_start
	hold_step open /dev/udmabuf0
	hold_step export
	hold_step import
	fails "rmmod while it is exported" unload
	write_to /sys/bus/platform/drivers/u-dma-buf/unbind u-dma-buf.0
	hold_step check
	hold_step frames
	write_to /sys/bus/platform/drivers/u-dma-buf/bind u-dma-buf.0
	equal "the new one has other memory than the exported" \
		"$([ "$(attribute udmabuf0 cpu_phys_addr)" != "$phys" ] && echo other)" other
	hold_step unimport
	hold_step check
	hold_step close
	holder_end
	succeeds "create one to be deleted" command_ "create exported 65536"
	holder_start
	hold_step open /dev/exported
	hold_step export
	succeeds "delete while it is exported" command_ "delete exported"
	hold_step check
	hold_step frames
	fails "rmmod then" unload
	kill -9 "$holder"
	holder_end 2>/dev/null
	rmmod udb_importer
	succeeds "rmmod after SIGKILL of the one who has the dma-buf" unload
}

under_pressure() {
	load udmabuf0=16777216
	run pressure /dev/udmabuf0 6
	succeeds "rmmod after pressure" unload
}

# A pipe is no user of the buffer, but its pages are the pipe's until read.
pages_in_a_pipe() {
	load udmabuf0=16777216
	holder_start
	hold_step open /dev/udmabuf0
	hold_step splice
	if [ $LARGE = cma ]; then
		# CMA takes back an area only as a whole: rmmod waits for the pipe ...
		mark "pipe"
		unload &
		until grep -q '^u_dma_buf .*Unloading' /proc/modules; do usleep 10000; done
		hold_step drain
		wait $!
		equal "rmmod waits until the pipe is read" "$(log_since pipe | grep -c 'stay allocated')" 0
		holder_end
		# ... and a buffer that went before it keeps the module.
		load udmabuf0=16777216
		holder_start
		hold_step open /dev/udmabuf0
		echo u-dma-buf.0 >/sys/bus/platform/drivers/u-dma-buf/unbind
		hold_step splice
		fails "rmmod while a pipe has pages of CMA" unload
		hold_step drain
		until unload 2>/dev/null; do usleep 10000; done
		ok "rmmod after the pipe was read"
	else
		succeeds "rmmod with pages in a pipe" unload
		load udmabuf0=16777216
		hold_step drain
		unload
	fi
	holder_end
}

# On arm64 a buffer is made only for a device that has a driver.
edu_device() {
	for device in /sys/bus/pci/devices/*; do
		[ "$(cat "$device/vendor")$(cat "$device/device")" = 0x12340x11e8 ] || continue
		[ $COHERENT = 1 ] || give_driver "$device"
		echo "$device"
		return
	done
}

UIO=/sys/bus/pci/drivers/uio_pci_generic

give_driver() {
	if ! [ -d $UIO ]; then
		insmod /modules/uio.ko && insmod /modules/uio_pci_generic.ko || not_ok "uio_pci_generic" "insmod"
		echo 1234 11e8 >$UIO/new_id
	fi
	[ -e "$1/driver" ] || echo "${1##*/}" >$UIO/bind
}

bound_to_pci() {
	edu=$(edu_device)
	equal "the edu device is there" "$([ -d "$edu/" ] && echo yes)" yes
	load udmabuf0=1048576 udmabuf1=65536 "udmabuf1_bind=pci/${edu##*/}"
	equal "sync_size of a bound buffer is its size" "$(attribute udmabuf1 sync_size)" 65536
	equal "its parent is the PCI device" "$(readlink -f $CLASS/udmabuf1/device)" "$(readlink -f "$edu")"
	run edu "$edu" /dev/udmabuf0 reaches
	run edu "$edu" /dev/udmabuf1 reaches
	unload

	load udmabuf0=65536 bind="pci/${edu##*/}"
	holder_start
	hold_step open /dev/udmabuf0
	echo 1 >"$edu/remove"
	equal "removal of the PCI device removes the node" "$(ls /dev/udmabuf0 2>/dev/null)" ""
	hold_step check
	hold_step gone
	hold_step frames
	hold_step close
	holder_end
	succeeds "rmmod after it" unload
	echo 1 >/sys/bus/pci/rescan
}

# While it is mapped, the driver goes from the device that it is for.
driver_unbound() {
	edu=$(edu_device)
	if ! [ -e /modules/uio.ko ]; then
		echo "skip driver_unbound: this kernel has no UIO"
		return
	fi
	give_driver "$edu"
	load
	run anonymous "${edu##*/}" $UIO/unbind
	give_driver "$edu"
	run adopt "${edu##*/}" $UIO/unbind
	unload
	give_driver "$edu"
	load udmabuf0=65536 bind="pci/${edu##*/}"
	command_ "create managed 65536 bus=pci device=${edu##*/}"
	holder_start
	hold_step open /dev/udmabuf0
	echo "${edu##*/}" >$UIO/unbind
	equal "unbinding the device's driver removes the nodes" "$(ls $CLASS | xargs)" ""
	hold_step check
	hold_step gone
	hold_step frames
	if [ $COHERENT = 0 ]; then
		mark "no driver"
		fails "create for a device without driver" command_ "create x 4096 bus=pci device=${edu##*/}"
		equal "the log says what helps" "$(log_since "no driver" | grep -c 'Remedy: give it a driver first')" 1
	fi
	give_driver "$edu"
	succeeds "create when it has one again" command_ "create managed 65536 bus=pci device=${edu##*/}"
	run edu "$edu" /dev/managed reaches
	hold_step check
	hold_step close
	holder_end
	succeeds "rmmod after unbinding its device's driver" unload
	[ $COHERENT = 0 ] || rmmod uio_pci_generic uio
}

# bind= to a platform device, whose module goes while the buffer is mapped.
bound_to_platform() {
	insmod /modules/udb-importer.ko
	load udmabuf0=65536 udmabuf0_bind=udb-importer udmabuf1=65536 udmabuf1_bind=platform/udb-importer
	for name in udmabuf0 udmabuf1; do
		equal "the parent of $name is the platform device" \
			"$(readlink -f $CLASS/$name/device)" /sys/devices/platform/udb-importer
	done
	holder_start
	hold_step open /dev/udmabuf0
	rmmod udb_importer
	equal "its device's module gone, the nodes are" "$(ls $CLASS | xargs)" ""
	hold_step check
	hold_step gone
	hold_step frames
	hold_step close
	holder_end
	succeeds "rmmod after that" unload
}

MANAGER=/dev/u-dma-buf-mgr

command_() {
	printf '%s\n' "$1" 2>/dev/null >$MANAGER
}

managed() {
	edu=$(edu_device)
	load
	equal "the manager is root's" "$(stat -c %a $MANAGER)" 600
	succeeds "create" command_ "create udmabuf0 16777216"
	run abi /dev/udmabuf0 16777216
	run devbuf 16
	succeeds "create with options" command_ "create camera.0 size=0x8000 dma-mask=40 quirk-mmap-page"
	equal "its size" "$(attribute camera.0 size)" 32768
	equal "its mode" "$(attribute camera.0 quirk_mmap_mode)" 4
	succeeds "create for a device" command_ "create card 65536 bus=pci device=${edu##*/}"
	equal "its parent" "$(readlink -f $CLASS/card/device)" "$(readlink -f "$edu")"
	equal "its sync_size" "$(attribute card sync_size)" 65536
	run edu "$edu" /dev/card reaches
	succeeds "two commands in one write" sh -c "printf 'create a 4096;create b 4096' >$MANAGER"
	equal "both are there" "$(ls /dev/a /dev/b | xargs)" "/dev/a /dev/b"
	succeeds "commands that end with NUL" sh -c "printf 'delete a\\0delete b\\0' >$MANAGER"
	equal "both are gone" "$(ls /dev/a /dev/b 2>/dev/null)" ""
	for command in "create camera.0 4096" "create" "create x" "create x 0" "create x 4k" \
		"create a/b 4096" "create .. 4096" "create x 4096 dma-mask=65" "create x 4096 bus=pci" \
		"create x 4096 device=nothing" "create x 4096 frob=1" "create x 0x100000000" \
		"delete" "delete nothing" "frob x" "delete $(printf '%01025d' 0)"; do
		fails "refused: $(echo "$command" | cut -c1-40)" command_ "$command"
	done
	equal "nothing came of those" "$(ls $CLASS | xargs)" "camera.0 card udmabuf0"

	succeeds "delete of a bound one" command_ "delete card"
	load_bound_is_not_the_managers
	succeeds "rmmod with buffers of the manager" unload
	by_the_managers_old_name
}

# u-dma-buf-mgr was a module of its own; scripts load both.
by_the_managers_old_name() {
	modules=/lib/modules/$(uname -r)
	mkdir -p "$modules"
	cp /modules/u-dma-buf.ko "$modules/"
	depmod
	succeeds "modprobe u-dma-buf-mgr" modprobe u-dma-buf-mgr
	equal "the manager is there" "$(ls $MANAGER)" $MANAGER
	succeeds "modprobe of both" sh -c "modprobe u-dma-buf && modprobe u-dma-buf-mgr"
	unload
	rm -r "$modules"
}

# deleted_in_use [MODE]: in u-dma-buf 5.5.0 the next buffer gets the memory of the deleted one.
deleted_in_use() {
	mode=${1:-5}
	load quirk_mmap_mode=$mode
	succeeds "create one to be deleted" command_ "create udmabuf0 16777216"
	holder_start
	hold_step open /dev/udmabuf0
	phys=$(attribute udmabuf0 cpu_phys_addr)
	succeeds "delete while it is mapped" command_ "delete udmabuf0"
	hold_step check
	hold_step gone
	[ $mode -lt 4 ] || hold_step frames
	succeeds "create the same name" command_ "create udmabuf0 16777216"
	equal "in other memory" "$([ "$(attribute udmabuf0 cpu_phys_addr)" != "$phys" ] && echo other)" other
	run fill /dev/udmabuf0 16
	hold_step check
	hold_step close
	holder_end
	succeeds "rmmod after delete in use" unload
}

deleted_in_use_by_frames() {
	deleted_in_use 2
}

load_bound_is_not_the_managers() {
	succeeds "rmmod" unload
	load udmabuf0=4096 "udmabuf1=4096" "udmabuf1_bind=pci/${edu##*/}"
	fails "delete of a parameter's buffer" command_ "delete udmabuf0"
	fails "delete of a parameter's bound buffer" command_ "delete udmabuf1"
	command_ "create left 65536"
}

# keeps_the_module PROGRAM: by a descriptor alone, without a node that it is of
keeps_the_module() {
	"$1" hold >/tmp/held &
	while [ -e /proc/$! ] && ! grep -q held /tmp/held; do usleep 1000; done
	fails "rmmod while $1 has a descriptor" unload
	kill -9 $!
	wait $! 2>/dev/null
}

by_ioctl() {
	edu=$(edu_device)
	load
	run manage "${edu##*/}"
	equal "nothing is left of it" "$(ls $CLASS | xargs)" ""
	run anonymous
	keeps_the_module anonymous
	run anonymous "${edu##*/}"
	echo 1 >/sys/bus/pci/rescan
	succeeds "rmmod after it" unload
}

# sleeper WAY COMMAND...: a process that sleeps wakes when COMMAND removes the device
sleeper() {
	way=$1
	shift
	rm -f /tmp/sleep.out
	mkfifo /tmp/sleep.out
	doorbell /dev/udmabuf0 sleep "$way" >/tmp/sleep.out &
	exec 5</tmp/sleep.out
	read -r line <&5
	equal "a $way sleeper before $*" "$line" asleep
	# It said so just before the call: asleep when the kernel says so.
	while [ -e /proc/$! ] && ! grep -q 'State:.*S (sleeping)' "/proc/$!/status"; do usleep 1000; done
	succeeds "$* while a process sleeps in $way" "$@"
	while read -r line <&5; do echo "$line"; done
	exec 5<&-
	run wait $!
}

write_to() {
	echo "$2" >"$1"
}

doorbells() {
	load udmabuf0=65536
	run doorbell /dev/udmabuf0
	for way in poll epoll eventfd; do
		sleeper $way write_to /sys/bus/platform/drivers/u-dma-buf/unbind u-dma-buf.0
		echo u-dma-buf.0 >/sys/bus/platform/drivers/u-dma-buf/bind
	done
	unload
	load
	command_ "create udmabuf0 65536"
	sleeper poll command_ "delete udmabuf0"
	# rmmod does not wait for the sleeper: it is refused.
	command_ "create udmabuf0 65536"
	doorbell /dev/udmabuf0 sleep poll >/tmp/sleep.txt &
	while [ -e /proc/$! ] && ! grep -q asleep /tmp/sleep.txt; do usleep 1000; done
	fails "rmmod while a process sleeps in poll" unload
	command_ "delete udmabuf0"
	wait $!
	run cat /tmp/sleep.txt
	succeeds "rmmod after it" unload
	edu=$(edu_device)
	load udmabuf0=65536 bind="pci/${edu##*/}"
	sleeper epoll write_to "$edu/remove" 1
	succeeds "rmmod after removal of the PCI device" unload
	echo 1 >/sys/bus/pci/rescan
}

adoption() {
	edu=$(edu_device)
	load udmabuf0=65536
	run adopt
	keeps_the_module adopt
	run edu "$edu" adopted reaches
	run adopt "${edu##*/}"
	echo 1 >/sys/bus/pci/rescan
	echo 0 >/proc/sys/vm/nr_hugepages
	succeeds "rmmod after adoption" unload
}

exported() {
	load udmabuf0=16777216
	insmod /modules/udb-importer.ko
	run dmabuf /dev/udmabuf0
	rmmod udb_importer
	succeeds "rmmod after export" unload
}

# insmod with the Nth step of it failing, until none fails.
injected() {
	edu=$(edu_device)
	before=$(free_kib)
	left=0
	step=1
	while [ $step -lt 100 ]; do
		if load udmabuf0=4194304 udmabuf1=4096 "udmabuf1_bind=pci/${edu##*/}" fail_alloc=$step \
			info_enable=0 2>/dev/null; then
			more=$(cat /sys/module/u_dma_buf/parameters/fail_alloc)
			unload
			[ "$more" != 0 ] && break
		fi
		left=$((left + $(ls -d /dev/udmabuf[0-9]* /dev/u-dma-buf* $CLASS 2>/dev/null | wc -l)))
		step=$((step + 1))
	done
	if [ $step -gt 30 ] && [ $step -lt 100 ]; then ok "insmod: $((step - 1)) steps failed"; else
		not_ok "insmod: each step failed" "$((step - 1)) steps"
	fi
	equal "a failed insmod leaves no node" $left 0
	not_lost "a failed insmod loses no buffer" $before 3600
	load udmabuf0=65536 info_enable=0
	insmod /modules/udb-importer.ko
	run inject "${edu##*/}"
	rmmod udb_importer
	succeeds "rmmod after all failures" unload
}

# A leak of any of these buffers in each cycle would be 100 MiB and more.  The second is
# too large for one block of the page allocator.
cycles() {
	before=$(free_kib)
	i=0
	while [ $i -lt $CYCLES ]; do
		load udmabuf0=1048576 udmabuf1=5242880 info_enable=0 || break
		unload || break
		i=$((i + 1))
	done
	equal "$CYCLES times load and unload" $i $CYCLES
	not_lost "nothing is lost" $before 20480
}

# Random calls from several threads while the device comes and goes, in one mode of each kind.
fuzzed() {
	before=$(free_kib)
	for mode in 5 4 2; do
		load udmabuf0=1048576 quirk_mmap_mode=$mode info_enable=0 || not_ok "insmod" "failed"
		run fuzz $((FUZZ_SECONDS / 3)) "$(($(date +%s) + mode))"
		succeeds "rmmod after fuzz in mode $mode" unload
	done
	not_lost "fuzz: nothing is lost" $before 20480
}

# Only arm64's kernel has something to do, and to be watched at.
maintained() {
	[ $COHERENT = 0 ] || return 0
	insmod /modules/udb-importer.ko
	load udmabuf0=1000000 udmabuf1=1048576 udmabuf1_coherent=1
	run maintenance /dev/udmabuf0 not
	run maintenance /dev/udmabuf1 coherent
	unload
	rmmod udb_importer
}

# What no other case sets.
options() {
	mark "quiet"
	load udmabuf4=4096 udmabuf5=8192 udmabuf6=12288 udmabuf7=16384 info_enable=0
	equal "udmabuf4 to 7" "$(cat $CLASS/udmabuf4/size $CLASS/udmabuf5/size $CLASS/udmabuf6/size $CLASS/udmabuf7/size | xargs)" \
		"4096 8192 12288 16384"
	equal "their minors" "$(stat -c %T /dev/udmabuf4 /dev/udmabuf7 | xargs)" "4 7"
	equal "info_enable=0 tells nothing" "$(log_since quiet | grep -c 'u-dma-buf[ :]')" 0
	unload
	mark "build"
	load udmabuf0=4096 info_enable=4
	equal "info_enable=4 tells how it was built" "$(log_since build | grep -c 'u-dma-buf: .*dma-buf export 1')" 1
	equal "and nothing of buffers" "$(log_since build | grep -c udmabuf0)" 0
	unload
	load anonymous_coherent=1
	equal "anonymous_coherent=1" "$(anonymous coherent)" "coherent"
	unload
	if [ $COHERENT = 1 ]; then
		refused "anonymous_coherent=0 on a coherent machine" "every device is coherent" anonymous_coherent=0
	else
		load anonymous_coherent=0
		equal "anonymous_coherent=0" "$(anonymous coherent)" "not coherent"
		unload
	fi
	refused "anonymous_coherent=2" "must be 0 or 1" anonymous_coherent=2
}
