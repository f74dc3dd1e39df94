/** Creating, opening and checking the geometry of a channel (PROTOCOL.md §7). Nothing here runs per frame. */
import { regionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { Directory, LINE_BYTES, ObjectKind, WORD_BYTES } from "../memory/layout.ts";
import { roundUp } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, CorruptError } from "./errors.ts";
import {
  ChannelLayout,
  Delivery,
  type DeliveryName,
  LaneSlotLayout,
  Policy,
  type PolicyName,
  RingLayout,
  StallAction,
  type StallActionName,
} from "./layout.ts";
import { Pool } from "./pool.ts";
import { checkRingShape, readRing, ringSizeBytes, writeRing } from "./ring-geometry.ts";
import { readStallShape, type StallShape } from "./stall-shape.ts";

/** Shape of a channel, fixed at creation and stored in the segment. */
export interface ChannelShape extends StallShape {
  /** Lanes: most consumers at a time, 1-30. */
  readonly maxConsumers: number;
  /** Frames a lane holds, a power of two. */
  readonly laneCapacity: number;
  readonly policy: PolicyName;
  readonly delivery: DeliveryName;
  /** Frames a consumer that joins gets first; 0: none. With delivery `all`, and less than the pool has blocks. */
  readonly history: number;
}

/** A checked channel: views of its header and lanes, and its pool. */
export class ChannelGeometry {
  readonly name: string;
  readonly region: Region;
  readonly pool: Pool;
  readonly policy: PolicyName;
  readonly delivery: DeliveryName;
  readonly stallTimeoutMs: number;
  readonly stallAction: StallActionName;
  readonly laneCapacity: number;
  readonly history: number;
  /** Slots of the history; empty without one. */
  readonly historySlots: Int32Array;
  /** Header words of the channel. */
  readonly words: Int32Array;
  /** Words of each lane, as a ring. */
  readonly lanes: readonly Int32Array[];
  readonly #slotsWord: number;

  constructor(
    region: Region,
    entry: DirectoryEntry,
    pool: Pool,
    shape: ChannelShape,
    words: Int32Array,
    laneBytes: number,
  ) {
    this.name = entry.name;
    this.region = region;
    this.pool = pool;
    this.policy = shape.policy;
    this.delivery = shape.delivery;
    this.stallTimeoutMs = shape.stallTimeoutMs;
    this.stallAction = shape.stallAction;
    this.laneCapacity = shape.laneCapacity;
    this.history = shape.history;
    this.words = words;
    this.#slotsWord = RingLayout.headerBytes / WORD_BYTES;
    const lanes: Int32Array[] = [];
    for (let lane = 0; lane < shape.maxConsumers; lane++) {
      const offset = regionOffset(entry.offset + ChannelLayout.lanesOffset + lane * laneBytes);
      const ring = readRing(region, `${entry.name} lane ${lane}`, offset, laneBytes);
      const agrees =
        ring.slotBytes === LaneSlotLayout.sizeBytes &&
        ring.capacity === shape.laneCapacity &&
        ring.flags === (this.claimedHeads ? RingLayout.flagDropOldest : 0);
      if (!agrees) throw new CorruptError(`channel ${entry.name}: lane ${lane}`);
      lanes.push(ring.words);
    }
    this.lanes = lanes;
    const historyOffset = regionOffset(entry.offset + lanesEnd(shape.maxConsumers, laneBytes));
    this.historySlots =
      shape.history === 0 ? new Int32Array(0) : region.words(historyOffset, historyBytes(shape) / WORD_BYTES);
  }

  /** A power of two, at least {@link history}; 0 without one. */
  get historySlotCount(): number {
    return historySlotCount(this);
  }

  /** Word index, in {@link historySlots}, of the slot of a frame's number. */
  historySlotIndex(number: number): number {
    return (number & (this.historySlots.length / LaneSlotLayout.sizeWords - 1)) * LaneSlotLayout.sizeWords;
  }

  /** The producer may take frames back: heads are claimed, by both sides (PROTOCOL.md §7.4). */
  get claimedHeads(): boolean {
    return hasClaimedHeads(this);
  }

  /** Word index, in its lane, of the slot that a free-running index names. */
  slotIndex(index: number): number {
    return this.#slotsWord + (index & (this.laneCapacity - 1)) * LaneSlotLayout.sizeWords;
  }
}

function hasClaimedHeads(shape: Pick<ChannelShape, "policy" | "stallAction">): boolean {
  return shape.policy === "drop-oldest" || shape.stallAction === "evict";
}

function laneShape(capacity: number): { slotBytes: number; capacity: number } {
  return { slotBytes: LaneSlotLayout.sizeBytes, capacity };
}

function laneStride(capacity: number): number {
  return roundUp(ringSizeBytes(laneShape(capacity)), LINE_BYTES);
}

function lanesEnd(laneCount: number, laneBytes: number): number {
  return ChannelLayout.lanesOffset + laneCount * laneBytes;
}

function historySlotCount({ history }: Pick<ChannelShape, "history">): number {
  return history === 0 ? 0 : 2 ** Math.ceil(Math.log2(history));
}

function historyBytes(shape: Pick<ChannelShape, "history">): number {
  return historySlotCount(shape) * LaneSlotLayout.sizeBytes;
}

/** Bytes of the channel object for this shape (its pool not counted). */
export function channelSizeBytes(shape: ChannelShape): number {
  return lanesEnd(shape.maxConsumers, laneStride(shape.laneCapacity)) + historyBytes(shape);
}

function checkHistory(name: string, { history }: ChannelShape, blockCount: number): void {
  if (history < blockCount) return;
  throw new ArgumentError(
    `channel ${name}: a history of ${history} holds as many blocks for good, and the pool has ${blockCount}; more frames, or less history`,
  );
}

/** Creates the channel object over an existing pool of the same region. */
export function createChannelGeometry(
  region: Region,
  name: string,
  pool: Pool,
  shape: ChannelShape,
): ChannelGeometry {
  checkRingShape(name, laneShape(shape.laneCapacity));
  if (
    !Number.isInteger(shape.maxConsumers) ||
    shape.maxConsumers < 1 ||
    shape.maxConsumers > ChannelLayout.maxLanes
  ) {
    throw new ArgumentError(
      `channel ${name}: ${shape.maxConsumers} consumers; 1-${ChannelLayout.maxLanes} are possible`,
    );
  }
  checkHistory(name, shape, pool.geometry.blockCount);
  const stride = laneStride(shape.laneCapacity);
  const flags = hasClaimedHeads(shape) ? RingLayout.flagDropOldest : 0;
  const entry = region.directory.create(ObjectKind.channel, name, channelSizeBytes(shape), (offset) => {
    const words = region.words(offset, ChannelLayout.lanesOffset / WORD_BYTES);
    words.fill(0);
    words[ChannelLayout.versionWord] = ChannelLayout.version;
    words[ChannelLayout.laneCountWord] = shape.maxConsumers;
    words[ChannelLayout.laneBytesWord] = stride;
    words[ChannelLayout.lanesOffsetWord] = ChannelLayout.lanesOffset;
    words[ChannelLayout.policyWord] = Policy[shape.policy];
    words[ChannelLayout.deliveryWord] = Delivery[shape.delivery];
    words[ChannelLayout.poolIndexWord] = pool.entry.index;
    words[ChannelLayout.poolGenerationWord] = pool.entry.generation;
    words[ChannelLayout.stallTimeoutMsWord] = shape.stallTimeoutMs;
    words[ChannelLayout.stallActionWord] = StallAction[shape.stallAction];
    words[ChannelLayout.historyCountWord] = shape.history;
    words[ChannelLayout.historyOffsetWord] = shape.history > 0 ? lanesEnd(shape.maxConsumers, stride) : 0;
    for (let lane = 0; lane < shape.maxConsumers; lane++) {
      const laneOffset = regionOffset(offset + ChannelLayout.lanesOffset + lane * stride);
      writeRing(region, laneOffset, laneShape(shape.laneCapacity), flags);
    }
    words[ChannelLayout.magicWord] = ChannelLayout.magic;
  });
  return openChannelGeometry(region, entry);
}

function nameOf<T extends string>(table: Record<T, number>, code: number): T | undefined {
  return (Object.keys(table) as T[]).find((name) => table[name] === code);
}

/** Reads and checks a channel and its pool.
 * @throws CorruptError when any number is outside the protocol */
export function openChannelGeometry(region: Region, entry: DirectoryEntry): ChannelGeometry {
  if (entry.kind !== ObjectKind.channel || entry.sizeBytes < ChannelLayout.lanesOffset) {
    throw new CorruptError(`channel ${entry.name}: directory entry`);
  }
  const words = region.words(entry.offset, ChannelLayout.lanesOffset / WORD_BYTES);
  const laneCount = words[ChannelLayout.laneCountWord]! >>> 0;
  const laneBytes = words[ChannelLayout.laneBytesWord]! >>> 0;
  const policy = nameOf(Policy, words[ChannelLayout.policyWord]!);
  const delivery = nameOf(Delivery, words[ChannelLayout.deliveryWord]!);
  const history = words[ChannelLayout.historyCountWord]! >>> 0;
  const historyOffset = words[ChannelLayout.historyOffsetWord]! >>> 0;
  const poolIndex = words[ChannelLayout.poolIndexWord]! >>> 0;
  const poolEntry = poolIndex < Directory.capacity ? region.directory.at(poolIndex) : null;
  const intact =
    words[ChannelLayout.magicWord] === ChannelLayout.magic &&
    words[ChannelLayout.versionWord] === ChannelLayout.version &&
    words[ChannelLayout.lanesOffsetWord] === ChannelLayout.lanesOffset &&
    laneCount >= 1 &&
    laneCount <= ChannelLayout.maxLanes &&
    laneBytes % LINE_BYTES === 0 &&
    laneBytes >= RingLayout.headerBytes &&
    history <= ChannelLayout.maxHistory &&
    historyOffset === (history > 0 ? lanesEnd(laneCount, laneBytes) : 0) &&
    (history === 0 || delivery === "all") &&
    lanesEnd(laneCount, laneBytes) + historyBytes({ history }) <= entry.sizeBytes &&
    poolEntry !== null &&
    poolEntry.generation === words[ChannelLayout.poolGenerationWord];
  if (!intact || policy === undefined || delivery === undefined)
    throw new CorruptError(`channel ${entry.name}: geometry`);
  const stalls = readStallShape(
    words[ChannelLayout.stallTimeoutMsWord]!,
    words[ChannelLayout.stallActionWord]!,
    policy,
  );
  if (stalls === null) throw new CorruptError(`channel ${entry.name}: geometry`);
  const firstLane = regionOffset(entry.offset + ChannelLayout.lanesOffset);
  const laneCapacity = readRing(region, `${entry.name} lane 0`, firstLane, laneBytes).capacity;
  const shape: ChannelShape = {
    maxConsumers: laneCount,
    laneCapacity,
    policy,
    delivery,
    ...stalls,
    history,
  };
  const pool = Pool.at(region, poolEntry);
  if (history >= pool.geometry.blockCount) throw new CorruptError(`channel ${entry.name}: history`);
  return new ChannelGeometry(region, entry, pool, shape, words, laneBytes);
}
