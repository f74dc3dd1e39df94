/** Descriptors through a work queue: the TypeScript side of c/queue.c. Roles: producer-N, consumer-0. With `structure` ring: the SPSC ring beside it. */

import { Region } from "../../src/memory/region.ts";
import { Queue } from "../../src/ring/queue.ts";
import type { QueueConsumer } from "../../src/ring/queue-consumer.ts";
import type { QueueProducer } from "../../src/ring/queue-producer.ts";
import type { QueueTaker } from "../../src/ring/queue-taker.ts";
import { Ring, type RingConsumer, type RingProducer } from "../../src/ring/ring.ts";
import { type Job, report, thisJob, totalMessages } from "../job.ts";
import { addWord, DESCRIPTOR_WORDS } from "../messages.ts";

const PRODUCER_SHIFT = 28;

function produce(
  tx: QueueProducer | RingProducer,
  burst: number,
  from: number,
  count: number,
  sleeps: boolean,
): void {
  const words = tx.words;
  const end = (from + count) | 0;
  let sequence = from | 0;
  while (sequence !== end) {
    const left = (end - sequence) | 0;
    const n = tx.reserve(left < burst ? left : burst);
    for (let i = 0, at = tx.at; i < n; i++, at = (at + DESCRIPTOR_WORDS) | 0) {
      words[at] = sequence;
      words[at + 1] = sequence ^ 0x5a5a5a5a;
      words[at + 2] = sequence + 7;
      words[at + 3] = ~sequence;
      sequence = (sequence + 1) | 0;
    }
    if (n > 0) tx.commit(n);
    else if (sleeps) tx.block();
  }
}

function addDescriptors(sums: Int32Array, words: Int32Array, from: number, count: number): void {
  for (let i = 0, at = from | 0; i < count; i++, at = (at + DESCRIPTOR_WORDS) | 0) {
    const first = words[at]!;
    const producer = first >>> PRODUCER_SHIFT;
    const sum = addWord(addWord(sums[producer]!, first), words[at + 1]!);
    sums[producer] = addWord(addWord(sum, words[at + 2]!), words[at + 3]!);
  }
}

function consumeInPlace(
  rx: QueueConsumer | RingConsumer,
  burst: number,
  count: number,
  sums: Int32Array,
  sleeps: boolean,
): void {
  for (let left = count; left > 0; ) {
    const n = rx.peek(left < burst ? left : burst);
    if (n > 0) {
      addDescriptors(sums, rx.words, rx.at, n);
      rx.release(n);
      left = (left - n) | 0;
    } else if (sleeps) rx.block();
  }
}

function consumeCopies(
  rx: QueueTaker,
  burst: number,
  count: number,
  sums: Int32Array,
  sleeps: boolean,
): void {
  for (let left = count; left > 0; ) {
    const n = rx.take(left < burst ? left : burst);
    if (n > 0) {
      addDescriptors(sums, rx.words, 0, n);
      left = (left - n) | 0;
    } else if (sleeps) rx.block();
  }
}

/** Rotates the sums of all producers into one. */
function totalSum(sums: Int32Array, producers: number): number {
  let total = 0;
  for (let producer = 0; producer < producers; producer++) total = addWord(total, sums[producer]!);
  return total >>> 0;
}

function expectedSum(producers: number, each: number): number {
  const sums = new Int32Array(16);
  const slot = new Int32Array(DESCRIPTOR_WORDS);
  for (let producer = 0; producer < producers; producer++) {
    for (let i = 0; i < each; i++) {
      const sequence = ((producer << PRODUCER_SHIFT) + i) | 0;
      slot[0] = sequence;
      slot[1] = sequence ^ 0x5a5a5a5a;
      slot[2] = sequence + 7;
      slot[3] = ~sequence;
      addDescriptors(sums, slot, 0, 1);
    }
  }
  return totalSum(sums, producers);
}

function runProducer(job: Job, region: Region, producer: number): void {
  const { producers, structure } = job.queue!;
  const each = totalMessages(job) / producers;
  const sleeps = job.waiting !== "spin";
  const tx =
    structure === "ring" ? Ring.open(region, "there").producer() : Queue.open(region, "queue").producer();
  // In legs, so that the function is compiled before the timed ones.
  const legs = job.warm + job.legs;
  const leg = each / legs;
  for (let i = 0; i < legs; i++) produce(tx, job.burst, (producer << PRODUCER_SHIFT) + i * leg, leg, sleeps);
  report({ checksum: expectedSum(producers, each) });
}

function runConsumer(job: Job, region: Region): void {
  const { producers, structure } = job.queue!;
  const sums = new Int32Array(16);
  const sleeps = job.waiting !== "spin";
  let leg: () => void;
  if (structure === "shared") {
    const rx = Queue.open(region, "queue").taker({ burst: job.burst });
    leg = () => consumeCopies(rx, job.burst, job.leg, sums, sleeps);
  } else {
    const rx =
      structure === "ring" ? Ring.open(region, "there").consumer() : Queue.open(region, "queue").consumer();
    leg = () => consumeInPlace(rx, job.burst, job.leg, sums, sleeps);
  }
  for (let i = 0; i < job.warm; i++) leg();
  const start = Bun.nanoseconds();
  for (let i = 0; i < job.legs; i++) leg();
  report({
    messages: job.leg * job.legs,
    ns: Bun.nanoseconds() - start,
    checksum: totalSum(sums, producers),
  });
}

const job = thisJob();
using region = Region.open(job.name);
const [role, index] = job.role.split("-");
if (role === "producer") runProducer(job, region, Number(index));
else runConsumer(job, region);
