# A buffer of 4 GiB above 4 GiB, as on a server with an FPGA card.
. /guest/lib.sh

refused "4 GiB without a mask" "udmabuf0: .*Remedy: dma_mask_bit=64" udmabuf0=4294967296
load udmabuf0=4294967296 dma_mask_bit=64 || not_ok "4 GiB" "insmod"
equal "the size is not cut" "$(attribute udmabuf0 size)" 4294967296
run large /dev/udmabuf0
unload
scenario_end
