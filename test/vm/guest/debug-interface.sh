# Interface, mappings and kinds of buffers on a kernel that watches.
. /guest/watched.sh

watch_begin
cases interface sysfs unload below_a_mask attributes matrices bound_to_pci exported managed
dma_debug_is_on "watched until the end"
watch_end
