/**
 * The shipped ring code under deterministic schedules: interleaved at every shared access, with the reorderings of x86-64 and of
 * ARMv8, and with deaths at any step. Of each topology many schedules at random, and of its smallest cases all within a bound.
 *
 *     bun test/schedules/run.ts [--schedules N] [--seed S] [--only TEXT] [--random]
 *     bun test/schedules/run.ts --topology NAME --replay "CASE, MODEL: SCRIPT"
 *
 * `--random`: without the small cases and the mutations, which are the same whatever the seed. What fails prints its seed, or the script of its schedule.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Coroutines, loadCoroutines } from "./bench.ts";
import type { Model } from "./machine.ts";
import type { NamedMutation } from "./mutations.ts";
import { RandomDirector } from "./random.ts";
import { exhaust, type Found, SystematicDirector } from "./systematic.ts";
import { type Runner, type SmallCase, TOPOLOGIES, type Topology } from "./topologies.ts";
import { buildCoroutines } from "./transform.ts";

const MODELS: readonly Model[] = ["sc", "tso", "arm"];
/** A mutation must be caught within so many schedules of each model and scenario. */
const MUTANT_SCHEDULES = 6000;
/** A bound that leaves more than so many schedules of a small case is too wide for it. */
const MOST_SMALL = 1_000_000;

const { values } = parseArgs({
  options: {
    schedules: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    topology: { type: "string" },
    replay: { type: "string" },
    random: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log("bun test/schedules/run.ts [--schedules PER_TOPOLOGY] [--seed FIRST] [--only TEXT] [--random]");
  console.log('bun test/schedules/run.ts --topology NAME --replay "CASE, MODEL: SCRIPT"');
  process.exit(0);
}
const perTopology = Number(values.schedules);
const firstSeed = Number(values.seed);
const scratch = mkdtempSync(join(tmpdir(), "physring-schedules-"));
let builds = 0;
let passed = 0;
let failed = 0;

async function compile(topology: Topology, mutation: NamedMutation | null): Promise<Coroutines> {
  const build = { mutation, doorbells: topology.doorbells ?? false };
  return loadCoroutines(buildCoroutines(join(scratch, String(builds++)), build));
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
      runner(model, new RandomDirector(seed));
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
  const code = await compile(topology, null);
  if (!values.random) exploreSmall(topology, code);
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

function describeBound({ model, ...bound }: SmallCase["bounds"][number]): string {
  const parts = Object.entries(bound).map(([kind, most]) => (most === 0 ? "" : `${most} ${kind}`));
  return [model, ...parts.filter((part) => part !== "")].join(", ");
}

/** All schedules of the small cases until one breaks a promise. */
function exhaustAll(
  topology: Topology,
  code: Coroutines,
  each: (small: SmallCase, bound: string, found: Found) => boolean,
): void {
  for (const small of topology.small) {
    const run = small.runner(code);
    for (const bound of small.bounds) {
      const found = exhaust((director) => run(bound.model, director), bound.model, bound, MOST_SMALL);
      if (!each(small, describeBound(bound), found)) return;
    }
  }
}

function exploreSmall(topology: Topology, code: Coroutines): void {
  let started = performance.now();
  exhaustAll(topology, code, ({ name }, bound, { count, broken }) => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const result = broken === null ? "all promises kept" : `${broken.script}: ${describe(broken.error)}`;
    report(broken === null, `${topology.name}: ${name}: all ${count} (${bound}), ${seconds} s: ${result}`);
    started = performance.now();
    return true;
  });
}

/** One schedule of a small case again, with the stack of what it breaks. */
async function replay(topology: Topology, which: string): Promise<void> {
  const [, name, model, script] = /^(.*), (sc|tso|arm): (.*)$/.exec(which) ?? [];
  const small = topology.small.find((one) => one.name === name);
  if (small === undefined) throw new Error(`${topology.name}: no small case "${name}"`);
  const director = new SystematicDirector(model as Model, small.bounds[0]!, script);
  console.log(`${small.runner(await compile(topology, null))(model as Model, director)} steps`);
  report(true, which);
}

/** An error that says that the mutated code means nothing, not that a promise was broken. */
function isNonsense(error: unknown): boolean {
  return error instanceof ReferenceError || error instanceof TypeError;
}

/** A mistake so small that a schedule of a small case must meet it. */
function mutateSmall(topology: Topology, mutation: NamedMutation, code: Coroutines): void {
  let schedules = 0;
  let caught = "";
  let sense = true;
  exhaustAll(topology, code, ({ name }, bound, { count, broken }) => {
    schedules += count;
    if (broken !== null) sense = !isNonsense(broken.error);
    if (broken !== null)
      caught = `${name}, ${bound}: ${broken.script}: ${describe(broken.error).slice(0, 80)}`;
    return broken === null;
  });
  const what = `${topology.name}: "${mutation.what}", all small schedules until one breaks: ${schedules}`;
  report(caught !== "" && sense, `${what}: ${caught === "" ? "nobody noticed" : caught}`);
}

/** Some scenario must break; any error counts but one that says that there is no such name. */
async function mutate(topology: Topology, mutation: NamedMutation): Promise<void> {
  const code = await compile(topology, mutation);
  if (mutation.small) mutateSmall(topology, mutation, code);
  if (mutation.small === "alone") return;
  const likelyFirst = topology.scenarios.toSorted(
    (a, b) => Number(b.name === mutation.where) - Number(a.name === mutation.where),
  );
  for (const { name, runner } of likelyFirst) {
    const broken = search(runner(code), MUTANT_SCHEDULES, MODELS);
    if (broken === null) continue;
    return report(
      !isNonsense(broken.error),
      `${topology.name}: caught "${mutation.what}" (${name}, ${broken.model}, seed ${broken.seed}: ${describe(broken.error).slice(0, 80)})`,
    );
  }
  report(false, `${topology.name}: nobody noticed "${mutation.what}"`);
}

/** One topology in a process of its own, which says what it found. */
async function runApart(name: string): Promise<void> {
  const options = [
    "--schedules",
    values.schedules,
    "--seed",
    values.seed,
    "--topology",
    name,
    ...(values.random ? ["--random"] : []),
  ];
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
  else if (values.replay !== undefined) await replay(topology, values.replay);
  else {
    await explore(topology);
    if (!values.random) for (const mutation of topology.mutations) await mutate(topology, mutation);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed === 0 ? 0 : 1);
