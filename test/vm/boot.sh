# Boots one scenario and judges it by what the guest says on its serial line.

# Any of these in the log fails the scenario.
COMPLAINTS='BUG:|WARNING:|KASAN|Oops|general protection|Kernel panic|suspicious|inconsistent lock|possible .* deadlock|Call Trace|kmemleak: [1-9]|ODEBUG|rcu.*stall|blocked for more than'

DEBUG_APPEND="panic_on_warn=0 loglevel=5 debug_pagealloc=on log_buf_len=16M"

# Kernel arguments and devices beyond the ordinary.  scenario_arguments SCENARIO TARGET
scenario_arguments() {
	APPEND=
	DEVICES=(-device edu,dma_mask=0xffffffffffffffff)
	CPU=max
	TREE=
	SCRIPT=$1
	# Only against a guest that hangs: a busy machine takes several times what a free one does.
	LIMIT_SECONDS=600
	MEMORY=1024
	MACHINE=q35,kernel-irqchip=off
	SIMULATED_BOARD=false
	TRACED_REGION=
	case $1 in
	# What is zero is so because the module cleared it.
	main) APPEND="init_on_alloc=0" ;;
	iommu | upstream)
		# Of a machine that has it as a device of its own.
		if [[ $2 == x86_64-* ]]; then
			APPEND="intel_iommu=on"
			DEVICES=(-device intel-iommu "${DEVICES[@]}")
		fi
		;;
	fpga)
		SIMULATED_BOARD=true
		TRACED_REGION=edu-mmio
		;;
	swiotlb) APPEND="swiotlb=force" ;;
	# The kernel at a random place may halve what is free: two buffers of gibibytes need it where
	# it always is, or CMA (docs/KERNEL.md).
	large) MEMORY=10240 APPEND=nokaslr ;;
	# Refused requests are many, and each is told.
	fuzz) APPEND=log_buf_len=16M ;;
	# Everything that is wrong is to be seen, not only the first.
	debug-*)
		APPEND="$DEBUG_APPEND"
		MEMORY=2048
		LIMIT_SECONDS=3600
		SCRIPT=${1%-cma}
		[ "$SCRIPT" = "$1" ] || APPEND+=" cma=64M"
		;;
	# The core of small boards, without the atomic instructions of later ones.
	devicetree) CPU=cortex-a53 TREE=$VM_DIR/guest/devicetree.dts ;;
	devicetree-max) SCRIPT=devicetree TREE=$VM_DIR/guest/devicetree.dts ;;
	board) CPU=cortex-a53 ;;
	esac
}

# The kernel is told to stop at the first fault; its console is the serial line.
qemu_command() {
	local common=(-smp 2 -m "$MEMORY" -nodefaults -no-user-config -display none -no-reboot
		-serial stdio -kernel "$KERNEL_IMAGE" -initrd "$BUILD/initrd"
		-virtfs "local,path=$PROJECT,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
		"${DEVICES[@]}")
	local append="quiet loglevel=2 panic=-1 oops=panic panic_on_warn=1 scenario=$SCRIPT $APPEND"
	if [ -n "$BUN" ]; then
		common+=(-virtfs "local,path=$(dirname "$BUN"),mount_tag=bun,security_model=none,readonly=on")
	fi
	case $2 in
	x86_64-*)
		# A busy machine lets a guest wait, which a kernel that times its timer takes for a fault.
		QEMU=(qemu-system-x86_64 -machine "$MACHINE" -cpu max
			-device "isa-debug-exit,iobase=0xf4,iosize=0x04"
			-append "console=ttyS0 no_timer_check $append" "${common[@]}")
		;;
	arm64-*)
		# Pointer authentication as QEMU emulates it takes most of the time.
		[ $CPU = max ] && CPU=max,pauth-impdef=on
		QEMU=(qemu-system-aarch64 -machine virt -cpu $CPU
			-append "console=ttyAMA0 $append" "${common[@]}")
		[ -n "$TREE" ] && add_to_tree "$BUILD/tree-$1"
		;;
	esac
	QEMU+=(-accel "tcg,thread=multi")
}

# The machine's own device tree and ours on top of it.  add_to_tree NAME
add_to_tree() {
	local machine=("${QEMU[@]}")
	machine[2]=virt,dumpdtb=$1.machine.dtb
	"${machine[@]}" >/dev/null 2>&1
	dtc -q -I dts -O dtb -o "$1.dtbo" "$TREE"
	fdtoverlay -i "$1.machine.dtb" -o "$1.dtb" "$1.dtbo"
	QEMU+=(-dtb "$1.dtb")
}

# boot_scenario TARGET SCENARIO
boot_scenario() {
	local target=$1 scenario=$2 started=$SECONDS log status=0 good bad skips
	log=$CACHE/log-$target-$scenario
	if $SIMULATED_BOARD && ! board_start "$target-$scenario"; then
		return 0
	fi
	qemu_command "$scenario" "$target"
	if [ -n "$TRACED_REGION" ]; then trace_start "$log"; fi
	timeout -k 5 "$LIMIT_SECONDS" "${QEMU[@]}" </dev/null 2>&1 | stdbuf -oL tr -d '\r' >"$log" || status=$?
	if $verbose; then cat "$log"; fi

	good=$(grep -c '^ok ' "$log" || true)
	bad=$(grep -c '^not ok ' "$log" || true)
	grep -h '^not ok ' "$log" | sed "s|^not ok |not ok $target/$scenario: |" || true
	grep -h '^matrix |' "$log" | sed 's/^matrix //' || true
	if grep -n -E "$COMPLAINTS" "$log" | head -5 | grep .; then
		echo "not ok $target/$scenario: the kernel complained, see $log"
		bad=$((bad + 1))
	fi
	if ! grep -q '^GUEST-EXIT rc=0$' "$log"; then
		echo "not ok $target/$scenario: the guest did not say that all is well (QEMU status $status), see $log"
		bad=$((bad + 1))
	elif [[ $target == x86_64-* && $status != 1 ]]; then
		echo "not ok $target/$scenario: QEMU status $status, expected 1"
		bad=$((bad + 1))
	elif [ "$good" = 0 ] && ! grep -q "^skip " "$log"; then
		echo "not ok $target/$scenario: no test ran"
		bad=$((bad + 1))
	fi
	if [ -n "$TRACED_REGION" ]; then trace_end "$target/$scenario" "$log"; fi
	# A log that has lost its beginning may have lost a complaint.
	if [[ $(grep -a -m 1 '^kernel: ' "$log") != 'kernel: [    0.0'* ]]; then
		echo "not ok $target/$scenario: the kernel's log does not go back to its start, see $log"
		bad=$((bad + 1))
	fi
	if $SIMULATED_BOARD; then board_end "$target/$scenario"; fi
	skips=$(grep -c '^skip ' "$log" || true)
	grep -h '^skip ' "$log" | sed "s|^skip |SKIPPED $target/$scenario: |" || true
	echo "# $target/$scenario: $good passed, $bad failed, $skips skipped in $((SECONDS - started)) s"
	passed=$((passed + good))
	failed=$((failed + bad))
	skipped=$((skipped + skips))
}
