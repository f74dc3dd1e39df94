/** Reads the frames of examples/producer.ts where they are. Any number of consumers may run; each sees every frame. */
import { Channel, monotonicNs, Region } from "physring";

using region = Region.open("camera", { waitMs: 60_000 });
using consumer = Channel.open(region, "frames", { waitMs: 1000 }).consumer();

for await (using frame of consumer) {
  const latencyUs = (monotonicNs() - frame.timestampNs) / 1000;
  const crc = Bun.hash.crc32(frame.bytes);
  console.log(
    `frame ${frame.sequence}: ${frame.lengthBytes} bytes, crc ${crc.toString(16)}, ${latencyUs.toFixed(0)} µs`,
    frame.metadata,
  );
}
console.log("the camera has ended the stream");
