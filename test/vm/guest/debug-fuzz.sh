# Random calls on a kernel that watches.
. /guest/watched.sh

FUZZ_SECONDS=120
watch_begin
fuzzed
dma_debug_is_on "watched until the end"
watch_end
