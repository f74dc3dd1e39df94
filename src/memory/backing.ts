/** What a region stands on: files, where the region lies in them, who keeps the locks. One per backend makes it. */
import { SystemError } from "../ffi/errors.ts";
import { closeFile, fileStatus, openFile, setFileGroup, setFileMode } from "../ffi/files.ts";
import { isByteLocked, trySharedLockByte } from "../ffi/locks.ts";
import type { DeviceBuffer } from "./device-buffer.ts";
import { LOCK_BASE_OFFSET, LockByte, ParticipantRecord } from "./layout.ts";
import type { Backend } from "./names.ts";
import { asRegionError } from "./system-errors.ts";

export interface Backing {
  readonly backend: Backend;
  /** How another process finds the memory: a file, a device, /proc/PID/fd/N. */
  readonly path: string;
  /** The memory. */
  readonly fd: number;
  /** Where the region starts in that file. */
  readonly fileOffset: number;
  /** Bytes from there to the end of the file or buffer. */
  readonly availableBytes: number;
  /** The file that holds the control area and all locks: `fd`, or that of the sidecar. */
  readonly controlFd: number;
  /** Path of that file, null where it has none (memfd); the directory of doorbells is named after it. */
  readonly controlPath: string | null;
  /** Present on devices only. */
  readonly device: DeviceBuffer | null;
}

export function closeBacking(backing: Backing): void {
  if (backing.controlFd !== backing.fd) closeFile(backing.controlFd);
  closeFile(backing.fd);
}

/** An opener holds a read lock on this byte for as long as it has the region open; whoever replaces the file, a write lock. */
export function tryUse(fd: number): boolean {
  return trySharedLockByte(fd, LOCK_BASE_OFFSET + LockByte.users);
}

/** Is there a live participant? Liveness of openers is told by {@link tryUse}'s byte. */
export function hasLiveParticipant(fd: number): boolean {
  return isByteLocked(fd, LOCK_BASE_OFFSET + LockByte.participant, ParticipantRecord.capacity);
}

/** Is somebody creating the region at this moment (devices only)? */
export function isCreating(fd: number): boolean {
  return isByteLocked(fd, LOCK_BASE_OFFSET + LockByte.creation);
}

/** Does `path` still name the file behind `fd`? */
export function isNamed(fd: number, path: string): boolean {
  let other: number;
  try {
    other = openFile(path, { readOnly: true, noFollow: true });
  } catch (error) {
    if (error instanceof SystemError && error.errnoName === "ENOENT") return false;
    throw error;
  }
  try {
    const [a, b] = [fileStatus(fd), fileStatus(other)];
    return a.device === b.device && a.inode === b.inode;
  } finally {
    closeFile(other);
  }
}

/** Group first: changing it may take mode bits away. Throws `REGION_PERMISSION`. */
export function setFileAccess(
  name: string,
  fd: number,
  options: { mode: number; group: number | null },
): void {
  const { group } = options;
  const remedy = "only root gives a file to a group that it is not in";
  if (group !== null) asRegionError(name, remedy, () => setFileGroup(fd, group));
  setFileMode(fd, options.mode);
}
