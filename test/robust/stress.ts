/**
 * Stress of all topologies but records (records-stress.ts) with real processes, more of them than processors: every message carries its producer,
 * its number and a check word; consumers verify order, the runner that each message arrived just once. Indices start just below 2^32.
 *
 *     bun test/robust/stress.ts --messages 100000000 [--only "many"] [--json]
 *
 * Waits spin for 20 µs and then sleep, so a lost wake-up shows as a run that takes 50 ms more for each; one that hangs ends with a fault.
 */
import { parseArgs } from "node:util";
import {
  Cell,
  Queue,
  type QueueConsumer,
  type QueueOptions,
  type QueueProducer,
  type QueueTaker,
  Region,
  Ring,
  type RingConsumer,
  type RingProducer,
} from "../../src/index.ts";
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { QueueLayout } from "../../src/ring/queue-layout.ts";
import type { RingGeometry } from "../../src/ring/ring-geometry.ts";
import { OrphanGuard } from "../support/orphan.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";
import { CHANNEL_ROLES, CHANNEL_TOPOLOGIES, type Topology } from "./stress-channels.ts";
import {
  BEFORE_WRAP,
  NEVER_MS,
  type Outcome,
  outcomeOf,
  type Report,
  type Role,
  roundFaults,
  SENT,
  STUCK_MS,
  start,
  untilAttached,
} from "./stress-process.ts";

const CAPACITY = 1024;
const SLOT_BYTES = 16;
const BURST = 32;
const VALUE_WORDS = 64;
/** A reader gets at least so much of the values, however much faster the writer is. */
const LEAST_VALUES = 1 / 100_000;

export interface StressResult {
  readonly topologies: Record<
    string,
    {
      /** Asked for. */
      readonly messages: number;
      /** Deliveries to all consumers; of what is lossy, those that came. */
      readonly received: number;
      readonly processes: number;
      readonly seconds: number;
    }
  >;
  readonly faults: readonly string[];
  readonly seconds: number;
}

function checkWord(producer: number, number: number): number {
  return Math.imul(number ^ (producer << 24), 0x9e3779b1) | 0;
}

function ringName(index: number): string {
  return `r${index}`;
}

function produce({ region: name, index, messages }: Role): Report {
  using region = Region.open(name);
  using tx = Queue.open(region, "q").producer();
  fill(tx, index, messages);
  return SENT;
}

function produceRing({ region: name, index, messages }: Role): Report {
  using region = Region.open(name);
  using tx = Ring.open(region, ringName(index)).producer();
  fill(tx, index, messages);
  return SENT;
}

function fill(tx: RingProducer | QueueProducer, index: number, messages: number): void {
  const { words } = tx;
  for (let number = 0; number < messages; ) {
    const n = tx.reserve(Math.min(BURST, messages - number));
    for (let i = 0, at = tx.at; i < n; i++, at += 4, number++) {
      words[at] = index;
      words[at + 1] = number;
      words[at + 2] = checkWord(index, number);
      words[at + 3] = ~number;
    }
    if (n > 0) tx.commit(n);
    else tx.block();
  }
}

function consume({ region: name, producers }: Role): Report {
  using region = Region.open(name);
  const queue = Queue.open(region, "q");
  using rx = queue.geometry.sharedHeads ? queue.taker({ burst: BURST }) : queue.consumer();
  return drain(rx, producers, Number.POSITIVE_INFINITY);
}

function consumeRing({ region: name, index, messages, producers }: Role): Report {
  using region = Region.open(name);
  using rx = Ring.open(region, ringName(index)).consumer();
  return drain(rx, producers, messages);
}

/** Until so many messages were received, or a queue is over. */
function drain(rx: QueueConsumer | QueueTaker | RingConsumer, producers: number, messages: number): Report {
  const last = new Int32Array(producers).fill(-1);
  const sums = new Float64Array(producers);
  const faults: string[] = [];
  let received = 0;
  while (received < messages) {
    const n = "take" in rx ? rx.take(BURST) : rx.peek(BURST);
    for (let i = 0, at: number = rx.at; i < n; i++, at += 4) {
      const producer = rx.words[at]!;
      const number = rx.words[at + 1]!;
      const intact = rx.words[at + 2] === checkWord(producer, number) && rx.words[at + 3] === ~number;
      if (!intact && faults.length < 5) faults.push(`message ${producer}:${number} is torn`);
      if (number <= last[producer]! && faults.length < 5)
        faults.push(`${producer}:${number} after ${last[producer]}`);
      last[producer] = number;
      sums[producer]! += number;
    }
    received += n;
    if ("release" in rx) rx.release(n);
    if (n > 0 || rx.block({ timeoutMs: STUCK_MS })) continue;
    if ("ended" in rx && rx.ended) break;
    faults.push(`nothing came for ${STUCK_MS} ms after ${received} messages`);
    break;
  }
  return { received, sums: [...sums], faults };
}

function write({ region: name, messages }: Role): Report {
  using region = Region.open(name);
  using writer = Cell.open(region, "v").writer();
  for (let number = 1; number <= messages; number++) {
    writer.begin();
    const { words, at } = writer;
    for (let i = 0; i < VALUE_WORDS; i++) words[at + i] = number + i;
    writer.commit();
  }
  return SENT;
}

function read({ region: name, messages }: Role): Report {
  using region = Region.open(name);
  const reader = Cell.open(region, "v").reader();
  const faults: string[] = [];
  let last = 0;
  let received = 0;
  while (last < messages && faults.length === 0) {
    if (!reader.block({ timeoutMs: STUCK_MS })) {
      faults.push(`nothing came for ${STUCK_MS} ms after value ${last}`);
      break;
    }
    try {
      if (reader.read() < 0) continue;
    } catch {
      continue; // overtaken again and again
    }
    const number = reader.words[0]!;
    for (let i = 1; i < VALUE_WORDS; i++)
      if (reader.words[i] !== number + i) faults.push(`value ${number} is torn`);
    if (number < last) faults.push(`value ${number} after ${last}`);
    last = number;
    received++;
  }
  return { received, sums: [], faults };
}

const RUN = {
  "ring producer": produceRing,
  "ring consumer": consumeRing,
  "queue producer": produce,
  "queue consumer": consume,
  writer: write,
  reader: read,
  ...CHANNEL_ROLES,
} satisfies Record<string, (role: Role) => Report | Promise<Report>>;

async function queueStress(
  region: Region,
  producers: number,
  consumers: number,
  messages: number,
  options: Pick<QueueOptions, "policy" | "stallTimeoutMs"> = {},
): Promise<Outcome> {
  const many = consumers > 1;
  const queue = Queue.create(region, "q", {
    slotBytes: SLOT_BYTES,
    capacity: CAPACITY,
    producers,
    consumers: many ? "many" : "one",
    ...options,
  });
  for (const { words } of queue.geometry.lanes)
    words[RingLayout.tailWord] = words[RingLayout.headWord] = BEFORE_WRAP;
  const each = Math.ceil(messages / producers);
  const role = (kind: Role["role"], index: number): Role => ({
    region: region.name,
    role: kind,
    index,
    messages: each,
    producers,
  });
  const sinks = Array.from({ length: consumers }, (_, i) => start(role("queue consumer", i)));
  await untilAttached(() => bitsIn(queue.geometry.words[QueueLayout.consumersWord]!) >= consumers);
  const sources = Array.from({ length: producers }, (_, i) => start(role("queue producer", i)));
  // Before that, an early consumer would take a queue nobody has joined for one that is over.
  const produced = await Promise.all(sources);
  queue.end();
  const consumed = await Promise.all(sinks);
  const dropped = queue.counters.droppedOldest;
  return outcomeOf(consumed, [
    ...produced.flatMap((report) => report.faults),
    ...(options.policy === "drop-oldest"
      ? lossFaultsOf(consumed, dropped, each * producers)
      : faultsOf(consumed, producers, each)),
    ...lanesUsed(queue).flatMap(({ words }) => roundFaults(words, RingLayout.headWord)),
  ]);
}

/** What was dropped is known to the last one. */
function lossFaultsOf(consumed: readonly Report[], dropped: number, sent: number): string[] {
  const received = consumed.reduce((total, report) => total + report.received, 0);
  const faults = received + dropped === sent ? [] : [`${received} came, ${dropped} were dropped, of ${sent}`];
  if (received < sent * LEAST_VALUES) faults.push(`only ${received} of ${sent} came`);
  return faults;
}

function bitsIn(mask: number): number {
  return mask.toString(2).replaceAll(/[^1]/g, "").length;
}

/** A producer that starts when another has done may take its lane: then one is never used. */
function lanesUsed({ geometry }: Queue): readonly RingGeometry[] {
  const used = geometry.words[QueueLayout.lanesUsedWord]!;
  return geometry.lanes.filter((_, lane) => (used & (1 << lane)) !== 0);
}

/** What consumers found, and whether each number of each producer came just once. */
function faultsOf(consumed: readonly Report[], producers: number, each: number): string[] {
  const faults: string[] = [];
  for (let producer = 0; producer < producers; producer++) {
    const sum = consumed.reduce((total, report) => total + (report.sums[producer] ?? 0), 0);
    if (sum !== (each * (each - 1)) / 2)
      faults.push(`producer ${producer}: the numbers received add up to ${sum}`);
  }
  const received = consumed.reduce((total, report) => total + report.received, 0);
  if (received !== each * producers) faults.push(`${received} of ${each * producers} messages arrived`);
  return faults;
}

/** Several rings at the same time, two processes each. */
async function ringStress(region: Region, count: number, messages: number): Promise<Outcome> {
  const each = Math.ceil(messages / count);
  const indices = Array.from({ length: count }, (_, index) => index);
  const shape = { slotBytes: SLOT_BYTES, capacity: CAPACITY };
  const rings = indices.map((index) => Ring.create(region, ringName(index), shape).geometry.words);
  for (const words of rings) words[RingLayout.tailWord] = words[RingLayout.headWord] = BEFORE_WRAP;
  const run = (role: Role["role"], index: number): Promise<Report> =>
    start({ region: region.name, role, index, messages: each, producers: count });
  const produced = indices.map((index) => run("ring producer", index));
  const consumed = await Promise.all(indices.map((index) => run("ring consumer", index)));
  const sent = await Promise.all(produced);
  return outcomeOf(consumed, [
    ...sent.flatMap((report) => report.faults),
    ...faultsOf(consumed, count, each),
    ...rings.flatMap((words) => roundFaults(words, RingLayout.headWord)),
  ]);
}

async function cellStress(region: Region, readers: number, messages: number): Promise<Outcome> {
  const cell = Cell.create(region, "v", { valueBytes: VALUE_WORDS * 4, buffers: 8 });
  cell.geometry.words[CellLayout.latestWord] = BEFORE_WRAP - 1;
  {
    // Value 0, so that readers find one.
    using writer = cell.writer();
    writer.write(new Uint8Array(Int32Array.from({ length: VALUE_WORDS }, (_, i) => i).buffer));
  }
  const role = (kind: Role["role"], index: number): Role => ({
    region: region.name,
    role: kind,
    index,
    messages,
    producers: 1,
  });
  const reading = Array.from({ length: readers }, (_, i) => start(role("reader", i)));
  // All have read value 0 and sleep: else a short run is over before they look.
  await untilAttached(() => bitsIn(cell.geometry.words[CellLayout.waitersWord]!) >= readers);
  const { faults } = await start(role("writer", 0));
  const reads = await Promise.all(reading);
  const few = reads.filter(({ received }) => received < messages * LEAST_VALUES);
  return outcomeOf(reads, [
    ...faults,
    ...few.map(({ received }) => `a reader saw only ${received} of ${messages} values`),
    ...roundFaults(cell.geometry.words, CellLayout.latestWord),
  ]);
}

const TOPOLOGIES: Readonly<Record<string, Topology>> = {
  "ring, two at a time": {
    processes: 4,
    run: (region, messages) => ringStress(region, 2, messages),
  },
  "queue, 3 producers, one consumer": {
    processes: 4,
    run: (region, messages) => queueStress(region, 3, 1, messages),
  },
  "queue, 3 producers, many (3) consumers": {
    processes: 6,
    run: (region, messages) => queueStress(region, 3, 3, messages),
  },
  "queue, 3 producers, many (3) consumers, drop-oldest": {
    processes: 6,
    run: (region, messages) => queueStress(region, 3, 3, messages, { policy: "drop-oldest" }),
  },
  "queue, 3 producers, many (3) consumers, lanes of eviction": {
    processes: 6,
    run: (region, messages) => queueStress(region, 3, 3, messages, { stallTimeoutMs: NEVER_MS }),
  },
  "cell, 3 readers": {
    processes: 4,
    run: (region, messages) => cellStress(region, 3, messages),
  },
  ...CHANNEL_TOPOLOGIES,
};

/** @param messages of each topology */
export async function stressTest(messages: number, only = ""): Promise<StressResult> {
  const startMs = performance.now();
  const topologies: Record<string, StressResult["topologies"][string]> = {};
  const faults: string[] = [];
  for (const [title, { processes, share = 1, run }] of Object.entries(TOPOLOGIES)) {
    if (!title.includes(only)) continue;
    const count = Math.ceil(messages * share);
    const name = ownRegion(`stress-run-${process.pid}-${Object.keys(topologies).length}`);
    const region = Region.create(name, { size: "1MiB" });
    const beganMs = performance.now();
    let received = 0;
    try {
      const outcome = await run(region, count);
      received = outcome.received;
      faults.push(...outcome.faults.map((fault) => `${title}: ${fault}`));
    } finally {
      region.close();
      destroyOwned(name);
    }
    topologies[title] = {
      messages: count,
      received,
      processes,
      seconds: Math.round(performance.now() - beganMs) / 1000,
    };
  }
  return { topologies, faults, seconds: Math.round(performance.now() - startMs) / 1000 };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "3000000" },
      only: { type: "string", default: "" },
      json: { type: "boolean", default: false },
      role: { type: "string" },
    },
  });
  if (values.role !== undefined) {
    const role = JSON.parse(values.role) as Role;
    new OrphanGuard([role.region], role.region);
    console.log(JSON.stringify(await RUN[role.role as keyof typeof RUN](role)));
    process.exit(0);
  }
  const result = await stressTest(Number(values.messages), values.only);
  console.log(JSON.stringify(result, null, values.json ? 0 : 2));
  process.exit(result.faults.length === 0 ? 0 : 1);
}
