/** Who holds a byte lock of a region for long. The kernel names no process to whoever asks for the lock (F_OFD_GETLK), but lists the locks of each descriptor. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { LOCK_BASE_OFFSET } from "../memory/layout.ts";
import type { Region } from "../memory/region.ts";

/** A cleaning takes milliseconds; waiting for hardware a second at most. */
const PATIENCE_MS = 300;
const POLL_MS = 10;

export interface HeldLock {
  /** Null: another user's process, or one of another pid namespace. */
  readonly pid: number | null;
  readonly command: string;
  /** By SIGSTOP or a debugger. */
  readonly stopped: boolean;
}

/** Null unless `byte` is held all the time while we look, 300 ms. */
export function heldForLong(region: Region, byte: number): HeldLock | null {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (region.control.isLocked(byte)) {
    if (performance.now() >= deadlineMs) return findHolder(lockFile(region), LOCK_BASE_OFFSET + byte);
    Bun.sleepSync(POLL_MS);
  }
  return null;
}

/** On a device the locks are on the sidecar, beside which its directory lies. */
function lockFile({ backend, path, control }: Region): string {
  return backend === "udmabuf" ? control.doorbellDirectory.replace(/\.d$/, "") : path;
}

function findHolder(path: string, offset: number): HeldLock {
  const { ino } = statSync(path);
  const line = new RegExp(`OFDLCK\\s+\\w+\\s+WRITE\\s.*:${ino} ${offset} ${offset}$`, "m");
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    if (locks(pid).some((text) => line.test(text)))
      return { pid: Number(pid), command: read(`/proc/${pid}/comm`).trim(), stopped: isStopped(pid) };
  return { pid: null, command: "", stopped: false };
}

/** What /proc tells of each descriptor; nothing of processes that are not ours to look at, or gone. */
function locks(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fdinfo`).map((fd) => read(`/proc/${pid}/fdinfo/${fd}`));
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function isStopped(pid: string): boolean {
  return /^State:\s+[Tt]/m.test(read(`/proc/${pid}/status`));
}
