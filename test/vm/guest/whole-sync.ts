/** That a sync reaches the driver, whatever interface it has: its sync_owner says whose turn it is. */
import { expect } from "bun:test";
import type { DeviceBuffer } from "../../../src/memory/device-buffer.ts";
import { SyncCommand } from "../../../src/memory/udmabuf-abi.ts";

/** Of a buffer whose last byte is no whole unit of 16, which the composite word cannot name. */
export function syncEverywhere(device: DeviceBuffer, sizeBytes: number, owner: () => string): void {
  const ranges = [
    [0, sizeBytes],
    [0, 16],
    [4096, 100],
    [sizeBytes - 1, 1],
    [sizeBytes - 17, 16],
  ] as const;
  for (const [offset, length] of ranges) {
    device.sync(SyncCommand.forDevice, offset, length, "to-device");
    expect(owner()).toBe("1");
    device.sync(SyncCommand.forCpu, offset, length, "from-device");
    expect(owner()).toBe("0");
  }
}
