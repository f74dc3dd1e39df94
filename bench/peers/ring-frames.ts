/** Frames filled and read in place: the TypeScript side of c/frames.c. A ring of descriptors, as many blocks as it has slots. */
import { regionOffset } from "../../src/memory/brands.ts";
import { Region } from "../../src/memory/region.ts";
import { DescriptorLayout } from "../../src/ring/layout.ts";
import { Ring } from "../../src/ring/ring.ts";
import { SpscConsumer, SpscProducer } from "../../src/ring/spsc.ts";
import { type Job, report, thisJob, totalMessages } from "../job.ts";
import { expectedFrameChecksum, fillFrame, scanFrame } from "../messages.ts";
import { BLOCKS_OFFSET } from "../shared-region.ts";

interface Block {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
}

function blocksOf(region: Region, job: Job): Block[] {
  const frameBytes = job.words * 4;
  return Array.from({ length: job.capacity }, (_, index) => {
    const offset = regionOffset(BLOCKS_OFFSET + index * frameBytes);
    return { bytes: region.view(offset, frameBytes), words: region.words(offset, job.words) };
  });
}

function produce(ring: SpscProducer, blocks: readonly Block[], job: Job, from: number): void {
  const frameBytes = job.words * 4;
  for (let sequence = from; sequence < from + job.leg; sequence++) {
    while (ring.reserve(1) === 0);
    const block = sequence % job.capacity;
    fillFrame(blocks[block]!.bytes, sequence);
    ring.write(0, BLOCKS_OFFSET + block * frameBytes, 0, frameBytes, sequence);
    ring.commit(1);
  }
}

function consume(ring: SpscConsumer, blocks: readonly Block[], job: Job, sum: number): number {
  const frameBytes = job.words * 4;
  let result = sum;
  for (let i = 0; i < job.leg; i++) {
    while (ring.peek(1) === 0);
    const offset = ring.words[ring.at + DescriptorLayout.offsetLowWord]!;
    const sequence = ring.words[ring.at + DescriptorLayout.tagWord]!;
    const block = blocks[(offset - BLOCKS_OFFSET) / frameBytes]!;
    result = scanFrame(result, block.bytes, block.words, sequence);
    ring.release(1);
  }
  return result;
}

const job = thisJob();
using region = Region.open(job.name);
const { geometry } = Ring.open(region, "there");
const blocks = blocksOf(region, job);
if (job.role === "producer") {
  const ring = new SpscProducer(geometry);
  for (let i = 0; i < job.warm + job.legs; i++) produce(ring, blocks, job, i * job.leg);
  report({ checksum: expectedFrameChecksum(job.words * 4, totalMessages(job)) });
} else {
  const ring = new SpscConsumer(geometry);
  let sum = 0;
  for (let i = 0; i < job.warm; i++) sum = consume(ring, blocks, job, sum);
  const start = Bun.nanoseconds();
  for (let i = 0; i < job.legs; i++) sum = consume(ring, blocks, job, sum);
  report({ messages: job.leg * job.legs, ns: Bun.nanoseconds() - start, checksum: sum >>> 0 });
}
