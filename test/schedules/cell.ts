/**
 * Scenario: a cell of four buffers whose versions wrap, a writer that is faster than its readers and may die anywhere, and a successor. Checked:
 * no value is torn or older than the one seen before, the last one is read in the end, and a reader that sleeps is woken.
 */
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { CellBusyError } from "../../src/ring/errors.ts";
import { fence, loadHint, storePlain } from "./atomics.ts";
import { admit, type Coroutines, type Loose, type PlainParticipant, PlainRegion } from "./bench.ts";
import { type Director, Violation } from "./director.ts";
import type { Model } from "./machine.ts";
import { type Coroutine, Schedule } from "./schedule.ts";
import { PlainRinger, sleepUntil } from "./sleep.ts";

const WRITER = 0;
const WORDS = 3;

export interface CellScenario {
  readonly name: string;
  readonly readers: number;
  readonly values: number;
  readonly deaths: number;
}

export class CellBench {
  readonly region = new PlainRegion();
  readonly code: Coroutines;
  readonly cell: Loose;
  readonly #initial: Int32Array;

  constructor(
    code: Coroutines,
    readonly scenario: CellScenario,
  ) {
    this.code = code;
    this.cell = code.cellGeometry.createCellGeometry(this.region, "v", {
      valueBytes: WORDS * 4,
      bufferCount: 4,
    });
    this.#initial = this.region.memory.slice();
  }

  /** `before`: the version of a value that is there already, or 0. */
  reset(before: number): void {
    this.region.memory.set(this.#initial);
    const { words } = this.cell;
    if (before === 0) return;
    const buffer = this.code.cellGeometry.bufferOf(this.cell, before);
    words[CellLayout.latestWord] = before;
    words[buffer] = before;
    words[buffer + CellLayout.lengthWord] = WORDS * 4;
  }
}

function nameOf(participant: number): string {
  return participant === WRITER ? "writer" : `reader ${participant}`;
}

class Run {
  readonly ringer: PlainRinger;
  #next = 1;
  /** The last value that was out for certain. */
  committed = 0;

  constructor(
    readonly bench: CellBench,
    readonly schedule: Schedule,
    readonly scenario: CellScenario,
    readonly model: Model,
  ) {
    this.ringer = new PlainRinger(bench.region, schedule, nameOf);
  }

  admit(index: number): PlainParticipant {
    return Object.assign(admit(this.bench.region, index), { ringer: this.ringer });
  }

  startWriter(): void {
    this.schedule.start(nameOf(WRITER), this.write(this.admit(WRITER)), () => this.clean());
  }

  clean(): void {
    const { recovery } = this.bench.code;
    const run = function* (this: Run): Coroutine {
      yield* recovery.cleanParticipant(this.bench.region, WRITER, this.ringer);
      yield* fence(); // letting go of the locks is one
      this.startWriter();
    };
    this.schedule.start("cleaner", run.call(this), () => this.clean());
  }

  *write(participant: PlainParticipant): Coroutine {
    const { cell, code } = this.bench;
    const attached: number = yield* code.owner.attachOwner(cell.words, CellLayout.writerOwnerWord, WRITER);
    if (attached === 0) throw new Violation("the writer's place is taken");
    const writer: Loose = new code.cellWriter(cell, participant);
    while (this.committed < this.scenario.values) {
      // A successor writes new values, whether or not the last one of its predecessor got out.
      const value = this.#next++;
      yield* writer.begin();
      for (let word = 0; word < WORDS; word++)
        yield* storePlain(writer.words, writer.at + word, value * 8 + word);
      yield* writer.commit(WORDS * 4);
      this.committed = value;
    }
    yield* writer.close();
  }

  *read(participant: PlainParticipant, inPlace: boolean): Coroutine {
    const { cell, code, region } = this.bench;
    const reader: Loose = new code.cellReader(cell, region);
    let last = 0;
    const waiters: Loose = reader.waiters();
    while (last < this.scenario.values) {
      const atLeast = this.committed;
      const value = yield* this.get(reader, inPlace);
      if (value === null) continue;
      if (value < last) throw new Violation(`value ${value} after ${last}`);
      // Elsewhere a value may be out for its writer and not yet for us.
      if (value < atLeast && this.model === "sc")
        throw new Violation(`value ${value} although ${atLeast} was out`);
      last = value;
      if (last >= this.scenario.values) break;
      if (this.schedule.pick(2) === 0) continue;
      yield* waiters.lieDown(participant.bit);
      yield* sleepUntil(region, this.ringer, participant.index, () => reader.ready());
      yield* waiters.getUp(participant.bit);
    }
  }

  *copy(reader: Loose): Generator<void, number | null, void> {
    const bytes: number = yield* reader.read();
    return bytes < 0 ? 0 : this.valueOf([...reader.words], bytes);
  }

  *look(reader: Loose): Generator<void, number | null, void> {
    const bytes: number = yield* reader.peek();
    if (bytes < 0) return 0;
    const words: number[] = [];
    for (let word = 0; word < WORDS; word++) words.push(yield* loadHint(reader.cellWords, reader.at + word));
    return (yield* reader.isIntact()) ? this.valueOf(words, bytes) : null;
  }

  /** Null: overtaken. */
  *get(reader: Loose, inPlace: boolean): Generator<void, number | null, void> {
    const before = this.#next;
    try {
      return yield* inPlace ? this.look(reader) : this.copy(reader);
    } catch (error) {
      if (!(error instanceof CellBusyError)) throw error;
      if (this.#next === before) throw new Violation("no value to be had although nobody wrote");
      return null;
    }
  }

  valueOf(words: readonly number[], bytes: number): number {
    if (bytes !== WORDS * 4) throw new Violation(`${bytes} bytes`);
    const value = words[0]! >> 3;
    // The value that was there at the start is all zeroes.
    if (value !== 0 && words.some((word, i) => word !== value * 8 + i)) throw new Violation(`torn: ${words}`);
    if (value === 0 && words.some((word) => word !== 0)) throw new Violation(`torn: ${words}`);
    return value;
  }
}

/** Throws a {@link Violation} if the schedule breaks a promise. Returns the number of steps. */
export function runCell(bench: CellBench, scenario: CellScenario, model: Model, director: Director): number {
  bench.reset([0, 0x7fff_fffd, -3][director.pick(3)]!);
  const schedule = new Schedule(director, model, bench.region.memory);
  const run = new Run(bench, schedule, scenario, model);
  run.startWriter();
  for (let index = 1; index <= scenario.readers; index++)
    schedule.start(nameOf(index), run.read(run.admit(index), index === 1));
  schedule.run(scenario.deaths, 250);
  return schedule.steps;
}
