/** The live mappings of this thread, sorted by address: from a virtual address to its region without a system call. */
import type { Mapping } from "../ffi/mapping.ts";
import { type RegionOffset, regionOffset, type VirtualAddress } from "./brands.ts";

export interface LiveMapping {
  readonly mapping: Mapping;
  /** Region offset of the first mapped byte. */
  readonly regionStart: RegionOffset;
  readonly owner: object;
}

const table: LiveMapping[] = [];

/** Index of the first entry above `address`. */
function upperBound(address: number): number {
  let low = 0;
  let high = table.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (table[middle]!.mapping.address <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function addMapping(entry: LiveMapping): void {
  table.splice(upperBound(entry.mapping.address), 0, entry);
}

export function removeMapping(mapping: Mapping): void {
  const index = upperBound(mapping.address) - 1;
  if (table[index]?.mapping === mapping) table.splice(index, 1);
}

/** The mapping that holds the byte at `address`, or null. The byte after the last one belongs to nobody. */
export function findMapping(
  address: VirtualAddress,
): { readonly owner: object; readonly offset: RegionOffset } | null {
  const entry = table[upperBound(address) - 1];
  if (entry === undefined) return null;
  const distance = address - entry.mapping.address;
  if (distance >= entry.mapping.lengthBytes) return null;
  return { owner: entry.owner, offset: regionOffset(entry.regionStart + distance) };
}
