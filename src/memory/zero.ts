/** Making a range of a region read as zero. */
import { fileStatus, punchHole } from "../ffi/files.ts";
import type { Backing } from "./backing.ts";
import type { Windows } from "./windows.ts";

/** Longest single fill; a longer range is zeroed in pieces. */
const CHUNK_BYTES = 2 ** 28;

function isSparse(backing: Backing): boolean {
  if (backing.device !== null) return false;
  const status = fileStatus(backing.fd);
  return status.allocatedBytes < status.sizeBytes;
}

/** Zeroes a range that starts on a page boundary; in a sparse file it gives the memory back instead of touching it. */
export function zeroRange(backing: Backing, windows: Windows, offset: number, lengthBytes: number): void {
  windows.checkRange(offset, lengthBytes);
  if (isSparse(backing)) {
    punchHole(backing.fd, backing.fileOffset + offset, lengthBytes);
    return;
  }
  const chunkBytes = Math.min(CHUNK_BYTES, windows.objectBytes);
  for (let done = 0; done < lengthBytes; done += chunkBytes) {
    const length = Math.min(chunkBytes, lengthBytes - done);
    const { mapping, start } = windows.find(offset + done, length);
    new Uint8Array(mapping.buffer, mapping.bufferOffset + (offset + done - start), length).fill(0);
  }
}
