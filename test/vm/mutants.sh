#!/bin/bash
# Puts defects into the module, one at a time, boots each and requires that the guest's
# tests see it.
#
#   test/vm/mutants.sh [NAME...]
#
# The defects are in mutants-list.sh.  Before them each kernel boots with the module as
# it is.  The last line is "N passed, N failed, N skipped"; a defect that nothing sees
# is a failure, and so is one that something else than the named check sees.
set -euo pipefail

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$VM_DIR/../.." && pwd)
CACHE=${PHYSRING_VM_CACHE:-$HOME/.cache/physring/vm}
JOBS=${PHYSRING_VM_JOBS:-2}

. "$VM_DIR/packages.sh"
. "$VM_DIR/build.sh"
. "$VM_DIR/boot.sh"
. "$VM_DIR/jobs.sh"
. "$VM_DIR/debug.sh"

install_deps=false
passed=0
failed=0
skipped=0
wanted=("$@")
names=()
declare -A target_of scenario_of file_of edit_of steps_of expected_of

# mutant NAME TARGET SCENARIO FILE EDIT STEPS EXPECTED
#
# EDIT is a program for sed on kmod/FILE.  STEPS is a script in the guest, run with the
# kernel arguments of SCENARIO.  EXPECTED matches the line that tells of the defect: a
# check that failed, the kernel's complaint, or "hangs".
mutant() {
	local name=$1
	if [ ${#wanted[@]} -gt 0 ] && [[ " ${wanted[*]} " != *" $name "* ]]; then return 0; fi
	names+=("$name")
	target_of[$name]=$2 scenario_of[$name]=$3 file_of[$name]=$4
	edit_of[$name]=$5 steps_of[$name]=$6 expected_of[$name]=$7
}

# The guests need no Bun.
locate_bun() {
	BUN=
}

# build_mutant NAME: from a copy of the sources that build_target compiled
build_mutant() {
	local name=$1 file=${file_of[$1]} work=$BUILD/mutated output=$BUILD/root/modules/mutants
	cp -a "$BUILD/kmod/$file" "$work/$file.original"
	sed -e "${edit_of[$name]}" "$work/$file.original" >"$work/$file"
	if cmp -s "$work/$file" "$work/$file.original"; then
		echo "not ok mutant $name: its edit changes nothing in $file"
		failed=$((failed + 1))
		return 1
	fi
	if ! make -C "$HEADERS" M="$work" CONFIG_U_DMA_BUF=m "${MAKE_ARCH[@]}" modules >"$BUILD/mutated.log" 2>&1; then
		tail -20 "$BUILD/mutated.log"
		echo "not ok mutant $name: it does not compile"
		failed=$((failed + 1))
		return 1
	fi
	cp "$work/u-dma-buf.ko" "$output/$name.ko"
	printf '%s\n' "${steps_of[$name]}" >"$BUILD/root/guest/mutants/$name"
	mv "$work/$file.original" "$work/$file"
	touch "$work/$file"
}

# What the guest's log says of the defect.
symptoms() {
	grep -E "^not ok |$COMPLAINTS" "$1" | sed 's/^kernel: //' || true
	grep -q '^GUEST-EXIT' "$1" || echo "hangs or dies"
}

boot_mutant() {
	local name=$1 target=${target_of[$1]} log=$CACHE/log-mutant-$1 started=$SECONDS seen
	boot_log "$target" "${scenario_of[$name]}" "$name" "$log"
	seen=$(symptoms "$log" | grep -m 1 -E -- "${expected_of[$name]}" | cut -c1-150 || true)
	if [ -n "$seen" ]; then
		echo "ok mutant $name: $seen ($((SECONDS - started)) s)"
		passed=$((passed + 1))
		return
	fi
	symptoms "$log" | head -5
	echo "not ok mutant $name: not seen by \"${expected_of[$name]}\", see $log"
	failed=$((failed + 1))
}

boot_unchanged() {
	local target=$1 scenario=$2 log=$CACHE/log-mutant-none-$1-$2 bad
	boot_log "$target" "$scenario" none "$log"
	bad=$(symptoms "$log" | head -5)
	if [ -z "$bad" ] && grep -q '^GUEST-EXIT rc=0$' "$log"; then
		echo "ok mutant none ($target, $scenario): $(grep -c '^ok ' "$log") checks"
		passed=$((passed + 1))
	else
		printf '%s\n' "$bad"
		echo "not ok mutant none ($target, $scenario): the module as it is fails, see $log"
		failed=$((failed + 1))
	fi
}

# boot_log TARGET SCENARIO MUTANT LOG
boot_log() {
	scenario_arguments "$2" "$1"
	SCRIPT=mutant
	APPEND+=" mutant=$3"
	[ "$3" = none ] || LIMIT_SECONDS=180
	qemu_command "mutant-$3" "$1"
	timeout -k 5 "$LIMIT_SECONDS" "${QEMU[@]}" </dev/null 2>&1 | tr -d '\r' >"$4" || true
}

# With only those steps in the initial ram disk that belong to the scenario.
run_scenario() {
	local target=$1 scenario=$2 name root=$BUILD/root
	rm -rf "$root/guest/mutants" "$root/modules/mutants"
	mkdir -p "$root/guest/mutants" "$root/modules/mutants"
	cp "$BUILD/kmod/u-dma-buf.ko" "$root/modules/mutants/none.ko"
	local built=()
	for name in "${names[@]}"; do
		[[ ${target_of[$name]} = "$target" && ${scenario_of[$name]} = "$scenario" ]] || continue
		if build_mutant "$name"; then built+=("$name"); fi
	done
	build_initrd
	start_job "none-$target-$scenario" boot_unchanged "$target" "$scenario"
	for name in "${built[@]}"; do
		start_job "mutant-$name" boot_mutant "$name"
	done
	# The next scenario builds another ram disk.
	while [ "${#running[@]}" -gt 0 ]; do
		await_job
	done
}

run_target() {
	local target=$1 scenario
	if ! packages_ready "$target"; then
		skipped=$((skipped + 1))
		return
	fi
	build_target "$target"
	# The initial ram disk becomes the mutants'.
	rm -f "$BUILD/built"
	rm -rf "$BUILD/mutated"
	cp -a "$BUILD/kmod" "$BUILD/mutated"
	while read -r scenario; do
		run_scenario "$target" "$scenario"
	done < <(for name in "${names[@]}"; do
		[ "${target_of[$name]}" != "$target" ] || echo "${scenario_of[$name]}"
	done | sort -u)
}

trap end_jobs EXIT
mkdir -p "$CACHE"
exec 9>"$CACHE/lock"
flock 9
. "$VM_DIR/mutants-list.sh"
while read -r target; do
	run_target "$target"
done < <(for name in "${names[@]}"; do echo "${target_of[$name]}"; done | sort -ur)
echo "# all of it in $SECONDS s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
