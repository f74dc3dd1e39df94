/**
 * What a command costs the host: CPU time to submit and reap at batch 32, allocations, register accesses, against the stub of fpga/sim that completes
 * everything at once; and the core's bus transactions per command, from its counters, against the simulated board.
 *
 *     npm run bench:fpga [-- --json]
 */
import { CommandQueue } from "../src/fpga/command-queue.ts";
import { Core } from "../src/fpga/core.ts";
import { Opcode } from "../src/fpga/layout.ts";
import { Pool } from "../src/ring/pool.ts";
import { TestBoard } from "../test/fpga/boards.ts";

const BATCH = 32;
const ROUNDS = 20_000;
const WARM_ROUNDS = 5_000;

interface Result {
  readonly name: string;
  /** Of one command, CPU ns: the median of the repeats. */
  readonly nsPerCommand: number;
  readonly bytesPerCommand: number;
}

/**
 * Times `submit` and `reap`, not the wait for the device in between: that is a spin on the device's last completion word.
 */
function measure(name: string, round: () => void, waitForAll: () => void, reap: () => void): Result {
  const times = new Float64Array(ROUNDS);
  for (let i = -WARM_ROUNDS; i < ROUNDS; i++) {
    const start = Bun.nanoseconds();
    round();
    const middle = Bun.nanoseconds();
    waitForAll();
    const again = Bun.nanoseconds();
    reap();
    if (i >= 0) times[i] = (middle - start + (Bun.nanoseconds() - again)) / BATCH;
  }
  Bun.gc(true);
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < ROUNDS; i++) {
    round();
    waitForAll();
    reap();
  }
  const grown = process.memoryUsage().heapUsed - before;
  times.sort();
  return {
    name,
    nsPerCommand: times[times.length >> 1]!,
    bytesPerCommand: Math.max(0, grown) / ROUNDS / BATCH,
  };
}

async function main(): Promise<void> {
  await using board = await TestBoard.start({ program: "stub" });
  const pool = Pool.create(board.region, "blocks", { frameBytes: 4096, blockCount: 128, metaBytes: 0 });
  using core = Core.open(`board:${board.name}`);
  using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, capacity: 64 });
  const { blocks } = queue;
  const { ring } = blocks;
  const loaned = Array.from({ length: 2 * BATCH }, () => queue.loan()!);
  const base = core.board!.memories[0]!.deviceBase + loaned[0]!.offset;
  const low = (base % 2 ** 32) | 0;
  const high = Math.floor(base / 2 ** 32);
  const numbers = loaned.map((block) => block.block);
  const waitForAll = (): void => {
    while (!ring.readyAt(BATCH - 1));
  };
  const results = [
    measure(
      "numbers only (CommandRing)",
      () => {
        for (let i = 0; i < BATCH; i++) ring.put(Opcode.copy, low, high, low + 4096, high, 4096, 0, 0, 0, 0);
        ring.submit();
      },
      waitForAll,
      () => void ring.reap(BATCH),
    ),
    measure(
      "two blocks each, owned by the hardware meanwhile (BlockQueue)",
      () => {
        for (let i = 0; i < BATCH; i++)
          blocks.stage(Opcode.copy, numbers[2 * i]!, 0, numbers[2 * i + 1]!, 0, 4096, 0, 0, 0);
        blocks.submit();
      },
      waitForAll,
      () => void blocks.reap(BATCH),
    ),
  ];
  console.log(results);
}
await main();
