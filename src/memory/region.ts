/**
 * A region: memory with a layout that any number of processes map (docs/PROTOCOL.md §2).
 *
 *     using region = Region.create("camera", { size: "256MiB" });   // one process
 *     using region = Region.open("camera");                         // the others
 */

import { release } from "node:os";
import { fileStatus, removeEmptyDirectory, removeTree, reopen } from "../ffi/files.ts";
import { isByteLocked, tryLockByte } from "../ffi/locks.ts";
import { type AppearOptions, retryUntilAsync } from "./appear.ts";
import {
  type DeviceAddress,
  type PhysicalAddress,
  type RegionOffset,
  regionOffset,
  type VirtualAddress,
} from "./brands.ts";
import type { ControlArea } from "./control.ts";
import { pinRefusal } from "./device-buffer.ts";
import { Directory, kindName } from "./directory.ts";
import { DIRECTORY_WORDS } from "./directory-entry.ts";
import { ReadOnlyError, RegionError, type RegionErrorCode } from "./errors.ts";
import { Directory as DirectoryLayout, LOCK_BASE_OFFSET, LockByte, WORD_BYTES } from "./layout.ts";
import { type Backend, doorbellDirectoryOf, sharedMemoryPath } from "./names.ts";
import { openOrCreate } from "./open-or-create.ts";
import { addOpenRegion, locateAddress, removeOpenRegion } from "./open-regions.ts";
import { type Addresses, RegionAddresses } from "./region-addresses.ts";
import { destroyFiles, makeDoorbellDirectory } from "./region-files.ts";
import { int32View } from "./region-format.ts";
import type { RegionCreateOptions, RegionOpenOptions } from "./region-options.ts";
import { createParts, openParts, type RegionParts, releaseParts } from "./region-parts.ts";
import { parseSize } from "./size.ts";
import type { SyncBatch } from "./sync-batch.ts";
import { SyncCommand, type SyncDirectionName } from "./udmabuf-abi.ts";
import { zeroRange } from "./zero.ts";

export type { AddressAbsence } from "./physical.ts";
export type { Addresses } from "./region-addresses.ts";
export type { RegionCreateOptions, RegionOpenOptions, SyncMode } from "./region-options.ts";

/** An object of a region, as {@link Region.objects} lists it. */
export interface ObjectInfo {
  readonly name: string;
  /** `ring`, `pool`, `channel`, … */
  readonly kind: string;
  readonly offset: RegionOffset;
  readonly sizeBytes: number;
}

/** Errors of opening that waiting may cure. */
const MAY_APPEAR: ReadonlySet<RegionErrorCode> = new Set(["REGION_NOT_FOUND", "REGION_BUSY"]);

export class Region implements Disposable {
  readonly name: string;
  readonly backend: Backend;
  readonly sizeBytes: number;
  /** 32 hexadecimal digits; empty for a raw region. */
  readonly instanceId: string;
  readonly readOnly: boolean;
  /** How another process finds the memory: a file, a device, `/proc/PID/fd/N` (open it as `memfd:/proc/PID/fd/N`). */
  readonly path: string;
  readonly #parts: RegionParts;
  readonly #addresses: RegionAddresses;
  readonly #closeCallbacks: (() => void)[] = [];
  #directory: Directory | undefined;
  #control: ControlArea | undefined;
  #bytes: Uint8Array | undefined;
  #state: "open" | "closing" | "closed" = "open";

  private constructor(parts: RegionParts) {
    this.name = parts.name;
    this.backend = parts.backing.backend;
    this.sizeBytes = parts.sizeBytes;
    this.instanceId = parts.layout?.header.instanceId ?? "";
    this.readOnly = parts.readOnly;
    this.path = parts.backing.path;
    this.#parts = parts;
    this.#addresses = new RegionAddresses(parts.windows, parts.backing);
    addOpenRegion(parts.windows, this);
  }

  /**
   * Makes a region and opens it. A dead region of the same name is replaced; a live or foreign one only with `force`.
   * Throws RegionError: `REGION_LIVE`, `REGION_FOREIGN`, `REGION_BUSY`, `REGION_NO_SPACE`, `REGION_PERMISSION`, `REGION_TOO_SMALL`,
   * `REGION_NOT_FOUND` (a device), `SIZE_INVALID`, `NAME_INVALID`.
   */
  static create(name: string, options: RegionCreateOptions): Region {
    return new Region(createParts(name, options));
  }

  /**
   * Opens an existing region, or with `raw` any bytes. With `readOnly` it can be listed, looked at, and read by those readers that keep
   * nothing in the region; it joins nothing, calls that would change it throw {@link ReadOnlyError}, a store into its bytes is SIGSEGV,
   * and so is `Atomics.load` in a hot loop: use `loadObserved` of atomics.ts. Throws RegionError: `REGION_NOT_FOUND`, `REGION_PERMISSION`, `REGION_TOO_SMALL`,
   * `REGION_NOT_A_REGION`, `REGION_VERSION`, `REGION_BYTE_ORDER`, `REGION_HALF_MADE`, `REGION_CORRUPT`, `REGION_STALE_SIDECAR`, …
   */
  static open(name: string, options: RegionOpenOptions = {}): Region {
    return new Region(openParts(name, options));
  }

  /**
   * {@link open} if there is one, whoever made it and even if all who used it are gone; else {@link create}. Who comes first does not matter, and what was not
   * read when a program was started again is still there. `REGION_TOO_SMALL` when it has less than `size`; the other options are for its creation.
   */
  static openOrCreate(name: string, options: Omit<RegionCreateOptions, "force">): Region {
    const wantedBytes = options.size === undefined ? 0 : parseSize(options.size);
    return openOrCreate(
      () => Region.#atLeast(name, wantedBytes, options),
      () => Region.create(name, { ...options, force: false }),
    );
  }

  static #atLeast(
    name: string,
    wantedBytes: number,
    { offset, windowBytes }: Omit<RegionCreateOptions, "force">,
  ): Region {
    const region = Region.open(name, {
      ...(offset === undefined ? {} : { offset }),
      ...(windowBytes === undefined ? {} : { windowBytes }),
    });
    if (region.sizeBytes >= wantedBytes) return region;
    const { sizeBytes } = region;
    region.close();
    throw new RegionError(
      "REGION_TOO_SMALL",
      `region ${name} is there already and has ${sizeBytes} bytes, not ${wantedBytes}: Region.destroy(${JSON.stringify(name)}) when nobody needs it any more, or ask for less`,
    );
  }

  /**
   * {@link open}, waiting in the event loop until the region is there and ready; without a time limit by default. Rejects with the signal's
   * reason, and at the time limit with the error that `open` had last.
   */
  static async openAsync(name: string, options: RegionOpenOptions & AppearOptions = {}): Promise<Region> {
    let last: unknown;
    const region = await retryUntilAsync(options, () => {
      try {
        return Region.open(name, options);
      } catch (error) {
        if (!(error instanceof RegionError && MAY_APPEAR.has(error.code))) throw error;
        last = error;
        return null;
      }
    });
    if (region === null) throw last;
    return region;
  }

  /**
   * Removes a region's name, its doorbells, and on a device its sidecar and superblock; `offset` is that of a region in a part of
   * a device. Asks nobody: whoever has it open keeps the memory. False: there was none. Throws `REGION_PERMISSION`, `NAME_INVALID`.
   */
  static destroy(name: string, options: { readonly offset?: number } = {}): boolean {
    return destroyFiles(name, options.offset ?? 0);
  }

  /** The open region of this thread that holds a virtual address, and the offset in it; null for any other address. */
  static locate(address: VirtualAddress): { readonly region: Region; readonly offset: RegionOffset } | null {
    const found = locateAddress(address);
    return found?.region instanceof Region ? { region: found.region, offset: found.offset } : null;
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Throws `REGION_CLOSED` after {@link close}. */
  assertOpen(): void {
    if (this.#state === "closed") throw new RegionError("REGION_CLOSED", `region ${this.name} is closed`);
  }

  /** All bytes, exactly `sizeBytes` of them. Throws `REGION_TOO_LARGE` above 4 GiB. */
  get bytes(): Uint8Array {
    this.assertOpen();
    if (this.#bytes === undefined) {
      const { buffer, bufferOffset } = this.#parts.windows.whole();
      this.#bytes = new Uint8Array(buffer, bufferOffset, this.sizeBytes);
    }
    return this.#bytes;
  }

  /** `wordCount` 32-bit words at an offset that is a multiple of 4. Throws `OUT_OF_RANGE`. */
  words(offset: RegionOffset, wordCount: number): Int32Array {
    this.assertOpen();
    if (offset % WORD_BYTES !== 0 || !Number.isInteger(wordCount))
      throw new RegionError(
        "OUT_OF_RANGE",
        `${wordCount} words at ${offset}: words are whole and start at a multiple of 4`,
      );
    const { mapping, start } = this.#parts.windows.find(offset, wordCount * WORD_BYTES);
    return int32View(mapping, offset - start, wordCount);
  }

  /** `lengthBytes` bytes at an offset: of up to half a window when it starts on a page boundary. Throws `OUT_OF_RANGE`. */
  view(offset: RegionOffset, lengthBytes: number): Uint8Array {
    this.assertOpen();
    const { mapping, start } = this.#parts.windows.find(offset, lengthBytes);
    return new Uint8Array(mapping.buffer, mapping.bufferOffset + (offset - start), lengthBytes);
  }

  virtualAddress(offset: RegionOffset): VirtualAddress {
    this.assertOpen();
    return this.#addresses.virtual(offset);
  }

  /** What a DMA master uses; null where there is none, and {@link addresses} says why. */
  deviceAddress(offset: RegionOffset): DeviceAddress | null {
    this.assertOpen();
    const address = this.#addresses.device(offset);
    return typeof address === "number" ? address : null;
  }

  /** What the memory controller sees; null where it is not to be had, and {@link addresses} says why. */
  physicalAddress(offset: RegionOffset): PhysicalAddress | null {
    this.assertOpen();
    const address = this.#addresses.physical(offset);
    return typeof address === "number" ? address : null;
  }

  /** All addresses of a byte, each with the reason where it is absent. */
  addresses(offset: RegionOffset): Addresses {
    this.assertOpen();
    return {
      offset,
      virtual: this.#addresses.virtual(offset),
      device: this.#addresses.device(offset),
      physical: this.#addresses.physical(offset),
      pageTable: this.#addresses.fromPageTable(offset),
    };
  }

  /** Caches and device see the same bytes: {@link syncForCpu} and {@link syncForDevice} do nothing. */
  get dmaCoherent(): boolean {
    return this.#parts.backing.device?.facts.coherent ?? true;
  }

  /**
   * Before memory of this region is pinned for long: registered with io_uring, given to VFIO or RDMA. Ordinary reads and writes
   * (O_DIRECT and io_uring's, too) need nothing. Throws RegionError `REGION_UNSUPPORTED` with the reason where it would fail, or hang.
   */
  assertPinnable(): void {
    const device = this.#parts.backing.device;
    const refusal = device === null ? null : pinRefusal(device.facts, release());
    if (refusal !== null)
      throw new RegionError("REGION_UNSUPPORTED", `${this.name} cannot be pinned: ${refusal}`);
  }

  /** Before the CPU reads what a device wrote. Throws SystemError. */
  syncForCpu(offset: RegionOffset, lengthBytes: number, direction: SyncDirectionName = "both"): void {
    this.#sync(SyncCommand.forCpu, offset, lengthBytes, direction);
  }

  /** After the CPU wrote what a device will read. Throws SystemError. */
  syncForDevice(offset: RegionOffset, lengthBytes: number, direction: SyncDirectionName = "both"): void {
    this.#sync(SyncCommand.forDevice, offset, lengthBytes, direction);
  }

  /** {@link syncForCpu} of several ranges, with as few system calls as the driver allows. */
  syncBatchForCpu(batch: SyncBatch, direction: SyncDirectionName = "both"): void {
    this.#syncBatch(SyncCommand.forCpu, batch, direction);
  }

  /** {@link syncForDevice} of several ranges. */
  syncBatchForDevice(batch: SyncBatch, direction: SyncDirectionName = "both"): void {
    this.#syncBatch(SyncCommand.forDevice, batch, direction);
  }

  #syncBatch(command: number, batch: SyncBatch, direction: SyncDirectionName): void {
    this.assertOpen();
    const { device, fileOffset } = this.#parts.backing;
    if (device === null || device.facts.coherent) return;
    for (let i = 0; i < batch.count; i++)
      this.#parts.windows.checkRange(batch.offset(i), batch.lengthBytes(i));
    device.syncBatch(command, fileOffset, batch, direction);
  }

  #sync(command: number, offset: RegionOffset, lengthBytes: number, direction: SyncDirectionName): void {
    this.assertOpen();
    this.#parts.windows.checkRange(offset, lengthBytes);
    this.#parts.backing.device?.sync(
      command,
      this.#parts.backing.fileOffset + offset,
      lengthBytes,
      direction,
    );
  }

  /** Named objects. Throws `REGION_UNSUPPORTED` on a raw region. */
  get directory(): Directory {
    this.assertOpen();
    this.#layout();
    this.#directory ??= new Directory({
      name: this.name,
      sizeBytes: this.sizeBytes,
      readOnly: this.readOnly,
      assertOpen: () => this.assertOpen(),
      directoryWords: () => this.words(regionOffset(DirectoryLayout.offset), DIRECTORY_WORDS),
      lockFd: () => this.#parts.backing.controlFd,
      zero: (offset, lengthBytes) => zeroRange(this.#parts.backing, this.#parts.windows, offset, lengthBytes),
    });
    return this.#directory;
  }

  /** The objects by name and kind, in the order of the directory. Throws `REGION_UNSUPPORTED` on a raw region. */
  objects(): ObjectInfo[] {
    return this.directory.list().map(({ name, kind, offset, sizeBytes }) => ({
      name,
      kind: kindName(kind),
      offset,
      sizeBytes,
    }));
  }

  /** Participants and doorbells. Throws `REGION_UNSUPPORTED` on a raw region. */
  get control(): ControlArea {
    this.assertOpen();
    const { words, address } = this.#layout().control;
    this.#control ??= {
      words,
      address,
      doorbellDirectory: this.#doorbellDirectory(),
      makeDoorbellDirectory: () =>
        makeDoorbellDirectory(this.#doorbellDirectory(), this.#parts.backing.controlFd),
      fileMode: fileStatus(this.#parts.backing.controlFd).mode,
      openLockFile: () => {
        this.assertOpen();
        if (this.readOnly) throw new ReadOnlyError(this.name, "taking part");
        return reopen(this.#parts.backing.controlFd);
      },
      isLocked: (byte) => {
        this.assertOpen();
        return isByteLocked(this.#parts.backing.controlFd, LOCK_BASE_OFFSET + byte);
      },
    };
    return this.#control;
  }

  /** An anonymous file has no path: its doorbells are found by the instance id. */
  #doorbellDirectory(): string {
    return doorbellDirectoryOf(
      this.#parts.backing.controlPath ?? sharedMemoryPath(`memfd-${this.instanceId}`),
    );
  }

  #layout(): NonNullable<RegionParts["layout"]> {
    const { layout } = this.#parts;
    if (layout === null)
      throw new RegionError("REGION_UNSUPPORTED", `${this.name} was opened raw: it has no layout`);
    return layout;
  }

  /** `callback` runs in {@link close} while the memory is still there; the last one registered first. Returns what takes it back. */
  onClose(callback: () => void): () => void {
    this.assertOpen();
    this.#closeCallbacks.push(callback);
    return () => {
      const index = this.#closeCallbacks.lastIndexOf(callback);
      if (index >= 0) this.#closeCallbacks.splice(index, 1);
    };
  }

  /**
   * Ends the use of the region: callbacks, then the mappings, then the files; idempotent. Views that are still held read zeroes
   * from then on. An error of a callback is thrown when all is done.
   */
  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    const errors: unknown[] = [];
    for (
      let callback = this.#closeCallbacks.pop();
      callback !== undefined;
      callback = this.#closeCallbacks.pop()
    ) {
      try {
        callback();
      } catch (error) {
        errors.push(error);
      }
    }
    this.#state = "closed";
    this.#bytes = undefined;
    removeOpenRegion(this.#parts.windows);
    releaseParts(this.#parts, () => this.#removeOrphanedDoorbells());
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `closing region ${this.name}`);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The doorbells of a nameless region have names although it has none: its last user takes them away. */
  #removeOrphanedDoorbells(): void {
    if (this.instanceId === "" || this.readOnly) return;
    if (this.backend !== "memfd") {
      if (fileStatus(this.#parts.backing.controlFd).links === 0)
        removeEmptyDirectory(this.#doorbellDirectory());
      return;
    }
    if (!tryLockByte(this.#parts.backing.controlFd, LOCK_BASE_OFFSET + LockByte.users)) return;
    removeTree(this.#doorbellDirectory());
  }
}
