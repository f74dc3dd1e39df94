/**
 * Commands on blocks: who holds them, where they are for the device, which caches to sync. Numbers only, and nothing is allocated per command
 * (scatter lists apart): this is the hot path under CommandQueue.
 *
 *     stage:   the blocks become the device's → descriptor (and lists)
 *     submit:  sync for device, one call for all sources, one for all destinations → barrier → doorbell
 *     reap:    completions → sync for CPU → the blocks are their holder's again
 */
import { roundUp } from "../memory/numbers.ts";
import { SyncBatch } from "../memory/sync-batch.ts";
import type { DoorbellRinger } from "../ring/doorbell-ringer.ts";
import { DEVICE_BIT, type HardwareQueue } from "../ring/hardware-queue.ts";
import type { Participant } from "../ring/participant.ts";
import type { Pool } from "../ring/pool.ts";
import type { BlockPart } from "./block.ts";
import type { CommandRing } from "./command-ring.ts";
import type { DeviceMemory } from "./device-memory.ts";
import { BlockBusyError, CommandInvalidError, QueueFullError } from "./errors.ts";
import {
  ALIGN_BYTES,
  CompletionLayout,
  DescriptorLayout,
  ListEntryLayout,
  MAX_LIST_ENTRIES,
  Status,
} from "./layout.ts";

const NO_BLOCK = -1;
/** In place of a block: the operand is a list. */
const LIST = -2;

interface ListOperands {
  readonly source: readonly BlockPart[] | null;
  readonly destination: readonly BlockPart[] | null;
}

/** Words of the queue memory for scatter lists: two lists for each entry. */
export interface ListArea {
  readonly words: Int32Array;
  /** First word of the area. */
  readonly firstWord: number;
  /** Device address of the area. */
  readonly address: number;
  /** Bytes of one list, a multiple of 64; 0: no lists. */
  readonly strideBytes: number;
}

export class BlockQueue {
  readonly ring: CommandRing;
  readonly pool: Pool;
  private readonly queue: HardwareQueue;
  private readonly memory: DeviceMemory;
  private readonly ringer: DoorbellRinger;
  private readonly bit: number;
  private readonly coherent: boolean;
  private readonly granuleBytes: number;
  private readonly lists: ListArea;
  /** Device address of each block. */
  private readonly addressLow: Int32Array;
  private readonly addressHigh: Int32Array;
  private readonly blockBytes: number;
  private readonly blockCount: number;
  // By entry.
  private readonly source: Int32Array;
  private readonly destination: Int32Array;
  private readonly destinationOffset: Int32Array;
  private readonly length: Int32Array;
  private readonly listOperands: (ListOperands | null)[];
  private readonly stagedEntries: Int32Array;
  private stagedCount = 0;
  private readonly toDevice = new SyncBatch();
  private readonly fromDevice = new SyncBatch();
  private readonly forCpu = new SyncBatch();

  constructor(
    queue: HardwareQueue,
    ring: CommandRing,
    memory: DeviceMemory,
    participant: Participant,
    lists: ListArea,
    granuleBytes: number,
  ) {
    this.queue = queue;
    this.ring = ring;
    this.memory = memory;
    this.ringer = participant.ringer;
    this.bit = participant.bit;
    this.coherent = memory.coherent;
    this.granuleBytes = granuleBytes;
    this.lists = lists;
    const { pool } = queue;
    this.pool = pool;
    this.blockBytes = pool.geometry.blockBytes;
    this.blockCount = pool.geometry.blockCount;
    this.addressLow = new Int32Array(this.blockCount);
    this.addressHigh = new Int32Array(this.blockCount);
    for (let block = 0; block < this.blockCount; block++) {
      const address = memory.base + pool.blockOffset(block);
      this.addressLow[block] = (address % 2 ** 32) | 0;
      this.addressHigh[block] = Math.floor(address / 2 ** 32);
    }
    this.source = new Int32Array(ring.capacity).fill(NO_BLOCK);
    this.destination = new Int32Array(ring.capacity).fill(NO_BLOCK);
    this.destinationOffset = new Int32Array(ring.capacity);
    this.length = new Int32Array(ring.capacity);
    this.stagedEntries = new Int32Array(ring.capacity);
    this.listOperands = new Array<ListOperands | null>(ring.capacity).fill(null);
  }

  /**
   * Stages a command on up to two blocks (−1: none) and returns its entry. Offsets are bytes from the start of the block.
   * @throws CommandInvalidError, BlockBusyError, QueueFullError; then nothing was changed
   */
  stage(
    opcode: number,
    sourceBlock: number,
    sourceOffset: number,
    destinationBlock: number,
    destinationOffset: number,
    length: number,
    parameter0: number,
    parameter1: number,
    parameter2: number,
  ): number {
    const lengthBytes = checkedLength(length);
    this.checkBlock(sourceBlock, sourceOffset, lengthBytes);
    this.checkBlock(destinationBlock, destinationOffset, lengthBytes);
    const sourceLow = sourceBlock < 0 ? 0 : (this.addressLow[sourceBlock]! + sourceOffset) | 0;
    const sourceHigh =
      sourceBlock < 0 ? 0 : (this.addressHigh[sourceBlock]! + carry(sourceLow, sourceOffset)) | 0;
    const destinationLow =
      destinationBlock < 0 ? 0 : (this.addressLow[destinationBlock]! + destinationOffset) | 0;
    const destinationHigh =
      destinationBlock < 0
        ? 0
        : (this.addressHigh[destinationBlock]! + carry(destinationLow, destinationOffset)) | 0;
    const entry = this.ring.put(
      opcode,
      sourceLow,
      sourceHigh,
      destinationLow,
      destinationHigh,
      length,
      0,
      parameter0,
      parameter1,
      parameter2,
    );
    // The core has not seen it yet: the blocks are the device's before the doorbell.
    if (sourceBlock >= 0 && !this.queue.give(sourceBlock, this.bit)) this.refuse(sourceBlock, NO_BLOCK);
    if (
      destinationBlock >= 0 &&
      destinationBlock !== sourceBlock &&
      !this.queue.give(destinationBlock, this.bit)
    )
      this.refuse(destinationBlock, sourceBlock);
    this.source[entry] = sourceBlock;
    this.destination[entry] = destinationBlock;
    this.destinationOffset[entry] = destinationOffset;
    this.length[entry] = length;
    this.stagedEntries[this.stagedCount++] = entry;
    if (!this.coherent) {
      if (sourceBlock >= 0) this.syncLater(this.toDevice, sourceBlock, sourceOffset, lengthBytes);
      if (destinationBlock >= 0)
        this.syncLater(this.fromDevice, destinationBlock, destinationOffset, lengthBytes);
    }
    return entry;
  }

  /** Stages a command whose source, destination or both are scatter lists of blocks. A block may be in several parts. Allocates. */
  stageLists(
    opcode: number,
    source: readonly BlockPart[] | null,
    destination: readonly BlockPart[] | null,
    length: number,
    parameters: readonly [number, number, number],
  ): number {
    const lengthBytes = checkedLength(length);
    if (source !== null) this.checkParts(source, lengthBytes);
    if (destination !== null) this.checkParts(destination, lengthBytes);
    if (this.ring.room === 0) throw new QueueFullError(this.ring.capacity);
    const blocks = distinctBlocks(source, destination);
    const given: number[] = [];
    let entry: number;
    try {
      for (const block of blocks) {
        if (!this.queue.give(block, this.bit)) throw this.busy(block);
        given.push(block);
      }
      entry = this.putLists(opcode, source, destination, length, parameters);
    } catch (error) {
      for (const block of given) this.queue.take(block, this.bit, this.ringer);
      throw error;
    }
    this.source[entry] = source === null ? NO_BLOCK : LIST;
    this.destination[entry] = destination === null ? NO_BLOCK : LIST;
    this.listOperands[entry] = { source, destination };
    this.stagedEntries[this.stagedCount++] = entry;
    if (!this.coherent) {
      for (const part of source ?? []) this.syncPart(this.toDevice, part);
      for (const part of destination ?? []) this.syncPart(this.fromDevice, part);
    }
    return entry;
  }

  /** The lists of an entry lie at its own place, so they are free when it is; `nextEntry` is what put() will return. */
  private putLists(
    opcode: number,
    source: readonly BlockPart[] | null,
    destination: readonly BlockPart[] | null,
    length: number,
    parameters: readonly [number, number, number],
  ): number {
    const { ring, lists } = this;
    const place = ring.nextEntry * 2 * lists.strideBytes;
    if (source !== null) this.writeList(place, source);
    if (destination !== null) this.writeList(place + lists.strideBytes, destination);
    const sourceAddress = lists.address + place;
    const destinationAddress = sourceAddress + lists.strideBytes;
    return ring.put(
      opcode |
        (source === null ? 0 : DescriptorLayout.flagSourceList) |
        (destination === null ? 0 : DescriptorLayout.flagDestinationList),
      source === null ? 0 : (sourceAddress % 2 ** 32) | 0,
      source === null ? 0 : Math.floor(sourceAddress / 2 ** 32),
      destination === null ? 0 : (destinationAddress % 2 ** 32) | 0,
      destination === null ? 0 : Math.floor(destinationAddress / 2 ** 32),
      length,
      (source?.length ?? 0) | ((destination?.length ?? 0) << DescriptorLayout.destinationEntriesShift),
      parameters[0],
      parameters[1],
      parameters[2],
    );
  }

  /** Word by word, as all of queue memory. */
  private writeList(placeBytes: number, parts: readonly BlockPart[]): void {
    const { words, firstWord } = this.lists;
    let word = firstWord + placeBytes / 4;
    for (const part of parts) {
      const address = this.memory.base + part.frame.offset + (part.offsetBytes ?? 0);
      words[word + ListEntryLayout.addressLowWord] = (address % 2 ** 32) | 0;
      words[word + ListEntryLayout.addressHighWord] = Math.floor(address / 2 ** 32);
      words[word + ListEntryLayout.bytesWord] = part.lengthBytes;
      words[word + 3] = 0;
      word += ListEntryLayout.sizeWords;
    }
  }

  private checkBlock(block: number, offset: number, lengthBytes: number): void {
    if (block === NO_BLOCK) return;
    if (!(block >= 0 && block < this.blockCount))
      throw new CommandInvalidError(Status.RANGE, `there is no block ${block}`);
    if (!(offset >= 0) || lengthBytes > this.blockBytes - offset)
      throw new CommandInvalidError(
        lengthBytes === 0 ? Status.LENGTH : Status.RANGE,
        `${lengthBytes} bytes at ${offset} of a block of ${this.blockBytes}`,
      );
    if ((offset & (ALIGN_BYTES - 1)) !== 0)
      throw new CommandInvalidError(Status.ALIGNMENT, `offset ${offset}`);
  }

  private checkParts(parts: readonly BlockPart[], lengthBytes: number): void {
    const most = Math.min(MAX_LIST_ENTRIES, this.lists.strideBytes / ListEntryLayout.sizeBytes);
    if (parts.length < 1 || parts.length > most)
      throw new CommandInvalidError(
        Status.LIST,
        `${parts.length} parts; this queue was made for up to ${most} (option maxParts)`,
      );
    let sum = 0;
    parts.forEach((part, i) => {
      const start =
        part.frame.offset - this.queue.pool.blockOffset(part.frame.block) + (part.offsetBytes ?? 0);
      this.checkBlock(part.frame.block, start, part.lengthBytes);
      const last = i === parts.length - 1;
      const whole = Number.isInteger(start) && Number.isInteger(part.lengthBytes);
      if (!whole || part.lengthBytes === 0 || (!last && part.lengthBytes % ALIGN_BYTES !== 0))
        throw new CommandInvalidError(Status.LIST, `part ${i} has ${part.lengthBytes} bytes at ${start}`);
      sum += part.lengthBytes;
    });
    if (sum !== lengthBytes)
      throw new CommandInvalidError(
        Status.LIST,
        `the parts have ${sum} bytes together, the command ${lengthBytes}`,
      );
  }

  private refuse(block: number, given: number): never {
    this.ring.unput();
    if (given >= 0) this.queue.take(given, this.bit, this.ringer);
    throw this.busy(block);
  }

  private busy(block: number): BlockBusyError {
    return new BlockBusyError(block, (this.pool.holders(block) & DEVICE_BIT) !== 0);
  }

  private takePair(sourceBlock: number, destinationBlock: number): void {
    const { ringer } = this;
    if (sourceBlock >= 0) this.queue.take(sourceBlock, this.bit, ringer);
    if (destinationBlock >= 0 && destinationBlock !== sourceBlock)
      this.queue.take(destinationBlock, this.bit, ringer);
  }

  private syncLater(batch: SyncBatch, block: number, offset: number, lengthBytes: number): void {
    if (batch.full) this.syncNow(batch);
    this.addGranules(batch, block, offset, lengthBytes);
  }

  /**
   * A range of a block as whole granules: a cache may write back all of a granule for one dirty line in it, over what the device wrote beside that. The rest of
   * the granules is the same holder's, because blocks begin and end with granules.
   */
  private addGranules(batch: SyncBatch, block: number, offset: number, lengthBytes: number): void {
    const { granuleBytes } = this;
    const start = offset - (offset % granuleBytes);
    const end = Math.min(roundUp(offset + lengthBytes, granuleBytes), this.blockBytes);
    batch.add(this.queue.pool.blockOffset(block) + start, end - start);
  }

  private syncPart(batch: SyncBatch, part: BlockPart): void {
    const { block, offset } = part.frame;
    const start = offset - this.queue.pool.blockOffset(block) + (part.offsetBytes ?? 0);
    this.syncLater(batch, block, start, part.lengthBytes);
  }

  private syncNow(batch: SyncBatch): void {
    this.memory.syncForDevice(batch, batch === this.toDevice ? "to-device" : "from-device");
    batch.clear();
  }

  /**
   * Hands all staged commands to the core: two sync calls (more when there are more ranges than one takes), one barrier, two register writes. Returns how many there were.
   * @throws what a sync call or the barrier throws; then nothing was submitted, and everything staged was taken back
   */
  submit(): number {
    if (this.stagedCount === 0) return 0;
    let count: number;
    try {
      if (!this.coherent) {
        // Dirty lines of a destination must not be written back over what the device writes.
        if (this.toDevice.count > 0) this.syncNow(this.toDevice);
        if (this.fromDevice.count > 0) this.syncNow(this.fromDevice);
      }
      count = this.ring.submit();
    } catch (error) {
      this.unstage();
      throw error;
    }
    this.stagedCount = 0;
    return count;
  }

  /** Takes back everything staged since the last {@link submit}. */
  unstage(): void {
    this.ring.unstage();
    for (let i = 0; i < this.stagedCount; i++) this.takeEntry(this.stagedEntries[i]!);
    this.stagedCount = 0;
    this.toDevice.clear();
    this.fromDevice.clear();
  }

  /** As {@link CommandRing.reap}; the blocks of the commands are their holders' again. */
  reap(max: number): number {
    const { ring } = this;
    const count = ring.reap(max);
    if (count === 0) return 0;
    if (!this.coherent) {
      for (let i = 0; i < count; i++)
        this.syncEntryForCpu(ring.completed[(i << 3) + CompletionLayout.tagWord]!);
      this.finishSyncForCpu();
    }
    for (let i = 0; i < count; i++) this.takeEntry(ring.completed[(i << 3) + CompletionLayout.tagWord]!);
    return count;
  }

  /** After idle: a command that did not complete gives its blocks back. Nothing is known of its destination, so nothing is synced. */
  abandon(entry: number): void {
    this.takeEntry(entry);
  }

  private syncEntryForCpu(entry: number): void {
    const destination = this.destination[entry]!;
    if (destination >= 0) {
      this.syncForCpuLater(destination, this.destinationOffset[entry]!, this.length[entry]! >>> 0);
    } else if (destination === LIST) {
      for (const part of this.listOperands[entry]!.destination!) {
        const { block, offset } = part.frame;
        const start = offset - this.queue.pool.blockOffset(block) + (part.offsetBytes ?? 0);
        this.syncForCpuLater(block, start, part.lengthBytes);
      }
    }
  }

  private syncForCpuLater(block: number, offset: number, lengthBytes: number): void {
    if (this.forCpu.full) this.finishSyncForCpu();
    this.addGranules(this.forCpu, block, offset, lengthBytes);
  }

  private finishSyncForCpu(): void {
    if (this.forCpu.count === 0) return;
    // Lines that the processor fetched ahead while the device wrote are stale.
    this.memory.syncForCpu(this.forCpu, "from-device");
    this.forCpu.clear();
  }

  private takeEntry(entry: number): void {
    const lists = this.listOperands[entry]!;
    if (lists === null) this.takePair(this.source[entry]!, this.destination[entry]!);
    else {
      for (const block of distinctBlocks(lists.source, lists.destination))
        this.queue.take(block, this.bit, this.ringer);
      this.listOperands[entry] = null;
    }
  }
}

/** A length that does not fit into its word must not become another one. */
function checkedLength(length: number): number {
  const lengthBytes = length >>> 0;
  if (lengthBytes === length) return lengthBytes;
  throw new CommandInvalidError(Status.LENGTH, `${length} bytes`);
}

/** 1 when adding `offset` to a low word wrapped to `low`. */
function carry(low: number, offset: number): number {
  return low >>> 0 < offset ? 1 : 0;
}

function distinctBlocks(
  source: readonly BlockPart[] | null,
  destination: readonly BlockPart[] | null,
): Set<number> {
  const blocks = new Set<number>();
  for (const part of source ?? []) blocks.add(part.frame.block);
  for (const part of destination ?? []) blocks.add(part.frame.block);
  return blocks;
}
