/**
 * The scoreboard of a robustness run: a region of its own (never scribbled), one line of words for each actor. Actors say how
 * far they got, the runner arms faults and asks them to stop; it outlives any of them.
 */
import { regionOffset } from "../../src/memory/brands.ts";
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";

const SLOT_WORDS = 32;
const SLOTS = 256;

/** Words of an actor's line. */
export const Word = {
  /** Rounds of its main loop: not moving for seconds means that it hangs. Actor. */
  beat: 0,
  /** Frames sent, forwarded or verified. Actor. */
  frames: 1,
  /** Protocol steps until the fault; 0: none. Runner arms, actor takes it. */
  armedSteps: 2,
  armedFault: 3,
  /** Not 0: `armedSteps` counts compare-and-swaps, and so many plain steps come on top. */
  armedExtra: 8,
  /** 1: finish. Runner. */
  stop: 4,
  /** Typed errors survived. Actor. */
  typedErrors: 5,
  /** 1: a source makes no frames for now. Runner. */
  pause: 7,
  /** 1 while it uses its region: faults hit protocol steps only then. Actor. */
  attached: 6,
} as const;

export const Fault = { kill: 1, stop: 2 } as const;

export class Board implements Disposable {
  readonly region: Region;
  readonly #words: Int32Array;

  private constructor(region: Region) {
    this.region = region;
    this.#words = region.words(regionOffset(HEADER_BYTES), SLOT_WORDS * SLOTS);
  }

  static create(name: string): Board {
    return new Board(Region.create(name, { size: HEADER_BYTES + SLOT_WORDS * SLOTS * 4 }));
  }

  static open(name: string): Board {
    return new Board(Region.open(name));
  }

  get(slot: number, word: number): number {
    return Atomics.load(this.#words, slot * SLOT_WORDS + word);
  }

  set(slot: number, word: number, value: number): void {
    Atomics.store(this.#words, slot * SLOT_WORDS + word, value);
  }

  add(slot: number, word: number, value = 1): void {
    Atomics.add(this.#words, slot * SLOT_WORDS + word, value);
  }

  /** Reads and clears. */
  take(slot: number, word: number): number {
    return Atomics.exchange(this.#words, slot * SLOT_WORDS + word, 0);
  }

  clear(slot: number): void {
    this.#words.fill(0, slot * SLOT_WORDS, (slot + 1) * SLOT_WORDS);
  }

  [Symbol.dispose](): void {
    this.region.close();
  }
}
