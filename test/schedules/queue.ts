/**
 * Scenario: a work queue of two lanes of two slots whose indices wrap. Producers and consumers sleep when they can do nothing; any of
 * them may die anywhere and is cleaned up by a cleaner that may die as well. Checked: every message once, in the order of its
 * producer, intact; none lost that no dead consumer had taken and no policy dropped; nobody sleeps while there is something to do.
 */
import { QueueEndedError } from "../../src/ring/errors.ts";
import { type PolicyName, RingLayout } from "../../src/ring/layout.ts";
import type { QueueShape } from "../../src/ring/queue-geometry.ts";
import { fence, loadHint, storePlain } from "./atomics.ts";
import { admit, type Coroutines, type Loose, type PlainParticipant, PlainRegion } from "./bench.ts";
import type { Model } from "./machine.ts";
import { type Coroutine, Schedule, Violation } from "./schedule.ts";
import { PlainRinger, sleepUntil } from "./sleep.ts";

const PRODUCERS = 2;
const MESSAGES = 3;
const BURST = 2;
const CAPACITY = 2;

export interface QueueScenario {
  readonly name: string;
  readonly consumers: "one" | "many";
  readonly policy: PolicyName;
  readonly deaths: number;
}

export class QueueBench {
  readonly region = new PlainRegion();
  readonly code: Coroutines;
  readonly queue: Loose;
  readonly #initial: Int32Array;

  constructor(code: Coroutines, scenario: QueueScenario) {
    this.code = code;
    const { consumers, policy } = scenario;
    const shape: QueueShape = { slotBytes: 16, capacity: CAPACITY, producers: PRODUCERS, consumers, policy };
    this.queue = code.queueGeometry.createQueueGeometry(this.region, "q", shape);
    this.#initial = this.region.memory.slice();
  }

  reset(firstIndex: number): void {
    this.region.memory.set(this.#initial);
    for (const { words } of this.queue.lanes)
      words[RingLayout.tailWord] = words[RingLayout.headWord] = firstIndex;
  }
}

function nameOf(participant: number): string {
  return `${participant < PRODUCERS ? "producer" : "consumer"} ${participant}`;
}

class Run {
  readonly ringer: PlainRinger;
  /** By maker: numbers that may have been published, and those that were for certain. */
  readonly offered: number[] = [];
  readonly committed: number[] = [];
  readonly received: number[] = [];
  /** Peeked in place, and perhaps not released: they come again if the consumer dies. */
  readonly unreleased = new Set<number>();
  consumersDead = 0;
  #makers = 0;
  #toAttach = PRODUCERS;

  constructor(
    readonly bench: QueueBench,
    readonly schedule: Schedule,
    readonly scenario: QueueScenario,
  ) {
    this.ringer = new PlainRinger(bench.region, schedule, nameOf);
  }

  admit(index: number): PlainParticipant {
    const participant = admit(this.bench.region, index);
    return Object.assign(participant, { ringer: this.ringer });
  }

  /** Its lock is free: somebody cleans up, who may die as well. */
  onDeath(index: number, then: () => void): void {
    const { recovery } = this.bench.code;
    const clean = function* (this: Run): Coroutine {
      yield* recovery.cleanParticipant(this.bench.region, index, this.ringer);
      yield* fence(); // letting go of the locks is one
      then();
    };
    this.schedule.start(`cleaner of ${index}`, clean.call(this), () => this.onDeath(index, then));
  }

  startProducer(index: number): void {
    const maker = this.#makers++;
    let attached = false;
    const attach = (): void => {
      if (!attached) this.#toAttach--;
      attached = true;
    };
    this.schedule.start(nameOf(index), this.produce(this.admit(index), maker, attach), () => {
      this.onDeath(index, attach);
    });
  }

  *produce(participant: PlainParticipant, maker: number, attached: () => void): Coroutine {
    const { queue, region, code } = this.bench;
    let tx: Loose;
    try {
      tx = yield* code.queueProducer.attach(queue, participant);
    } catch (error) {
      if (!(error instanceof QueueEndedError)) throw error;
      return;
    } finally {
      attached();
    }
    for (let number = 0; number < MESSAGES; ) {
      const wanted = Math.min(1 + this.schedule.random.below(BURST), MESSAGES - number);
      const count: number = yield* tx.reserve(wanted);
      if (count === 0 && this.scenario.policy === "block")
        yield* sleepUntil(region, this.ringer, participant.index, () => tx.ready());
      if (count === 0 && this.scenario.policy !== "block") number += wanted;
      for (let i = 0; i < count; i++) {
        const value = maker * 100 + number++;
        this.offered.push(value);
        yield* storePlain(tx.words, tx.at + i * tx.slotWords, value);
        yield* storePlain(tx.words, tx.at + i * tx.slotWords + 1, ~value);
      }
      if (count > 0) {
        yield* tx.commit(count);
        this.committed.push(
          ...this.offered.filter(
            (value) => !this.committed.includes(value) && Math.floor(value / 100) === maker,
          ),
        );
      }
    }
    yield* tx.close();
  }

  /**
   * Ends the queue: at once, once all producers have come, or when there is nothing left in it. The last one tells who sleeps
   * beside messages that somebody else left: no end wakes him.
   */
  *end(when: "at once" | "all came" | "empty"): Coroutine {
    while (when !== "at once" && this.#toAttach > 0) yield;
    while (when === "empty" && (this.#somebodyProduces || this.#somethingQueued)) yield;
    yield* this.bench.code.queueEnds.endQueue(this.bench.queue, this.ringer);
  }

  get #somebodyProduces(): boolean {
    return this.schedule.isRunning("producer") || this.schedule.isRunning("cleaner");
  }

  get #somethingQueued(): boolean {
    return this.bench.queue.lanes.some(
      ({ words }: Loose) => words[RingLayout.headWord] !== words[RingLayout.tailWord],
    );
  }

  /** @param patience messages after which it goes about other things for ever; Infinity: it stays */
  startConsumer(index: number, patience: number): void {
    const work = this.consume(this.admit(index), patience);
    this.schedule.start(nameOf(index), work, () => {
      this.consumersDead++;
      this.onDeath(index, () => {
        if (patience === Number.POSITIVE_INFINITY) this.startConsumer(index, patience);
      });
    });
  }

  *consume(participant: PlainParticipant, patience: number): Coroutine {
    const { queue, region, code } = this.bench;
    const rx: Loose = queue.sharedHeads
      ? yield* code.queueTaker.attach(queue, participant, BURST)
      : yield* code.queueConsumer.attach(queue, participant);
    for (let taken = 0; taken < patience; ) {
      const max = 1 + this.schedule.random.below(BURST);
      const count: number = queue.sharedHeads ? yield* rx.take(max) : yield* rx.peek(max);
      const burst: number[] = [];
      for (let i = 0; i < count; i++) burst.push(yield* this.check(rx, rx.at + i * rx.slotWords));
      if (count > 0 && !queue.sharedHeads) {
        yield* rx.release(count);
        for (const value of burst) this.unreleased.delete(value);
      }
      taken += count;
      if (count > 0) continue;
      if (yield* code.queueEnds.isOver(queue)) break;
      yield* rx.waiter.begin();
      yield* sleepUntil(region, this.ringer, participant.index, () => rx.waiter.ready());
      yield* rx.waiter.end();
    }
    if (patience === Number.POSITIVE_INFINITY) yield* rx.close();
  }

  *check(rx: Loose, at: number): Generator<void, number, void> {
    const { sharedHeads } = this.bench.queue;
    // Private memory is read at once, a slot in place: nobody may change it before the release.
    const value: number = sharedHeads ? rx.words[at] : yield* loadHint(rx.words, at);
    const echo: number = sharedHeads ? rx.words[at + 1] : yield* loadHint(rx.words, at + 1);
    if (echo !== ~value) throw new Violation(`message ${value} is torn: ${echo}`);
    const redelivered = this.unreleased.has(value);
    if (!sharedHeads) this.unreleased.add(value);
    if (!redelivered && this.received.includes(value)) throw new Violation(`message ${value} twice`);
    if (!redelivered) this.received.push(value);
    return value;
  }

  verify(): void {
    const { lanes } = this.bench.queue;
    for (const { words } of lanes) {
      if (words[RingLayout.headWord] !== words[RingLayout.tailWord]) throw new Violation("something is left");
      if ((words[RingLayout.producerOwnerWord] & 0xff) !== 0) throw new Violation("a lane is left");
    }
    for (const value of this.received)
      if (!this.offered.includes(value)) throw new Violation(`message ${value} was never sent`);
    const dropped = lanes.reduce(
      (sum: number, lane: Loose) => sum + lane.words[RingLayout.droppedOldestWord],
      0,
    );
    const lost = this.committed.filter((value) => !this.received.includes(value)).length;
    // A producer that died between dropping and counting may have dropped one burst more.
    const uncounted = this.scenario.policy === "drop-oldest" ? this.scenario.deaths * BURST : 0;
    // What a dead taker had claimed is lost; what was peeked in place is delivered again.
    const claimed = this.bench.queue.sharedHeads ? this.consumersDead * BURST : 0;
    const most = dropped + uncounted + claimed;
    if (lost > most)
      throw new Violation(`${lost} messages lost, ${most} may be: ${this.received} of ${this.committed}`);
    this.#verifyOrder();
  }

  /** One consumer sees each producer's messages in order; with several the order of taking is not known here. */
  #verifyOrder(): void {
    if (this.scenario.consumers === "many") return;
    for (let maker = 0; maker < this.#makers; maker++) {
      const own = this.received.filter((value) => Math.floor(value / 100) === maker);
      if (own.some((value, i) => i > 0 && value < own[i - 1]!)) throw new Violation(`out of order: ${own}`);
    }
  }
}

/** Throws a {@link Violation} if the schedule of this seed breaks a promise. Returns the number of steps. */
export function runQueue(bench: QueueBench, scenario: QueueScenario, model: Model, seed: number): number {
  bench.reset([0, 0x7fff_fffe, -2][seed % 3]!);
  const schedule = new Schedule(seed, model, bench.region.memory);
  const run = new Run(bench, schedule, scenario);
  for (let index = 0; index < PRODUCERS; index++) run.startProducer(index);
  // The one who will not stay is the one who is rung first.
  if (scenario.consumers === "many") run.startConsumer(PRODUCERS, 1 + schedule.random.below(3));
  run.startConsumer(PRODUCERS + 1, Number.POSITIVE_INFINITY);
  schedule.start(
    "ender",
    run.end((["at once", "all came", "empty", "empty"] as const)[schedule.random.below(4)]!),
  );
  schedule.run(schedule.random.below(scenario.deaths + 1), 400);
  run.verify();
  return schedule.steps;
}
