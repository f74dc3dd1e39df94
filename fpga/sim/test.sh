#!/bin/bash
# Tests of the simulated board: the AXI model and checker by themselves, then core and board against docs/PROTOCOL.md section 10.
#
#   fpga/sim/test.sh [--install-deps] [--seed N] [--commands N] [--only TEXT] [--stop-at-failure] [PARAMETER=VALUE...]
#
# --commands: of random traffic, for each coherency mode. Without the packages it says which and skips.
# The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

build=() options=() last=()
while [ $# != 0 ]; do
	case $1 in
	--install-deps | [A-Z]*=*) build+=("$1") ;;
	--stop-at-failure) last=("$1") ;;
	--seed | --commands | --only) options+=("$1" "${2?a value is missing after $1}"); shift ;;
	*) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
	esac
	shift
done

places=$(./build.sh --tests "${build[@]}")
status=$?
if [ $status = 4 ]; then
	echo "SKIPPED: the simulated board"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
fi
[ $status = 0 ] || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
{ read -r board; read -r tests; } <<<"$places"

log=$(mktemp) && trap 'rm -f "$log"' EXIT
"$tests/axi_test" | tee "$log"
"$tests/conformance" "$board/board" "${options[@]}" "${last[@]}" | tee -a "$log"
awk '/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3; s += $5; n++ } END { if (n != 2) f++; printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f != 0 }' "$log"
