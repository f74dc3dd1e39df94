/** What a host tells the driver of a device that does not snoop: which ranges, in which direction, in which order; and what its code must not use. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { RegionDeviceMemory } from "../../src/fpga/device-memory.ts";
import { type Block, CommandQueue, Core } from "../../src/fpga/index.ts";
import type { Region } from "../../src/memory/region.ts";
import type { SyncBatch } from "../../src/memory/sync-batch.ts";
import type { SyncDirectionName } from "../../src/memory/udmabuf-abi.ts";
import { Pool } from "../../src/ring/pool.ts";
import { expectCode } from "../support/errors.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const BLOCK_BYTES = 1024;

interface Call {
  readonly call: "for device" | "for CPU";
  readonly direction: SyncDirectionName;
  /** Block, first byte in it, length. */
  readonly ranges: readonly (readonly [number, number, number])[];
}

/** The queue syncs by way of a region on a DMA buffer, whose driver is the board's agent; each call is written down. */
function recorded(core: Core, pool: Pool): Call[] {
  const calls: Call[] = [];
  const { deviceMemory } = core;
  core.deviceMemory = (region, queue) => {
    const board = deviceMemory.call(core, region, queue);
    const note = (call: Call["call"], batch: SyncBatch, direction: SyncDirectionName): void => {
      const ranges = Array.from({ length: batch.count }, (_, i) => {
        const at = batch.offset(i) - pool.blockOffset(0);
        return [Math.floor(at / BLOCK_BYTES), at % BLOCK_BYTES, batch.lengthBytes(i)] as const;
      });
      calls.push({ call, direction, ranges });
    };
    const buffer = {
      name: "a DMA buffer",
      dmaCoherent: false,
      addresses: () => ({ device: board.base }),
      syncBatchForDevice: (batch: SyncBatch, direction: SyncDirectionName) => {
        note("for device", batch, direction);
        board.syncForDevice(batch, direction);
      },
      syncBatchForCpu: (batch: SyncBatch, direction: SyncDirectionName) => {
        note("for CPU", batch, direction);
        board.syncForCpu(batch, direction);
      },
    };
    return new RegionDeviceMemory(buffer as unknown as Region);
  };
  return calls;
}

describe.skipIf(missing !== null)(
  "sync calls of a device that is not coherent, granules of 256 bytes",
  () => {
    test("sources to the device, destinations from it, before the doorbell and after the completion, in whole granules of their blocks", async () => {
      await using board = await TestBoard.start({ coherency: "none", seed: 1 });
      const pool = Pool.create(board.region, "blocks", {
        frameBytes: BLOCK_BYTES,
        blockCount: 8,
        metaBytes: 0,
      });
      using core = Core.open(board.where);
      Object.defineProperty(core, "granuleBytes", { value: 256 });
      const calls = recorded(core, pool);
      using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, capacity: 8 });
      const blocks = Array.from({ length: 8 }, () => queue.loan()!).sort((a, b) => a.block - b.block);
      const [source, destination, from, to] = blocks as [Block, Block, Block, Block];
      source.bytes.fill(5);
      from.bytes.fill(6);
      await Promise.all(
        queue.submit([
          { opcode: "copy", source, destination, lengthBytes: 300 },
          {
            opcode: "copy",
            // [320, 384) lies in one granule, [704, 1023) in two, the second of which ends with the block.
            source: [
              { frame: from, offsetBytes: 320, lengthBytes: 64 },
              { frame: from, offsetBytes: 704, lengthBytes: 319 },
            ],
            destination: [{ frame: to, offsetBytes: 192, lengthBytes: 383 }],
          },
        ]),
      );
      const written = [
        [1, 0, 512],
        [3, 0, 768],
      ] as const;
      const forCpu = calls.splice(2);
      expect(calls).toEqual([
        {
          call: "for device",
          direction: "to-device",
          ranges: [
            [0, 0, 512],
            [2, 256, 256],
            [2, 512, 512],
          ],
        },
        { call: "for device", direction: "from-device", ranges: written },
      ]);
      // One call for both completions, or one for each, in any order.
      for (const { call, direction } of forCpu) expect([call, direction]).toEqual(["for CPU", "from-device"]);
      expect(forCpu.flatMap(({ ranges }) => ranges).sort(([a], [b]) => a - b)).toEqual([...written]);
      expect(destination.bytes.subarray(0, 300).every((byte) => byte === 5)).toBe(true);
      expect(to.bytes.subarray(192, 192 + 383).every((byte) => byte === 6)).toBe(true);
      // Without a destination nothing comes back.
      calls.length = 0;
      await queue.run({ opcode: "crc32", source, lengthBytes: 1 });
      expect(calls).toEqual([{ call: "for device", direction: "to-device", ranges: [[0, 0, 256]] }]);
    });

    test("a region that no device was given has no device memory", () => {
      const nowhere = {
        name: "shm",
        addresses: () => ({ device: new Error("no device") }),
        dmaCoherent: true,
      };
      expectCode("ARGUMENT", () => new RegionDeviceMemory(nowhere as unknown as Region));
    });
  },
);

/** All that loads from or stores to queue memory, which may be mapped non-cacheable, where an exclusive access is not allowed. */
test.each(["command-ring", "block-queue", "queue-buffer", "attachment"])("%s.ts uses no Atomics", (name) => {
  const source = readFileSync(new URL(`../../src/fpga/${name}.ts`, import.meta.url), "utf8");
  const code = source.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
  expect(code).not.toContain("Atomics");
  const imported = [...code.matchAll(/import \{([^}]*)\} from "[^"]*\/(?:atomics|superblock)\.ts"/g)].flatMap(
    ([, names]) => names!.split(",").map((word) => word.trim()),
  );
  // A hint to the processor; no access.
  expect(imported.filter((word) => word !== "pause" && word !== "")).toEqual([]);
  expect(code).not.toMatch(/\bwords\.(?:fill|set|copyWithin)\(/);
});
