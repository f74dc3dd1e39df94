# Accesses to a device as QEMU sees them. The guest says how often it called the register accessor, and for what:
#
#     register calls: read|write 0xOFFSET size 4 times N
#
# That must be all that reached the device: none missing, none more, none elsewhere, none of another size.
# (Where the device allows 4 and 8 bytes only, as edu does, narrower ones do not reach it and do not show.)

# trace_start LOG: has QEMU trace what reaches the memory region TRACED_REGION.
trace_start() {
	rm -f "$1.trace"
	mkfifo "$1.trace"
	# QEMU traces all regions or none:
	#   memory_region_ops_read cpu 0 mr 0x55... addr 0xfea00010 value 0xffffffff size 4 name 'edu-mmio'
	# A BAR is aligned to its length: of the address the last five digits, 1 MiB, are the offset in edu's.
	awk -v name="'$TRACED_REGION'" '$NF == name { count[substr($1, 19) " " substr($7, length($7) - 4) " " $11]++ }
		END {
			for (access in count) {
				split(access, part)
				sub(/^0+/, "", part[2])
				if (part[2] == "")
					part[2] = 0
				print part[1], "0x" part[2], "size", part[3], "times", count[access]
			}
		}' <"$1.trace" >"$1.accesses" &
	trace_pid=$!
	QEMU+=(-trace "enable=memory_region_ops_*,file=$1.trace")
}

# trace_end NAME LOG: compares, when QEMU has ended.
trace_end() {
	local calls accesses
	# A QEMU that never opened it would leave its reader waiting.
	: <>"$2.trace"
	wait "$trace_pid" || true
	rm "$2.trace"
	calls=$(sed -n 's/^.*register calls: //p' "$2" | sort)
	accesses=$(sort "$2.accesses")
	if [ -n "$calls" ] && [ "$calls" = "$accesses" ]; then
		echo "# $1: $(awk '{ n += $NF } END { print n }' "$2.accesses") accesses to $TRACED_REGION, each of them one call of the register accessor"
		good=$((good + 1))
	else
		diff <(echo "$calls") <(echo "$accesses") || true
		echo "not ok $1: calls of the register accessor (<) are not the accesses to $TRACED_REGION (>)"
		bad=$((bad + 1))
	fi
}
