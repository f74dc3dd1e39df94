/**
 * Stress of the work queue and the cell with real processes, more of them than processors: every message carries its producer, its
 * number and a check word; consumers verify order, the runner that each message arrived just once. Indices start just below 2^32.
 *
 *     bun test/robust/stress.ts --messages 100000000 [--only "many"] [--json]
 *
 * Waits spin for 20 µs and then sleep, so a lost wake-up shows as a run that takes 50 ms more for each; one that hangs ends with a fault.
 */
import { parseArgs } from "node:util";
import { Cell, Queue, type QueueConsumer, type QueueTaker, Region } from "../../src/index.ts";
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { OrphanGuard, RUNNER_VARIABLE } from "../support/orphan.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";

const CAPACITY = 1024;
const SLOT_BYTES = 16;
const BURST = 32;
const VALUE_WORDS = 64;
/** No messages for so long: somebody sleeps beside them. */
const STUCK_MS = 20_000;
const BEFORE_WRAP = -1000;

interface Role {
  readonly region: string;
  readonly role: "producer" | "consumer" | "writer" | "reader";
  readonly index: number;
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

function produce({ region: name, index, messages }: Role): Report {
  using region = Region.open(name);
  using tx = Queue.open(region, "q").producer();
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
  return { received: 0, sums: [], faults: [] };
}

function consume({ region: name, producers }: Role): Report {
  using region = Region.open(name);
  const queue = Queue.open(region, "q");
  using rx: QueueConsumer | QueueTaker = queue.geometry.sharedHeads
    ? queue.taker({ burst: BURST })
    : queue.consumer();
  const last = new Int32Array(producers).fill(-1);
  const sums = new Float64Array(producers);
  const faults: string[] = [];
  let received = 0;
  for (;;) {
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
    if (rx.ended) break;
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
  return { received: 0, sums: [], faults: [] };
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

const RUN = { producer: produce, consumer: consume, writer: write, reader: read } as const;

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
  const sources = Array.from({ length: producers }, (_, i) => start(role("producer", i)));
  const sinks = Array.from({ length: consumers }, (_, i) => start(role("consumer", i)));
  // Before that, an early consumer would take a queue nobody has joined for one that is over.
  const produced = await Promise.all(sources);
  queue.end();
  const consumed = await Promise.all(sinks);
  const faults = [...produced, ...consumed].flatMap((report) => report.faults);
  for (let producer = 0; producer < producers; producer++) {
    const sum = consumed.reduce((total, report) => total + (report.sums[producer] ?? 0), 0);
    if (sum !== (each * (each - 1)) / 2)
      faults.push(`producer ${producer}: the numbers received add up to ${sum}`);
  }
  const received = consumed.reduce((total, report) => total + report.received, 0);
  if (received !== each * producers) faults.push(`${received} of ${each * producers} messages arrived`);
  return faults;
}

async function cellStress(region: Region, readers: number, messages: number): Promise<string[]> {
  const { geometry } = Cell.create(region, "v", { valueBytes: VALUE_WORDS * 4, buffers: 8 });
  geometry.words[CellLayout.latestWord] = 0;
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
  return (await Promise.all(runs)).flatMap((report) => report.faults);
}

const TOPOLOGIES: Readonly<
  Record<string, { processes: number; run(region: Region, messages: number): Promise<string[]> }>
> = {
  "queue, 3 producers, one consumer": {
    processes: 4,
    run: (region, messages) => queueStress(region, 3, 1, messages),
  },
  "queue, 3 producers, many (3) consumers": {
    processes: 6,
    run: (region, messages) => queueStress(region, 3, 3, messages),
  },
  // A value is 256 bytes and read whole: a tenth of the count takes as long.
  "cell, 3 readers": {
    processes: 4,
    run: (region, messages) => cellStress(region, 3, Math.ceil(messages / 10)),
  },
};

/** @param messages of each topology (values of a cell: a tenth) */
export async function stressTest(messages: number, only = ""): Promise<StressResult> {
  const startMs = performance.now();
  const topologies: Record<string, { messages: number; processes: number; seconds: number }> = {};
  const faults: string[] = [];
  for (const [title, { processes, run }] of Object.entries(TOPOLOGIES)) {
    if (!title.includes(only)) continue;
    const name = ownRegion(`stress-run-${process.pid}-${Object.keys(topologies).length}`);
    const region = Region.create(name, { size: "1MiB" });
    const beganMs = performance.now();
    try {
      for (const fault of await run(region, messages)) faults.push(`${title}: ${fault}`);
    } finally {
      region.close();
      destroyOwned(name);
    }
    topologies[title] = { messages, processes, seconds: Math.round(performance.now() - beganMs) / 1000 };
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
