/**
 * Scenario: one producer, consumers, a pool that is too small; anybody may die anywhere, is cleaned up by a cleaner that may die as
 * well, and a successor takes the very slot. Checked: no frame twice, none out of order, none changed while it is held, none
 * lost that the policy does not allow to be lost, no block leaked.
 */
import { ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import { EvictedError, InUseError } from "../../src/ring/errors.ts";
import { ChannelLayout } from "../../src/ring/layout.ts";
import { SendResult } from "../../src/ring/send-result.ts";
import { loadHint, pause, storePlain } from "./atomics.ts";
import { Bench, type ChannelSetting, type Coroutines, type Loose, type PlainParticipant } from "./bench.ts";
import { type Director, Violation } from "./director.ts";
import type { Model } from "./machine.ts";
import { patience } from "./outside.ts";
import { type Coroutine, Schedule } from "./schedule.ts";

const PRODUCER = 0;

export interface LaneScenario extends ChannelSetting {
  readonly name: string;
  /** Sent by each producer. */
  readonly frames: number;
  readonly deaths: number;
  /** Looks at a stalled consumer before it is evicted. */
  readonly patience?: number;
  /** Consumers, when there are more of them than lanes: they come and go all the time. */
  readonly turnover?: number | undefined;
  /** So often somebody is stopped for a while. */
  readonly stops?: number;
  /** A dead producer gets a successor. */
  readonly successors?: boolean;
}

interface Reader {
  readonly received: number[];
  readonly fromTheStart: boolean;
  /** What had been sent when it joined, for a history; null: nothing can be said. */
  joined: { readonly before: number; readonly after: number } | null;
  died: boolean;
  evicted: boolean;
}

/** One run's bookkeeping. */
class Run {
  readonly readers: Reader[] = [];
  readonly sent: number[] = [];
  producerDied = false;
  /** Sends that were begun and finished, until the stream ends. */
  begun = 0;
  finished = 0;
  ended = false;
  /** Consumers of the start that neither joined nor died yet. */
  joining = 0;
  constructor(
    readonly bench: Bench,
    readonly schedule: Schedule,
    readonly scenario: LaneScenario,
  ) {}

  /** The life lock is free: clean up, by a cleaner that may die; a joiner takes the slot when the protocol allows it. */
  onDeath(index: number, next?: (participant: PlainParticipant) => void): void {
    this.schedule.start(`cleaner of ${index}`, this.clean(index, next), () => this.onDeath(index, next));
  }

  *clean(index: number, next?: (participant: PlainParticipant) => void): Coroutine {
    const { recovery } = this.bench.code;
    yield* recovery.cleanParticipant(this.bench.region, index, {
      ring: () => undefined,
      wakeAll: () => undefined,
    });
    if (next === undefined) return;
    for (let tries = 0; tries < 20; tries++) {
      if (yield* recovery.quiet(this.bench.region, index)) return next(this.bench.admit(index));
    }
  }

  startProducer(): void {
    this.startProducerAs(this.bench.admit(PRODUCER));
  }

  startProducerAs(participant: PlainParticipant): void {
    this.schedule.start("producer", this.produce(participant), () => {
      this.producerDied = true;
      this.onDeath(PRODUCER, this.scenario.successors ? (next) => this.startProducerAs(next) : undefined);
    });
  }

  *produce(participant: PlainParticipant): Coroutine {
    const { code, channel, pool } = this.bench;
    const sender: Loose = yield* code.sender.attach(channel, participant);
    while (this.joining > 0) yield* pause();
    for (let i = 0; i < this.scenario.frames; i++) yield* this.sendOne(sender, pool, participant);
    this.ended = true;
    yield* sender.end();
    for (const chore of participant.chores.splice(0)) while (!(yield* chore.finishLeaving())) yield* pause();
  }

  /** Died before it attached: its consumers would wait for another producer for ever, as they should. */
  get producerNeverCame(): boolean {
    return this.producerDied && this.bench.channel.words[ChannelLayout.producerOwnerWord] === 0;
  }

  /** Nobody is there and nobody will come. */
  get deserted(): boolean {
    return !this.schedule.isRunning("consumer") && !this.schedule.isRunning("cleaner");
  }

  *sendOne(sender: Loose, pool: Loose, participant: PlainParticipant): Coroutine {
    let block: number = yield* pool.loan(participant.bit);
    while (block < 0) {
      if (this.bench.setting.policy === "drop-oldest") yield* sender.dropOldestOfFullest();
      for (const chore of participant.chores.splice(0))
        if (!(yield* chore.finishLeaving())) participant.addChore(chore);
      yield* pause();
      block = yield* pool.loan(participant.bit);
    }
    const value = sender.sequence;
    const { words, index } = this.bench.payload(block);
    yield* storePlain(words, index, value);
    const fields = {
      offset: pool.blockOffset(block),
      lengthBytes: 128,
      tag: value,
      metaLength: 0,
      soleReceiver: true,
    };
    this.sent.push(value);
    this.begun++;
    for (;;) {
      const result = yield* sender.send(block, fields);
      if (result !== SendResult.full) {
        this.finished++;
        return;
      }
      if (this.deserted) {
        yield* pool.clear(block, participant.bit, participant.ringer);
        return;
      }
      yield* pause();
    }
  }

  startConsumer(participant: PlainParticipant, fromTheStart: boolean): void {
    const reader = newReader(fromTheStart);
    this.readers.push(reader);
    let arrived = !fromTheStart;
    const arrive = (): void => {
      if (!arrived) this.joining--;
      arrived = true;
    };
    if (fromTheStart) this.joining++;
    this.schedule.start(`consumer ${participant.index}`, this.consume(participant, reader, arrive), () => {
      arrive();
      reader.died = true;
      this.onDeath(participant.index, (successor) => this.startConsumer(successor, false));
    });
  }

  *consume(participant: PlainParticipant, first: Reader, arrive: () => void): Coroutine {
    let reader = first;
    for (let stay = this.scenario.turnover === undefined ? 1 : 3; stay > 0; stay--) {
      const receiver: Loose = yield* this.join(participant, reader);
      arrive();
      if (receiver !== null) yield* this.stay(receiver, participant, reader);
      if (reader.evicted) yield* this.comeBack(participant);
      // With a history what one stay got may come again in the next.
      if (this.scenario.history === undefined || stay === 1) continue;
      reader = newReader(false);
      this.readers.push(reader);
    }
  }

  /** Evicted: once more, as long as it may take. */
  *comeBack(participant: PlainParticipant): Coroutine {
    const again = newReader(false);
    this.readers.push(again);
    const receiver: Loose = yield* this.join(participant, again);
    if (receiver !== null) yield* this.stay(receiver, participant, again);
  }

  /** Null: every lane is taken. */
  *join(participant: PlainParticipant, reader: Reader): Generator<void, Loose, void> {
    try {
      const before = this.finished;
      const receiver = yield* this.bench.code.receiver.join(this.bench.channel, participant);
      reader.joined = this.ended || this.producerDied ? null : { before, after: this.begun };
      return receiver;
    } catch (error) {
      if (!(error instanceof InUseError)) throw error;
      return null;
    }
  }

  *stay(receiver: Loose, participant: PlainParticipant, reader: Reader): Coroutine {
    const { pool } = this.bench;
    for (let looks = 0; ; looks++) {
      const taken: boolean = yield* this.take(receiver, reader);
      if (looks === 0) this.checkFirst(reader, taken, receiver.tag);
      if (taken) {
        yield* this.check(receiver.block, receiver.tag, reader);
        yield* pool.clear(receiver.block, participant.bit, participant.ringer);
      } else if (reader.evicted || (yield* receiver.streamEnd()) !== "open" || this.producerNeverCame) {
        break;
      } else {
        yield* pause();
      }
      if (!reader.fromTheStart && this.schedule.pick(4) === 0) break; // a latecomer may leave early
    }
    yield* receiver.leave();
    for (const chore of participant.chores.splice(0)) while (!(yield* chore.finishLeaving())) yield* pause();
  }

  /** A consumer that joined while the stream was open gets the last frames at once. */
  checkFirst(reader: Reader, taken: boolean, tag: number): void {
    const { history = 0, policy } = this.scenario;
    if (history === 0 || reader.joined === null || reader.evicted) return;
    const { before, after } = reader.joined;
    if (!taken) {
      // A head claimed by its producer counts as empty.
      const certain = !this.bench.channel.claimedHeads || this.begun === before;
      if (before > 0 && certain)
        throw new Violation(`${before} frames were sent, and a consumer that joined got none`);
      return;
    }
    if (tag < Math.max(0, before - history))
      throw new Violation(`frame ${tag} first, joined after ${before}, history ${history}`);
    if (policy === "block" && tag > Math.max(0, after - history))
      throw new Violation(`frame ${tag} first, joined before ${after} were sent, history ${history}`);
  }

  /** False when there is none now, or (see {@link Reader.evicted}) never will be. */
  *take(receiver: Loose, reader: Reader): Generator<void, boolean, void> {
    try {
      return yield* receiver.take();
    } catch (error) {
      if (!(error instanceof EvictedError)) throw error;
      reader.evicted = true;
      return false;
    }
  }

  /** The frame is the one that was sent, and stays so while we hold it. */
  *check(block: number, tag: number, reader: Reader): Coroutine {
    const last = reader.received.at(-1);
    if (last !== undefined && tag <= last) throw new Violation(`frame ${tag} came after ${last}`);
    // A consumer that is being evicted may be faster with a later frame than its producer with an earlier one.
    const { policy, delivery, evicts, turnover, history } = this.scenario;
    const gapless = policy === "block" && delivery === "all" && !evicts && !this.producerDied;
    // Without a history one that comes and goes may have been away.
    const there = turnover === undefined || history !== undefined;
    if (last !== undefined && tag > last + 1 && gapless && there)
      throw new Violation(`frame ${tag} came after ${last}: a hole`);
    reader.received.push(tag);
    const { words, index } = this.bench.payload(block);
    for (let look = 0; look < 3; look++) {
      const value = yield* loadHint(words, index);
      if (value !== tag)
        throw new Violation(`frame ${tag} holds ${value}: its block was given to somebody else`);
    }
  }

  /** When all is quiet. */
  verify(): void {
    const { setting, region } = this.bench;
    for (let index = 0; index <= consumersOf(this.scenario); index++) {
      // Whoever is still live has ended orderly and holds nothing; its own leaving would sweep, which must not be needed.
      region.control.words[participantRecordWord(index)]! |= ParticipantRecord.phaseSwept;
    }
    const free = this.bench.freeBlocks();
    if (free !== setting.blocks)
      throw new Violation(`${setting.blocks - free} of ${setting.blocks} blocks leaked`);
    const loses = setting.policy !== "block" || this.producerDied;
    const all = this.readers.flatMap((reader) => reader.received);
    if (setting.delivery === "one" && new Set(all).size !== all.length)
      throw new Violation("a frame came twice");
    for (const reader of this.readers) {
      const complete =
        reader.fromTheStart && !reader.died && !reader.evicted && !loses && setting.delivery === "all";
      if (complete && reader.received.length !== this.sent.length) {
        throw new Violation(`received ${reader.received} of ${this.sent}`);
      }
    }
    const nobodyLeft =
      this.readers.every((reader) => reader.fromTheStart && !reader.died && !reader.evicted) && !loses;
    if (setting.delivery === "one" && nobodyLeft && all.length !== this.sent.length)
      throw new Violation(`received ${all} of ${this.sent}`);
  }
}

function newReader(fromTheStart: boolean): Reader {
  return { received: [], fromTheStart, joined: null, died: false, evicted: false };
}

function consumersOf(scenario: LaneScenario): number {
  return scenario.turnover ?? scenario.consumers;
}

/** Throws a {@link Violation} if the schedule breaks a promise. Returns the number of steps. */
export function runLanes(bench: Bench, scenario: LaneScenario, model: Model, director: Director): number {
  bench.reset();
  patience.looks = scenario.patience ?? 3;
  const schedule = new Schedule(director, model, bench.region.memory);
  const run = new Run(bench, schedule, scenario);
  for (let index = 1; index <= consumersOf(scenario); index++) {
    run.startConsumer(bench.admit(index), scenario.turnover === undefined);
  }
  run.startProducer();
  schedule.run(scenario.deaths, 900, scenario.stops);
  run.verify();
  return schedule.steps;
}

export function laneBench(code: Coroutines, scenario: LaneScenario): Bench {
  return new Bench(code, scenario);
}
