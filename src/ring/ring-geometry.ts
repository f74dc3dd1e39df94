/** Creating, opening and checking the geometry of a ring (PROTOCOL.md §5). Nothing here runs per message. */
import type { RegionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { ObjectKind, WORD_BYTES } from "../memory/layout.ts";
import { isPowerOfTwo, isWithin } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, CorruptError } from "./errors.ts";
import { RingLayout } from "./layout.ts";

/** Shape of a ring, fixed at creation and stored in the segment. */
export interface RingShape {
  /** 16, 32, 64 … 4096 bytes, a power of two. */
  readonly slotBytes: number;
  /** Slots, a power of two from 2 to 2^24. */
  readonly capacity: number;
}

/** A checked ring: its words (index 0 is the ring's first word) and its shape. */
export interface RingGeometry extends RingShape {
  readonly name: string;
  readonly words: Int32Array;
  /** Word index of slot 0. */
  readonly slotsWord: number;
  readonly flags: number;
}

export function isRingShape(shape: RingShape): boolean {
  return (
    isPowerOfTwo(shape.slotBytes) &&
    isWithin(shape.slotBytes, RingLayout.minSlotBytes, RingLayout.maxSlotBytes) &&
    isPowerOfTwo(shape.capacity) &&
    isWithin(shape.capacity, RingLayout.minCapacity, RingLayout.maxCapacity)
  );
}

/** Bytes a ring of this shape takes. */
export function ringSizeBytes(shape: RingShape): number {
  return RingLayout.headerBytes + shape.capacity * shape.slotBytes;
}

/** @throws ArgumentError naming the limits */
export function checkRingShape(name: string, shape: RingShape): void {
  if (isRingShape(shape)) return;
  throw new ArgumentError(
    `ring ${name}: slots of ${shape.slotBytes} bytes, capacity ${shape.capacity}; slotBytes is a power of two from ` +
      `${RingLayout.minSlotBytes} to ${RingLayout.maxSlotBytes}, capacity one from ${RingLayout.minCapacity} to ${RingLayout.maxCapacity}`,
  );
}

/** Writes an empty ring over zeroed or old memory. The directory entry is not ready yet: nobody else looks. */
export function writeRing(region: Region, offset: RegionOffset, shape: RingShape, flags: number): void {
  const words = region.words(offset, ringSizeBytes(shape) / WORD_BYTES);
  words.fill(0);
  words[RingLayout.versionWord] = RingLayout.version;
  words[RingLayout.slotBytesWord] = shape.slotBytes;
  words[RingLayout.capacityWord] = shape.capacity;
  words[RingLayout.slotsOffsetWord] = RingLayout.headerBytes;
  words[RingLayout.flagsWord] = flags;
  words[RingLayout.magicWord] = RingLayout.magic;
}

const KNOWN_FLAGS: readonly number[] = [0, RingLayout.flagDropOldest, RingLayout.flagSharedHead];

/** Reads and checks a ring at `offset` that may take up to `limitBytes`.
 * @throws CorruptError when any number is outside the protocol or the space given */
export function readRing(
  region: Region,
  name: string,
  offset: RegionOffset,
  limitBytes: number,
): RingGeometry {
  if (limitBytes < RingLayout.headerBytes) throw new CorruptError(`ring ${name}: size`);
  const header = region.words(offset, RingLayout.headerBytes / WORD_BYTES);
  const shape = {
    slotBytes: header[RingLayout.slotBytesWord]! >>> 0,
    capacity: header[RingLayout.capacityWord]! >>> 0,
  };
  const flags = header[RingLayout.flagsWord]!;
  const intact =
    header[RingLayout.magicWord] === RingLayout.magic &&
    header[RingLayout.versionWord] === RingLayout.version &&
    header[RingLayout.slotsOffsetWord] === RingLayout.headerBytes &&
    isRingShape(shape) &&
    ringSizeBytes(shape) <= limitBytes &&
    KNOWN_FLAGS.includes(flags);
  if (!intact) throw new CorruptError(`ring ${name}: geometry`);
  return {
    ...shape,
    name,
    flags,
    words: region.words(offset, ringSizeBytes(shape) / WORD_BYTES),
    slotsWord: RingLayout.headerBytes / WORD_BYTES,
  };
}

/** The ring of a directory entry. */
export function openRingGeometry(region: Region, entry: DirectoryEntry): RingGeometry {
  if (entry.kind !== ObjectKind.ring) throw new CorruptError(`ring ${entry.name}: kind`);
  const ring = readRing(region, entry.name, entry.offset, entry.sizeBytes);
  if (ring.flags !== 0) throw new CorruptError(`ring ${entry.name}: flags of a lane`);
  return ring;
}
