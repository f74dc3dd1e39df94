/** Queue memory has a buffer of its own: not the region's, by any name, not another region's, and not bytes that another region's queue uses. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { symlinkSync, unlinkSync } from "node:fs";
import { CommandQueue, Core } from "../../src/fpga/index.ts";
import { Superblock } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import { Pool } from "../../src/ring/pool.ts";
import { expectCode } from "../support/errors.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const POOL = { frameBytes: 4096, blockCount: 4, metaBytes: 0 };

describe.skipIf(missing !== null)("queue memory", () => {
  test("is not in the region's own file, nor in that by another name", async () => {
    await using board = await TestBoard.start({ program: "stub" });
    const pool = Pool.create(board.region, "blocks", POOL);
    const link = `${board.region.path}-link`;
    symlinkSync(board.region.path, link);
    try {
      for (const queueMemory of [board.region.path, link]) {
        using core = Core.open(board.where, { queueMemory });
        const error = expectCode("ARGUMENT", () =>
          CommandQueue.create(core, board.region, "queue", { queue: 0, pool }),
        );
        expect(error.message).toContain("holds the region");
      }
    } finally {
      unlinkSync(link);
    }
    // Nothing was zeroed.
    Region.open(board.name).close();
  });

  test("is not in another region", async () => {
    const name = `${process.pid}-queues-of-nobody`;
    using other = Region.create(name, { size: "1MiB" });
    try {
      await using board = await TestBoard.start({
        program: "stub",
        arguments: ["--memory", `${other.path}:queue`],
      });
      const pool = Pool.create(board.region, "blocks", POOL);
      using core = Core.open(board.where, { queueMemory: other.path });
      const error = expectCode("ARGUMENT", () =>
        CommandQueue.create(core, board.region, "queue", { queue: 0, pool }),
      );
      expect(error.message).toContain(`${other.path} holds a region`);
      expect(other.bytes.subarray(0, 4 * (Superblock.magicHighWord + 1)).some((byte) => byte !== 0)).toBe(
        true,
      );
    } finally {
      Region.destroy(name);
    }
  });

  test("of two regions in one buffer: the second is refused while the first runs, and queues of one region share it", async () => {
    const name = `${process.pid}-second-region`;
    using second = Region.create(name, { size: "1MiB" });
    try {
      await using board = await TestBoard.start({ arguments: ["--memory", `${second.path}:payload`] });
      const [mine, others] = [board.region, second].map((region) => Pool.create(region, "blocks", POOL)) as [
        Pool,
        Pool,
      ];
      using core = Core.open(board.where);
      const first = CommandQueue.create(core, board.region, "first", { queue: 0, pool: mine });
      const error = expectCode("IN_USE", () =>
        CommandQueue.create(core, second, "other", { queue: 1, pool: others }),
      );
      expect(error.message).toContain("another region");
      using beside = CommandQueue.create(core, board.region, "beside", { queue: 2, pool: mine });
      await Promise.all([first.run({ opcode: "nop" }), beside.run({ opcode: "nop" })]);
      first.close();
      using next = CommandQueue.create(core, second, "other", { queue: 1, pool: others });
      using block = next.loan()!;
      await next.run({ opcode: "crc32", source: block });
    } finally {
      Region.destroy(name);
    }
  });
});
