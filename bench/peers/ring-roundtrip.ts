/** 64-byte round trips through two rings: the TypeScript side of c/roundtrip.c. Roles: ping, pong. */
import { Region } from "../../src/memory/region.ts";
import { Ring, type RingConsumer, type RingProducer } from "../../src/ring/ring.ts";
import { SpscConsumer, SpscProducer } from "../../src/ring/spsc.ts";
import { type Job, report, roundTripResult, thisJob, totalMessages } from "../job.ts";
import { addWords, expectedChecksum, payloadStart, payloads } from "../messages.ts";

const WORDS = 16;
/** Round trips between two returns to the event loop of the caller: short functions reach the optimising tiers sooner. */
const SLICE = 5000;

const reply = new Int32Array(WORDS);
let sum = 0;

function copyOut(ring: SpscProducer, source: Int32Array, s: number): void {
  const words = ring.words;
  const at = ring.at;
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
}

/** Copies the message out and gives the slot back. Unrolled like copyOut: a loop costs 6 ns more. */
function takeReply(ring: SpscConsumer): void {
  const words = ring.words;
  const target = reply;
  const at = ring.at;
  target[0] = words[at]!;
  target[1] = words[at + 1]!;
  target[2] = words[at + 2]!;
  target[3] = words[at + 3]!;
  target[4] = words[at + 4]!;
  target[5] = words[at + 5]!;
  target[6] = words[at + 6]!;
  target[7] = words[at + 7]!;
  target[8] = words[at + 8]!;
  target[9] = words[at + 9]!;
  target[10] = words[at + 10]!;
  target[11] = words[at + 11]!;
  target[12] = words[at + 12]!;
  target[13] = words[at + 13]!;
  target[14] = words[at + 14]!;
  target[15] = words[at + 15]!;
  ring.release(1);
}

/** Outside the timed path, as in c/roundtrip.c: the trip is copy, publish, see, copy; not arithmetic. */
function addReply(): void {
  sum = addWords(sum, reply, 0, WORDS);
}

function send(ring: SpscProducer, source: Int32Array, start: number): void {
  while (ring.reserve(1) === 0);
  copyOut(ring, source, start);
  ring.commit(1);
}

function pingSpin(
  tx: SpscProducer,
  rx: SpscConsumer,
  from: number,
  to: number,
  latencies: Float64Array,
): void {
  let before = Bun.nanoseconds();
  for (let i = from; i < to; i++) {
    const start = payloadStart(i);
    payloads[start] = i;
    send(tx, payloads, start);
    while (rx.peek(1) === 0);
    takeReply(rx);
    const after = Bun.nanoseconds();
    latencies[i] = after - before;
    addReply();
    before = Bun.nanoseconds();
  }
}

function pongSpin(tx: SpscProducer, rx: SpscConsumer, count: number): void {
  for (let i = 0; i < count; i++) {
    while (rx.peek(1) === 0);
    takeReply(rx);
    send(tx, reply, 0);
    addReply();
  }
}

function pingBlocking(
  tx: RingProducer,
  rx: RingConsumer,
  from: number,
  to: number,
  idleMs: number,
  latencies: Float64Array,
): void {
  let before = Bun.nanoseconds();
  for (let i = from; i < to; i++) {
    const start = payloadStart(i);
    payloads[start] = i;
    if (idleMs > 0) {
      Bun.sleepSync(idleMs);
      before = Bun.nanoseconds();
    }
    send(tx, payloads, start);
    while (rx.peek(1) === 0) rx.block();
    takeReply(rx);
    const after = Bun.nanoseconds();
    latencies[i] = after - before;
    addReply();
    before = Bun.nanoseconds();
  }
}

function pongBlocking(tx: RingProducer, rx: RingConsumer, count: number): void {
  for (let i = 0; i < count; i++) {
    while (rx.peek(1) === 0) rx.block();
    takeReply(rx);
    send(tx, reply, 0);
    addReply();
  }
}

async function pingAwait(
  tx: RingProducer,
  rx: RingConsumer,
  count: number,
  latencies: Float64Array,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const before = Bun.nanoseconds();
    const start = payloadStart(i);
    payloads[start] = i;
    send(tx, payloads, start);
    while (rx.peek(1) === 0) await rx.wait();
    takeReply(rx);
    latencies[i] = Bun.nanoseconds() - before;
    addReply();
  }
}

async function pongAwait(tx: RingProducer, rx: RingConsumer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    while (rx.peek(1) === 0) await rx.wait();
    takeReply(rx);
    send(tx, reply, 0);
    addReply();
  }
}

async function runPing(job: Job, there: Ring, back: Ring): Promise<void> {
  const total = totalMessages(job);
  const latencies = new Float64Array(total);
  if (job.waiting === "spin") {
    const tx = new SpscProducer(there.geometry);
    const rx = new SpscConsumer(back.geometry);
    for (let i = 0; i < total; i += SLICE) pingSpin(tx, rx, i, Math.min(total, i + SLICE), latencies);
  } else if (job.waiting === "spin-then-futex") {
    const tx = there.producer();
    const rx = back.consumer();
    for (let i = 0; i < total; i += SLICE)
      pingBlocking(tx, rx, i, Math.min(total, i + SLICE), job.idleMs, latencies);
  } else {
    await pingAwait(there.producer(), back.consumer(), total, latencies);
  }
  report(roundTripResult(job, latencies, sum, expectedChecksum(WORDS, total)));
}

async function runPong(job: Job, there: Ring, back: Ring): Promise<void> {
  const total = totalMessages(job);
  if (job.waiting === "spin") {
    const tx = new SpscProducer(back.geometry);
    const rx = new SpscConsumer(there.geometry);
    for (let i = 0; i < total; i += SLICE) pongSpin(tx, rx, Math.min(SLICE, total - i));
  } else if (job.waiting === "spin-then-futex") {
    const tx = back.producer();
    const rx = there.consumer();
    for (let i = 0; i < total; i += SLICE) pongBlocking(tx, rx, Math.min(SLICE, total - i));
  } else {
    await pongAwait(back.producer(), there.consumer(), total);
  }
  report({ checksum: sum >>> 0 });
}

const job = thisJob();
using region = Region.open(job.name);
const there = Ring.open(region, "there");
const back = Ring.open(region, "back");
await (job.role === "ping" ? runPing(job, there, back) : runPong(job, there, back));
