# The module in short form on a kernel that watches: KASAN, lockdep, DMA-API debug,
# debug objects, and a look for leaks at the end.
. /guest/cases.sh

# Every allocation of the kernel in an operation fails once.
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

fuzzed() {
	load udmabuf0=1048576 info_enable=0
	run fuzz 30 "$(date +%s)"
	succeeds "rmmod after fuzz" unload
}

# Twice, because what was seen once may still be on its way.
no_leaks() {
	for turn in 1 2; do echo scan >$DEBUGFS/kmemleak; done
	leaks=$(cat $DEBUGFS/kmemleak)
	equal "kmemleak finds nothing" "$leaks" ""
}

mount -t debugfs debugfs $DEBUGFS
echo clear >$DEBUGFS/kmemleak
# Not only the first.
echo 1 >$DEBUGFS/dma-api/all_errors
echo "# debug kernel $(uname -r), CMA $(awk '/^CmaTotal/ { print $2 }' /proc/meminfo) KiB"
# One of each kind.
MODES="1 2 4 5"
interface
unload
below_a_mask
attributes
matrices
unbind_in_use
killed_in_use
exported_in_use
under_pressure
pages_in_a_pipe
bound_to_pci
exported
managed
by_ioctl
doorbells
adoption
injected_by_the_kernel
fuzzed
no_leaks
scenario_end
