/** What the host pays, against the stub that completes at once; and what tools show of a queue. */
import { heapStats } from "bun:jsc";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { CommandQueue, Core, Opcode } from "../../src/fpga/index.ts";
import { regionOffset } from "../../src/memory/brands.ts";
import type { RegisterFile } from "../../src/memory/register-file.ts";
import { Pool } from "../../src/ring/pool.ts";
import { physring } from "../cli/command.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const BATCH = 32;
const BATCHES = 2000;
/** One object of 16 bytes for each command would be a megabyte. */
const LIMIT_BYTES = 100_000;

describe.skipIf(missing !== null)("against the stub", () => {
  test("a command on two blocks allocates nothing, and a batch writes two registers and reads none", async () => {
    await using board = await TestBoard.start({ program: "stub" });
    const pool = Pool.create(board.region, "blocks", {
      frameBytes: 4096,
      blockCount: 2 * BATCH,
      metaBytes: 0,
    });
    using core = Core.open(board.where);
    using queue = CommandQueue.create(core, board.region, "queue", {
      queue: 0,
      pool,
      capacity: 64,
      wait: "poll",
    });
    const { blocks } = queue;
    const numbers = Array.from({ length: 2 * BATCH }, () => queue.loan()!.block);
    const batch = (): void => {
      for (let i = 0; i < BATCH; i++)
        blocks.stage(Opcode.copy, numbers[2 * i]!, 0, numbers[2 * i + 1]!, 0, 4096, 0, 0, 0);
      blocks.submit();
      for (let reaped = 0; reaped < BATCH; ) reaped += blocks.reap(BATCH);
    };
    for (let i = 0; i < BATCHES; i++) batch();
    Bun.gc(true);
    const before = heapStats().heapCapacity;
    for (let i = 0; i < BATCHES; i++) batch();
    expect(heapStats().heapCapacity - before).toBeLessThan(LIMIT_BYTES);

    const counts = { reads: 0, writes: 0 };
    const registers = core.registers as { -readonly [K in "read" | "write"]: RegisterFile[K] };
    const { read, write } = registers;
    registers.read = (offset) => {
      counts.reads++;
      return read.call(core.registers, offset);
    };
    registers.write = (offset, value) => {
      counts.writes++;
      write.call(core.registers, offset, value);
    };
    for (let i = 0; i < 10; i++) batch();
    expect(counts).toEqual({ reads: 0, writes: 20 });
  });

  test("physring ls shows the queue, its owner, and what the hardware has", async () => {
    await using board = await TestBoard.start({ arguments: ["--fault", "hang:0:0:16777216"] });
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: 4, metaBytes: 0 });
    using core = Core.open(board.where);
    const queue = CommandQueue.create(core, board.region, "fpga", { queue: 3, pool });
    const running = queue.run({ opcode: "crc32", source: queue.loan()! }).catch((error: unknown) => error);
    const shown = await physring(["ls", board.name]);
    expect(shown.stdout).toMatch(
      /hardware queue fpga {2}queue 3 of .*registers, 64 commands {2}participant 0 {2}1 block with the hardware/,
    );
    await queue.reset({ idleLimitMs: 10 }).catch(() => undefined);
    expect(await running).toHaveProperty("code", "QUEUE_STUCK");
    expect((await physring(["ls", board.name])).stdout).toContain("QUARANTINED  1 block with the hardware");
  });
});

describe.skipIf(missing !== null)("where the board has its memories", () => {
  test("multiples of 4 KiB above 2^32, others on each run, and nothing that a CPU calls them", async () => {
    const seen = new Set<number>();
    for (let run = 0; run < 3; run++) {
      await using board = await TestBoard.start();
      using core = Core.open(board.where);
      const addresses = board.region.addresses(regionOffset(0));
      for (const { deviceBase } of core.board!.memories) {
        expect(deviceBase % 4096).toBe(0);
        expect(deviceBase).toBeGreaterThan(2 ** 32);
        expect([addresses.virtual, addresses.physical, addresses.pageTable]).not.toContain(deviceBase);
        seen.add(deviceBase);
      }
    }
    expect(seen.size).toBe(6);
  });
});

describe.skipIf(missing !== null)("a board of a test", () => {
  test("that ended by itself fails it, at the latest when it is given back", async () => {
    const board = await TestBoard.start();
    board.simulation.process.kill("SIGABRT");
    await board.simulation.process.exited;
    const error: unknown = await board[Symbol.asyncDispose]().catch((thrown: unknown) => thrown);
    expect(error).toHaveProperty("message", expect.stringContaining("ended by itself"));
  });
});
