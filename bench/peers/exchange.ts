/**
 * Both ends of any transport that delivers whole messages through callbacks (IPC, postMessage). A stream is throttled by
 * credits: such transports queue without limit, and a benchmark of an ever-growing queue measures the garbage collector.
 */
import { type Job, type PeerResult, roundTripResult, totalMessages } from "../job.ts";
import {
  addWords,
  expectedChecksum,
  expectedFrameChecksum,
  fillFrame,
  scanFrame,
  writeMessage,
} from "../messages.ts";
import { addReading, expectedReadings, type Reading, readingOf } from "../objects.ts";

/** What a transport offers. `transfer`: the buffer moves instead of being copied. */
export interface Transport {
  send(message: Int32Array | Reading | number): void;
  /** Calls back for each message; replaces the callback before. */
  onMessage(callback: (message: Int32Array | Reading | number) => void): void;
}

const CREDIT = 512;
const FRAME_CREDIT = 8;

function creditOf(job: Job): number {
  return job.kind === "frames" ? FRAME_CREDIT : CREDIT;
}

/** Sends all messages, at most a credit ahead of the other end; resolves with its result. */
export function produceWithCredits(
  job: Job,
  transport: Transport,
  result: Promise<PeerResult>,
): Promise<PeerResult> {
  const total = totalMessages(job);
  const credit = creditOf(job);
  const messages = Array.from({ length: credit }, () => new Int32Array(job.words));
  const bytes = messages.map((message) => new Uint8Array(message.buffer));
  let sent = 0;
  let allowed = credit;
  const pump = (): void => {
    for (; sent < allowed && sent < total; sent++) {
      const slot = sent % credit;
      if (job.kind === "objects") {
        transport.send(readingOf(sent));
        continue;
      }
      if (job.kind === "frames") fillFrame(bytes[slot]!, sent);
      else writeMessage(messages[slot]!, 0, job.words, sent);
      transport.send(messages[slot]!);
    }
  };
  transport.onMessage((acknowledged) => {
    allowed = (acknowledged as number) + credit;
    pump();
  });
  pump();
  const expected =
    job.kind === "frames"
      ? expectedFrameChecksum(job.words * 4, total)
      : job.kind === "objects"
        ? expectedReadings(total)
        : expectedChecksum(job.words, total);
  return result.then((consumed) => ({ ...consumed, expected }));
}

/** Reads all messages, acknowledging each half credit. */
export function consumeWithCredits(job: Job, transport: Transport): Promise<PeerResult> {
  const total = totalMessages(job);
  const warm = job.leg * job.warm;
  const step = creditOf(job) / 2;
  const frames = job.kind === "frames";
  return new Promise((resolve) => {
    let sum = 0;
    let received = 0;
    let start = 0;
    transport.onMessage((message) => {
      const words = message as Int32Array;
      if (job.kind === "objects") sum = addReading(sum, message as Reading);
      else if (frames) {
        const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
        sum = scanFrame(sum, bytes, words, received);
      } else {
        sum = addWords(sum, words, 0, words.length);
      }
      received++;
      if (received === warm) start = Bun.nanoseconds();
      if (received === total) {
        resolve({ messages: total - warm, ns: Bun.nanoseconds() - start, checksum: sum >>> 0 });
      } else if (received % step === 0) transport.send(received);
    });
  });
}

/** Round trips: sends a message, waits for its echo. */
export function ping(job: Job, transport: Transport): Promise<PeerResult> {
  const total = totalMessages(job);
  const latencies = new Float64Array(total);
  const message = new Int32Array(job.words);
  return new Promise((resolve) => {
    let sum = 0;
    let count = 0;
    let before = 0;
    const next = (): void => {
      writeMessage(message, 0, job.words, count);
      before = Bun.nanoseconds();
      transport.send(message);
    };
    transport.onMessage((reply) => {
      sum = addWords(sum, reply as Int32Array, 0, job.words);
      latencies[count] = Bun.nanoseconds() - before;
      count++;
      if (count < total) return next();
      resolve(roundTripResult(job, latencies, sum, expectedChecksum(job.words, total)));
    });
    next();
  });
}

/** Sends back what it receives. */
export function pong(job: Job, transport: Transport): Promise<PeerResult> {
  const total = totalMessages(job);
  return new Promise((resolve) => {
    let sum = 0;
    let count = 0;
    transport.onMessage((message) => {
      sum = addWords(sum, message as Int32Array, 0, job.words);
      transport.send(message);
      if (++count === total) resolve({ checksum: sum >>> 0 });
    });
  });
}
