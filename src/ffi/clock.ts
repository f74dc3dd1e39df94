/** CLOCK_MONOTONIC, the one clock that all processes of a machine (and C peers) share. */
import { addressOf, libc, pointer } from "./libc.ts";

const CLOCK_MONOTONIC = 1;
/** struct timespec: seconds (i64), nanoseconds (i64). */
const time = new Uint32Array(new ArrayBuffer(16));
const timeAddress = pointer(addressOf(time));

/**
 * Nanoseconds of CLOCK_MONOTONIC as a double: exact below 2^53 ns (104 days of uptime), within 4 ns for the first year,
 * within 32 ns for nine. `Bun.nanoseconds()` counts from the start of the process and cannot be compared across processes.
 */
export function monotonicNs(): number {
  libc.clock_gettime(CLOCK_MONOTONIC, timeAddress);
  return (time[0]! + time[1]! * 2 ** 32) * 1e9 + time[2]!;
}
