/**
 * Memory as a device reaches it: where a region is on the device's bus, and how its caches are kept in step with the device. One per region; of a
 * DMA buffer, or of a simulated board (board.ts).
 */
import type { Region } from "../memory/region.ts";
import type { SyncBatch } from "../memory/sync-batch.ts";
import type { SyncDirectionName } from "../memory/udmabuf-abi.ts";
import { ArgumentError } from "../ring/errors.ts";

export interface DeviceMemory {
  /** Device address of the region's first byte. */
  readonly base: number;
  /** Caches and device see the same bytes: nothing is ever synced. */
  readonly coherent: boolean;
  /** Before the device reads (`to-device`) or writes (`from-device`) the ranges. Throws SystemError. */
  syncForDevice(batch: SyncBatch, direction: SyncDirectionName): void;
  /** Before the CPU reads what the device wrote. Throws SystemError. */
  syncForCpu(batch: SyncBatch, direction: SyncDirectionName): void;
}

/** A region on `/dev/udmabufN`: the driver knows its device address and syncs it. */
export class RegionDeviceMemory implements DeviceMemory {
  readonly base: number;
  readonly coherent: boolean;
  readonly #region: Region;

  /** @throws ArgumentError for memory that no device was given */
  constructor(region: Region) {
    const { device } = region.addresses(0 as Parameters<Region["addresses"]>[0]);
    if (typeof device !== "number")
      throw new ArgumentError(
        `region ${region.name}: ${device.message}; use a region on /dev/udmabufN, or a simulated board`,
      );
    this.base = device;
    this.coherent = region.dmaCoherent;
    this.#region = region;
  }

  syncForDevice(batch: SyncBatch, direction: SyncDirectionName): void {
    this.#region.syncBatchForDevice(batch, direction);
  }

  syncForCpu(batch: SyncBatch, direction: SyncDirectionName): void {
    this.#region.syncBatchForCpu(batch, direction);
  }
}
