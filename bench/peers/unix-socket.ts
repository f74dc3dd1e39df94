/** Bun's unix stream socket between two processes. Roles: producer or ping (listens, drives), consumer or pong (connects). */
import type { Socket } from "bun";
import { type Job, type PeerResult, report, roundTripResult, thisJob, totalMessages } from "../job.ts";
import {
  addWords,
  expectedChecksum,
  expectedFrameChecksum,
  fillFrame,
  scanFrame,
  writeMessage,
} from "../messages.ts";

/** Cuts a byte stream into messages of one size. The message handed out is valid during the callback. */
class Reassembler {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #onMessage: (words: Int32Array, bytes: Uint8Array) => void;
  #filled = 0;

  constructor(words: number, onMessage: (words: Int32Array, bytes: Uint8Array) => void) {
    this.#words = new Int32Array(words);
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#onMessage = onMessage;
  }

  add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const n = Math.min(chunk.length - at, this.#bytes.length - this.#filled);
      this.#bytes.set(n === chunk.length ? chunk : chunk.subarray(at, at + n), this.#filled);
      at += n;
      this.#filled += n;
      if (this.#filled === this.#bytes.length) {
        this.#filled = 0;
        this.#onMessage(this.#words, this.#bytes);
      }
    }
  }
}

/** Same for small messages, many to a chunk: one copy for the whole chunk, then all its words at once. */
class WordStream {
  readonly #words = new Int32Array(1 << 18);
  readonly #bytes = new Uint8Array(this.#words.buffer);
  readonly #onWords: (words: Int32Array, count: number) => void;
  #rest = 0;

  constructor(onWords: (words: Int32Array, count: number) => void) {
    this.#onWords = onWords;
  }

  add(chunk: Uint8Array): void {
    this.#bytes.set(chunk, this.#rest);
    const size = this.#rest + chunk.length;
    const words = size >>> 2;
    this.#onWords(this.#words, words);
    this.#rest = size & 3;
    this.#bytes.copyWithin(0, words * 4, size);
  }
}

function produce(job: Job, socket: Socket): { drain(): void } {
  const total = totalMessages(job);
  const words = new Int32Array(job.words * job.burst);
  const bytes = new Uint8Array(words.buffer);
  let sent = 0;
  let pending = 0;
  const pump = (): void => {
    for (;;) {
      if (pending > 0) {
        pending -= socket.write(bytes, bytes.length - pending, pending);
        if (pending > 0) return;
      }
      if (sent === total) return;
      if (job.kind === "frames") fillFrame(bytes, sent);
      else for (let i = 0; i < job.burst; i++) writeMessage(words, i * job.words, job.words, sent + i);
      sent += job.burst;
      pending = bytes.length;
    }
  };
  pump();
  return { drain: pump };
}

async function runProducer(job: Job): Promise<void> {
  let drain = (): void => undefined;
  const closed = new Promise<void>((resolve, reject) => {
    Bun.listen({
      unix: job.name,
      socket: {
        open: (socket) => {
          drain = produce(job, socket).drain;
        },
        drain: () => drain(),
        data: () => undefined,
        close: () => resolve(),
        error: (_, error) => reject(error),
      },
    });
  });
  await closed;
  const total = totalMessages(job);
  report({
    checksum:
      job.kind === "frames"
        ? expectedFrameChecksum(job.words * 4, total)
        : expectedChecksum(job.words, total),
  });
  process.exit(0);
}

function consumer(job: Job, done: (result: PeerResult) => void): { add(chunk: Uint8Array): void } {
  const totalWords = totalMessages(job) * job.words;
  const warmWords = job.leg * job.warm * job.words;
  let sum = 0;
  let received = 0;
  let start = 0;
  let startWords = 0;
  const count = (words: number): void => {
    received += words;
    if (start === 0 && received >= warmWords) {
      start = Bun.nanoseconds();
      startWords = received;
    }
    if (received < totalWords) return;
    done({
      messages: (received - startWords) / job.words,
      ns: Bun.nanoseconds() - start,
      checksum: sum >>> 0,
    });
  };
  if (job.kind === "frames") {
    return new Reassembler(job.words, (words, bytes) => {
      sum = scanFrame(sum, bytes, words, received / job.words);
      count(words.length);
    });
  }
  return new WordStream((words, n) => {
    sum = addWords(sum, words, 0, n);
    count(n);
  });
}

/** Connects as soon as the other end listens. */
async function connect(name: string, data: (socket: Socket, chunk: Uint8Array) => void): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await Bun.connect({ unix: name, socket: { data, error: () => undefined } });
    } catch (error) {
      if (attempt > 1000) throw error;
      await Bun.sleep(5);
    }
  }
}

async function runConsumer(job: Job): Promise<void> {
  const result = await new Promise<PeerResult>((resolve, reject) => {
    const input = consumer(job, resolve);
    connect(job.name, (_, chunk) => input.add(chunk)).catch(reject);
  });
  report(result);
  process.exit(0);
}

async function runPing(job: Job): Promise<void> {
  const total = totalMessages(job);
  const latencies = new Float64Array(total);
  const message = new Int32Array(job.words);
  const bytes = new Uint8Array(message.buffer);
  const result = await new Promise<PeerResult>((resolve) => {
    let sum = 0;
    let count = 0;
    let before = 0;
    let socket: Socket | null = null;
    const next = (): void => {
      writeMessage(message, 0, job.words, count);
      before = Bun.nanoseconds();
      socket!.write(bytes);
    };
    const input = new Reassembler(job.words, (words) => {
      sum = addWords(sum, words, 0, job.words);
      latencies[count] = Bun.nanoseconds() - before;
      count++;
      if (count < total) next();
      else resolve(roundTripResult(job, latencies, sum, expectedChecksum(job.words, total)));
    });
    Bun.listen({
      unix: job.name,
      socket: {
        open: (opened) => {
          socket = opened;
          next();
        },
        data: (_, chunk) => input.add(chunk),
      },
    });
  });
  report(result);
  process.exit(0);
}

async function runPong(job: Job): Promise<void> {
  let left = totalMessages(job);
  let sum = 0;
  await new Promise<void>((resolve, reject) => {
    let socket: Socket | null = null;
    const input = new Reassembler(job.words, (words, bytes) => {
      sum = addWords(sum, words, 0, job.words);
      socket!.write(bytes);
      if (--left === 0) resolve();
    });
    connect(job.name, (from, chunk) => {
      socket = from;
      input.add(chunk);
    }).catch(reject);
  });
  report({ checksum: sum >>> 0 });
  process.exit(0);
}

const job = thisJob();
if (job.role === "producer") await runProducer(job);
else if (job.role === "consumer") await runConsumer(job);
else if (job.role === "ping") await runPing(job);
else await runPong(job);
