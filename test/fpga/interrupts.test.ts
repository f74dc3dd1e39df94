/** Waiting by interrupt: it is what wakes the event loop, not the look that it takes every 50 ms, and it costs no more registers than polling does. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  type Block,
  type Command,
  CommandQueue,
  type CommandQueueOptions,
  Core,
  type InterruptModeration,
  SourceStream,
} from "../../src/fpga/index.ts";
import type { RegisterFile } from "../../src/memory/register-file.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Pool } from "../../src/ring/pool.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const BATCH = 32;
const ROUNDS = 15;
/** The look that the waiter takes by itself comes after 50 ms. */
const LIMIT_MS = 20;
const SLICE_MS = 50;

interface Bench {
  readonly core: Core;
  readonly queue: CommandQueue;
  readonly pool: Pool;
}

async function withQueue(
  options: CommandQueueOptions & { readonly slow?: boolean },
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  await using board = await TestBoard.start({
    seed: 1,
    arguments: options.slow ? ["--latency", "400:400"] : [],
  });
  const pool = Pool.create(board.region, "blocks", { frameBytes: 256, blockCount: 2 * BATCH, metaBytes: 0 });
  using core = Core.open(board.where);
  using queue = CommandQueue.create(core, board.region, "queue", {
    queue: 0,
    pool,
    capacity: 64,
    ...options,
  });
  await body({ core, queue, pool });
}

function copies(queue: CommandQueue, count: number): Command[] {
  return Array.from({ length: count }, () => ({
    opcode: "copy",
    source: queue.loan()!,
    destination: queue.loan()!,
  }));
}

/** Register writes from now on. */
function countWrites(core: Core): () => number {
  const registers = core.registers as { -readonly [K in "write"]: RegisterFile[K] };
  const { write } = registers;
  let count = 0;
  registers.write = (offset, value) => {
    count++;
    write.call(core.registers, offset, value);
  };
  return () => count;
}

describe.skipIf(missing !== null)("waiting by interrupt", () => {
  test.each([undefined, { count: 1, cycles: 0 }, { count: 1000, cycles: 0 }])(
    "one command, %j: it is noticed at once",
    async (interrupt) => {
      await withQueue(interrupt === undefined ? {} : { interrupt }, async ({ queue }) => {
        const [command] = copies(queue, 1) as [Command];
        const times: number[] = [];
        const before = queue.counters.interruptEvents;
        for (let round = 0; round < ROUNDS; round++) {
          const startMs = performance.now();
          await queue.run(command);
          times.push(performance.now() - startMs);
        }
        // Without interrupts every round waits for the slice; some are quick on any machine.
        expect(times.toSorted((a, b) => a - b)[2]).toBeLessThan(LIMIT_MS);
        expect(queue.counters.interruptEvents - before).toBe(ROUNDS);
      });
    },
  );

  test("a batch of 32 is one interrupt and two register writes", async () => {
    await withQueue({}, async ({ core, queue }) => {
      const batch = copies(queue, BATCH);
      await Promise.all(queue.submit(batch));
      const writes = countWrites(core);
      const before = queue.counters.interruptEvents;
      const startMs = performance.now();
      for (let round = 0; round < ROUNDS; round++) await Promise.all(queue.submit(batch));
      // Where the machine has other things to do, the waiter's own looks acknowledge what is there.
      const slices = (performance.now() - startMs) / SLICE_MS;
      expect(writes()).toBeGreaterThanOrEqual(2 * ROUNDS);
      expect(writes()).toBeLessThanOrEqual(2 * ROUNDS + 2 * slices);
      const events = queue.counters.interruptEvents - before;
      expect(events).toBeGreaterThan(0);
      expect(events).toBeLessThanOrEqual(ROUNDS + slices);
    });
  });

  test.each([
    [{ count: 1, cycles: 0 }, 2, 8],
    [{ count: 4, cycles: 0 }, 1, 2],
    [{ count: 64, cycles: 0 }, 1, 1],
    [{ count: 64, cycles: 1 }, 2, 8],
  ] as [InterruptModeration, number, number][])(
    "eight commands after each other, %j: %d to %d interrupts",
    async (interrupt, least, most) => {
      await withQueue({ interrupt, slow: true }, async ({ queue }) => {
        const commands = copies(queue, 8);
        // It listens from its first command on.
        await queue.run(commands[0]!);
        let seen = 0;
        // A host that is off its CPU for all of them hears of them once.
        for (let attempt = 0; attempt < 10 && seen < least; attempt++) {
          const before = queue.counters.interruptEvents;
          const startMs = performance.now();
          await Promise.all(queue.submit(commands));
          const slices = (performance.now() - startMs) / SLICE_MS;
          seen = queue.counters.interruptEvents - before;
          expect(seen).toBeLessThanOrEqual(most + slices);
        }
        expect(seen).toBeGreaterThanOrEqual(least);
      });
    },
  );

  test("frames of a paced queue interrupt one by one: most of them wake the host", async () => {
    await withQueue({ paceCycles: 4000 }, async ({ queue }) => {
      const source = new SourceStream<Block>(queue, { loan: () => queue.loan(), depth: 4 });
      const before = queue.counters.interruptEvents;
      let taken = 0;
      for await (const { frame } of source) {
        frame.release();
        if (++taken === ROUNDS) break;
      }
      expect(queue.counters.interruptEvents - before).toBeGreaterThanOrEqual(ROUNDS / 2);
    });
  });

  test("moderation that makes no sense, and interrupts that cannot be had, leave no queue behind", async () => {
    await withQueue({}, async ({ core, pool }) => {
      const { region } = pool;
      const create = (options: CommandQueueOptions): unknown => {
        try {
          return CommandQueue.create(core, region, "other", { queue: 1, pool, ...options });
        } catch (error) {
          return error;
        }
      };
      for (const interrupt of [
        { count: 0, cycles: 0 },
        { count: 1.5, cycles: 0 },
        { count: 1, cycles: -1 },
        { count: Number.NaN, cycles: 0 },
      ])
        expect(create({ interrupt })).toHaveProperty("code", "ARGUMENT");
      const failure = new Error("no such device");
      const { interrupts } = core;
      core.interrupts = () => {
        throw failure;
      };
      expect(create({})).toBe(failure);
      core.interrupts = interrupts;
      const queue = create({}) as CommandQueue;
      await queue.run({ opcode: "nop" });
      queue.close();
      expect(Participant.of(region).recoverDead()).toBe(0);
    });
  });
});
