/** CommandQueue on the simulated board (the RTL, clocked), in every coherency mode: results, lists, errors, ownership. */
import { describe, expect, test } from "bun:test";
import { modelCrc32, modelFill, modelFilter, modelSource, modelThreshold } from "../../src/cli/fpga/model.ts";
import type { Block, BlockPart } from "../../src/fpga/block.ts";
import type { Coherency } from "../../src/fpga/board.ts";
import {
  type Command,
  CommandFailedError,
  CommandQueue,
  type CommandQueueOptions,
  Core,
  Status,
  statusName,
} from "../../src/fpga/index.ts";
import { Pool } from "../../src/ring/pool.ts";
import { expectCode } from "../support/errors.ts";
import { Patience } from "../support/patience.ts";
import { Random } from "../support/random.ts";
import { TestBoard, type TestBoardOptions, whyNoBoards } from "./boards.ts";

const missingReason = await whyNoBoards();
const missing = missingReason !== null;
const MODES: readonly Coherency[] = ["full", "io", "none"];
if (missing) console.log(`skipped: ${missingReason}`);

/** A board with a pool and one queue. */
class Bench implements AsyncDisposable {
  readonly board: TestBoard;
  readonly pool: Pool;
  readonly core: Core;
  readonly queue: CommandQueue;

  private constructor(board: TestBoard, pool: Pool, core: Core, queue: CommandQueue) {
    this.board = board;
    this.pool = pool;
    this.core = core;
    this.queue = queue;
  }

  static async start(
    options: TestBoardOptions &
      CommandQueueOptions & {
        readonly blocks?: number;
        readonly frameBytes?: number;
        readonly capacity?: number;
        readonly maxParts?: number;
      },
  ): Promise<Bench> {
    const board = await TestBoard.start({ seed: 1, ...options });
    const pool = Pool.create(board.region, "blocks", {
      frameBytes: options.frameBytes ?? 8192,
      blockCount: options.blocks ?? 24,
      metaBytes: 0,
    });
    const core = Core.open(`board:${board.name}`);
    const queue = CommandQueue.create(core, board.region, "queue", {
      queue: 1,
      pool,
      capacity: 16,
      maxParts: 8,
      ...options,
    });
    return new Bench(board, pool, core, queue);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.queue.state !== "stuck") this.queue.close();
    this.core[Symbol.dispose]();
    await this.board[Symbol.asyncDispose]();
  }
}

function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

describe.skipIf(missing).each(MODES)("coherency %s", (coherency) => {
  test("every engine computes what the model does", async () => {
    await using bench = await Bench.start({ coherency });
    const { queue } = bench;
    const random = new Random(5);
    for (let round = 0; round < 6; round++) {
      using source = queue.loan()!;
      using copied = queue.loan()!;
      using filled = queue.loan()!;
      using cut = queue.loan()!;
      using smooth = queue.loan()!;
      using made = queue.loan()!;
      const lengthBytes = [64, 640, 1, 4095, 4097, 8192][round]!;
      const image = 1280;
      const input = randomBytes(random, 8192);
      source.bytes.set(input);
      // Dirty lines of the destinations must not come back over what the device writes.
      for (const block of [copied, filled, cut, smooth, made]) block.bytes.fill(round + 1);
      const seed = random.below(2 ** 32);
      const word = random.below(2 ** 32);
      const level = random.below(256);
      const [copy, fill] = queue.submit([
        { opcode: "copy", source, destination: copied, lengthBytes, tag: 77 },
        { opcode: "fill", destination: filled, word, lengthBytes },
      ]);
      expect(await copy).toMatchObject({ tag: 77, bytes: lengthBytes, result: 0 });
      await fill;
      const crc = await queue.run({ opcode: "crc32", source, lengthBytes });
      const threshold = await queue.run({
        opcode: "threshold",
        source,
        destination: cut,
        level,
        lengthBytes,
      });
      await queue.run({ opcode: "filter3x3", source, destination: smooth, width: 128, lengthBytes: image });
      const frame = await queue.run({ opcode: "source", destination: made, seed, lengthBytes });
      const sunk = await queue.run({ opcode: "sink", source: made, lengthBytes });
      const part = input.subarray(0, lengthBytes);
      const expected = new Uint8Array(lengthBytes);
      expect(Buffer.compare(copied.bytes.subarray(0, lengthBytes), part)).toBe(0);
      expect(copied.bytes.subarray(lengthBytes).every((byte) => byte === round + 1)).toBe(true);
      modelFill(word, expected);
      expect(Buffer.compare(filled.bytes.subarray(0, lengthBytes), expected)).toBe(0);
      expect(crc.result).toBe(modelCrc32(part));
      expect(threshold.result).toBe(modelThreshold(part, level, expected));
      expect(Buffer.compare(cut.bytes.subarray(0, lengthBytes), expected)).toBe(0);
      const blurred = new Uint8Array(image);
      modelFilter(input.subarray(0, image), 128, blurred);
      expect(Buffer.compare(smooth.bytes.subarray(0, image), blurred)).toBe(0);
      modelSource(seed, frame.result, expected);
      expect(Buffer.compare(made.bytes.subarray(0, lengthBytes), expected)).toBe(0);
      expect(sunk.result).toBe(modelCrc32(expected));
    }
    expect(bench.pool.countFree()).toBe(24);
  });

  test("scatter lists gather and scatter, and their blocks come back", async () => {
    await using bench = await Bench.start({ coherency });
    const { queue } = bench;
    const random = new Random(9);
    const sources = [queue.loan()!, queue.loan()!, queue.loan()!];
    const destinations = [queue.loan()!, queue.loan()!];
    for (const block of sources) block.bytes.set(randomBytes(random, 8192));
    const from = [
      { frame: sources[0]!, offsetBytes: 64, lengthBytes: 128 },
      { frame: sources[1]!, lengthBytes: 4096 },
      { frame: sources[0]!, offsetBytes: 512, lengthBytes: 64 },
      { frame: sources[2]!, offsetBytes: 4096, lengthBytes: 33 },
    ];
    const to = [
      { frame: destinations[1]!, offsetBytes: 128, lengthBytes: 4224 },
      { frame: destinations[0]!, lengthBytes: 97 },
    ];
    const flat = Buffer.concat(
      from.map((p) => p.frame.bytes.slice(p.offsetBytes ?? 0, (p.offsetBytes ?? 0) + p.lengthBytes)),
    );
    bench.board.hold(true);
    const done = queue.run({ opcode: "copy", source: from, destination: to });
    // While it is under way the blocks are the hardware's.
    for (const { block } of [...sources, ...destinations]) expect(bench.pool.holders(block) >>> 31).toBe(1);
    bench.board.hold(false);
    await done;
    const got = Buffer.concat(
      to.map((p) => p.frame.bytes.slice(p.offsetBytes ?? 0, (p.offsetBytes ?? 0) + p.lengthBytes)),
    );
    expect(Buffer.compare(got, flat)).toBe(0);
    expect((await queue.run({ opcode: "crc32", source: from })).result).toBe(modelCrc32(flat));
    for (const block of [...sources, ...destinations]) block.release();
    expect(bench.pool.countFree()).toBe(24);
    expect(queue.counters.listFetches).toBeGreaterThan(0);
  });

  test("a batch with more ranges than one sync call takes", async () => {
    // 9 * 128 ranges, 1024 at once. The agent reads anew what was written lately, 4096 lines: of the first 1024 ranges it leaves some.
    const [PARTS, PART_BYTES] = [128, 256];
    const frameBytes = PARTS * PART_BYTES;
    await using bench = await Bench.start({ coherency, blocks: 18, frameBytes, maxParts: PARTS });
    const { queue } = bench;
    const random = new Random(7);
    const pairs = Array.from({ length: 9 }, () => [queue.loan()!, queue.loan()!] as const);
    for (const [source, destination] of pairs) {
      source.bytes.set(randomBytes(random, frameBytes));
      destination.bytes.fill(0xee);
    }
    const parts = (frame: Block, order: (i: number) => number): BlockPart[] =>
      Array.from({ length: PARTS }, (_, i) => ({
        frame,
        offsetBytes: PART_BYTES * order(i),
        lengthBytes: PART_BYTES,
      }));
    const forwards = (i: number): number => i;
    const backwards = (i: number): number => PARTS - 1 - i;
    const before = queue.counters.completionWrites;
    const copied = queue.submit(
      pairs.map(([source, destination]) => ({
        opcode: "copy",
        source: parts(source, forwards),
        destination: parts(destination, backwards),
      })),
    );
    // The event loop gets its turn when all have completed and are to be seen: they are one burst.
    const patience = new Patience(30_000);
    for (; queue.counters.completionWrites - before < pairs.length; Bun.sleepSync(1))
      if (patience.isOver) throw new Error("not all have completed");
    bench.core.order(1).rmb();
    await Promise.all(copied);
    for (const [source, destination] of pairs) {
      const part = (frame: Block, i: number): Uint8Array =>
        frame.bytes.subarray(PART_BYTES * i, PART_BYTES * (i + 1));
      for (let i = 0; i < PARTS; i++)
        expect(Buffer.compare(part(destination, backwards(i)), part(source, i))).toBe(0);
      source.release();
      destination.release();
    }
  });

  test("in batches through a full ring, in any order of completion, each exactly once", async () => {
    await using bench = await Bench.start({ coherency, blocks: 40 });
    const { queue } = bench;
    const random = new Random(3);
    const seen = new Set<number>();
    let next = 0;
    const blocks = Array.from({ length: 16 }, () => [queue.loan()!, queue.loan()!] as const);
    const free = blocks.map((_, i) => i);
    const pairOf = new Map<number, number>();
    while (seen.size < 120) {
      const batch = [];
      while (free.length > 0 && batch.length < queue.room && next < 120) {
        const pair = free.pop()!;
        const [source, destination] = blocks[pair]!;
        const lengthBytes = 1 + random.below(2000);
        new DataView(source.bytes.buffer, source.bytes.byteOffset).setUint32(0, next, true);
        pairOf.set(next, pair);
        batch.push({
          opcode: "copy" as const,
          source,
          destination,
          lengthBytes: Math.max(4, lengthBytes),
          tag: next++,
        });
      }
      if (batch.length > 0) queue.post(batch);
      for await (const completion of queue) {
        expect(completion.status).toBe(Status.OK);
        expect(seen.has(completion.tag)).toBe(false);
        seen.add(completion.tag);
        const pair = pairOf.get(completion.tag)!;
        const { bytes } = blocks[pair]![1];
        expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)).toBe(completion.tag);
        free.push(pair);
        if (free.length > 8) break;
      }
    }
    for (const pair of blocks) for (const block of pair) block.release();
    expect(bench.pool.countFree()).toBe(40);
  });

  test("what the bus refuses is a typed error of that command alone: its neighbours in the batch are right", async () => {
    let pool: Pool | null = null;
    await using board = await TestBoard.start({
      coherency,
      seed: 1,
      // A line in the middle of block 2 cannot be read, one in block 7 cannot be written.
      prepare: (region) => {
        pool = Pool.create(region, "blocks", { frameBytes: 1024, blockCount: 12, metaBytes: 0 });
        const line = (block: number): number => pool!.blockOffset(block) + 512;
        return ["--fault", `slverr:0:${line(2)}:64`, "--fault", `decerr:0:${line(7)}:64`];
      },
    });
    using core = Core.open(board.where);
    using queue = CommandQueue.create(core, board.region, "queue", { queue: 1, pool: pool!, capacity: 16 });
    const blocks = Array.from({ length: 12 }, () => queue.loan()!).sort((a, b) => a.block - b.block);
    const random = new Random(9);
    for (const { bytes } of blocks.slice(0, 6)) bytes.set(randomBytes(random, 1024));
    for (let round = 0; round < 3; round++) {
      for (const { bytes } of blocks.slice(6)) bytes.fill(round);
      const settled = await Promise.allSettled(
        queue.submit(
          blocks.slice(0, 6).map((source, i) => ({ opcode: "copy", source, destination: blocks[6 + i]! })),
        ),
      );
      const found = settled.map((result) =>
        result.status === "fulfilled"
          ? "OK"
          : result.reason instanceof CommandFailedError
            ? statusName(result.reason.status)
            : String(result.reason),
      );
      expect(found).toEqual(["OK", "WRITE_DECERR", "READ_SLVERR", "OK", "OK", "OK"]);
      for (const i of [0, 3, 4, 5]) expect(Buffer.compare(blocks[i]!.bytes, blocks[6 + i]!.bytes)).toBe(0);
      expect(queue.state).toBe("running");
    }
    expect(queue.counters.failedCommands).toBe(6);
    for (const block of blocks) block.release();
    expect(pool!.countFree()).toBe(12);
  });

  test("an access outside the memory is the bus's to refuse, and a typed error", async () => {
    await using bench = await Bench.start({ coherency });
    const { board, core, pool, queue } = bench;
    // A host that is wrong about where its memory is: its windows are wrong as well, so neither it nor the core can tell.
    const { deviceMemory } = core;
    core.deviceMemory = (region, number) => {
      const memory = deviceMemory.call(core, region, number);
      return {
        base: memory.base + 2 ** 40,
        coherent: memory.coherent,
        syncForDevice: (batch, direction) => memory.syncForDevice(batch, direction),
        syncForCpu: (batch, direction) => memory.syncForCpu(batch, direction),
      };
    };
    using wrong = CommandQueue.create(core, board.region, "wrong", { queue: 2, pool });
    using source = wrong.loan()!;
    using destination = wrong.loan()!;
    source.bytes.fill(3);
    destination.bytes.fill(4);
    const statusOf = (command: Command): Promise<unknown> =>
      wrong.run(command).then(
        () => "OK",
        (error: unknown) => (error instanceof CommandFailedError ? statusName(error.status) : error),
      );
    expect(await statusOf({ opcode: "crc32", source })).toBe("READ_DECERR");
    expect(await statusOf({ opcode: "fill", destination, word: 0 })).toBe("WRITE_DECERR");
    expect(wrong.state).toBe("running");
    expect(destination.bytes.every((byte) => byte === 4)).toBe(true);
    await queue.run({ opcode: "copy", source, destination });
    expect(destination.bytes.every((byte) => byte === 3)).toBe(true);
  });
});

describe.skipIf(missing).each(MODES)("ownership, coherency %s", (coherency) => {
  test("a block under way cannot be in another command, and frees itself after its release", async () => {
    await using bench = await Bench.start({ coherency });
    const { queue, pool } = bench;
    const source = queue.loan()!;
    const destination = queue.loan()!;
    bench.board.hold(true);
    const running = queue.run({ opcode: "copy", source, destination });
    expectCode("BLOCK_BUSY", () => queue.submit([{ opcode: "crc32", source }]));
    source.release();
    destination.release();
    expect(pool.countFree()).toBe(22);
    bench.board.hold(false);
    await running;
    expect(pool.countFree()).toBe(24);
  });

  test("a batch with one bad command is not submitted at all", async () => {
    await using bench = await Bench.start({ coherency });
    const { queue, pool } = bench;
    using source = queue.loan()!;
    using destination = queue.loan()!;
    expectCode("COMMAND_INVALID", () =>
      queue.submit([
        { opcode: "copy", source, destination },
        {
          opcode: "copy",
          source: { ...source, pool, block: 3, offset: source.offset, lengthBytes: 0 },
          destination,
        },
      ]),
    );
    expect(queue.underWay).toBe(0);
    expect(queue.room).toBe(16);
    await queue.run({ opcode: "copy", source, destination });
  });
});

describe.skipIf(missing).each(MODES)("time limits and reset, coherency %s", (coherency) => {
  test("a timed-out command keeps its blocks until reset", async () => {
    await using bench = await Bench.start({ coherency, arguments: ["--fault", "hang:0:0:16777216"] });
    const { queue, pool } = bench;
    const source = queue.loan()!;
    const destination = queue.loan()!;
    const error = await queue
      .run({ opcode: "copy", source, destination }, { timeoutMs: 30 })
      .catch((e: unknown) => e);
    expect(error).toHaveProperty("code", "COMMAND_TIMEOUT");
    source.release();
    destination.release();
    expect(pool.countFree()).toBe(22);
    const controller = new AbortController();
    using other = queue.loan()!;
    const aborted = queue
      .run({ opcode: "crc32", source: other }, { signal: controller.signal })
      .catch((e: unknown) => e);
    controller.abort();
    expect(await aborted).toHaveProperty("name", "AbortError");
    // The bus never answers, so idle never comes: the blocks stay the hardware's.
    const stuck = await queue.reset({ idleLimitMs: 50 }).catch((e: unknown) => e);
    expect(stuck).toHaveProperty("code", "QUEUE_STUCK");
    expect(stuck).toHaveProperty("blocks", 3);
    expect(pool.countFree()).toBe(21);
    expect(queue.state).toBe("stuck");
  });

  test("reset fails what was under way with a reason, loses no block, and the queue goes on", async () => {
    await using bench = await Bench.start({ coherency, arguments: ["--latency", "200:400"] });
    const { queue, pool } = bench;
    for (let round = 0; round < 10; round++) {
      const pairs = Array.from({ length: 8 }, () => [queue.loan()!, queue.loan()!] as const);
      const running = queue.submit(
        pairs.map(([source, destination]) => ({ opcode: "copy", source, destination })),
      );
      const settled = Promise.allSettled(running);
      if (round % 2 === 1) await Bun.sleep(round);
      await queue.reset();
      for (const result of await settled) {
        if (result.status === "rejected") expect(result.reason).toHaveProperty("code", "QUEUE_RESET");
      }
      for (const pair of pairs) for (const block of pair) block.release();
      expect(pool.countFree()).toBe(24);
    }
    using source = queue.loan()!;
    using destination = queue.loan()!;
    source.bytes.fill(9);
    await queue.run({ opcode: "copy", source, destination });
    expect(destination.bytes.every((byte) => byte === 9)).toBe(true);
  });

  test("a queue has one owner, and can be opened again after close", async () => {
    await using bench = await Bench.start({ coherency });
    expectCode("IN_USE", () => CommandQueue.open(bench.core, bench.board.region, "queue"));
    expectCode("IN_USE", () =>
      CommandQueue.create(bench.core, bench.board.region, "again", { queue: 1, pool: bench.pool }),
    );
    bench.queue.close();
    using again = CommandQueue.open(bench.core, bench.board.region, "queue");
    using source = again.loan()!;
    await again.run({ opcode: "crc32", source });
    expectCode("QUEUE_CLOSED", () => bench.queue.submit([]));
  });

  test("a power cycle fails what was under way, and reset starts anew", async () => {
    await using bench = await Bench.start({
      coherency,
      arguments: ["--stall", "0.95", "--latency", "500:900"],
    });
    const { queue, pool } = bench;
    const source = queue.loan()!;
    const destination = queue.loan()!;
    const running = queue.run({ opcode: "copy", source, destination }).catch((e: unknown) => e);
    bench.board.simulation.process.kill("SIGHUP");
    expect(await running).toHaveProperty("code", "QUEUE_RESET");
    source.release();
    destination.release();
    expect(pool.countFree()).toBe(24);
    await queue.reset();
    using other = queue.loan()!;
    await queue.run({ opcode: "crc32", source: other, lengthBytes: 64 });
  });
});
