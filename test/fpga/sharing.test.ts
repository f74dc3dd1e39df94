/**
 * Four processes on one core: each drives a queue of its own, all take their blocks from one pool, so that whatever one of them or the core writes where it
 * must not is seen in the bytes of another. One is killed while every queue has commands under way: the others go on, its blocks come back, another process
 * takes its queue.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { CommandQueue, Core } from "../../src/fpga/index.ts";
import { DeviceRegister, HostRegister } from "../../src/fpga/layout.ts";
import { ObjectKind } from "../../src/memory/layout.ts";
import { queuePage, StopRegisters } from "../../src/ring/hardware-layout.ts";
import { HardwareQueue } from "../../src/ring/hardware-queue.ts";
import { Participant } from "../../src/ring/participant.ts";
import { Pool } from "../../src/ring/pool.ts";
import { Patience } from "../support/patience.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";
import { expectNobodyWrites } from "./free-blocks.ts";
import { HostProcess } from "./host-process.ts";
import { liftQuarantine } from "./quarantine.ts";

const missing = await whyNoBoards();
const QUEUES = [0, 1, 2, 3];
const VICTIM = 2;
const CAPACITY = 16;
/** Two for each command, and one for what a host offers to be refused. */
const BLOCKS = QUEUES.length * (2 * CAPACITY + 1);
/** One after the other in a run; many in a soak. */
const KILLS = Number(process.env["PHYSRING_FPGA_KILLS"] ?? 1);
setDefaultTimeout(60_000 + 30_000 * KILLS);

async function until(what: string, condition: () => boolean): Promise<void> {
  const patience = new Patience(60_000);
  while (!condition()) {
    if (patience.isOver) throw new Error(`waited for too long until ${what}`);
    await Bun.sleep(1);
  }
}

/** The bus stands still afterwards, with commands of every queue under way, some of the victim's and their blocks in the core. */
async function holdInMidBurst(board: TestBoard, core: Core, victim: HardwareQueue): Promise<void> {
  const read = (queue: number, register: number): number => core.registers.read(queuePage(queue) + register);
  const underWay = (queue: number): boolean =>
    read(queue, HostRegister.sqTail) !== read(queue, DeviceRegister.cqTail);
  for (
    let holdMs = 10, patience = new Patience(60_000);
    !patience.isOver;
    holdMs = Math.min(2 * holdMs, 500)
  ) {
    board.hold(true);
    await Bun.sleep(holdMs);
    const inCore =
      (read(VICTIM, StopRegisters.state) & StopRegisters.stateMask) === StopRegisters.stateRunning &&
      read(VICTIM, DeviceRegister.sqHead) !== read(VICTIM, DeviceRegister.cqTail) &&
      victim.countHeld() > 0;
    if (inCore && QUEUES.every(underWay)) return;
    // A host that resets its queue waits until the bus goes on.
    board.hold(false);
    await Bun.sleep(1);
  }
  throw new Error("the queues never had commands under way all at once");
}

/** All have submitted this many commands more. */
async function goOn(hosts: readonly HostProcess[], commands: number): Promise<void> {
  const before = hosts.map((host) => host.tally.submitted);
  await until(`each has run ${commands} commands more`, () =>
    hosts.every((host, i) => host.tally.submitted >= before[i]! + commands),
  );
}

test.skipIf(missing !== null).each([
  ["full", 200],
  ["io", 50],
  ["none", 50],
] as const)("four processes on one core, one of them killed, coherency %s", async (coherency, commands) => {
  await using board = await TestBoard.start({ coherency, seed: 5, arguments: ["--latency", "200:400"] });
  const { region, name } = board;
  const participant = Participant.of(region);
  using core = Core.open(board.where);
  const pool = Pool.create(region, "blocks", { frameBytes: 4096, blockCount: BLOCKS, metaBytes: 0 });
  const objects = QUEUES.map((queue) => {
    const options = { queue, pool, capacity: CAPACITY, maxParts: 8, wait: "poll" } as const;
    CommandQueue.create(core, region, `queue${queue}`, options).close();
    return HardwareQueue.at(region, region.directory.open(`queue${queue}`, ObjectKind.hardwareQueue));
  });
  const start = (queue: number, seed: number): HostProcess =>
    new HostProcess({
      board: name,
      region: name,
      queue: `queue${queue}`,
      seed,
      commands: Number.MAX_SAFE_INTEGER,
      errors: false,
      wait: queue % 2 === 0 ? "poll" : "interrupt",
    });
  const hosts = QUEUES.map((queue) => start(queue, queue));
  const victimsQueue = objects[VICTIM]!;
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      await goOn(hosts, commands);
      await holdInMidBurst(board, core, victimsQueue);
      hosts[VICTIM]!.kill();
      await hosts[VICTIM]!.ended;
      // A cleaner that does not wait for idle gives the blocks away while the core still writes them.
      const released = board.releaseLater(0.3);
      // This process cleans up, or one of the other hosts.
      await until("the queue has no owner", () => {
        participant.recoverDead();
        return victimsQueue.owner < 0;
      });
      await expectNobodyWrites(board, core, participant, pool, VICTIM, released);
      if (victimsQueue.quarantined) await liftQuarantine(core, region, `queue${VICTIM}`);
      expect(victimsQueue.countHeld()).toBe(0);
      hosts[VICTIM] = start(VICTIM, 100 + kill);
    }
    await goOn(hosts, commands);
    for (const host of hosts) host.finish();
    await Promise.all(hosts.map((host) => host.ended));
    for (const [queue, { tally }] of hosts.entries()) {
      expect(tally).toMatchObject({ done: true, failed: 0, halted: 0 });
      expect(tally.ok + tally.reset + tally.timedOut).toBe(tally.submitted);
      expect(tally.ok).toBeGreaterThan(0);
      const { completionWrites, busErrors } = core.counters(queue);
      expect(completionWrites).toBeGreaterThanOrEqual(tally.ok);
      expect(busErrors).toBe(0);
    }
    const sum = (what: "ok" | "submitted"): number => hosts.reduce((all, { tally }) => all + tally[what], 0);
    expect(sum("ok")).toBeGreaterThan(sum("submitted") / 2);
    expect(objects.map(({ owner, quarantined }) => [owner, quarantined])).toEqual(
      QUEUES.map(() => [-1, false]),
    );
    expect(objects.map((object) => object.countHeld())).toEqual(QUEUES.map(() => 0));
    expect(pool.countFree()).toBe(BLOCKS);
    await board.simulation.stop();
  } finally {
    for (const host of hosts) host.kill();
  }
});
