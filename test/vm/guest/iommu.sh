# Behind an IOMMU only a buffer that was made for the device is reachable.
. /guest/lib.sh

edu=
for device in /sys/bus/pci/devices/*; do
	[ "$(cat "$device/vendor")$(cat "$device/device")" = 0x12340x11e8 ] && edu=$device
done
load udmabuf0=1048576 udmabuf1=16777216 "udmabuf1_bind=pci/${edu##*/}" info_enable=3 ||
	not_ok "insmod behind an IOMMU" "failed"
equal "the two addresses are told apart" \
	"$([ "$(attribute udmabuf1 dma_addr)" != "$(attribute udmabuf1 cpu_phys_addr)" ] && echo different)" different
equal "phys_addr is the device's" "$(attribute udmabuf1 phys_addr)" "$(attribute udmabuf1 dma_addr)"
run edu "$edu" /dev/udmabuf0 faults
run edu "$edu" /dev/udmabuf1 reaches
run edu "$edu" adopted reaches
unload
scenario_end
