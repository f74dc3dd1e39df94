/**
 * The block pool: equal blocks with a bitmap of holders each (PROTOCOL.md §6). Every step is one atomic word; who may take
 * which step is the whole protocol, so the steps are named after its table.
 */
import type { AppearOptions } from "../memory/appear.ts";
import {
  compareAndSwap,
  fetchAnd,
  fetchOr,
  loadAcquire,
  loadAfterFence,
  loadHint,
  storePlain,
} from "../memory/atomics.ts";
import type { RegionOffset } from "../memory/brands.ts";
import { regionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ReadOnlyError } from "../memory/errors.ts";
import { LINE_BYTES, ObjectKind, ParticipantRecord, WORD_BYTES } from "../memory/layout.ts";
import { roundUp } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import type { DoorbellRinger } from "./doorbell-ringer.ts";
import { ArgumentError, CorruptError } from "./errors.ts";
import { expectShape } from "./expect-shape.ts";
import { PoolLayout } from "./layout.ts";

/** Size of a pool; immutable once created and read from the segment by everybody else. */
export interface PoolGeometry extends PoolShape {
  /** Distance between blocks and most bytes a frame can have: `frameBytes` rounded up to a multiple of 4096 (below: of 128). */
  readonly blockBytes: number;
}

/** What a pool is created from. */
export interface PoolShape {
  /** Length of a frame as loaned, in bytes. */
  readonly frameBytes: number;
  readonly blockCount: number;
  /** Metadata area of each block in bytes; a multiple of 128, may be 0. */
  readonly metaBytes: number;
}

/** So many changes of one block's holders while one step is tried are nobody's honest work. */
export const MOST_CHANGES = 1024;

function layoutOf(geometry: PoolGeometry): { metaOffset: number; blocksOffset: number; sizeBytes: number } {
  const metaOffset = PoolLayout.controlOffset + geometry.blockCount * LINE_BYTES;
  const blocksOffset = roundUp(
    metaOffset + geometry.blockCount * geometry.metaBytes,
    PoolLayout.poolAlignBytes,
  );
  return { metaOffset, blocksOffset, sizeBytes: blocksOffset + geometry.blockCount * geometry.blockBytes };
}

function isValid(g: PoolGeometry): boolean {
  return (
    Number.isInteger(g.blockCount) &&
    g.blockCount >= 1 &&
    g.blockCount <= PoolLayout.maxBlockCount &&
    g.blockBytes % PoolLayout.blockAlignBytes === 0 &&
    g.blockBytes > 0 &&
    g.blockBytes <= PoolLayout.maxBlockBytes &&
    g.frameBytes > 0 &&
    g.frameBytes <= g.blockBytes &&
    g.metaBytes % LINE_BYTES === 0 &&
    g.metaBytes >= 0 &&
    g.metaBytes <= PoolLayout.maxMetaBytes
  );
}

/** A pool as one region handle sees it. Block indices are 0 … blockCount − 1 and are the caller's to check if they come from memory. */
export class Pool {
  readonly region: Region;
  readonly entry: DirectoryEntry;
  readonly geometry: PoolGeometry;
  // On the path of every command and frame: TypeScript-private, see spsc.ts.
  private readonly words: Int32Array;
  readonly #metaOffset: number;
  readonly #blocksOffset: number;
  #cursor = 0;

  private constructor(region: Region, entry: DirectoryEntry, geometry: PoolGeometry) {
    const { metaOffset, blocksOffset, sizeBytes } = layoutOf(geometry);
    if (!isValid(geometry) || sizeBytes > entry.sizeBytes)
      throw new CorruptError(`pool ${entry.name}: geometry`);
    this.region = region;
    this.entry = entry;
    this.geometry = geometry;
    this.words = region.words(entry.offset, metaOffset / WORD_BYTES);
    this.#metaOffset = entry.offset + metaOffset;
    this.#blocksOffset = entry.offset + blocksOffset;
  }

  /** Creates a pool. `metaBytes` is rounded up to 128.
   * @throws ArgumentError for a size outside the limits; the directory's errors when there is no room */
  static create(region: Region, name: string, wanted: PoolShape): Pool {
    const geometry: PoolGeometry = {
      frameBytes: wanted.frameBytes,
      blockBytes: roundUp(wanted.frameBytes, wanted.frameBytes >= 4096 ? 4096 : PoolLayout.blockAlignBytes),
      blockCount: wanted.blockCount,
      metaBytes: roundUp(wanted.metaBytes, LINE_BYTES),
    };
    if (!isValid(geometry)) {
      throw new ArgumentError(
        `pool ${name}: ${wanted.blockCount} frames of ${wanted.frameBytes} bytes with ${wanted.metaBytes} of metadata; ` +
          `1-${PoolLayout.maxBlockCount} frames, 1-${PoolLayout.maxBlockBytes} bytes, 0-${PoolLayout.maxMetaBytes} metadata`,
      );
    }
    const { metaOffset, blocksOffset, sizeBytes } = layoutOf(geometry);
    const entry = region.directory.create(ObjectKind.pool, name, sizeBytes, (offset) => {
      const words = region.words(offset, metaOffset / WORD_BYTES);
      words.fill(0);
      words[PoolLayout.versionWord] = PoolLayout.version;
      words[PoolLayout.blockBytesWord] = geometry.blockBytes;
      words[PoolLayout.blockCountWord] = geometry.blockCount;
      words[PoolLayout.blocksOffsetLowWord] = blocksOffset | 0;
      words[PoolLayout.blocksOffsetHighWord] = Math.floor(blocksOffset / 2 ** 32);
      words[PoolLayout.metaBytesWord] = geometry.metaBytes;
      words[PoolLayout.metaOffsetWord] = metaOffset;
      words[PoolLayout.frameBytesWord] = geometry.frameBytes;
      words[PoolLayout.magicWord] = PoolLayout.magic;
    });
    return new Pool(region, entry, geometry);
  }

  /**
   * Opens a pool by name, waiting `waitMs` for it if asked to; all geometry comes from the segment and is checked. What is given here is what the
   * caller relies on.
   * @throws RegionError `OBJECT_NOT_FOUND`, `OBJECT_KIND`, `OBJECT_SHAPE`
   */
  static open(
    region: Region,
    name: string,
    options: { readonly waitMs?: number } & Partial<PoolShape> = {},
  ): Pool {
    return Pool.at(region, region.directory.open(name, ObjectKind.pool, options.waitMs), options);
  }

  /** {@link open}, waiting in the event loop; without a time limit by default. */
  static async openAsync(
    region: Region,
    name: string,
    options: AppearOptions & Partial<PoolShape> = {},
  ): Promise<Pool> {
    return Pool.at(region, await region.directory.openAsync(name, ObjectKind.pool, options), options);
  }

  static at(region: Region, entry: DirectoryEntry, expected: Partial<PoolShape> = {}): Pool {
    if (entry.kind !== ObjectKind.pool || entry.sizeBytes < PoolLayout.controlOffset) {
      throw new CorruptError(`pool ${entry.name}: directory entry`);
    }
    const words = region.words(entry.offset, PoolLayout.controlOffset / WORD_BYTES);
    if (
      words[PoolLayout.magicWord] !== PoolLayout.magic ||
      words[PoolLayout.versionWord] !== PoolLayout.version
    ) {
      throw new CorruptError(`pool ${entry.name}: magic or version`);
    }
    const pool = new Pool(region, entry, {
      frameBytes: words[PoolLayout.frameBytesWord]! >>> 0,
      blockBytes: words[PoolLayout.blockBytesWord]! >>> 0,
      blockCount: words[PoolLayout.blockCountWord]! >>> 0,
      metaBytes: words[PoolLayout.metaBytesWord]! >>> 0,
    });
    const { frameBytes, blockCount } = expected;
    const metaBytes = expected.metaBytes === undefined ? undefined : roundUp(expected.metaBytes, LINE_BYTES);
    expectShape<PoolShape>(`pool ${entry.name}`, pool.geometry, { frameBytes, blockCount, metaBytes });
    return pool;
  }

  /** Offset of a block in the region. */
  blockOffset(block: number): RegionOffset {
    return regionOffset(this.#blocksOffset + block * this.geometry.blockBytes);
  }

  /** Offset of a block's metadata area in the region. */
  metaOffset(block: number): RegionOffset {
    return regionOffset(this.#metaOffset + block * this.geometry.metaBytes);
  }

  private control(block: number): number {
    return PoolLayout.controlOffset / WORD_BYTES + block * PoolLayout.controlStrideWords;
  }

  /** Step *loan*: takes a free block for the participant with `bit`; −1 when none is free. @throws ReadOnlyError */
  loan(bit: number): number {
    if (this.region.readOnly)
      throw new ReadOnlyError(this.region.name, `a loan from pool ${this.entry.name}`);
    const count = this.geometry.blockCount;
    const words = this.words;
    let block = this.#cursor;
    for (let i = 0; i < count; i++) {
      const control = this.control(block);
      const next = block + 1 === count ? 0 : block + 1;
      if (
        loadHint(words, control + PoolLayout.holdersWord) === 0 &&
        compareAndSwap(words, control + PoolLayout.holdersWord, 0, bit)
      ) {
        // Single writer: the exclusive holder. Published with the descriptor's release store.
        const generation = loadHint(words, control + PoolLayout.generationWord);
        storePlain(words, control + PoolLayout.generationWord, (generation + 1) | 0);
        this.#cursor = next;
        return block;
      }
      block = next;
    }
    return -1;
  }

  /** A free block exists (a hint). */
  hasFree(): boolean {
    for (let block = 0; block < this.geometry.blockCount; block++) {
      if (loadAcquire(this.words, this.control(block) + PoolLayout.holdersWord) === 0) return true;
    }
    return false;
  }

  /** Bitmap of holders (acquire). */
  holders(block: number): number {
    return loadAcquire(this.words, this.control(block) + PoolLayout.holdersWord);
  }

  /** Generation of the current loan; stable while somebody holds the block. */
  generation(block: number): number {
    return loadAcquire(this.words, this.control(block) + PoolLayout.generationWord);
  }

  /** {@link generation} for the exclusive holder, who alone writes it: no acquire. */
  ownGeneration(block: number): number {
    return loadHint(this.words, this.control(block) + PoolLayout.generationWord);
  }

  /** Whether the participant with `bit` holds the block in just this generation. */
  isHeld(block: number, bit: number, generation: number): boolean {
    return (this.holders(block) & bit) !== 0 && this.generation(block) === generation;
  }

  /** Step *hand over*: the exclusive holder `bit` adds `receivers`. False when the block is not exclusively held.
   * SYNC hand-over: the sweep of a receiver that died before sees these bits. */
  handOver(block: number, bit: number, receivers: number): boolean {
    return compareAndSwap(this.words, this.control(block) + PoolLayout.holdersWord, bit, bit | receivers);
  }

  /**
   * Steps *release*, *undo* and *sweep*: clears `bit`. The last hold wakes those who wait for a block, the last but one wakes the
   * remaining holder, who may wait to be alone. True if the bit was set.
   */
  clear(block: number, bit: number, ringer: DoorbellRinger): boolean {
    const before = fetchAnd(this.words, this.control(block) + PoolLayout.holdersWord, ~bit);
    const after = before & ~bit;
    if (after === 0) this.#wakeWaiters(ringer);
    else if ((after & (after - 1)) === 0) ringer.ring(31 - Math.clz32(after));
    return (before & bit) !== 0;
  }

  /** {@link clear} of a device's bit by `holder`, who need not be rung when it alone remains. */
  clearDevice(block: number, deviceBit: number, holder: number, ringer: DoorbellRinger): void {
    const before = fetchAnd(this.words, this.control(block) + PoolLayout.holdersWord, ~deviceBit);
    const others = before & ~deviceBit & ~holder;
    if ((before & ~deviceBit) === 0) this.#wakeWaiters(ringer);
    else if (others !== 0) ringer.ring(31 - Math.clz32(others));
  }

  /** Step *take back*: replaces the receiver's bit by the producer's, if the receiver holds the block in this generation. The holders before; 0: nothing was done. */
  takeBack(block: number, receiver: number, bit: number, generation: number): number {
    const index = this.control(block) + PoolLayout.holdersWord;
    // Every failed CAS means that another holder let go, or a joiner took the block from a history: a few.
    for (let tries = 0; tries <= MOST_CHANGES; tries++) {
      const holders = loadAcquire(this.words, index);
      if ((holders & receiver) === 0 || this.generation(block) !== generation) return 0;
      if (compareAndSwap(this.words, index, holders, (holders & ~receiver) | bit)) return holders;
    }
    throw new CorruptError(`pool ${this.entry.name}: block ${block} changes all the time`);
  }

  /** Step *take*: adds `bit` to what the holders were seen to be, a producer that cannot let go meanwhile among them. */
  take(block: number, holders: number, bit: number): boolean {
    return compareAndSwap(this.words, this.control(block) + PoolLayout.holdersWord, holders, holders | bit);
  }

  /** Announces that the participant waits for a free block; the releaser of the last hold rings it. */
  addWaiter(bit: number): void {
    fetchOr(this.words, PoolLayout.waitersWord, bit);
  }

  removeWaiter(bit: number): void {
    fetchAnd(this.words, PoolLayout.waitersWord, ~bit);
  }

  #wakeWaiters(ringer: DoorbellRinger): void {
    let waiters = loadAfterFence(this.words, PoolLayout.waitersWord);
    while (waiters !== 0) {
      const participant = 31 - Math.clz32(waiters & -waiters);
      waiters &= waiters - 1;
      if (participant < ParticipantRecord.capacity) ringer.ring(participant);
    }
  }

  /** Blocks nobody holds, at a glance. For tools and tests; on read-only regions, too. */
  countFree(): number {
    let free = 0;
    for (let block = 0; block < this.geometry.blockCount; block++) {
      if (loadHint(this.words, this.control(block) + PoolLayout.holdersWord) === 0) free++;
    }
    return free;
  }
}
