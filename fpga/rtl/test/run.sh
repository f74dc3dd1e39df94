#!/bin/bash
# Checks of the core: lint, Icarus, the bench under Verilator, the shared vectors.
#
#     run.sh [--install-deps] [--seed N] [--widths "64 128 256 512"] [--no-icarus]
#
# Each step prints what it counted; the last line adds up. About 80 s of processor time per width, most of it the compiler's.
set -u
here=$(cd "$(dirname "$0")" && pwd)
rtl=$here/.. vectors=$here/../../vectors/commands.hex
seed=1 widths="64 128 256 512" icarus=1 install=0
while [ $# -gt 0 ]; do
  case $1 in
    --install-deps) install=1 ;;
    --seed) seed=$2; shift ;;
    --widths) widths=$2; shift ;;
    --no-icarus) icarus=0 ;;
    *) sed -n '2,6p' "$0" | sed 's/^# \?//'; exit 2 ;;
  esac
  shift
done

packages="verilator iverilog g++ make"
missing=
command -v verilator >/dev/null || missing=verilator
command -v g++ >/dev/null && command -v make >/dev/null || missing="$missing g++"
command -v iverilog >/dev/null || { [ "$icarus" = 1 ] && missing="$missing iverilog"; }
if [ -n "$missing" ]; then
  if [ "$install" = 1 ]; then
    apt-get -o DPkg::Lock::Timeout=600 update -qq && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends $packages
  else
    echo "not here: $missing. Install it: apt-get install -y --no-install-recommends $packages (or --install-deps)"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
  fi
fi

out=$(mktemp -d) && trap 'rm -rf "$out"' EXIT
passed=0 failed=0
cd "$rtl" || exit 1
sources=$(cat files.f)

# note NAME STATUS FILE: adds the last "N passed, N failed" of FILE, or 1 by the exit status.
note() {
  local counts p f
  counts=$(grep -Eo '[0-9]+ passed, [0-9]+ failed' "$3" | tail -1)
  read -r p f < <(echo "${counts:-$([ "$2" = 0 ] && echo 1 passed, 0 failed || echo 0 passed, 1 failed)}" | awk '{print $1, $3}')
  [ "$2" != 0 ] && [ "$f" = 0 ] && f=1
  passed=$((passed + p)) failed=$((failed + f))
  [ "$f" = 0 ] || tail -40 "$3"
  echo "--- $1: $p passed, $f failed"
}

for width in $widths; do
  verilator --lint-only -Wall --top physring_core -GDATA_BITS="$width" $sources >"$out/log" 2>&1
  note "lint, $width bits" $? "$out/log"
done

for odd in "-GOPCODES=7" "-GQUEUES=1 -GEXECUTORS=1" "-GQUEUES=15 -GEXECUTORS=4" "-GQUEUES=5 -GEXECUTORS=3 -GBURST_BEATS=32 -GREAD_BURSTS=8"; do
  verilator --lint-only -Wall --top physring_core $odd $sources >"$out/log" 2>&1
  note "lint, ${odd//-G/}" $? "$out/log"
done

if [ "$icarus" = 1 ]; then
  # Icarus 11.0 wakes always_comb blocks for nothing until it stands still (steveicarus/iverilog issue 508): it gets @* instead.
  mkdir "$out/icarus" && for file in $sources; do sed 's/always_comb/always @*/' "$file" >"$out/icarus/$file"; done
  for width in $widths; do
    iverilog -g2012 -Itest -P "tb.DATA_BITS=$width" -o "$out/tb.vvp" -s tb $(printf "$out/icarus/%s " $sources) test/axi_memory.sv test/tb.sv >"$out/log" 2>&1
    note "Icarus compiles, $width bits" $? "$out/log"
    timeout 300 vvp -N "$out/tb.vvp" "+seed=$seed" "+vectors=$vectors" >"$out/log" 2>&1
    note "Icarus, $width bits" $? "$out/log"
    grep '^[0-9]* handshakes' "$out/log"
  done
fi

g++ -std=c++11 -x c++ -Wall -Wextra -fsyntax-only ../../include/physring_fpga.h >"$out/log" 2>&1
note "C header in C++" $? "$out/log"
gcc -std=c11 -Wall -Wextra -Werror -o "$out/check" ../vectors/check.c >"$out/log" 2>&1 && "$out/check" "$vectors" >"$out/log" 2>&1
note "C header against the vectors" $? "$out/log"

for variant in $(for w in $widths; do echo "$w:0"; done) "${widths%% *}:1"; do
  width=${variant%:*} split=${variant#*:}
  place=$out/$width-$split # no colon: make takes it for a rule
  test/build.sh "$width" "$split" "$place" >"$out/log" 2>&1 && "$place/bench" "$seed" "$vectors" >"$out/log" 2>&1
  status=$?
  note "bench, $width bits$([ "$split" = 1 ] && echo ", split completion")" "$status" "$out/log"
  grep -E '^(batch|[0-9]+ bus checks|DATA_BITS)' "$out/log"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
