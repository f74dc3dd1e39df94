/** The npm package ringbuf.js between the main thread and a Worker of one process, both spinning. Drives both ends. */
import { parentPort } from "node:worker_threads";
import { type Job, type PeerResult, report, roundTripResult, thisJob, totalMessages } from "../job.ts";
import {
  addWords,
  expectedChecksum,
  payloadStart,
  payloads,
  payloadViews,
  writeMessage,
} from "../messages.ts";
import { isMainThread, startWorker, type WorkerStart, workerStart } from "./worker-thread.ts";

interface RingBuffer {
  push(elements: Int32Array, length: number, offset?: number): number;
  pop(elements: Int32Array, length: number, offset?: number): number;
  available_write(): number;
  available_read(): number;
}
interface RingBufferClass {
  new (memory: SharedArrayBuffer, type: Int32ArrayConstructor): RingBuffer;
  getStorageForCapacity(capacity: number, type: Int32ArrayConstructor): SharedArrayBuffer;
}

const packageName = "ringbuf.js";
const { RingBuffer } = (await import(packageName)) as { RingBuffer: RingBufferClass };

function pushAll(ring: RingBuffer, elements: Int32Array, count: number): void {
  while (ring.available_write() < count) Atomics.pause();
  ring.push(elements, count);
}

function popAll(ring: RingBuffer, elements: Int32Array, count: number): void {
  while (ring.available_read() < count) Atomics.pause();
  ring.pop(elements, count);
}

function produceSingle(ring: RingBuffer, job: Job, views: readonly Int32Array[], from: number): void {
  for (let sequence = from; sequence < from + job.leg; sequence++) {
    const message = views[sequence & (views.length - 1)]!;
    if (job.words === 4) writeMessage(message, 0, job.words, sequence);
    else message[0] = sequence;
    pushAll(ring, message, job.words);
  }
}

function produceBursts(
  ring: RingBuffer,
  job: Job,
  staging: Int32Array,
  views: readonly Int32Array[],
  from: number,
): void {
  for (let sequence = from; sequence < from + job.leg; sequence += job.burst) {
    for (let i = 0; i < job.burst; i++) {
      if (job.words === 4) {
        writeMessage(staging, i * 4, 4, sequence + i);
      } else {
        const message = views[(sequence + i) & (views.length - 1)]!;
        message[0] = sequence + i;
        staging.set(message, i * job.words);
      }
    }
    pushAll(ring, staging, job.burst * job.words);
  }
}

function consumeLeg(ring: RingBuffer, job: Job, staging: Int32Array, sum: number): number {
  let result = sum;
  let left = job.leg * job.words;
  while (left > 0) {
    const ready = ring.available_read();
    const whole = Math.min(ready - (ready % job.words), staging.length, left);
    if (whole === 0) {
      Atomics.pause();
      continue;
    }
    const n = ring.pop(staging, whole);
    result = addWords(result, staging, 0, n);
    left -= n;
  }
  return result;
}

function consumeStream(job: Job, ring: RingBuffer): PeerResult {
  const staging = new Int32Array(job.burst * job.words);
  let sum = 0;
  for (let i = 0; i < job.warm; i++) sum = consumeLeg(ring, job, staging, sum);
  const start = Bun.nanoseconds();
  for (let i = 0; i < job.legs; i++) sum = consumeLeg(ring, job, staging, sum);
  return { messages: job.leg * job.legs, ns: Bun.nanoseconds() - start, checksum: sum >>> 0 };
}

function produceStream(job: Job, ring: RingBuffer): void {
  const views = job.words === 4 ? [new Int32Array(4)] : payloadViews(job.words);
  const staging = new Int32Array(job.burst * job.words);
  for (let leg = 0; leg < job.warm + job.legs; leg++) {
    if (job.burst === 1) produceSingle(ring, job, views, leg * job.leg);
    else produceBursts(ring, job, staging, views, leg * job.leg);
  }
}

function pong(job: Job, there: RingBuffer, back: RingBuffer): PeerResult {
  const message = new Int32Array(job.words);
  let sum = 0;
  for (let i = 0; i < totalMessages(job); i++) {
    popAll(there, message, job.words);
    sum = addWords(sum, message, 0, job.words);
    pushAll(back, message, job.words);
  }
  return { checksum: sum >>> 0 };
}

function ping(job: Job, there: RingBuffer, back: RingBuffer): PeerResult {
  const views = payloadViews(job.words);
  const reply = new Int32Array(job.words);
  const total = totalMessages(job);
  const latencies = new Float64Array(total);
  let sum = 0;
  let before = Bun.nanoseconds();
  for (let i = 0; i < total; i++) {
    const start = payloadStart(i);
    payloads[start] = i;
    pushAll(there, views[i & (views.length - 1)]!, job.words);
    popAll(back, reply, job.words);
    sum = addWords(sum, reply, 0, job.words);
    const after = Bun.nanoseconds();
    latencies[i] = after - before;
    before = after;
  }
  return roundTripResult(job, latencies, sum, expectedChecksum(job.words, total));
}

function ringsOver(memory: NonNullable<WorkerStart["memory"]>): { there: RingBuffer; back: RingBuffer } {
  return { there: new RingBuffer(memory.there, Int32Array), back: new RingBuffer(memory.back, Int32Array) };
}

if (isMainThread) {
  const job = thisJob();
  const storage = (): SharedArrayBuffer =>
    RingBuffer.getStorageForCapacity(job.capacity * job.words, Int32Array);
  const memory = { there: storage(), back: storage() };
  const worker = await startWorker(import.meta.path, { job, memory });
  const finished = new Promise<PeerResult>((resolve) => worker.once("message", resolve));
  worker.postMessage("go");
  const { there, back } = ringsOver(memory);
  if (job.kind === "stream") {
    produceStream(job, there);
    report({ ...(await finished), expected: expectedChecksum(job.words, totalMessages(job)) });
  } else {
    const result = ping(job, there, back);
    await finished;
    report(result);
  }
  await worker.terminate();
} else {
  const { job, memory } = workerStart();
  const { there, back } = ringsOver(memory!);
  parentPort!.postMessage("ready");
  parentPort!.once("message", () => {
    parentPort!.postMessage(job.kind === "stream" ? consumeStream(job, there) : pong(job, there, back));
  });
}
