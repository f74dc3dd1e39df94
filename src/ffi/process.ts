/** Threads and processes: identity, death notice, asymmetric fences. */
import { read } from "bun:ffi";
import { readlinkSync } from "node:fs";
import { SystemError } from "./errors.ts";
import { cString, errno, libc, pointer, SYS } from "./libc.ts";

/** Kernel id of the calling thread, in its own pid namespace. */
export function gettid(): number {
  return libc.gettid();
}

/** Lets the other runnable threads of this CPU run first (sched_yield); returns at once when there are none. */
export function yieldCpu(): void {
  libc.sched_yield();
}

/** Inode of this process's pid namespace: pids compare only where it is equal. 0 when /proc does not tell. */
export function pidNamespaceInode(): number {
  try {
    return Number(/\[(\d+)\]/.exec(readlinkSync("/proc/self/ns/pid"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** struct group (grp.h):  +0 name (pointer)   +8 password (pointer)   +16 gid (u32) */
const GROUP_ID_OFFSET = 16;

/** Id of a group by its name, null when there is none. */
export function groupId(name: string): number | null {
  const group = libc.getgrnam(cString(name, "getgrnam"));
  return group === null ? null : read.u32(group, GROUP_ID_OFFSET);
}

const PIDFD_NONBLOCK = 0o4000;

/** A non-blocking, close-on-exec descriptor of a process, readable when it ends. Throws `ESRCH` if there is none. */
export function pidfdOpen(pid: number): number {
  const fd = libc.syscall(SYS.pidfdOpen, pointer(pid), PIDFD_NONBLOCK, 0, null, null, 0) as number;
  if (fd < 0) throw new SystemError("pidfd_open", errno(), { path: `process ${pid}` });
  return fd;
}

/** Commands of membarrier(2). Never MEMBARRIER_CMD_GLOBAL: it takes 10 ms. */
export const Membarrier = { query: 0, globalExpedited: 2, registerGlobalExpedited: 4 } as const;

/** Runs one membarrier command; returns its result (the mask of supported commands for `query`). */
export function membarrier(command: (typeof Membarrier)[keyof typeof Membarrier]): number {
  const result = libc.syscall(SYS.membarrier, pointer(command), 0, 0, null, null, 0) as number;
  if (result < 0) throw new SystemError("membarrier", errno());
  return result;
}
