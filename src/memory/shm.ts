/** Backend `shm`: a file in /dev/shm (or PHYSRING_SHM_DIR). */
import { SystemError } from "../ffi/errors.ts";
import {
  closeFile,
  fileStatus,
  linkFile,
  openFile,
  openUnnamedFile,
  readAt,
  removeTree,
  reserveFile,
  setFileSize,
  unlinkFile,
  withFile,
} from "../ffi/files.ts";
import { tryLockByte } from "../ffi/locks.ts";
import { retryUntil } from "./appear.ts";
import { type Backing, hasLiveParticipant, isNamed, setFileAccess, tryUse } from "./backing.ts";
import { RegionError } from "./errors.ts";
import { LOCK_BASE_OFFSET, LockByte, Superblock } from "./layout.ts";
import { doorbellDirectoryOf, sharedMemoryDirectory } from "./names.ts";
import { readSuperblock, SUPERBLOCK_WORDS } from "./superblock.ts";
import { asRegionError } from "./system-errors.ts";

export interface ShmTarget {
  readonly name: string;
  readonly path: string;
}

export interface CreateFileOptions {
  readonly sizeBytes: number;
  readonly force: boolean;
  readonly sparse: boolean;
  readonly mode: number;
  readonly group: number | null;
}

/** Attempts to give a new file its name while others create and replace the same one. */
const MAX_LINK_ATTEMPTS = 16;

function backingOf(fd: number, path: string, fileOffset = 0): Backing {
  const status = fileStatus(fd);
  return {
    backend: "shm",
    path,
    fd,
    fileOffset,
    availableBytes: status.sizeBytes - fileOffset,
    controlFd: fd,
    controlPath: path,
    device: null,
  };
}

/** A file without a name yet: {@link publishShm} names it once its superblock is ready. */
export function createShm(target: ShmTarget, options: CreateFileOptions): Backing {
  clearWayEarly(target, options.force);
  const directory = sharedMemoryDirectory();
  const fd = asRegionError(target.name, "is the directory writable?", () =>
    openUnnamedFile(directory, options.mode),
  );
  return withFile(fd, () => {
    // open() subtracted the umask from the mode; what was asked for counts.
    setFileAccess(target.name, fd, options);
    asRegionError(target.name, "ask for less", () => setFileSize(fd, options.sizeBytes, target.path));
    if (!options.sparse) reserve(target, fd, options.sizeBytes, directory);
    if (!tryUse(fd)) throw new RegionError("REGION_BUSY", `${target.name}: a lock on a new file is taken`);
    return backingOf(fd, target.path);
  });
}

function reserve(target: ShmTarget, fd: number, sizeBytes: number, directory: string): void {
  const remedy =
    `${directory} has no room for ${sizeBytes} bytes: remove old regions (physring ls), mount -o remount,size=… ${directory}, ` +
    "docker run --shm-size=…, or create with sparse: true and be sure that the memory is there when it is touched";
  asRegionError(target.name, remedy, () => reserveFile(fd, sizeBytes, target.path, remedy));
}

/** SYNC region-ready happened before: the name never shows a half-made region. */
export function publishShm(target: ShmTarget, backing: Backing, force: boolean): void {
  for (let attempt = 0; attempt < MAX_LINK_ATTEMPTS; attempt++) {
    try {
      linkFile(backing.fd, target.path);
      return;
    } catch (error) {
      if (!(error instanceof SystemError) || error.errnoName !== "EEXIST") throw error;
    }
    clearWay(target, force);
  }
  throw new RegionError("REGION_BUSY", `${target.name}: other processes keep creating a region of this name`);
}

/** Makes room for the new file; what only force may remove keeps its name until the new one is ready. */
function clearWayEarly(target: ShmTarget, force: boolean): void {
  try {
    clearWay(target, false);
  } catch (error) {
    if (!force) throw error;
  }
}

/** Removes a dead region of the same name, or with `force` whatever lies there. Throws `REGION_LIVE`, `REGION_FOREIGN`, … */
function clearWay(target: ShmTarget, force: boolean): void {
  if (force) {
    unlinkFile(target.path);
    return;
  }
  let fd: number;
  try {
    fd = openFile(target.path, { noFollow: true });
  } catch (error) {
    if (error instanceof SystemError && error.errnoName === "ENOENT") return;
    if (!(error instanceof SystemError)) throw error;
    const message = `${target.path} exists and is not ours to replace (${error.errnoName}); force: true tries all the same`;
    throw new RegionError(error.errnoName === "EACCES" ? "REGION_PERMISSION" : "REGION_FOREIGN", message, {
      cause: error,
    });
  }
  try {
    removeDead(target, fd);
  } finally {
    closeFile(fd);
  }
}

function removeDead(target: ShmTarget, fd: number): void {
  const status = fileStatus(fd);
  const words = new Int32Array(SUPERBLOCK_WORDS);
  const bytes = new Uint8Array(words.buffer);
  const whole = status.kind === "file" && readAt(fd, bytes, 0, target.path) === Superblock.sizeBytes;
  try {
    if (!whole) throw new RegionError("REGION_NOT_A_REGION", `${target.path} is no region`);
    readSuperblock(words, status.sizeBytes, target.name, false);
  } catch (cause) {
    const ours = cause instanceof RegionError && cause.code === "REGION_HALF_MADE";
    if (!ours) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RegionError(
        "REGION_FOREIGN",
        `${target.path} exists and would be lost: ${reason}; force: true replaces it`,
        { cause },
      );
    }
  }
  // The write lock excludes every opener; it goes when the descriptor is closed, and by then the name is gone.
  if (hasLiveParticipant(fd) || !tryLockByte(fd, LOCK_BASE_OFFSET + LockByte.users)) {
    throw new RegionError(
      "REGION_LIVE",
      `${target.name} is in use: open it, choose another name, or create with force: true`,
    );
  }
  if (!isNamed(fd, target.path)) return;
  // While the old name is there nobody can make a new region, whose doorbells these would be.
  removeTree(doorbellDirectoryOf(target.path));
  unlinkFile(target.path);
}

/** Opens the file of an existing region; `waitMs` waits for it to appear. */
export function openShm(
  target: ShmTarget,
  options: { readOnly: boolean; raw: boolean; offset: number; waitMs: number },
): Backing {
  const remedy = "is its creator running, with the same PHYSRING_SHM_DIR?";
  const attempt = (): Backing | null => {
    let fd: number;
    try {
      fd = openFile(target.path, { readOnly: options.readOnly, noFollow: true });
    } catch (error) {
      if (error instanceof SystemError && error.errnoName === "ENOENT") return null;
      return asRegionError(target.name, remedy, () => {
        throw error;
      });
    }
    const backing = withFile(fd, () => {
      if (fileStatus(fd).kind !== "file")
        throw new RegionError("REGION_UNSUPPORTED", `${target.path} is no regular file`);
      // A file that is being replaced has a write lock, or no name any more: look for its successor.
      const usable = options.raw || (tryUse(fd) && fileStatus(fd).links > 0);
      return usable ? backingOf(fd, target.path, options.offset) : null;
    });
    if (backing === null) closeFile(fd);
    return backing;
  };
  const backing = retryUntil(options.waitMs, attempt);
  if (backing === null)
    throw new RegionError("REGION_NOT_FOUND", `${target.name}: there is no ${target.path} (${remedy})`);
  return backing;
}
