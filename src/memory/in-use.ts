/** Whether anybody uses a region, without joining or mapping it. */
import { SystemError } from "../ffi/errors.ts";
import { closeFile, openFile } from "../ffi/files.ts";
import { isByteLocked } from "../ffi/locks.ts";
import { hasLiveParticipant } from "./backing.ts";
import { LOCK_BASE_OFFSET, LockByte } from "./layout.ts";

/** @param path the file of the region, or its sidecar on a device */
export function isInUse(path: string): boolean {
  let fd: number;
  try {
    fd = openFile(path, { readOnly: true, noFollow: true });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // Another user's, which we may not open, is in use as far as we know.
    return error.errnoName !== "ENOENT";
  }
  try {
    return isByteLocked(fd, LOCK_BASE_OFFSET + LockByte.users) || hasLiveParticipant(fd);
  } finally {
    closeFile(fd);
  }
}
