/** Submitting is all or nothing, whatever throws on the way: a sync call of the driver, a barrier of a board that is gone, an interrupt that cannot be enabled. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Block, CommandQueue, Core, type DeviceMemory } from "../../src/fpga/index.ts";
import { Pool } from "../../src/ring/pool.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const BLOCKS = 8;
const FAILURE = new Error("the driver said no");

/** What is to throw once. */
type Step = "to-device" | "from-device" | "wmb" | "enable" | null;

/** A core on a machine without coherency, in which one step can be made to fail. */
function fragile(core: Core): { fail: Step } {
  const state: { fail: Step } = { fail: null };
  const maybe = (step: Step): void => {
    if (state.fail !== step) return;
    state.fail = null;
    throw FAILURE;
  };
  const { deviceMemory, order, interrupts } = core;
  core.deviceMemory = (region, queue): DeviceMemory => {
    const memory = deviceMemory.call(core, region, queue);
    return {
      base: memory.base,
      coherent: memory.coherent,
      syncForDevice: (batch, direction) => {
        maybe(direction === "to-device" ? "to-device" : "from-device");
        memory.syncForDevice(batch, direction);
      },
      syncForCpu: (batch, direction) => memory.syncForCpu(batch, direction),
    };
  };
  core.order = (queue) => {
    const own = order.call(core, queue);
    return {
      wmb: () => {
        maybe("wmb");
        own.wmb();
      },
      rmb: () => own.rmb(),
    };
  };
  core.interrupts = (queue) => {
    const source = interrupts.call(core, queue)!;
    const enable = source.enable.bind(source);
    source.enable = () => {
      maybe("enable");
      enable();
    };
    return source;
  };
  return state;
}

async function withQueue(
  body: (queue: CommandQueue, pool: Pool, state: { fail: Step }) => Promise<void>,
): Promise<void> {
  await using board = await TestBoard.start({ coherency: "none", seed: 1 });
  const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
  using core = Core.open(board.where);
  const state = fragile(core);
  using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, capacity: 4 });
  await body(queue, pool, state);
}

function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return null;
}

describe.skipIf(missing !== null)("a batch of which nothing reaches the core", () => {
  test.each(["to-device", "from-device", "wmb"] as const)(
    "because of %s: it throws, nothing is under way, and the next batch is sent alone",
    async (step) => {
      await withQueue(async (queue, pool, state) => {
        const blocks = Array.from({ length: 4 }, () => queue.loan()!);
        const [source, destination, list, other] = blocks as [Block, Block, Block, Block];
        list.bytes.fill(7);
        const before = queue.counters.completionWrites;
        for (const submit of [
          () => queue.submit([{ opcode: "copy", source, destination }, { opcode: "nop" }]),
          () => queue.post([{ opcode: "copy", source, destination }]),
          () =>
            queue.submit([
              {
                opcode: "copy",
                source: [{ frame: list, lengthBytes: 64 }],
                destination: other,
                lengthBytes: 64,
              },
            ]),
        ]) {
          state.fail = step;
          expect(thrownBy(submit)).toBe(FAILURE);
          expect([queue.underWay, queue.room, queue.state]).toEqual([0, 4, "running"]);
          for (const { block } of blocks) expect(pool.holders(block) >>> 31).toBe(0);
        }
        await queue.run({ opcode: "copy", source: list, destination });
        expect(destination.bytes.every((byte) => byte === 7)).toBe(true);
        expect(queue.counters.completionWrites - before).toBe(1);
        for (const block of blocks) block.release();
        expect(pool.countFree()).toBe(BLOCKS);
      });
    },
  );

  test("an interrupt that cannot be enabled fails what is under way with its reason, and reset() starts anew", async () => {
    await withQueue(async (queue, pool, state) => {
      state.fail = "enable";
      const [source, destination] = [queue.loan()!, queue.loan()!];
      const error = await queue.run({ opcode: "copy", source, destination }).catch((e: unknown) => e);
      expect(error).toBe(FAILURE);
      expect(queue.state).toBe("halted");
      await queue.reset();
      await queue.run({ opcode: "copy", source, destination });
      source.release();
      destination.release();
      expect(pool.countFree()).toBe(BLOCKS);
    });
  });
});
