/**
 * Torture test: two processes and the SPSC ring. (1) Messages whose words are written by every means JavaScript has, read back by
 * other means; sequence and content are verified, indices cross 2³¹ and 2³². (2) Ping-pong where going to sleep races with being
 * woken: a wake-up is lost when the waker is done and the peer sleeps on for 40 ms, its doorbell armed (it finds out by itself
 * only after its 50 ms slice).
 *
 *     bun test/robust/torture.ts --messages 5000000 --rounds 5000 --seed 1 [--json]
 */
import { parseArgs } from "node:util";
import { Region, Ring } from "../../src/index.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { RUNNER_VARIABLE } from "../support/orphan.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";
import { Random, seedFrom } from "../support/random.ts";
import { Board } from "./board.ts";
import type { PeerOptions, PeerReport } from "./torture-peer.ts";

const PEER = new URL("./torture-peer.ts", import.meta.url).pathname;
/** A machine with nothing but this to do needs a microsecond for a message; ours is shared. */
const LIMIT_MS_PER_MESSAGE = 0.02;
const LIMIT_MS_PER_ROUND = 20;
const LIMIT_MS = 60_000;
/** A thread can be late for reasons we do not see, on a busy machine; a lost wake-up each time would be thousands. */
const MOST_UNEXPLAINED = 3;
const UNEXPLAINED_SHARE = 0.0005;

export interface TortureOptions {
  /** Messages in all, split over shapes of ring. */
  readonly messages: number;
  /** Ping-pong rounds in all, split over four pairs of ways to sleep. */
  readonly rounds: number;
  readonly seed: number;
}

export interface TortureResult {
  readonly seed: number;
  readonly messages: number;
  readonly messagesPerSecond: readonly number[];
  readonly rounds: number;
  readonly sleeps: number;
  readonly slowRounds: number;
  readonly unexplained: number;
  readonly lostWakeUps: number;
  readonly longestWakeUpMs: number;
  readonly faults: readonly string[];
  readonly seconds: number;
}

/** Slots, capacity, first index (just before 2³² and 2³¹), share of the messages: the tiny ring is all waiting. */
const SHAPES = [
  { slotBytes: 64, capacity: 256, start: -50_000, share: 0.4 },
  { slotBytes: 32, capacity: 1024, start: 0x7fff_ffff - 50_000, share: 0.4 },
  { slotBytes: 16, capacity: 8, start: -3, share: 0.01 },
  { slotBytes: 128, capacity: 64, start: 0, share: 0.19 },
] as const;

const SLEEPERS = [
  { ping: "futex", pong: "futex" },
  { ping: "await", pong: "await" },
  { ping: "futex", pong: "await" },
  { ping: "await", pong: "futex" },
] as const;

type Job = Omit<PeerOptions, "board" | "slot" | "peerSlot" | "region">;

class Pair implements Disposable {
  readonly region: Region;
  readonly #board: Board;
  readonly #children: Bun.Subprocess<"ignore", "pipe", "inherit">[] = [];

  constructor(name: string) {
    this.region = Region.create(ownRegion(name), { size: "1MiB" });
    this.#board = Board.create(ownRegion(`${name}-board`));
  }

  /** Runs both ends to their end; null and a fault for one that did not report. */
  async run(
    jobs: readonly [Job, Job],
    limitMs: number,
  ): Promise<{ reports: PeerReport[]; faults: string[] }> {
    const faults: string[] = [];
    const timer = setTimeout(() => {
      faults.push(`${jobs[0].role}/${jobs[1].role}: not done within ${limitMs} ms`);
      this.#kill();
    }, limitMs);
    const results = await Promise.all(jobs.map((job, slot) => this.#runOne(job, slot)));
    clearTimeout(timer);
    const reports: PeerReport[] = [];
    for (const result of results) {
      if (typeof result === "string") faults.push(result);
      else reports.push(result);
    }
    for (const { fault } of reports) if (fault !== null) faults.push(fault);
    return { reports, faults };
  }

  async #runOne(job: Job, slot: number): Promise<PeerReport | string> {
    const board = this.#board.region.name;
    const options: PeerOptions = { ...job, region: this.region.name, board, slot, peerSlot: 1 - slot };
    const child = Bun.spawn([process.execPath, PEER, JSON.stringify(options)], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, [RUNNER_VARIABLE]: String(process.pid) },
    });
    this.#children.push(child);
    const text = await new Response(child.stdout).text();
    await child.exited;
    const report = text === "" ? null : (JSON.parse(text) as PeerReport);
    // The other one would wait for nothing.
    if (report?.fault !== null) this.#kill();
    if (report !== null) return report;
    return `${job.role} ended with ${child.signalCode ?? child.exitCode} and no report`;
  }

  #kill(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }

  [Symbol.dispose](): void {
    this.#kill();
    const board = this.#board.region.name;
    this.#board[Symbol.dispose]();
    destroyOwned(board);
    this.region.close();
    destroyOwned(this.region.name);
  }
}

interface Totals {
  readonly messagesPerSecond: number[];
  readonly faults: string[];
  sleeps: number;
  slowRounds: number;
  unexplained: number;
  lostWakeUps: number;
  longestWakeUpMs: number;
}

async function tortureRing(
  shape: (typeof SHAPES)[number],
  count: number,
  random: Random,
  totals: Totals,
): Promise<void> {
  using pair = new Pair(`torture-run-${process.pid}-${random.bits().toString(36)}`);
  const ring = Ring.create(pair.region, "ring", shape);
  ring.geometry.words[RingLayout.tailWord] = shape.start;
  ring.geometry.words[RingLayout.preparedWord] = shape.start;
  ring.geometry.words[RingLayout.headWord] = shape.start;
  const job = { count, wait: "futex" } as const;
  const { reports, faults } = await pair.run(
    [
      { ...job, role: "produce", seed: random.bits() },
      { ...job, role: "consume", seed: random.bits() },
    ],
    LIMIT_MS + count * LIMIT_MS_PER_MESSAGE,
  );
  totals.faults.push(...faults.map((fault) => `ring ${shape.slotBytes} x ${shape.capacity}: ${fault}`));
  const seconds = Math.max(...reports.map((report) => report.seconds));
  if (seconds > 0) totals.messagesPerSecond.push(Math.round(count / seconds));
}

async function torturePingPong(
  waits: (typeof SLEEPERS)[number],
  count: number,
  random: Random,
  totals: Totals,
): Promise<void> {
  using pair = new Pair(`pingpong-run-${process.pid}-${random.bits().toString(36)}`);
  for (const name of ["ping", "pong"]) Ring.create(pair.region, name, { slotBytes: 16, capacity: 4 });
  const { reports, faults } = await pair.run(
    [
      { role: "ping", wait: waits.ping, count, seed: random.bits() },
      { role: "pong", wait: waits.pong, count, seed: random.bits() },
    ],
    LIMIT_MS + count * LIMIT_MS_PER_ROUND,
  );
  totals.faults.push(...faults.map((fault) => `${waits.ping}/${waits.pong}: ${fault}`));
  for (const report of reports) {
    totals.sleeps += report.sleeps;
    totals.slowRounds += report.slowRounds;
    totals.unexplained += report.unexplained;
    totals.lostWakeUps += report.lostWakeUps;
    totals.longestWakeUpMs = Math.max(totals.longestWakeUpMs, report.longestMs);
  }
}

export async function tortureTest(options: TortureOptions): Promise<TortureResult> {
  const startMs = performance.now();
  const random = new Random(options.seed);
  const totals: Totals = {
    messagesPerSecond: [],
    faults: [],
    sleeps: 0,
    slowRounds: 0,
    unexplained: 0,
    lostWakeUps: 0,
    longestWakeUpMs: 0,
  };
  let messages = 0;
  for (const shape of options.messages > 0 ? SHAPES : []) {
    const count = Math.ceil(options.messages * shape.share);
    await tortureRing(shape, count, random, totals);
    messages += count;
  }
  const rounds = Math.ceil(options.rounds / SLEEPERS.length);
  for (const waits of rounds > 0 ? SLEEPERS : []) await torturePingPong(waits, rounds, random, totals);
  if (totals.lostWakeUps > 0)
    totals.faults.push(`${totals.lostWakeUps} lost wake-ups in ${options.rounds} rounds`);
  if (totals.unexplained > MOST_UNEXPLAINED + options.rounds * UNEXPLAINED_SHARE) {
    totals.faults.push(`${totals.unexplained} late wake-ups in ${options.rounds} rounds for no reason`);
  }
  return {
    seed: options.seed,
    messages,
    rounds: rounds * SLEEPERS.length,
    ...totals,
    seconds: Math.round(performance.now() - startMs) / 1000,
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "5000000" },
      rounds: { type: "string", default: "5000" },
      seed: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const result = await tortureTest({
    messages: Number(values.messages),
    rounds: Number(values.rounds),
    seed: seedFrom(values.seed),
  });
  console.log(JSON.stringify(result, null, values.json ? 0 : 2));
  process.exit(result.faults.length === 0 ? 0 : 1);
}
