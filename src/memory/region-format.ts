/** Making and finding the parts of a region that every process knows: superblock, empty directory, control area. */
import { type Mapping, mapPlain, mapShared } from "../ffi/mapping.ts";
import { storePlain } from "./atomics.ts";
import type { Backing } from "./backing.ts";
import { type VirtualAddress, virtualAddress } from "./brands.ts";
import { CONTROL_WORDS, checkControl, formatControl, readDriverInstance } from "./control.ts";
import { RegionError } from "./errors.ts";
import { Control, HEADER_BYTES, WORD_BYTES } from "./layout.ts";
import {
  beginSuperblock,
  finishSuperblock,
  type RegionHeader,
  readSuperblock,
  SUPERBLOCK_WORDS,
  writeSuperblock,
} from "./superblock.ts";
import type { Windows } from "./windows.ts";

const NO_INSTANCE = [0, 0] as const;

export function int32View(mapping: Mapping, position: number, wordCount: number): Int32Array {
  return new Int32Array(mapping.buffer, mapping.bufferOffset + position, wordCount);
}

/** Where the control words are, and the mapping that is theirs alone (that of a sidecar). */
export interface ControlWords {
  readonly words: Int32Array;
  readonly address: VirtualAddress;
  readonly mapping: Mapping | null;
}

export function locateControl(windows: Windows, backing: Backing, readOnly: boolean): ControlWords {
  const sidecar = backing.controlFd !== backing.fd;
  const mapping = !sidecar
    ? windows.find(Control.offset, Control.sizeBytes).mapping
    : readOnly
      ? mapPlain(backing.controlFd, 0, Control.sizeBytes, false)
      : mapShared(backing.controlFd, 0, Control.sizeBytes);
  const position = sidecar ? 0 : Control.offset;
  return {
    words: int32View(mapping, position, CONTROL_WORDS),
    address: virtualAddress(mapping.address + position),
    mapping: sidecar ? mapping : null,
  };
}

/** Writes everything that makes bytes a region; the state last. A sidecar's words are zero before (a new file). */
export function formatRegion(
  windows: Windows,
  control: ControlWords,
  header: RegionHeader,
  backing: Backing,
): void {
  const words = int32View(windows.find(0, HEADER_BYTES).mapping, 0, HEADER_BYTES / WORD_BYTES);
  beginSuperblock(words);
  for (let i = SUPERBLOCK_WORDS; i < words.length; i++) storePlain(words, i, 0);
  formatControl(control.words, header.instanceId, backing.device?.facts.instance ?? NO_INSTANCE);
  writeSuperblock(words, header, backing.backend);
  finishSuperblock(words);
}

/** Checks a mapped region against the header that was read before it was mapped, and its control area against both. */
export function verifyRegion(
  windows: Windows,
  control: ControlWords,
  header: RegionHeader,
  backing: Backing,
  name: string,
  atomic: boolean,
): void {
  const words = int32View(windows.find(0, HEADER_BYTES).mapping, 0, SUPERBLOCK_WORDS);
  const now = readSuperblock(words, backing.availableBytes, name, atomic);
  const same =
    now.instanceId === header.instanceId &&
    now.sizeBytes === header.sizeBytes &&
    now.sidecar === header.sidecar;
  if (!same) throw new RegionError("REGION_BUSY", `${name} was created anew while it was being opened`);
  checkControl(control.words, header.instanceId, name);
  const [low, high] = backing.device?.facts.instance ?? NO_INSTANCE;
  const [seenLow, seenHigh] = readDriverInstance(control.words);
  if ((low !== 0 || high !== 0) && (low !== seenLow || high !== seenHigh)) {
    throw new RegionError(
      "REGION_STALE_SIDECAR",
      `${name}: the driver made its buffer anew since the region was created (create it again)`,
    );
  }
}
