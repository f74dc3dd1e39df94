/**
 * The hardware queue as bytes: descriptors, completions, list entries, registers, codes. docs/PROTOCOL.md §10 is the authority; algorithms hold no
 * literal offsets. What recovery needs as well is in src/ring/hardware-layout.ts.
 */

/**
 * A descriptor, written by the host, word 15 last.
 *
 *     w0 opcode | flags   w1 tag   w2, w3 source   w4, w5 destination   w6 lengthBytes   w7 listEntries   w8..w10 parameters   w11..w14 -   w15 validity
 */
export const DescriptorLayout = {
  sizeBytes: 64,
  sizeWords: 16,
  opcodeWord: 0,
  tagWord: 1,
  sourceLowWord: 2,
  sourceHighWord: 3,
  destinationLowWord: 4,
  destinationHighWord: 5,
  lengthWord: 6,
  listEntriesWord: 7,
  parameterWord: 8,
  validityWord: 15,
  flagSourceList: 1 << 8,
  flagDestinationList: 1 << 9,
  opcodeMask: 0xff,
  destinationEntriesShift: 16,
  entriesMask: 0xffff,
} as const;

/**
 * A completion, written by the core in one burst, word 7 last.
 *
 *     w0 tag   w1 status | opcode << 8   w2 bytes   w3 result   w4, w5 cycles   w6 index   w7 validity
 */
export const CompletionLayout = {
  sizeBytes: 32,
  sizeWords: 8,
  tagWord: 0,
  statusWord: 1,
  bytesWord: 2,
  resultWord: 3,
  cyclesLowWord: 4,
  cyclesHighWord: 5,
  indexWord: 6,
  validityWord: 7,
  statusMask: 0xff,
  opcodeShift: 8,
} as const;

/** An entry of a scatter list: `w0, w1 device address   w2 bytes   w3 0`. */
export const ListEntryLayout = {
  sizeBytes: 16,
  sizeWords: 4,
  addressLowWord: 0,
  addressHighWord: 1,
  bytesWord: 2,
} as const;

export const ALIGN_BYTES = 64;
export const MAX_LENGTH_BYTES = 2 ** 31;
export const MAX_LIST_ENTRIES = 1024;

/** The word that makes entry `index` of a ring valid (§10.1). */
export function validityOf(epoch: number, index: number, capacityLog2: number): number {
  return (epoch << 8) | (((index >>> capacityLog2) + 1) & 1);
}

export const Opcode = {
  nop: 0,
  copy: 1,
  fill: 2,
  crc32: 3,
  threshold: 4,
  filter3x3: 5,
  source: 6,
  sink: 7,
} as const;
export type OpcodeName = keyof typeof Opcode;

/** Which operands an opcode has, by its number. */
export const HAS_SOURCE = [false, true, false, true, true, true, false, true] as const;
export const HAS_DESTINATION = [false, true, true, false, true, true, true, false] as const;

const SOURCE_STEP = 0x9e3779b1;

/** Word `j` of frame `sequence` as the opcode SOURCE writes it. */
export function sourceWord(seed: number, sequence: number, j: number): number {
  return (seed + ((sequence << 16) | (sequence >>> 16)) + Math.imul(j, SOURCE_STEP)) | 0;
}

/** Page 0: constant after reset. */
export const GlobalRegister = {
  magic: 0x000,
  version: 0x004,
  queueCount: 0x008,
  busBytes: 0x00c,
  opcodes: 0x010,
  maxCapacityLog2: 0x014,
  maxListEntries: 0x018,
  clockHz: 0x01c,
  outstandingReads: 0x020,
  executors: 0x024,
  maxFilterWidth: 0x028,
  maxBurstBytes: 0x02c,
} as const;

/** Page of a queue, host-written. 64-bit numbers: low word here, high word 4 bytes on. */
export const HostRegister = {
  control: 0x000,
  capacityLog2: 0x004,
  sqBase: 0x008,
  cqBase: 0x010,
  queueWindowBase: 0x018,
  queueWindowLimit: 0x020,
  dataWindowBase: 0x028,
  dataWindowLimit: 0x030,
  interruptCount: 0x038,
  interruptCycles: 0x03c,
  paceCycles: 0x040,
  pacePolicy: 0x044,
  sqTail: 0x080,
  cqHead: 0x0c0,
} as const;

/** Page of a queue, device-written. */
export const DeviceRegister = {
  state: 0x100,
  haltCode: 0x104,
  sqHead: 0x108,
  cqTail: 0x10c,
  interruptEvents: 0x110,
  ticks: 0x114,
  missed: 0x118,
  descriptorFetches: 0x140,
  listFetches: 0x144,
  readBursts: 0x148,
  writeBursts: 0x14c,
  completionWrites: 0x150,
  failedCommands: 0x154,
  busErrors: 0x158,
} as const;

export const PROTOCOL_VERSION = 1;
export const PacePolicy = { wait: 0, "drop-newest": 1 } as const;
export type PacePolicyName = keyof typeof PacePolicy;

/** Status of a completion; 1-7 are also what the host's own check answers. */
export const Status = {
  OK: 0,
  OPCODE: 1,
  FLAGS: 2,
  LENGTH: 3,
  PARAMETER: 4,
  ALIGNMENT: 5,
  RANGE: 6,
  LIST: 7,
  READ_SLVERR: 16,
  READ_DECERR: 17,
  WRITE_SLVERR: 18,
  WRITE_DECERR: 19,
  LIST_SLVERR: 20,
  LIST_DECERR: 21,
} as const;
export type StatusName = keyof typeof Status;

export const HaltCode = {
  NONE: 0,
  FETCH: 1,
  COMPLETE: 2,
  STALE: 3,
  SQ_TAIL: 4,
  CQ_HEAD: 5,
  CONFIG: 6,
} as const;
export type HaltName = keyof typeof HaltCode;

function nameIn<T extends string>(table: Readonly<Record<T, number>>, code: number): T | undefined {
  return (Object.keys(table) as T[]).find((name) => table[name] === code);
}

export function statusName(code: number): StatusName | `STATUS_${number}` {
  return nameIn(Status, code) ?? `STATUS_${code}`;
}

export function haltName(code: number): HaltName | `HALT_${number}` {
  return nameIn(HaltCode, code) ?? `HALT_${code}`;
}
