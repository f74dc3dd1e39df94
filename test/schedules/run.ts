/**
 * The shipped ring code under deterministic schedules: interleaved at every shared access, with the reorderings of x86-64 and of
 * ARMv8, and with deaths at any step. `bun test/schedules/run.ts [--schedules N] [--seed S] [--only TEXT]`; a failure prints its seed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { RingShape } from "../../src/ring/ring-geometry.ts";
import { Bench, type Coroutines, loadCoroutines } from "./bench.ts";
import { CellBench, runCell } from "./cell.ts";
import { CELL_MUTATIONS } from "./cell-mutations.ts";
import { type LaneScenario, runLanes } from "./lanes.ts";
import type { Model } from "./machine.ts";
import {
  DROP_MUTATIONS,
  EVICTION_MUTATIONS,
  HISTORY_MUTATIONS,
  LANE_MUTATIONS,
  type NamedMutation,
  SPSC_MUTATIONS,
} from "./mutations.ts";
import { QueueBench, type QueueScenario, runQueue } from "./queue.ts";
import { QUEUE_MANY_MUTATIONS, QUEUE_ONE_MUTATIONS } from "./queue-mutations.ts";
import { RECORD_MUTATIONS } from "./record-mutations.ts";
import { RecordsBench, type RecordsScenario, runRecords } from "./records.ts";
import { runSpsc, SpscBench } from "./spsc.ts";
import { buildCoroutines } from "./transform.ts";

const MODELS: readonly Model[] = ["sc", "tso", "arm"];
/** A mutation must be caught within so many schedules of each model and scenario. */
const MUTANT_SCHEDULES = 6000;

/** Runs one schedule; throws when a promise is broken. */
type Runner = (model: Model, seed: number) => number;

interface Topology {
  readonly name: string;
  readonly scenarios: readonly { name: string; runner: (code: Coroutines) => Runner }[];
  readonly mutations: readonly NamedMutation[];
}

function lanes(scenario: LaneScenario): { name: string; runner: (code: Coroutines) => Runner } {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new Bench(code, scenario);
      return (model, seed) => runLanes(bench, scenario, model, seed);
    },
  };
}

function spsc(name: string, shape: RingShape): { name: string; runner: (code: Coroutines) => Runner } {
  return {
    name,
    runner: (code) => {
      const bench = new SpscBench(code, shape);
      return (model, seed) => runSpsc(bench, model, seed);
    },
  };
}

function queue(scenario: QueueScenario): { name: string; runner: (code: Coroutines) => Runner } {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new QueueBench(code, scenario);
      return (model, seed) => runQueue(bench, scenario, model, seed);
    },
  };
}

function records(scenario: RecordsScenario): { name: string; runner: (code: Coroutines) => Runner } {
  return {
    name: scenario.name,
    runner: (code) => {
      const bench = new RecordsBench(code, scenario);
      return (model, seed) => runRecords(bench, model, seed);
    },
  };
}

const RELIABLE = {
  mode: "reliable",
  consumers: 2,
  visitors: 0,
  history: 0,
  deaths: 2,
  evicts: false,
} as const;
const LOSSY = { ...RELIABLE, mode: "lossy" } as const;

const SMALL = { consumers: 2, capacity: 2, blocks: 3, deaths: 2 } as const;

const HISTORY = { ...SMALL, delivery: "all", history: 2, blocks: 5, turnover: 3 } as const;
/** The producer loans again at once what falls out of the history, while consumers that join again and again are stopped anywhere. */
const TIGHT = { turnover: 2, history: 1, blocks: 2, frames: 12, deaths: 0, stops: 60 } as const;

const TOPOLOGIES: readonly Topology[] = [
  {
    name: "SPSC ring",
    scenarios: [
      spsc("descriptors over the wrap", { slotBytes: 16, capacity: 4 }),
      spsc("slots of a line over the wrap", { slotBytes: 64, capacity: 2 }),
    ],
    mutations: SPSC_MUTATIONS,
  },
  {
    name: "lanes",
    scenarios: [
      lanes({ ...SMALL, name: "block, all", policy: "block", delivery: "all" }),
      lanes({ ...SMALL, name: "block, one", policy: "block", delivery: "one" }),
      lanes({ ...SMALL, name: "drop-newest, all", policy: "drop-newest", delivery: "all" }),
      lanes({ ...SMALL, name: "come and go", policy: "block", delivery: "all", turnover: 3 }),
    ],
    mutations: LANE_MUTATIONS,
  },
  {
    name: "drop-oldest lanes",
    scenarios: [
      lanes({ ...SMALL, name: "drop-oldest, all", policy: "drop-oldest", delivery: "all" }),
      lanes({ ...SMALL, name: "drop-oldest, one", policy: "drop-oldest", delivery: "one" }),
    ],
    mutations: DROP_MUTATIONS,
  },
  {
    name: "lanes with eviction",
    scenarios: [
      lanes({ ...SMALL, name: "evict, all", policy: "block", delivery: "all", evicts: true }),
      lanes({ ...SMALL, name: "evict, one", policy: "block", delivery: "one", evicts: true }),
    ],
    mutations: EVICTION_MUTATIONS,
  },
  {
    name: "lanes with history",
    scenarios: [
      lanes({ ...HISTORY, name: "block", policy: "block" }),
      lanes({ ...HISTORY, name: "block, one frame", policy: "block", ...TIGHT }),
      lanes({ ...HISTORY, name: "successors", policy: "block", ...TIGHT, deaths: 2, successors: true }),
      lanes({ ...HISTORY, name: "drop-newest", policy: "drop-newest" }),
      lanes({ ...HISTORY, name: "drop-oldest", policy: "drop-oldest" }),
      lanes({ ...HISTORY, name: "evict", policy: "block", evicts: true, turnover: undefined }),
    ],
    mutations: HISTORY_MUTATIONS,
  },
  {
    name: "queue, one consumer",
    scenarios: [queue({ name: "block", consumers: "one", policy: "block", deaths: 2 })],
    mutations: QUEUE_ONE_MUTATIONS,
  },
  {
    name: "queue, many consumers",
    scenarios: [
      queue({ name: "block", consumers: "many", policy: "block", deaths: 2 }),
      queue({ name: "drop-oldest", consumers: "many", policy: "drop-oldest", deaths: 2 }),
    ],
    mutations: QUEUE_MANY_MUTATIONS,
  },
  {
    name: "reliable records",
    scenarios: [
      records({ ...RELIABLE, name: "one consumer", consumers: 1 }),
      records({ ...RELIABLE, name: "come and go, history", consumers: 1, visitors: 2, history: 3 }),
      records({ ...RELIABLE, name: "evicted", consumers: 1, visitors: 2, evicts: true, deaths: 1 }),
      records({ ...RELIABLE, name: "two consumers" }),
    ],
    mutations: RECORD_MUTATIONS.reliable,
  },
  {
    name: "lossy records",
    scenarios: [
      records({ ...LOSSY, name: "one reader", consumers: 1 }),
      records({ ...LOSSY, name: "readers come and go, history", visitors: 1, history: 3 }),
    ],
    mutations: RECORD_MUTATIONS.lossy,
  },
  {
    name: "cell",
    scenarios: [
      {
        name: "two readers, two deaths",
        runner: (code) => {
          const bench = new CellBench(code);
          return (model, seed) => runCell(bench, 2, model, seed);
        },
      },
    ],
    mutations: CELL_MUTATIONS,
  },
];

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    topology: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log("bun test/schedules/run.ts [--schedules PER_TOPOLOGY] [--seed FIRST] [--only TEXT]");
  process.exit(0);
}
const perTopology = Number(values.schedules);
const firstSeed = Number(values.seed);
const scratch = mkdtempSync(join(tmpdir(), "physring-schedules-"));
let builds = 0;
let passed = 0;
let failed = 0;

async function compile(mutation: NamedMutation | null): Promise<Coroutines> {
  return loadCoroutines(buildCoroutines(join(scratch, String(builds++)), mutation));
}

function report(ok: boolean, line: string): void {
  if (ok) passed++;
  else failed++;
  console.log(`${ok ? "ok  " : "FAIL"} ${line}`);
}

/** The first broken promise within `count` schedules, or null. */
function search(
  runner: Runner,
  count: number,
  models: readonly Model[],
): { model: Model; seed: number; error: unknown } | null {
  for (let i = 0; i < count; i++) {
    const model = models[i % models.length]!;
    const seed = firstSeed + i;
    try {
      runner(model, seed);
    } catch (error) {
      return { model, seed, error };
    }
  }
  return null;
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

async function explore(topology: Topology): Promise<void> {
  const code = await compile(null);
  const count = Math.ceil(perTopology / topology.scenarios.length);
  for (const { name, runner } of topology.scenarios) {
    const started = performance.now();
    const broken = search(runner(code), count, MODELS);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const result =
      broken === null
        ? "all promises kept"
        : `${broken.model}, seed ${broken.seed}: ${describe(broken.error)}`;
    report(
      broken === null,
      `${topology.name}: ${name}: ${count} schedules from seed ${firstSeed}, ${seconds} s: ${result}`,
    );
  }
}

/** Some scenario must break; errors of any kind count, silence does not. */
async function mutate(topology: Topology, mutation: NamedMutation): Promise<void> {
  const code = await compile(mutation);
  for (const { name, runner } of topology.scenarios) {
    const broken = search(runner(code), MUTANT_SCHEDULES, MODELS);
    if (broken === null) continue;
    return report(
      true,
      `${topology.name}: caught "${mutation.what}" (${name}, ${broken.model}, seed ${broken.seed}: ${describe(broken.error).slice(0, 80)})`,
    );
  }
  report(false, `${topology.name}: nobody noticed "${mutation.what}"`);
}

/** One topology in a process of its own, which says what it found. */
async function runApart(name: string): Promise<void> {
  const options = ["--schedules", values.schedules, "--seed", values.seed, "--topology", name];
  const child = Bun.spawn([process.execPath, import.meta.path, ...options], {
    stdin: "ignore",
    stdout: "pipe",
  });
  const lines = (await new Response(child.stdout).text()).trimEnd().split("\n");
  const counts = /^(\d+) passed, (\d+) failed/.exec(lines.pop() ?? "");
  console.log(lines.join("\n"));
  passed += Number(counts?.[1] ?? 0);
  failed += Number(counts?.[2] ?? 1);
}

/** All that are asked for, as many at a time as there are processors. */
async function runAll(): Promise<void> {
  const names = TOPOLOGIES.map(({ name }) => name).filter((name) => name.includes(values.only));
  const work = async (): Promise<void> => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) await runApart(name);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
}

try {
  const topology = TOPOLOGIES.find(({ name }) => name === values.topology);
  if (topology === undefined) await runAll();
  else {
    await explore(topology);
    for (const mutation of topology.mutations) await mutate(topology, mutation);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed === 0 ? 0 : 1);
