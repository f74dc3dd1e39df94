/** File descriptors: open, size, reserve, link. Every descriptor is close-on-exec. */
import {
  chmodSync,
  chownSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  unlinkSync,
} from "node:fs";
import { constants } from "node:os";
import { SystemError } from "./errors.ts";
import { addressOf, cString, errno, libc, pointer } from "./libc.ts";

// include/uapi/asm-generic/fcntl.h; O_DIRECTORY (a part of O_TMPFILE) differs on arm64 (arch/arm64/include/uapi/asm/fcntl.h)
const O_RDONLY = 0;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_NOFOLLOW = process.arch === "arm64" ? 0o100000 : 0o400000;
const O_SYNC = 0o4010000;
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const O_TMPFILE = 0o20000000 | (process.arch === "arm64" ? 0o40000 : 0o200000);
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

export interface OpenOptions {
  readonly readOnly?: boolean;
  /** Create the file with this mode when it is missing. */
  readonly createMode?: number;
  /** Ask a device for uncached mappings. */
  readonly sync?: boolean;
  /** Refuse a symbolic link as the last component: names in a world-writable directory are not to be trusted. */
  readonly noFollow?: boolean;
  readonly remedy?: string | undefined;
}

/** Opens `path`; throws {@link SystemError}. The caller owns the descriptor. */
export function openFile(path: string, options: OpenOptions = {}): number {
  // Non-blocking: a FIFO or a terminal in the place of a file must not hang us. On files and our devices it means nothing.
  let flags = O_CLOEXEC | O_NONBLOCK | (options.readOnly ? O_RDONLY : O_RDWR);
  if (options.createMode !== undefined) flags |= O_CREAT;
  if (options.sync) flags |= O_SYNC;
  if (options.noFollow) flags |= O_NOFOLLOW;
  const fd = libc.open(cString(path, "open"), flags, options.createMode ?? 0);
  if (fd < 0) throw new SystemError("open", errno(), { path, remedy: options.remedy });
  return fd;
}

/** A nameless file in `directory`; {@link linkFile} names it. A process that dies before leaves nothing behind. */
export function openUnnamedFile(directory: string, mode: number): number {
  const fd = libc.open(cString(directory, "open"), O_CLOEXEC | O_RDWR | O_TMPFILE, mode);
  if (fd < 0) throw new SystemError("open", errno(), { path: directory });
  return fd;
}

/** Gives the file behind `fd` the name `path`; throws `EEXIST` rather than replace one. */
export function linkFile(fd: number, path: string): void {
  const source = cString(`/proc/self/fd/${fd}`, "linkat");
  if (libc.linkat(AT_FDCWD, source, AT_FDCWD, cString(path, "linkat"), AT_SYMLINK_FOLLOW) < 0) {
    throw new SystemError("linkat", errno(), { path });
  }
}

/** A new open file description of the file behind `fd`, even if its name is gone. */
export function reopen(fd: number, options: OpenOptions = {}): number {
  return openFile(`/proc/self/fd/${fd}`, options);
}

/** node:fs where no descriptor flag matters; its errors become ours. */
function viaNode<T>(call: string, path: string | undefined, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    throw new SystemError(call, Math.abs(errno), { path });
  }
}

/** Removes a name; false when there was none. */
export function unlinkFile(path: string): boolean {
  try {
    viaNode("unlink", path, () => unlinkSync(path));
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.errnoName === "ENOENT") return false;
    throw error;
  }
}

/** Removes a directory with all that is in it, if it is there. */
export function removeTree(path: string): void {
  viaNode("rm", path, () => rmSync(path, { recursive: true, force: true }));
}

/** Removes a directory if it is there and empty. */
export function removeEmptyDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // In use again, or gone.
  }
}

/** Sets the permissions, whatever the umask. */
export function setFileMode(fd: number, mode: number, path?: string): void {
  viaNode("fchmod", path, () => fchmodSync(fd, mode));
}

export function setFileGroup(fd: number, group: number, path?: string): void {
  viaNode("fchown", path, () => fchownSync(fd, process.geteuid!(), group));
}

/** Closes; an error of `close` releases the descriptor all the same, so there is nothing to report. */
export function closeFile(fd: number): void {
  libc.close(fd);
}

/** Runs `body` with ownership of `fd` passing to the result; closes it if `body` throws. */
export function withFile<T>(fd: number, body: (fd: number) => T): T {
  try {
    return body(fd);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

export interface FileStatus {
  readonly kind: "file" | "directory" | "character-device" | "other";
  readonly device: number;
  readonly inode: number;
  readonly sizeBytes: number;
  /** Bytes that are backed by memory; less than `sizeBytes` in a sparse file. */
  readonly allocatedBytes: number;
  readonly links: number;
  readonly mode: number;
  /** User and group id. */
  readonly owner: number;
  readonly group: number;
}

export function fileStatus(fd: number): FileStatus {
  return statusOf(viaNode("fstat", `descriptor ${fd}`, () => fstatSync(fd)));
}

/** Of the name itself: a symbolic link is "other". */
export function pathStatus(path: string): FileStatus {
  return statusOf(viaNode("lstat", path, () => lstatSync(path)));
}

/** Whether two paths lead to the same file, or to the same device. */
export function isSameFile(one: string, other: string): boolean {
  const a = viaNode("stat", one, () => statSync(one));
  const b = viaNode("stat", other, () => statSync(other));
  if (a.isCharacterDevice() && b.isCharacterDevice()) return a.rdev === b.rdev;
  return a.dev === b.dev && a.ino === b.ino;
}

function kindOf(status: Stats): FileStatus["kind"] {
  if (status.isFile()) return "file";
  if (status.isDirectory()) return "directory";
  return status.isCharacterDevice() ? "character-device" : "other";
}

function statusOf(status: Stats): FileStatus {
  return {
    kind: kindOf(status),
    device: status.dev,
    inode: status.ino,
    sizeBytes: status.size,
    allocatedBytes: status.blocks * 512,
    links: status.nlink,
    mode: status.mode & 0o7777,
    owner: status.uid,
    group: status.gid,
  };
}

/** Makes a directory with just this mode and, where that may be set, this group; false when the name exists. */
export function makeDirectory(path: string, mode: number, group: number): boolean {
  try {
    viaNode("mkdir", path, () => mkdirSync(path, { mode }));
  } catch (error) {
    if (error instanceof SystemError && error.errnoName === "EEXIST") return false;
    throw error;
  }
  try {
    chownSync(path, process.geteuid!(), group);
  } catch {
    // We are not in that group: then its permissions are those of ours.
  }
  viaNode("chmod", path, () => chmodSync(path, mode));
  return true;
}

export function setFileSize(fd: number, sizeBytes: number, path?: string): void {
  if (libc.ftruncate(fd, sizeBytes) < 0) throw new SystemError("ftruncate", errno(), { path });
}

/** A long reservation that a signal interrupts is undone and begun again; a timer that always fires first ends it. */
const MAX_RESERVE_ATTEMPTS = 100;

/** Reserves memory for all of the file, so that a store into it can never end in SIGBUS. */
export function reserveFile(fd: number, sizeBytes: number, path: string, remedy?: string): void {
  for (let attempt = 1; libc.fallocate(fd, 0, 0, sizeBytes) < 0; attempt++) {
    const error = errno();
    if (error !== constants.errno.EINTR || attempt === MAX_RESERVE_ATTEMPTS) {
      throw new SystemError("fallocate", error, { path, remedy });
    }
  }
}

/** Gives the memory of a page-aligned range back; it reads as zero afterwards. */
export function punchHole(fd: number, offset: number, lengthBytes: number): void {
  if (libc.fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, lengthBytes) < 0) {
    throw new SystemError("fallocate", errno());
  }
}

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;
export const SIZE_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;

/** An anonymous file that can be sealed. */
export function createMemfd(label: string): number {
  const fd = libc.memfd_create(cString(label, "memfd_create"), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) throw new SystemError("memfd_create", errno(), { path: label });
  return fd;
}

/** Nobody can change the size of the file afterwards, or take these seals off. */
export function sealSize(fd: number): void {
  if (libc.fcntl(fd, F_ADD_SEALS, pointer(SIZE_SEALS)) < 0)
    throw new SystemError("fcntl(F_ADD_SEALS)", errno());
}

/** Seals of a file, or `null` where the file cannot have any (tmpfs files, devices). */
export function sealsOf(fd: number): number | null {
  const seals = libc.fcntl(fd, F_GET_SEALS, null);
  return seals < 0 ? null : seals;
}

/** Fills `target` from a file at `offset`; returns the number of bytes read, fewer at the end of the file. */
export function readAt(fd: number, target: Uint8Array, offset: number, path?: string): number {
  let done = 0;
  while (done < target.byteLength) {
    const part = target.subarray(done);
    const count = Number(libc.pread(fd, pointer(addressOf(part)), part.byteLength, offset + done));
    if (count < 0) {
      const error = errno();
      if (error === constants.errno.EINTR) continue;
      throw new SystemError("pread", error, { path });
    }
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** An ioctl whose argument is a structure in `argument` (read and written in place), or none. */
export function ioctl(
  fd: number,
  request: number,
  argument: NodeJS.TypedArray | null,
  call: string,
  path?: string,
): number {
  const address = argument === null ? null : pointer(addressOf(argument));
  const result = libc.ioctl(fd, request, address);
  if (result < 0) throw new SystemError(`ioctl(${call})`, errno(), { path });
  return result;
}

/** Virtual address of a buffer that another structure points to. Keep the buffer reachable until the call is over. */
export function bufferAddress(view: NodeJS.TypedArray): number {
  return addressOf(view);
}
