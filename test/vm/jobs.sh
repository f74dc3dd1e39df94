# Boots beside each other. A job counts for itself, prints when it is over, and its
# counts are added to passed, failed and skipped.

declare -A running=()

# start_job NAME COMMAND...: as soon as there is room
start_job() {
	local name=$1 output=$CACHE/job-$1
	shift
	while [ "${#running[@]}" -ge "$JOBS" ]; do
		await_job
	done
	rm -f "$output.counts"
	(
		trap - EXIT
		passed=0 failed=0 skipped=0
		"$@"
		echo "$passed $failed $skipped" >"$output.counts"
	) >"$output" 2>&1 &
	running[$!]=$name
}

# The next one that ends.
await_job() {
	local pid name counts
	wait -n -p pid "${!running[@]}" || true
	name=${running[$pid]}
	unset "running[$pid]"
	cat "$CACHE/job-$name"
	if read -r -a counts 2>/dev/null <"$CACHE/job-$name.counts"; then
		passed=$((passed + counts[0]))
		failed=$((failed + counts[1]))
		skipped=$((skipped + counts[2]))
	else
		echo "not ok $name: the run ended before it counted anything"
		failed=$((failed + 1))
	fi
}

# What still runs when everything is over.
end_jobs() {
	local pid
	for pid in "${!running[@]}"; do
		kill -- "$pid" 2>/dev/null || true
		# The guest is a child of timeout, which is a child of the job.
		pkill -P "$pid" 2>/dev/null || true
	done
}
