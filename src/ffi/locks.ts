/**
 * Open-file-description locks on bytes of files (fcntl(2), F_OFD_SETLK). The kernel drops them when the last descriptor of
 * the description is closed, which happens on any death of the process. Two descriptions conflict even within one process.
 */
import { constants } from "node:os";
import { SystemError } from "./errors.ts";
import { addressOf, errno, libc, pointer } from "./libc.ts";

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

/**
 * struct flock on 64-bit Linux:  +0 type (i16)   +2 whence (i16)   +8 start (i64)   +16 length (i64)   +24 pid (i32)
 */
const lockBytes = new ArrayBuffer(32);
const lockView = new DataView(lockBytes);
const lockHalves = new Int16Array(lockBytes);
const lockAddress = pointer(addressOf(lockHalves));

function lockCall(fd: number, command: number, type: number, offset: number, lengthBytes: number): boolean {
  lockHalves.fill(0);
  lockHalves[0] = type;
  lockView.setUint32(8, offset >>> 0, true);
  lockView.setUint32(12, Math.floor(offset / 2 ** 32), true);
  lockView.setUint32(16, lengthBytes, true);
  if (libc.fcntl(fd, command, lockAddress) === 0) return true;
  const error = errno();
  if (error === constants.errno.EAGAIN || error === constants.errno.EACCES) return false;
  throw new SystemError("fcntl(F_OFD_SETLK)", error);
}

/** Takes the write lock on one byte at a file offset without waiting; false when another description holds it. */
export function tryLockByte(fd: number, offset: number): boolean {
  return lockCall(fd, F_OFD_SETLK, F_WRLCK, offset, 1);
}

/** The same for `lengthBytes` bytes. */
export function tryLockBytes(fd: number, offset: number, lengthBytes: number): boolean {
  return lockCall(fd, F_OFD_SETLK, F_WRLCK, offset, lengthBytes);
}

/** Takes a read lock, which many may hold and which excludes a writer; false when one holds it. */
export function trySharedLockByte(fd: number, offset: number): boolean {
  return lockCall(fd, F_OFD_SETLK, F_RDLCK, offset, 1);
}

export function unlockByte(fd: number, offset: number): void {
  lockCall(fd, F_OFD_SETLK, F_UNLCK, offset, 1);
}

/** Does another open file description hold a lock on any of `lengthBytes` bytes from `offset`? Takes nothing. */
export function isByteLocked(fd: number, offset: number, lengthBytes = 1): boolean {
  lockCall(fd, F_OFD_GETLK, F_WRLCK, offset, lengthBytes);
  return lockHalves[0] !== F_UNLCK;
}
