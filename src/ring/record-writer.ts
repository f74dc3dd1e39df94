/**
 * The producer's side of records (PROTOCOL.md §12.1, refresh in §12.2 and §12.4): the algorithm, free of attaching and sleeping.
 *
 *     if (writer.tryReserve(64)) {                       // nothing is visible yet
 *       writer.data[writer.word] = …;                    // or writer.bytes from writer.offset on
 *       writer.finish(64);                               // … more of them
 *     }
 *     writer.publish();                                  // one store shows all of them
 *
 * TypeScript-private fields and 32-bit integers, see spsc.ts. Positions are compared as differences modulo 2^32.
 */
import {
  compareAndSwap,
  exchange,
  fence,
  loadAcquire,
  loadAfterFence,
  loadHint,
  pause,
  publish,
  storePlain,
  storeRelease,
} from "../memory/atomics.ts";
import { LINE_BYTES } from "../memory/layout.ts";
import { addToCounter } from "./counters.ts";
import { ArgumentError, ClosedError, CorruptError } from "./errors.ts";
import { OwnerWord } from "./layout.ts";
import { receiverOf } from "./owner.ts";
import type { RecordsGeometry } from "./records-geometry.ts";
import { cursorOwnerWord, cursorPositionWord, RecordHeader, RecordsLayout } from "./records-layout.ts";
import type { Ringer } from "./sleepers.ts";

/** A lossy producer claims so much at once beyond what it needs: capacity / 16. */
const LOSSY_CLAIM_SHIFT = 4;
const NOTHING_RESERVED = -1;
/** A 64-byte cache line: what one store acquires. */
const CACHE_LINE_BYTES = LINE_BYTES / 2;
/** How far ahead the producer asks for lines, see {@link RecordWriter.touch}. */
const AHEAD_BYTES = 8 * CACHE_LINE_BYTES;

/** Writing end. One thread of one process at a time. */
export class RecordWriter {
  /** The record bytes. Write only what is reserved: `maxBytes` from {@link offset} on. */
  readonly bytes: Uint8Array;
  /** The same as words. */
  readonly data: Int32Array;
  /** Where the reserved payload starts in {@link bytes}, a multiple of 8. */
  offset = 0;
  /** The same in {@link data}. */
  word = 0;
  /** Largest payload of one record. */
  readonly maxBytes: number;
  /** After a reservation that failed: the cursor that gates, −1 when none does, its owner word and its position. */
  gatingCursor = -1;
  gatingOwner = 0;
  gatingPosition = 0;
  protected readonly words: Int32Array;
  private readonly name: string;
  private readonly ringer: Ringer;
  private readonly capacity: number;
  private readonly mask: number;
  private readonly cursorCount: number;
  private readonly lossy: boolean;
  private readonly history: number;
  private readonly indexWord: number;
  private readonly indexMask: number;
  private readonly mostUnpublished: number;
  private tail: number;
  private written: number;
  private next: number;
  private publishedNext: number;
  private limit: number;
  private touched: number;
  private claim: number;
  private epoch: number;
  private markWord: number;
  private closed = false;
  private reserved = NOTHING_RESERVED;
  private padding = 0;

  /** Continues where the last producer stopped; the caller owns the producer-owner word.
   * @throws CorruptError when the words contradict each other */
  constructor(records: RecordsGeometry, ringer: Ringer) {
    const { words } = records;
    this.words = words;
    this.data = records.data;
    this.bytes = records.bytes;
    this.name = records.name;
    this.ringer = ringer;
    this.maxBytes = records.maxRecordBytes;
    this.capacity = records.capacityBytes;
    this.mask = records.capacityBytes - 1;
    this.cursorCount = records.maxConsumers;
    this.lossy = records.mode === "lossy";
    this.history = records.history;
    this.indexWord = records.indexWord;
    this.indexMask = records.indexCount - 1;
    this.mostUnpublished = records.indexCount === 0 ? 0x7fff_ffff : records.indexCount >> 1;
    this.tail = loadAcquire(words, RecordsLayout.tailWord) | 0;
    this.claim = loadAcquire(words, RecordsLayout.claimWord) | 0;
    const epoch = loadAcquire(words, RecordsLayout.epochWord) | 0;
    // Died between the stores of epoch and claim: the epoch is one ahead.
    this.epoch = ((this.claim >>> 31) ^ epoch) & 1 ? (epoch - 1) | 0 : epoch;
    const first = RecordsLayout.firstMarkWord;
    const second = first + RecordsLayout.markWords;
    const mark = loadAcquire(words, first) === this.tail ? first : second;
    if (loadAcquire(words, mark) !== this.tail)
      throw new CorruptError(`records ${this.name}: no mark for the tail`);
    this.next = loadAcquire(words, mark + RecordsLayout.markSequenceWord) | 0;
    this.publishedNext = this.next;
    this.markWord = first + second - mark;
    if ((this.tail & 7) !== 0) throw new CorruptError(`records ${this.name}: tail`);
    if (((this.claim - this.tail) | 0) >>> 0 > this.capacity)
      throw new CorruptError(`records ${this.name}: claim`);
    this.written = this.tail;
    this.limit = this.tail;
    this.touched = this.tail;
  }

  /** A new stream begins, or an interrupted one goes on: consumers see it open. */
  begin(): void {
    storeRelease(this.words, RecordsLayout.endedWord, RecordsLayout.endedOpen);
  }

  /** Sequence of the next record, 32 bits. */
  get sequence(): number {
    return this.next >>> 0;
  }

  /**
   * Reserves room for a record of up to `maxBytes`: its payload is at {@link offset}. False when there is none (then it has paused
   * once, so a caller may loop; everything finished is published). A second call before `finish` reserves afresh.
   * @throws ArgumentError when no record may be that large
   */
  tryReserve(maxBytes: number): boolean {
    if (!(maxBytes >= 0 && maxBytes <= this.maxBytes)) this.refuseSize(maxBytes);
    const size = (maxBytes + RecordHeader.sizeBytes + 7) & -8;
    const position = this.written & this.mask;
    const rest = (this.capacity - position) | 0;
    const padding = size <= rest ? 0 : rest;
    const need = (padding + size) | 0;
    if (((this.limit - this.written) | 0) < need && !this.refresh(need)) {
      this.reserved = NOTHING_RESERVED;
      pause();
      this.onFull(maxBytes);
      return false;
    }
    this.padding = padding;
    this.offset = ((padding === 0 ? position : 0) + RecordHeader.sizeBytes) | 0;
    this.word = this.offset >> 2;
    this.reserved = maxBytes;
    if (((this.written + need - this.touched) | 0) > 0) this.touch(need);
    return true;
  }

  /** A reservation of so many bytes failed, for the consumer named by {@link gatingCursor}: whoever waits may look whether it is dead or stands still. */
  protected onFull(_maxBytes: number): void {}

  /**
   * Stores 0 into the first word of each line about to be filled, as SpscProducer does and for the same reason: JavaScript's small
   * stores would wait for one line after the other. Only free bytes are touched, each once; large records fetch their lines themselves.
   */
  private touch(need: number): void {
    const free = (this.limit - this.written) | 0;
    let ahead = need > AHEAD_BYTES ? need : AHEAD_BYTES;
    if (ahead > free) ahead = free;
    const end = (this.written + ahead) | 0;
    if (need <= AHEAD_BYTES) {
      const data = this.data;
      const from = ((this.touched - this.written) | 0) > 0 ? this.touched : this.written;
      let position = (from + (CACHE_LINE_BYTES - 1)) & -CACHE_LINE_BYTES;
      for (; ((end - position) | 0) > 0; position = (position + CACHE_LINE_BYTES) | 0)
        storePlain(data, (position & this.mask) >> 2, 0);
    }
    this.touched = end;
  }

  /** Extends the reservation over all the room there is in one piece, for a record whose length is not known; returns its bytes. */
  extend(): number {
    if (this.reserved < 0) this.refuseFinish(0);
    const free = (this.limit - this.written - this.padding) | 0;
    const rest = (this.capacity - this.offset + RecordHeader.sizeBytes) | 0;
    const room = ((free < rest ? free : rest) & -8) - RecordHeader.sizeBytes;
    if (room > this.reserved) this.reserved = room < this.maxBytes ? room : this.maxBytes;
    return this.reserved;
  }

  private refuseSize(maxBytes: number): never {
    throw new ArgumentError(
      `records ${this.name}: a record of ${maxBytes} bytes; the largest has ${this.maxBytes}, half of the capacity less its header`,
    );
  }

  /** Ends the reserved record with `lengthBytes` of payload, at most what was reserved. Not visible before {@link publish}. */
  finish(lengthBytes: number): void {
    if (!(lengthBytes >= 0 && lengthBytes <= this.reserved)) this.refuseFinish(lengthBytes);
    this.reserved = NOTHING_RESERVED;
    const data = this.data;
    if (this.padding !== 0) {
      const at = (this.written & this.mask) >> 2;
      storePlain(data, at, RecordHeader.paddingBit | (this.padding - RecordHeader.sizeBytes));
      storePlain(data, at + RecordHeader.sequenceWord, this.next);
      this.written = (this.written + this.padding) | 0;
    }
    const header = (this.word - RecordHeader.words) | 0;
    storePlain(data, header, lengthBytes);
    storePlain(data, header + RecordHeader.sequenceWord, this.next);
    if (this.indexMask >= 0)
      storePlain(this.words, this.indexWord + (this.next & this.indexMask), this.written);
    this.written = (this.written + ((lengthBytes + RecordHeader.sizeBytes + 7) & -8)) | 0;
    this.next = (this.next + 1) | 0;
    // The index holds the last records: not more unpublished ones than half of it, or readers would find none.
    if (((this.next - this.publishedNext) | 0) >= this.mostUnpublished) this.publish();
  }

  private refuseFinish(lengthBytes: number): never {
    if (this.closed) throw new ClosedError(`this producer of records ${this.name}`);
    throw new ArgumentError(
      this.reserved < 0
        ? `finish(${lengthBytes}) without a reservation`
        : `finish(${lengthBytes}) of ${this.reserved} reserved bytes`,
    );
  }

  /** {@link finish}, then {@link publish}. */
  commit(lengthBytes: number): void {
    this.finish(lengthBytes);
    this.publish();
  }

  /** Forgets the reservation. */
  abort(): void {
    this.reserved = NOTHING_RESERVED;
  }

  /** Shows consumers every finished record with one store, and wakes those that sleep. */
  publish(): void {
    if (this.written === this.tail) return;
    const words = this.words;
    const mark = this.markWord;
    // A release: whoever reads this mark's old tail and the new sequence finds that tail has moved on.
    publish(words, mark + RecordsLayout.markSequenceWord, this.next);
    storePlain(words, mark, this.written);
    // SYNC publish: release pairs with the readers' acquire load of tail. Single writer: the producer.
    publish(words, RecordsLayout.tailWord, this.written);
    this.markWord = (2 * RecordsLayout.firstMarkWord + RecordsLayout.markWords - mark) | 0;
    this.tail = this.written;
    this.publishedNext = this.next;
    if (loadAfterFence(words, RecordsLayout.sleepersWord) !== 0) this.wakeSleepers();
  }

  private wakeSleepers(): void {
    let sleepers = exchange(this.words, RecordsLayout.sleepersWord, 0);
    while (sleepers !== 0) {
      const participant = 31 - Math.clz32(sleepers & -sleepers);
      sleepers &= sleepers - 1;
      this.ringer.ring(participant);
    }
  }

  /** Tries to get `need` bytes behind `written`: publishes, and looks at the cursors (reliable) or just goes on (lossy). */
  private refresh(need: number): boolean {
    if (this.closed) throw new ClosedError(`this producer of records ${this.name}`);
    this.publish();
    if (this.lossy) {
      const wanted = (need + (this.capacity >> LOSSY_CLAIM_SHIFT)) | 0;
      this.limit = (this.tail + (wanted < this.capacity ? wanted : this.capacity)) | 0;
      if (((this.limit - this.claim) | 0) > 0) this.storeClaim(this.limit);
      return true;
    }
    const gate = (this.scan() + this.capacity) | 0;
    const goal = this.history === 0 ? gate : this.keepHistory(gate, need);
    let bound = gate;
    if (((goal - this.claim) | 0) > 0) {
      this.storeClaim(goal);
      // SYNC join: whoever joined without seeing this claim is seen here.
      bound = (this.scan() + this.capacity) | 0;
    }
    this.limit = ((bound - goal) | 0) < 0 ? bound : goal;
    return ((this.limit - this.written) | 0) >= need;
  }

  /** The last records of the history are a gate too, as far as they fit half the capacity, and while nobody has to wait for it. */
  private keepHistory(gate: number, need: number): number {
    const entry = this.indexWord + ((this.next - this.history) & this.indexMask);
    const oldest = (this.tail - loadHint(this.words, entry)) >>> 0;
    const half = this.capacity >>> 1;
    const goal = (this.tail + this.capacity - (oldest < half ? oldest : half)) | 0;
    if (((gate - goal) | 0) <= 0) return gate;
    if (((goal - this.written) | 0) >= need) return goal;
    return ((gate - this.written) | 0) >= need ? (this.written + need) | 0 : gate;
  }

  /** Announces, before any byte of it is touched, that bytes up to `claim` may be written. */
  private storeClaim(claim: number): void {
    if ((claim ^ this.claim) < 0) {
      this.epoch = (this.epoch + 1) | 0;
      storeRelease(this.words, RecordsLayout.epochWord, this.epoch);
    }
    this.claim = claim;
    storeRelease(this.words, RecordsLayout.claimWord, claim);
    fence();
  }

  /** Position of the oldest cursor that counts; the tail if there is none. */
  private scan(): number {
    const words = this.words;
    let oldest = 0;
    this.gatingCursor = -1;
    for (let k = 0; k < this.cursorCount; k++) {
      const owner = loadAfterFence(words, cursorOwnerWord(k));
      if (receiverOf(owner) < 0) continue;
      // SYNC free: acquire pairs with the consumer's release store of its cursor.
      const position = loadAfterFence(words, cursorPositionWord(k));
      const distance = (this.tail - position) >>> 0;
      // A joiner's that will notice, or nonsense: it holds nobody back.
      if (distance > this.capacity || distance < oldest) continue;
      oldest = distance;
      this.gatingCursor = k;
      this.gatingOwner = owner;
      this.gatingPosition = position;
    }
    return (this.tail - oldest) | 0;
  }

  /** Consumers attached now. */
  consumerCount(): number {
    let count = 0;
    for (let k = 0; k < this.cursorCount; k++)
      if (receiverOf(loadAfterFence(this.words, cursorOwnerWord(k))) >= 0) count++;
    return count;
  }

  /** Takes cursor `k` from its owner, as it was seen in {@link gatingOwner}. False when it has changed since. */
  evict(k: number, owner: number): boolean {
    if (!compareAndSwap(this.words, cursorOwnerWord(k), owner, owner | OwnerWord.busyBit)) return false;
    this.count(RecordsLayout.evictedWord);
    return true;
  }

  /** Adds one to a counter of the status line. Single writer: the producer. */
  count(word: number): void {
    addToCounter(this.words, word);
  }

  /** Publishes, and says that nothing more comes. The caller gives the owner word back and rings everybody. */
  finishStream(): void {
    this.abort();
    this.publish();
    // Nothing is reserved and no room is known: both paths end at a check, for the words are a successor's from now on.
    this.closed = true;
    this.limit = this.written;
    storeRelease(this.words, RecordsLayout.endedWord, RecordsLayout.endedByProducer);
  }
}
