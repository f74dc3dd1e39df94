/**
 * Backend `udmabuf`: a region in the buffer of a /dev/udmabufN, or in a part of it.
 *
 * Locks and wait words are in a sidecar file, because futexes need page-cache memory and byte locks an inode that all
 * containers share. The sidecar outlives the buffer when the module is reloaded; the instance ids tell.
 */
import {
  closeFile,
  fileStatus,
  openFile,
  readAt,
  reserveFile,
  setFileSize,
  unlinkFile,
  withFile,
} from "../ffi/files.ts";
import { tryLockByte, trySharedLockByte, unlockByte } from "../ffi/locks.ts";
import { mapPlain } from "../ffi/mapping.ts";
import { retryUntil } from "./appear.ts";
import { type Backing, hasLiveParticipant, isNamed, setFileAccess, tryUse } from "./backing.ts";
import { DeviceBuffer } from "./device-buffer.ts";
import { assertMappable, mappingRefusal } from "./device-limits.ts";
import { refuseOverlap } from "./device-overlap.ts";
import { RegionError } from "./errors.ts";
import {
  Control,
  HEADER_BYTES,
  LINE_BYTES,
  LOCK_BASE_OFFSET,
  LockByte,
  Superblock,
  WORD_BYTES,
} from "./layout.ts";
import { sidecarPath } from "./names.ts";
import type { CheckedCreateOptions, CheckedOpenOptions } from "./region-options.ts";
import { hasMagic, isUnfinished, readInstanceId } from "./superblock.ts";
import { asRegionError } from "./system-errors.ts";

export interface UdmabufTarget {
  readonly name: string;
  readonly path: string;
  readonly device: string;
}

const CREATION = LOCK_BASE_OFFSET + LockByte.creation;
const USERS = LOCK_BASE_OFFSET + LockByte.users;
const MAX_SIDECAR_ATTEMPTS = 16;

function backingOf(
  device: DeviceBuffer,
  offset: number,
  controlFd: number,
  controlPath: string | null,
): Backing {
  return {
    backend: "udmabuf",
    path: device.path,
    fd: device.fd,
    fileOffset: offset,
    availableBytes: device.facts.sizeBytes - offset,
    controlFd,
    controlPath,
    device,
  };
}

/** Takes the buffer for a new region; the creation lock is held until {@link publishOnDevice}. */
export function createOnDevice(target: UdmabufTarget, options: CheckedCreateOptions): Backing {
  const device = DeviceBuffer.open(target.path, target.device, { readOnly: false, syncMode: "cached" });
  return withFile(device.fd, () => {
    assertMappable(device, target.device, "region");
    const availableBytes = device.facts.sizeBytes - options.offset;
    const wanted = options.sizeBytes ?? HEADER_BYTES;
    if (availableBytes < Math.max(wanted, HEADER_BYTES)) {
      throw new RegionError(
        "REGION_TOO_SMALL",
        `${target.name} has ${Math.max(0, availableBytes)} bytes from offset ${options.offset}; ${wanted} are needed`,
      );
    }
    const path = sidecarPath(target.device, options.offset);
    const sidecar = takeSidecar(target, path, options);
    return withFile(sidecar.fd, () => {
      try {
        if (!options.force) {
          refuseForeign(target, device, options.offset, sidecar);
          const sizeBytes = options.sizeBytes ?? availableBytes;
          refuseOverlap(target.name, target.device, device, options.offset, sizeBytes);
        }
        clearSidecar(target, sidecar.fd, path, options);
      } catch (error) {
        // We hold its locks: nobody has come to rely on it.
        if (sidecar.instanceId === null) unlinkFile(path);
        throw error;
      }
      return backingOf(device, options.offset, sidecar.fd, path);
    });
  });
}

/** All zero, and all there: what formatControl starts from. */
function clearSidecar(
  target: UdmabufTarget,
  fd: number,
  path: string,
  access: { mode: number; group: number | null },
): void {
  setFileSize(fd, 0, path);
  setFileSize(fd, Control.sizeBytes, path);
  asRegionError(target.name, "make room there", () => reserveFile(fd, Control.sizeBytes, path));
  setFileAccess(target.name, fd, access);
}

/** The superblock says ready: let openers in. */
export function publishOnDevice(backing: Backing): void {
  // Our exclusive hold of the users' byte becomes one hold among many.
  trySharedLockByte(backing.controlFd, USERS);
  unlockByte(backing.controlFd, CREATION);
}

interface Sidecar {
  readonly fd: number;
  /** The region that it was made for; null: none yet. */
  readonly instanceId: string | null;
}

function sidecarInstance(fd: number): string | null {
  const words = new Int32Array(LINE_BYTES / WORD_BYTES);
  const got = readAt(fd, new Uint8Array(words.buffer), 0);
  return got === LINE_BYTES ? readInstanceId(words, Control.instanceIdWord) : null;
}

/** The sidecar with the creation and users' locks held exclusively. Throws `REGION_BUSY`, `REGION_LIVE`. */
function takeSidecar(target: UdmabufTarget, path: string, options: CheckedCreateOptions): Sidecar {
  const busy = new RegionError("REGION_BUSY", `${target.name} is being created by another process`);
  for (let attempt = 0; attempt < MAX_SIDECAR_ATTEMPTS; attempt++) {
    const open = (): number => openFile(path, { createMode: options.mode, noFollow: true });
    const fd = asRegionError(path, "is the sidecar another user's? remove it, or share it with mode", open);
    const result = withFile(fd, () => {
      if (!tryLockByte(fd, CREATION)) throw busy;
      const free = !hasLiveParticipant(fd) && tryLockByte(fd, USERS);
      if (free && isNamed(fd, path)) return "taken";
      if (!free && !options.force) {
        throw new RegionError("REGION_LIVE", `${target.name} is in use: open it, or create with force: true`);
      }
      // In use but forced: its users keep the old file, and with it their locks; we begin with a new one.
      if (!free && isNamed(fd, path)) unlinkFile(path);
      return "again";
    });
    if (result === "taken") return { fd, instanceId: sidecarInstance(fd) };
    closeFile(fd);
  }
  throw busy;
}

/** Refuses bytes that are neither empty nor a region whose end we can prove. */
function refuseForeign(target: UdmabufTarget, device: DeviceBuffer, offset: number, sidecar: Sidecar): void {
  const words = headerWords(device, offset);
  const ours = sidecar.instanceId !== null;
  if (words.every((word) => word === 0) || (ours && isUnfinished(words))) return;
  if (!hasMagic(words)) {
    throw new RegionError(
      "REGION_FOREIGN",
      `${target.name} holds bytes that are no region of ours; force: true overwrites them`,
    );
  }
  if (readInstanceId(words, Superblock.instanceIdWord) === sidecar.instanceId) return;
  throw new RegionError(
    "REGION_LIVE",
    `${target.name} holds a region without a sidecar here: its users may be in a container with another /dev/shm; force: true replaces it`,
  );
}

/** A copy of the first bytes of the region. */
function headerWords(device: DeviceBuffer, offset: number): Int32Array {
  const mapping = mapPlain(device.fd, offset, HEADER_BYTES, false);
  try {
    return new Int32Array(mapping.buffer).slice();
  } finally {
    mapping.release();
  }
}

/** Opens the device and, unless raw, the sidecar that belongs to the region there. */
export function openOnDevice(target: UdmabufTarget, options: CheckedOpenOptions): Backing {
  const device = DeviceBuffer.open(target.path, target.device, options);
  return withFile(device.fd, () => {
    assertMappable(device, target.device, options.raw ? "raw" : "region");
    if (options.offset >= device.facts.sizeBytes) {
      throw new RegionError(
        "OUT_OF_RANGE",
        `offset ${options.offset} is not in ${target.name}, which has ${device.facts.sizeBytes} bytes`,
      );
    }
    if (options.raw) return backingOf(device, options.offset, device.fd, null);
    const path = sidecarPath(target.device, options.offset);
    const sidecarFd = retryUntil(options.waitMs, () => openSidecar(path, options.readOnly));
    if (sidecarFd === null) {
      throw new RegionError(
        "REGION_NOT_FOUND",
        `${target.name}: there is no region, or its sidecar ${path} is missing`,
      );
    }
    return withFile(sidecarFd, () => {
      if (fileStatus(sidecarFd).sizeBytes < Control.sizeBytes) {
        throw new RegionError("REGION_HALF_MADE", `${path} is too short: its creator died (create it again)`);
      }
      return backingOf(device, options.offset, sidecarFd, path);
    });
  });
}

/** Null while there is none or somebody is creating it. */
function openSidecar(path: string, readOnly: boolean): number | null {
  let fd: number;
  try {
    fd = asRegionError(path, "is it another user's?", () => openFile(path, { readOnly, noFollow: true }));
  } catch (error) {
    if (error instanceof RegionError && error.code === "REGION_NOT_FOUND") return null;
    throw error;
  }
  if (tryUse(fd) && fileStatus(fd).links > 0) return fd;
  closeFile(fd);
  return null;
}

/** Takes the superblock's magic away, so that the next creator finds an empty buffer; false when there was no region. */
export function eraseOnDevice(target: UdmabufTarget, offset: number): boolean {
  let device: DeviceBuffer;
  try {
    device = DeviceBuffer.open(target.path, target.device, { readOnly: false, syncMode: "cached" });
  } catch (error) {
    // The sidecar of a device that is gone can be removed all the same.
    if (error instanceof RegionError && error.code === "REGION_NOT_FOUND") return false;
    throw error;
  }
  try {
    // Where no region can be mapped there is none.
    if (mappingRefusal(device, target.device, "raw") !== null) return false;
    if (offset + HEADER_BYTES > device.facts.sizeBytes || !hasMagic(headerWords(device, offset)))
      return false;
    const mapping = mapPlain(device.fd, offset, HEADER_BYTES, true);
    new Int32Array(mapping.buffer).fill(0);
    mapping.release();
    return true;
  } finally {
    closeFile(device.fd);
  }
}
