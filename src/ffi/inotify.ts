/** inotify(7): being told that a file of a directory was closed or removed, in the event loop. */
import { SystemError } from "./errors.ts";
import { cString, errno, libc } from "./libc.ts";

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;

/** Bits of a watch and of its events (include/uapi/linux/inotify.h). */
export const InotifyMask = {
  /** A descriptor open for writing was closed; also when its process died. Comes before the kernel lets go of file locks. */
  closeWrite: 0x8,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  /** Events were lost. `watch` is −1. */
  overflow: 0x4000,
  /** The watch is gone. */
  ignored: 0x8000,
  onlyDirectory: 0x1000000,
} as const;

export interface InotifyEvent {
  readonly watch: number;
  readonly mask: number;
  /** Name in the directory, empty for events of the directory itself. */
  readonly name: string;
}

/** A non-blocking, close-on-exec inotify descriptor. Throws `EMFILE` at the limit (fs.inotify.max_user_instances, often 128). */
export function inotifyOpen(): number {
  const fd = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    const remedy = "raise fs.inotify.max_user_instances (sysctl), or the limit of open files";
    throw new SystemError("inotify_init1", errno(), { remedy });
  }
  return fd;
}

/** Watches a directory; the same number again for a directory that is watched already. */
export function inotifyWatch(fd: number, directory: string, mask: number): number {
  const watch = libc.inotify_add_watch(
    fd,
    cString(directory, "inotify_add_watch"),
    mask | InotifyMask.onlyDirectory,
  );
  if (watch < 0) {
    const remedy = "raise fs.inotify.max_user_watches (sysctl)";
    throw new SystemError("inotify_add_watch", errno(), { path: directory, remedy });
  }
  return watch;
}

/** Ends a watch; one that is gone already is no error. */
export function inotifyUnwatch(fd: number, watch: number): void {
  libc.inotify_rm_watch(fd, watch);
}

/** struct inotify_event:  +0 wd (i32)   +4 mask (u32)   +8 cookie (u32)   +12 length (u32)   +16 name, zero padded */
const EVENT_HEADER_BYTES = 16;
const MASK_OFFSET = 4;
const LENGTH_OFFSET = 12;

/** The events in what one read returned. */
export function parseInotify(bytes: Uint8Array): InotifyEvent[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: InotifyEvent[] = [];
  for (let at = 0; at + EVENT_HEADER_BYTES <= bytes.byteLength; ) {
    const start = at + EVENT_HEADER_BYTES;
    const end = start + view.getUint32(at + LENGTH_OFFSET, true);
    const name = bytes.subarray(start, end);
    const zero = name.indexOf(0);
    events.push({
      watch: view.getInt32(at, true),
      mask: view.getUint32(at + MASK_OFFSET, true),
      name: Buffer.from(zero < 0 ? name : name.subarray(0, zero)).toString("utf8"),
    });
    at = end;
  }
  return events;
}
