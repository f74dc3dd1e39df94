/**
 * Hardware as a camera and as a display: the core's frame source fills empty blocks at a pace of its own, and its sink takes them again. A consumer that is
 * too slow meets the policy of the queue: here ticks without an empty block are lost and counted.
 *
 *     bun examples/fpga-stream.ts [--coherency none|io|full]
 */
import { Pool, Region } from "physring";
import {
  type Block,
  CommandQueue,
  Core,
  SimulatedBoard,
  SinkStream,
  SourceStream,
  sourceWord,
} from "physring/fpga";
import { fpgaArguments } from "./fpga-arguments.ts";

const { coherency } = fpgaArguments("fpga-stream.ts [OPTIONS]", 0);
const FRAMES = 30;
const SEED = 0x5eed;
const name = `fpga-stream-${process.pid}`;
using region = Region.create(name, { size: "1MiB" });
process.once("SIGINT", () => {
  Region.destroy(name);
  process.exit(130);
});
await using board = await SimulatedBoard.start({ name, region, coherency });
using core = Core.open(board.where);
const pool = Pool.create(region, "frames", { frameBytes: 4096, blockCount: 8, metaBytes: 0 });
using camera = CommandQueue.create(core, region, "camera", {
  queue: 0,
  pool,
  paceCycles: 3000,
  pacePolicy: "drop-newest",
});
using display = CommandQueue.create(core, region, "display", { queue: 1, pool });

const shown: string[] = [];
const sink = new SinkStream<Block>(display, { onTaken: (_, { result }) => shown.push(result.toString(16)) });
const source = new SourceStream<Block>(camera, { loan: () => camera.loan(), depth: 3, seed: SEED });
let received = 0;
let wrong = 0;
for await (const { frame, sequence } of source) {
  const words = new Int32Array(frame.bytes.buffer, frame.bytes.byteOffset, frame.lengthBytes / 4);
  if (words.some((word, j) => word !== sourceWord(SEED, sequence, j))) wrong++;
  // Now and then this consumer dawdles.
  if (received % 10 === 9) await Bun.sleep(50);
  await sink.write(frame);
  if (++received === FRAMES) break;
}
await sink.flush();
console.log(
  `${received} frames from the core, ${wrong} wrong, ${source.lost} lost to the pace; ${shown.length} taken by the sink`,
);
Region.destroy(name);
