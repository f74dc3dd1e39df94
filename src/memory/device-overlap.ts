/** Regions in parts of one device's buffer must not overlap; the sidecars in shared memory say where the others are. */
import { readdirSync } from "node:fs";
import { mapPlain } from "../ffi/mapping.ts";
import type { DeviceBuffer } from "./device-buffer.ts";
import { RegionError } from "./errors.ts";
import { isInUse } from "./in-use.ts";
import { Superblock, WORD_BYTES } from "./layout.ts";
import { sharedMemoryDirectory, sidecarOffset, sidecarPath } from "./names.ts";
import { hasMagic, readSize } from "./superblock.ts";

/** Bytes of the region whose superblock is at `offset`; 0 when there is none. */
function regionBytes(device: DeviceBuffer, offset: number): number {
  if (offset + Superblock.sizeBytes > device.facts.sizeBytes) return 0;
  const mapping = mapPlain(device.fd, offset, Superblock.sizeBytes, false);
  try {
    const words = new Int32Array(mapping.buffer, 0, Superblock.sizeBytes / WORD_BYTES);
    return hasMagic(words) ? readSize(words) : 0;
  } finally {
    mapping.release();
  }
}

/** Throws `REGION_LIVE` when [offset, offset + sizeBytes) shares bytes with a region in use that starts elsewhere. */
export function refuseOverlap(
  name: string,
  deviceName: string,
  device: DeviceBuffer,
  offset: number,
  sizeBytes: number,
): void {
  for (const file of readdirSync(sharedMemoryDirectory())) {
    const other = sidecarOffset(deviceName, file);
    if (other === null || other === offset || !isInUse(sidecarPath(deviceName, other))) continue;
    const end = other + regionBytes(device, other);
    if (other < offset + sizeBytes && offset < end) {
      throw new RegionError(
        "REGION_LIVE",
        `${name}: bytes ${offset} to ${offset + sizeBytes} overlap a region in use at ${other} to ${end}; choose another offset or size, or force: true`,
      );
    }
  }
}
