/** What a peer is told (its first argument, JSON) and what it prints (one line of JSON). Shared by the harness and all peers. */
import { writeSync } from "node:fs";

export interface Job {
  readonly role: string;
  /** Region, file or socket that the two ends share. */
  readonly name: string;
  /** `objects`: JavaScript objects, see objects.ts. */
  readonly kind: "stream" | "frames" | "roundtrip" | "objects" | "queue" | "records";
  /** Words of a message; of a frame when `kind` is frames. */
  readonly words: number;
  readonly capacity: number;
  /** Messages for each publication, or for each write call. */
  readonly burst: number;
  /** Messages in a leg; a stream runs `warm + legs` legs and times the last `legs`. */
  readonly leg: number;
  readonly warm: number;
  readonly legs: number;
  readonly waiting: Waiting;
  /** Pause before each round trip, so that the other end has fallen asleep. */
  readonly idleMs: number;
  /** Kind `records` only: consumers, of which each gets every message. */
  readonly readers?: number;
  /** Kind `queue` only. */
  readonly queue?: QueueJob;
  /** CPU for the second thread of peers that use a Worker, or for the second process they start. */
  readonly secondCpu: number;
}

/** A work queue with heads of its own or shared ones; `ring`: an SPSC ring instead. */
export interface QueueJob {
  readonly producers: number;
  readonly structure: "queue" | "shared" | "ring";
}

export type Waiting = "spin" | "spin-then-futex" | "await";

/** Nanoseconds. p50 is the mean of the trips ranked 45 to 55 %: the clock ticks in steps of 10 ns on some machines. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** Last line of a peer's output. `expected`: the checksum there should be, when the same peer can tell. */
export interface PeerResult {
  readonly checksum: number;
  readonly expected?: number;
  readonly messages?: number;
  readonly ns?: number;
  readonly latency?: Latency;
}

/** Messages of all legs. */
export function totalMessages(job: Job): number {
  return job.leg * (job.warm + job.legs);
}

/** The job of this process. */
export function thisJob(): Job {
  const text = process.argv[2];
  if (text === undefined) throw new Error("this program is started by bench/main.ts with a job in JSON");
  return JSON.parse(text) as Job;
}

/** Writes all of it before it returns: peers that keep sockets open end with process.exit. */
export function report(result: PeerResult): void {
  writeSync(1, `${JSON.stringify(result)}\n`);
}

/** @param sorted nanoseconds, ascending */
export function latencyOf(sorted: Float64Array): Latency {
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  const middle = sorted.subarray(Math.floor(sorted.length * 0.45), Math.ceil(sorted.length * 0.55));
  return { p50: middle.reduce((a, b) => a + b, 0) / middle.length, p99: at(0.99), p999: at(0.999) };
}

/** Result of a round-trip run from the latencies of all trips, warm-up included. */
export function roundTripResult(
  job: Job,
  latencies: Float64Array,
  checksum: number,
  expected: number,
): PeerResult {
  const timed = latencies.subarray(job.leg * job.warm).sort();
  const ns = timed.reduce((a, b) => a + b, 0);
  return { messages: timed.length, ns, checksum: checksum >>> 0, expected, latency: latencyOf(timed) };
}
