/** From an offset or an address of any process to all the addresses of that byte: what `physring v2p` prints. */
import { PhysringError, SystemError } from "../ffi/errors.ts";
import { closeFile, fileStatus, openFile } from "../ffi/files.ts";
import { PAGE_BYTES } from "../ffi/mapping.ts";
import {
  type DeviceAddress,
  deviceAddress,
  type PhysicalAddress,
  physicalAddress,
  type RegionOffset,
  regionOffset,
  type VirtualAddress,
  virtualAddress,
} from "./brands.ts";
import { DeviceBuffer } from "./device-buffer.ts";
import {
  type AddressAbsence,
  decodePagemapEntry,
  NEEDS_CAPABILITY,
  NOT_WALKED,
  readPagemap,
} from "./physical.ts";
import { deviceText, mapsRawFrames, type ProcessMapping, readMaps } from "./process-maps.ts";
import { Region } from "./region.ts";

export interface Translation {
  readonly pid: number;
  /** The file or device behind the byte; empty for anonymous memory. */
  readonly path: string;
  /** Offset of the byte in that file. */
  readonly offset: RegionOffset;
  readonly virtual: VirtualAddress;
  readonly device: DeviceAddress | AddressAbsence;
  /** What the driver says. */
  readonly physical: PhysicalAddress | AddressAbsence;
  /** What the page table of the process says. */
  readonly pagemap: PhysicalAddress | AddressAbsence;
}

const DRIVER_SILENT: AddressAbsence = {
  code: "no-device",
  message: "only physring's own driver tells; see pagemap",
};
const NO_DEVICE: AddressAbsence = { code: "no-device", message: "this memory belongs to no DMA device" };

/**
 * A byte of a region in the mapping of a process; this process maps the region for it. Throws RegionError, `NOT_MAPPED`,
 * `PROCESS_NOT_FOUND`, `PROCESS_PERMISSION`.
 */
export function translateOffset(name: string, offset: number, pid: number = process.pid): Translation {
  using region = Region.open(name, { raw: true, readOnly: true });
  // Checks the offset, and brings the page into our own page table.
  const { virtual } = region.addresses(regionOffset(offset));
  if (pid === process.pid) return translateAddress(pid, virtual);
  const fd = openFile(region.path, { readOnly: true });
  const { device, inode } = fileStatus(fd);
  closeFile(fd);
  const text = deviceText(device);
  const mapping = readMaps(pid).find(
    (other) =>
      // Drivers may put pages of a private inode behind their mappings; their path is still that of the device.
      ((other.device === text && other.inode === inode) || other.path === region.path) &&
      offset >= other.fileOffset &&
      offset < other.fileOffset + (other.end - other.start),
  );
  if (mapping === undefined) {
    throw new PhysringError("NOT_MAPPED", `process ${pid} does not map offset ${offset} of ${name}`);
  }
  return translateIn(pid, mapping, mapping.start + (offset - mapping.fileOffset));
}

/** A virtual address of a process. Throws `NOT_MAPPED`, `PROCESS_NOT_FOUND`, `PROCESS_PERMISSION`. */
export function translateAddress(pid: number, address: number): Translation {
  const mapping = readMaps(pid).find((other) => address >= other.start && address < other.end);
  if (mapping === undefined)
    throw new PhysringError("NOT_MAPPED", `process ${pid} has nothing at 0x${address.toString(16)}`);
  return translateIn(pid, mapping, address);
}

function translateIn(pid: number, mapping: ProcessMapping, address: number): Translation {
  const offset = mapping.fileOffset + (address - mapping.start);
  return {
    pid,
    path: mapping.path,
    offset: regionOffset(offset),
    virtual: virtualAddress(address),
    ...driverAddresses(mapping, offset),
    pagemap: fromPagemap(pid, mapping, address),
  };
}

type DriverAddresses = Pick<Translation, "device" | "physical">;

function driverAddresses(mapping: ProcessMapping, offset: number): DriverAddresses {
  const device = /^\/dev\/([^/]+)$/.exec(mapping.path)?.[1];
  if (device === undefined) return { device: NO_DEVICE, physical: DRIVER_SILENT };
  let buffer: DeviceBuffer;
  try {
    buffer = DeviceBuffer.open(mapping.path, device, { readOnly: true, syncMode: "cached" });
  } catch (error) {
    if (!(error instanceof PhysringError)) throw error;
    return { device: { code: "no-device", message: error.message }, physical: DRIVER_SILENT };
  }
  closeFile(buffer.fd);
  const { deviceBase, physicalBase, sizeBytes } = buffer.facts;
  const inside = offset < sizeBytes;
  return {
    device: inside && deviceBase !== null ? deviceAddress(deviceBase + offset) : NO_DEVICE,
    physical: inside && physicalBase !== null ? physicalAddress(physicalBase + offset) : DRIVER_SILENT,
  };
}

function fromPagemap(
  pid: number,
  mapping: ProcessMapping,
  address: number,
): PhysicalAddress | AddressAbsence {
  let entry: ReturnType<typeof decodePagemapEntry>;
  try {
    const words = readPagemap(pid, address, 1);
    entry = decodePagemapEntry(words[0] ?? 0, words[1] ?? 0);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { code: "no-pagemap", message: error.message };
  }
  if (entry.frame !== null) return physicalAddress(entry.frame * PAGE_BYTES + (address % PAGE_BYTES));
  if (entry.present) return NEEDS_CAPABILITY;
  if (mapsRawFrames(pid, mapping.start)) return NOT_WALKED;
  return {
    code: "not-present",
    message: "the page is in no page table of the process: it was never touched there, or is swapped out",
  };
}
