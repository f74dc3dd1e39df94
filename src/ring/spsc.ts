/**
 * The single-producer single-consumer ring (PROTOCOL.md §5): the algorithm, free of attaching and sleeping.
 *
 * Both ends keep a private copy of the other's index and look at the shared one only when the copy says full or empty. Runs
 * are contiguous: `reserve` and `peek` stop at the wrap, so that a caller steps through slots by adding, never by masking.
 *
 *     const n = producer.reserve(32);                    const n = consumer.peek(32);
 *     for (let i = 0, w = producer.at; i < n; i++) {     for (let i = 0, w = consumer.at; i < n; i++) {
 *       words[w] = …; w += producer.slotWords;             … = words[w]; w += consumer.slotWords;
 *     }                                                  }
 *     producer.commit(n);                                consumer.release(n);
 *
 * These classes use TypeScript-private fields, not #private ones, and 32-bit integers throughout: JavaScriptCore compiles
 * the former twice as fast (docs/BENCHMARKS.md). Indices are compared as unsigned differences.
 */
import { confirmHint, loadAcquire, loadHint, pause, publish, storePlain } from "../memory/atomics.ts";
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";
import { ArgumentError, ClosedError, CorruptError } from "./errors.ts";
import { RingLayout } from "./layout.ts";
import type { RingGeometry } from "./ring-geometry.ts";

/** A 64-byte cache line: what one store acquires. */
const CACHE_LINE_WORDS = LINE_BYTES / 2 / WORD_BYTES;
/** How many lines ahead the producer asks for, see {@link SpscProducer.reserve}. */
const LINES_AHEAD = 8;

/** Writing end. One thread of one process at a time. */
export class SpscProducer {
  /** Words of the ring; write only slots that are reserved. */
  readonly words: Int32Array;
  readonly slotWords: number;
  /** Word index of the first reserved slot. */
  at: number;
  protected readonly name: string;
  protected readonly capacity: number;
  private readonly mask: number;
  private readonly slotsWord: number;
  private readonly slotShift: number;
  private readonly stepWords: number;
  private readonly slotsAhead: number;
  protected tail: number;
  protected cachedHead: number;
  private touchedTail: number;
  private reserved: number;
  private closed = false;

  /** Continues where the ring's last producer stopped.
   * @throws CorruptError when the indices contradict each other */
  constructor(ring: RingGeometry) {
    this.words = ring.words;
    this.name = ring.name;
    this.slotWords = ring.slotBytes / WORD_BYTES;
    this.capacity = ring.capacity;
    this.mask = ring.capacity - 1;
    this.slotsWord = ring.slotsWord;
    this.slotShift = Math.log2(this.slotWords) | 0;
    this.stepWords = Math.max(CACHE_LINE_WORDS, this.slotWords) | 0;
    this.slotsAhead = Math.max(1, (LINES_AHEAD * CACHE_LINE_WORDS) / this.slotWords) | 0;
    this.tail = loadAcquire(ring.words, RingLayout.tailWord) | 0;
    this.cachedHead = this.checkedHead(loadAcquire(ring.words, RingLayout.headWord) | 0);
    this.touchedTail = this.tail;
    this.reserved = 0;
    this.at = ring.slotsWord;
  }

  /**
   * Reserves up to `max` contiguous slots and returns how many; 0 when the ring is full (then it has paused once, so a
   * caller may loop). Word index of slot i: `at + i * slotWords`. A second call before `commit` reserves the same slots.
   * @throws CorruptError when the consumer's index is impossible; ClosedError
   */
  reserve(max: number): number {
    const position = this.tail & this.mask;
    const room = (this.capacity - position) | 0;
    const wanted = (max < room ? max : room) | 0;
    let free = (this.capacity - ((this.tail - this.cachedHead) | 0)) | 0;
    if (free < wanted) {
      free = this.refresh();
      if (free === 0) {
        this.reserved = 0;
        pause();
        this.onFull();
        return 0;
      }
    }
    const count = (wanted < free ? wanted : free) | 0;
    this.at = (this.slotsWord + (position << this.slotShift)) | 0;
    this.reserved = count;
    if (((this.tail + count - this.touchedTail) | 0) > 0) this.touch(count, free < room ? free : room);
    return count;
  }

  /** {@link reserve} found no room. */
  protected onFull(): void {}

  /** Looks at the consumer's index; confirms it only when the plain load says that something changed. */
  protected refresh(): number {
    if (this.closed) throw new ClosedError(`this producer of ${this.name}`);
    const hint = loadHint(this.words, RingLayout.headWord) | 0;
    if (hint !== this.cachedHead) {
      // SYNC free-slot: acquire pairs with the consumer's release store of head.
      this.cachedHead = this.checkedHead(confirmHint(this.words, RingLayout.headWord, hint) | 0);
    }
    return (this.capacity - ((this.tail - this.cachedHead) | 0)) | 0;
  }

  private checkedHead(head: number): number {
    if (((this.tail - head) | 0) >>> 0 > this.capacity) throw new CorruptError(`ring ${this.name}: head`);
    return head;
  }

  /**
   * Stores 0 into the first word of each line about to be filled. Those lines are in the consumer's cache; the store asks for
   * all of them at once, where the 4-byte stores of JavaScript would wait for one after the other. Slots beyond the reserved
   * ones are free as well (`limit`), and nobody reads a slot before its commit.
   */
  private touch(count: number, limit: number): void {
    let ahead = count < this.slotsAhead ? this.slotsAhead : count;
    if (ahead > limit) ahead = limit;
    const words = this.words;
    const end = (this.at + (ahead << this.slotShift)) | 0;
    for (let word = this.at; word < end; word = (word + this.stepWords) | 0) storePlain(words, word, 0);
    this.touchedTail = (this.tail + ahead) | 0;
  }

  /** Writes a 16-byte descriptor into reserved slot `i`. */
  write(i: number, offsetLow: number, offsetHigh: number, length: number, tag: number): void {
    const words = this.words;
    const word = (this.at + (i << this.slotShift)) | 0;
    words[word] = offsetLow;
    words[word + 1] = offsetHigh;
    words[word + 2] = length;
    words[word + 3] = tag;
  }

  /** Publishes the first `count` reserved slots with one store. @throws ArgumentError when so many are not reserved; ClosedError */
  commit(count: number): void {
    if (count > this.reserved || count < 0) this.refuseCommit(count);
    this.reserved = 0;
    this.tail = (this.tail + count) | 0;
    // SYNC publish: release pairs with the consumer's acquire load of tail. Single writer: the producer.
    publish(this.words, RingLayout.tailWord, this.tail);
  }

  private refuseCommit(count: number): never {
    if (this.closed) throw new ClosedError(`this producer of ${this.name}`);
    throw new ArgumentError(`${this.name}: commit(${count}) of ${this.reserved} reserved slots`);
  }

  /** Whoever comes next owns the slots: nothing is reserved, and no free slot is known, so that both paths end at a check. */
  protected shut(): void {
    this.closed = true;
    this.reserved = -1;
    // Less than none, or reserve(0) would not look.
    this.cachedHead = (this.tail - this.capacity - 1) | 0;
  }

  /** Slots committed and not released, by the consumer's current index. */
  used(): number {
    return (this.capacity - this.refresh()) | 0;
  }

  /** Whether a slot is free. */
  ready(): boolean {
    return this.refresh() !== 0;
  }
}

/** Reading end. One thread of one process at a time. */
export class SpscConsumer {
  /** Words of the ring; read only slots that are peeked. */
  readonly words: Int32Array;
  readonly slotWords: number;
  /** Word index of the first peeked slot. */
  at: number;
  private readonly name: string;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly slotsWord: number;
  private readonly slotShift: number;
  private head: number;
  private cachedTail: number;
  private peeked: number;
  private closed = false;

  /** Continues at the first slot that was not released.
   * @throws CorruptError when the indices contradict each other */
  constructor(ring: RingGeometry) {
    this.words = ring.words;
    this.name = ring.name;
    this.slotWords = ring.slotBytes / WORD_BYTES;
    this.capacity = ring.capacity;
    this.mask = ring.capacity - 1;
    this.slotsWord = ring.slotsWord;
    this.slotShift = Math.log2(this.slotWords) | 0;
    this.head = loadAcquire(ring.words, RingLayout.headWord) | 0;
    this.cachedTail = this.checkedTail(loadAcquire(ring.words, RingLayout.tailWord) | 0);
    this.peeked = 0;
    this.at = ring.slotsWord;
  }

  /**
   * Up to `max` contiguous committed slots, oldest first; 0 when the ring is empty (then it has paused once, so a caller may
   * loop). Word index of slot i: `at + i * slotWords`. Valid until `release`.
   * @throws CorruptError when the producer's index is impossible; ClosedError
   */
  peek(max: number): number {
    let available = (this.cachedTail - this.head) | 0;
    if (available === 0) {
      available = this.refresh();
      if (available === 0) {
        this.peeked = 0;
        pause();
        this.onEmpty();
        return 0;
      }
    }
    const position = this.head & this.mask;
    const room = (this.capacity - position) | 0;
    let count = (available < room ? available : room) | 0;
    if (max < count) count = max;
    this.at = (this.slotsWord + (position << this.slotShift)) | 0;
    this.peeked = count;
    return count;
  }

  /** {@link peek} found nothing. */
  protected onEmpty(): void {}

  /** Looks at the producer's index; confirms it only when the plain load says that something changed. */
  private refresh(): number {
    if (this.closed) throw new ClosedError(`this consumer of ${this.name}`);
    const hint = loadHint(this.words, RingLayout.tailWord) | 0;
    if (hint !== this.cachedTail) {
      // SYNC publish: acquire pairs with the producer's release store of tail.
      this.cachedTail = this.checkedTail(confirmHint(this.words, RingLayout.tailWord, hint) | 0);
    }
    return (this.cachedTail - this.head) | 0;
  }

  private checkedTail(tail: number): number {
    if (((tail - this.head) | 0) >>> 0 > this.capacity) throw new CorruptError(`ring ${this.name}: tail`);
    return tail;
  }

  /** Gives the first `count` peeked slots back with one store; they may be overwritten at once. @throws ArgumentError, ClosedError */
  release(count: number): void {
    if (count > this.peeked || count < 0) this.refuseRelease(count);
    this.peeked = 0;
    this.head = (this.head + count) | 0;
    // SYNC free-slot: release pairs with the producer's acquire load of head. Single writer: the consumer.
    publish(this.words, RingLayout.headWord, this.head);
  }

  private refuseRelease(count: number): never {
    if (this.closed) throw new ClosedError(`this consumer of ${this.name}`);
    throw new ArgumentError(`${this.name}: release(${count}) of ${this.peeked} peeked slots`);
  }

  /** @internal As {@link SpscProducer.shut}: nothing is peeked, and nothing known to be there. */
  shut(): void {
    this.closed = true;
    this.peeked = -1;
    this.cachedTail = this.head;
  }

  /** Whether something is committed. */
  ready(): boolean {
    return ((this.cachedTail - this.head) | 0) !== 0 || this.refresh() !== 0;
  }
}
