#!/bin/bash
# Synthesizes the core with yosys for a 6-input-LUT device (UltraScale+ primitives) and prints one row of the table in docs/FPGA.md
# per configuration. No placement, no timing: for that, the vendor's tool.
#
#     area.sh [--generic] [DATA_BITS[:QUEUES[:EXECUTORS[:OPCODES]]] ...]     default 64; --generic: yosys `synth` only, as a check
#
# LUT: without those that are memory. RAM: distributed memory in LUTs, 8 for each RAM32M16 and RAM64M8. Inverters go into the LUTs
# and carries that they feed, so they are not counted.
set -u
cd "$(dirname "$0")" || exit 1
if ! command -v yosys >/dev/null; then
  echo "yosys is not here: apt-get install -y --no-install-recommends yosys"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi
flow="synth_xilinx -family xcup -top physring_core -flatten -noiopad -noclkbuf"
[ "${1:-}" = --generic ] && { flow="synth -top physring_core -flatten -run begin:fine"; shift; }
log=$(mktemp) && trap 'rm -f "$log" "$log.out"' EXIT
passed=0 failed=0
yosys -V
echo "| data bits | queues | executors | opcodes | LUT | RAM (LUT) | flip-flops | block RAM (36 Kb) | carry (4 bits) | seconds |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for configuration in "${@:-64}"; do
  IFS=: read -r bits queues executors opcodes <<<"$configuration"
  queues=${queues:-4} executors=${executors:-2} opcodes=${opcodes:-255} started=$SECONDS
  if timeout 3600 yosys -q -p "read_verilog -sv $(tr '\n' ' ' <files.f);
      chparam -set DATA_BITS $bits -set QUEUES $queues -set EXECUTORS $executors -set OPCODES $opcodes physring_core;
      hierarchy -check -top physring_core; $flow; check -assert; tee -o $log stat" >"$log.out" 2>&1; then
    passed=$((passed + 1))
    awk -v shape="$bits | $queues | $executors | $(printf '0x%02x' "$opcodes")" -v seconds=$((SECONDS - started)) '
      $1 ~ /^LUT[1-6]$/ { lut += $2 } $1 ~ /^RAM(32|64|128|256)/ { ram += ($1 ~ /M(8|16)$/ ? 8 : $1 ~ /M$/ ? 4 : 2) * $2 }
      $1 ~ /^FD/ { ff += $2 } $1 == "RAMB36E2" { bram += $2 } $1 == "RAMB18E2" { bram += $2 / 2 } $1 ~ /^CARRY/ { carry += $2 }
      END { printf "| %s | %d | %d | %d | %s | %d | %d |\n", shape, lut, ram, ff, bram + 0, carry, seconds }' "$log"
  else
    failed=$((failed + 1))
    tail -5 "$log.out"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
