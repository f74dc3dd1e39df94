/**
 * The host's object of a hardware queue (PROTOCOL.md §10.8): geometry, owner, and the table of blocks that the hardware holds. While a command is
 * under way its blocks are the device's (bit 31 of `holders`), not the process's: if that dies, they wait for the queue to stop.
 */
import { compareAndSwap, loadAcquire, loadHint, storePlain, storeRelease } from "../memory/atomics.ts";
import { regionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { Directory, ObjectKind, WORD_BYTES } from "../memory/layout.ts";
import { roundUp } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import type { DoorbellRinger } from "./doorbell-ringer.ts";
import { ArgumentError, CorruptError, InUseError } from "./errors.ts";
import { HardwareQueueLayout as Layout, QueueMemoryLayout, StopRegisters } from "./hardware-layout.ts";
import { OwnerWord } from "./layout.ts";
import { attachOwner, ownerParticipant } from "./owner.ts";
import { Pool } from "./pool.ts";

/** The device's bit in `holders`, as a signed 32-bit mask. */
export const DEVICE_BIT = 1 << 31;
/** Ring, completions and lists start on pages of their own: no cache writeback granule (at most 2048 bytes) has two writers. */
const PART_ALIGN_BYTES = 4096;
const HELD_GENERATION_MASK = 0x7fff_ffff;

/** Fixed at creation and stored in the segment. */
export interface HardwareQueueShape {
  /** Path of the register file, see src/memory/register-file.ts. */
  readonly registers: string;
  /** Which queue of the core, 0-14. */
  readonly queue: number;
  /** Commands that can be under way, 2^1 … 2^12. */
  readonly capacity: number;
  /** Bytes for scatter lists: a multiple of 128 · capacity, may be 0. */
  readonly listsBytes: number;
  /** The blocks of commands come from here. */
  readonly pool: Pool;
  /** Queue memory in a buffer of its own (one that is not cached): its path and size. Null: in this region. */
  readonly buffer: { readonly path: string; readonly sizeBytes: number } | null;
}

/** Where the three parts are: byte offsets in the region, or in the buffer if there is one. */
export interface QueueMemoryPlace {
  readonly sqOffset: number;
  readonly cqOffset: number;
  readonly listsOffset: number;
  readonly endOffset: number;
}

function alignUp(value: number): number {
  return roundUp(value, PART_ALIGN_BYTES);
}

function placeFrom(start: number, capacity: number, listsBytes: number): QueueMemoryPlace {
  const sqOffset = alignUp(start);
  const cqOffset = alignUp(sqOffset + capacity * QueueMemoryLayout.descriptorBytes);
  const listsOffset = alignUp(cqOffset + capacity * QueueMemoryLayout.completionBytes);
  return { sqOffset, cqOffset, listsOffset, endOffset: alignUp(listsOffset + listsBytes) };
}

function headBytes(blockCount: number): number {
  return Layout.heldOffset + blockCount * WORD_BYTES;
}

function sizeBytes(shape: HardwareQueueShape): number {
  const head = headBytes(shape.pool.geometry.blockCount);
  return shape.buffer === null ? placeFrom(head, shape.capacity, shape.listsBytes).endOffset : head;
}

function checkShape(name: string, shape: HardwareQueueShape): void {
  const log2 = Math.log2(shape.capacity);
  const valid =
    Number.isInteger(log2) &&
    log2 >= QueueMemoryLayout.minCapacityLog2 &&
    log2 <= QueueMemoryLayout.maxCapacityLog2 &&
    Number.isInteger(shape.queue) &&
    shape.queue >= 0 &&
    shape.queue < QueueMemoryLayout.maxQueues &&
    shape.listsBytes >= 0 &&
    shape.listsBytes % (2 * QueueMemoryLayout.descriptorBytes * shape.capacity) === 0;
  if (!valid) {
    throw new ArgumentError(
      `hardware queue ${name}: queue ${shape.queue}, capacity ${shape.capacity}, lists of ${shape.listsBytes} bytes; queues are 0-14, capacities powers of two from 2 to 4096`,
    );
  }
}

function encodePath(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(path);
  if (bytes.byteLength >= Layout.pathBytes || path.includes("\0"))
    throw new ArgumentError(`the path ${path} is longer than ${Layout.pathBytes - 1} bytes`);
  return bytes;
}

function decodePath(view: Uint8Array): string {
  const copy = view.slice();
  const end = copy.indexOf(0);
  return new TextDecoder().decode(copy.subarray(0, end < 0 ? copy.length : end));
}

function set64(words: Int32Array, word: number, value: number): void {
  words[word] = (value % 2 ** 32) | 0;
  words[word + 1] = Math.floor(value / 2 ** 32);
}

function get64(words: Int32Array, word: number): number {
  return (words[word]! >>> 0) + (words[word + 1]! >>> 0) * 2 ** 32;
}

/** A checked hardware queue object as one region handle sees it. */
export class HardwareQueue {
  readonly name: string;
  readonly region: Region;
  readonly pool: Pool;
  readonly registers: string;
  readonly queue: number;
  readonly capacityLog2: number;
  readonly listsBytes: number;
  /** Path of the buffer that holds the queue memory; null when that is in this region. */
  readonly buffer: string | null;
  readonly place: QueueMemoryPlace;
  // On the path of every command: TypeScript-private, see spsc.ts.
  private readonly words: Int32Array;
  private readonly heldWord: number;

  private constructor(region: Region, entry: DirectoryEntry) {
    if (entry.kind !== ObjectKind.hardwareQueue || entry.sizeBytes < Layout.heldOffset)
      throw new CorruptError(`hardware queue ${entry.name}: directory entry`);
    const head = region.words(entry.offset, Layout.heldOffset / WORD_BYTES);
    const poolIndex = head[Layout.poolIndexWord]! >>> 0;
    const poolEntry = poolIndex < Directory.capacity ? region.directory.at(poolIndex) : null;
    if (
      head[Layout.magicWord] !== Layout.magic ||
      head[Layout.versionWord] !== Layout.version ||
      head[Layout.heldOffsetWord] !== Layout.heldOffset ||
      poolEntry === null ||
      poolEntry.generation !== head[Layout.poolGenerationWord]
    ) {
      throw new CorruptError(`hardware queue ${entry.name}: geometry`);
    }
    this.name = entry.name;
    this.region = region;
    this.pool = Pool.at(region, poolEntry);
    this.queue = head[Layout.queueWord]! >>> 0;
    this.capacityLog2 = head[Layout.capacityLog2Word]! >>> 0;
    this.listsBytes = head[Layout.listsBytesWord]! >>> 0;
    const path = (offset: number): string =>
      decodePath(region.view(regionOffset(entry.offset + offset), Layout.pathBytes));
    this.registers = path(Layout.registersPathOffset);
    this.buffer =
      (head[Layout.flagsWord]! & Layout.flagOwnBuffer) === 0 ? null : path(Layout.bufferPathOffset);
    const { blockCount } = this.pool.geometry;
    const sqOffset = get64(head, Layout.sqOffsetLowWord);
    this.place = placeFrom(sqOffset, 1 << (this.capacityLog2 & 31), this.listsBytes);
    const inside =
      this.buffer !== null ||
      (sqOffset >= entry.offset + headBytes(blockCount) &&
        this.place.endOffset <= entry.offset + entry.sizeBytes);
    const intact =
      this.queue < QueueMemoryLayout.maxQueues &&
      this.capacityLog2 >= QueueMemoryLayout.minCapacityLog2 &&
      this.capacityLog2 <= QueueMemoryLayout.maxCapacityLog2 &&
      this.listsBytes % ((2 * QueueMemoryLayout.descriptorBytes) << this.capacityLog2) === 0 &&
      head[Layout.blockCountWord]! >>> 0 === blockCount &&
      headBytes(blockCount) <= entry.sizeBytes &&
      sqOffset === this.place.sqOffset &&
      get64(head, Layout.cqOffsetLowWord) === this.place.cqOffset &&
      get64(head, Layout.listsOffsetLowWord) === this.place.listsOffset &&
      inside;
    if (!intact) throw new CorruptError(`hardware queue ${entry.name}: geometry`);
    this.words = region.words(entry.offset, headBytes(blockCount) / WORD_BYTES);
    this.heldWord = Layout.heldOffset / WORD_BYTES;
  }

  static at(region: Region, entry: DirectoryEntry): HardwareQueue {
    return new HardwareQueue(region, entry);
  }

  static open(region: Region, name: string, waitMs?: number): HardwareQueue {
    return new HardwareQueue(region, region.directory.open(name, ObjectKind.hardwareQueue, waitMs));
  }

  /**
   * Creates the object; touches no register.
   * @throws ArgumentError for impossible numbers; InUseError when another object stands for the same queue of the core; the directory's errors
   */
  static create(region: Region, name: string, shape: HardwareQueueShape): HardwareQueue {
    checkShape(name, shape);
    const registers = encodePath(shape.registers);
    const bufferPath = shape.buffer === null ? null : encodePath(shape.buffer.path);
    const entry = region.directory.create(ObjectKind.hardwareQueue, name, sizeBytes(shape), (offset) => {
      const { blockCount } = shape.pool.geometry;
      const others = existingQueues(region);
      for (const other of others) {
        if (other.registers === shape.registers && other.queue === shape.queue)
          throw new InUseError(
            `queue ${shape.queue} of ${shape.registers}`,
            `open ${other.name} instead of making a second object for it`,
          );
      }
      const start = shape.buffer === null ? offset + headBytes(blockCount) : bufferStart(name, shape, others);
      const place = placeFrom(start, shape.capacity, shape.listsBytes);
      const words = region.words(offset, headBytes(blockCount) / WORD_BYTES);
      words[Layout.versionWord] = Layout.version;
      words[Layout.queueWord] = shape.queue;
      words[Layout.capacityLog2Word] = Math.log2(shape.capacity);
      words[Layout.flagsWord] = shape.buffer === null ? 0 : Layout.flagOwnBuffer;
      words[Layout.poolIndexWord] = shape.pool.entry.index;
      words[Layout.poolGenerationWord] = shape.pool.entry.generation;
      words[Layout.blockCountWord] = blockCount;
      words[Layout.heldOffsetWord] = Layout.heldOffset;
      set64(words, Layout.sqOffsetLowWord, place.sqOffset);
      set64(words, Layout.cqOffsetLowWord, place.cqOffset);
      set64(words, Layout.listsOffsetLowWord, place.listsOffset);
      words[Layout.listsBytesWord] = shape.listsBytes;
      region.view(regionOffset(offset + Layout.registersPathOffset), registers.byteLength).set(registers);
      if (bufferPath !== null)
        region.view(regionOffset(offset + Layout.bufferPathOffset), bufferPath.byteLength).set(bufferPath);
      words[Layout.magicWord] = Layout.magic;
    });
    return new HardwareQueue(region, entry);
  }

  /** CAS from nobody (or quarantined) to the participant; false when somebody else has it. */
  attach(participant: number): boolean {
    return attachOwner(this.words, Layout.ownerWord, participant) !== 0;
  }

  /** Participant that owns the queue; −1: nobody, or quarantined. */
  get owner(): number {
    return ownerParticipant(loadAcquire(this.words, Layout.ownerWord));
  }

  /** Idle never came when its last owner died: its blocks are still the device's. */
  get quarantined(): boolean {
    return (
      (loadAcquire(this.words, Layout.ownerWord) & OwnerWord.participantMask) === Layout.ownerQuarantined
    );
  }

  /** Owner, or its cleaner: (g, owner or quarantined) → (g + 1, `next`), `next` nobody or quarantined. */
  detach(participant: number, next: 0 | typeof Layout.ownerQuarantined): void {
    const owner = loadAcquire(this.words, Layout.ownerWord);
    const low = owner & OwnerWord.participantMask;
    if (low !== participant + 1 && low !== Layout.ownerQuarantined) return;
    const generation = (owner >>> OwnerWord.generationShift) + 1;
    compareAndSwap(this.words, Layout.ownerWord, owner, (generation << OwnerWord.generationShift) | next);
  }

  /** Epoch of the last start. Single writer: the owner. */
  get epoch(): number {
    return loadAcquire(this.words, Layout.epochWord) & StopRegisters.maxEpoch;
  }

  /** A start was made, and idle was not seen since. */
  get started(): boolean {
    return loadAcquire(this.words, Layout.startedWord) !== 0;
  }

  /** Owner, before it writes `control`. */
  markStarted(epoch: number): void {
    storeRelease(this.words, Layout.epochWord, epoch);
    storeRelease(this.words, Layout.startedWord, 1);
  }

  /** Owner or its cleaner, after idle was seen and the blocks were taken back. */
  markStopped(): void {
    storeRelease(this.words, Layout.startedWord, 0);
  }

  /**
   * Gives a block to the hardware: `bit` must be its exclusive holder. False when it is not; then nothing was changed.
   * The order is what recovery relies on: held before the holders' bit.
   */
  give(block: number, bit: number): boolean {
    const held = ((this.pool.ownGeneration(block) & HELD_GENERATION_MASK) << 1) | 1;
    storePlain(this.words, this.heldWord + block, held);
    // SYNC give: the CAS is a fence; whoever sees bit 31 sees held.
    if (this.pool.handOver(block, bit, DEVICE_BIT)) return true;
    storePlain(this.words, this.heldWord + block, 0);
    return false;
  }

  /** The participant with `bit` takes a block back after its completion, or after idle. */
  take(block: number, bit: number, ringer: DoorbellRinger): void {
    this.pool.clearDevice(block, DEVICE_BIT, bit, ringer);
    storePlain(this.words, this.heldWord + block, 0);
  }

  /** After idle was seen: takes back everything that the table says is held. Returns how many blocks that were. */
  takeAll(ringer: DoorbellRinger): number {
    let taken = 0;
    for (let block = 0; block < this.pool.geometry.blockCount; block++) {
      const held = loadHint(this.words, this.heldWord + block);
      if (held === 0) continue;
      if (this.isHeldAs(block, held) && this.pool.clear(block, DEVICE_BIT, ringer)) taken++;
      storePlain(this.words, this.heldWord + block, 0);
    }
    return taken;
  }

  /** Blocks that the table says are the hardware's. */
  countHeld(): number {
    let count = 0;
    for (let block = 0; block < this.pool.geometry.blockCount; block++) {
      const held = loadHint(this.words, this.heldWord + block);
      if (held !== 0 && this.isHeldAs(block, held) && (this.pool.holders(block) & DEVICE_BIT) !== 0) count++;
    }
    return count;
  }

  /** {@link countHeld} by plain loads of the table alone: for observers, whose mapping cannot be written. */
  heldHint(): number {
    let count = 0;
    for (let block = 0; block < this.pool.geometry.blockCount; block++)
      if (loadHint(this.words, this.heldWord + block) !== 0) count++;
    return count;
  }

  private isHeldAs(block: number, held: number): boolean {
    return held === (((this.pool.generation(block) & HELD_GENERATION_MASK) << 1) | 1);
  }
}

/** The other queues of a region; spoilt ones are left out, they own nothing that can be trusted. */
function existingQueues(region: Region): HardwareQueue[] {
  const queues: HardwareQueue[] = [];
  for (const entry of region.directory.list()) {
    if (entry.kind !== ObjectKind.hardwareQueue) continue;
    try {
      queues.push(HardwareQueue.at(region, entry));
    } catch (error) {
      if (!(error instanceof CorruptError)) throw error;
    }
  }
  return queues;
}

/** First gap in the buffer of the queue memories that no other queue of this region uses. */
function bufferStart(name: string, shape: HardwareQueueShape, others: readonly HardwareQueue[]): number {
  const { path, sizeBytes } = shape.buffer!;
  const taken = others
    .filter((other) => other.buffer === path)
    .sort((a, b) => a.place.sqOffset - b.place.sqOffset);
  const length = placeFrom(0, shape.capacity, shape.listsBytes).endOffset;
  let start = 0;
  for (const { place } of taken) {
    if (place.sqOffset - start >= length) return start;
    start = Math.max(start, place.endOffset);
  }
  if (sizeBytes - start >= length) return start;
  throw new ArgumentError(
    `hardware queue ${name}: ${length} bytes of queue memory do not fit into ${path} (${sizeBytes} bytes, ${taken.length} queues): use a larger buffer or a smaller capacity`,
  );
}
