# bun.sh FILE...: run tests of the library with Bun, the project mounted at /host.
. /guest/lib.sh
mount_bun
cd /host || exit 1
bun test --timeout 120000 "$@" >/tmp/bun.log 2>&1
rc=$?
sed 's/^/bun: /' /tmp/bun.log
# Bun's own count, as lines that run.sh adds up.
passed=$(sed -n 's/^ *\([0-9]*\) pass$/\1/p' /tmp/bun.log)
failed=$(sed -n 's/^ *\([0-9]*\) fail$/\1/p' /tmp/bun.log)
i=0
while [ $i -lt "${passed:-0}" ]; do i=$((i + 1)); echo "ok bun test $i"; done
if [ $rc != 0 ]; then echo "not ok bun test: ${failed:-no count}, status $rc"; exit 1; fi
if [ "${passed:-0}" = 0 ]; then echo "not ok bun test: no test ran"; exit 1; fi
