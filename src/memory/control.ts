/** The control area: participants, doorbells, and the file whose byte locks say who is alive (docs/PROTOCOL.md §3). */
import { loadHint, storePlain } from "./atomics.ts";
import type { VirtualAddress } from "./brands.ts";
import { RegionError } from "./errors.ts";
import { Control, ParticipantRecord, WORD_BYTES } from "./layout.ts";
import { instanceWords, readInstanceId } from "./superblock.ts";

export const CONTROL_WORDS = Control.sizeBytes / WORD_BYTES;

export interface ControlArea {
  /** All of the area, control header first. */
  readonly words: Int32Array;
  /** Virtual address of word 0, for futexes. */
  readonly address: VirtualAddress;
  /**
   * A new open file description (read-write, close-on-exec) of the file that holds the area; its byte locks belong to the
   * caller, who closes it. Throws `REGION_READ_ONLY`, `REGION_CLOSED` or a SystemError.
   */
  openLockFile(): number;
  /** Whether anybody else holds a write lock on this byte of {@link LockByte}; takes nothing, works on a read-only region. */
  isLocked(byte: number): boolean;
  /** Directory of the event-loop doorbells and life files. The first participant makes it; `Region.destroy` removes it. */
  readonly doorbellDirectory: string;
  /** Makes that directory unless it is there, for those who may write the region. Throws `REGION_PERMISSION` when it is somebody else's. */
  makeDoorbellDirectory(): void;
  /** Permissions of the file that holds the area: what lies in the directory gets the same. */
  readonly fileMode: number;
}

/** Writes a new control area; the memory under `words` must read as zero, so that all participants are free. */
export function formatControl(
  words: Int32Array,
  instanceId: string,
  driverInstance: readonly [number, number],
): void {
  storePlain(words, Control.versionWord, Control.version);
  storePlain(words, Control.participantCapacityWord, ParticipantRecord.capacity);
  storePlain(words, Control.recordBytesWord, ParticipantRecord.sizeBytes);
  instanceWords(instanceId).forEach((word, i) => {
    storePlain(words, Control.instanceIdWord + i, word);
  });
  storePlain(words, Control.driverInstanceLowWord, driverInstance[0]);
  storePlain(words, Control.driverInstanceHighWord, driverInstance[1]);
  storePlain(words, Control.magicWord, Control.magic);
}

/** What the driver said about its buffer when the area was made; zeroes: nothing. */
export function readDriverInstance(words: Int32Array): readonly [number, number] {
  return [loadHint(words, Control.driverInstanceLowWord), loadHint(words, Control.driverInstanceHighWord)];
}

/** Checks the header of a control area; throws `REGION_CORRUPT` or, when it belongs to another region, `REGION_STALE_SIDECAR`. */
export function checkControl(words: Int32Array, instanceId: string, name: string): void {
  const expected: readonly (readonly [number, number, string])[] = [
    [Control.magicWord, Control.magic, "magic"],
    [Control.versionWord, Control.version, "version"],
    [Control.participantCapacityWord, ParticipantRecord.capacity, "participantCapacity"],
    [Control.recordBytesWord, ParticipantRecord.sizeBytes, "recordBytes"],
  ];
  for (const [index, value, what] of expected) {
    const found = loadHint(words, index) >>> 0;
    if (found !== value) {
      throw new RegionError(
        "REGION_CORRUPT",
        `${name}: ${what} of the control area is ${found}, not ${value}`,
      );
    }
  }
  const found = readInstanceId(words, Control.instanceIdWord);
  if (found !== instanceId) {
    throw new RegionError(
      "REGION_STALE_SIDECAR",
      `${name}: the control area belongs to instance ${found}, the region is ${instanceId} (buffer re-created? destroy and create it again)`,
    );
  }
}
