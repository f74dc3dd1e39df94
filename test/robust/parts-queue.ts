/** The work queue in the kill test: producers and consumers of all kinds; every message once, in its producer's order. */
import {
  BackpressureError,
  EvictedError,
  type PolicyName,
  Queue,
  type QueueConsumer,
  type QueueProducer,
  type QueueTaker,
  type Region,
  type RingConsumer,
  type RingProducer,
} from "../../src/index.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { Patience } from "../support/patience.ts";
import type { Random } from "../support/random.ts";
import { type Actor, PATIENCE_MS, ready, strategyOf } from "./actor-roles.ts";
import { Ledger, MOST_NUMBERS } from "./ledger.ts";
import type { Aftermath, Topology } from "./parts.ts";

const NAME = "q";
export const SLOT_BYTES = 32;
const SLOT_WORDS = SLOT_BYTES / 4;
const PRODUCERS = 3;
const STALL_MS = 10;
const EVICTION_MS = 5000;
export const BURST = 8;

/** Word k of a message; words 0 and 1 are its incarnation and number. */
function wordOf(incarnation: number, number: number, k: number): number {
  return (Math.imul(incarnation ^ Math.imul(number, 0x85ebca6b), 0x9e3779b1) + k) | 0;
}

function writeMessage(words: Int32Array, at: number, incarnation: number, number: number): void {
  words[at] = incarnation;
  words[at + 1] = number;
  for (let k = 2; k < SLOT_WORDS; k++) words[at + k] = wordOf(incarnation, number, k);
}

async function waitFor(
  actor: Actor,
  end: {
    block(options: object): boolean;
    wait(options: object): Promise<boolean>;
  },
): Promise<void> {
  const { wait } = actor.options;
  if (wait === "await") await end.wait({ timeoutMs: PATIENCE_MS });
  else end.block({ timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) });
}

/** 0: no room, whatever the policy has to say about it; the same messages are tried again. */
function reserveSome(actor: Actor, tx: QueueProducer | RingProducer, wanted: number): number {
  try {
    return tx.reserve(wanted);
  } catch (error) {
    if (!(error instanceof BackpressureError)) throw error;
    actor.survive(error);
    return 0;
  }
}

export async function produceInto(
  actor: Actor,
  region: Region,
  attach: () => QueueProducer | RingProducer,
): Promise<void> {
  const { incarnation } = actor.options;
  using ledger = Ledger.open(`${region.name}-ledger`);
  using tx = await actor.attach("producer", attach);
  ready(actor);
  for (let number = 0; !actor.stopping; ) {
    actor.beat();
    const wanted = 1 + actor.random.below(BURST);
    if (number + wanted > MOST_NUMBERS) {
      actor.frame();
      await Bun.sleep(2);
      continue;
    }
    const count = reserveSome(actor, tx, wanted);
    if (count === 0) {
      await waitFor(actor, tx);
      continue;
    }
    for (let i = 0; i < count; i++) writeMessage(tx.words, tx.at + i * tx.slotWords, incarnation, number + i);
    tx.commit(count);
    number += count;
    ledger.committed(incarnation, number);
    actor.frame();
    if (actor.random.oneIn(16)) await Bun.sleep(actor.random.below(2));
  }
}

/** What one consumer sees: intact messages, of each producer in order, none that somebody else had. */
export class Inbox {
  readonly #last = new Map<number, number>();

  constructor(
    readonly ledger: Ledger,
    readonly fault: (what: string) => void,
    /** A predecessor may have died before it gave them back. */
    readonly redelivery: boolean,
  ) {}

  check(words: Int32Array, at: number): void {
    const incarnation = words[at]!;
    const number = words[at + 1]!;
    for (let k = 2; k < SLOT_WORDS; k++)
      if (words[at + k] !== wordOf(incarnation, number, k))
        this.fault(`message ${incarnation}:${number} is torn`);
    const last = this.#last.get(incarnation) ?? -1;
    if (number <= last) this.fault(`message ${incarnation}:${number} after ${last}`);
    // Peeked in place by somebody who died before the release: comes again. How often, the ledger counts.
    if (!this.ledger.received(incarnation, number) && !this.redelivery)
      this.fault(`message ${incarnation}:${number} came twice`);
    this.#last.set(incarnation, number);
  }
}

type Rx = QueueConsumer | QueueTaker | RingConsumer;

/** @param evicts whether consumers that stand still lose their places; then they come back */
export async function consumeFrom(
  actor: Actor,
  region: Region,
  attach: () => Rx,
  evicts = false,
): Promise<void> {
  using ledger = Ledger.open(`${region.name}-ledger`);
  let inbox: Inbox | null = null;
  while (!actor.stopping) {
    using rx = await actor.attach("consumer", attach);
    if (inbox === null) ready(actor);
    inbox ??= new Inbox(ledger, (what) => actor.fault(what), !("take" in rx));
    try {
      await consumeWith(actor, rx, inbox);
    } catch (error) {
      if (!(error instanceof EvictedError)) throw error;
      if (!evicts) actor.fault("evicted, but nobody evicts here");
      actor.survive(error);
    }
  }
}

async function consumeWith(actor: Actor, rx: Rx, inbox: Inbox): Promise<void> {
  while (!actor.stopping) {
    actor.beat();
    if (drainSome(rx, inbox, 1 + actor.random.below(BURST)) > 0) actor.frame();
    else await waitFor(actor, rx);
    if (actor.random.oneIn(64)) await Bun.sleep(0);
  }
}

function consumerOf(region: Region): QueueConsumer | QueueTaker {
  const queue = Queue.open(region, NAME);
  return queue.geometry.sharedHeads ? queue.taker({ burst: BURST }) : queue.consumer();
}

export function drainSome(rx: Rx, inbox: Inbox, max: number): number {
  const count = "take" in rx ? rx.take(max) : rx.peek(max);
  for (let i = 0; i < count; i++) inbox.check(rx.words, rx.at + i * rx.slotWords);
  if ("release" in rx) rx.release(count);
  return count;
}

type Consumers = "one" | "many";

function create(
  region: Region,
  random: Random,
  consumers: Consumers,
  policy: PolicyName,
  evicts: boolean,
): void {
  const capacity = random.pick([2, 8, 64]);
  const queue = Queue.create(region, NAME, {
    slotBytes: SLOT_BYTES,
    capacity,
    producers: PRODUCERS,
    consumers,
    policy,
    stallTimeoutMs: evicts ? STALL_MS : 0,
  });
  // Indices go round 2^31 or 2^32 at once.
  const start = random.pick([-20, 0x7fff_fff0]);
  for (const { words } of queue.geometry.lanes)
    words[RingLayout.tailWord] = words[RingLayout.headWord] = start;
}

/** The rest is taken, then all must be accounted for, and every end be free. */
function verify({ region, ledger, kills }: Aftermath): string[] {
  const faults: string[] = [];
  const queue = Queue.open(region, NAME);
  const { sharedHeads } = queue.geometry;
  {
    using rx = consumerOf(region);
    const inbox = new Inbox(ledger, (what) => faults.push(what), !sharedHeads);
    while (drainSome(rx, inbox, BURST) > 0);
  }
  const { droppedOldest, queued } = queue.counters;
  if (queued !== 0) faults.push(`${queued} messages cannot be taken`);
  const held = sharedHeads ? (kills["consumer"] ?? 0) * BURST : 0;
  const uncounted = queue.geometry.policy === "drop-oldest" ? (kills["producer"] ?? 0) * BURST : 0;
  const again = sharedHeads ? 0 : (kills["consumer"] ?? 0) * BURST;
  if (ledger.duplicates > again)
    faults.push(`${ledger.duplicates} came twice; ${again} may be delivered again`);
  const missing = ledger.missing();
  if (missing > held + droppedOldest + uncounted) {
    faults.push(`${missing} messages are lost; the dead held ${held} at most, ${droppedOldest} were dropped`);
  }
  faults.push(...newcomers(region));
  if (queue.geometry.stallAction === "evict") faults.push(...idler(region));
  return faults;
}

/** Whoever stands still is still evicted. */
function idler(region: Region): string[] {
  const queue = Queue.open(region, NAME);
  const { evicted } = queue.counters;
  using _idle = consumerOf(region);
  using tx = queue.producer();
  for (const patience = new Patience(EVICTION_MS); queue.counters.evicted === evicted; ) {
    tx.commit(tx.reserve(1));
    if (patience.isOver) return [`a consumer that takes nothing was not evicted in ${EVICTION_MS} ms`];
  }
  return [];
}

/** Every lane can be taken, and a message passes each. */
function newcomers(region: Region): string[] {
  const queue = Queue.open(region, NAME);
  using rx = consumerOf(region);
  const producers = Array.from({ length: PRODUCERS }, () => queue.producer());
  for (const [lane, tx] of producers.entries()) {
    if (tx.reserve(1) !== 1) return [`lane ${lane} has no room for a newcomer`];
    tx.write(0, lane, 4711, 0, 0);
    tx.commit(1);
  }
  let got = 0;
  for (let tries = 0; tries < 2 * PRODUCERS; tries++) {
    const count = "take" in rx ? rx.take(1) : rx.peek(1);
    if (count === 1 && rx.words[rx.at + 1] === 4711) got++;
    if ("release" in rx) rx.release(count);
  }
  for (const tx of producers) tx.close();
  return got === PRODUCERS ? [] : [`${got} of ${PRODUCERS} newcomers' messages arrived`];
}

function topology(name: string, consumers: Consumers, policy: PolicyName, evicts = false): Topology {
  return {
    name,
    parts: {
      producer: {
        count: PRODUCERS,
        run: (actor, region) => produceInto(actor, region, () => Queue.open(region, NAME).producer()),
      },
      consumer: {
        count: consumers === "one" ? 1 : 3,
        together: true,
        run: (actor, region) => consumeFrom(actor, region, () => consumerOf(region), evicts),
      },
    },
    create: (region, random) => create(region, random, consumers, policy, evicts),
    verify,
  };
}

export const queueOne = topology("queue, one consumer", "one", "block");
export const queueMany = topology("queue, many consumers", "many", "block");
export const queueDropOldest = topology("queue, many consumers, drop-oldest", "many", "drop-oldest");
export const queueDropNewest = topology("queue, many consumers, drop-newest", "many", "drop-newest");
export const queueFailing = topology("queue, one consumer, failing", "one", "fail");
export const queueEvicting = topology("queue, many consumers, evicting", "many", "block", true);
export const queueOneEvicting = topology("queue, one consumer, evicting", "one", "block", true);
