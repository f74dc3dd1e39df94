# Devices that read and write a buffer of ours by its device address: the simulated board outside the guest (an
# ivshmem device, its queues as /dev/uio0...3) and QEMU's edu, both by the library.
. /guest/lib.sh

if ! [ -s /bun-name ]; then
	echo "skip fpga: the project has no Bun (npm install)"
	exit 0
fi
load udmabuf0=16777216 udmabuf1=1048576 || not_ok "insmod" "failed"
insmod /modules/uio.ko
insmod /modules/ivshmem-uio.ko || not_ok "insmod ivshmem-uio" "failed"
insmod /modules/uio_pci_generic.ko
equal "each vector of the board is a UIO device" "$(ls /dev/uio* | wc -l)" 4
echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id
equal "edu is a UIO device" "$(ls /dev/uio* | wc -l)" 5
run sh /guest/bun.sh /host/test/vm/guest/alone/board.guest.ts /host/test/vm/guest/alone/edu.guest.ts
rmmod ivshmem_uio uio_pci_generic || not_ok "rmmod" "a UIO device is still open"
unload
scenario_end
