#!/bin/bash
# Breaks the core, one line at a time, and wants to see the conformance tests fail: a test of the tests, for hand, about a minute for each.
#
#   fpga/sim/test/mutants.sh [NUMBER...]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../../.." && pwd)

# FILE | what is there | what is put there | what it means
mutants=(
