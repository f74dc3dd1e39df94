/** The regions that this thread has open. */
import { findMapping } from "./address-table.ts";
import type { RegionOffset, VirtualAddress } from "./brands.ts";

interface Closable {
  close(): void;
}

/** By the owner of their mappings, in the order of opening. */
const regions = new Map<object, Closable>();
let exitHookInstalled = false;

/** Remembers an open region; it is closed when the process or Worker ends by itself. */
export function addOpenRegion(owner: object, region: Closable): void {
  regions.set(owner, region);
  if (!exitHookInstalled) process.on("exit", closeAll);
  exitHookInstalled = true;
}

export function removeOpenRegion(owner: object): void {
  regions.delete(owner);
}

export function locateAddress(
  address: VirtualAddress,
): { readonly region: Closable; readonly offset: RegionOffset } | null {
  const found = findMapping(address);
  const region = found === null ? undefined : regions.get(found.owner);
  return found === null || region === undefined ? null : { region, offset: found.offset };
}

/** Runs at process.exit and at the natural end of a process or Worker; not at a death by signal or Worker.terminate(). */
function closeAll(): void {
  for (const region of [...regions.values()].reverse()) {
    try {
      region.close();
    } catch {
      // A process that ends has nobody to tell; the kernel frees what is left.
    }
  }
}
