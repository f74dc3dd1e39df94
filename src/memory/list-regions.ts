/** Which regions there are on this machine. */
import { readdirSync } from "node:fs";
import { type Backend, sharedMemoryDirectory } from "./names.ts";

export interface RegionInfo {
  /** As `Region.open` takes it. */
  readonly name: string;
  readonly backend: Backend;
  /** The file of the region, or the sidecar of a region on a device. */
  readonly path: string;
}

const FILE = /^physring\.(.+)$/;
const SIDECAR = /^physring\.([^@]+)(?:@[0-9a-f]+)?\.ctl$/;

/**
 * The regions that have files in /dev/shm (or PHYSRING_SHM_DIR), by name. Opens none: one may be gone by now, or another user's.
 * Nameless ones (memfd) do not show.
 */
export function listRegions(): RegionInfo[] {
  const directory = sharedMemoryDirectory();
  const regions = new Map<string, RegionInfo>();
  for (const file of readdirSync(directory, { withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = `${directory}/${file.name}`;
    const device = SIDECAR.exec(file.name)?.[1];
    const name = device === undefined ? FILE.exec(file.name)?.[1] : `udmabuf:${device}`;
    // A device's region at offset 0 goes before those elsewhere in its buffer.
    if (name !== undefined && !(file.name.includes("@") && regions.has(name)))
      regions.set(name, { name, backend: device === undefined ? "shm" : "udmabuf", path });
  }
  return [...regions.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
