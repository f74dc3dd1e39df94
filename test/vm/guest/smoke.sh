# The short form of main, for kernels that only have to show that nothing changed.
. /guest/cases.sh

cases interface zeroed matrices unbind_in_use pages_in_a_pipe bound_to_pci exported by_ioctl \
	doorbells adoption
scenario_end
