/**
 * The simulated board as a PCI device of this guest: the core of fpga/rtl, clocked outside, reads and writes our buffer by device address. What runs
 * here is the library as on any machine with hardware; only the path of the registers says where they are.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { CommandQueue, Core } from "../../../../src/fpga/index.ts";
import type { UioInterrupt } from "../../../../src/fpga/interrupts.ts";
import { Pool, Region } from "../../../../src/index.ts";

// An emulated machine on a busy one.
setDefaultTimeout(120_000);

const FRAME_BYTES = 4000;
const BLOCKS = 32;
const COMMANDS = 1200;
const BATCH = 16;

/** The PCI device with these numbers. */
function pciDevice(vendor: string, device: string): string {
  const root = "/sys/bus/pci/devices";
  const found = readdirSync(root).find(
    (address) =>
      readFileSync(`${root}/${address}/vendor`, "utf8").trim() === vendor &&
      readFileSync(`${root}/${address}/device`, "utf8").trim() === device,
  );
  if (found === undefined) throw new Error(`no PCI device ${vendor}:${device}`);
  return `${root}/${found}`;
}

function fillRandom(bytes: Uint8Array): void {
  crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
}

function queueOn(core: Core, region: Region, queue: number, wait: "interrupt" | "poll") {
  const pool = Pool.create(region, `blocks${queue}`, {
    frameBytes: FRAME_BYTES,
    blockCount: BLOCKS,
    metaBytes: 0,
  });
  return { pool, queue: CommandQueue.create(core, region, `queue${queue}`, { queue, pool, wait }) };
}

/** By queue: how often the event loop was woken by its interrupt. */
function countWakeUps(core: Core): () => readonly number[] {
  const sources: UioInterrupt[] = [];
  const before: number[] = [];
  const { interrupts } = core;
  core.interrupts = (queue) => {
    const source = interrupts.call(core, queue) as UioInterrupt;
    sources[queue] = source;
    // The kernel counts since the driver was bound.
    before[queue] = Number(readFileSync(`/sys/class/uio/uio${queue}/event`, "utf8"));
    return source;
  };
  return () => sources.map(({ count }, queue) => (count === 0 ? 0 : count - before[queue]!));
}

/** Copies and CRCs of random bytes, `count` commands, each checked. A block is in one command at a time. */
async function exercise(queue: CommandQueue, count: number): Promise<number> {
  const sets = Array.from({ length: BATCH / 2 }, () => ({
    from: queue.loan()!,
    to: queue.loan()!,
    other: queue.loan()!,
  }));
  let done = 0;
  while (done < count) {
    for (const { from, to, other } of sets) {
      fillRandom(from.bytes);
      fillRandom(other.bytes);
      to.bytes.fill(0);
    }
    const results = queue.submit(
      sets.flatMap(({ from, to, other }) => [
        { opcode: "copy" as const, source: from, destination: to },
        { opcode: "crc32" as const, source: other },
      ]),
    );
    const completions = await Promise.all(results);
    for (const [i, { from, to, other }] of sets.entries()) {
      expect(Bun.hash.crc32(other.bytes) >>> 0).toBe(completions[2 * i + 1]!.result >>> 0);
      expect(Buffer.compare(from.bytes, to.bytes)).toBe(0);
    }
    done += results.length;
  }
  for (const blocks of sets) {
    for (const block of Object.values(blocks)) block.release();
  }
  return done;
}

test("commands by UIO with interrupts: registers, MSI-X, and memory by device address", async () => {
  using region = Region.create("/dev/udmabuf0", {});
  using core = Core.open("/dev/uio0");
  expect(core.board).toBeNull();
  expect(core.abilities.queueCount).toBe(4);
  const wakeUps = countWakeUps(core);
  const { queue } = queueOn(core, region, 0, "interrupt");
  using _ = queue;
  const before = queue.counters;
  const done = await exercise(queue, COMMANDS);
  const { completionWrites, interruptEvents, busErrors } = queue.counters;
  expect(done).toBeGreaterThanOrEqual(COMMANDS);
  expect(completionWrites - before.completionWrites).toBe(done);
  expect(busErrors).toBe(0);
  expect(interruptEvents - before.interruptEvents).toBeGreaterThanOrEqual(COMMANDS / BATCH);
  // The event loop slept, and was woken by vector 0 of the device, not by its own look every 50 ms.
  expect(wakeUps()[0]).toBeGreaterThanOrEqual(COMMANDS / BATCH / 2);
});

test("two queues in one process, each with an interrupt of its own", async () => {
  using region = Region.create("/dev/udmabuf0", {});
  using core = Core.open(`${pciDevice("0x1af4", "0x1110")}/resource2`, {
    interrupts: (queue) => `/dev/uio${queue}`,
  });
  const wakeUps = countWakeUps(core);
  const { queue } = queueOn(core, region, 0, "interrupt");
  const { queue: other } = queueOn(core, region, 3, "interrupt");
  using _ = queue;
  using __ = other;
  await exercise(queue, 4 * BATCH);
  const [first, second] = [wakeUps()[0]!, wakeUps()[3]!];
  expect(first).toBeGreaterThanOrEqual(2);
  expect(second).toBe(0);
  await exercise(other, 4 * BATCH);
  expect(wakeUps()[3]).toBeGreaterThanOrEqual(2);
  expect(wakeUps()[0]).toBe(first);
});

test("commands by the BAR in sysfs, polled", async () => {
  using region = Region.create("/dev/udmabuf0", {});
  using core = Core.open(`${pciDevice("0x1af4", "0x1110")}/resource2`);
  const { queue } = queueOn(core, region, 1, "poll");
  using _ = queue;
  await exercise(queue, 200);
});

test("what the host refuses and what the core refuses, and a reset with commands under way", async () => {
  using region = Region.create("/dev/udmabuf0", {});
  using core = Core.open("/dev/uio2");
  const { queue } = queueOn(core, region, 2, "interrupt");
  using _ = queue;
  const from = queue.loan()!;
  const to = queue.loan()!;
  const refused = await queue
    .run({ opcode: "filter3x3", source: from, destination: to, width: 100 })
    .catch((error: Error) => error);
  expect(refused).toBeInstanceOf(Error);
  const sources = Array.from({ length: 8 }, () => queue.loan()!);
  const commands = queue.submit(sources.map((source) => ({ opcode: "crc32" as const, source })));
  const settled = Promise.allSettled(commands);
  await queue.reset();
  for (const result of await settled) {
    if (result.status === "rejected") expect(result.reason.code).toBe("QUEUE_RESET");
  }
  from.bytes.fill(0x5a);
  await queue.run({ opcode: "copy", source: from, destination: to });
  expect(to.bytes.every((byte) => byte === 0x5a)).toBe(true);
  for (const block of [from, to, ...sources]) block.release();
});
