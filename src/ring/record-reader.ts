/**
 * The consumer's side of records (PROTOCOL.md §12.2 consume and join, §12.3, §12.4 read): the algorithm, free of sleeping.
 *
 *     while (reader.next()) {                            // one record after the other, in place
 *       … reader.bytes from reader.offset, reader.length bytes …
 *       if (!reader.intact()) continue;                  // lossy: it was overwritten while it was read; forget it
 *     }
 *     reader.release();                                  // reliable: one store gives all of them back
 *
 * Reading lossy records takes plain loads only. TypeScript-private fields and 32-bit integers, see spsc.ts.
 */
import {
  confirmHint,
  fence,
  fenceLoads,
  fetchOr,
  loadAcquire,
  loadAfterFence,
  loadHint,
  pause,
  publish,
  sleepersFence,
  storeRelease,
} from "../memory/atomics.ts";
import { ClosedError, CorruptError, EvictedError } from "./errors.ts";
import { OwnerWord } from "./layout.ts";
import { attachOwner, detachOwner, ownerParticipant } from "./owner.ts";
import type { RecordsGeometry } from "./records-geometry.ts";
import { cursorOwnerWord, cursorPositionWord, RecordHeader, RecordsLayout } from "./records-layout.ts";

/** How a stream ended, as its consumer sees it. */
export type RecordsEnd = "open" | "ended" | "died";

/** A producer publishes at most once in the few instructions of a look; it will not do so that often in a row. */
const LOCATE_ATTEMPTS = 1 << 16;
/** A joiner asks for less history after so many attempts that the producer overtook, and for none after twice as many. */
const JOIN_ATTEMPTS_EACH = 8;
const JOIN_ATTEMPTS = 1 << 16;
/** A reader lapped so often in a row is too slow for the oldest records: it goes to the newest. */
const LAPS_BEFORE_TAIL = 4;

/** Reading end, reliable (with a cursor) or lossy (without). One thread of one process at a time. */
export class RecordReader {
  /** The record bytes; read only the current record: `length` bytes from {@link offset} on. */
  readonly bytes: Uint8Array;
  /** The same as words. */
  readonly data: Int32Array;
  /** Where the payload of the current record starts in {@link data}, an even number. */
  word = 0;
  /** Payload bytes of the current record. */
  length = 0;
  /** Records that a lossy reader did not get, so far. */
  missed = 0;
  /** Which cursor is ours; −1: lossy. */
  readonly cursor: number;
  protected readonly words: Int32Array;
  private readonly name: string;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly maxBytes: number;
  private readonly indexWord: number;
  private readonly indexCount: number;
  private readonly lossy: boolean;
  /** Reliable, and the producer does not evict whoever stalls. */
  private readonly plain: boolean;
  private readonly ownerWord: number;
  private readonly cursorWord: number;
  private readonly owner: number;
  /** Position of the current record, the bytes it takes (0: nothing is current), and the epoch of the position (lossy, and to join). */
  private at = 0;
  private size = 0;
  private epoch = 0;
  private expected = 0;
  private left = false;
  private cachedTail = 0;
  private released = 0;

  /** With a cursor: use {@link joinRecords}. Lossy: cursor −1, then {@link start}. */
  constructor(records: RecordsGeometry, cursor: number, owner: number) {
    this.words = records.words;
    this.data = records.data;
    this.bytes = records.bytes;
    this.name = records.name;
    this.capacity = records.capacityBytes;
    this.mask = records.capacityBytes - 1;
    this.maxBytes = records.maxRecordBytes;
    this.indexWord = records.indexWord;
    this.indexCount = records.indexCount;
    this.lossy = cursor < 0;
    this.plain = !this.lossy && records.stallAction !== "evict";
    this.cursor = cursor;
    this.ownerWord = cursorOwnerWord(cursor);
    this.cursorWord = cursorPositionWord(cursor);
    this.owner = owner;
  }

  /** Where the payload of the current record starts in {@link bytes}, a multiple of 8. */
  get offset(): number {
    return this.word << 2;
  }

  /** Sequence of the current record, as a signed 32-bit number; before the first, of the one before it. */
  get sequence(): number {
    return (this.expected - 1) | 0;
  }

  /**
   * Goes to the next record; false when none is published. A lossy reader that was lapped goes on with the oldest record that
   * it has time to read, and counts what it {@link missed}.
   *
   * Here the usual case only, short enough to become part of the caller's loop, which saves a third. Where producers evict, a reader
   * learns here that it has lost its place; where somebody does so all the same, from {@link intact} and {@link release}.
   * @throws EvictedError when the producer took our place; CorruptError
   */
  next(): boolean {
    const at = (this.at + this.size) | 0;
    const available = (this.cachedTail - at) >>> 0;
    if (available !== 0 && this.plain) {
      const position = at & this.mask;
      const word = position >> 2;
      const header = loadHint(this.data, word);
      const size = (header + RecordHeader.sizeBytes + 7) & -8;
      if (
        header >= 0 &&
        header <= this.maxBytes &&
        size <= available &&
        position + size <= this.capacity &&
        loadHint(this.data, (word + RecordHeader.sequenceWord) | 0) === this.expected
      ) {
        this.at = at;
        this.size = size;
        this.expected = (this.expected + 1) | 0;
        this.word = (word + RecordHeader.words) | 0;
        this.length = header;
        return true;
      }
    }
    return this.nextOfAnyKind();
  }

  /** The same for lossy and evicting records, padding, the end of what was known to be published, and whatever is wrong. */
  private nextOfAnyKind(): boolean {
    const data = this.data;
    this.step(this.size);
    for (let laps = 0; ; ) {
      let available = (this.cachedTail - this.at) | 0;
      if (available === 0) {
        available = this.refresh();
        if (available === 0) return false;
      }
      const position = this.at & this.mask;
      const word = position >> 2;
      const header = loadHint(data, word);
      const sequence = loadHint(data, (word + RecordHeader.sequenceWord) | 0);
      if (!this.intact()) {
        this.lapped(++laps);
        continue;
      }
      if (header < 0) {
        this.skipPadding(header, position, available);
        continue;
      }
      const size = (header + RecordHeader.sizeBytes + 7) & -8;
      const gap = (sequence - this.expected) | 0;
      if (
        header > this.maxBytes ||
        size >>> 0 > available >>> 0 ||
        position + size > this.capacity ||
        (gap !== 0 && !this.lossy)
      )
        throw new CorruptError(`records ${this.name}: header of a record`);
      this.missed += gap >>> 0;
      this.expected = (sequence + 1) | 0;
      this.word = (word + RecordHeader.words) | 0;
      this.length = header;
      this.size = size;
      return true;
    }
  }

  /** Padding fills the bytes up to their end and is smaller than the record that did not fit, so that two never follow each other. */
  private skipPadding(header: number, position: number, available: number): void {
    const size = ((header & RecordHeader.paddingLengthMask) + RecordHeader.sizeBytes) >>> 0;
    if (size !== this.capacity - position || size > this.maxBytes || size > available >>> 0)
      throw new CorruptError(`records ${this.name}: padding`);
    this.step(size);
  }

  /** Forward by `size` bytes. */
  private step(size: number): void {
    const next = (this.at + size) | 0;
    if ((next ^ this.at) < 0) this.epoch = (this.epoch + 1) | 0;
    this.at = next;
    this.size = 0;
  }

  /**
   * Whether what was read of the current record is what was sent. Lossy: ask after the reads, before believing them. Reliable: always
   * true, unless the producer evicted us.
   * @throws EvictedError
   */
  intact(): boolean {
    const words = this.words;
    fenceLoads();
    if (!this.lossy) {
      if (loadHint(words, this.ownerWord) !== this.owner) this.refuseEvicted();
      return true;
    }
    const claim = loadHint(words, RecordsLayout.claimWord);
    fenceLoads();
    const epoch = loadHint(words, RecordsLayout.epochWord);
    return ((claim - this.at) | 0) >>> 0 <= this.capacity && ((epoch - this.epoch) | 0) >>> 0 <= 1;
  }

  /** Lets go of the cursor, so that it can be used again. */
  private refuseEvicted(): never {
    if (this.left) throw new ClosedError(`this consumer of records ${this.name}`);
    const owner = loadAcquire(this.words, this.ownerWord);
    if (owner === (this.owner | OwnerWord.busyBit))
      detachOwner(this.words, this.ownerWord, ownerParticipant(owner));
    throw new EvictedError(`records ${this.name}`);
  }

  /** {@link next} found nothing. */
  protected onEmpty(): void {}

  /** Bytes published behind the current position, by the producer's current tail. */
  private refresh(): number {
    if (this.left) throw new ClosedError(`this consumer of records ${this.name}`);
    const hint = loadHint(this.words, RecordsLayout.tailWord) | 0;
    if (hint === this.at) {
      if (!this.lossy) this.intact();
      this.cachedTail = hint;
      pause();
      this.onEmpty();
      return 0;
    }
    // SYNC publish: acquire pairs with the producer's release store of tail.
    const tail = confirmHint(this.words, RecordsLayout.tailWord, hint) | 0;
    const available = (tail - this.at) | 0;
    // More than there can be: evicted, lapped (the caller finds out), or nonsense.
    if (available >>> 0 > this.capacity && this.intact())
      throw new CorruptError(`records ${this.name}: tail`);
    this.cachedTail = tail;
    return available;
  }

  /** Lossy: the record was overwritten. Goes to one that lasts, or to the end of what is published. */
  private lapped(laps: number): void {
    const expected = this.expected;
    this.locate(laps < LAPS_BEFORE_TAIL ? this.indexCount : 0, this.capacity - (this.capacity >> 2));
    this.expected = expected;
  }

  /**
   * PROTOCOL.md §12.3: goes to the record that is `count` records back, or to the oldest after it that is indexed and not more than
   * `mostBehind` bytes behind the claim. Whether it stays intact is for the caller to ask.
   */
  private locate(count: number, mostBehind: number): void {
    const words = this.words;
    for (let attempt = 0; attempt < LOCATE_ATTEMPTS; attempt++) {
      fenceLoads();
      const epoch = loadAfterFence(words, RecordsLayout.epochWord);
      const tail = loadAfterFence(words, RecordsLayout.tailWord);
      const mark = this.markOf(tail);
      const sequence = loadHint(words, mark + RecordsLayout.markSequenceWord);
      fenceLoads();
      if (mark !== 0 && loadAfterFence(words, RecordsLayout.tailWord) === tail) {
        const back = this.walkBack(tail, sequence, count, mostBehind);
        fenceLoads();
        if (loadAfterFence(words, RecordsLayout.epochWord) === epoch) {
          this.expected = (sequence - back) | 0;
          // The epoch is that of the claim; the position's is the same or one less, as its highest bit tells.
          this.epoch = ((this.at >>> 31) ^ epoch) & 1 ? (epoch - 1) | 0 : epoch;
          this.size = 0;
          this.cachedTail = tail;
          return;
        }
      }
      pause();
    }
    throw new CorruptError(`records ${this.name}: tail and marks`);
  }

  /** Word index of the mark for `tail`, 0 when there is none. */
  private markOf(tail: number): number {
    const first = RecordsLayout.firstMarkWord;
    if (loadHint(this.words, first) === tail) return first;
    if (loadHint(this.words, first + RecordsLayout.markWords) === tail)
      return first + RecordsLayout.markWords;
    return 0;
  }

  /** Sets the position to a record up to `count` before `tail`; returns how many records before. */
  private walkBack(tail: number, sequence: number, count: number, mostBehind: number): number {
    const words = this.words;
    const claim = loadAfterFence(words, RecordsLayout.claimWord);
    let at = tail;
    let back = 0;
    while (back < count && back < this.indexCount) {
      const entry = this.indexWord + ((sequence - back - 1) & (this.indexCount - 1));
      const position = loadHint(words, entry);
      const size = (at - position) >>> 0;
      // Not a record before this one: there was none yet, or the entry is a later record's already.
      if (size < RecordHeader.sizeBytes || size > this.capacity || (position & 7) !== 0) break;
      if ((claim - position) >>> 0 > mostBehind) break;
      at = position;
      back++;
    }
    this.at = at;
    return back;
  }

  /**
   * Gives back every record before and including the current one, with one store. Lossy: nothing to give back.
   * @throws EvictedError when the producer took our place: what was read since the last release may be torn
   */
  release(): boolean {
    if (this.lossy) return false;
    const end = (this.at + this.size) | 0;
    if (end === this.released) return false;
    this.intact();
    this.released = end;
    // SYNC free: release pairs with the producer's acquire load of the cursor. Single writer: the consumer.
    publish(this.words, this.cursorWord, end);
    return true;
  }

  /**
   * Whether {@link next} has something to say: a record or an error, or, if `endCounts`, the stream is over. Plain loads: polling leaves
   * the producer's line alone.
   */
  hasNext(endCounts = true): boolean {
    if (loadHint(this.words, RecordsLayout.tailWord) !== ((this.at + this.size) | 0)) return true;
    if (endCounts && loadHint(this.words, RecordsLayout.endedWord) !== RecordsLayout.endedOpen) return true;
    return !this.lossy && loadHint(this.words, this.ownerWord) !== this.owner;
  }

  /** Asks the producer to wake `participant` at its next publication; the doorbell is armed, fenced and looked at again after this. */
  ask(participant: number): void {
    const bit = 1 << participant;
    if ((loadHint(this.words, RecordsLayout.sleepersWord) & bit) === 0)
      fetchOr(this.words, RecordsLayout.sleepersWord, bit);
  }

  /** {@link hasNext}, and if not, asks the producer to wake `participant` at its next publication. SYNC doorbell: ask, fence, look. */
  hasNextOrAsk(participant: number, endCounts = true): boolean {
    if (this.hasNext(endCounts)) return true;
    const bit = 1 << participant;
    if ((loadHint(this.words, RecordsLayout.sleepersWord) & bit) !== 0) return false;
    fetchOr(this.words, RecordsLayout.sleepersWord, bit);
    sleepersFence();
    return this.hasNext(endCounts);
  }

  /** Whether everything published was read and nothing more will come. */
  streamEnd(): RecordsEnd {
    fenceLoads();
    const ended = loadAfterFence(this.words, RecordsLayout.endedWord);
    if (ended === RecordsLayout.endedOpen) return "open";
    fenceLoads();
    // What was published before the end was said must have been seen.
    if (loadAfterFence(this.words, RecordsLayout.tailWord) !== ((this.at + this.size) | 0)) return "open";
    return ended === RecordsLayout.endedByProducer ? "ended" : "died";
  }

  /** Joins at cursor {@link cursor}, which is ours and busy (PROTOCOL.md §12.2 "Join"). */
  attach(history: number): void {
    const words = this.words;
    for (let attempt = 0; attempt < JOIN_ATTEMPTS; attempt++) {
      const mostBehind = attempt < JOIN_ATTEMPTS_EACH ? this.capacity : this.capacity >>> 1;
      this.locate(attempt < 2 * JOIN_ATTEMPTS_EACH ? history : 0, mostBehind);
      storeRelease(words, this.cursorWord, this.at);
      if (attempt === 0) storeRelease(words, this.ownerWord, this.owner);
      // SYNC join: the producer sees our cursor, or we see its claim.
      fence();
      const claim = loadAcquire(words, RecordsLayout.claimWord);
      const epoch = loadAcquire(words, RecordsLayout.epochWord);
      this.released = this.at;
      if ((claim - this.at) >>> 0 <= this.capacity && (epoch - this.epoch) >>> 0 <= 1) return;
    }
    throw new CorruptError(`records ${this.name}: claim`);
  }

  /** Lossy: starts `history` records back. */
  start(history: number): void {
    this.locate(history, this.capacity - (this.capacity >> 2));
  }

  /** Gives the cursor back. The caller rings the producer. */
  leave(): void {
    this.left = true;
    this.size = 0;
    this.cachedTail = this.at; // so that the next look is one that refuses
    if (this.lossy) return;
    const owner = loadAcquire(this.words, this.ownerWord);
    const ours = owner === this.owner || owner === (this.owner | OwnerWord.busyBit);
    if (ours) detachOwner(this.words, this.ownerWord, ownerParticipant(this.owner));
  }
}

/** Takes a free cursor for `participant`: its index and its owner word go to `make`. Null when all are taken. */
export function joinRecords<R extends RecordReader>(
  records: RecordsGeometry,
  participant: number,
  history: number,
  make: (cursor: number, owner: number) => R,
): R | null {
  for (let k = 0; k < records.maxConsumers; k++) {
    const owner = attachOwner(records.words, cursorOwnerWord(k), participant, OwnerWord.busyBit);
    if (owner === 0) continue;
    let reader: R | null = null;
    try {
      reader = make(k, owner);
      reader.attach(history);
      return reader;
    } catch (error) {
      if (reader === null) detachOwner(records.words, cursorOwnerWord(k), participant);
      else reader.leave();
      throw error;
    }
  }
  return null;
}
