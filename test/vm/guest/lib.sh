# Functions of the scenarios. Every check prints "ok NAME" or "not ok NAME: why".
CLASS=/sys/class/u-dma-buf
failures=0
FUZZ_SECONDS=60
CYCLES=100
# What a kernel may keep for itself between two looks at its free memory.
SLACK_KIB=0
DEBUGFS=/sys/kernel/debug

ok() {
	echo "ok $1"
}

not_ok() {
	echo "not ok $1: $2"
	failures=$((failures + 1))
}

# equal NAME SEEN EXPECTED
equal() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "'$2', expected '$3'"; fi
}

# succeeds NAME COMMAND...: the command succeeds
succeeds() {
	name=$1
	shift
	if message=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$message"; fi
}

fails() {
	name=$1
	shift
	if message=$("$@" 2>&1); then not_ok "$name" "it succeeded"; else ok "$name"; fi
}

# A guest program prints its checks itself, unless it is killed.
run() {
	status=0
	"$@" || status=$?
	if [ $status -gt 128 ]; then not_ok "$*" "killed by signal $((status - 128))"; fi
	if [ $status -gt 0 ]; then failures=$((failures + 1)); fi
}

# The programs have the standard names of the attributes in them.
attribute() {
	cat "$CLASS/$1/$2"
}

load() {
	insmod /modules/u-dma-buf.ko "$@"
}

unload() {
	rmmod u_dma_buf
}

# log_since MARK: what the kernel said since mark
mark() {
	echo "mark-$1" >/dev/kmsg
}

log_since() {
	dmesg | sed -n "/mark-$1/,\$p"
}

# refused NAME WORDS PARAMETERS...: insmod fails, leaves nothing and says why
refused() {
	name=$1
	words=$2
	shift 2
	mark "$name"
	if load "$@" 2>/dev/null; then
		not_ok "$name" "insmod succeeded"
		unload
		return
	fi
	ok "$name: insmod fails"
	if log_since "$name" | grep -q "$words"; then
		ok "$name: the log has the reason and the remedy"
	else
		not_ok "$name: the log has the reason and the remedy" "$(log_since "$name")"
	fi
	equal "$name: no device is left" "$(ls /dev/udmabuf[0-9]* 2>/dev/null)" ""
}

# Free memory, with the pages that the processors keep at hand.
free_kib() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^ +pages free / { n += $3 } /^ +count: / { n += $2 } END { print n * 4 }' /proc/zoneinfo
}

# not_lost NAME BEFORE KIB: free memory is what it was, less than KIB less
not_lost() {
	lost=$(($2 - $(free_kib)))
	if [ $lost -lt $(($3 + SLACK_KIB)) ]; then ok "$1"; else not_ok "$1" "$lost KiB"; fi
}

# The holder of a file and a mapping (hold.c), fed line by line.
holder_start() {
	rm -f /tmp/hold.in /tmp/hold.out
	mkfifo /tmp/hold.in /tmp/hold.out
	hold </tmp/hold.in >/tmp/hold.out &
	holder=$!
	exec 3>/tmp/hold.in 4</tmp/hold.out
}

hold_step() {
	echo "$*" >&3
	while read -r line <&4; do
		[ "$line" = done ] && return
		echo "$line"
	done
	not_ok "hold $*" "the holder ended"
}

holder_end() {
	exec 3>&-
	wait "$holder"
	exec 4<&-
}

# Bun comes over 9p, once; its caches and temporary files stay in the guest.
mount_bun() {
	[ -e /bun/"$(cat /bun-name)" ] ||
		mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 bun /bun || exit 1
	export HOME=/tmp TMPDIR=/tmp
}

bun() {
	/bun/"$(cat /bun-name)" "$@"
}

# cases NAME...: one after the other, with the seconds that each took
cases() {
	for name_of_case in "$@"; do
		begin=$(cut -d. -f1 /proc/uptime)
		$name_of_case
		echo "# $name_of_case: $(($(cut -d. -f1 /proc/uptime) - begin)) s"
	done
}

scenario_end() {
	[ "$failures" = 0 ]
	exit
}
