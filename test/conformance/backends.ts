/** Where regions of the suite lie: shared memory, an anonymous file, and a device where there is one (in guests). */
import { existsSync } from "node:fs";
import { Region } from "../../src/index.ts";
import { uniqueName } from "../support/regions.ts";

export interface Backend {
  readonly name: string;
  /** Why it cannot be had here, or null. */
  readonly missing: string | null;
  create(): Region;
  /** The name under which this and other processes open it. */
  nameOf(region: Region): string;
  destroy(region: Region): void;
}

const SIZE = 2 ** 20;
const DEVICE = "udmabuf0";

export const backends: readonly Backend[] = [
  {
    name: "shm",
    missing: null,
    create: () => Region.create(uniqueName("conformance"), { size: SIZE }),
    nameOf: (region) => region.name,
    destroy: (region) => void Region.destroy(region.name),
  },
  {
    name: "memfd",
    missing: null,
    create: () => Region.create("memfd:conformance", { size: SIZE }),
    nameOf: (region) => `memfd:${region.path}`,
    destroy: () => undefined,
  },
  {
    name: "udmabuf",
    missing: existsSync(`/dev/${DEVICE}`)
      ? null
      : `there is no /dev/${DEVICE} (run in a guest: npm run test:vm)`,
    create: () => Region.create(`udmabuf:${DEVICE}`, { size: SIZE }),
    nameOf: (region) => region.name,
    destroy: (region) => void Region.destroy(region.name),
  },
];
