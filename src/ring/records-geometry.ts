/** Creating, opening and checking the geometry of records (PROTOCOL.md §12). Nothing here runs per message. */
import { type RegionOffset, regionOffset } from "../memory/brands.ts";
import type { DirectoryEntry } from "../memory/directory.ts";
import { LINE_BYTES, ObjectKind, WORD_BYTES } from "../memory/layout.ts";
import { isPowerOfTwo, isWithin, roundUp } from "../memory/numbers.ts";
import type { Region } from "../memory/region.ts";
import { ArgumentError, CorruptError } from "./errors.ts";
import { Policy, type PolicyName, StallAction } from "./layout.ts";
import { RecordHeader, RecordsLayout, RecordsMode, type RecordsModeName } from "./records-layout.ts";
import { readStallShape, type StallShape } from "./stall-shape.ts";

/** Shape of records, fixed at creation and stored in the segment. */
export interface RecordsShape extends StallShape {
  /** A power of two from 4096 to 2^30. The largest record is half of it, less 8 bytes. */
  readonly capacityBytes: number;
  readonly mode: RecordsModeName;
  /** Reliable: consumers at the same time, 1 to 31. Lossy: 0, for readers need no place. */
  readonly maxConsumers: number;
  /** What a reliable producer does when there is no room; lossy: `drop-oldest`. */
  readonly policy: PolicyName;
  /** A new consumer may start with so many of the last records, 0 to 32768, as far as they fit half the capacity. */
  readonly history: number;
  /** Bytes for the layers above, fixed like everything else here; at most 65536. */
  readonly annotation: Uint8Array;
}

/** Checked records: their words and their shape. */
export interface RecordsGeometry extends RecordsShape {
  readonly name: string;
  readonly region: Region;
  /** Words of the object up to the records; index 0 is its first word. */
  readonly words: Int32Array;
  /** The record bytes, as words and as bytes. */
  readonly data: Int32Array;
  readonly bytes: Uint8Array;
  /** Entries of the index, a power of two, or 0. */
  readonly indexCount: number;
  /** Word index of the index in `words`. */
  readonly indexWord: number;
  /** Largest payload of one record. */
  readonly maxRecordBytes: number;
}

/** A lapped reader continues at the oldest record the index still has: one entry for so many bytes, within limits. */
const LOSSY_BYTES_PER_INDEX_ENTRY = 512;
const LOSSY_MAX_DEFAULT_INDEX = 4096;

/** What is wrong with a shape, or null. */
function fault(shape: RecordsShape): string | null {
  const { capacityBytes, maxConsumers, history, annotation } = shape;
  const lossy = shape.mode === "lossy";
  if (
    !isPowerOfTwo(capacityBytes) ||
    !isWithin(capacityBytes, RecordsLayout.minCapacityBytes, RecordsLayout.maxCapacityBytes)
  )
    return `capacityBytes ${capacityBytes} is no power of two from ${RecordsLayout.minCapacityBytes} to ${RecordsLayout.maxCapacityBytes}`;
  if (!(shape.mode in RecordsMode)) return `mode ${shape.mode} is neither reliable nor lossy`;
  if (!isWithin(maxConsumers, lossy ? 0 : 1, lossy ? 0 : RecordsLayout.maxCursors))
    return lossy
      ? "maxConsumers is for reliable records: lossy ones have any number of readers"
      : `maxConsumers ${maxConsumers} is not 1 to ${RecordsLayout.maxCursors}`;
  if (!(shape.policy in Policy) || (shape.policy === "drop-oldest") !== lossy)
    return `policy ${shape.policy} does not go with mode ${shape.mode}: lossy is drop-oldest, reliable block, fail or drop-newest`;
  if (!isWithin(history, 0, RecordsLayout.maxHistory))
    return `history ${history} is not 0 to ${RecordsLayout.maxHistory}`;
  if (annotation.length > RecordsLayout.maxAnnotationBytes)
    return `an annotation of ${annotation.length} bytes is larger than ${RecordsLayout.maxAnnotationBytes}`;
  return null;
}

/** @throws ArgumentError naming the limit */
export function checkRecordsShape(name: string, shape: RecordsShape): void {
  const wrong = fault(shape);
  if (wrong !== null) throw new ArgumentError(`records ${name}: ${wrong}`);
}

function powerOfTwoAtLeast(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

function indexCountOf(shape: RecordsShape): number {
  const forHistory = shape.history === 0 ? 0 : powerOfTwoAtLeast(2 * shape.history);
  if (shape.mode === "reliable") return forHistory;
  const usual = Math.min(shape.capacityBytes / LOSSY_BYTES_PER_INDEX_ENTRY, LOSSY_MAX_DEFAULT_INDEX);
  return Math.max(forHistory, usual, RecordsLayout.minLossyIndexCount);
}

function indexOffsetOf(cursorCount: number): number {
  return RecordsLayout.cursorsOffset + cursorCount * RecordsLayout.cursorBytes;
}

function annotationOffsetOf(shape: RecordsShape): number {
  return indexOffsetOf(shape.maxConsumers) + indexCountOf(shape) * WORD_BYTES;
}

function recordsOffsetOf(shape: RecordsShape): number {
  return roundUp(annotationOffsetOf(shape) + shape.annotation.length, LINE_BYTES);
}

/** Bytes that records of this shape take. */
export function recordsSizeBytes(shape: RecordsShape): number {
  return recordsOffsetOf(shape) + shape.capacityBytes;
}

/** Writes empty records over zeroed or old memory. The directory entry is not ready yet: nobody else looks. */
export function writeRecords(region: Region, offset: RegionOffset, shape: RecordsShape): void {
  const recordsOffset = recordsOffsetOf(shape);
  const words = region.words(offset, recordsOffset / WORD_BYTES);
  words.fill(0);
  words[RecordsLayout.versionWord] = RecordsLayout.version;
  words[RecordsLayout.capacityBytesWord] = shape.capacityBytes;
  words[RecordsLayout.cursorCountWord] = shape.maxConsumers;
  words[RecordsLayout.modeWord] = RecordsMode[shape.mode];
  words[RecordsLayout.policyWord] = Policy[shape.policy];
  words[RecordsLayout.historyCountWord] = shape.history;
  words[RecordsLayout.indexCountWord] = indexCountOf(shape);
  words[RecordsLayout.indexOffsetWord] = indexOffsetOf(shape.maxConsumers);
  words[RecordsLayout.recordsOffsetWord] = recordsOffset;
  words[RecordsLayout.stallTimeoutMsWord] = shape.stallTimeoutMs;
  words[RecordsLayout.stallActionWord] = StallAction[shape.stallAction];
  words[RecordsLayout.annotationOffsetWord] = annotationOffsetOf(shape);
  words[RecordsLayout.annotationBytesWord] = shape.annotation.length;
  region
    .view(regionOffset(offset + annotationOffsetOf(shape)), shape.annotation.length)
    .set(shape.annotation);
  words[RecordsLayout.magicWord] = RecordsLayout.magic;
}

/** A private copy of the annotation. @throws CorruptError */
function readAnnotation(region: Region, name: string, offset: RegionOffset, header: Int32Array): Uint8Array {
  const bytes = header[RecordsLayout.annotationBytesWord]! >>> 0;
  if (bytes === 0) return new Uint8Array(0);
  const start = header[RecordsLayout.annotationOffsetWord]! >>> 0;
  const end = header[RecordsLayout.recordsOffsetWord]! >>> 0;
  if (bytes > RecordsLayout.maxAnnotationBytes || start < RecordsLayout.cursorsOffset || start + bytes > end)
    throw new CorruptError(`records ${name}: annotation`);
  return region.view(regionOffset(offset + start), bytes).slice();
}

/** The name of a code in a table like {@link Policy}; "?" for a code that is not there. */
function nameOf<T extends string>(table: Readonly<Record<T, number>>, code: number): T | "?" {
  for (const name in table) if (table[name] === code) return name;
  return "?";
}

/** Reads and checks records at `offset` that may take up to `limitBytes`.
 * @throws CorruptError when any number is outside the protocol or the space given */
export function readRecords(
  region: Region,
  name: string,
  offset: RegionOffset,
  limitBytes: number,
): RecordsGeometry {
  if (limitBytes < RecordsLayout.cursorsOffset) throw new CorruptError(`records ${name}: size`);
  const header = region.words(offset, RecordsLayout.cursorsOffset / WORD_BYTES);
  const number = (word: number): number => header[word]! >>> 0;
  const mode = nameOf(RecordsMode, number(RecordsLayout.modeWord));
  const policy = nameOf(Policy, number(RecordsLayout.policyWord));
  const stalls = readStallShape(
    number(RecordsLayout.stallTimeoutMsWord),
    number(RecordsLayout.stallActionWord),
  );
  const intactHeader =
    number(RecordsLayout.magicWord) === RecordsLayout.magic &&
    number(RecordsLayout.versionWord) === RecordsLayout.version;
  if (!intactHeader || mode === "?" || policy === "?" || stalls === null)
    throw new CorruptError(`records ${name}: geometry`);
  const shape: RecordsShape = {
    capacityBytes: number(RecordsLayout.capacityBytesWord),
    maxConsumers: number(RecordsLayout.cursorCountWord),
    mode,
    policy,
    history: number(RecordsLayout.historyCountWord),
    ...stalls,
    annotation: new Uint8Array(0),
  };
  const indexCount = number(RecordsLayout.indexCountWord);
  const indexOffset = number(RecordsLayout.indexOffsetWord);
  const recordsOffset = number(RecordsLayout.recordsOffsetWord);
  const leastIndex = Math.max(2 * shape.history, mode === "lossy" ? RecordsLayout.minLossyIndexCount : 0);
  const intact =
    fault(shape) === null &&
    (indexCount === 0 || isPowerOfTwo(indexCount)) &&
    isWithin(indexCount, leastIndex, RecordsLayout.maxIndexCount) &&
    indexOffset % LINE_BYTES === 0 &&
    indexOffset >= indexOffsetOf(shape.maxConsumers) &&
    recordsOffset % LINE_BYTES === 0 &&
    recordsOffset >= indexOffset + indexCount * WORD_BYTES &&
    recordsOffset + shape.capacityBytes <= limitBytes;
  if (!intact) throw new CorruptError(`records ${name}: geometry`);
  const dataOffset = regionOffset(offset + recordsOffset);
  return {
    ...shape,
    annotation: readAnnotation(region, name, offset, header),
    name,
    region,
    words: region.words(offset, recordsOffset / WORD_BYTES),
    data: region.words(dataOffset, shape.capacityBytes / WORD_BYTES),
    bytes: region.view(dataOffset, shape.capacityBytes),
    indexCount,
    indexWord: indexOffset / WORD_BYTES,
    maxRecordBytes: shape.capacityBytes / 2 - RecordHeader.sizeBytes,
  };
}

/** The records of a directory entry. */
export function openRecordsGeometry(region: Region, entry: DirectoryEntry): RecordsGeometry {
  if (entry.kind !== ObjectKind.records) throw new CorruptError(`records ${entry.name}: kind`);
  return readRecords(region, entry.name, entry.offset, entry.sizeBytes);
}

/** Creates records and their directory entry. @throws ArgumentError, and the directory's errors */
export function createRecordsGeometry(region: Region, name: string, shape: RecordsShape): RecordsGeometry {
  checkRecordsShape(name, shape);
  const entry = region.directory.create(ObjectKind.records, name, recordsSizeBytes(shape), (offset) =>
    writeRecords(region, offset, shape),
  );
  return openRecordsGeometry(region, entry);
}
