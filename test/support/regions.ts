/** Regions for tests: unique names, and nothing left behind. */
import { existsSync } from "node:fs";
import { Region } from "../../src/memory/region.ts";

let counter = 0;

export function uniqueName(label: string): string {
  return `test-${label}-${process.pid}-${counter++}`;
}

/** Two handles of one new region, as two participants would have them; both and the file go when it is disposed. */
export class RegionPair implements Disposable {
  readonly name: string;
  readonly a: Region;
  readonly b: Region;

  constructor(label: string, size: number | string = "1MiB") {
    this.name = uniqueName(label);
    this.a = Region.create(this.name, { size });
    this.b = Region.open(this.name);
  }

  [Symbol.dispose](): void {
    try {
      this.b.close();
    } finally {
      try {
        this.a.close();
      } finally {
        Region.destroy(this.name);
      }
    }
  }
}

/** The file of a region in shared memory. */
export function regionPath(name: string): string {
  return `${process.env["PHYSRING_SHM_DIR"] ?? "/dev/shm"}/physring.${name}`;
}

/** True when the region's file is gone from shared memory. */
export function isGone(name: string): boolean {
  return !existsSync(regionPath(name));
}
