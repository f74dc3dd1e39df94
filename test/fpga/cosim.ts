/**
 * Randomised co-simulation: host processes drive the clocked core with random commands while the bus makes errors, queues are reset, and the hosts are killed.
 * Every command completes exactly once with the right bytes or fails with a reason; no block leaks; after recovery no byte of a free block changes any more.
 *
 *     bun test/fpga/cosim.ts [--commands N] [--queues 1-4] [--coherency full|io|none|all] [--seed N] [--json]
 */
import { parseArgs } from "node:util";
import type { Coherency } from "../../src/fpga/board.ts";
import { CommandQueue, Core } from "../../src/fpga/index.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Pool } from "../../src/ring/pool.ts";
import { Patience } from "../support/patience.ts";
import { Random } from "../support/random.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";
import { expectNobodyWrites } from "./free-blocks.ts";
import { HostProcess } from "./host-process.ts";
import { liftQuarantine } from "./quarantine.ts";
import { NOTHING_DONE, type Tally } from "./tally.ts";

const BLOCKS = 48;
const FRAME_BYTES = 4096;
const MAX_QUEUES = 4;

export interface CosimOptions {
  readonly coherency: Coherency;
  readonly commands: number;
  /** As many host processes, each with a queue and a pool. */
  readonly queues: number;
  readonly seed: number;
  /** Chance per burst. */
  readonly errorRate: number;
  /** Commands between two kills, on average. */
  readonly killEvery: number;
}

export interface CosimResult extends Omit<Tally, "done"> {
  readonly coherency: Coherency;
  readonly seed: number;
  kills: number;
  /** Kills after which the queue did not go idle at once. */
  quarantines: number;
  /** Blocks that were the hardware's when their process died, and came back. */
  reclaimed: number;
  seconds: number;
}

/** Runs one board. @throws Error with the seed when anything is wrong */
export async function cosimulate(options: CosimOptions): Promise<CosimResult> {
  const startMs = performance.now();
  const random = new Random(options.seed);
  const result: CosimResult = {
    ...NOTHING_DONE,
    coherency: options.coherency,
    seed: options.seed,
    kills: 0,
    quarantines: 0,
    reclaimed: 0,
    seconds: 0,
  };
  await using board = await TestBoard.start({
    coherency: options.coherency,
    seed: options.seed,
    // A completion whose burst was refused in part must not look valid: the bus of this test refuses everything now and then.
    parameters: ["SPLIT_COMPLETION=1"],
    arguments: ["--error-rate", String(options.errorRate), "--stall", "0.1"],
  });
  const participant = Participant.of(board.region);
  using core = Core.open(`board:${board.name}`);
  const pools: Pool[] = [];
  for (let queue = 0; queue < options.queues; queue++) {
    const pool = Pool.create(board.region, `blocks${queue}`, {
      frameBytes: FRAME_BYTES,
      blockCount: BLOCKS,
      metaBytes: 0,
    });
    pools.push(pool);
    CommandQueue.create(core, board.region, `queue${queue}`, {
      queue,
      pool,
      capacity: 8 << (queue % 2),
      maxParts: 8,
      wait: "poll",
    }).close();
  }
  await Promise.all(
    pools.map((pool, queue) =>
      runQueue(board, core, participant, pool, queue, options, new Random(random.bits()), result),
    ),
  );
  await board.simulation.stop();
  result.seconds = Math.round((performance.now() - startMs) / 100) / 10;
  return result;
}

async function runQueue(
  board: TestBoard,
  core: Core,
  participant: Participant,
  pool: Pool,
  queue: number,
  options: CosimOptions,
  random: Random,
  result: CosimResult,
): Promise<void> {
  let left = Math.ceil(options.commands / options.queues);
  while (left > 0) {
    const host = new HostProcess({
      board: board.name,
      region: board.name,
      queue: `queue${queue}`,
      seed: random.bits(),
      commands: left,
      errors: options.errorRate > 0,
      wait: random.oneIn(2) ? "poll" : "interrupt",
    });
    const killAt = 1 + random.below(2 * options.killEvery);
    const killDelayMs = random.below(20);
    try {
      await Promise.race([host.ended, killSometime(host, killAt, killDelayMs)]);
      await host.ended;
    } finally {
      if (!host.killed) host.kill();
    }
    if (!host.tally.done) await afterDeath(board, core, participant, pool, queue, result);
    for (const key of Object.keys(NOTHING_DONE) as (keyof typeof NOTHING_DONE)[])
      result[key] += host.tally[key];
    left -= host.tally.submitted;
    if (pool.countFree() !== BLOCKS)
      throw new Error(`seed ${options.seed}: ${BLOCKS - pool.countFree()} blocks of queue ${queue} leaked`);
  }
}

/** Kills the host some milliseconds after it reported so many commands: in the middle of the next ones. */
async function killSometime(host: HostProcess, commands: number, delayMs: number): Promise<void> {
  while (host.tally.submitted < commands) {
    if (host.tally.done) return;
    if (host.silent)
      throw new Error(`a host has done nothing for a minute, at ${JSON.stringify(host.tally)}`);
    await Bun.sleep(5);
  }
  await Bun.sleep(delayMs);
  if (!host.tally.done) host.kill();
}

/** Recovery, and then: whoever takes the free blocks has them for himself. */
async function afterDeath(
  board: TestBoard,
  core: Core,
  participant: Participant,
  pool: Pool,
  queue: number,
  result: CosimResult,
): Promise<void> {
  result.kills++;
  let quarantined = false;
  const stop = participant.onDeath(({ recovery }) => {
    if (recovery === null) return;
    result.reclaimed += recovery.blocksReclaimed;
    quarantined ||= recovery.quarantined.length > 0;
  });
  const patience = new Patience(10_000);
  while (participant.recoverDead() === 0 && pool.countFree() !== BLOCKS) {
    if (patience.isOver) throw new Error("the dead host was not recovered");
    await Bun.sleep(1);
  }
  stop();
  if (quarantined) {
    result.quarantines++;
    await liftQuarantine(core, board.region, `queue${queue}`);
  }
  await expectNobodyWrites(board, core, participant, pool, queue);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      commands: { type: "string", default: "3000" },
      queues: { type: "string", default: "2" },
      coherency: { type: "string", default: "all" },
      seed: { type: "string", default: "1" },
      "kill-every": { type: "string", default: "400" },
      "error-rate": { type: "string", default: "0.0005" },
      json: { type: "boolean", default: false },
    },
  });
  const missing = await whyNoBoards();
  if (missing !== null) {
    console.log(`${missing}\n0 passed, 0 failed, 1 skipped`);
    return 0;
  }
  const modes: Coherency[] =
    values.coherency === "all" ? ["full", "io", "none"] : [values.coherency as Coherency];
  let [passed, failed] = [0, 0];
  for (const coherency of modes) {
    // A call to the agent of an incoherent machine is a turn of the scheduler: fewer commands there.
    const commands = Math.ceil(
      Number(values.commands) / (values.coherency === "all" && coherency !== "full" ? 10 : 1),
    );
    try {
      const result = await cosimulate({
        coherency,
        commands,
        queues: Math.min(Number(values.queues), MAX_QUEUES),
        seed: Number(values.seed),
        errorRate: Number(values["error-rate"]),
        killEvery: Number(values["kill-every"]),
      });
      passed++;
      console.log(values.json ? JSON.stringify(result) : describe(result));
    } catch (error) {
      failed++;
      console.log(
        `${coherency}, seed ${values.seed}: ${error instanceof Error ? error.stack : String(error)}`,
      );
    }
  }
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  return failed === 0 ? 0 : 1;
}

function describe(r: CosimResult): string {
  return (
    `${r.coherency}: ${r.submitted} commands in ${r.seconds} s: ${r.ok} right, ${r.failed} refused by the bus, ${r.reset} reset, ${r.halted} halted, ${r.timedOut} timed out; ` +
    `${r.refused} malformed ones refused; ${r.resets} resets, ${r.kills} kills (${r.quarantines} quarantined for a while), ${r.reclaimed} holds of the dead swept; no block leaked`
  );
}

if (import.meta.main) process.exit(await main());
