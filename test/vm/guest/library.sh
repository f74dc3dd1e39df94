# The library's own tests on the real device, with Bun from the host's project:
# every test/vm/guest/*.guest.ts, udmabuf0 of 16 MiB and udmabuf1 of 1 MiB loaded.
. /guest/lib.sh

set -- /host/test/vm/guest/*.guest.ts
if ! [ -s /bun-name ]; then
	echo "skip library: the project has no Bun (npm install)"
	exit 0
fi
load udmabuf0=16777216 udmabuf1=1048576 || not_ok "insmod" "failed"
run sh /guest/bun.sh "$@"
unload
scenario_end
