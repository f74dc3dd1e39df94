/** Regions of a runner that go with it, also when it is interrupted; and those that an earlier runner left because it was killed. */
import { readdirSync, readFileSync } from "node:fs";
import { Region } from "../../src/memory/region.ts";

const SHM_DIRECTORY = "/dev/shm";
const owned = new Set<string>();
let prepared = false;

/** Takes a name into care, before the region is made: `<label>-run-<pid of the runner>-…`, so that nobody else's look like ours. */
export function ownRegion(name: string): string {
  if (!prepared) prepare();
  owned.add(name);
  return name;
}

export function destroyOwned(name: string): void {
  owned.delete(name);
  Region.destroy(name);
}

function prepare(): void {
  prepared = true;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      for (const name of owned) Region.destroy(name);
      process.exit(1);
    });
  }
  for (const file of readdirSync(SHM_DIRECTORY)) {
    const match = /^physring\.([\w-]+-run-(\d+)-[\w-]+)$/.exec(file);
    if (match !== null && !isAlive(match[2]!)) Region.destroy(match[1]!);
  }
}

/** A zombie that nobody reaps has no command line any more. */
function isAlive(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`).length > 0;
  } catch {
    return false;
  }
}
