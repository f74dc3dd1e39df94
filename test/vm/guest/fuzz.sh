# Random calls from several threads while the device comes and goes.
. /guest/lib.sh

before=$(free_kib)
for mode in 5 4 2; do
	load udmabuf0=1048576 quirk_mmap_mode=$mode info_enable=0 || not_ok "insmod" "failed"
	run fuzz $((FUZZ_SECONDS / 3)) "$(($(date +%s) + mode))"
	succeeds "rmmod after mode $mode" unload
done
lost=$((before - $(free_kib)))
if [ $lost -lt 20480 ]; then ok "nothing is lost"; else not_ok "nothing is lost" "$lost KiB"; fi
scenario_end
