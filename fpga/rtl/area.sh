#!/bin/bash
# Synthesizes the core with yosys for a 6-input-LUT device (UltraScale+ primitives) and prints one row of the table in docs/FPGA.md
# per configuration. No placement, no timing: for that, the vendor's tool.
#
#     area.sh [--generic] [DATA_BITS[:EXECUTORS[:OPCODES]] ...]     default 64 128 256 512; --generic: yosys `synth` only, as a check
set -u
cd "$(dirname "$0")" || exit 1
if ! command -v yosys >/dev/null; then
  echo "yosys is not here: apt-get install -y --no-install-recommends yosys"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
fi
flow="synth_xilinx -family xcup -top physring_core -flatten -noiopad -noclkbuf"
[ "${1:-}" = --generic ] && { flow="synth -top physring_core -flatten -run begin:fine"; shift; }
log=$(mktemp) && trap 'rm -f "$log"' EXIT
passed=0 failed=0
echo "| data bits | executors | opcodes | LUT | of them RAM | flip-flops | block RAM (36 Kb) | carry | cells in all | seconds |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for configuration in "${@:-64}"; do
  IFS=: read -r bits executors opcodes <<<"$configuration"
  executors=${executors:-2} opcodes=${opcodes:-255} started=$SECONDS
  if timeout 3600 yosys -q -p "read_verilog -sv $(tr '\n' ' ' <files.f); chparam -set DATA_BITS $bits -set EXECUTORS $executors -set OPCODES $opcodes physring_core;
      hierarchy -check -top physring_core; $flow; check -assert; tee -o $log stat" >"$log.out" 2>&1; then
    passed=$((passed + 1))
    awk -v bits="$bits" -v e="$executors" -v o="$opcodes" -v s=$((SECONDS - started)) '
      $1 ~ /^LUT[1-6]$/ { lut += $2 } $1 ~ /^RAM(32|64|128|256)/ { n = $1 ~ /M16|M$/ ? 8 : $1 ~ /X1D/ ? 2 : 4; ram += n * $2 }
      $1 ~ /^FD/ { ff += $2 } $1 == "RAMB36E2" { bram += $2 } $1 == "RAMB18E2" { bram += $2 / 2 } $1 ~ /^CARRY/ { carry += $2 }
      /Number of cells:/ { cells = $4 }
      END { printf "| %d | %d | 0x%02x | %d | %d | %d | %s | %d | %d | %d |\n", bits, e, o, lut + ram, ram, ff, bram + 0, carry, cells, s }' "$log"
  else
    failed=$((failed + 1))
    tail -5 "$log.out"
  fi
  rm -f "$log.out"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
