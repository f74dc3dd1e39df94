# The simulated board (fpga/sim) beside a guest: it maps the guest's memory, and is a PCI device of it.

# board_start NAME: builds and starts it, and adds what the guest needs to MACHINE and DEVICES. False: it cannot be built here.
board_start() {
	local place status=0 options=()
	if $install_deps; then options+=(--install-deps); fi
	place=$("$PROJECT/fpga/sim/build.sh" "${options[@]}") || status=$?
	if [ $status = 4 ]; then
		echo "SKIPPED $1: the simulated board cannot be built"
		skipped=$((skipped + 1))
		return 1
	elif [ $status != 0 ]; then
		echo "not ok $1: fpga/sim/build.sh failed"
		failed=$((failed + 1))
		return 1
	fi
	# The guest's memory is a file in memory. Each scenario is a shell of its own (jobs.sh).
	board_scratch=$(mktemp -d /dev/shm/physring-vm.XXXXXX)
	trap 'rm -rf "$board_scratch"' EXIT
	truncate -s "${MEMORY}M" "$board_scratch/ram"
	"$place/board" "vm-$$-$BASHPID" --memory "$board_scratch/ram:payload@0" --ivshmem "$board_scratch/pci" --with-parent >"$board_scratch/report" 2>&1 &
	board_pid=$!
	for _ in $(seq 100); do
		[ -S "$board_scratch/pci" ] && break
		sleep 0.1
	done
	MACHINE+=,memory-backend=ram
	DEVICES+=(-object "memory-backend-file,id=ram,size=${MEMORY}M,mem-path=$board_scratch/ram,share=on"
		-chardev "socket,path=$board_scratch/pci,id=board" -device ivshmem-doorbell,chardev=board,vectors=4)
}

# board_end NAME: stops it; its own counts are checks.
board_end() {
	local status=0
	kill "$board_pid"
	wait "$board_pid" || status=$?
	if [ $status = 0 ] && grep -q '^  violations  *0$' "$board_scratch/report"; then
		echo "# $1: $(awk '/^  (completionWrites|transactionsPerCommand|interruptsSent|clocks) / { printf "%s %s, ", $1, $2 }' "$board_scratch/report")no violation of AXI"
		good=$((good + 1))
	else
		cat "$board_scratch/report"
		echo "not ok $1: the board ended with status $status"
		bad=$((bad + 1))
	fi
	rm -rf "$board_scratch"
}
