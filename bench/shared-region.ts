/** The region that two TypeScript peers share: rings "there" and "back", and blocks for frames behind them. */
import { Messages } from "../src/channel/messages.ts";
import { Records } from "../src/channel/records.ts";
import { Region } from "../src/memory/region.ts";
import { Queue } from "../src/ring/queue.ts";
import { Ring } from "../src/ring/ring.ts";
import type { Job } from "./job.ts";
import { READING_SHAPE } from "./objects.ts";

/** Where the blocks of the frame benchmark start; the rings stay below. */
export const BLOCKS_OFFSET = 16 * 1024 * 1024;
const FRAME_SLOT_BYTES = 16;

export function createSharedRegion(job: Job): Region {
  const frames = job.kind === "frames";
  const blockBytes = frames ? job.capacity * job.words * 4 : 0;
  const region = Region.create(job.name, { size: BLOCKS_OFFSET + blockBytes });
  if (job.readers !== undefined) {
    // As many bytes as the slots of a ring: a record of 64 bytes takes 72.
    const capacityBytes = 2 ** Math.ceil(Math.log2(job.capacity * job.words * 4));
    Records.create(region, "records", { capacityBytes, maxConsumers: job.readers });
    return region;
  }
  if (job.kind === "objects")
    Messages.create(region, "objects", { capacityBytes: 2 ** 20, shapes: [READING_SHAPE] });
  if (job.kind === "objects") return region;
  if (job.queue !== undefined) {
    const { producers, structure } = job.queue;
    const consumers = structure === "shared" ? "many" : "one";
    Queue.create(region, "queue", { slotBytes: job.words * 4, capacity: job.capacity, producers, consumers });
  }
  const shape = { slotBytes: frames ? FRAME_SLOT_BYTES : job.words * 4, capacity: job.capacity };
  Ring.create(region, "there", shape);
  if (job.kind === "roundtrip") Ring.create(region, "back", shape);
  return region;
}
