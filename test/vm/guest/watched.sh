# For the kernel that watches: that what watches still does so at the end, and
# what it found.
. /guest/cases.sh

# One of each kind.
MODES="1 2 4 5"
CYCLES=20
# KASAN holds freed objects back, up to a 32nd of all memory.
SLACK_KIB=98304

watch_begin() {
	mount -t debugfs debugfs $DEBUGFS
	echo clear >$DEBUGFS/kmemleak
	# Not only the first.
	echo 1 >$DEBUGFS/dma-api/all_errors
	echo "# debug kernel $(uname -r), CMA $(awk '/^CmaTotal/ { print $2 }' /proc/meminfo) KiB"
}

# A checker that runs out of memory or finds something switches itself off.
dma_debug_is_on() {
	equal "DMA-API debug $1" "$(cat $DEBUGFS/dma-api/disabled)" N
}

watch_end() {
	equal "lockdep watched until the end" "$(awk '$1 == "debug_locks:" { print $2 }' /proc/lockdep_stats)" 1
	equal "no fault of the DMA API" "$(cat $DEBUGFS/dma-api/error_count)" 0
	# Twice, because what was seen once may still be on its way.
	for turn in 1 2; do echo scan >$DEBUGFS/kmemleak; done
	leaks=$(cat $DEBUGFS/kmemleak)
	equal "kmemleak finds nothing" "$leaks" ""
	equal "kmemleak watched until the end" "$(dmesg | grep -c 'kmemleak.*disabled')" 0
	scenario_end
}
