/**
 * Registers of a device as a file: which files may be one, and how they are mapped.
 *
 *     /dev/uioN[:MAP]                              a memory of a UIO device (MAP is 0 where left out)
 *     /sys/bus/pci/devices/ADDRESS/resourceN       a BAR of a PCI device
 *     <shm directory>/physring-board.NAME/registers    a simulated board (PROTOCOL.md §10.9)
 *
 * each with `@OFFSET` (hexadecimal, a multiple of the page size) where the registers do not start at its first byte. Recovery opens a path that it found in
 * shared memory, so nothing else is accepted.
 */
import { closeFile, openFile } from "../ffi/files.ts";
import { mapRegisters, type RegisterMapping } from "../ffi/machine-code.ts";
import { PAGE_BYTES } from "../ffi/mapping.ts";
import { RegionError } from "./errors.ts";
import { sharedMemoryDirectory } from "./names.ts";
import { asRegionError } from "./system-errors.ts";

/** 32-bit registers at byte offsets that are multiples of 4. Each call is one access. */
export interface Registers {
  /** Signed 32 bits. */
  read(offset: number): number;
  write(offset: number, value: number): void;
}

/** Orders memory against the device: see src/ffi/machine-code.ts for their strength. One call for a burst. */
export interface MemoryOrder {
  /** Before the register write that tells the device of what was stored. */
  wmb(): void;
  /** Between a validity word and what it makes valid. */
  rmb(): void;
}

interface RegisterPath {
  readonly file: string;
  readonly offset: number;
}

const UIO = /^\/dev\/uio\d{1,4}$/;
const PCI = /^\/sys\/bus\/pci\/devices\/[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\/resource[0-5](_wc)?$/;
const BOARD = /^physring-board\.[A-Za-z0-9._-]{1,48}\/registers$/;

/** The directory of a simulated board. */
export function boardDirectory(name: string): string {
  return `${sharedMemoryDirectory()}/physring-board.${name}`;
}

function isBoard(file: string): boolean {
  const directory = `${sharedMemoryDirectory()}/`;
  return file.startsWith(directory) && BOARD.test(file.slice(directory.length)) && !file.includes("/..");
}

/** Whether the path is that of a simulated board's registers, which is there for as long as the board runs. */
export function isSimulated(path: string): boolean {
  return isBoard(path);
}

/** Takes a path apart. Throws `NAME_INVALID`. */
export function parseRegisterPath(path: string): RegisterPath {
  const match = /^([^@]*?)(?::(\d))?(?:@([0-9a-f]{1,12}))?$/.exec(path);
  const whole = match?.[1] ?? "";
  const uioMap = match?.[2];
  // A PCI address has colons of its own; only a UIO path ends in one that is ours.
  const file = uioMap === undefined || UIO.test(whole) ? whole : `${whole}:${uioMap}`;
  const offset = Number.parseInt(match?.[3] ?? "0", 16);
  if (!(UIO.test(file) || PCI.test(file) || isBoard(file)) || offset % PAGE_BYTES !== 0) {
    throw new RegionError(
      "NAME_INVALID",
      `${JSON.stringify(path)} names no registers: use /dev/uioN[:MAP], /sys/bus/pci/devices/…/resourceN or a board's register file, with @HEX for an offset of whole pages`,
    );
  }
  // UIO: map N of a device is at N pages of the file (include/linux/uio_driver.h).
  return { file, offset: offset + (UIO.test(file) ? Number(uioMap ?? 0) * PAGE_BYTES : 0) };
}

const REMEDY = "is the driver bound and the board powered, and may this user open it?";

/** Mapped registers of one device, and the barriers of this processor. */
export class RegisterFile implements Registers, MemoryOrder, Disposable {
  readonly path: string;
  readonly lengthBytes: number;
  private readonly mapping: RegisterMapping;
  private limit: number;

  /** Maps `lengthBytes` bytes. Throws RegionError. */
  constructor(path: string, lengthBytes: number) {
    const { file, offset } = parseRegisterPath(path);
    const fd = asRegionError(path, REMEDY, () => openFile(file, { noFollow: isBoard(file), remedy: REMEDY }));
    try {
      this.mapping = asRegionError(path, REMEDY, () => mapRegisters(fd, offset, lengthBytes, path));
    } finally {
      closeFile(fd);
    }
    this.path = path;
    this.lengthBytes = lengthBytes;
    this.limit = lengthBytes;
  }

  read(offset: number): number {
    if ((offset & 3) !== 0 || offset >>> 0 >= this.limit) this.refuse(offset);
    return this.mapping.read(offset);
  }

  write(offset: number, value: number): void {
    if ((offset & 3) !== 0 || offset >>> 0 >= this.limit) this.refuse(offset);
    this.mapping.write(offset, value);
  }

  wmb(): void {
    if (this.limit !== 0) this.mapping.wmb();
  }

  rmb(): void {
    if (this.limit !== 0) this.mapping.rmb();
  }

  private refuse(offset: number): never {
    const reason =
      this.limit === 0
        ? "the register file is closed"
        : `registers are words at 0 to ${this.lengthBytes - 4}`;
    throw new RegionError("OUT_OF_RANGE", `${this.path}: no register at ${offset}: ${reason}`);
  }

  [Symbol.dispose](): void {
    this.limit = 0;
    this.mapping.release();
  }
}
