/**
 * Scenario: records with few and large messages, so that a handful goes round. Reliable: consumers join with history, leave, die, are
 * evicted and come back; the producer dies and another goes on. Lossy: readers are lapped. Checked: every record read is the one
 * that was sent (as soon as the reader may believe it), none twice, none out of order, none lost without being counted, nobody sleeps for ever.
 */
import { ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import { EvictedError } from "../../src/ring/errors.ts";
import { createRecordsGeometry, type RecordsGeometry } from "../../src/ring/records-geometry.ts";
import { cursorPositionWord, RecordsLayout, type RecordsModeName } from "../../src/ring/records-layout.ts";
import { fence, loadHint, pause, storePlain } from "./atomics.ts";
import { type Coroutines, type Loose, PlainParticipant, PlainRegion } from "./bench.ts";
import { type Director, Violation } from "./director.ts";
import type { Model } from "./machine.ts";
import { type Coroutine, Schedule } from "./schedule.ts";

const PRODUCER = 0;
/** Of a ring of 4096 bytes: two or three make a lap, most wraps need padding. */
const LENGTHS = [1500, 8, 2040, 1000, 600, 1800, 16, 1200] as const;
const STARTS = [0, 0x7fff_f000, -4096, -64] as const;

const LOOKS = 3;

export interface RecordsScenario {
  readonly name: string;
  readonly mode: RecordsModeName;
  readonly messages: number;
  readonly consumers: number;
  /** Consumers beyond the first ones; they join later, leave early and come again. */
  readonly visitors: number;
  readonly history: number;
  readonly deaths: number;
  /** The producer evicts whoever it waits for, now and then; or one that stands still, and yields after each message. */
  readonly evicts: boolean | "once";
  /** Of every message; else they differ. */
  readonly lengthBytes?: number;
}

function lengthOf({ lengthBytes }: RecordsScenario, sequence: number): number {
  return lengthBytes ?? LENGTHS[sequence & (LENGTHS.length - 1)]!;
}

/** Word `i` of a payload. */
function wordOf(sequence: number, i: number): number {
  return (Math.imul(sequence, 8191) + i + 1) | 0;
}

/** As after very many messages: the next record has this position and sequence. */
export function startAt({ words, maxConsumers }: RecordsGeometry, position: number, sequence: number): void {
  words[RecordsLayout.tailWord] = position;
  words[RecordsLayout.firstMarkWord] = position;
  words[RecordsLayout.firstMarkWord + RecordsLayout.markSequenceWord] = sequence;
  words[RecordsLayout.claimWord] = position;
  words[RecordsLayout.epochWord] = position >>> 31;
  for (let k = 0; k < maxConsumers; k++) words[cursorPositionWord(k)] = position - 1;
}

export class RecordsBench {
  readonly region = new PlainRegion();
  readonly records: RecordsGeometry;
  readonly #initial: Int32Array;

  constructor(
    readonly code: Coroutines,
    readonly scenario: RecordsScenario,
  ) {
    const reliable = scenario.mode === "reliable";
    this.records = createRecordsGeometry(this.region as Loose, "r", {
      capacityBytes: 4096,
      mode: scenario.mode,
      maxConsumers: reliable ? scenario.consumers : 0,
      policy: reliable ? "block" : "drop-oldest",
      history: scenario.history,
      stallTimeoutMs: 0,
      stallAction: "none",
      annotation: new Uint8Array(0),
    });
    this.#initial = this.region.memory.slice();
  }

  reset(position: number, sequence: number): void {
    this.region.memory.set(this.#initial);
    startAt(this.records, position, sequence);
  }

  /** Makes a participant live, as joining does under its life lock. */
  admit(index: number): PlainParticipant {
    const { words } = this.region.control;
    const record = participantRecordWord(index);
    const generation = (words[record]! >>> ParticipantRecord.generationShift) + 1;
    words[record] = (generation << ParticipantRecord.generationShift) | ParticipantRecord.phaseLive;
    return new PlainParticipant(this.region, index);
  }
}

function nameOf(participant: number): string {
  return participant === PRODUCER ? "producer" : `consumer ${participant}`;
}

class Run {
  readonly #rung = new Set<number>();
  readonly #ringer = {
    ring: (participant: number): void => {
      this.#rung.add(participant);
      this.schedule.wake(nameOf(participant));
    },
    wakeAll: (): void => {
      for (let p = 0; p < 5; p++) this.#ringer.ring(p);
    },
  };
  /** Consumers of the start that have not joined yet. */
  #awaited: number;
  /** With `evicts: "once"`: looks at who gates, until it is evicted. */
  #looksLeft: number;
  #gate = 0;

  constructor(
    readonly bench: RecordsBench,
    readonly schedule: Schedule,
    readonly firstSequence: number,
  ) {
    this.#awaited = bench.scenario.consumers;
    this.#looksLeft = bench.scenario.evicts === "once" ? LOOKS : 0;
  }

  onDeath(index: number, next: () => void): void {
    this.schedule.start(`cleaner of ${index}`, this.clean(index, next), () => this.onDeath(index, next));
  }

  *clean(index: number, next: () => void): Coroutine {
    yield* this.bench.code.recovery.cleanParticipant(this.bench.region, index, this.#ringer);
    yield* fence(); // letting go of the life byte is a system call
    next();
  }

  startProducer(): void {
    this.bench.admit(PRODUCER);
    this.schedule.start(nameOf(PRODUCER), this.produce(), () =>
      this.onDeath(PRODUCER, () => this.startProducer()),
    );
  }

  *produce(): Coroutine {
    const { code, records } = this.bench;
    while (this.#awaited > 0) yield* pause();
    while ((yield* code.owner.attachOwner(records.words, RecordsLayout.producerOwnerWord, PRODUCER)) === 0)
      yield* pause();
    const tx: Loose = new code.recordWriter.RecordWriter(records, this.#ringer);
    yield* tx.begin();
    const end = (this.firstSequence + this.bench.scenario.messages) >>> 0;
    while (tx.sequence !== end) {
      const length = lengthOf(this.bench.scenario, tx.sequence);
      if (!(yield* this.reserve(tx, length + this.schedule.pick(2) * (2040 - length)))) continue;
      if (this.schedule.pick(8) === 0) {
        tx.abort();
        continue;
      }
      const sequence = tx.sequence;
      for (const i of [0, length / 4 - 1]) yield* storePlain(tx.data, tx.word + i, wordOf(sequence, i));
      yield* tx.finish(length);
      if (this.schedule.pick(3) > 0) yield* tx.publish();
      if (this.bench.scenario.evicts === "once") yield* pause();
    }
    yield* code.recordEnds.endRecords(tx, records.words, PRODUCER, this.#ringer);
  }

  /** No room: evicts somebody, or sleeps until a consumer rings. A doorbell: armed, looked again, asleep. */
  *reserve(tx: Loose, bytes: number): Generator<void, boolean, void> {
    this.#rung.delete(PRODUCER);
    if (yield* tx.tryReserve(bytes)) return true;
    if (tx.gatingCursor >= 0 && this.mayEvict(tx)) {
      if (yield* tx.evict(tx.gatingCursor, tx.gatingOwner)) return false;
    }
    if (this.#looksLeft > 0) yield* pause();
    else if (!this.#rung.has(PRODUCER)) this.schedule.sleep(nameOf(PRODUCER));
    yield;
    return false;
  }

  /** Of whom it waits for: now and then; or the first that stands still. */
  mayEvict(tx: Loose): boolean {
    const { evicts } = this.bench.scenario;
    if (evicts !== "once") return evicts && this.schedule.pick(6) === 0;
    if (this.#looksLeft === 0) return false;
    if (this.#gate !== tx.gatingPosition) this.#looksLeft = LOOKS;
    this.#gate = tx.gatingPosition;
    return --this.#looksLeft === 0;
  }

  startConsumer(index: number, fromTheStart: boolean): void {
    this.bench.admit(index);
    const arrive = (): void => {
      if (fromTheStart) this.#awaited--;
      fromTheStart = false;
    };
    this.schedule.start(nameOf(index), this.consume(index, fromTheStart, arrive), () => {
      arrive();
      this.onDeath(index, () => this.startConsumer(index, false));
    });
  }

  *consume(index: number, fromTheStart: boolean, arrive: () => void): Coroutine {
    for (let stay = 0; stay < 3; stay++) {
      const history = fromTheStart ? 0 : this.schedule.pick(this.bench.scenario.history + 1);
      const reader: Loose = yield* this.join(index, history);
      arrive();
      if (reader === null) {
        if (this.bench.scenario.evicts !== "once" || !this.schedule.isRunning("producer")) continue;
        stay--;
        fromTheStart = false;
        yield* pause();
        continue;
      }
      try {
        yield* this.stay(reader, index, fromTheStart && stay === 0);
        yield* this.bench.code.recordEnds.leaveRecords(reader, this.bench.records.words, this.#ringer);
        if (fromTheStart) return;
      } catch (error) {
        if (!(error instanceof EvictedError)) throw error;
        if (!this.bench.scenario.evicts) throw error;
      }
    }
  }

  *join(index: number, history: number): Generator<void, Loose, void> {
    const { code, records } = this.bench;
    const make = (cursor: number, owner: number): Loose =>
      new code.recordReader.RecordReader(records, cursor, owner);
    if (records.mode === "reliable") {
      const joined: Loose = yield* code.recordReader.joinRecords(records, index, history, make);
      this.#ringer.ring(PRODUCER);
      return joined;
    }
    const reader = make(-1, 0);
    yield* reader.start(history);
    return reader;
  }

  /** Reads until the stream ends, or (a visitor) until it has had enough. */
  *stay(reader: Loose, index: number, fromTheStart: boolean): Coroutine {
    const { scenario } = this.bench;
    const lossy = scenario.mode === "lossy";
    let expected = reader.expected as number;
    if (fromTheStart && expected !== (this.firstSequence | 0)) throw new Violation(`starts at ${expected}`);
    let unreleased = 0;
    for (;;) {
      const missed = reader.missed as number;
      if (yield* reader.next()) {
        const { sequence, length, word } = reader;
        const values: number[] = [];
        for (const i of [0, lengthOf(scenario, sequence) / 4 - 1])
          values.push(yield* loadHint(reader.data, word + i));
        if (!(yield* reader.intact())) {
          // Lapped while it was read: it counts as missed from now on, for whoever asks.
          expected = (sequence + 1) | 0;
          continue;
        }
        if (sequence !== ((expected + (reader.missed - missed)) | 0))
          throw new Violation(`${sequence} came where ${expected} was due, ${reader.missed - missed} missed`);
        if (!lossy && sequence !== expected) throw new Violation(`lost ${expected}`);
        expected = (sequence + 1) | 0;
        if (length !== lengthOf(scenario, sequence)) throw new Violation(`${sequence} has ${length} bytes`);
        values.forEach((value, i) => {
          const at = i === 0 ? 0 : length / 4 - 1;
          if (value !== wordOf(sequence, at)) throw new Violation(`word ${at} of ${sequence} is ${value}`);
        });
        if (++unreleased <= this.schedule.pick(3)) continue;
      } else if ((yield* reader.streamEnd()) === "ended") {
        break;
      } else {
        yield* this.release(reader);
        unreleased = 0;
        yield* this.sleep(reader, index);
      }
      yield* this.release(reader);
      unreleased = 0;
      if (!fromTheStart && this.schedule.pick(5) === 0) return;
    }
    yield* this.release(reader);
    const last = (this.firstSequence + this.bench.scenario.messages) | 0;
    if (expected !== last && !(lossy && reader.missed >= 0 && ((last - expected) | 0) >= 0))
      throw new Violation(`the stream ended at ${expected}, not ${last}`);
  }

  /** A doorbell: armed, looked again, asleep until it is rung. */
  *sleep(reader: Loose, index: number): Coroutine {
    this.#rung.delete(index);
    if (yield* reader.hasNextOrAsk(index)) return;
    if (!this.#rung.has(index)) this.schedule.sleep(nameOf(index));
    yield;
  }

  *release(reader: Loose): Coroutine {
    if (!(yield* reader.release())) return;
    yield* fence();
    this.#ringer.ring(PRODUCER);
  }
}

/** Throws a {@link Violation} if the schedule breaks a promise. Returns the number of steps. */
export function runRecords(bench: RecordsBench, model: Model, director: Director): number {
  const { scenario } = bench;
  const start = STARTS[director.pick(STARTS.length)]!;
  const firstSequence = [0, 1, 2, 3, 4, 5, 6, 7, -3][director.pick(9)]!;
  bench.reset(start, firstSequence);
  const schedule = new Schedule(director, model, bench.region.memory);
  const run = new Run(bench, schedule, firstSequence);
  run.startProducer();
  for (let i = 0; i < scenario.consumers; i++) run.startConsumer(PRODUCER + 1 + i, true);
  for (let i = 0; i < scenario.visitors; i++) run.startConsumer(PRODUCER + 1 + scenario.consumers + i, false);
  schedule.run(scenario.deaths, 900);
  return schedule.steps;
}
