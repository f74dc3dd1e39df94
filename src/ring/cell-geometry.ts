/** Creating, opening and checking a latest-value cell (PROTOCOL.md §13). Nothing here runs per value. */
import { fetchAnd } from "../memory/atomics.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { LINE_BYTES, ObjectKind, WORD_BYTES } from "../memory/layout.ts";
import { isPowerOfTwo, isWithin, roundUp } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import { CellLayout } from "./cell-layout.ts";
import { ArgumentError, CorruptError } from "./errors.ts";
import { detachOwner } from "./owner.ts";

export interface CellShape {
  /** Most bytes of a value, 1 to 2^26. */
  readonly valueBytes: number;
  /** A power of two from 4 to 64: a reader has bufferCount − 1 writes of time for one copy. */
  readonly bufferCount: number;
}

/** A checked cell: all of its words, and its shape. */
export interface CellGeometry extends CellShape {
  readonly name: string;
  readonly words: Int32Array;
  /** Words from one buffer to the next. */
  readonly bufferWords: number;
}

function strideBytes(valueBytes: number): number {
  return roundUp(CellLayout.valueOffset + valueBytes, LINE_BYTES);
}

function isCellShape({ valueBytes, bufferCount }: CellShape): boolean {
  return (
    isWithin(valueBytes, 1, CellLayout.maxValueBytes) &&
    isPowerOfTwo(bufferCount) &&
    isWithin(bufferCount, CellLayout.minBufferCount, CellLayout.maxBufferCount)
  );
}

/** Bytes a cell of this shape takes. */
export function cellSizeBytes(shape: CellShape): number {
  return CellLayout.buffersOffset + shape.bufferCount * strideBytes(shape.valueBytes);
}

/** Creates a cell without a value.
 * @throws ArgumentError naming the limits; the directory's errors when the name exists or space is short */
export function createCellGeometry(region: Region, name: string, shape: CellShape): CellGeometry {
  if (!isCellShape(shape)) {
    throw new ArgumentError(
      `cell ${name}: ${shape.bufferCount} buffers of ${shape.valueBytes} bytes; 1 to ${CellLayout.maxValueBytes} bytes, ` +
        `buffers a power of two from ${CellLayout.minBufferCount} to ${CellLayout.maxBufferCount}`,
    );
  }
  const entry = region.directory.create(ObjectKind.cell, name, cellSizeBytes(shape), (offset) => {
    // The directory has zeroed it: no value, no buffer that holds one.
    const words = region.words(offset, CellLayout.buffersOffset / WORD_BYTES);
    words[CellLayout.versionWord] = CellLayout.version;
    words[CellLayout.valueBytesWord] = shape.valueBytes;
    words[CellLayout.bufferCountWord] = shape.bufferCount;
    words[CellLayout.bufferBytesWord] = strideBytes(shape.valueBytes);
    words[CellLayout.buffersOffsetWord] = CellLayout.buffersOffset;
    words[CellLayout.magicWord] = CellLayout.magic;
  });
  return openCellGeometry(region, entry);
}

/** Reads and checks a cell; changes nothing, so a read-only mapping will do.
 * @throws CorruptError when any number is outside the protocol */
export function openCellGeometry(region: Region, entry: DirectoryEntry): CellGeometry {
  const { name } = entry;
  if (entry.kind !== ObjectKind.cell || entry.sizeBytes < CellLayout.buffersOffset)
    throw new CorruptError(`cell ${name}: directory entry`);
  const header = region.words(entry.offset, CellLayout.buffersOffset / WORD_BYTES);
  const shape = {
    valueBytes: header[CellLayout.valueBytesWord]! >>> 0,
    bufferCount: header[CellLayout.bufferCountWord]! >>> 0,
  };
  const intact =
    header[CellLayout.magicWord] === CellLayout.magic &&
    header[CellLayout.versionWord] === CellLayout.version &&
    header[CellLayout.buffersOffsetWord] === CellLayout.buffersOffset &&
    isCellShape(shape) &&
    header[CellLayout.bufferBytesWord] === strideBytes(shape.valueBytes) &&
    cellSizeBytes(shape) <= entry.sizeBytes;
  if (!intact) throw new CorruptError(`cell ${name}: geometry`);
  return {
    ...shape,
    name,
    words: region.words(entry.offset, cellSizeBytes(shape) / WORD_BYTES),
    bufferWords: strideBytes(shape.valueBytes) / WORD_BYTES,
  };
}

/** Word index of the buffer that holds a version. */
export function bufferOf(cell: CellGeometry, version: number): number {
  return CellLayout.buffersOffset / WORD_BYTES + (version & (cell.bufferCount - 1)) * cell.bufferWords;
}

/** Recovery (§8 step 5): takes a participant that died or left out of the cell. */
export function detachFromCell(cell: CellGeometry, participant: number): void {
  detachOwner(cell.words, CellLayout.writerOwnerWord, participant);
  fetchAnd(cell.words, CellLayout.waitersWord, ~(1 << participant));
}
