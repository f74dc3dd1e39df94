# A board without the atomic instructions of later cores: a C program sends frames in the DMA buffer to a
# TypeScript consumer.
. /guest/lib.sh

if ! [ -s /bun-name ]; then
	echo "skip board: the project has no Bun for this architecture (npm install)"
	exit 0
fi
equal "a core without LSE atomics" "$(grep -c '^Features.* atomics' /proc/cpuinfo)" 0
load udmabuf0=1048576 || not_ok "insmod" "failed"
mount_bun
cd /host || exit 1
"/bun/$(cat /bun-name)" examples/board-consumer.ts /dev/udmabuf0 100 >/tmp/consumer 2>&1 &
consumer=$!
until [ -e /dev/shm/physring.board ] || ! kill -0 $consumer 2>/dev/null; do usleep 100000; done
# For the table in docs/KERNEL.md.
echo "# the waiting consumer: $(grep -e VmHWM -e RssAnon -e RssFile /proc/$consumer/status | xargs)"
equal "the producer" "$(board-producer board /dev/udmabuf0 100 2>&1)" "board-producer: 100 frames sent"
wait $consumer
equal "the consumer's status" $? 0
equal "what the consumer saw" "$(cat /tmp/consumer)" "100 frames, 6553600 bytes from /dev/udmabuf0, 0 wrong"
equal "nothing is left" "$(ls /dev/shm)" ""

# A producer that cannot do its work says why.
fails "no such device" board-producer board /dev/udmabuf7 1
unload
scenario_end
