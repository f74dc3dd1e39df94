/**
 * A host is killed before and after each of its writes to shared memory and to registers, from opening the queue to closing it; whatever it was doing, recovery
 * gives every block back and the next host goes on (the table in PROTOCOL.md §10.8).
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { CommandQueue, Core } from "../../src/fpga/index.ts";
import { ObjectKind } from "../../src/memory/layout.ts";
import { HardwareQueue } from "../../src/ring/hardware-queue.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Pool } from "../../src/ring/pool.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";
import { liftQuarantine } from "./quarantine.ts";

setDefaultTimeout(240_000);
const missing = await whyNoBoards();
const HOST = new URL("./fixtures/stepped-host.ts", import.meta.url).pathname;
const BLOCKS = 8;
/** Every step takes a quarter of an hour on a busy machine; by default a spread of them, another one each time. */
const SAMPLES = Number(process.env["PHYSRING_FPGA_STEPS"] ?? 40);

async function live(board: TestBoard, step: number): Promise<{ status: number; output: string }> {
  const child = Bun.spawn([process.execPath, HOST, board.name, board.name, String(step)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const [status, output] = await Promise.all([child.exited, new Response(child.stdout).text()]);
  return { status, output };
}

test.skipIf(missing !== null).each([
  ["full", SAMPLES],
  ["io", SAMPLES / 8],
  ["none", SAMPLES / 8],
] as const)("killed at any step, coherency %s", async (coherency, samples) => {
  await using board = await TestBoard.start({ coherency, seed: 1, arguments: ["--latency", "20:60"] });
  const participant = Participant.of(board.region);
  const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
  using core = Core.open(board.where);
  CommandQueue.create(core, board.region, "queue", { queue: 1, pool, capacity: 4 }).close();
  const object = HardwareQueue.at(
    board.region,
    board.region.directory.open("queue", ObjectKind.hardwareQueue),
  );
  const whole = await live(board, 0);
  expect(whole.status).toBe(0);
  const steps = Number(whole.output);
  expect(steps).toBeGreaterThan(100);
  const first = 1 + Math.floor(Math.random() * Math.max(1, steps / samples));
  const stride = Math.max(1, steps / samples);
  let killed = 0;
  for (let step = first; step <= steps; step += stride) {
    const at = Math.floor(step);
    // The last steps are those of its region; how often it looked before may differ from life to life.
    if ((await live(board, at)).status === 0) continue;
    killed++;
    while (participant.recoverDead() === 0 && object.owner >= 0) await Bun.sleep(1);
    if (object.quarantined) await liftQuarantine(core, board.region, "queue");
    expect({
      at,
      owner: object.owner,
      started: object.started,
      held: object.countHeld(),
      free: pool.countFree(),
    }).toEqual({
      at,
      owner: -1,
      started: false,
      held: 0,
      free: BLOCKS,
    });
  }
  expect(killed).toBeGreaterThan(0.7 * Math.min(samples, steps));
  expect((await live(board, 0)).status).toBe(0);
});
