/** Addresses of the bytes of one region: virtual, device, physical; without a system call per lookup. */
import type { Mapping } from "../ffi/mapping.ts";
import type { Backing } from "./backing.ts";
import {
  type DeviceAddress,
  deviceAddress,
  type PhysicalAddress,
  physicalAddress,
  type RegionOffset,
  type VirtualAddress,
  virtualAddress,
} from "./brands.ts";
import { type AddressAbsence, PageTable } from "./physical.ts";
import type { Windows } from "./windows.ts";

const NO_DEVICE: AddressAbsence = {
  code: "no-device",
  message: "ordinary shared memory has no device address: no driver has mapped it for a DMA master",
};
const DEVICE_GONE: AddressAbsence = { code: "no-device", message: "the device of this buffer was removed" };

/** Everything that is known about where a byte is. */
export interface Addresses {
  readonly offset: RegionOffset;
  readonly virtual: VirtualAddress;
  readonly device: DeviceAddress | AddressAbsence;
  readonly physical: PhysicalAddress | AddressAbsence;
  /** The physical address once more, from the page tables of this process: a check of what the driver says. */
  readonly pageTable: PhysicalAddress | AddressAbsence;
}

export class RegionAddresses {
  readonly #windows: Windows;
  readonly #backing: Backing;
  readonly #pageTables = new Map<Mapping, PageTable>();

  constructor(windows: Windows, backing: Backing) {
    this.#windows = windows;
    this.#backing = backing;
  }

  virtual(offset: RegionOffset): VirtualAddress {
    const { mapping, start } = this.#windows.find(offset, 1);
    return virtualAddress(mapping.address + (offset - start));
  }

  device(offset: RegionOffset): DeviceAddress | AddressAbsence {
    this.#windows.checkRange(offset, 1);
    const { device, fileOffset } = this.#backing;
    if (device === null) return NO_DEVICE;
    const base = device.facts.deviceBase;
    return base === null ? DEVICE_GONE : deviceAddress(base + fileOffset + offset);
  }

  physical(offset: RegionOffset): PhysicalAddress | AddressAbsence {
    this.#windows.checkRange(offset, 1);
    const told = this.#backing.device?.facts.physicalBase ?? null;
    if (told !== null) return physicalAddress(told + this.#backing.fileOffset + offset);
    return this.fromPageTable(offset);
  }

  /** The physical address as the page tables of this process have it, whatever the driver says. */
  fromPageTable(offset: RegionOffset): PhysicalAddress | AddressAbsence {
    const { mapping, start } = this.#windows.find(offset, 1);
    let table = this.#pageTables.get(mapping);
    if (table === undefined) {
      table = new PageTable(mapping);
      this.#pageTables.set(mapping, table);
    }
    return table.lookup(offset - start);
  }
}
