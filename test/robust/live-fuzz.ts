/**
 * Live fuzzing: sources, workers, sinks, ring ends, and the parts of a queue, a cell and records, in processes of their own use a region while this process scribbles over it
 * and heals it again. They may see typed errors and time-outs; none may crash, hang, throw anything else or eat memory.
 */
import { readFileSync } from "node:fs";
import { Channel, Pool, Region, Ring, regionOffset } from "../../src/index.ts";
import { destroyOwned, ownRegion } from "../support/owned-regions.ts";
import { Patience } from "../support/patience.ts";
import { Random } from "../support/random.ts";
import type { ActorOptions } from "./actor-roles.ts";
import { Board } from "./board.ts";
import { Crew } from "./crew.ts";
import { Ledger } from "./ledger.ts";
import { cell } from "./parts-cell.ts";
import { queueEvicting } from "./parts-queue.ts";
import { recordsEvicting } from "./parts-records.ts";
import { findTargets, Scribbler } from "./scribbler.ts";

const REGION_BYTES = 600 * 1024 + 512;
/** Of the kill test; one process for each part. */
const TOPOLOGIES = [queueEvicting, cell, recordsEvicting];
const READY_MS = 20_000;
/** Every member goes round its loop at least once in this time. */
const BEAT_MS = 15_000;
const LEAVE_MS = 20_000;
const HEAL_EVERY_MS = 60;
const MOST_RSS = 700 * 2 ** 20;
const MOST_BURST = 400;

export interface LiveFuzzResult {
  readonly mutations: number;
  readonly frames: number;
  readonly typedErrors: number;
  readonly errorCodes: Record<string, number>;
  readonly largestRssBytes: number;
  readonly faults: readonly string[];
  readonly seconds: number;
}

function build(name: string, random: Random): Region {
  const region = Region.create(name, { size: REGION_BYTES });
  const pool = Pool.create(region, "pool", { frameBytes: 1024, blockCount: 16, metaBytes: 128 });
  Channel.create(region, "in", {
    pool,
    policy: "drop-oldest",
    delivery: "one",
    laneCapacity: 4,
    maxConsumers: 2,
  });
  Channel.create(region, "out0", { pool, policy: "drop-newest", laneCapacity: 4, maxConsumers: 1 });
  Channel.create(region, "out1", { pool, policy: "drop-oldest", laneCapacity: 4, maxConsumers: 1 });
  Ring.create(region, "ring", { slotBytes: 32, capacity: 16 });
  for (const topology of TOPOLOGIES) topology.create(region, random);
  return region;
}

function startCrew(crew: Crew, region: string, random: Random): void {
  const base = { region, outputs: 2, reconnect: true, gapless: false, once: false, hostile: true };
  let incarnation = 0;
  const start = (role: ActorOptions["role"], wait: ActorOptions["wait"], output = 0): void => {
    crew.start({ ...base, role, wait, output, seed: random.bits(), incarnation: ++incarnation });
  };
  start("source", "futex");
  start("worker", "futex", 0);
  start("worker", "await", 1);
  start("sink", "await");
  start("ring-source", "futex");
  start("ring-sink", "await");
  for (const { name, parts } of TOPOLOGIES) {
    for (const part of Object.keys(parts)) {
      const wait = random.pick(["futex", "await"] as const);
      crew.start({
        ...base,
        role: "part",
        topology: name,
        part,
        wait,
        output: 0,
        seed: random.bits(),
        incarnation: ++incarnation,
      });
    }
  }
}

function rssBytes(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
  } catch {
    return 0;
  }
}

/** Scribbles for `seconds`; false when a member died or stopped going round. */
async function scribble(
  crew: Crew,
  scribbler: Scribbler,
  heal: () => void,
  random: Random,
  seconds: number,
): Promise<number> {
  const endMs = performance.now() + seconds * 1000;
  const beats = new Map(
    crew.members.map((member) => [member, { beats: -1, patience: new Patience(BEAT_MS) }]),
  );
  let largestRss = 0;
  let healMs = performance.now() + HEAL_EVERY_MS;
  while (performance.now() < endMs && crew.faults.length === 0) {
    for (let i = random.logarithmic(MOST_BURST); i > 0; i--) scribbler.mutate();
    if (performance.now() > healMs) {
      heal();
      // Left in peace for a moment: they get going again, so that the next words hit something alive.
      await Bun.sleep(random.below(60));
      healMs = performance.now() + random.below(2 * HEAL_EVERY_MS);
    }
    for (const member of crew.members) {
      const last = beats.get(member)!;
      if (last.patience.isOver) crew.fault(`${member.name} hangs: no round for ${BEAT_MS} ms`);
      if (member.beats !== last.beats) last.patience.renew();
      last.beats = member.beats;
      if (member.gone) await crew.bury(member);
      largestRss = Math.max(largestRss, rssBytes(member.pid));
    }
    await Bun.sleep(random.below(3));
  }
  if (largestRss > MOST_RSS) crew.fault(`a member grew to ${largestRss} bytes`);
  return largestRss;
}

export async function liveFuzz(options: {
  readonly seconds: number;
  readonly seed: number;
}): Promise<LiveFuzzResult> {
  const startMs = performance.now();
  const random = new Random(options.seed);
  const name = ownRegion(`live-run-${process.pid}-${options.seed}`);
  using cleanup = new DisposableStack();
  cleanup.defer(() => destroyOwned(name));
  cleanup.defer(() => destroyOwned(`${name}-board`));
  cleanup.defer(() => destroyOwned(`${name}-ledger`));
  cleanup.use(Ledger.create(ownRegion(`${name}-ledger`)));
  const board = cleanup.use(Board.create(ownRegion(`${name}-board`)));
  const { targets, limitBytes } = ((): ReturnType<typeof findTargets> => {
    using region = build(name, random);
    return findTargets(region);
  })();
  const raw = cleanup.use(Region.open(name, { raw: true }));
  const pristine = raw.bytes.slice(0, limitBytes);
  const scribbler = new Scribbler(
    raw.words(regionOffset(0), REGION_BYTES >>> 2),
    targets,
    limitBytes,
    random,
  );
  await using crew = new Crew(board);
  startCrew(crew, name, random);
  let largestRssBytes = 0;
  if (
    await crew.until("everybody attached", READY_MS, () => crew.members.every((member) => member.isReady))
  ) {
    const heal = (): void => {
      raw.bytes.set(pristine);
      scribbler.forget();
    };
    largestRssBytes = await scribble(crew, scribbler, heal, random, options.seconds);
    heal();
  }
  const frames = crew.members.reduce((sum, member) => sum + member.frames, 0);
  const typedErrors = crew.members.reduce((sum, member) => sum + member.typedErrors, 0);
  await crew.dismiss(LEAVE_MS);
  return {
    mutations: scribbler.mutations,
    frames,
    typedErrors,
    errorCodes: crew.errorCodes,
    largestRssBytes,
    faults: crew.faults.map((fault) => `live: ${fault}`),
    seconds: Math.round(performance.now() - startMs) / 1000,
  };
}
