/**
 * Frames out of shared memory again, as Y4M for ffmpeg and its friends. With examples/producer.ts in another terminal:
 *
 *     bun examples/ffmpeg-out.ts | ffplay -
 *     bun examples/ffmpeg-out.ts | ffmpeg -i - camera.mp4
 */
import { once } from "node:events";
import { Channel, Region } from "physring";

interface Picture {
  readonly width: number;
  readonly height: number;
  readonly framesPerSecond: number;
}

// The player was closed.
process.stdout.on("error", () => process.exit(0));

using region = Region.open("camera", { waitMs: 60_000 });
using consumer = Channel.open(region, "frames", { waitMs: 1000 }).consumer();
let begun = false;
for await (using frame of consumer) {
  const { width, height, framesPerSecond } = frame.metadata as Picture;
  if (!begun) process.stdout.write(`YUV4MPEG2 W${width} H${height} F${framesPerSecond}:1 Ip A1:1 C420jpeg\n`);
  begun = true;
  process.stdout.write("FRAME\n");
  // The pipe may keep what it is given until later, and the block is somebody else's then: this copy leaves shared memory.
  if (!process.stdout.write(frame.bytes.slice())) await once(process.stdout, "drain");
}
