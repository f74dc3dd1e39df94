# Memory in use while the device goes, buffers without a name, doorbells and
# adoption on a kernel that watches.
. /guest/watched.sh

watch_begin
cases unbind_in_use killed_in_use deleted_in_use exported_in_use under_pressure pages_in_a_pipe by_ioctl \
	doorbells adoption driver_unbound bound_to_platform cycles
dma_debug_is_on "watched until the end"
watch_end
