/**
 * Lanes whose head anybody moves by compare-and-swap (PROTOCOL.md §11 "Take, shared head"): copy first, then claim. Whoever loses
 * the claim forgets its copies; whoever dies has taken all or nothing. Nothing here is repaired by recovery.
 */
import { compareAndSwap, confirmHint, loadAcquire, loadHint } from "../memory/atomics.ts";
import { WORD_BYTES } from "../memory/layout.ts";
import { copyWords } from "./copy.ts";
import { CorruptError } from "./errors.ts";
import { RingLayout } from "./layout.ts";
import type { RingGeometry } from "./ring-geometry.ts";

/** Claims lost, or heads seen moving, before a lane is left to the others for now. */
const MOST_TRIES = 8;

/** One consumer's view of one lane. */
export class SharedHeadReader {
  readonly words: Int32Array;
  private readonly name: string;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly slotsWord: number;
  private readonly slotWords: number;
  private head = 0;
  private cachedTail: number;

  constructor(lane: RingGeometry) {
    this.words = lane.words;
    this.name = lane.name;
    this.capacity = lane.capacity;
    this.mask = lane.capacity - 1;
    this.slotsWord = lane.slotsWord;
    this.slotWords = lane.slotBytes / WORD_BYTES;
    this.cachedTail = loadHint(this.words, RingLayout.headWord) | 0;
  }

  /**
   * Takes up to `max` messages into `target` (from index 0) and returns how many; 0 when the lane is empty, or others were faster
   * again and again.
   * @throws CorruptError when the indices contradict each other
   */
  takeInto(target: Int32Array, max: number): number {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const available = this.available();
      if (available === 0) return 0;
      const head = this.head;
      const position = head & this.mask;
      const room = (this.capacity - position) | 0;
      let count = available < room ? available : room;
      if (max < count) count = max;
      copyWords(
        this.words,
        (this.slotsWord + position * this.slotWords) | 0,
        target,
        0,
        (count * this.slotWords) | 0,
      );
      // SYNC free-slot: the producer's acquire load of head; the copies are complete before it. Fails: they may be torn, or somebody else's.
      if (compareAndSwap(this.words, RingLayout.headWord, head, (head + count) | 0)) return count;
    }
    return 0;
  }

  /** Whether the lane has a message. @throws CorruptError */
  ready(): boolean {
    return this.available() !== 0;
  }

  /** Messages from `this.head` on that are published, by a head that may be old: only the claim tells. */
  private available(): number {
    const head = loadHint(this.words, RingLayout.headWord) | 0;
    const known = ((this.cachedTail - head) | 0) >>> 0;
    if (known === 0 || known > this.capacity) return this.look();
    this.head = head;
    return known | 0;
  }

  private look(): number {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const headHint = loadHint(this.words, RingLayout.headWord) | 0;
      const head = confirmHint(this.words, RingLayout.headWord, headHint) | 0;
      const tailHint = loadHint(this.words, RingLayout.tailWord) | 0;
      // SYNC publish: acquire pairs with the producer's release store of tail. Read after head, so that it is not older.
      const tail = confirmHint(this.words, RingLayout.tailWord, tailHint) | 0;
      const used = ((tail - head) | 0) >>> 0;
      if (used <= this.capacity) {
        this.head = head;
        this.cachedTail = tail;
        return used | 0;
      }
      // A plain load would not do: the compiler may take it for the one above.
      if (loadAcquire(this.words, RingLayout.headWord) === head) throw new CorruptError(`${this.name}: head`);
    }
    return 0;
  }
}

/**
 * The producer of a full drop-oldest lane takes `count` messages from `head` on itself. False: a consumer was faster, there is
 * room.
 */
export function dropOldest(words: Int32Array, head: number, count: number): boolean {
  return compareAndSwap(words, RingLayout.headWord, head, (head + count) | 0);
}
