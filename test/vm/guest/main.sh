# The module on an ordinary machine: interface, mappings, failures, lifetime.
. /guest/cases.sh

# A hundred times once is enough; an emulated arm64 takes long for it.
[ "$(uname -m)" = x86_64 ] || CYCLES=40
cases interface sysfs zeroed options largest_first failures_of_insmod below_a_mask attributes matrices \
	unbind_in_use killed_in_use deleted_in_use deleted_in_use_by_frames exported_in_use under_pressure \
	pages_in_a_pipe bound_to_pci driver_unbound bound_to_platform maintained exported managed by_ioctl \
	doorbells adoption injected cycles
scenario_end
