# The module on an ordinary machine: interface, mappings, failures, lifetime.
. /guest/cases.sh

cases interface sysfs zeroed largest_first failures_of_insmod below_a_mask attributes matrices \
	unbind_in_use killed_in_use deleted_in_use exported_in_use under_pressure pages_in_a_pipe bound_to_pci driver_unbound bound_to_platform maintained \
	exported managed by_ioctl doorbells adoption injected cycles
scenario_end
