/**
 * Scenario: a work queue, lanes of two slots whose indices wrap. Producers and consumers sleep when they can do nothing; any of
 * them may die anywhere and is cleaned up by a cleaner that may die as well. Checked: every message once, in the order of its
 * producer, intact; none lost that no dead consumer had taken and no policy dropped; nobody sleeps while there is something to do.
 */
import { EvictedError, InUseError, QueueEndedError } from "../../src/ring/errors.ts";
import { type PolicyName, RingLayout } from "../../src/ring/layout.ts";
import type { QueueShape } from "../../src/ring/queue-geometry.ts";
import { QueueLayout } from "../../src/ring/queue-layout.ts";
import { fence, loadHint, pause, stage, storePlain } from "./atomics.ts";
import { admit, type Coroutines, type Loose, type PlainParticipant, PlainRegion } from "./bench.ts";
import { type Director, Violation } from "./director.ts";
import type { Model } from "./machine.ts";
import { patience } from "./outside.ts";
import { type Coroutine, Schedule } from "./schedule.ts";
import { type Bells, PlainBells, ShippedBells } from "./sleep.ts";

const BURST = 2;
const CAPACITY = 2;

export interface QueueScenario {
  readonly name: string;
  readonly consumers: "one" | "many";
  readonly policy: PolicyName;
  /** Consumers that stand still for a few looks lose their places; with consumers `one`, two compete for it. */
  readonly evicts?: boolean;
  /** Looks at them before. */
  readonly patience?: number;
  readonly deaths: number;
  readonly producers: number;
  /** Of each producer. */
  readonly messages: number;
  /** The shipped ones. */
  readonly doorbells?: boolean;
}

export class QueueBench {
  readonly region = new PlainRegion();
  readonly code: Coroutines;
  readonly queue: Loose;
  readonly #initial: Int32Array;

  constructor(code: Coroutines, scenario: QueueScenario) {
    this.code = code;
    const { consumers, policy, producers } = scenario;
    const stallAction = scenario.evicts ? "evict" : "none";
    const shape: QueueShape = {
      stallTimeoutMs: scenario.evicts ? 1 : 0,
      stallAction,
      slotBytes: 16,
      capacity: CAPACITY,
      producers,
      consumers,
      policy,
    };
    this.queue = code.queueGeometry.createQueueGeometry(this.region, "q", shape);
    this.#initial = this.region.memory.slice();
  }

  reset(firstIndex: number): void {
    this.region.memory.set(this.#initial);
    for (const { words } of this.queue.lanes)
      words[RingLayout.tailWord] = words[RingLayout.headWord] = firstIndex;
  }
}

function nameOf(scenario: QueueScenario, participant: number): string {
  return `${participant < scenario.producers ? "producer" : "consumer"} ${participant}`;
}

class Run {
  readonly bells: Bells;
  /** By maker: numbers that may have been published, and those that were for certain. */
  readonly offered: number[] = [];
  readonly committed: number[] = [];
  readonly received: number[] = [];
  /** Peeked in place, and perhaps not released: they come again if the consumer dies. */
  readonly unreleased = new Set<number>();
  consumersDead = 0;
  #makers = 0;
  #evictions = 0;
  #producersDead = 0;
  #toAttach: number;

  constructor(
    readonly bench: QueueBench,
    readonly schedule: Schedule,
    readonly scenario: QueueScenario,
    readonly model: Model,
  ) {
    const name = (participant: number): string => nameOf(scenario, participant);
    this.bells = scenario.doorbells
      ? new ShippedBells(bench.code, bench.region, schedule, name)
      : new PlainBells(bench.region, schedule, name);
    this.#toAttach = scenario.producers;
  }

  admit(index: number): PlainParticipant {
    const participant = admit(this.bench.region, index);
    this.bells.join(index);
    return Object.assign(participant, { ringer: this.bells.ringer() });
  }

  /** Its lock is free: somebody cleans up, who may die as well. */
  onDeath(index: number, then: () => void): void {
    const { recovery } = this.bench.code;
    this.bells.lose(index);
    const clean = function* (this: Run): Coroutine {
      yield* recovery.cleanParticipant(this.bench.region, index, this.bells.ringer());
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
    this.schedule.start(nameOf(this.scenario, index), this.produce(this.admit(index), maker, attach), () => {
      this.#producersDead++;
      this.onDeath(index, attach);
    });
  }

  *produce(participant: PlainParticipant, maker: number, attached: () => void): Coroutine {
    const { queue, code } = this.bench;
    let tx: Loose;
    try {
      tx = yield* code.queueProducer.attach(queue, participant);
    } catch (error) {
      if (!(error instanceof QueueEndedError)) throw error;
      return;
    } finally {
      attached();
    }
    for (let number = 0; number < this.scenario.messages; ) {
      const wanted = Math.min(1 + this.schedule.pick(BURST), this.scenario.messages - number);
      const count: number = yield* tx.reserve(wanted);
      // Polls, and looks at the consumers each time.
      if (count === 0 && this.scenario.evicts) yield* pause();
      else if (count === 0 && this.scenario.policy === "block") {
        yield* tx.beginWait();
        yield* this.bells.sleepUntil(participant.index, () => tx.ready());
      }
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
    while (when !== "at once" && this.#toAttach > 0) yield* pause();
    while (when === "empty" && (this.#somebodyProduces || this.#somethingQueued)) yield* pause();
    yield* this.bench.code.queueEnds.endQueue(this.bench.queue, this.bells.ringer());
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
    this.schedule.start(nameOf(this.scenario, index), work, () => {
      this.consumersDead++;
      this.onDeath(index, () => {
        if (patience === Number.POSITIVE_INFINITY) this.startConsumer(index, patience);
      });
    });
  }

  *consume(participant: PlainParticipant, most: number): Coroutine {
    const { queue, code } = this.bench;
    let rx = yield* this.attachConsumer(participant);
    for (let taken = 0; rx !== null && taken < most; ) {
      const max = 1 + this.schedule.pick(BURST);
      const count: number = queue.sharedHeads
        ? yield* this.take(rx, max, participant.bit)
        : yield* rx.peek(max);
      if (count < 0) {
        yield* rx.close();
        rx = yield* this.attachConsumer(participant);
        continue;
      }
      const burst: number[] = [];
      // It goes on to sleep.
      if (count === 0) stage.machine.gaveWay = false;
      for (let i = 0; i < count; i++) burst.push(yield* this.check(rx, rx.at + i * rx.slotWords));
      if (count > 0 && !queue.sharedHeads) {
        yield* rx.release(count);
        for (const value of burst) this.unreleased.delete(value);
      }
      taken += count;
      if (count > 0) continue;
      if (yield* code.queueEnds.isOver(queue)) break;
      yield* rx.beginWait();
      yield* this.bells.sleepUntil(participant.index, () => rx.ready());
      yield* rx.stopWaiting();
    }
    if (rx !== null && most === Number.POSITIVE_INFINITY) yield* rx.close();
  }

  /** Null: the queue is over, and somebody else has the place. */
  *attachConsumer(participant: PlainParticipant): Generator<void, Loose, void> {
    const { queue, code } = this.bench;
    for (;;) {
      try {
        if (!queue.sharedHeads) return yield* code.queueConsumer.attach(queue, participant);
        return yield* code.queueTaker.attach(queue, participant, BURST);
      } catch (error) {
        if (!(error instanceof InUseError && this.scenario.evicts)) throw error;
        if (yield* code.queueEnds.isOver(queue)) return null;
        yield* pause();
      }
    }
  }

  /** −1: evicted. */
  *take(rx: Loose, max: number, bit: number): Generator<void, number, void> {
    const { words } = this.bench.queue;
    const lost = this.model === "sc" && (words[QueueLayout.consumersWord] & bit) === 0;
    try {
      const count: number = yield* rx.take(max);
      if (lost) throw new Violation("took although it had been evicted");
      return count;
    } catch (error) {
      if (!(error instanceof EvictedError && this.scenario.evicts)) throw error;
      this.#evictions++;
      return -1;
    }
  }

  /** Only stopped ones can go on: a consumer that sleeps while a producer waits for room was forgotten. */
  verifyStuck(): void {
    const sleep = (from: number, count: number): boolean =>
      Array.from({ length: count }, (_, i) => nameOf(this.scenario, from + i)).some((name) =>
        this.schedule.isAsleep(name),
      );
    const { producers } = this.scenario;
    // Not full: the stopped one has made room, and not rung yet.
    const full = this.bench.queue.lanes.some(
      ({ words }: Loose) => words[RingLayout.tailWord] - words[RingLayout.headWord] === CAPACITY,
    );
    const waits = this.scenario.evicts || sleep(0, producers);
    if (full && waits && sleep(producers, 2)) throw new Violation("a consumer sleeps beside a full lane");
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
    const evicted = lanes.reduce((sum: number, lane: Loose) => sum + lane.words[RingLayout.evictedWord], 0);
    // One that died while it evicted may not have counted.
    if (this.#evictions > evicted + 2 * this.#producersDead)
      throw new Violation(`${this.#evictions} were evicted, ${evicted} by a producer`);
    this.#verifyOrder();
  }

  /** One consumer sees each producer's messages in order; with several, or a successor of one that is evicted, the order of taking is not known here. */
  #verifyOrder(): void {
    if (this.scenario.consumers === "many" || this.scenario.evicts) return;
    for (let maker = 0; maker < this.#makers; maker++) {
      const own = this.received.filter((value) => Math.floor(value / 100) === maker);
      if (own.some((value, i) => i > 0 && value < own[i - 1]!)) throw new Violation(`out of order: ${own}`);
    }
  }
}

/** Throws a {@link Violation} if the schedule breaks a promise. Returns the number of steps. */
export function runQueue(
  bench: QueueBench,
  scenario: QueueScenario,
  model: Model,
  director: Director,
): number {
  bench.reset([0, 0x7fff_fffe, -2][director.pick(3)]!);
  const schedule = new Schedule(director, model, bench.region.memory);
  const run = new Run(bench, schedule, scenario, model);
  patience.looks = scenario.patience ?? 3;
  schedule.onStuck = () => run.verifyStuck();
  for (let index = 0; index < scenario.producers; index++) run.startProducer(index);
  // The one who will not stay is the one who is rung first.
  if (scenario.evicts) run.startConsumer(scenario.producers, Number.POSITIVE_INFINITY);
  else if (scenario.consumers === "many") run.startConsumer(scenario.producers, 1 + schedule.pick(3));
  run.startConsumer(scenario.producers + 1, Number.POSITIVE_INFINITY);
  schedule.start("ender", run.end((["at once", "all came", "empty", "empty"] as const)[schedule.pick(4)]!));
  schedule.run(scenario.deaths, 400);
  run.verify();
  return schedule.steps;
}
