/** The mappings of a process as /proc/PID/maps and smaps list them (proc(5)). */
import { readFileSync } from "node:fs";
import { PhysringError } from "../ffi/errors.ts";

export interface ProcessMapping {
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
  /** As in `rw-s`. */
  readonly permissions: string;
  /** Offset in the file of the byte at `start`. */
  readonly fileOffset: number;
  /** `major:minor` in hexadecimal, as the kernel prints them. */
  readonly device: string;
  readonly inode: number;
  /** Empty for anonymous memory; may end in ` (deleted)`. */
  readonly path: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)\s*(.*)$/;

export function parseMaps(text: string): ProcessMapping[] {
  const mappings: ProcessMapping[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, start, end, permissions, offset, device, inode, path] = match;
    mappings.push({
      start: Number.parseInt(start!, 16),
      end: Number.parseInt(end!, 16),
      permissions: permissions!,
      fileOffset: Number.parseInt(offset!, 16),
      device: device!,
      inode: Number(inode),
      path: path!,
    });
  }
  return mappings;
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH")
      throw new PhysringError("PROCESS_NOT_FOUND", `there is no process ${pid}`, { cause });
    throw new PhysringError(
      "PROCESS_PERMISSION",
      `/proc/${pid}/${file} cannot be read (${code}): be the same user, or root`,
      { cause },
    );
  }
}

/** Throws `PROCESS_NOT_FOUND`, `PROCESS_PERMISSION`. */
export function readMaps(pid: number): ProcessMapping[] {
  return parseMaps(readProc(pid, "maps"));
}

/** Does a driver map raw page frames here (VM_PFNMAP, `pf` in smaps)? Null when smaps does not tell. */
export function mapsRawFrames(pid: number, start: number): boolean | null {
  let inside = false;
  for (const line of readProc(pid, "smaps").split("\n")) {
    const head = LINE.exec(line);
    if (head !== null) inside = Number.parseInt(head[1]!, 16) === start;
    else if (inside && line.startsWith("VmFlags:")) return line.split(/\s+/).includes("pf");
  }
  return null;
}

/** Device number of stat(2) as /proc/PID/maps prints it (include/linux/kdev_t.h). */
export function deviceText(device: number): string {
  const high = Math.floor(device / 2 ** 32);
  const major = ((device >>> 8) & 0xfff) | ((high << 12) & 0xfffff000);
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  const hex = (value: number): string => (value >>> 0).toString(16).padStart(2, "0");
  return `${hex(major)}:${hex(minor)}`;
}
