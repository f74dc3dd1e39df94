/**
 * A camera: 30 frames a second into shared memory, for whoever listens. In another terminal: bun examples/consumer.ts
 *
 *     bun examples/producer.ts           until Ctrl-C
 *     bun examples/producer.ts 100       100 frames
 */
import { Channel, Region } from "physring";

const [width, height, framesPerSecond] = [640, 360, 30];
let left = Number(process.argv[2] ?? Number.POSITIVE_INFINITY);
process.on("SIGINT", () => {
  left = 0;
});

using region = Region.create("camera", { size: "8MiB" });
const channel = Channel.create(region, "frames", { frameBytes: width * height * 1.5, policy: "drop-oldest" });
using producer = channel.producer();
console.log("camera: sending");

for (; left > 0; left--) {
  using frame = producer.loan();
  if (frame !== null) {
    // YUV 4:2:0, straight into shared memory: moving grey bars.
    const top = producer.sequence * 2;
    for (let y = 0; y < height; y++) frame.bytes.fill((y + top) & 0xff, y * width, (y + 1) * width);
    frame.bytes.fill(0x80, width * height);
    frame.metadata = { width, height, framesPerSecond };
    producer.send(frame);
  }
  await Bun.sleep(1000 / framesPerSecond);
}
console.log("camera: sent", producer.counters);
producer.close();
Region.destroy("camera");
