/**
 * Stress of ring, work queue, frames and cell with real processes, more of them than processors: every message carries its producer,
 * its number and a check word; consumers verify order, the runner that each message arrived just once. Indices start just below 2^32.
 *
 *     bun test/robust/stress.ts --messages 100000000 [--only "many"] [--json]
 *
 * Waits spin for 20 µs and then sleep, so a lost wake-up shows as a run that takes 50 ms more for each; one that hangs ends with a fault.
 */
import { parseArgs } from "node:util";
import {
  Cell,
  Channel,
  Queue,
  type QueueConsumer,
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
import { OrphanGuard, RUNNER_VARIABLE } from "../support/orphan.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";
import { Patience } from "../support/patience.ts";

const CAPACITY = 1024;
const SLOT_BYTES = 16;
const BURST = 32;
const VALUE_WORDS = 64;
/** No messages for so long: somebody sleeps beside them. */
const STUCK_MS = 20_000;
const ATTACH_MS = 20_000;
const BEFORE_WRAP = -1000;

interface Role {
  readonly region: string;
  readonly role: keyof typeof RUN;
  readonly index: number;
  /** Of each producer. */
  readonly messages: number;
  readonly producers: number;
}

/** What a process says at its end. */
interface Report {
  readonly received: number;
  /** Per producer: sum of the numbers received, modulo 2^53 by being small enough. */
  readonly sums: readonly number[];
  readonly faults: readonly string[];
}

export interface StressResult {
  readonly topologies: Record<
    string,
    { readonly messages: number; readonly processes: number; readonly seconds: number }
  >;
  readonly faults: readonly string[];
  readonly seconds: number;
}

function checkWord(producer: number, number: number): number {
  return Math.imul(number ^ (producer << 24), 0x9e3779b1) | 0;
}

const SENT: Report = { received: 0, sums: [], faults: [] };

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

function sendFrames({ region: name, messages }: Role): Report {
  using region = Region.open(name);
  using tx = Channel.open(region, "f").producer();
  for (let number = 0; number < messages; number++) {
    const frame = tx.loan()!;
    frame.tag = number;
    frame.bytes.fill(number & 0xff);
    tx.send(frame);
  }
  return SENT;
}

function receiveFrames({ region: name, messages }: Role): Report {
  using region = Region.open(name);
  using rx = Channel.open(region, "f").consumer();
  const faults: string[] = [];
  let number = 0;
  for (; number < messages && faults.length === 0; number++) {
    using frame = rx.receive({ timeoutMs: STUCK_MS });
    if (frame === null) break;
    const { tag, sequence, bytes } = frame;
    if (tag !== number || sequence !== number)
      faults.push(`frame ${sequence} (${tag}) came where ${number} was due`);
    if (!bytes.every((byte) => byte === (number & 0xff))) faults.push(`frame ${number} is torn`);
  }
  return { received: number, sums: [], faults };
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
  "frame producer": sendFrames,
  "frame consumer": receiveFrames,
  writer: write,
  reader: read,
} satisfies Record<string, (role: Role) => Report>;

async function start(role: Role): Promise<Report> {
  const child = Bun.spawn([process.execPath, import.meta.path, "--role", JSON.stringify(role)], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, [RUNNER_VARIABLE]: String(process.pid) },
  });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (child.exitCode === 0) return JSON.parse(output) as Report;
  return {
    received: 0,
    sums: [],
    faults: [`${role.role} ${role.index}: exit ${child.exitCode}: ${errors.slice(-800)}`],
  };
}

async function queueStress(
  region: Region,
  producers: number,
  consumers: number,
  messages: number,
): Promise<string[]> {
  const many = consumers > 1;
  const queue = Queue.create(region, "q", {
    slotBytes: SLOT_BYTES,
    capacity: CAPACITY,
    producers,
    consumers: many ? "many" : "one",
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
  const sources = Array.from({ length: producers }, (_, i) => start(role("queue producer", i)));
  const sinks = Array.from({ length: consumers }, (_, i) => start(role("queue consumer", i)));
  // Before that, an early consumer would take a queue nobody has joined for one that is over.
  const produced = await Promise.all(sources);
  queue.end();
  const consumed = await Promise.all(sinks);
  return [
    ...produced.flatMap((report) => report.faults),
    ...faultsOf(consumed, producers, each),
    ...lanesUsed(queue).flatMap(({ words }) => roundFaults(words, RingLayout.headWord)),
  ];
}

/** A producer that starts when another has done may take its lane: then one is never used. */
function lanesUsed({ geometry }: Queue): readonly RingGeometry[] {
  const used = geometry.words[QueueLayout.lanesUsedWord]!;
  return geometry.lanes.filter((_, lane) => (used & (1 << lane)) !== 0);
}

/** What consumers found, and whether each number of each producer came just once. */
function faultsOf(consumed: readonly Report[], producers: number, each: number): string[] {
  const faults = consumed.flatMap((report) => report.faults);
  for (let producer = 0; producer < producers; producer++) {
    const sum = consumed.reduce((total, report) => total + (report.sums[producer] ?? 0), 0);
    if (sum !== (each * (each - 1)) / 2)
      faults.push(`producer ${producer}: the numbers received add up to ${sum}`);
  }
  const received = consumed.reduce((total, report) => total + report.received, 0);
  if (received !== each * producers) faults.push(`${received} of ${each * producers} messages arrived`);
  return faults;
}

/** Indices started just below 2^32: the run must have gone beyond. */
function roundFaults(words: Int32Array, index: number): string[] {
  return words[index]! < 0 ? [`index ${words[index]! >>> 0} did not go round`] : [];
}

/** Several rings at the same time, two processes each. */
async function ringStress(region: Region, count: number, messages: number): Promise<string[]> {
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
  return [
    ...sent.flatMap((report) => report.faults),
    ...faultsOf(consumed, count, each),
    ...rings.flatMap((words) => roundFaults(words, RingLayout.headWord)),
  ];
}

/** Every consumer gets every frame, in order. */
async function frameStress(region: Region, consumers: number, messages: number): Promise<string[]> {
  const { geometry } = Channel.create(region, "f", {
    frameBytes: 64,
    metaBytes: 0,
    maxConsumers: consumers,
    laneCapacity: 64,
  });
  for (const lane of geometry.lanes)
    for (const word of [RingLayout.tailWord, RingLayout.preparedWord, RingLayout.headWord])
      lane[word] = BEFORE_WRAP;
  const role = { region: region.name, index: 0, messages, producers: 1 };
  const receiving = Array.from({ length: consumers }, () => start({ ...role, role: "frame consumer" }));
  const absent = (): boolean =>
    geometry.lanes.some((lane) => (lane[RingLayout.consumerOwnerWord]! & 0xff) === 0);
  // Without one of them the producer sends all the same, and its report says what it did not get.
  for (const patience = new Patience(ATTACH_MS); absent() && !patience.isOver; ) await Bun.sleep(5);
  const sent = await start({ ...role, role: "frame producer" });
  const received = await Promise.all(receiving);
  const faults = [sent, ...received].flatMap((report) => report.faults);
  for (const report of received)
    if (report.received !== messages) faults.push(`${report.received} of ${messages} frames arrived`);
  return [...faults, ...geometry.lanes.flatMap((lane) => roundFaults(lane, RingLayout.headWord))];
}

async function cellStress(region: Region, readers: number, messages: number): Promise<string[]> {
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
  const runs = [
    start(role("writer", 0)),
    ...Array.from({ length: readers }, (_, i) => start(role("reader", i))),
  ];
  const faults = (await Promise.all(runs)).flatMap((report) => report.faults);
  return [...faults, ...roundFaults(cell.geometry.words, CellLayout.latestWord)];
}

interface Topology {
  readonly processes: number;
  /** Part of the messages that this topology gets; default all. */
  readonly share?: number;
  run(region: Region, messages: number): Promise<string[]>;
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
  // Each frame is loaned, filled, sent, checked and released by itself.
  "frames, 3 consumers": {
    processes: 4,
    share: 0.1,
    run: (region, messages) => frameStress(region, 3, messages),
  },
  "cell, 3 readers": {
    processes: 4,
    run: (region, messages) => cellStress(region, 3, messages),
  },
};

/** @param messages of each topology */
export async function stressTest(messages: number, only = ""): Promise<StressResult> {
  const startMs = performance.now();
  const topologies: Record<string, { messages: number; processes: number; seconds: number }> = {};
  const faults: string[] = [];
  for (const [title, { processes, share = 1, run }] of Object.entries(TOPOLOGIES)) {
    if (!title.includes(only)) continue;
    const count = Math.ceil(messages * share);
    const name = ownRegion(`stress-run-${process.pid}-${Object.keys(topologies).length}`);
    const region = Region.create(name, { size: "1MiB" });
    const beganMs = performance.now();
    try {
      for (const fault of await run(region, count)) faults.push(`${title}: ${fault}`);
    } finally {
      region.close();
      destroyOwned(name);
    }
    topologies[title] = {
      messages: count,
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
    console.log(JSON.stringify(RUN[role.role](role)));
    process.exit(0);
  }
  const result = await stressTest(Number(values.messages), values.only);
  console.log(JSON.stringify(result, null, values.json ? 0 : 2));
  process.exit(result.faults.length === 0 ? 0 : 1);
}
