#!/bin/bash
# Breaks the core in one place at a time and demands that the bench notices: a check that cannot fail is none.
#
#     mutations.sh [NAME ...]       about 20 s of processor time for each
set -u
cd "$(dirname "$0")/.." || exit 1
out=$(mktemp -d) && trap 'rm -rf "$out"' EXIT
passed=0 failed=0

# mutate NAME FILE OLD NEW: OLD is a fixed string that occurs in FILE.
mutate() {
  [ ${#selected[@]} -eq 0 ] || [[ " ${selected[*]} " == *" $1 "* ]] || return 0
  rm -rf "$out/fpga" && mkdir -p "$out/fpga/vectors" "$out/include"
  cp -r . "$out/fpga/rtl" && cp ../vectors/commands.hex "$out/fpga/vectors/" && cp ../../include/*.h "$out/include/"
  if ! python3 - "$out/fpga/rtl/$2" "$3" "$4" <<'PY'
import sys
path, old, new = sys.argv[1:]
text = open(path).read()
if old not in text: sys.exit(1)
open(path, "w").write(text.replace(old, new, 1))
PY
  then
    echo "STALE   $1: $2 has no such text any more"
    failed=$((failed + 1))
    return
  fi
  if ! MUTATED=1 "$out/fpga/rtl/test/build.sh" 64 0 "$out/build" >"$out/log" 2>&1; then
    echo "STALE   $1: does not build: $(grep -m1 -E 'rror' "$out/log")"
    failed=$((failed + 1))
  else
    # The first failure ends it.
    timeout 120 "$out/build/bench" 1 "$out/fpga/vectors/commands.hex" | grep -m1 -E 'FAILED|violation' >"$out/log"
    local status=${PIPESTATUS[0]}
    if [ "$status" = 0 ]; then
      echo "MISSED  $1"
      failed=$((failed + 1))
    else
      echo "noticed $1: $(grep . "$out/log" || echo "the bench ended with $status")"
      passed=$((passed + 1))
    fi
  fi
  rm -rf "$out/build"
}
selected=("$@")

mutate idle-early pr_queue.sv "if (active == 0 && !started && !fetching)" "if (!started && !fetching)"
mutate fetch-not-awaited pr_queue.sv "if (active == 0 && !started && !fetching)" "if (active == 0 && !started && (1'b1 || !fetching))"
mutate completion-after-stop pr_complete.sv "if (!running && !second) begin" "if (1'b0 && !running) begin"
mutate drain-forgets-writes pr_writer.sv "assign quiet = sending == 0 && unanswered == 0;" "assign quiet = sending == 0;"
mutate drain-forgets-reads pr_reader.sv "assign quiet = on_the_way == 0;" "assign quiet = 1'b1;"
mutate page-crossed pr_burst.sv "if (beats_to_page < 13'(BURST_BEATS)) beats = beats_to_page[8:0];" ""
mutate tail-not-strobed pr_writer.sv "beats_left == 33'd1 && tail != 0" "1'b0"
mutate fifo-overrun pr_reader.sv "assign arvalid = burst_valid && fits && !drain;" "assign arvalid = burst_valid && !drain;"
mutate epoch-ignored pr_queue.sv "validity = {of_epoch, 7'd0, (i & slots) == 0};" "validity = {24'd1, 7'd0, (i & slots) == 0};"
mutate phase-ignored pr_fetch.sv "line_next[32*pr::W_VALIDITY+:32] == validity[queue*32+:32]" "line_next[32*pr::W_VALIDITY+8+:24] == validity[queue*32+8+:24]"
mutate read-error-ignored pr_reader.sv "if (rvalid && rresp[1] && !error)" "if (1'b0 && rvalid && !error)"
mutate write-error-ignored pr_writer.sv "if (bvalid && bresp[1] && !error)" "if (1'b0 && bvalid && !error)"
mutate wrap-past-2-64 pr_check.sv "{1'b0, address} + 65'(bytes) > {1'b0, limit}" "address + 64'(bytes) > limit"
mutate list-window pr_list.sv "segment_address < window_base || " ""
mutate no-room-check pr_queue.sv "assign ready = running && buffered != 0 && next_start - cq_head < capacity;" "assign ready = running && buffered != 0;"
mutate no-new-edge pr_interrupt.sv "line <= wanted && !head_moved;" "line <= wanted;"
mutate lost-tick pr_pace.sv "waiting_sequence <= ticks;" "waiting_sequence <= waiting_sequence + 1'b1;"
mutate crc-tail pr_engine_crc32.sv "if (in_bytes == 7'(BYTES)) crc <= after_beat;" "if (in_bytes != 0) crc <= after_beat;"
mutate filter-edge pr_engine_filter.sv "assign c = extra_pass ? b : in_data;" "assign c = extra_pass ? '0 : in_data;"
mutate address-not-held pr_axi_read.sv "end else if (free) begin" "end else begin"
mutate reset-forgotten-writer pr_writer.sv "      unanswered <= '0;
" ""
mutate reset-forgotten-fetch pr_fetch.sv "      state <= PICK;
      queue <= '0;" "      queue <= '0;"
mutate reset-forgotten-queue pr_queue.sv "      active <= '0;
" ""
mutate reset-forgotten-word pr_host_words.sv "if (!rst_n) words <= '0;" "if (!rst_n) words[19*32-1:0] <= '0;"
mutate wrong-queue-config physring_core.sv "{pr::CFG_BITS{owner == QUEUE_BITS'(i)}}" "{pr::CFG_BITS{i == 0}}"
mutate id-mixed-up pr_axi_read.sv "m_rid == ID_BITS'(i);" "(m_rid | 4'd1) == (ID_BITS'(i) | 4'd1);"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
