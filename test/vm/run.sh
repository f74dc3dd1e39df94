#!/bin/bash
# Boots kernels with the module, Bun and the project in them and runs the guest
# tests there.
#
#   test/vm/run.sh [--install-deps] [--verbose] [--prepare] [TARGET/SCENARIO...]
#
# Without TARGET all run but x86_64-debug, a kernel of our own with KASAN, lockdep and
# other checkers, whose first build takes 6 to 15 minutes.
#
# --install-deps installs missing system packages with apt; without it a
# missing package is named and the run is skipped.  --prepare fetches and builds
# what the guests need, and boots none.  Everything is cached in
# ${PHYSRING_VM_CACHE:-~/.cache/physring/vm}.  PHYSRING_VM_JOBS (2) guests run at
# once.  Scenario upstream is skipped unless PHYSRING_UPSTREAM is a directory with
# u-dma-buf.c, or with a u-dma-buf.ko for the kernel.  Exit status 0 means that all
# passed; the last line is "N passed, N failed, N skipped".
set -euo pipefail

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$VM_DIR/../.." && pwd)
CACHE=${PHYSRING_VM_CACHE:-$HOME/.cache/physring/vm}
# An emulated machine keeps little more than one core busy.
JOBS=${PHYSRING_VM_JOBS:-2}

. "$VM_DIR/packages.sh"
. "$VM_DIR/build.sh"
. "$VM_DIR/boot.sh"
. "$VM_DIR/jobs.sh"
. "$VM_DIR/simulated_board.sh"
. "$VM_DIR/bus_trace.sh"
. "$VM_DIR/tree.sh"
. "$VM_DIR/debug.sh"

install_deps=false
verbose=false
prepare=false
wanted=()
for argument; do
	case $argument in
	--install-deps) install_deps=true ;;
	--verbose) verbose=true ;;
	--prepare) prepare=true ;;
	-*) sed -n '2,17s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
	*) wanted+=("$argument") ;;
	esac
done

passed=0
failed=0
skipped=0

# One target is a kernel; each of its scenarios is a boot, except of the tree, which is only built.  What runs
# longest comes first.
TARGETS=(x86_64-6.1 arm64-6.1 x86_64-6.12 arm64-6.12 tree-6.1 x86_64-debug)
SCENARIOS_x86_64_6_1=(main library upstream fpga iommu swiotlb large fuzz)
SCENARIOS_x86_64_6_12=(smoke)
SCENARIOS_arm64_6_1=(main devicetree devicetree-max library upstream board)
SCENARIOS_arm64_6_12=(smoke)
SCENARIOS_tree_6_1=(x86_64 arm64)
SCENARIOS_x86_64_debug=(debug-{fuzz,interface,lifetime,inject}{,-cma})

is_wanted() {
	[ ${#wanted[@]} = 0 ] && [[ $1 != *-debug/* ]] && return 0
	local name
	for name in "${wanted[@]}"; do
		[[ $1 == "$name" || $1 == "$name"/* ]] && return 0
	done
	return 1
}

# host_has MIB: memory for a guest, and some to spare.
host_has() {
	[ "$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)" -gt $(($1 + 512)) ]
}

run_target() {
	local target=$1 scenario list="SCENARIOS_${1//[-.]/_}[@]" chosen=()
	for scenario in "${!list}"; do
		is_wanted "$target/$scenario" || continue
		if [ "$scenario" = upstream ] && [ -z "${PHYSRING_UPSTREAM:-}" ]; then
			echo "SKIPPED $target/$scenario: PHYSRING_UPSTREAM names no directory with u-dma-buf's source"
			skipped=$((skipped + 1))
		else
			chosen+=("$scenario")
		fi
	done
	[ ${#chosen[@]} = 0 ] && return 0
	if ! packages_ready "$target"; then
		echo "SKIPPED $target: ${#chosen[@]} scenarios"
		skipped=$((skipped + ${#chosen[@]}))
		return 0
	fi
	if [[ $target == tree-* ]]; then
		prepare_source
		$prepare && return 0
		add_driver_to_tree
		for scenario in "${chosen[@]}"; do
			start_job "$target-$scenario" build_in_tree "$scenario"
		done
		return 0
	fi
	build_target "$target"
	$prepare && return 0
	for scenario in "${chosen[@]}"; do
		scenario_arguments "$scenario" "$target"
		if ! host_has "$MEMORY"; then
			echo "SKIPPED $target/$scenario: this machine has no $MEMORY MiB to spare"
			skipped=$((skipped + 1))
			continue
		fi
		start_job "$target-$scenario" boot_scenario "$target" "$scenario"
	done
}

# Whatever ends the run early - a build that fails - is one failure more.
finished=false
on_exit() {
	end_jobs
	$finished || echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
}
trap on_exit EXIT

mkdir -p "$CACHE"
# Two runs would build in the same place.
exec 9>"$CACHE/lock"
flock 9

for target in "${TARGETS[@]}"; do
	run_target "$target"
done
while [ "${#running[@]}" -gt 0 ]; do
	await_job
done
if $prepare; then
	finished=true
	exit 0
fi
if [ $((passed + failed + skipped)) = 0 ]; then
	echo "no such target or scenario: ${wanted[*]}" >&2
	finished=true
	exit 2
fi
finished=true
echo "# all of it in $SECONDS s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
