/** Byte-exact layout of a latest-value cell; docs/PROTOCOL.md §13 is the authority. Constants are as in layout.ts. */
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";

const LINE_WORDS = LINE_BYTES / WORD_BYTES;

/**
 * A cell: buffers that are written in turn.
 *
 *     +0     geometry       creator
 *     +128   latest         writer
 *     +256   writer owner   CAS
 *     +384   waiters        OR / AND by waiting readers
 *     +512   buffer 0, buffer 1, ...   bufferBytes apart: sequence | lengthBytes | 0 | 0 | value (writer)
 */
export const CellLayout = {
  magic: 0x4c4c4543, // "CELL"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  valueBytesWord: 2,
  bufferCountWord: 3,
  bufferBytesWord: 4,
  buffersOffsetWord: 5,
  latestWord: LINE_WORDS,
  writerOwnerWord: 2 * LINE_WORDS,
  waitersWord: 3 * LINE_WORDS,
  buffersOffset: 4 * LINE_BYTES,
  sequenceWord: 0,
  lengthWord: 1,
  valueWord: 4,
  valueOffset: 16,
  maxValueBytes: 1 << 26,
  minBufferCount: 4,
  maxBufferCount: 64,
} as const;
