# The library's tests, test/vm/guest/*.guest.ts and the conformance suite, udmabuf0 of 16 MiB and udmabuf1 of 1 MiB loaded; then those
# on u-dma-buf's interface and of physring kmod and doctor, which load and unload themselves.
. /guest/lib.sh

if ! [ -s /bun-name ]; then
	echo "skip library: the project has no Bun for this architecture (npm install)"
	exit 0
fi
load udmabuf0=16777216 udmabuf1=1048576 || not_ok "insmod" "failed"
run sh /guest/bun.sh /host/test/vm/guest/*.guest.ts
# Emulated arm64 starts Bun, and with it a peer to be killed, in four seconds: one topology of each kind.
case $(uname -m) in
aarch64) kinds='udmabuf.*(SPSC ring|many producers, many|channel of frames[^,]|records, reliable[^,]|service)' ;;
*) kinds=udmabuf ;;
esac
run sh /guest/bun.sh /host/test/conformance/conformance.test.ts -t "$kinds"
# Values, width and refused alignments of registers, by the machine code of this architecture.
run sh /guest/bun.sh /host/test/unit/fpga-registers.test.ts
unload
run sh /guest/bun.sh /host/test/vm/guest/alone/upstream.guest.ts
run sh /guest/bun.sh /host/test/vm/guest/alone/kmod.guest.ts
scenario_end
