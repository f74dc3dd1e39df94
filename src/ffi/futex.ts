/** Shared futexes (futex(2)): sleeping on a 32-bit word across processes. The word must be in page-cache memory. */
import { constants } from "node:os";
import { SystemError } from "./errors.ts";
import { addressOf, errno, libc, pointer, SYS } from "./libc.ts";

const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
/** The word belongs to this process alone: the kernel needs no page-cache page behind it. */
const FUTEX_PRIVATE = 128;

export const FutexResult = { woken: 0, valueDiffered: 1, timedOut: 2, interrupted: 3 } as const;
export type FutexResultCode = (typeof FutexResult)[keyof typeof FutexResult];

const NS_PER_SECOND = 1e9;
/** struct timespec: seconds (i64), nanoseconds (i64). */
const timeout = new Int32Array(new ArrayBuffer(16));
const timeoutAddress = addressOf(timeout);
const { EAGAIN, EFAULT, ETIMEDOUT, EINTR } = constants.errno;

/**
 * Sleeps while the word at the virtual `address` is `expected`, at most `timeoutNs` nanoseconds (`Infinity`: no limit),
 * measured on CLOCK_MONOTONIC. Blocks the thread, event loop and signals included: bound it. Throws `EFAULT` on memory
 * that holds no shared futex (driver mappings).
 */
export function futexWait(address: number, expected: number, timeoutNs: number): FutexResultCode {
  let timespec = 0;
  if (timeoutNs !== Infinity) {
    const seconds = Math.floor(timeoutNs / NS_PER_SECOND);
    timeout[0] = seconds;
    timeout[1] = seconds / 2 ** 32;
    timeout[2] = timeoutNs - seconds * NS_PER_SECOND;
    timespec = timeoutAddress;
  }
  if (libc.syscall(SYS.futex, pointer(address), FUTEX_WAIT, expected, pointer(timespec), null, 0) === 0)
    return FutexResult.woken;
  const error = errno();
  if (error === EAGAIN) return FutexResult.valueDiffered;
  if (error === ETIMEDOUT) return FutexResult.timedOut;
  if (error === EINTR) return FutexResult.interrupted;
  throw new SystemError("futex(FUTEX_WAIT)", error);
}

/**
 * Whether the word at the virtual `address` can be read: where a load would end the process with SIGBUS or SIGSEGV, the kernel, asked
 * to look at the word by a wait whose time is over at once, answers EFAULT.
 */
export function isReadable(address: number): boolean {
  timeout.fill(0);
  const operation = FUTEX_WAIT | FUTEX_PRIVATE;
  const failed =
    libc.syscall(SYS.futex, pointer(address), operation, 0, pointer(timeoutAddress), null, 0) !== 0;
  return !(failed && errno() === EFAULT);
}

/** Wakes at most `count` sleepers of the word at `address`; returns how many were woken. */
export function futexWake(address: number, count: number): number {
  const woken = libc.syscall(SYS.futex, pointer(address), FUTEX_WAKE, count, null, null, 0) as number;
  if (woken < 0) throw new SystemError("futex(FUTEX_WAKE)", errno());
  return woken;
}
