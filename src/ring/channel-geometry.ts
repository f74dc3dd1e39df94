/** Creating, opening and checking the geometry of a channel (PROTOCOL.md §7). Nothing here runs per frame. */
import { regionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { Directory, ObjectKind, WORD_BYTES } from "../memory/layout.ts";
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
} from "./layout.ts";
import { Pool } from "./pool.ts";
import { StallAction, type StallActionName } from "./records-layout.ts";
import { checkRingShape, readRing, ringSizeBytes, writeRing } from "./ring-geometry.ts";

/** Shape of a channel, fixed at creation and stored in the segment. */
export interface ChannelShape {
  /** Lanes: most consumers at a time, 1-30. */
  readonly maxConsumers: number;
  /** Frames a lane holds, a power of two. */
  readonly laneCapacity: number;
  readonly policy: PolicyName;
  readonly delivery: DeliveryName;
  /** A consumer that gates a blocked producer for so long without moving is stalled; 0 with action `none`. */
  readonly stallTimeoutMs: number;
  readonly stallAction: StallActionName;
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
  return Math.ceil(ringSizeBytes(laneShape(capacity)) / 128) * 128;
}

/** Bytes of the channel object for this shape (its pool not counted). */
export function channelSizeBytes(shape: ChannelShape): number {
  return ChannelLayout.lanesOffset + shape.maxConsumers * laneStride(shape.laneCapacity);
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
  const stallTimeoutMs = words[ChannelLayout.stallTimeoutMsWord]! >>> 0;
  const stallAction = nameOf(StallAction, words[ChannelLayout.stallActionWord]!);
  const poolIndex = words[ChannelLayout.poolIndexWord]! >>> 0;
  const poolEntry = poolIndex < Directory.capacity ? region.directory.at(poolIndex) : null;
  const intact =
    words[ChannelLayout.magicWord] === ChannelLayout.magic &&
    words[ChannelLayout.versionWord] === ChannelLayout.version &&
    words[ChannelLayout.lanesOffsetWord] === ChannelLayout.lanesOffset &&
    laneCount >= 1 &&
    laneCount <= ChannelLayout.maxLanes &&
    laneBytes % 128 === 0 &&
    laneBytes >= RingLayout.headerBytes &&
    ChannelLayout.lanesOffset + laneCount * laneBytes <= entry.sizeBytes &&
    poolEntry !== null &&
    poolEntry.generation === words[ChannelLayout.poolGenerationWord];
  const stalls = stallAction === "none" ? stallTimeoutMs === 0 : policy === "block" && stallTimeoutMs > 0;
  if (!intact || policy === undefined || delivery === undefined || stallAction === undefined || !stalls)
    throw new CorruptError(`channel ${entry.name}: geometry`);
  const firstLane = regionOffset(entry.offset + ChannelLayout.lanesOffset);
  const laneCapacity = readRing(region, `${entry.name} lane 0`, firstLane, laneBytes).capacity;
  const shape: ChannelShape = {
    maxConsumers: laneCount,
    laneCapacity,
    policy,
    delivery,
    stallTimeoutMs,
    stallAction,
  };
  return new ChannelGeometry(region, entry, Pool.at(region, poolEntry), shape, words, laneBytes);
}
