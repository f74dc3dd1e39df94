# Failing allocations on a kernel that watches.
. /guest/watched.sh

# Every allocation of the kernel in an operation fails once.  DMA-API debug switches
# itself off when that is one of its own.
injected_by_the_kernel() {
	edu=$(edu_device)
	for kind in failslab fail_page_alloc; do
		echo N >$DEBUGFS/$kind/ignore-gfp-wait
		echo 0 >$DEBUGFS/$kind/verbose
	done
	echo 0 >$DEBUGFS/fail_page_alloc/min-order
	load udmabuf0=65536 info_enable=0
	insmod /modules/udb-importer.ko
	run inject "${edu##*/}" kernel
	rmmod udb_importer
	succeeds "rmmod after all failures of the kernel" unload
}

watch_begin
injected
dma_debug_is_on "watched the module's own failures"
injected_by_the_kernel
watch_end
