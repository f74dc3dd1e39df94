/** What becomes of a queue and its blocks when the process that owns them dies, closes its region, or the device goes. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { rmSync } from "node:fs";
import type { Coherency } from "../../src/fpga/board.ts";
import { CommandQueue, Core, SimulatedBoard } from "../../src/fpga/index.ts";
import { DeviceRegister } from "../../src/fpga/layout.ts";
import { Region } from "../../src/memory/region.ts";
import { boardDirectory } from "../../src/memory/register-file.ts";
import type { RecoveryEvent } from "../../src/ring/deaths.ts";
import { queuePage } from "../../src/ring/hardware-layout.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Pool } from "../../src/ring/pool.ts";
import { expectCode } from "../support/errors.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";
import { expectNobodyWrites } from "./free-blocks.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const MODES: readonly Coherency[] = ["full", "io", "none"];
const HOST = new URL("./fixtures/hung-host.ts", import.meta.url).pathname;
const BUSY_HOST = new URL("./fixtures/busy-host.ts", import.meta.url).pathname;
const BLOCKS = 12;

async function startHung(coherency: Coherency): Promise<{ board: TestBoard; pool: Pool; core: Core }> {
  const board = await TestBoard.start({ coherency, seed: 1, arguments: ["--fault", "hang:0:0:16777216"] });
  const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
  const core = Core.open(board.where);
  CommandQueue.create(core, board.region, "queue", { queue: 2, pool }).close();
  return { board, pool, core };
}

async function killHost(
  board: TestBoard,
  before: () => void | Promise<void> = () => undefined,
  host = HOST,
): Promise<RecoveryEvent[]> {
  const child = Bun.spawn([process.execPath, host, board.name, board.name], {
    stdout: "pipe",
    stderr: "inherit",
  });
  for await (const chunk of child.stdout) if (new TextDecoder().decode(chunk).includes("submitted")) break;
  const participant = Participant.of(board.region);
  await before();
  child.kill("SIGKILL");
  await child.exited;
  const events: RecoveryEvent[] = [];
  const stop = participant.onDeath(({ recovery }) => void (recovery !== null && events.push(recovery)));
  while (participant.recoverDead() === 0) await Bun.sleep(1);
  stop();
  return events;
}

describe.skipIf(missing !== null).each(MODES)("the owner was killed, coherency %s", (coherency) => {
  test("hardware that does not go idle keeps its blocks: quarantined, reported, and given back when it does", async () => {
    const { board, pool, core } = await startHung(coherency);
    await using _ = board;
    const [event] = await killHost(board);
    expect(event!.quarantined).toMatchObject([{ queue: "queue", blocks: 4 }]);
    expect(event!.quarantined[0]!.reason).toMatch(/^not idle within 1000 ms: state 0x[0-9a-f]+02$/);
    expect(pool.countFree()).toBe(BLOCKS - 4);
    // Nobody gets the queue before it was seen idle.
    expectCode("QUEUE_STUCK", () => CommandQueue.open(core, board.region, "queue"));
    expect(pool.countFree()).toBe(BLOCKS - 4);
    board.simulation.process.kill("SIGHUP");
    await Bun.sleep(50);
    using queue = CommandQueue.open(core, board.region, "queue");
    expect(pool.countFree()).toBe(BLOCKS);
    expect(queue.state).toBe("running");
  });

  test("in mid-burst: no byte of a block changes after it was reported free", async () => {
    await using board = await TestBoard.start({
      coherency,
      seed: 4,
      arguments: ["--latency", "200:400"],
    });
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: 24, metaBytes: 0 });
    using core = Core.open(board.where);
    CommandQueue.create(core, board.region, "queue", { queue: 1, pool, capacity: 8, wait: "poll" }).close();
    const participant = Participant.of(board.region);
    let held = 0;
    for (let kill = 0; kill < 3; kill++) {
      // The bus stands still with bursts under way; a cleaner that does not wait for idle reports their blocks free before it goes on.
      let release: Promise<unknown> | null = null;
      const hold = async (): Promise<void> => {
        await Bun.sleep(3 * kill);
        for (;;) {
          board.hold(true);
          await Bun.sleep(5);
          const page = queuePage(1);
          const done = core.registers.read(page + DeviceRegister.cqTail);
          if (core.registers.read(page + DeviceRegister.sqHead) !== done) break;
          board.hold(false);
          await Bun.sleep(1);
        }
        release = board.releaseLater(0.6);
      };
      const [event] = await killHost(board, hold, BUSY_HOST);
      held += event!.blocksReclaimed;
      // A board that got no processor for a second did not show that it is idle: its queue's next owner sees it.
      if (event!.quarantined.length > 0) CommandQueue.open(core, board.region, "queue").close();
      expect(pool.countFree()).toBe(24);
      await expectNobodyWrites(board, core, participant, pool, 1, release);
    }
    // It was under way, or nothing was shown.
    expect(held).toBeGreaterThan(0);
  });

  test("a device whose magic is all ones has nothing under way any more", async () => {
    const { board, pool, core } = await startHung(coherency);
    await using _ = board;
    // The board stands still, so that it does not write its registers: the host sees what a removed device shows.
    board.simulation.process.kill("SIGSTOP");
    core.registers.write(0, -1);
    try {
      const region = Region.open(board.name);
      const participant = Participant.of(region);
      expectCode("DEVICE_GONE", () => Core.open(board.where));
      expect(participant.recoverDead()).toBe(0);
      region.close();
    } finally {
      core.registers.write(0, 0x57485250);
      board.simulation.process.kill("SIGCONT");
    }
    expect(pool.countFree()).toBe(BLOCKS);
  });
});

describe.skipIf(missing !== null).each(MODES)("the board was killed, coherency %s", (coherency) => {
  test("its host learns of it, and has its blocks back", async () => {
    await using board = await TestBoard.start({
      coherency,
      seed: 1,
      arguments: ["--fault", "hang:0:0:16777216"],
    });
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
    using core = Core.open(board.where);
    using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool });
    const [source, destination] = [queue.loan()!, queue.loan()!];
    const running = queue.run({ opcode: "copy", source, destination }).catch((error: unknown) => error);
    board.simulation.process.kill("SIGKILL");
    await board.simulation.process.exited;
    expect(await running).toHaveProperty("code", "DEVICE_GONE");
    source.release();
    destination.release();
    expect(pool.countFree()).toBe(BLOCKS);
    expect(queue.state).toBe("halted");
    expectCode("DEVICE_GONE", () => queue.submit([]));
  });

  test.each(["interrupt", "poll"] as const)(
    "reset() says that it is gone, every time; waiting by %s",
    async (wait) => {
      await using board = await TestBoard.start({ coherency, seed: 1 });
      const pool = Pool.create(board.region, "blocks", {
        frameBytes: 4096,
        blockCount: BLOCKS,
        metaBytes: 0,
      });
      using core = Core.open(board.where);
      using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, wait });
      // Nothing is under way: nobody has noticed yet. The directory goes as well, and the socket of the interrupts with it.
      board.simulation.process.kill("SIGTERM");
      await board.simulation.process.exited;
      for (let i = 0; i < 2; i++) {
        const error = await queue.reset().catch((thrown: unknown) => thrown);
        expect(error).toHaveProperty("code", "DEVICE_GONE");
        expect(queue.state).toBe("halted");
        const refused = await queue.run({ opcode: "nop" }).catch((thrown: unknown) => thrown);
        expect(refused).toHaveProperty("code", "DEVICE_GONE");
      }
      queue.close();
      expect(pool.countFree()).toBe(BLOCKS);
    },
  );

  test("a command submitted to a board that is gone with its directory fails, and another board goes on", async () => {
    await using board = await TestBoard.start({ coherency, seed: 1 });
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
    const core = Core.open(board.where);
    const queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool });
    const block = queue.loan()!;
    board.simulation.process.kill("SIGTERM");
    await board.simulation.process.exited;
    const error = await queue.run({ opcode: "crc32", source: block }).catch((thrown: unknown) => thrown);
    expect(error).toHaveProperty("code", "DEVICE_GONE");
    block.release();
    queue.close();
    core[Symbol.dispose]();
    // The same name, the same queue, other device addresses.
    await using _ = await SimulatedBoard.start({ name: board.name, region: board.region, coherency });
    using again = Core.open(board.where);
    using next = CommandQueue.open(again, board.region, "queue");
    using source = next.loan()!;
    await next.run({ opcode: "crc32", source });
    expect(pool.countFree()).toBe(BLOCKS - 1);
  });

  test("a queue whose board is gone with its registers is nobody's after its owner's death", async () => {
    const { board, pool } = await startHung(coherency);
    await using _ = board;
    const [event] = await killHost(board, () => {
      board.simulation.process.kill("SIGKILL");
      rmSync(boardDirectory(board.name), { recursive: true, force: true }); // its other half may be at it, too
    });
    expect(event!.quarantined).toEqual([]);
    expect(pool.countFree()).toBe(BLOCKS);
  });
});

describe.skipIf(missing !== null).each(MODES)("an orderly end, coherency %s", (coherency) => {
  test("closing the region closes the queue; what was under way fails, and its blocks come back", async () => {
    await using board = await TestBoard.start({ coherency, seed: 2, arguments: ["--latency", "300:500"] });
    const region = Region.open(board.name);
    const pool = Pool.create(region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
    using core = Core.open(board.where);
    const queue = CommandQueue.create(core, region, "queue", { queue: 0, pool });
    const [source, destination] = [queue.loan()!, queue.loan()!];
    const running = queue.run({ opcode: "copy", source, destination }).catch((error: unknown) => error);
    region.close();
    expect(await running).toHaveProperty("code", "QUEUE_CLOSED");
    expect(Pool.open(board.region, "blocks").countFree()).toBe(BLOCKS);
    using again = CommandQueue.open(core, board.region, "queue");
    expect(again.room).toBe(again.capacity);
  });

  test("a queue that a vanished region left running can be taken with force only", async () => {
    await using board = await TestBoard.start({ coherency, seed: 3 });
    const other = Region.create(`${board.name}-other`, { size: "1MiB" });
    using core = Core.open(board.where);
    // The board does not know this region: take what its registers say, started by hand.
    core.registers.write(0x1000 + 0x004, 3);
    core.registers.write(0x1000, 77 * 256 + 1);
    while ((core.registers.read(0x1000 + 0x100) & 255) === 0) await Bun.sleep(1);
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
    expectCode("IN_USE", () => CommandQueue.create(core, board.region, "queue", { queue: 0, pool }));
    using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, force: true });
    using block = queue.loan()!;
    await queue.run({ opcode: "crc32", source: block });
    other.close();
    Region.destroy(`${board.name}-other`);
  });
});

describe.skipIf(missing !== null)("geometry that a device which is not coherent does not allow", () => {
  test("blocks that share granules of the cache", async () => {
    await using board = await TestBoard.start({ coherency: "none", seed: 1 });
    using core = Core.open(board.where);
    const pool = Pool.create(board.region, "blocks", { frameBytes: 100, blockCount: BLOCKS, metaBytes: 0 });
    expect(pool.geometry.blockBytes % core.granuleBytes).toBe(0);
    Object.defineProperty(core, "granuleBytes", { value: 256 });
    expectCode("ARGUMENT", () => CommandQueue.create(core, board.region, "queue", { queue: 0, pool }));
  });

  test("queue memory in the cached region", async () => {
    await using board = await TestBoard.start({ coherency: "none", seed: 1 });
    using core = Core.open(board.where);
    const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
    Object.defineProperty(core, "queueMemory", { value: null });
    const error = expectCode("ARGUMENT", () =>
      CommandQueue.create(core, board.region, "queue", { queue: 0, pool }),
    );
    expect(error.message).toContain("non-cached");
  });
});
