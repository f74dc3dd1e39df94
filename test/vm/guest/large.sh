# Buffers of 4 and 2 GiB above 4 GiB, as on a server with an FPGA card.
. /guest/cases.sh

below_4_gib
refused "4 GiB without a mask" "udmabuf0: .*Remedy: dma_mask_bit=64" udmabuf0=4294967296 udmabuf1=2147483648
gibibytes
scenario_end
