/**
 * Byte-exact layout of a region: superblock, directory, control area. docs/PROTOCOL.md §2-§4 is the authority.
 *
 *     0        superblock     4096 bytes
 *     4096     directory      64 entries x 128 bytes
 *     12288    control area   12288 bytes (here, or at offset 0 of the sidecar file of a device)
 *     24576    objects
 *
 * Constants ending in `Word` count 32-bit words from the start of their structure, those ending in `Bytes` or `Offset`
 * count bytes.
 */

/** Two words with different writers are at least this far apart: the x86 adjacent-line prefetcher pulls pairs of 64. */
export const LINE_BYTES = 128;
export const WORD_BYTES = 4;

export const LAYOUT_VERSION = 1;
export const BYTE_ORDER_MARK = 0x01020304;

export const Superblock = {
  sizeBytes: 4096,
  magicLow: 0x53594850, // "PHYS"
  magicHigh: 0x474e4952, // "RING"
  magicLowWord: 0,
  magicHighWord: 1,
  layoutVersionWord: 2,
  byteOrderWord: 3,
  headerBytesWord: 4,
  stateWord: 5,
  sizeLowWord: 6,
  sizeHighWord: 7,
  instanceIdWord: 8, // 4 words
  directoryOffsetWord: 12,
  directoryCapacityWord: 13,
  controlOffsetWord: 14,
  participantCapacityWord: 15,
  flagsWord: 16,
  backendWord: 17,
  createdAtLowWord: 18,
  createdAtHighWord: 19,
  stateBuilding: 0,
  stateReady: 1,
  flagSidecar: 1,
} as const;

export const Directory = {
  offset: 4096,
  capacity: 64,
  entryBytes: 128,
  stateWord: 0,
  kindWord: 1,
  generationWord: 2,
  offsetLowWord: 4,
  offsetHighWord: 5,
  sizeLowWord: 6,
  sizeHighWord: 7,
  nameWord: 16,
  nameBytes: 64,
  stateFree: 0,
  stateBuilding: 1,
  stateReady: 2,
  /** Objects start at multiples of this. */
  objectAlignBytes: 4096,
} as const;

export const ObjectKind = {
  ring: 1,
  pool: 2,
  channel: 3,
  queue: 4,
  records: 5,
  cell: 6,
  service: 7,
  hardwareQueue: 8,
  hardwareRegisters: 9,
} as const;
export type ObjectKindCode = (typeof ObjectKind)[keyof typeof ObjectKind];

export const Control = {
  /** Offset in the region; 0 in a sidecar file. */
  offset: 12288,
  sizeBytes: 12288,
  magic: 0x4c525443, // "CTRL"
  version: 1,
  magicWord: 0,
  versionWord: 1,
  participantCapacityWord: 2,
  recordBytesWord: 3,
  instanceIdWord: 4, // 4 words
  driverInstanceLowWord: 8,
  driverInstanceHighWord: 9,
  deathsWord: 10,
  recordsOffset: LINE_BYTES,
} as const;

/**
 * One participant: three lines, each with its own writer.
 *
 *     +0     state, pid, tid, pid namespace, name      (holder of the life lock)
 *            the last participant that died here        (its cleaner)
 *     +128   doorbell                                   (participant arms, anybody disarms by exchange)
 *     +256   section                                    (participant)
 */
export const ParticipantRecord = {
  capacity: 31,
  sizeBytes: 3 * LINE_BYTES,
  stateWord: 0,
  pidWord: 1,
  tidWord: 2,
  pidNamespaceWord: 3,
  deathWord: 4,
  deathPidWord: 5,
  nameWord: 8,
  nameBytes: 32,
  deathNameWord: 16,
  deathBegunWord: 24,
  doorbellWord: LINE_BYTES / WORD_BYTES,
  sectionWord: (2 * LINE_BYTES) / WORD_BYTES,
  wantedWord: (2 * LINE_BYTES) / WORD_BYTES + 1,
  phaseFree: 0,
  phaseLive: 1,
  phaseDying: 2,
  phaseSwept: 3,
  phaseMask: 0xff,
  generationShift: 8,
  deathCountMask: 0xff,
} as const;

/** Word index, in the control area, of a participant's record. The index is the caller's to check. */
export function participantRecordWord(participant: number): number {
  return ((Control.recordsOffset + participant * ParticipantRecord.sizeBytes) / WORD_BYTES) | 0;
}

/** Bytes of the lock file that mean something, at {@link LOCK_BASE_OFFSET} + k; all lie past the end of the file. */
export const LOCK_BASE_OFFSET = 2 ** 40;
export const LockByte = { participant: 0, cleaner: 32, directory: 33, creation: 34, users: 35 } as const;

export const HEADER_BYTES = Control.offset + Control.sizeBytes;
