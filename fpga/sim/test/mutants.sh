#!/bin/bash
# Breaks the core, one line at a time, and wants to see the conformance tests fail: a test of the tests, by hand (about a minute for each).
#
#   fpga/sim/test/mutants.sh [NUMBER...]
#
# The last line is "N passed, N failed, 0 skipped": passed is noticed.
set -uo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)

# File, sed script, what it means.
mutants=(
	"pr_burst.sv|s/if (beats_to_page < 13/if (1'b0 \\&\\& beats_to_page < 13/|bursts cross 4 KiB"
	"pr_writer.sv|s/assign wstrb = (beats_left/assign wstrb = (1'b0 \\&\\& beats_left/|the tail is written as a whole beat"
	"pr_writer.sv|s/if (bvalid && bresp.1./if (1'b0/|refused writes go unnoticed"
	"pr_reader.sv|s/if (rvalid && rresp.1./if (1'b0/|refused reads go unnoticed"
	"pr_reader.sv|s/<= DEPTH;/<= 2 * DEPTH;/|more is read than there is room for"
	"pr_exec.sv|s/read_quiet && write_quiet;/read_quiet;/|a stop does not wait for writes under way"
	"pr_exec.sv|s/(&list_quiet) && read_quiet/(\\&list_quiet)/|a stop does not wait for reads under way"
	"pr_queue.sv|s/if (active == 0 && !started/if (!started/|idle while commands run"
	"pr_queue.sv|s/if (lines_to_end < lines)/if (1'b0)/|descriptors are fetched over the end of the ring"
	"pr_fetch.sv|s/line_next.32.pr::W_VALIDITY+:32. == validity.queue.32+:32./1'b1/|the validity word is not looked at"
	"pr_complete.sv|s/finish_refused <= refused/finish_refused <= 1'b0/|a refused completion does not halt"
	"pr_interrupt.sv|s/line <= wanted && !head_moved/line <= wanted/|no new edge after an acknowledgement"
	"pr_check.sv|s/outside = address < base/outside = 1'b0/|no lower end of the window"
	"pr_axi_read.sv|s/end else if (free) begin/end else begin/|requests change before they are taken"
)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
noticed=0 missed=0
[ $# = 0 ] && set -- $(seq ${#mutants[@]})
for number; do
	IFS='|' read -r file script meaning <<<"${mutants[number - 1]}"
	rm -rf "$work/project"
	mkdir "$work/project"
	cp -r "$project/include" "$project/fpga" "$work/project/"
	sed -i "$script" "$work/project/fpga/rtl/$file"
	if cmp -s "$project/fpga/rtl/$file" "$work/project/fpga/rtl/$file"; then
		echo "BROKEN  $number: $script changes nothing in $file"
		missed=$((missed + 1))
	elif "$work/project/fpga/sim/test.sh" --commands 300 --stop-at-failure >"$work/log" 2>&1; then
		echo "MISSED  $number: $meaning"
		missed=$((missed + 1))
	elif grep -q '^FAILED' "$work/log"; then
		echo "noticed $number: $meaning: $(grep -A1 '^FAILED' "$work/log" | tail -1 | sed 's/^ *//')"
		noticed=$((noticed + 1))
	else
		tail -3 "$work/log"
		echo "BROKEN  $number: $meaning"
		missed=$((missed + 1))
	fi
done
echo "$noticed passed, $missed failed, 0 skipped"
[ $missed = 0 ]
