/**
 * Reads the frames of examples/board-producer.c where they are: in the DMA buffer. Start it first: it makes the region.
 *
 *     bun examples/board-consumer.ts [DEVICE [COUNT]]       default /dev/udmabuf0 1000
 */
import { Region, Ring, regionOffset } from "physring";

const [device = "/dev/udmabuf0", countText = "1000"] = process.argv.slice(2);
const count = Number(countText);
const PATIENCE_MS = 60_000;

// Indices and wait words in ordinary shared memory; the payload stays in the device's buffer, which no header occupies.
async function receive(): Promise<string> {
  using control = Region.create("board", { size: "256KiB" });
  using buffer = Region.open(device, { raw: true });
  using rx = Ring.create(control, "frames", { slotBytes: 16, capacity: 8 }).consumer();
  let wrong = 0;
  let payloadBytes = 0;
  for (let received = 0; received < count; received++) {
    while (rx.peek(1) === 0) {
      if (!(await rx.wait({ timeoutMs: PATIENCE_MS })))
        throw new Error(`no frame for ${PATIENCE_MS} ms: is board-producer running?`);
    }
    // Four words a descriptor: offset (two words), length, CRC-32 of the frame.
    const [low, high, lengthBytes, crc] = rx.words.subarray(rx.at, rx.at + 4);
    const offset = (low! >>> 0) + (high! >>> 0) * 2 ** 32;
    // view() refuses what is outside the buffer: the producer is not trusted with our memory.
    const frame = buffer.view(regionOffset(offset), lengthBytes! >>> 0);
    if (Bun.hash.crc32(frame) !== crc! >>> 0) wrong++;
    payloadBytes += frame.byteLength;
    rx.release(1);
  }
  return `${count} frames, ${payloadBytes} bytes from ${device}, ${wrong} wrong`;
}

try {
  console.log(await receive());
} finally {
  Region.destroy("board");
}
