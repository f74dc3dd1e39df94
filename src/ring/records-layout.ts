/**
 * Byte-exact layout of records (PROTOCOL.md §12 is the authority).
 *
 *     +0             geometry                creator
 *     +128           tail, marks             producer
 *     +256           claim, epoch            producer
 *     +384           producer owner          CAS
 *     +512           ended, counters         producer (`ended` = 2: cleaner)
 *     +640           sleepers                OR / exchange
 *     +768 + 256 k   owner of cursor k       CAS
 *     +896 + 256 k   cursor k                its consumer
 *     +indexOffset   indexCount words        producer: positions of the last records
 *     +annotationOffset                      creator: bytes for the layers above
 *     +recordsOffset capacityBytes           producer
 *
 * A record, at a multiple of 8; a negative w0 is padding up to the end of the bytes:
 *
 *     w0 length | w1 sequence | payload, padded to a multiple of 8
 */
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";

const LINE_WORDS = LINE_BYTES / WORD_BYTES;

export const RecordsLayout = {
  magic: 0x53434552, // "RECS"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  capacityBytesWord: 2,
  cursorCountWord: 3,
  modeWord: 4,
  policyWord: 5,
  historyCountWord: 6,
  indexCountWord: 7,
  indexOffsetWord: 8,
  recordsOffsetWord: 9,
  stallTimeoutMsWord: 10,
  stallActionWord: 11,
  annotationOffsetWord: 12,
  annotationBytesWord: 13,
  tailWord: LINE_WORDS,
  /** First of two marks; the second is {@link RecordsLayout.markWords} later. A mark: a tail, then the sequence that is due there. */
  firstMarkWord: LINE_WORDS + 2,
  markWords: 2,
  markSequenceWord: 1,
  claimWord: 2 * LINE_WORDS,
  epochWord: 2 * LINE_WORDS + 1,
  producerOwnerWord: 3 * LINE_WORDS,
  endedWord: 4 * LINE_WORDS,
  droppedNewestWord: 4 * LINE_WORDS + 1,
  failedWord: 4 * LINE_WORDS + 2,
  blockedWord: 4 * LINE_WORDS + 3,
  evictedWord: 4 * LINE_WORDS + 4,
  sleepersWord: 5 * LINE_WORDS,
  firstCursorWord: 6 * LINE_WORDS,
  cursorWords: 2 * LINE_WORDS,
  cursorOffsetWord: LINE_WORDS,
  cursorsOffset: 6 * LINE_BYTES,
  cursorBytes: 2 * LINE_BYTES,
  maxCursors: 31,
  minCapacityBytes: 4096,
  maxCapacityBytes: 2 ** 30,
  maxAnnotationBytes: 65536,
  maxHistory: 1 << 15,
  maxIndexCount: 1 << 16,
  minLossyIndexCount: 64,
  endedOpen: 0,
  endedByProducer: 1,
  endedByDeath: 2,
} as const;

export const RecordHeader = {
  lengthWord: 0,
  sequenceWord: 1,
  words: 2,
  sizeBytes: 8,
  /** In w0, which is then negative. */
  paddingBit: -0x8000_0000,
  paddingLengthMask: 0x7fff_ffff,
} as const;

/** Who waits for whom; stored in the object. */
export const RecordsMode = { reliable: 0, lossy: 1 } as const;
export type RecordsModeName = keyof typeof RecordsMode;

/** Word index of the owner of cursor `k`. */
export function cursorOwnerWord(k: number): number {
  return (RecordsLayout.firstCursorWord + k * RecordsLayout.cursorWords) | 0;
}

/** Word index of cursor `k`. */
export function cursorPositionWord(k: number): number {
  return (cursorOwnerWord(k) + RecordsLayout.cursorOffsetWord) | 0;
}
