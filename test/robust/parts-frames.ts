/**
 * A frame channel with history, or one that evicts, in the kill test: one producer, three consumers that join again and again. Each stay gets the
 * last frames first, whole, in order and (policy `block`, nobody evicted) without a hole up to the newest; afterwards no block is missing.
 */
import {
  Channel,
  EvictedError,
  type FrameConsumer,
  type FrameProducer,
  Region,
  WaitTimeoutError,
} from "../../src/index.ts";
import { Patience } from "../support/patience.ts";
import type { Random } from "../support/random.ts";
import { type Actor, PATIENCE_MS, ready, strategyOf } from "./actor-roles.ts";
import { Ledger } from "./ledger.ts";
import type { Aftermath, Topology } from "./parts.ts";
import { checkPayload, type Payload, writePayload } from "./payload.ts";

const NAME = "h";
const CONSUMERS = 3;
const FRAME_BYTES = 256;
const STALL_MS = 10;
const EVICTION_MS = 5000;

async function produce(actor: Actor, region: Region): Promise<void> {
  const { incarnation, wait } = actor.options;
  using ledger = Ledger.open(`${region.name}-ledger`);
  using tx = await actor.attach("producer", () => Channel.open(region, NAME).producer());
  ready(actor);
  for (let number = 0; !actor.stopping; ) {
    actor.beat();
    try {
      const limit = { timeoutMs: PATIENCE_MS };
      const strategy = strategyOf(wait);
      using frame = wait === "await" ? await tx.loanAsync(limit) : tx.loan({ ...limit, strategy });
      if (frame === null) {
        await Bun.sleep(1); // dropped: every block is in the history or being read
        continue;
      }
      writePayload(frame.bytes, incarnation, number);
      if (wait === "await") await tx.sendAsync(frame, limit);
      else tx.send(frame, { ...limit, strategy });
    } catch (error) {
      actor.survive(error);
      continue;
    }
    ledger.committed(incarnation, ++number);
    actor.frame();
    if (actor.random.oneIn(32)) await Bun.sleep(actor.random.below(2));
  }
}

/** What one stay of a consumer sees. */
class Stay {
  #last: Payload | null = null;
  #first: Payload | null = null;

  constructor(
    readonly channel: Channel,
    readonly ledger: Ledger,
    /** What everybody had published for certain before we joined, and after. */
    readonly before: ReadonlyMap<number, number>,
    readonly after: ReadonlyMap<number, number>,
    readonly gapless: boolean,
    readonly fault: (what: string) => void,
  ) {}

  check(bytes: Uint8Array): void {
    const payload = checkPayload(bytes);
    if (typeof payload === "string") {
      this.fault(`torn: ${payload}`);
      return;
    }
    const { incarnation, number } = payload;
    const last = this.#last;
    this.#last = payload;
    this.ledger.received(incarnation, number);
    if (last === null) this.#begin(payload);
    else this.#checkNext(last, payload);
    this.#checkFirst(payload);
  }

  #checkNext(last: Payload, { incarnation, number }: Payload): void {
    const same = last.incarnation === incarnation;
    if (same && number <= last.number) this.fault(`${incarnation}:${number} after ${last.number}`);
    const due = same ? last.number + 1 : 0;
    if (this.gapless && number !== due) this.fault(`${incarnation}:${number} came where ${due} was due`);
  }

  #begin(payload: Payload): void {
    this.#first = payload;
    const oldest = (this.before.get(payload.incarnation) ?? 0) - this.channel.history;
    if (payload.number < oldest)
      this.fault(`${payload.incarnation}:${payload.number} first, ${oldest} is the oldest in the history`);
  }

  /** A producer that sent more afterwards was there: then as much came first as there was. One send may have been under way. */
  #checkFirst({ incarnation, number }: Payload): void {
    const first = this.#first;
    if (first === null || !this.gapless) return;
    // Undefined: a producer that started when nobody here knew of it; what it had sent by then was not looked up.
    const after = this.after.get(incarnation);
    if (after === undefined || first.incarnation !== incarnation || number <= after + 1) return;
    this.#first = null;
    const newest = Math.max(0, after + 1 - this.channel.history);
    if (first.number > newest) this.fault(`${incarnation}:${first.number} first, after ${after}`);
  }
}

/** How much of everybody is published by now. */
function progress(ledger: Ledger, most: number): Map<number, number> {
  const counts = new Map<number, number>();
  for (let incarnation = Math.max(0, most - 60); incarnation <= most; incarnation++)
    counts.set(incarnation, ledger.committedBy(incarnation));
  return counts;
}

async function consume(actor: Actor, region: Region): Promise<void> {
  using ledger = Ledger.open(`${region.name}-ledger`);
  let newest = actor.options.incarnation;
  for (let stays = 0; !actor.stopping; stays++) {
    const channel = Channel.open(region, NAME);
    const { policy, stallAction } = channel.geometry;
    const before = progress(ledger, newest);
    using rx = await actor.attach("consumer", () => channel.consumer({ reconnect: true }));
    if (stays === 0) ready(actor);
    const gapless = policy === "block" && stallAction === "none";
    const after = progress(ledger, newest);
    const stay = new Stay(channel, ledger, before, after, gapless, (what) => actor.fault(what));
    try {
      newest = Math.max(newest, await read(actor, rx, stay));
    } catch (error) {
      if (!(error instanceof EvictedError)) throw error;
      if (stallAction !== "evict") actor.fault("evicted, but nobody evicts here");
      actor.survive(error);
    }
  }
}

/** Until this stay ends. Returns the newest incarnation it met. */
async function read(actor: Actor, rx: FrameConsumer, stay: Stay): Promise<number> {
  const { wait } = actor.options;
  let newest = 0;
  while (!actor.stopping && !actor.random.oneIn(24)) {
    actor.beat();
    try {
      const limit = { timeoutMs: PATIENCE_MS };
      using frame =
        wait === "await"
          ? await rx.receiveAsync(limit)
          : rx.receive({ ...limit, strategy: strategyOf(wait) });
      if (frame === null) continue;
      stay.check(frame.bytes);
      newest = Math.max(newest, new Int32Array(frame.bytes.buffer, frame.bytes.byteOffset, 1)[0]!);
      actor.frame();
    } catch (error) {
      if (error instanceof EvictedError) throw error;
      actor.survive(error);
    }
    if (actor.random.oneIn(64)) await Bun.sleep(0);
  }
  return newest;
}

function create(region: Region, random: Random, history: number, evicts: boolean): void {
  Channel.create(region, NAME, {
    frameBytes: FRAME_BYTES,
    metaBytes: 0,
    history,
    maxConsumers: CONSUMERS,
    laneCapacity: random.pick([2, 8]),
    frames: history + random.pick([2, 8, 40]),
    policy: evicts ? "block" : random.pick(["block", "block", "drop-oldest", "drop-newest"]),
    stallTimeoutMs: evicts ? STALL_MS : 0,
  });
}

function verify({ region }: Aftermath): string[] {
  const faults: string[] = [];
  const channel = Channel.open(region, NAME);
  const { blockCount } = channel.pool.geometry;
  const free = channel.pool.countFree();
  if (free !== blockCount) faults.push(`${blockCount - free} of ${blockCount} blocks are held by nobody`);
  using tx = channel.producer();
  for (let number = 0; number < 20; number++) {
    using frame = tx.loan({ timeoutMs: 1000 })!;
    writePayload(frame.bytes, 0x7fff_ffff, number);
    tx.send(frame, { timeoutMs: 1000 });
  }
  if (blockCount - channel.pool.countFree() !== channel.history)
    faults.push("not as many blocks kept as asked for");
  if (channel.geometry.stallAction === "evict") faults.push(...idler(tx, region));
  return faults;
}

/** Whoever stands still is still evicted. */
function idler(tx: FrameProducer, region: Region): string[] {
  const { evicted } = tx.counters;
  using other = Region.open(region.name);
  Channel.open(other, NAME).consumer();
  for (const patience = new Patience(EVICTION_MS); tx.counters.evicted === evicted; ) {
    if (patience.isOver) return [`a consumer that takes nothing was not evicted in ${EVICTION_MS} ms`];
    try {
      using frame = tx.loan({ timeoutMs: STALL_MS })!;
      tx.send(frame, { timeoutMs: STALL_MS });
    } catch (error) {
      if (!(error instanceof WaitTimeoutError)) throw error;
    }
  }
  return [];
}

function topology(name: string, make: (region: Region, random: Random) => void): Topology {
  return {
    name,
    parts: { producer: { count: 1, run: produce }, consumer: { count: CONSUMERS, run: consume } },
    create: make,
    verify,
  };
}

export const framesHistory = topology("frames, history", (region, random) =>
  create(region, random, random.pick([1, 4, 7]), random.oneIn(3)),
);
export const framesEvicting = topology("frames, evicting", (region, random) =>
  create(region, random, 0, true),
);
