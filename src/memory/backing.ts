/** What a region stands on: files, where the region lies in them, who keeps the locks. One per backend makes it. */

import { SystemError } from "../ffi/errors.ts";
import { closeFile, fileStatus, openFile, setFileGroup, setFileMode } from "../ffi/files.ts";
import { isByteLocked, trySharedLockByte } from "../ffi/locks.ts";
import type { DeviceBuffer } from "./device-buffer.ts";
import { RegionError, type RegionErrorCode } from "./errors.ts";
import { LOCK_BASE_OFFSET, LockByte, ParticipantRecord } from "./layout.ts";
import type { Backend } from "./names.ts";

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

const REGION_CODES: ReadonlyMap<string, RegionErrorCode> = new Map([
  ["ENOENT", "REGION_NOT_FOUND"],
  ["ENODEV", "REGION_NOT_FOUND"],
  ["ENXIO", "REGION_NOT_FOUND"],
  ["EACCES", "REGION_PERMISSION"],
  ["EPERM", "REGION_PERMISSION"],
  ["EROFS", "REGION_PERMISSION"],
  ["ELOOP", "REGION_UNSUPPORTED"],
  ["EISDIR", "REGION_UNSUPPORTED"],
  ["ENOSPC", "REGION_NO_SPACE"],
  ["EFBIG", "REGION_NO_SPACE"],
]);

/** Runs a system call of opening or creating; its error becomes a RegionError with the SystemError as its cause. */
export function asRegionError<T>(name: string, remedy: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const code = REGION_CODES.get(error.errnoName);
    if (code === undefined) throw error;
    throw new RegionError(
      code,
      `${name}: ${error.message}${error.remedy === undefined ? ` (${remedy})` : ""}`,
      { cause: error },
    );
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

/** How long to wait in the event loop for something to appear. */
export interface AppearOptions {
  /** Milliseconds; default: no limit. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Longest pause between two looks for something that nobody announces. */
const MAX_PAUSE_MS = 10;

/** {@link retryUntil} in the event loop. Rejects with the signal's reason. */
export async function retryUntilAsync<T>(options: AppearOptions, attempt: () => T | null): Promise<T | null> {
  const deadline = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
  for (let pauseMs = 0.25; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    options.signal?.throwIfAborted();
    const result = attempt();
    const leftMs = deadline - performance.now();
    if (result !== null || leftMs <= 0) return result;
    await Bun.sleep(Math.min(pauseMs, leftMs));
  }
}

/** Tries `attempt` until it gives something, for `waitMs` milliseconds; null when the time is over. */
export function retryUntil<T>(waitMs: number, attempt: () => T | null): T | null {
  const deadline = performance.now() + waitMs;
  for (let pauseMs = 0.25; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    const result = attempt();
    const leftMs = deadline - performance.now();
    if (result !== null || leftMs <= 0) return result;
    Bun.sleepSync(Math.min(pauseMs, leftMs));
  }
}
