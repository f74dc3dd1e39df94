#!/bin/bash
# Verilates the core at one bus width, with the bench: build.sh DATA_BITS SPLIT OUTPUT_DIRECTORY
# Verilator knows no X: what no reset sets begins as a random number instead, another one for each seed (host.h).
set -eu
cd "$(dirname "$0")/.."
bits=$1 split=$2 out=$3
verilator --cc --exe --x-assign unique --x-initial unique -Wall ${MUTATED:+-Wno-fatal} --top physring_core -GDATA_BITS="$bits" -GSPLIT_COMPLETION="$split" --Mdir "$out" --prefix Vphysring_core \
  -CFLAGS "-std=c++17 -O1 -DDATA_BITS=$bits -DSPLIT=$split" $(cat files.f) "$PWD/test/tests.cpp" -o bench
make -s -C "$out" -f Vphysring_core.mk OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1
