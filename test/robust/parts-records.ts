/**
 * Records in the kill test: one producer, three consumers that each see every record (reliable), or are told exactly how many they
 * missed (lossy); with eviction, a consumer that was stopped for too long loses its place and comes again.
 */
import { EvictedError, type RecordConsumer, Records, type Region } from "../../src/index.ts";
import { cursorOwnerWord, cursorPositionWord, RecordsLayout } from "../../src/ring/records-layout.ts";
import type { Random } from "../support/random.ts";
import { type Actor, PATIENCE_MS, ready, strategyOf } from "./actor-roles.ts";
import { Ledger } from "./ledger.ts";
import type { Aftermath, Topology } from "./parts.ts";
import { sendNumbers } from "./parts-numbers.ts";
import { checkPayload, type Payload, writePayload } from "./payload.ts";

const NAME = "r";
const CONSUMERS = 3;
const BURST = 6;
const STALL_MS = 10;

function lengthOf(number: number): number {
  return 8 + ((number * 37) % 64) * 24;
}

async function produce(actor: Actor, region: Region): Promise<void> {
  const { incarnation, wait } = actor.options;
  using ledger = Ledger.open(`${region.name}-ledger`);
  using tx = await actor.attach("producer", () => Records.open(region, NAME).producer());
  ready(actor);
  await sendNumbers(actor, async (number, limit) => {
    if (wait === "await") await tx.reserveAsync(lengthOf(number), limit);
    else tx.reserve(lengthOf(number), { ...limit, strategy: strategyOf(wait) });
    writePayload(tx.bytes.subarray(tx.offset, tx.offset + lengthOf(number)), incarnation, number);
    tx.finish(lengthOf(number));
    if (actor.random.below(BURST) !== 0) return;
    tx.publish();
    ledger.committed(incarnation, number + 1);
  });
}

/** What one stay of a consumer sees. */
class Watch {
  #last: Payload | null = null;
  #received = 0;
  #firstSequence = 0;

  constructor(
    readonly rx: RecordConsumer,
    readonly lossy: boolean,
    readonly ledger: Ledger,
    readonly fault: (what: string) => void,
  ) {}

  /** Reads up to `most` records. */
  read(most: number): number {
    const { rx } = this;
    let count = 0;
    while (count < most && rx.next()) {
      const { sequence } = rx;
      // A copy all the same, but of bytes that may be changing: the check must hold for whatever reads them.
      const bytes = new Uint8Array(rx.length);
      bytes.set(rx.view());
      if (!rx.intact()) {
        this.#count(sequence); // one that is not counted as missed, and lost all the same
        this.#last = null;
        continue;
      }
      count++;
      this.#check(bytes, sequence);
    }
    return count;
  }

  #count(sequence: number): void {
    if (this.#received === 0) this.#firstSequence = sequence - this.rx.missed;
    this.#received++;
  }

  #check(bytes: Uint8Array, sequence: number): void {
    const payload = checkPayload(bytes);
    if (typeof payload === "string") {
      this.fault(`torn: ${payload}`);
      return;
    }
    const { incarnation, number } = payload;
    if (bytes.length !== lengthOf(number)) this.fault(`${incarnation}:${number} has ${bytes.length} bytes`);
    this.#count(sequence);
    if (((sequence - this.#firstSequence) | 0) !== this.#received + this.rx.missed - 1)
      this.fault(`sequence ${sequence}: ${this.#received} received, ${this.rx.missed} missed`);
    const last = this.#last;
    if (last !== null && last.incarnation === incarnation && number <= last.number)
      this.fault(`${incarnation}:${number} after ${last.number}`);
    if (last !== null && !this.lossy) this.#checkNothingLost(last, payload);
    this.#last = payload;
    this.ledger.received(incarnation, number);
  }

  #checkNothingLost(last: Payload, { incarnation, number }: Payload): void {
    const expected = last.incarnation === incarnation ? last.number + 1 : 0;
    if (number !== expected) this.fault(`${incarnation}:${number} came where ${expected} was due`);
    if (last.incarnation === incarnation) return;
    const committed = this.ledger.committedBy(last.incarnation);
    if (last.number + 1 < committed)
      this.fault(`of ${last.incarnation}, dead, ${committed} were published and ${last.number + 1} came`);
  }
}

async function consume(actor: Actor, region: Region): Promise<void> {
  using ledger = Ledger.open(`${region.name}-ledger`);
  const { wait } = actor.options;
  for (let stays = 0; !actor.stopping; stays++) {
    const records = Records.open(region, NAME);
    const { history, mode } = records.geometry;
    const options = { reconnect: true, history: actor.random.below(history + 1) };
    using rx = await actor.attach("consumer", () => records.consumer(options));
    if (stays === 0) ready(actor);
    const watch = new Watch(rx, mode === "lossy", ledger, (what) => actor.fault(what));
    try {
      while (!actor.stopping) {
        actor.beat();
        if (watch.read(1 + actor.random.below(BURST)) > 0) actor.frame();
        rx.release();
        if (wait === "await") await rx.wait({ timeoutMs: PATIENCE_MS });
        else rx.block({ timeoutMs: PATIENCE_MS, strategy: strategyOf(wait) });
        if (actor.random.oneIn(64)) await Bun.sleep(0);
        if (actor.random.oneIn(500)) break; // leaves and joins again
      }
    } catch (error) {
      if (!(error instanceof EvictedError)) throw error;
      if (records.geometry.stallAction !== "evict") actor.fault("evicted, but nobody evicts here");
      actor.survive(error);
    }
  }
}

function create(region: Region, random: Random, lossy: boolean, evicts: boolean): void {
  const records = Records.create(region, NAME, {
    capacityBytes: random.pick([4096, 16384, 131072]),
    mode: lossy ? "lossy" : "reliable",
    maxConsumers: lossy ? 0 : CONSUMERS,
    history: random.pick([0, 8]),
    stallTimeoutMs: evicts ? STALL_MS : 0,
  });
  // Positions go round 2^31 or 2^32 soon, sequences at once.
  const position = random.pick([-65536, 0x7fff_0000]);
  const { words, maxConsumers } = records.geometry;
  words[RecordsLayout.tailWord] = position;
  words[RecordsLayout.firstMarkWord] = position;
  words[RecordsLayout.firstMarkWord + RecordsLayout.markSequenceWord] = random.pick([-20, 0x7fff_fff0]);
  words[RecordsLayout.claimWord] = position;
  words[RecordsLayout.epochWord] = position >>> 31;
  for (let k = 0; k < maxConsumers; k++) words[cursorPositionWord(k)] = position;
}

/** Every end can be taken again, and a record passes. */
function verify({ region }: Aftermath): string[] {
  const records = Records.open(region, NAME);
  const { words, maxConsumers, mode } = records.geometry;
  const faults: string[] = [];
  for (let k = 0; k < maxConsumers; k++)
    if ((words[cursorOwnerWord(k)]! & 0xff) !== 0) faults.push(`cursor ${k} is still taken`);
  using tx = records.producer();
  const count = mode === "lossy" ? 2 : maxConsumers;
  const consumers = Array.from({ length: count }, () => records.consumer({ history: 0 }));
  for (let number = 0; number < 100; number++) {
    const bytes = new Uint8Array(lengthOf(number));
    writePayload(bytes, 0x7fff_ffff, number);
    tx.send(bytes, { timeoutMs: 1000 });
    for (const rx of consumers) {
      const received = rx.tryReceive();
      if (received === null || Buffer.compare(received, bytes) !== 0)
        return [...faults, `a newcomer's record ${number} does not arrive`];
    }
  }
  for (const rx of consumers) rx.close();
  return faults;
}

function topology(name: string, lossy: boolean, evicts: boolean): Topology {
  return {
    name,
    parts: { producer: { count: 1, run: produce }, consumer: { count: CONSUMERS, run: consume } },
    create: (region, random) => create(region, random, lossy, evicts),
    verify,
  };
}

export const recordsReliable = topology("records, reliable", false, false);
export const recordsEvicting = topology("records, evicting", false, true);
export const recordsLossy = topology("records, lossy", true, false);
