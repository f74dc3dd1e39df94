/**
 * Fuzz test: words of live regions change at random while they are in use. Two parts, see memory-fuzz.ts (one process, changes also
 * between any two protocol steps) and live-fuzz.ts (several processes under fire).
 *
 *     bun test/robust/fuzz.ts --mutations 1000000 --live-seconds 10 --seed 1 [--json]
 */
import { parseArgs } from "node:util";
import { RUNNER_VARIABLE } from "../support/orphan.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";
import { Patience } from "../support/patience.ts";
import { seedFrom } from "../support/random.ts";
import { Board, Word } from "./board.ts";
import { type LiveFuzzResult, liveFuzz } from "./live-fuzz.ts";
import type { MemoryFuzzOptions, MemoryFuzzReport } from "./memory-fuzz.ts";

const MEMORY_FUZZ = new URL("./memory-fuzz.ts", import.meta.url).pathname;
/** A round of calls takes milliseconds; bounded spins make some of them a second. */
const HANG_MS = 60_000;
const POLL_MS = 20;

export interface FuzzOptions {
  /** Mutations of the in-process part, in all. */
  readonly mutations: number;
  readonly liveSeconds: number;
  readonly seed: number;
  /** Processes that share the in-process part; default 2, the second of them in debug mode. */
  readonly shards?: number;
}

export interface FuzzResult {
  readonly seed: number;
  readonly mutations: number;
  readonly memory: readonly MemoryFuzzReport[];
  readonly live: LiveFuzzResult | null;
  readonly faults: readonly string[];
  readonly seconds: number;
}

/** One process of the in-process part; its faults, or its report. */
async function runShard(
  board: Board,
  options: MemoryFuzzOptions,
  debug: boolean,
): Promise<MemoryFuzzReport | string> {
  board.clear(options.slot);
  const region = ownRegion(`${options.board}-memory-${options.slot}`);
  const child = Bun.spawn([process.execPath, MEMORY_FUZZ, JSON.stringify(options)], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, PHYSRING_DEBUG: debug ? "1" : "0", [RUNNER_VARIABLE]: String(process.pid) },
  });
  const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  let beats = -1;
  const patience = new Patience(HANG_MS);
  let hung = false;
  while (child.exitCode === null && child.signalCode === null) {
    const now = board.get(options.slot, Word.beat);
    if (now !== beats) patience.renew();
    beats = now;
    if (patience.isOver) {
      hung = true;
      child.kill("SIGKILL");
    }
    await Promise.race([child.exited, Bun.sleep(POLL_MS)]);
  }
  const [text, errors] = await output;
  destroyOwned(region);
  const which = `seed ${options.seed}, round ${beats}`;
  if (hung) return `${which}: no progress for ${HANG_MS} ms`;
  if (child.signalCode !== null) return `${which}: ended by ${child.signalCode}: ${errors.slice(-2000)}`;
  if (text === "") return `${which}: exit ${child.exitCode}: ${errors.slice(-2000)}`;
  return JSON.parse(text) as MemoryFuzzReport;
}

async function memoryFuzz(options: FuzzOptions): Promise<{ reports: MemoryFuzzReport[]; faults: string[] }> {
  const name = ownRegion(`fuzz-run-${process.pid}-${options.seed}-board`);
  const board = Board.create(name);
  try {
    const shards = options.shards ?? 2;
    const share = Math.ceil(options.mutations / shards);
    const results = await Promise.all(
      Array.from({ length: shards }, (_, i) =>
        runShard(board, { mutations: share, seed: options.seed + i, board: name, slot: i }, i % 2 === 1),
      ),
    );
    const reports = results.filter((result) => typeof result !== "string");
    const faults = results.flatMap((result) => (typeof result === "string" ? [result] : result.faults));
    return { reports, faults };
  } finally {
    board[Symbol.dispose]();
    destroyOwned(name);
  }
}

export async function fuzzTest(options: FuzzOptions): Promise<FuzzResult> {
  const startMs = performance.now();
  const { reports, faults } = options.mutations > 0 ? await memoryFuzz(options) : { reports: [], faults: [] };
  const live =
    options.liveSeconds > 0 ? await liveFuzz({ seconds: options.liveSeconds, seed: options.seed }) : null;
  const mutations = reports.reduce((sum, report) => sum + report.mutations, live?.mutations ?? 0);
  const seconds = Math.round(performance.now() - startMs) / 1000;
  return {
    seed: options.seed,
    mutations,
    memory: reports,
    live,
    faults: [...faults, ...(live?.faults ?? [])],
    seconds,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      mutations: { type: "string", default: "1000000" },
      "live-seconds": { type: "string", default: "10" },
      seed: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const result = await fuzzTest({
    mutations: Number(values.mutations),
    liveSeconds: Number(values["live-seconds"]),
    seed: seedFrom(values.seed),
  });
  console.log(JSON.stringify(result, null, values.json ? 0 : 2));
  process.exit(result.faults.length === 0 ? 0 : 1);
}
