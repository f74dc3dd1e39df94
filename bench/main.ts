/** `npm run bench`: physring beside its limit in C and beside what a user would take instead. One table, or JSON. */
import { parseArgs } from "node:util";
import { type Binaries, buildBinaries } from "./build.ts";
import { MIN_ROUNDS, ratioToC, rowOf, type Verdict, verdictOf } from "./figures.ts";
import { Launcher } from "./launch.ts";
import { allowedCpus, choosePair, describeMachine } from "./machine.ts";
import { MEASURES, TARGETS, VALIDITY } from "./measures.ts";
import { PLACEMENT_LIMITS_NS } from "./probe.ts";
import { FOREIGN_LIMIT, type MeasureResult, MeasureRun } from "./rounds.ts";
import type { System } from "./system.ts";
import { SYSTEMS } from "./systems.ts";
import { formatTable, type Report } from "./table.ts";

const HELP = `usage: bun bench/main.ts [options]

  --json            print one JSON object instead of the table
  --rounds N        clean rounds for each measure (default 7; below ${MIN_ROUNDS} every verdict is "undecided")
  --only REGEX      measures whose name matches: ${MEASURES.map((measure) => measure.id).join(" ")}
  --systems REGEX   systems whose name matches: ${SYSTEMS.map((system) => system.id).join(" ")}
  --capacity N      slots of the rings, a power of two up to 4096 (default 1024)
  --wait SECONDS    time to wait, in all, for others to leave the CPUs (default 60)
  --nice=N          niceness of the measured processes; a negative one (root) keeps others off the CPUs on a busy machine
  --cpus A,B        the CPUs of the two ends
  --help

Every run stands between two cache-line probes (smt < ${PLACEMENT_LIMITS_NS.smt} ns, near <= ${PLACEMENT_LIMITS_NS.near} ns, far); a run counts when both agree and others used less
than ${FOREIGN_LIMIT * 100} % of a CPU. Disturbed rounds are repeated, up to three times as many as asked for.
Exit code: 0, 1 when the table is invalid or a checksum was wrong, 2 for bad arguments, 130 after Ctrl-C.`;

interface Options {
  readonly json: boolean;
  readonly rounds: number;
  readonly only: RegExp;
  readonly systems: RegExp;
  readonly capacity: number;
  readonly waitSeconds: number;
  readonly niceness: number;
  readonly cpus: readonly [number, number];
}

class UsageError extends Error {}

function parseCpus(text: string | undefined): readonly [number, number] {
  if (text === undefined) return choosePair();
  const cpus = text.split(",").map(Number);
  const allowed = allowedCpus();
  if (cpus.length !== 2 || cpus[0] === cpus[1] || !cpus.every((cpu) => allowed.includes(cpu))) {
    throw new UsageError(`--cpus ${text}: two different ones of ${allowed.join(", ")}`);
  }
  return [cpus[0]!, cpus[1]!];
}

function parseCount(name: string, text: string, max: number, min = 1): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new UsageError(`--${name} ${text}: a number from ${min} to ${max}`);
  return value;
}

function parseOptions(argv: string[]): Options | null {
  const { values } = parseArgs({
    args: argv,
    options: {
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      rounds: { type: "string", default: "7" },
      only: { type: "string", default: "" },
      systems: { type: "string", default: "" },
      capacity: { type: "string", default: "1024" },
      wait: { type: "string", default: "60" },
      nice: { type: "string", default: "0" },
      cpus: { type: "string" },
    },
  });
  if (values.help) return null;
  const capacity = parseCount("capacity", values.capacity, 4096);
  if ((capacity & (capacity - 1)) !== 0 || capacity < 64)
    throw new UsageError(`--capacity ${capacity}: a power of two from 64`);
  return {
    json: values.json,
    rounds: parseCount("rounds", values.rounds, 1000),
    only: new RegExp(values.only),
    systems: new RegExp(values.systems),
    capacity,
    waitSeconds: parseCount("wait", values.wait, 86_400, 0),
    niceness: parseCount("nice", values.nice, 19, -20),
    cpus: parseCpus(values.cpus),
  };
}

const showsProgress = process.stderr.isTTY;

function progress(line: string): void {
  if (showsProgress) process.stderr.write(`\r\x1b[K${line}`);
  else process.stderr.write(`${line}\n`);
}

function validityText(verdicts: readonly Verdict[]): string {
  if (verdicts.some((verdict) => verdict.outcome === "missed"))
    return "INVALID TABLE: the C ring is slower than 0.9 x boost";
  if (verdicts.every((verdict) => verdict.outcome === "reached")) return "valid limit (>= 0.9 x boost)";
  return "not compared with boost in this run (skipped or too few clean rounds)";
}

async function measureAll(
  options: Options,
  launcher: Launcher,
  binaries: Binaries,
  signal: AbortSignal,
): Promise<MeasureResult[]> {
  const results: MeasureResult[] = [];
  const patience = { leftMs: options.waitSeconds * 1000 };
  const systems = SYSTEMS.filter((system) => options.systems.test(system.id));
  for (const measure of MEASURES.filter((candidate) => options.only.test(candidate.id))) {
    const { cpus, capacity, rounds } = options;
    const run = new MeasureRun(launcher, binaries, { cpus, capacity, rounds, patience, progress, signal });
    results.push(await run.run(measure, systems));
  }
  if (showsProgress) progress("");
  return results;
}

function jsonOf(report: Report): string {
  const { results, systems, ...rest } = report;
  const measures = results.map((result) => ({
    id: result.measure.id,
    title: result.measure.title,
    placement: result.placement,
    roundsKept: result.kept.length,
    roundsAttempted: result.attempted,
    rows: rowsOf(result, systems),
    samples: result.samples,
  }));
  return JSON.stringify({ ...rest, measures });
}

function rowsOf(result: MeasureResult, systems: readonly System[]): unknown[] {
  return systems
    .filter((system) => system.volume(result.measure) !== null)
    .map((system) => ({ ...rowOf(result, system.id), ratioToC: ratioToC(result, system.id) }));
}

async function main(): Promise<number> {
  const options = parseOptions(Bun.argv.slice(2));
  if (options === null) {
    console.log(HELP);
    return 0;
  }
  if (Bun.which("taskset") === null) throw new UsageError("taskset is missing: apt-get install util-linux");
  const abort = new AbortController();
  using launcher = new Launcher(options.niceness);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      abort.abort(new Error("stopped"));
      launcher.killAll();
    });
  }
  const binaries = buildBinaries(options.capacity, progress);
  try {
    const results = await measureAll(options, launcher, binaries, abort.signal);
    const systems = SYSTEMS.filter((system) => options.systems.test(system.id));
    const validity = VALIDITY.map((target) => verdictOf(target, results));
    const targets = TARGETS.map((target) => verdictOf(target, results));
    const report: Report = {
      niceness: options.niceness,
      machine: describeMachine(options.cpus),
      capacity: options.capacity,
      compiler: `${binaries.compiler} ${binaries.flags}`,
      results,
      systems,
      validity,
      targets,
      validityText: validityText(validity),
    };
    console.log(options.json ? jsonOf(report) : formatTable(report));
    return validity.some((verdict) => verdict.outcome === "missed") ? 1 : 0;
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    process.stderr.write("\nstopped\n");
    return 130;
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError || error instanceof TypeError ? 2 : 1;
}
