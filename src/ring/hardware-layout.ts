/**
 * What recovery has to know of a hardware queue: the host's object of it (PROTOCOL.md §10.8) and the registers that stop it (§10.3). The rest of
 * the hardware's layout is in src/fpga/layout.ts. Constants ending in `Word` count 32-bit words from the start of their structure, those
 * ending in `Bytes` or `Offset` bytes.
 */
import { LINE_BYTES, WORD_BYTES } from "../memory/layout.ts";

const LINE_WORDS = LINE_BYTES / WORD_BYTES;

/**
 * Directory kind 8; CPU words only.
 *
 *     +0      geometry            creator
 *     +128    owner               CAS: generation << 8 | participant + 1; 0x7F: quarantined
 *     +256    epoch, started      owner (started: its cleaner as well, after idle)
 *     +384    path of the register file, +640 path of the queue memory's buffer (flag 0)     creator
 *     +1024   held                a word per block: owner, its cleaner after its death
 *     +queue memory, where flag 0 is not set: submission ring, completion ring, lists; each starts on a page
 */
export const HardwareQueueLayout = {
  magic: 0x55515748, // "HWQU"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  queueWord: 2,
  capacityLog2Word: 3,
  flagsWord: 4,
  poolIndexWord: 5,
  poolGenerationWord: 6,
  blockCountWord: 7,
  heldOffsetWord: 8,
  sqOffsetLowWord: 9,
  cqOffsetLowWord: 11,
  listsOffsetLowWord: 13,
  listsBytesWord: 15,
  ownerWord: LINE_WORDS,
  epochWord: 2 * LINE_WORDS,
  startedWord: 2 * LINE_WORDS + 1,
  registersPathOffset: 384,
  bufferPathOffset: 640,
  pathBytes: 256,
  heldOffset: 1024,
  flagOwnBuffer: 1,
  /** In the low byte of the owner word: idle never came, held blocks stay the device's. */
  ownerQuarantined: 0x7f,
} as const;

export const QueueMemoryLayout = {
  descriptorBytes: 64,
  completionBytes: 32,
  listEntryBytes: 16,
  minCapacityLog2: 1,
  maxCapacityLog2: 12,
  maxQueues: 15,
} as const;

/** Byte offsets in the register file; `control` and `state` in a queue's page. */
export const StopRegisters = {
  fileBytes: 65536,
  pageBytes: 4096,
  magic: 0x000,
  magicValue: 0x57485250, // "PRHW"
  magicGone: -1,
  control: 0x000,
  state: 0x100,
  enable: 1,
  epochShift: 8,
  maxEpoch: 0xff_ffff,
  stateMask: 0xff,
  stateIdle: 0,
  stateRunning: 1,
  stateStopping: 2,
  stateHalted: 3,
} as const;

/** Byte offset of the page of queue `queue`. */
export function queuePage(queue: number): number {
  return (1 + queue) * StopRegisters.pageBytes;
}
