/** Scenario: the SPSC ring, bursts and singles over a small ring whose indices wrap. Checked: every message, once, in order, intact. */
import { regionOffset } from "../../src/memory/brands.ts";
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { type RingShape, readRing, ringSizeBytes, writeRing } from "../../src/ring/ring-geometry.ts";
import { loadHint, storePlain } from "./atomics.ts";
import { type Coroutines, type Loose, PlainRegion } from "./bench.ts";
import { type Director, Violation } from "./director.ts";
import type { Model } from "./machine.ts";
import { type Coroutine, Schedule } from "./schedule.ts";

const WORDS = 4;

export interface SpscScenario extends RingShape {
  readonly name: string;
  readonly messages: number;
}

export class SpscBench {
  readonly region = new PlainRegion();
  readonly code: Coroutines;
  readonly ring: Loose;
  readonly #initial: Int32Array;

  constructor(
    code: Coroutines,
    readonly scenario: SpscScenario,
  ) {
    this.code = code;
    const offset = regionOffset(HEADER_BYTES);
    writeRing(this.region as Loose, offset, scenario, 0);
    this.ring = readRing(this.region as Loose, "r", offset, ringSizeBytes(scenario));
    this.#initial = this.region.memory.slice();
  }

  reset(firstIndex: number): void {
    this.region.memory.set(this.#initial);
    this.ring.words[RingLayout.tailWord] = firstIndex;
    this.ring.words[RingLayout.headWord] = firstIndex;
  }
}

function* produce(bench: SpscBench, schedule: Schedule): Coroutine {
  const { words } = bench.ring;
  const tx: Loose = new bench.code.spsc.SpscProducer(bench.ring);
  for (let next = 0; next < bench.scenario.messages; ) {
    const reserved: number = yield* tx.reserve(
      Math.min(1 + schedule.pick(3), bench.scenario.messages - next),
    );
    for (let i = 0; i < reserved; i++, next++) {
      for (let w = 0; w < WORDS; w++)
        yield* storePlain(words, tx.at + i * tx.slotWords + w, next * WORDS + w + 1);
    }
    if (reserved > 0) yield* tx.commit(reserved);
  }
}

function* consume(bench: SpscBench, schedule: Schedule): Coroutine {
  const { words } = bench.ring;
  const rx: Loose = new bench.code.spsc.SpscConsumer(bench.ring);
  for (let next = 0; next < bench.scenario.messages; ) {
    const peeked: number = yield* rx.peek(1 + schedule.pick(3));
    for (let i = 0; i < peeked; i++, next++) {
      for (let w = 0; w < WORDS; w++) {
        const value = yield* loadHint(words, rx.at + i * rx.slotWords + w);
        if (value !== next * WORDS + w + 1) throw new Violation(`message ${next}: word ${w} is ${value}`);
      }
    }
    if (peeked > 0) yield* rx.release(peeked);
  }
}

/** Throws a {@link Violation} if the schedule breaks a promise. Returns the number of steps. */
export function runSpsc(bench: SpscBench, model: Model, director: Director): number {
  const starts = [0, 0x7fff_fffd, -3];
  bench.reset(starts[director.pick(starts.length)]!);
  const schedule = new Schedule(director, model, bench.region.memory);
  schedule.start("producer", produce(bench, schedule));
  schedule.start("consumer", consume(bench, schedule));
  schedule.run(0, 1);
  if (bench.ring.words[RingLayout.headWord] !== bench.ring.words[RingLayout.tailWord])
    throw new Violation("something is left");
  return schedule.steps;
}
