/**
 * Four kinds of address that are all numbers and must never be mixed up. None is assignable to another, and a plain number
 * becomes one of them only by a call that names it. All are exact: addresses stay below 2^53.
 */
declare const brand: unique symbol;

interface Branded<Name extends string> {
  readonly [brand]: Name;
}

/** Bytes from the start of a region: what travels in descriptors. */
export type RegionOffset = number & Branded<"RegionOffset">;
/** What a DMA master puts on its bus. Behind an IOMMU it is no physical address. */
export type DeviceAddress = number & Branded<"DeviceAddress">;
/** What the memory controller sees: page frame number times page size. */
export type PhysicalAddress = number & Branded<"PhysicalAddress">;
/** An address in this process (or, in `v2p --pid`, in the process named). */
export type VirtualAddress = number & Branded<"VirtualAddress">;

export const regionOffset = (value: number): RegionOffset => value as RegionOffset;
export const deviceAddress = (value: number): DeviceAddress => value as DeviceAddress;
export const physicalAddress = (value: number): PhysicalAddress => value as PhysicalAddress;
export const virtualAddress = (value: number): VirtualAddress => value as VirtualAddress;
