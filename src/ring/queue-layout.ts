/** Byte-exact layout of a work queue; docs/PROTOCOL.md §11 is the authority. Constants are as in layout.ts. */
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";

const LINE_WORDS = LINE_BYTES / WORD_BYTES;

/**
 * A queue: a lane (a ring) for each producer.
 *
 *     +0     geometry                      creator
 *     +128   sleepers                      OR / AND by sleeping consumers
 *     +256   consumers, lanesUsed, ended   OR / AND as parties come and go; ended: anybody, once
 *     +512   lane 0, lane 1, ...           rings, laneBytes apart
 */
export const QueueLayout = {
  magic: 0x55455551, // "QUEU"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  laneCountWord: 2,
  laneBytesWord: 3,
  lanesOffsetWord: 4,
  policyWord: 5,
  consumersModeWord: 6,
  stallTimeoutMsWord: 7,
  stallActionWord: 8,
  sleepersWord: LINE_WORDS,
  consumersWord: 2 * LINE_WORDS,
  lanesUsedWord: 2 * LINE_WORDS + 1,
  endedWord: 2 * LINE_WORDS + 2,
  lanesOffset: 4 * LINE_BYTES,
  maxLanes: 31,
} as const;

/** How many consumers may be attached; stored in the queue. */
export const ConsumersMode = { one: 0, many: 1 } as const;
export type ConsumersModeName = keyof typeof ConsumersMode;
