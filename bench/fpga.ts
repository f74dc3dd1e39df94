/**
 * What a command costs the host: time to submit and reap at batch 32 and what it allocates, against the stub of fpga/sim that completes everything at
 * once; and the bus transactions per command, from the counters of the core, on the simulated board.
 *
 *     npm run bench:fpga [-- --json]
 *
 * Timed are staging, doorbell and reaping; not the wait in between, which is the device's. Figures are medians over batches, so a batch that lost the
 * processor to somebody else does not count. Cache maintenance is not in them: on a device that is not coherent a batch adds three system calls
 * (sources and destinations for the device, destinations for the CPU), whatever its size; what an empty one takes is a row of its own.
 */
import { heapStats } from "bun:jsc";
import { parseArgs } from "node:util";
import { closeFile, ioctl } from "../src/ffi/files.ts";
import { datagramSocket } from "../src/ffi/sockets.ts";
import { CommandQueue, Core, Opcode } from "../src/fpga/index.ts";
import { Pool } from "../src/ring/pool.ts";
import { TestBoard } from "../test/fpga/boards.ts";

const BATCH = 32;
const ROUNDS = 20_000;
const WARM_ROUNDS = 5_000;
const BUS_BATCHES = 20;
const BLOCK_BYTES = 1024;
const LIMIT_NS = 150;

interface HostCost {
  readonly name: string;
  readonly nsPerCommand: number;
  /** A tenth of the batches was faster. */
  readonly p10: number;
  readonly p90: number;
  readonly bytesAllocatedPerCommand: number;
}

interface Steps {
  readonly submit: () => void;
  /** Spins until the whole batch is completed. */
  readonly wait: () => void;
  readonly reap: () => void;
}

function measure(name: string, { submit, wait, reap }: Steps): HostCost {
  const times = new Float64Array(ROUNDS);
  for (let i = -WARM_ROUNDS; i < ROUNDS; i++) {
    const start = Bun.nanoseconds();
    submit();
    const submitted = Bun.nanoseconds();
    wait();
    const completed = Bun.nanoseconds();
    reap();
    if (i >= 0) times[i] = (submitted - start + (Bun.nanoseconds() - completed)) / BATCH;
  }
  Bun.gc(true);
  const before = heapStats().heapCapacity;
  for (let i = 0; i < ROUNDS; i++) {
    submit();
    wait();
    reap();
  }
  const bytesAllocatedPerCommand = Math.round((heapStats().heapCapacity - before) / ROUNDS / BATCH);
  times.sort();
  const at = (part: number): number => Math.round(times[Math.floor(part * ROUNDS)]! * 10) / 10;
  return { name, nsPerCommand: at(0.5), p10: at(0.1), p90: at(0.9), bytesAllocatedPerCommand };
}

async function hostCosts(): Promise<HostCost[]> {
  await using board = await TestBoard.start({ program: "stub" });
  const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: 2 * BATCH, metaBytes: 0 });
  using core = Core.open(board.where);
  using queue = CommandQueue.create(core, board.region, "queue", {
    queue: 0,
    pool,
    capacity: 2 * BATCH,
    wait: "poll",
  });
  const { blocks } = queue;
  const { ring } = blocks;
  const loaned = Array.from({ length: 2 * BATCH }, () => queue.loan()!);
  const numbers = Int32Array.from(loaned, ({ block }) => block);
  const base = core.board!.memories[0]!.deviceBase + loaned[0]!.offset;
  const low = (base % 2 ** 32) | 0;
  const high = Math.floor(base / 2 ** 32);
  const wait = (): void => {
    while (!ring.readyAt(BATCH - 1));
  };
  return [
    measure("addresses, numbers only (CommandRing)", {
      submit: () => {
        for (let i = 0; i < BATCH; i++) ring.put(Opcode.copy, low, high, low + 4096, high, 4096, 0, 0, 0, 0);
        ring.submit();
      },
      wait,
      reap: () => void ring.reap(BATCH),
    }),
    measure("one block that becomes the hardware's and comes back (BlockQueue)", {
      submit: () => {
        for (let i = 0; i < BATCH; i++) blocks.stage(Opcode.crc32, numbers[i]!, 0, -1, 0, 4096, 0, 0, 0);
        blocks.submit();
      },
      wait,
      reap: () => void blocks.reap(BATCH),
    }),
    measure("two blocks that become the hardware's and come back (BlockQueue)", {
      submit: () => {
        for (let i = 0; i < BATCH; i++)
          blocks.stage(Opcode.copy, numbers[2 * i]!, 0, numbers[2 * i + 1]!, 0, 4096, 0, 0, 0);
        blocks.submit();
      },
      wait,
      reap: () => void blocks.reap(BATCH),
    }),
  ];
}

async function busCosts(): Promise<Record<string, number>> {
  await using board = await TestBoard.start({ seed: 1 });
  const pool = Pool.create(board.region, "blocks", {
    frameBytes: BLOCK_BYTES,
    blockCount: 2 * BATCH,
    metaBytes: 0,
  });
  using core = Core.open(board.where);
  using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, capacity: 2 * BATCH });
  const pairs = Array.from({ length: BATCH }, () => [queue.loan()!, queue.loan()!] as const);
  const before = queue.counters;
  for (let i = 0; i < BUS_BATCHES; i++)
    await Promise.all(
      queue.submit(pairs.map(([source, destination]) => ({ opcode: "copy", source, destination }))),
    );
  queue.close();
  const after = core.counters(0);
  const per = (key: keyof typeof after): number => (after[key] - before[key]) / (BUS_BATCHES * BATCH);
  return {
    descriptorFetches: per("descriptorFetches"),
    completionWrites: per("completionWrites"),
    readBursts: per("readBursts"),
    writeBursts: per("writeBursts"),
    interrupts: per("interruptEvents"),
  };
}

const FIONREAD = 0x541b;
const CALLS = 200_000;

/**
 * What one sync call costs before the driver does anything: an ioctl that answers at once, through the function that the sync calls use. The maintenance of the
 * ranges comes on top; it takes a machine whose device does not snoop to measure that.
 */
function emptyIoctlNs(): number {
  const socket = datagramSocket();
  const argument = new Uint8Array(new ArrayBuffer(8));
  const times = new Float64Array(20);
  for (let round = -2; round < times.length; round++) {
    const start = Bun.nanoseconds();
    for (let i = 0; i < CALLS; i++) ioctl(socket, FIONREAD, argument, "FIONREAD");
    if (round >= 0) times[round] = (Bun.nanoseconds() - start) / CALLS;
  }
  closeFile(socket);
  return Math.round(times.sort()[times.length / 2]!);
}

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const host = await hostCosts();
const bus = await busCosts();
const ioctlNs = emptyIoctlNs();
if (values.json) console.log(JSON.stringify({ batch: BATCH, host, bus, ioctlNs }));
else {
  console.log(`host, batch ${BATCH}, ns per command to submit and reap (limit ${LIMIT_NS}):`);
  for (const { name, nsPerCommand, p10, p90, bytesAllocatedPerCommand } of host)
    console.log(
      `  ${name.padEnd(68)} ${nsPerCommand} (${p10}-${p90}), ${bytesAllocatedPerCommand} bytes allocated`,
    );
  console.log(
    `sync calls, apart: an ioctl that does nothing takes ${ioctlNs} ns; 3 for a batch, ${Math.round((3 * ioctlNs) / BATCH)} ns per command, maintenance on top`,
  );
  console.log(`bus, batch ${BATCH}, copies of ${BLOCK_BYTES} bytes, per command:`);
  for (const [name, value] of Object.entries(bus))
    console.log(`  ${name.padEnd(68)} ${Math.round(value * 1000) / 1000}`);
}
