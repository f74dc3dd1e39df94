# The library on u-dma-buf itself (PHYSRING_UPSTREAM), in the mode that it takes by itself.  Its buffers are of the
# 4 MiB that a kernel without CMA has at most.
. /guest/lib.sh

if ! [ -s /bun-name ]; then
	echo "skip upstream: the project has no Bun for this architecture (npm install)"
	exit 0
fi
export PHYSRING_MODULE=/modules/upstream/u-dma-buf.ko
succeeds "insmod" insmod $PHYSRING_MODULE udmabuf0=4194304
echo "# u-dma-buf $(attribute udmabuf0 driver_version), quirk_mmap_mode $(attribute udmabuf0 quirk_mmap_mode), dma_coherent $(attribute udmabuf0 dma_coherent)"
run sh /guest/bun.sh /host/test/conformance/conformance.test.ts -t udmabuf
run sh /guest/bun.sh /host/test/vm/guest/demo-udmabuf.guest.ts
unload
run sh /guest/bun.sh /host/test/vm/guest/alone/upstream.guest.ts
scenario_end
