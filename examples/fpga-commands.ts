/**
 * Commands for hardware: copy a block, blur it, and take CRCs, by the device addresses of a region that both sides map.
 *
 *     bun examples/fpga-commands.ts                                 a simulated board (the RTL, clocked)
 *     bun examples/fpga-commands.ts --coherency none                on a machine whose device sees no caches: nothing else changes
 *     bun examples/fpga-commands.ts /dev/uio0 /dev/udmabuf0         a real one; where it is not coherent, its queues are in a second buffer:
 *     bun examples/fpga-commands.ts /dev/uio0 /dev/udmabuf0 /dev/udmabuf1
 */
import { Pool, Region } from "physring";
import { CommandQueue, Core, SimulatedBoard } from "physring/fpga";
import { fpgaArguments } from "./fpga-arguments.ts";

const WIDTH = 128;
const { coherency, places } = fpgaArguments("fpga-commands.ts [OPTIONS] [CORE REGION [QUEUE_MEMORY]]", 3);
const [corePath, device, queueMemory] = places;
const name = device ?? `fpga-commands-${process.pid}`;
using region = Region.create(name, device === undefined ? { size: "1MiB" } : {});
await using board = corePath === undefined ? await SimulatedBoard.start({ name, region, coherency }) : null;
using core = Core.open(corePath ?? board!.where, queueMemory === undefined ? {} : { queueMemory });
const pool = Pool.create(region, "images", { frameBytes: WIDTH * 64, blockCount: 8, metaBytes: 0 });
using queue = CommandQueue.create(core, region, "queue", { queue: 0, pool });

using image = queue.loan()!;
using copy = queue.loan()!;
using blurred = queue.loan()!;
for (let i = 0; i < image.lengthBytes; i++) image.bytes[i] = (i % WIDTH) ^ (i / WIDTH);

await queue.run({ opcode: "copy", source: image, destination: copy });
// One doorbell for both; they complete in any order.
const [crc, filter] = queue.submit([
  { opcode: "crc32", source: image },
  { opcode: "filter3x3", source: copy, destination: blurred, width: WIDTH },
]);
console.log(
  `crc of the image   ${(await crc!).result.toString(16)}, by software ${Bun.hash.crc32(image.bytes).toString(16)}`,
);
await filter;
// A scatter list: the first line of the image and the last line of the blurred one, as if they were one.
const ends = [
  { frame: image, lengthBytes: WIDTH },
  { frame: blurred, offsetBytes: WIDTH * 63, lengthBytes: WIDTH },
];
const both = Buffer.concat([image.bytes.subarray(0, WIDTH), blurred.bytes.subarray(WIDTH * 63)]);
const gathered = await queue.run({ opcode: "crc32", source: ends }, { timeoutMs: 10_000 });
console.log(
  `crc of two lines   ${gathered.result.toString(16)}, by software ${Bun.hash.crc32(both).toString(16)}`,
);
const refused = await queue
  .run({ opcode: "filter3x3", source: image, destination: blurred, width: 100 })
  .catch((error) => error);
console.log(refused.message);
if (board !== null) Region.destroy(name);
