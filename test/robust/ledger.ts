/**
 * The ledger of a kill scenario: which messages were sent for certain, and which arrived. A region of its own, so that it outlives
 * everybody. A message is (incarnation of its producer, number); a producer writes only its own line, receivers set bits.
 *
 *     per incarnation: w0 committed: numbers 0 … committed − 1 were published for certain (producer); w1 of the first: duplicates
 *                      then a bit for each number that was received (OR)
 */
import { regionOffset } from "../../src/memory/brands.ts";
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";

/** Numbers of one producer; it idles when they are used up. */
export const MOST_NUMBERS = 1 << 20;
const HEADER_WORDS = 32;
const DUPLICATES_WORD = 1;
const LINE_WORDS = HEADER_WORDS + MOST_NUMBERS / 32;
/** Incarnations of one scenario: members and their successors. */
const INCARNATIONS = 64;

export class Ledger implements Disposable {
  readonly region: Region;
  readonly #words: Int32Array;

  private constructor(region: Region) {
    this.region = region;
    this.#words = region.words(regionOffset(HEADER_BYTES), LINE_WORDS * INCARNATIONS);
  }

  static create(name: string): Ledger {
    return new Ledger(Region.create(name, { size: HEADER_BYTES + LINE_WORDS * INCARNATIONS * 4 }));
  }

  static open(name: string): Ledger {
    return new Ledger(Region.open(name));
  }

  #line(incarnation: number): number {
    return ((incarnation >>> 0) % INCARNATIONS) * LINE_WORDS;
  }

  /** Producer, after the publication: numbers below `count` are out. */
  committed(incarnation: number, count: number): void {
    Atomics.store(this.#words, this.#line(incarnation), count);
  }

  /** Numbers below this were published by `incarnation` for certain. */
  committedBy(incarnation: number): number {
    return Atomics.load(this.#words, this.#line(incarnation));
  }

  /** Receiver. False: somebody received it before. */
  received(incarnation: number, number: number): boolean {
    const bit = 1 << (number & 31);
    // Where somebody scribbles over the messages it may be any number.
    const word = (number & (MOST_NUMBERS - 1)) >>> 5;
    const before = Atomics.or(this.#words, this.#line(incarnation) + HEADER_WORDS + word, bit);
    if ((before & bit) === 0) return true;
    Atomics.add(this.#words, DUPLICATES_WORD, 1);
    return false;
  }

  /** Messages that were received once more. */
  get duplicates(): number {
    return Atomics.load(this.#words, DUPLICATES_WORD);
  }

  /** Messages that were published for certain and never received, of all incarnations. */
  missing(): number {
    let missing = 0;
    for (let incarnation = 0; incarnation < INCARNATIONS; incarnation++) {
      const line = incarnation * LINE_WORDS;
      const count = Math.min(this.#words[line]!, MOST_NUMBERS);
      for (let number = 0; number < count; number++)
        if ((this.#words[line + HEADER_WORDS + (number >>> 5)]! & (1 << (number & 31))) === 0) missing++;
    }
    return missing;
  }

  [Symbol.dispose](): void {
    this.region.close();
  }
}
