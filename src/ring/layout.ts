/**
 * Byte-exact layout of rings, pools and channels. docs/PROTOCOL.md §5-§7 is the authority; algorithms hold no literal
 * offsets. Constants ending in `Word` count 32-bit words from the start of their structure, those ending in `Bytes` or
 * `Offset` count bytes.
 */
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";

const LINE_WORDS = LINE_BYTES / WORD_BYTES;

/**
 * A ring: single producer, single consumer, slots of one size.
 *
 *     +0    geometry         creator, before the directory entry is ready
 *     +128  tail, prepared   producer
 *     +256  head, rejected   consumer (drop-oldest, shared head: head by CAS from all sides)
 *     +384  producer owner   CAS: generation << 8 | participant + 1
 *     +512  consumer owner   CAS: likewise
 *     +640  drop counters    producer
 *     +768  slots            slot i at 768 + (i & (capacity - 1)) * slotBytes
 */
export const RingLayout = {
  magic: 0x474e4952, // "RING"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  slotBytesWord: 2,
  capacityWord: 3,
  slotsOffsetWord: 4,
  flagsWord: 5,
  tailWord: LINE_WORDS,
  preparedWord: LINE_WORDS + 1,
  headWord: 2 * LINE_WORDS,
  rejectedWord: 2 * LINE_WORDS + 1,
  fromHistoryWord: 2 * LINE_WORDS + 2,
  producerOwnerWord: 3 * LINE_WORDS,
  consumerOwnerWord: 4 * LINE_WORDS,
  droppedNewestWord: 5 * LINE_WORDS,
  droppedOldestWord: 5 * LINE_WORDS + 1,
  undoneWord: 5 * LINE_WORDS + 2,
  /** Lanes of queues only. */
  waitsWord: 5 * LINE_WORDS + 3,
  refusedWord: 5 * LINE_WORDS + 4,
  evictedWord: 5 * LINE_WORDS + 5,
  headerBytes: 6 * LINE_BYTES,
  flagDropOldest: 1,
  flagSharedHead: 2,
  minCapacity: 2,
  maxCapacity: 1 << 24,
  minSlotBytes: 16,
  maxSlotBytes: 4096,
} as const;

/**
 * The 16-byte descriptor at the start of a slot.
 *
 *     w0 offset low | w1 offset high | w2 length | w3 tag | user words ...
 */
export const DescriptorLayout = {
  offsetLowWord: 0,
  offsetHighWord: 1,
  lengthWord: 2,
  tagWord: 3,
  sizeBytes: 16,
} as const;

/**
 * A pool: equal blocks, and a control line for each.
 *
 *     +0                 geometry              creator
 *     +128               waiters               OR / AND by waiting participants
 *     +256 + 128 b       holders, generation   of block b: atomic steps of PROTOCOL.md §6
 *     +metaOffset        metadata, metaBytes for each block
 *     +blocksOffset      blocks, blockBytes each
 */
export const PoolLayout = {
  magic: 0x4c4f4f50, // "POOL"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  blockBytesWord: 2,
  blockCountWord: 3,
  blocksOffsetLowWord: 4,
  blocksOffsetHighWord: 5,
  metaBytesWord: 6,
  metaOffsetWord: 7,
  frameBytesWord: 8,
  waitersWord: LINE_WORDS,
  controlOffset: 2 * LINE_BYTES,
  controlStrideWords: LINE_WORDS,
  holdersWord: 0,
  generationWord: 1,
  maxBlockCount: 65536,
  maxBlockBytes: 2 ** 31,
  blockAlignBytes: 128,
  poolAlignBytes: 4096,
  maxMetaBytes: 65536,
} as const;

/**
 * A channel: one producer and a lane (a ring of 64-byte slots) for each consumer.
 *
 *     +0     geometry                 creator
 *     +128   sequence, counters       producer (`ended` = 2: cleaner)
 *     +256   producer owner, takers   CAS; OR / AND by joiners
 *     +384   history                  producer (and its cleaner)
 *     +512   lane 0, lane 1, ...      rings, laneBytes apart
 *     +historyOffset                  slots of the last frames, as a lane's
 */
export const ChannelLayout = {
  magic: 0x4e414843, // "CHAN"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  laneCountWord: 2,
  laneBytesWord: 3,
  lanesOffsetWord: 4,
  policyWord: 5,
  deliveryWord: 6,
  poolIndexWord: 7,
  poolGenerationWord: 8,
  stallTimeoutMsWord: 9,
  stallActionWord: 10,
  historyCountWord: 12,
  historyOffsetWord: 13,
  sequenceLowWord: LINE_WORDS,
  sequenceHighWord: LINE_WORDS + 1,
  publishedWord: LINE_WORDS + 2,
  droppedWord: LINE_WORDS + 3,
  unclaimedWord: LINE_WORDS + 4,
  endedWord: LINE_WORDS + 5,
  evictedWord: LINE_WORDS + 6,
  failedWord: LINE_WORDS + 7,
  blockedWord: LINE_WORDS + 8,
  producerOwnerWord: 2 * LINE_WORDS,
  takersWord: 2 * LINE_WORDS + 1,
  historyTailWord: 3 * LINE_WORDS,
  historyHeadWord: 3 * LINE_WORDS + 1,
  sendingWord: 3 * LINE_WORDS + 2,
  lanesOffset: 4 * LINE_BYTES,
  maxLanes: 30,
  maxHistory: 2 ** 15,
  endedOpen: 0,
  endedByProducer: 1,
  endedByDeath: 2,
} as const;

/**
 * Slot of a lane: a descriptor and what a receiver needs to check it and to make a frame of it.
 *
 *     w0..w3 descriptor | w4 block | w5 generation | w6, w7 sequence | w8, w9 timestampNs | w10 metaLength | w11 receiver (owner word) | w12 receiver count
 */
export const LaneSlotLayout = {
  ...DescriptorLayout,
  blockWord: 4,
  generationWord: 5,
  sequenceLowWord: 6,
  sequenceHighWord: 7,
  timestampLowWord: 8,
  timestampHighWord: 9,
  metaLengthWord: 10,
  receiverWord: 11,
  receiverCountWord: 12,
  sizeBytes: 64,
  sizeWords: 16,
} as const;

/**
 * Owner words (channel producer, ring producer, ring consumer): generation << 8 | busy << 7 | participant + 1; low byte 0: nobody.
 * `busy`: the consumer of a lane is joining or leaving. `evicting` (no participant has it): the producer is taking the lane from it.
 */
export const OwnerWord = {
  participantMask: 0x7f,
  busyBit: 0x80,
  evictingBit: 0x40,
  generationShift: 8,
} as const;

/** What to do when there is no room; stored in the channel. */
export const Policy = { block: 0, fail: 1, "drop-newest": 2, "drop-oldest": 3 } as const;
export type PolicyName = keyof typeof Policy;

/** Who gets a frame: every attached consumer, or one of them; stored in the channel. */
export const Delivery = { all: 0, one: 1 } as const;
export type DeliveryName = keyof typeof Delivery;

/** What happens to a consumer that holds the producer up for too long; stored in the object. */
export const StallAction = { none: 0, evict: 1, error: 2 } as const;
export type StallActionName = keyof typeof StallAction;
