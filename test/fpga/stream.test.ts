/** Streams on the simulated board: what arrives, what is lost and who counts it, and what becomes of the frames when a stream ends early. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Channel } from "../../src/channel/channel.ts";
import type { Frame } from "../../src/channel/frame.ts";
import { modelCrc32, modelSource } from "../../src/cli/fpga/model.ts";
import type { Coherency } from "../../src/fpga/board.ts";
import {
  type Block,
  CommandQueue,
  type CommandQueueOptions,
  Core,
  SinkStream,
  SourceStream,
} from "../../src/fpga/index.ts";
import { Region } from "../../src/memory/region.ts";
import { Pool } from "../../src/ring/pool.ts";
import { TestBoard, whyNoBoards } from "./boards.ts";

setDefaultTimeout(60_000);
const missing = await whyNoBoards();
const MODES: readonly Coherency[] = ["full", "io", "none"];
const FRAME_BYTES = 256;
const BLOCKS = 8;
const SEED = 0x5eed;
/** Some milliseconds of the simulated clock: a consumer that is awake keeps up. */
const SLOW_CYCLES = 2000;
/** Faster than any consumer. */
const FAST_CYCLES = 300;

interface Bench {
  readonly board: TestBoard;
  readonly pool: Pool;
  readonly queue: CommandQueue;
}

async function withQueue(
  options: CommandQueueOptions & { readonly coherency: Coherency },
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  await using board = await TestBoard.start({
    coherency: options.coherency,
    seed: 1,
    arguments: ["--stall", "0"],
  });
  const pool = Pool.create(board.region, "blocks", {
    frameBytes: FRAME_BYTES,
    blockCount: BLOCKS,
    metaBytes: 0,
  });
  using core = Core.open(board.where);
  using queue = CommandQueue.create(core, board.region, "queue", { queue: 0, pool, capacity: 8, ...options });
  await body({ board, pool, queue });
}

function expectPattern(frame: Block, sequence: number): void {
  const expected = new Uint8Array(FRAME_BYTES);
  modelSource(SEED, sequence, expected);
  expect(Buffer.compare(frame.bytes, expected)).toBe(0);
}

/** Takes `count` frames, checks each, and returns their sequence numbers. */
async function take(
  source: SourceStream<Block>,
  count: number,
  each: (taken: number) => Promise<void> | void = () => undefined,
): Promise<number[]> {
  const sequences: number[] = [];
  for await (const { frame, sequence } of source) {
    expectPattern(frame, sequence);
    frame.release();
    sequences.push(sequence);
    await each(sequences.length);
    if (sequences.length === count) break;
  }
  return sequences;
}

/** What a stream left under way comes back by itself. */
async function quiet({ queue, pool }: Bench): Promise<void> {
  while (queue.underWay > 0) await Bun.sleep(1);
  expect(pool.countFree()).toBe(BLOCKS);
}

function numbersFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

describe.skipIf(missing !== null).each(MODES)("hardware as producer, coherency %s", (coherency) => {
  test("policy wait: nothing is lost, however slow the consumer, and a second stream goes on where the first ended", async () => {
    await withQueue({ coherency, paceCycles: FAST_CYCLES }, async (bench) => {
      const { queue } = bench;
      const dawdle = (taken: number): Promise<void> | void => (taken % 4 === 0 ? Bun.sleep(5) : undefined);
      const first = new SourceStream<Block>(queue, { loan: () => queue.loan(), depth: 3, seed: SEED });
      expect(await take(first, 12, dawdle)).toEqual(numbersFrom(0, 12));
      await quiet(bench);
      const second = new SourceStream<Block>(queue, { loan: () => queue.loan(), depth: 3, seed: SEED });
      const sequences = await take(second, 8, dawdle);
      expect(sequences[0]!).toBeGreaterThanOrEqual(12);
      expect(sequences).toEqual(numbersFrom(sequences[0]!, 8));
      expect([first.lost, second.lost, queue.missed]).toEqual([0, 0, 0]);
      await queue.reset();
      // Numbers begin anew with the queue.
      expect(await take(second, 3)).toEqual([0, 1, 2]);
      expect(second.lost).toBe(0);
    });
  });

  test("policy drop-newest: the numbers that are missing are the ticks that the core missed", async () => {
    await withQueue({ coherency, paceCycles: FAST_CYCLES, pacePolicy: "drop-newest" }, async (bench) => {
      const { queue } = bench;
      // One frame at a time: what was missed before it was submitted lies before the frame after it.
      const source = new SourceStream<Block>(queue, { loan: () => queue.loan(), depth: 1, seed: SEED });
      let missedEarly = 0;
      const sequences = await take(source, 20, async (taken) => {
        const seen = queue.missed;
        // The clock of the core goes on when its process does.
        while (taken % 5 === 0 && queue.missed === seen) await Bun.sleep(1);
        if (taken === 18) missedEarly = queue.missed;
      });
      const missedLate = queue.missed;
      expect(sequences[0]).toBe(0);
      expect(missedEarly).toBeGreaterThan(0);
      expect(source.lost).toBeGreaterThanOrEqual(missedEarly);
      expect(source.lost).toBeLessThanOrEqual(missedLate);
      expect(sequences.at(-1)! + 1 - sequences.length).toBe(source.lost);
      await quiet(bench);
    });
  });

  test("without empty frames it is starved, says so, and goes on when there are some", async () => {
    await withQueue({ coherency, paceCycles: FAST_CYCLES }, async (bench) => {
      const { queue } = bench;
      // Four frames, then none for some tries, then two.
      let asked = 0;
      const loan = (): Block | null => {
        asked++;
        return asked <= 4 || (asked > 20 && asked <= 22) ? queue.loan() : null;
      };
      const source = new SourceStream<Block>(queue, { loan, depth: 2, seed: SEED });
      expect(await take(source, 6)).toEqual(numbersFrom(0, 6));
      expect(source.starved).toBeGreaterThan(0);
      await quiet(bench);
    });
  });

  test("drop-oldest is the channel's: hardware never waits for a consumer that stands still, and each frame is counted", async () => {
    await using board = await TestBoard.start({ coherency, seed: 1 });
    const channel = Channel.create(board.region, "raw", {
      frameBytes: FRAME_BYTES,
      frames: 12,
      policy: "drop-oldest",
      maxConsumers: 1,
    });
    using core = Core.open(board.where);
    using queue = CommandQueue.create(core, board.region, "queue", {
      queue: 0,
      pool: channel.pool,
      capacity: 8,
    });
    using producer = channel.producer();
    using region = Region.open(board.name);
    using consumer = Channel.open(region, "raw").consumer();
    const source = new SourceStream<Frame>(queue, { loan: () => producer.loan(), depth: 3, seed: SEED });
    let sent = 0;
    for await (const { frame, sequence } of source) {
      frame.tag = sequence;
      producer.send(frame);
      if (++sent === 40) break;
    }
    const kept: number[] = [];
    for (let frame = consumer.tryReceive(); frame !== null; frame = consumer.tryReceive()) {
      const expected = new Uint8Array(FRAME_BYTES);
      modelSource(SEED, frame.tag, expected);
      expect(Buffer.compare(frame.bytes, expected)).toBe(0);
      kept.push(frame.tag);
      frame.release();
    }
    const { droppedOldest } = producer.counters;
    expect(droppedOldest).toBeGreaterThan(0);
    expect(kept.length + droppedOldest).toBe(40);
    expect(kept).toEqual(numbersFrom(40 - kept.length, kept.length));
    expect([source.lost, source.starved]).toEqual([0, 0]);
  });

  test("its signal ends it; what was under way comes back", async () => {
    await withQueue({ coherency }, async (bench) => {
      const { board, queue, pool } = bench;
      const stop = new AbortController();
      const source = new SourceStream<Block>(queue, {
        loan: () => queue.loan(),
        depth: 4,
        seed: SEED,
        signal: stop.signal,
      });
      let held = false;
      const taken = take(source, 100, (count) => {
        if (count !== 3) return;
        board.hold(true);
        held = true;
      });
      while (!held || pool.countFree() > BLOCKS - 4) await Bun.sleep(1);
      setTimeout(() => stop.abort(), 20);
      expect((await taken).length).toBeLessThan(100);
      board.hold(false);
      await quiet(bench);
    });
  });

  test("an error of the queue ends it, also while it is starved; no frame is lost", async () => {
    await withQueue({ coherency }, async (bench) => {
      const { board, queue } = bench;
      board.hold(true);
      const source = new SourceStream<Block>(queue, { loan: () => queue.loan(), depth: 4, seed: SEED });
      const taken = failure(take(source, 100));
      while (queue.underWay < 4) await Bun.sleep(1);
      setTimeout(() => board.hold(false), 20);
      await queue.reset();
      expect(await taken).toHaveProperty("code", "QUEUE_RESET");
      await quiet(bench);
      const starved = new SourceStream<Block>(queue, { loan: () => null, seed: SEED });
      const waiting = failure(take(starved, 1));
      while (starved.starved === 0) await Bun.sleep(1);
      queue.close();
      expect(await waiting).toHaveProperty("code", "QUEUE_CLOSED");
    });
  });
});

describe.skipIf(missing !== null).each(MODES)("hardware as consumer, coherency %s", (coherency) => {
  test("takes frames in order with the right bytes; ticks without a frame are under-runs", async () => {
    await withQueue({ coherency, paceCycles: SLOW_CYCLES, pacePolicy: "drop-newest" }, async (bench) => {
      const { queue } = bench;
      while (queue.missed < 3) await Bun.sleep(1);
      const crcs: number[] = [];
      const sink = new SinkStream<Block>(queue, { depth: 3, onTaken: (_, { result }) => crcs.push(result) });
      expect(sink.underruns).toBeGreaterThanOrEqual(3);
      const expected: number[] = [];
      for (let i = 0; i < 10; i++) {
        const frame = queue.loan()!;
        crypto.getRandomValues(frame.bytes as Uint8Array<ArrayBuffer>);
        expected.push(modelCrc32(frame.bytes));
        await sink.write(frame);
        expect(queue.underWay).toBeLessThanOrEqual(3);
      }
      await sink.flush();
      expect(crcs).toEqual(expected);
      expect(sink.taken).toBe(10);
      const underruns = sink.underruns;
      while (sink.underruns === underruns) await Bun.sleep(1);
      await quiet(bench);
    });
  });

  test("policy wait: a sink without frames has no under-runs", async () => {
    await withQueue({ coherency, paceCycles: FAST_CYCLES }, async (bench) => {
      const { queue } = bench;
      const sink = new SinkStream<Block>(queue);
      for (let i = 0; i < 3; i++) {
        await Bun.sleep(5);
        await sink.write(queue.loan()!);
      }
      await sink.flush();
      expect([sink.taken, sink.underruns]).toEqual([3, 0]);
      await quiet(bench);
    });
  });

  test("the error of a frame is thrown by the next write or flush, once; no frame is lost", async () => {
    await withQueue({ coherency }, async (bench) => {
      const { board, queue } = bench;
      const sink = new SinkStream<Block>(queue, { depth: 2 });
      board.hold(true);
      for (let i = 0; i < 2; i++) await sink.write(queue.loan()!);
      const blocked = queue.loan()!;
      const third = failure(sink.write(blocked));
      setTimeout(() => board.hold(false), 20);
      await queue.reset();
      expect(await third).toHaveProperty("code", "QUEUE_RESET");
      // It is still ours.
      await sink.write(blocked);
      await sink.flush();
      expect(sink.taken).toBe(1);
      const loud = new SinkStream<Block>(queue, {
        onTaken: () => {
          throw new Error("loud");
        },
      });
      await loud.write(queue.loan()!);
      expect(await failure(loud.flush())).toHaveProperty("message", "loud");
      await loud.flush();
      await quiet(bench);
    });
  });
});
