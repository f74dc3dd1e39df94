/** The superblock: written once by the creator, checked word by word by everybody else (docs/PROTOCOL.md §2). */
import { loadAcquire, loadHint, storePlain, storeRelease } from "./atomics.ts";
import { RegionError } from "./errors.ts";
import {
  BYTE_ORDER_MARK,
  Control,
  Directory,
  HEADER_BYTES,
  LAYOUT_VERSION,
  ParticipantRecord,
  Superblock,
  WORD_BYTES,
} from "./layout.ts";
import type { Backend } from "./names.ts";

export const INSTANCE_WORDS = 4;
export const SUPERBLOCK_WORDS = Superblock.sizeBytes / WORD_BYTES;

const BACKEND_CODES: Readonly<Record<Backend, number>> = { shm: 1, memfd: 2, udmabuf: 3 };

/** What the superblock says, after every number in it was checked. */
export interface RegionHeader {
  readonly sizeBytes: number;
  /** 128 random bits as 32 hexadecimal digits. */
  readonly instanceId: string;
  /** The control area is in a sidecar file. */
  readonly sidecar: boolean;
}

export function newInstanceId(): string {
  // 122 random bits and a fixed version nibble: never all zero.
  return crypto.randomUUID().replaceAll("-", "");
}

/** The four words of an instance id. */
export function instanceWords(instanceId: string): Int32Array {
  return Int32Array.from(
    { length: INSTANCE_WORDS },
    (_, i) => Number.parseInt(instanceId.slice(i * 8, i * 8 + 8), 16) | 0,
  );
}

/** Reads an instance id from words; plain loads, so that it works on read-only mappings. */
export function readInstanceId(words: Int32Array, firstWord: number): string {
  let id = "";
  for (let i = 0; i < INSTANCE_WORDS; i++)
    id += (loadHint(words, firstWord + i) >>> 0).toString(16).padStart(8, "0");
  return id;
}

/** Marks the region as being built before anything else in it changes. */
export function beginSuperblock(words: Int32Array): void {
  storeRelease(words, Superblock.stateWord, Superblock.stateBuilding);
}

/** Everything but the state; {@link finishSuperblock} publishes. */
export function writeSuperblock(words: Int32Array, header: RegionHeader, backend: Backend): void {
  const now = Date.now();
  for (let i = 0; i < SUPERBLOCK_WORDS; i++) if (i !== Superblock.stateWord) storePlain(words, i, 0);
  storePlain(words, Superblock.layoutVersionWord, LAYOUT_VERSION);
  storePlain(words, Superblock.byteOrderWord, BYTE_ORDER_MARK);
  storePlain(words, Superblock.headerBytesWord, HEADER_BYTES);
  storePlain(words, Superblock.sizeLowWord, header.sizeBytes | 0);
  storePlain(words, Superblock.sizeHighWord, Math.floor(header.sizeBytes / 2 ** 32));
  instanceWords(header.instanceId).forEach((word, i) => {
    storePlain(words, Superblock.instanceIdWord + i, word);
  });
  storePlain(words, Superblock.directoryOffsetWord, Directory.offset);
  storePlain(words, Superblock.directoryCapacityWord, Directory.capacity);
  storePlain(words, Superblock.controlOffsetWord, header.sidecar ? 0 : Control.offset);
  storePlain(words, Superblock.participantCapacityWord, ParticipantRecord.capacity);
  storePlain(words, Superblock.flagsWord, header.sidecar ? Superblock.flagSidecar : 0);
  storePlain(words, Superblock.backendWord, BACKEND_CODES[backend]);
  storePlain(words, Superblock.createdAtLowWord, now | 0);
  storePlain(words, Superblock.createdAtHighWord, Math.floor(now / 2 ** 32));
  storePlain(words, Superblock.magicLowWord, Superblock.magicLow);
  storePlain(words, Superblock.magicHighWord, Superblock.magicHigh);
}

/** SYNC region-ready: pairs with the load of the state in {@link readSuperblock}. */
export function finishSuperblock(words: Int32Array): void {
  storeRelease(words, Superblock.stateWord, Superblock.stateReady);
}

/** Is this a superblock of any version and byte order? */
export function hasMagic(words: Int32Array): boolean {
  return (
    loadHint(words, Superblock.magicLowWord) === Superblock.magicLow &&
    loadHint(words, Superblock.magicHighWord) === Superblock.magicHigh
  );
}

/** Words that {@link writeSuperblock} leaves zero. */
const FIRST_RESERVED_WORD = Superblock.createdAtHighWord + 1;

/**
 * Could a creator that died between {@link beginSuperblock} and {@link finishSuperblock} have left these words? Each is still
 * zero or already what it was to be.
 */
export function isUnfinished(words: Int32Array): boolean {
  if (loadHint(words, Superblock.stateWord) !== Superblock.stateBuilding) return false;
  const zeroOr: readonly (readonly [number, number])[] = [
    [Superblock.magicLowWord, Superblock.magicLow],
    [Superblock.magicHighWord, Superblock.magicHigh],
    [Superblock.layoutVersionWord, LAYOUT_VERSION],
    [Superblock.byteOrderWord, BYTE_ORDER_MARK],
    [Superblock.headerBytesWord, HEADER_BYTES],
  ];
  for (const [index, value] of zeroOr) {
    const found = loadHint(words, index);
    if (found !== 0 && found !== value) return false;
  }
  for (let i = FIRST_RESERVED_WORD; i < SUPERBLOCK_WORDS; i++) if (loadHint(words, i) !== 0) return false;
  return true;
}

function swapBytes(word: number): number {
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24) | 0;
}

function word(words: Int32Array, index: number): number {
  return loadHint(words, index) >>> 0;
}

/** The size as it stands there, unchecked. */
export function readSize(words: Int32Array): number {
  return word(words, Superblock.sizeLowWord) + word(words, Superblock.sizeHighWord) * 2 ** 32;
}

function expectWord(words: Int32Array, index: number, expected: number, what: string, name: string): void {
  const found = word(words, index);
  if (found !== expected) {
    throw new RegionError(
      "REGION_CORRUPT",
      `${name}: ${what} in the superblock is ${found}, not ${expected}`,
    );
  }
}

/**
 * Checks the superblock in `words` against the `availableBytes` that are really there. `atomic` is false for read-only
 * mappings, which have no atomic loads. Throws {@link RegionError}: `REGION_NOT_A_REGION`, `REGION_BYTE_ORDER`, `REGION_VERSION`,
 * `REGION_HALF_MADE`, `REGION_TOO_SMALL`, `REGION_CORRUPT`.
 */
export function readSuperblock(
  words: Int32Array,
  availableBytes: number,
  name: string,
  atomic: boolean,
): RegionHeader {
  if (!hasMagic(words)) {
    throw new RegionError(
      "REGION_NOT_A_REGION",
      `${name} holds no physring region (open it with raw: true to map it as it is)`,
    );
  }
  const byteOrder = loadHint(words, Superblock.byteOrderWord);
  if (byteOrder === swapBytes(BYTE_ORDER_MARK)) {
    throw new RegionError("REGION_BYTE_ORDER", `${name} was made by a machine of the other byte order`);
  }
  const version = word(words, Superblock.layoutVersionWord);
  if (version !== LAYOUT_VERSION) {
    throw new RegionError(
      "REGION_VERSION",
      `${name} has layout version ${version}; this physring reads version ${LAYOUT_VERSION}`,
    );
  }
  // SYNC region-ready: pairs with the store in finishSuperblock.
  const state = atomic ? loadAcquire(words, Superblock.stateWord) : loadHint(words, Superblock.stateWord);
  if (state === Superblock.stateBuilding) {
    throw new RegionError(
      "REGION_HALF_MADE",
      `${name} is not finished: its creator is at work, or died (then create it again)`,
    );
  }
  expectWord(words, Superblock.stateWord, Superblock.stateReady, "state", name);
  expectWord(words, Superblock.byteOrderWord, BYTE_ORDER_MARK, "byteOrder", name);
  expectWord(words, Superblock.headerBytesWord, HEADER_BYTES, "headerBytes", name);
  expectWord(words, Superblock.directoryOffsetWord, Directory.offset, "directoryOffset", name);
  expectWord(words, Superblock.directoryCapacityWord, Directory.capacity, "directoryCapacity", name);
  expectWord(
    words,
    Superblock.participantCapacityWord,
    ParticipantRecord.capacity,
    "participantCapacity",
    name,
  );
  const sidecar = (word(words, Superblock.flagsWord) & Superblock.flagSidecar) !== 0;
  expectWord(words, Superblock.controlOffsetWord, sidecar ? 0 : Control.offset, "controlOffset", name);
  const sizeBytes = readSize(words);
  if (sizeBytes < HEADER_BYTES || !Number.isSafeInteger(sizeBytes)) {
    throw new RegionError("REGION_CORRUPT", `${name}: sizeBytes in the superblock is ${sizeBytes}`);
  }
  if (sizeBytes > availableBytes) {
    throw new RegionError(
      "REGION_TOO_SMALL",
      `${name} says it has ${sizeBytes} bytes, but only ${availableBytes} are there`,
    );
  }
  const instanceId = readInstanceId(words, Superblock.instanceIdWord);
  if (/^0+$/.test(instanceId))
    throw new RegionError("REGION_CORRUPT", `${name}: instanceId in the superblock is zero`);
  return { sizeBytes, instanceId, sidecar };
}
