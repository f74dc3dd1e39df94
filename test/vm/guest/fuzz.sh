# Random calls.
. /guest/cases.sh

fuzzed
scenario_end
