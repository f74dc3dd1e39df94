# With swiotlb=force every mapping would be a copy: refused, small and large; and so is adoption.
. /guest/lib.sh

refused "64 KiB with swiotlb=force" "bounce buffer.*Remedy" udmabuf0=65536
refused "16 MiB with swiotlb=force" "bounce buffer.*Remedy" udmabuf0=16777216
load
run adopt bounces
unload
scenario_end
