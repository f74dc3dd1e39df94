/** Creating, opening and checking a work queue (PROTOCOL.md §11). Nothing here runs per message. */
import { regionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { LINE_BYTES, ObjectKind, WORD_BYTES } from "../memory/layout.ts";
import { roundUp } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, CorruptError } from "./errors.ts";
import { Policy, type PolicyName, RingLayout, StallAction } from "./layout.ts";
import { ConsumersMode, type ConsumersModeName, QueueLayout } from "./queue-layout.ts";
import {
  checkRingShape,
  type RingGeometry,
  type RingShape,
  readRing,
  ringSizeBytes,
  writeRing,
} from "./ring-geometry.ts";
import { readStallShape, type StallShape } from "./stall-shape.ts";

/** Shape of a queue, fixed at creation and stored in the segment. `capacity`: slots of each producer's lane. */
export interface QueueShape extends RingShape, StallShape {
  /** Producers at a time: 1 to 31. */
  readonly producers: number;
  readonly consumers: ConsumersModeName;
  readonly policy: PolicyName;
}

/** A checked queue: its own words, and its lanes. */
export interface QueueGeometry extends QueueShape {
  readonly name: string;
  /** Words of the queue's header. */
  readonly words: Int32Array;
  readonly lanes: readonly RingGeometry[];
  /** Heads are moved by compare-and-swap; messages must be copied before they are taken. */
  readonly sharedHeads: boolean;
}

function laneStrideBytes(shape: RingShape): number {
  return roundUp(ringSizeBytes(shape), LINE_BYTES);
}

function hasSharedHeads(shape: Pick<QueueShape, "consumers" | "policy" | "stallAction">): boolean {
  return shape.consumers === "many" || shape.policy === "drop-oldest" || shape.stallAction === "evict";
}

function laneFlags(sharedHeads: boolean): number {
  return sharedHeads ? RingLayout.flagSharedHead : 0;
}

function nameOf<T extends string>(table: Record<T, number>, code: number): T | undefined {
  return (Object.keys(table) as T[]).find((name) => table[name] === code);
}

/** Bytes a queue of this shape takes. */
export function queueSizeBytes(shape: QueueShape): number {
  return QueueLayout.lanesOffset + shape.producers * laneStrideBytes(shape);
}

function isProducerCount(producers: number): boolean {
  return Number.isInteger(producers) && producers >= 1 && producers <= QueueLayout.maxLanes;
}

/** Creates an empty queue.
 * @throws ArgumentError naming the limits; the directory's errors when the name exists or space is short */
export function createQueueGeometry(region: Region, name: string, shape: QueueShape): QueueGeometry {
  checkRingShape(name, shape);
  if (!isProducerCount(shape.producers)) {
    throw new ArgumentError(
      `queue ${name}: ${shape.producers} producers; 1 to ${QueueLayout.maxLanes} are possible`,
    );
  }
  const laneBytes = laneStrideBytes(shape);
  const flags = laneFlags(hasSharedHeads(shape));
  const entry = region.directory.create(ObjectKind.queue, name, queueSizeBytes(shape), (offset) => {
    const words = region.words(offset, QueueLayout.lanesOffset / WORD_BYTES);
    words.fill(0);
    words[QueueLayout.versionWord] = QueueLayout.version;
    words[QueueLayout.laneCountWord] = shape.producers;
    words[QueueLayout.laneBytesWord] = laneBytes;
    words[QueueLayout.lanesOffsetWord] = QueueLayout.lanesOffset;
    words[QueueLayout.policyWord] = Policy[shape.policy];
    words[QueueLayout.consumersModeWord] = ConsumersMode[shape.consumers];
    words[QueueLayout.stallTimeoutMsWord] = shape.stallTimeoutMs;
    words[QueueLayout.stallActionWord] = StallAction[shape.stallAction];
    for (let lane = 0; lane < shape.producers; lane++) {
      writeRing(region, regionOffset(offset + QueueLayout.lanesOffset + lane * laneBytes), shape, flags);
    }
    words[QueueLayout.magicWord] = QueueLayout.magic;
  });
  return openQueueGeometry(region, entry);
}

/** Reads and checks a queue and all of its lanes.
 * @throws CorruptError when any number is outside the protocol */
export function openQueueGeometry(region: Region, entry: DirectoryEntry): QueueGeometry {
  const { name } = entry;
  if (entry.kind !== ObjectKind.queue || entry.sizeBytes < QueueLayout.lanesOffset) {
    throw new CorruptError(`queue ${name}: directory entry`);
  }
  const words = region.words(entry.offset, QueueLayout.lanesOffset / WORD_BYTES);
  const producers = words[QueueLayout.laneCountWord]! >>> 0;
  const laneBytes = words[QueueLayout.laneBytesWord]! >>> 0;
  const policy = nameOf(Policy, words[QueueLayout.policyWord]!);
  const consumers = nameOf(ConsumersMode, words[QueueLayout.consumersModeWord]!);
  const intact =
    words[QueueLayout.magicWord] === QueueLayout.magic &&
    words[QueueLayout.versionWord] === QueueLayout.version &&
    words[QueueLayout.lanesOffsetWord] === QueueLayout.lanesOffset &&
    isProducerCount(producers) &&
    laneBytes % LINE_BYTES === 0 &&
    QueueLayout.lanesOffset + producers * laneBytes <= entry.sizeBytes;
  if (!intact || policy === undefined || consumers === undefined)
    throw new CorruptError(`queue ${name}: geometry`);
  const stalls = readStallShape(
    words[QueueLayout.stallTimeoutMsWord]!,
    words[QueueLayout.stallActionWord]!,
    policy,
  );
  if (stalls === null) throw new CorruptError(`queue ${name}: stall time-out`);
  const sharedHeads = hasSharedHeads({ consumers, policy, stallAction: stalls.stallAction });
  const lanes: RingGeometry[] = [];
  for (let lane = 0; lane < producers; lane++) {
    const offset = regionOffset(entry.offset + QueueLayout.lanesOffset + lane * laneBytes);
    const ring = readRing(region, `${name} lane ${lane}`, offset, laneBytes);
    const first = lanes[0] ?? ring;
    const agrees =
      ring.slotBytes === first.slotBytes &&
      ring.capacity === first.capacity &&
      ring.flags === laneFlags(sharedHeads);
    if (!agrees) throw new CorruptError(`queue ${name}: lane ${lane}`);
    lanes.push(ring);
  }
  const { slotBytes, capacity } = lanes[0]!;
  return { name, producers, consumers, policy, ...stalls, slotBytes, capacity, words, lanes, sharedHeads };
}
