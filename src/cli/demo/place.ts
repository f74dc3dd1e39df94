/** The region of a run: creating it by backend, and clearing away what killed runs left. */
import { readdirSync } from "node:fs";
import { RegionError } from "../../memory/errors.ts";
import { type Backend, sharedMemoryDirectory } from "../../memory/names.ts";
import { Region } from "../../memory/region.ts";
import type { StreamFormat } from "./frame-source.ts";
import type { DemoSettings, RegionPlace } from "./messages.ts";
import { regionBytes } from "./plan.ts";

const DEFAULT_NAME = "demo-";
const DEFAULT_DEVICE = "udmabuf0";
const STALE = /^physring\.(demo-\d+)$/;

export interface DemoRegion {
  readonly region: Region;
  readonly place: RegionPlace;
}

/** Creates the region of a run. @throws RegionError */
export function createRegion(
  backend: Backend,
  name: string | null,
  settings: DemoSettings,
  format: StreamFormat,
): DemoRegion {
  const size = regionBytes(settings, format.frameBytes);
  const label = name ?? `${DEFAULT_NAME}${process.pid}`;
  switch (backend) {
    case "shm": {
      if (name === null) removeStale();
      const region = Region.create(label, { size });
      return { region, place: { region: label, destroyName: label, format } };
    }
    case "memfd": {
      const region = Region.create(`memfd:${label}`, { size });
      return { region, place: { region: `memfd:${region.path}`, destroyName: null, format } };
    }
    case "udmabuf": {
      const device = `udmabuf:${name ?? DEFAULT_DEVICE}`;
      const region = Region.create(device, {});
      return { region, place: { region: device, destroyName: device, format } };
    }
  }
}

/** Regions of runs that were killed together with all their processes. Regions in use refuse to be replaced. */
function removeStale(): void {
  for (const file of readdirSync(sharedMemoryDirectory())) {
    const name = STALE.exec(file)?.[1];
    if (name === undefined) continue;
    try {
      Region.create(name, { size: "64KiB" }).close();
      Region.destroy(name);
    } catch (error) {
      // In use, or somebody else's.
      if (!(error instanceof RegionError)) throw error;
    }
  }
}
