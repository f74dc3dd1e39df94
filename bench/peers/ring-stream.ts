/** One-way stream through physring's ring: the TypeScript side of c/oneway.c. Roles: producer, consumer. */
import { Region } from "../../src/memory/region.ts";
import { Ring } from "../../src/ring/ring.ts";
import { SpscConsumer, SpscProducer } from "../../src/ring/spsc.ts";
import { type Job, report, thisJob, totalMessages } from "../job.ts";
import {
  addWord,
  DESCRIPTOR_WORDS,
  expectedChecksum,
  payloadStart,
  payloads,
  payloadViews,
} from "../messages.ts";

const INLINE_WORDS = 16;

function produceDescriptors(ring: SpscProducer, burst: number, from: number, count: number): void {
  const words = ring.words;
  const end = (from + count) | 0;
  let sequence = from;
  while (sequence !== end) {
    const left = (end - sequence) | 0;
    const n = ring.reserve(left < burst ? left : burst);
    for (let i = 0, at = ring.at; i < n; i++, at = (at + DESCRIPTOR_WORDS) | 0) {
      words[at] = sequence;
      words[at + 1] = sequence ^ 0x5a5a5a5a;
      words[at + 2] = sequence + 7;
      words[at + 3] = ~sequence;
      sequence = (sequence + 1) | 0;
    }
    if (n > 0) ring.commit(n);
  }
}

/** 64 bytes: an unrolled copy is 4 x faster than `set` at this size. */
function produceLines(ring: SpscProducer, burst: number, from: number, count: number): void {
  const words = ring.words;
  const source = payloads;
  const end = (from + count) | 0;
  let sequence = from;
  while (sequence !== end) {
    const left = (end - sequence) | 0;
    const n = ring.reserve(left < burst ? left : burst);
    for (let i = 0, at = ring.at; i < n; i++, at = (at + INLINE_WORDS) | 0) {
      const s = payloadStart(sequence);
      source[s] = sequence;
      words[at] = source[s]!;
      words[at + 1] = source[s + 1]!;
      words[at + 2] = source[s + 2]!;
      words[at + 3] = source[s + 3]!;
      words[at + 4] = source[s + 4]!;
      words[at + 5] = source[s + 5]!;
      words[at + 6] = source[s + 6]!;
      words[at + 7] = source[s + 7]!;
      words[at + 8] = source[s + 8]!;
      words[at + 9] = source[s + 9]!;
      words[at + 10] = source[s + 10]!;
      words[at + 11] = source[s + 11]!;
      words[at + 12] = source[s + 12]!;
      words[at + 13] = source[s + 13]!;
      words[at + 14] = source[s + 14]!;
      words[at + 15] = source[s + 15]!;
      sequence = (sequence + 1) | 0;
    }
    if (n > 0) ring.commit(n);
  }
}

function blockProducer(messageWords: number): typeof produceLines {
  const views = payloadViews(messageWords);
  const kinds = views.length - 1;
  return (ring, burst, from, count) => {
    const words = ring.words;
    const end = (from + count) | 0;
    let sequence = from;
    while (sequence !== end) {
      const left = (end - sequence) | 0;
      const n = ring.reserve(left < burst ? left : burst);
      for (let i = 0, at = ring.at; i < n; i++, at = (at + messageWords) | 0) {
        const payload = views[sequence & kinds]!;
        payload[0] = sequence;
        words.set(payload, at);
        sequence = (sequence + 1) | 0;
      }
      if (n > 0) ring.commit(n);
    }
  };
}

function consume(ring: SpscConsumer, burst: number, sum: number, count: number): number {
  const words = ring.words;
  const slotWords = ring.slotWords;
  let result = sum;
  let left = count;
  while (left > 0) {
    const n = ring.peek(left < burst ? left : burst);
    const end = (ring.at + n * slotWords) | 0;
    for (let at = ring.at; at < end; at++) result = addWord(result, words[at]!);
    if (n > 0) ring.release(n);
    left = (left - n) | 0;
  }
  return result;
}

function runProducer(job: Job, ring: SpscProducer): void {
  const legs = job.warm + job.legs;
  const block = blockProducer(job.words);
  const produce =
    job.words === DESCRIPTOR_WORDS ? produceDescriptors : job.words === INLINE_WORDS ? produceLines : block;
  for (let i = 0; i < legs; i++) produce(ring, job.burst, i * job.leg, job.leg);
  report({ checksum: expectedChecksum(job.words, totalMessages(job)) });
}

function runConsumer(job: Job, ring: SpscConsumer): void {
  let sum = 0;
  for (let i = 0; i < job.warm; i++) sum = consume(ring, job.burst, sum, job.leg);
  const start = Bun.nanoseconds();
  for (let i = 0; i < job.legs; i++) sum = consume(ring, job.burst, sum, job.leg);
  report({ messages: job.leg * job.legs, ns: Bun.nanoseconds() - start, checksum: sum >>> 0 });
}

const job = thisJob();
using region = Region.open(job.name);
const ring = Ring.open(region, "there");
// "spin" is the bare algorithm, as in C; otherwise the named ring, whose commit and release also look for sleepers.
const bare = job.waiting === "spin";
if (job.role === "producer") runProducer(job, bare ? new SpscProducer(ring.geometry) : ring.producer());
else runConsumer(job, bare ? new SpscConsumer(ring.geometry) : ring.consumer());
