/**
 * Rounds: every system of a measure once, in changing order, each run between two probes. A run is clean when both probes
 * agree on the placement and others left the CPUs alone; a round is clean when the runs of the measure's key systems are
 * clean and of one placement. Disturbed rounds are repeated. Only rounds of one placement enter the figures.
 */
import type { Binaries } from "./build.ts";
import type { PeerResult } from "./job.ts";
import { type Launcher, RunError, type RunResult, runOnce } from "./launch.ts";
import { foreignShare, readCpuTime } from "./machine.ts";
import type { Measure } from "./measures.ts";
import { type Placement, type Probe, probePlacement } from "./probe.ts";
import type { System } from "./system.ts";
import { jobFor } from "./systems.ts";

export interface RoundOptions {
  readonly cpus: readonly [number, number];
  readonly capacity: number;
  /** Clean rounds wanted. */
  readonly rounds: number;
  /** Shared by all measures: how long the benchmark may still wait for others to leave the CPUs. */
  readonly patience: { leftMs: number };
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Others may use this share of one CPU during a clean run. */
export const FOREIGN_LIMIT = 0.15;
/** Rounds tried for each one wanted. */
const ATTEMPTS_PER_ROUND = 3;
/** Length of one look at the load of the machine. */
const LOOK_MS = 100;
const PLACEMENTS: readonly Placement[] = ["smt", "near", "far", "unknown"];

/** One run of one system. */
export interface Sample {
  readonly system: string;
  readonly round: number;
  readonly peer: PeerResult;
  readonly probeNs: readonly [number | null, number | null];
  /** Null when the probes disagree or others used the CPUs. */
  readonly placement: Placement | null;
  readonly foreign: number;
}

export interface MeasureResult {
  readonly measure: Measure;
  /** All runs, also the disturbed ones. */
  readonly samples: readonly Sample[];
  /** Placement the figures are from; null when no round was clean. */
  readonly placement: Placement | null;
  /** The rounds that count. */
  readonly kept: readonly number[];
  readonly attempted: number;
  /** Systems that were left out, and why. */
  readonly skipped: ReadonlyMap<string, string>;
}

/** The placement most clean rounds had, and those rounds. */
function bestRounds(
  measure: Measure,
  systems: readonly System[],
  samples: readonly Sample[],
): { placement: Placement | null; kept: number[] } {
  const keys = measure.keySystems.filter((id) => systems.some((system) => system.id === id));
  const rounds = [...new Set(samples.map((sample) => sample.round))];
  const candidates = PLACEMENTS.map((placement) => ({
    placement,
    kept: rounds.filter((round) =>
      keys.every((id) =>
        samples.some((s) => s.round === round && s.system === id && s.placement === placement),
      ),
    ),
  }));
  const best = candidates.reduce((a, b) => (b.kept.length > a.kept.length ? b : a));
  return best.kept.length === 0 ? { placement: null, kept: [] } : best;
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

/** Runs the rounds of one measure until enough are clean or the limit is reached. */
export class MeasureRun {
  readonly #launcher: Launcher;
  readonly #binaries: Binaries;
  readonly #options: RoundOptions;
  readonly #skipped = new Map<string, string>();
  readonly #samples: Sample[] = [];
  #lastProbe: Probe | null = null;

  constructor(launcher: Launcher, binaries: Binaries, options: RoundOptions) {
    this.#launcher = launcher;
    this.#binaries = binaries;
    this.#options = options;
  }

  async run(measure: Measure, systems: readonly System[]): Promise<MeasureResult> {
    const { rounds, signal, progress } = this.#options;
    let able = systems.filter((system) => system.volume(measure) !== null);
    let attempted = 0;
    for (; attempted < rounds * ATTEMPTS_PER_ROUND; attempted++) {
      const { kept } = bestRounds(measure, able, this.#samples);
      if (kept.length >= rounds) break;
      const repeat = attempted >= rounds;
      const due = able.filter((system) => !repeat || measure.keySystems.includes(system.id));
      for (const system of rotate(due.length > 0 ? due : able, attempted)) {
        signal.throwIfAborted();
        progress(`${measure.title}: round ${attempted + 1}, ${kept.length} of ${rounds} clean, ${system.id}`);
        await this.#sample(measure, system, attempted);
      }
      able = able.filter((system) => !this.#skipped.has(system.id));
      if (able.length === 0) break;
    }
    return {
      measure,
      samples: this.#samples,
      ...bestRounds(measure, able, this.#samples),
      attempted,
      skipped: this.#skipped,
    };
  }

  /** Waits, within the patience, until others leave the CPUs alone. */
  async #untilQuiet(): Promise<void> {
    const { patience, signal, progress } = this.#options;
    let waited = false;
    while (patience.leftMs > 0 && !signal.aborted) {
      const before = readCpuTime();
      await Bun.sleep(LOOK_MS);
      if (foreignShare(before, readCpuTime(), 0) <= FOREIGN_LIMIT) break;
      if (!waited)
        progress(`waiting for others to leave the CPUs, ${Math.ceil(patience.leftMs / 1000)} s at most`);
      waited = true;
      this.#lastProbe = null;
      patience.leftMs -= LOOK_MS;
    }
  }

  async #sample(measure: Measure, system: System, round: number): Promise<void> {
    const { cpus, capacity } = this.#options;
    await this.#untilQuiet();
    const before = this.#lastProbe ?? (await probePlacement(this.#launcher, cpus, this.#binaries));
    const cpuBefore = readCpuTime();
    const ownBefore = process.cpuUsage();
    const result = await this.#try(system, () => {
      return runOnce(
        this.#launcher,
        system,
        jobFor(system, measure, "", capacity, cpus[1]),
        cpus,
        this.#binaries,
      );
    });
    const own = process.cpuUsage(ownBefore);
    const cpuAfter = readCpuTime();
    const after = await probePlacement(this.#launcher, cpus, this.#binaries);
    this.#lastProbe = after;
    if (result === null) return;
    const foreign = foreignShare(cpuBefore, cpuAfter, result.cpuMs + (own.user + own.system) / 1000);
    const steady = before.placement === after.placement && foreign <= FOREIGN_LIMIT;
    this.#samples.push({
      system: system.id,
      round,
      peer: result.peer,
      probeNs: [before.roundTripNs, after.roundTripNs],
      placement: steady ? after.placement : null,
      foreign,
    });
  }

  /** A system that cannot be built or found here is skipped; a wrong result is an error. */
  async #try(system: System, run: () => Promise<RunResult>): Promise<RunResult | null> {
    try {
      return await run();
    } catch (error) {
      if (this.#options.signal.aborted) this.#options.signal.throwIfAborted();
      const text = error instanceof Error ? error.message : String(error);
      if (text.includes("checksums differ") || !isRemediable(system, error)) throw error;
      this.#skipped.set(system.id, skipReason(system, text));
      return null;
    }
  }
}

/** Native programs that could not be built, and the npm package that is not installed. */
function isRemediable(system: System, error: unknown): boolean {
  const text = error instanceof Error ? error.message : "";
  if (!(error instanceof RunError)) return text.startsWith("skipped:");
  return system.id === "ringbuf.js" && text.includes("Cannot find");
}

function skipReason(system: System, text: string): string {
  return system.id === "ringbuf.js" ? "skipped: install with `npm install ringbuf.js`" : text;
}
