/** One opened /dev/udmabufN, of our driver or of u-dma-buf: its facts and its cache maintenance. */
import { existsSync, readFileSync } from "node:fs";
import { SystemError } from "../ffi/errors.ts";
import { bufferAddress, fileStatus, ioctl, openFile, withFile } from "../ffi/files.ts";
import { RegionError } from "./errors.ts";
import { roundUp } from "./numbers.ts";
import type { SyncMode } from "./region-options.ts";
import { SYNC_BATCH_RANGES, SyncBatch } from "./sync-batch.ts";
import { asRegionError } from "./system-errors.ts";
import {
  BufferInfo,
  CompositeWord,
  DeviceInfo,
  Ioctl,
  SYNC_MODE_CODE_MASK,
  SyncCommand,
  SyncDirection,
  type SyncDirectionName,
  SyncModeCode,
  SyncRanges,
  SyncSetting,
} from "./udmabuf-abi.ts";

/** What the driver says about its buffer. */
export interface BufferFacts {
  readonly sizeBytes: number;
  /** What a DMA master must use; null when the driver's device is gone. */
  readonly deviceBase: number | null;
  /** What the CPU's memory controller sees; only our driver tells. */
  readonly physicalBase: number | null;
  /** Caches are coherent with the device: sync calls do nothing. */
  readonly coherent: boolean;
  /** First 8 bytes of the driver's id of this buffer as two words; zeroes when it has none. */
  readonly instance: readonly [number, number];
  readonly driver: "physring" | "u-dma-buf";
  /** How u-dma-buf maps it ({@link MmapMode}). Null: our driver, or a u-dma-buf that does not say. */
  readonly mmapMode: number | null;
  /** The memory lies where the kernel needs to move pages (CMA). Null: the driver does not say. */
  readonly movable: boolean | null;
}

/** First Linux that pins pages of a file which is neither tmpfs nor hugetlbfs (io_uring/rsrc.c, `io_pin_pages`). */
const PINS_FILES_SINCE = [6, 5] as const;

/**
 * Why this buffer must not be pinned for long (registered io_uring buffers, VFIO, RDMA), or null when it may be. Refused here because the
 * kernel does not refuse it everywhere: memory in CMA makes some kernels try for ever, at 100 % CPU (docs/KERNEL.md).
 */
export function pinRefusal(facts: Pick<BufferFacts, "driver" | "movable">, release: string): string | null {
  if (facts.movable === null)
    return "u-dma-buf does not tell where its memory lies; load physring's module (physring kmod)";
  if (facts.movable)
    return "its memory lies in CMA, which the kernel must be able to empty; use a buffer outside CMA (docs/KERNEL.md)";
  const [major = 0, minor = 0] = release.split(".").map(Number);
  const [wantedMajor, wantedMinor] = PINS_FILES_SINCE;
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return null;
  return `Linux ${release} pins no such memory; ${PINS_FILES_SINCE.join(".")} and later do`;
}

const SYSFS = "/sys/class/u-dma-buf";

function u64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 2 ** 32;
}

function setU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** Runs an ioctl that fills a structure; null where the driver does not know it. */
function query(fd: number, request: number, sizeBytes: number, call: string): DataView | null {
  const argument = new Uint8Array(new ArrayBuffer(sizeBytes));
  try {
    ioctl(fd, request, argument, call);
  } catch (error) {
    if (error instanceof SystemError && (error.errnoName === "ENOTTY" || error.errnoName === "EINVAL"))
      return null;
    throw error;
  }
  return new DataView(argument.buffer);
}

/** Facts from sysfs, for drivers before 4.7 that have no ioctls. `directory` is /sys/class/u-dma-buf/NAME. */
export function factsFromSysfs(directory: string): BufferFacts {
  const number = (attribute: string): number => {
    const path = `${directory}/${attribute}`;
    let text: string;
    try {
      text = readFileSync(path, "utf8").trim();
    } catch (cause) {
      const message = `${path} cannot be read and the device answers no ioctl: is it a u-dma-buf device?`;
      throw new RegionError("REGION_UNSUPPORTED", message, { cause });
    }
    const value = Number(text);
    if (text === "" || !Number.isSafeInteger(value) || value < 0) {
      throw new RegionError("REGION_CORRUPT", `${path} holds ${JSON.stringify(text)}, which is no number`);
    }
    return value;
  };
  return {
    sizeBytes: number("size"),
    deviceBase: number("phys_addr"),
    physicalBase: null,
    coherent: number("dma_coherent") === 1,
    instance: [0, 0],
    driver: "u-dma-buf",
    mmapMode: existsSync(`${directory}/quirk_mmap_mode`) ? number("quirk_mmap_mode") : null,
    movable: null,
  };
}

function factsFromOurDriver(view: DataView): BufferFacts {
  const flags = view.getUint32(BufferInfo.flagsOffset, true);
  return {
    sizeBytes: u64(view, BufferInfo.bufferSizeOffset),
    deviceBase: flags & BufferInfo.flagNoDevice ? null : u64(view, BufferInfo.dmaAddressOffset),
    physicalBase: u64(view, BufferInfo.physicalAddressOffset),
    coherent: (flags & BufferInfo.flagCoherent) !== 0,
    instance: [
      view.getInt32(BufferInfo.instanceOffset, true),
      view.getInt32(BufferInfo.instanceOffset + 4, true),
    ],
    driver: "physring",
    mmapMode: null,
    movable: (flags & BufferInfo.flagNoLongTermPin) !== 0,
  };
}

function readFacts(fd: number, device: string): BufferFacts {
  const ours = query(fd, Ioctl.getBuffer, BufferInfo.sizeBytes, "GET_BUFFER");
  if (ours !== null) return factsFromOurDriver(ours);
  const size = query(fd, Ioctl.getSize, 8, "GET_SIZE");
  const address = query(fd, Ioctl.getDmaAddress, 8, "GET_DMA_ADDR");
  if (size === null || address === null) return factsFromSysfs(`${SYSFS}/${device}`);
  // Where it is not told: sync rather too often than not at all.
  const info = query(fd, Ioctl.getDeviceInfo, DeviceInfo.sizeBytes, "GET_DEV_INFO");
  const flags = info?.getUint32(DeviceInfo.flagsOffset, true) ?? 0;
  return {
    sizeBytes: u64(size, 0),
    deviceBase: u64(address, 0),
    physicalBase: null,
    coherent: (flags & DeviceInfo.flagCoherent) !== 0,
    instance: [0, 0],
    driver: "u-dma-buf",
    mmapMode: info === null ? null : (flags >>> DeviceInfo.mmapModeShift) & DeviceInfo.mmapModeMask,
    movable: null,
  };
}

/** The ranges of a syncRanges call, and its argument. Of the module, because the call knows them by address only. */
const rangeBytes = new Uint8Array(new ArrayBuffer(SYNC_BATCH_RANGES * SyncRanges.rangeBytes));
const rangeView = new DataView(rangeBytes.buffer);
const rangesArgument = new Uint8Array(new ArrayBuffer(SyncRanges.sizeBytes));
const rangesView = new DataView(rangesArgument.buffer);
setU64(rangesView, SyncRanges.rangesOffset, bufferAddress(rangeBytes));
const oneRange = new SyncBatch();

export class DeviceBuffer {
  readonly path: string;
  readonly fd: number;
  readonly facts: BufferFacts;

  /** Takes an open descriptor; {@link open} is the usual way. */
  constructor(path: string, fd: number, facts: BufferFacts) {
    this.path = path;
    this.fd = fd;
    this.facts = facts;
  }

  /** Opens the device; the descriptor belongs to the caller. Throws RegionError (missing, permissions, no such driver). */
  static open(
    path: string,
    device: string,
    options: { readOnly: boolean; syncMode: SyncMode },
  ): DeviceBuffer {
    const sync = options.syncMode !== "cached";
    const remedy = "is the module loaded (lsmod), and is there a udev rule for your group?";
    const fd = asRegionError(path, remedy, () =>
      openFile(path, { readOnly: options.readOnly, sync, remedy }),
    );
    return withFile(fd, () => {
      if (fileStatus(fd).kind !== "character-device") {
        throw new RegionError("REGION_UNSUPPORTED", `${path} is no character device`);
      }
      const facts = readFacts(fd, device);
      const sane = Number.isSafeInteger(facts.sizeBytes) && facts.sizeBytes > 0;
      if (!sane)
        throw new RegionError("REGION_CORRUPT", `${path}: the driver reports a size of ${facts.sizeBytes}`);
      if (sync) setSyncMode(fd, path, SyncModeCode[options.syncMode]);
      return new DeviceBuffer(path, fd, facts);
    });
  }

  /**
   * Cache maintenance of `lengthBytes` bytes at `offset` of the buffer; one system call, none where caches are coherent.
   * Throws SystemError.
   */
  sync(command: number, offset: number, lengthBytes: number, direction: SyncDirectionName): void {
    oneRange.clear();
    oneRange.add(offset, lengthBytes);
    this.syncBatch(command, 0, oneRange, direction);
  }

  /** The driver's sync_mode; null: it does not tell by ioctl. */
  syncMode(): number | null {
    const setting = query(this.fd, Ioctl.getSync, SyncSetting.sizeBytes, "GET_SYNC");
    return setting === null ? null : syncModeOf(setting);
  }

  /** The same for several ranges, `start` added to each: one system call with our driver, one for each range with u-dma-buf. Throws SystemError. */
  syncBatch(command: number, start: number, batch: SyncBatch, direction: SyncDirectionName): void {
    if (this.facts.coherent || batch.count === 0) return;
    const code = SyncDirection[direction];
    if (this.facts.driver === "physring") this.#syncRanges(command, start, batch, code);
    else {
      for (let i = 0; i < batch.count; i++) {
        const offset = start + batch.offset(i);
        if (!this.#syncComposite(command, offset, batch.lengthBytes(i), code))
          this.#setSync(command, offset, batch.lengthBytes(i), code);
      }
    }
  }

  #syncRanges(command: number, start: number, batch: SyncBatch, direction: number): void {
    for (let i = 0; i < batch.count; i++) {
      setU64(rangeView, i * SyncRanges.rangeBytes + SyncRanges.rangeOffsetOffset, start + batch.offset(i));
      setU64(rangeView, i * SyncRanges.rangeBytes + SyncRanges.rangeSizeOffset, batch.lengthBytes(i));
    }
    rangesView.setUint32(SyncRanges.countOffset, batch.count, true);
    rangesView.setUint32(SyncRanges.commandOffset, command, true);
    rangesView.setUint32(SyncRanges.directionOffset, direction, true);
    ioctl(this.fd, Ioctl.syncRanges, rangesArgument, "SYNC_RANGES", this.path);
  }

  /** False where the word cannot say it: ranges past 4 GiB, and an end of the buffer that is no multiple of 16. */
  #syncComposite(command: number, offset: number, lengthBytes: number, direction: number): boolean {
    const unit = CompositeWord.unitBytes;
    const size = roundUp(lengthBytes, unit);
    if (
      offset + size > this.facts.sizeBytes ||
      offset >= CompositeWord.limitBytes ||
      size >= CompositeWord.limitBytes
    )
      return false;
    const word = new Uint32Array(new ArrayBuffer(8));
    word[0] = size | (direction << CompositeWord.directionShift) | CompositeWord.command;
    word[1] = offset;
    const forCpu = command === SyncCommand.forCpu;
    const request = forCpu ? Ioctl.setSyncForCpu : Ioctl.setSyncForDevice;
    ioctl(this.fd, request, word, forCpu ? "SET_SYNC_FOR_CPU" : "SET_SYNC_FOR_DEVICE", this.path);
    return true;
  }

  /** Sets the driver's own range, which all users of the device share, and syncs it: the last resort. */
  #setSync(command: number, offset: number, lengthBytes: number, direction: number): void {
    const view = new DataView(new ArrayBuffer(SyncSetting.sizeBytes));
    setU64(view, SyncSetting.flagsOffset, command | (direction << SyncSetting.directionShift));
    setU64(view, SyncSetting.rangeSizeOffset, lengthBytes);
    setU64(view, SyncSetting.rangeOffsetOffset, offset);
    ioctl(this.fd, Ioctl.setSync, new Uint8Array(view.buffer), "SET_SYNC", this.path);
  }
}

function syncModeOf(setting: DataView): number {
  return (setting.getUint32(SyncSetting.flagsOffset, true) >>> SyncSetting.modeShift) & SyncSetting.modeMask;
}

/** The protection of later mappings through an O_SYNC descriptor; u-dma-buf keeps one setting for all users of the device. */
function setSyncMode(fd: number, path: string, mode: number): void {
  const setting = query(fd, Ioctl.getSync, SyncSetting.sizeBytes, "GET_SYNC");
  if (setting === null)
    throw new RegionError(
      "REGION_UNSUPPORTED",
      `${path}: this driver cannot set its sync mode by ioctl (u-dma-buf 4.7 and later can)`,
    );
  const current = syncModeOf(setting);
  if ((current & SYNC_MODE_CODE_MASK) === mode) return;
  const wanted = (current & ~SYNC_MODE_CODE_MASK) | mode;
  const direction =
    setting.getUint32(SyncSetting.flagsOffset, true) &
    (SyncSetting.directionMask << SyncSetting.directionShift);
  // Command 0 sets without syncing; size 0 leaves the size, the direction and the offset are given back as they were.
  setU64(setting, SyncSetting.flagsOffset, (wanted << SyncSetting.modeShift) | direction);
  setU64(setting, SyncSetting.rangeSizeOffset, 0);
  ioctl(fd, Ioctl.setSync, new Uint8Array(setting.buffer), "SET_SYNC", path);
}
