/** What is measured, and the figures to reach. */
import type { Job, QueueJob, Waiting } from "./job.ts";

export interface Measure {
  readonly id: string;
  readonly title: string;
  readonly kind: Job["kind"];
  readonly words: number;
  readonly burst: number;
  readonly waiting: Waiting;
  readonly idleMs: number;
  readonly queue?: QueueJob;
  /** Kind `records` only: consumers, of which each gets every message; the rate counts deliveries. */
  readonly readers?: number;
  /** Systems that must be clean in the same round for the round to count. */
  readonly keySystems: readonly string[];
}

const KEYS = ["c", "physring"];
/** Slots of the descriptor ring of the frame benchmark = blocks in flight. */
export const FRAME_CAPACITY = 8;

function stream(id: string, title: string, bytes: number, burst: number, keySystems = KEYS): Measure {
  return { id, title, kind: "stream", words: bytes / 4, burst, waiting: "spin", idleMs: 0, keySystems };
}

function records(id: string, title: string, readers: number): Measure {
  const waiting = readers > 1 ? "spin-then-futex" : "spin";
  const keySystems = ["records", "records-c"];
  return { id, title, kind: "records", words: 16, burst: 32, waiting, idleMs: 0, readers, keySystems };
}

function queue(id: string, title: string, job: QueueJob, keySystems: readonly string[]): Measure {
  // More processes than CPUs: 20 µs of spinning, then sleep.
  const waiting = job.producers > 1 ? "spin-then-futex" : "spin";
  return { id, title, kind: "queue", words: 4, burst: 32, waiting, idleMs: 0, queue: job, keySystems };
}

function roundTrip(id: string, title: string, waiting: Waiting, idleMs: number): Measure {
  return { id, title, kind: "roundtrip", words: 16, burst: 1, waiting, idleMs, keySystems: KEYS };
}

export const MEASURES: readonly Measure[] = [
  stream("descriptor-1", "descriptor 16 B, one by one", 16, 1, [...KEYS, "boost"]),
  stream("descriptor-32", "descriptor 16 B, burst 32", 16, 32, [...KEYS, "boost"]),
  stream("inline64-1", "64 B inline, one by one", 64, 1),
  stream("inline64-32", "64 B inline, burst 32", 64, 32),
  stream("inline1k-1", "1 KiB inline, one by one", 1024, 1),
  stream("inline1k-32", "1 KiB inline, burst 32", 1024, 32),
  {
    id: "frames-1m",
    title: "1 MiB frames, filled and read in place",
    kind: "frames",
    words: 262144,
    burst: 1,
    waiting: "spin",
    idleMs: 0,
    keySystems: KEYS,
  },
  {
    id: "objects",
    title: "objects of 6 fields, MessagePack",
    kind: "objects",
    words: 0,
    burst: 1,
    waiting: "spin-then-futex",
    idleMs: 0,
    keySystems: ["physring", "bun-ipc"],
  },
  queue(
    "mpsc1-32",
    "work queue, 1 producer, 1 consumer, 16 B, burst 32",
    { producers: 1, structure: "queue" },
    ["queue", "queue-ring"],
  ),
  queue(
    "mpsc2-32",
    "work queue, 2 producers, 1 consumer, 16 B, burst 32",
    { producers: 2, structure: "queue" },
    ["queue", "queue-c"],
  ),
  queue("mpmc-32", "work queue, shared heads, 1 : 1, 16 B, burst 32", { producers: 1, structure: "shared" }, [
    "queue",
    "rte_ring",
  ]),
  records("records64-32", "records 64 B, burst 32", 1),
  records("broadcast2-32", "records 64 B, burst 32, broadcast to 2: deliveries", 2),
  roundTrip("roundtrip-spin", "round trip 64 B, spin", "spin", 0),
  roundTrip("roundtrip-futex", "round trip 64 B, spin then futex", "spin-then-futex", 0),
  roundTrip("roundtrip-idle", "round trip 64 B, futex after 1 ms idle", "spin-then-futex", 1),
  roundTrip("roundtrip-await", "round trip 64 B, await (event loop)", "await", 0),
];

/** A ratio between two systems in one measure, over the same rounds. */
export interface Target {
  readonly measure: string;
  readonly system: string;
  readonly base: string;
  readonly limit: number;
  /** Rates must reach the limit; latencies must stay below it. */
  readonly sense: "at least" | "at most";
  readonly title: string;
}

function target(measure: string, sense: Target["sense"], limit: number, title: string): Target {
  return { measure, system: "physring", base: "c", limit, sense, title };
}

function recordsTarget(measure: string, title: string): Target {
  return { measure, system: "records", base: "records-c", limit: 0.8, sense: "at least", title };
}

function queueTarget(measure: string, base: string, limit: number, title: string): Target {
  return { measure, system: "queue", base, limit, sense: "at least", title };
}

/** The figures issues 2 and 3 ask for. */
export const TARGETS: readonly Target[] = [
  target("descriptor-32", "at least", 0.9, "descriptor ring, burst 32, rate / C"),
  target("descriptor-1", "at least", 0.8, "descriptor ring, one by one, rate / C"),
  target("inline64-32", "at least", 0.9, "64 B inline, burst 32, rate / C"),
  target("roundtrip-spin", "at most", 1.1, "round trip, spin, p50 / C"),
  target("roundtrip-futex", "at most", 1.2, "round trip, spin then futex, p50 / C"),
  target("roundtrip-idle", "at most", 1.2, "round trip, futex after idle, p50 / C"),
  target("frames-1m", "at least", 0.95, "1 MiB frames, fill and read in place, rate / C"),
  recordsTarget("records64-32", "records 64 B, burst 32, rate / C"),
  recordsTarget("broadcast2-32", "broadcast to 2, deliveries / C"),
  queueTarget("mpsc1-32", "queue-ring", 0.8, "work queue, 1 producer, rate / SPSC ring"),
  queueTarget("mpsc2-32", "queue-c", 0.8, "work queue, 2 producers, rate / C"),
  queueTarget("mpmc-32", "rte_ring", 0.5, "work queue with shared heads, rate / rte_ring MP/MC"),
  {
    ...target("objects", "at least", 4, "objects of 6 fields as MessagePack, rate / Bun IPC"),
    base: "bun-ipc",
  },
];

/** The C ring is only a limit worth comparing with when it keeps up with a library people trust. */
export const VALIDITY: readonly Target[] = ["descriptor-1", "descriptor-32"].map((measure) => ({
  measure,
  system: "c",
  base: "boost",
  limit: 0.9,
  sense: "at least",
  title: `C ring / boost::lockfree::spsc_queue, 16-byte items, ${measure === "descriptor-1" ? "one by one" : "32 at a time"}`,
}));
