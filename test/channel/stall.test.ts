/** Live consumers that stand still: evicted, or an error for the producer (PROTOCOL.md §7.5); with processes that are stopped. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  Channel,
  type ChannelOptions,
  EvictedError,
  type FrameProducer,
  Region,
  StalledError,
} from "../../src/index.ts";
import { expectCode } from "../support/errors.ts";
import { lines } from "../support/lines.ts";
import { RegionPair } from "../support/regions.ts";

const STALLING = new URL("fixtures/stalling.ts", import.meta.url).pathname;
const OPTIONS = { frameBytes: 256, laneCapacity: 4, maxConsumers: 2, stallTimeoutMs: 600 } as const;

/** A consumer process of fixtures/stalling.ts. */
class Consumer {
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly lines: string[] = [];
  readonly ended: Promise<void>;

  constructor(region: string, channel: string, hold = "") {
    this.process = Bun.spawn([process.execPath, STALLING, region, channel, hold], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    started.push(this.process);
    this.ended = this.#read();
  }

  async #read(): Promise<void> {
    for await (const line of lines(this.process.stdout)) this.lines.push(line);
  }

  async said(line: string): Promise<void> {
    while (!this.lines.includes(line)) await Bun.sleep(1);
  }
}

const started: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

async function send(producer: FrameProducer): Promise<number> {
  const { sequence } = producer;
  const frame = (await producer.loanAsync())!;
  frame.bytes.fill(sequence & 0xff);
  await producer.sendAsync(frame);
  return sequence;
}

describe("a stopped process", () => {
  for (const hold of ["", "hold"]) {
    test(`is evicted${hold === "" ? "" : ", keeps the frame it holds"}, and joins again when it goes on`, async () => {
      using pair = new RegionPair("stall");
      const channel = Channel.create(pair.a, "frames", OPTIONS);
      using producer = channel.producer();
      const stopped = new Consumer(pair.name, "frames", hold);
      const other = new Consumer(pair.name, "frames");
      await producer.waitForConsumers(2);
      for (let i = 0; i < 10; i++) await send(producer);
      await stopped.said("got 9");
      stopped.process.kill("SIGSTOP");
      // Twice the lane: only possible without it.
      for (let i = 0; i < 2 * OPTIONS.laneCapacity; i++) await send(producer);
      expect(producer.counters.evicted).toBe(1);
      expect(producer.consumers).toBe(1);
      stopped.process.kill("SIGCONT");
      await stopped.said("evicted");
      await producer.waitForConsumers(2);
      const last = await send(producer);
      await Promise.all([stopped.said(`got ${last}`), other.said(`got ${last}`)]);
      producer.close();
      await Promise.all([stopped.ended, other.ended]);
      const sequences = other.lines.flatMap((line) =>
        line.startsWith("got ") ? [Number(line.slice(4))] : [],
      );
      expect(sequences).toEqual(Array.from({ length: last + 1 }, (_, i) => i));
      const all = [...stopped.lines, ...other.lines];
      expect(all.filter((line) => line.startsWith("WRONG"))).toEqual([]);
      expect(all.filter((line) => line === "rejected 0")).toHaveLength(2);
      expect(channel.pool.countFree()).toBe(channel.pool.geometry.blockCount);
    });
  }

  test("again and again: nothing is lost by the others, nothing leaks", async () => {
    using pair = new RegionPair("stall");
    const channel = Channel.create(pair.a, "frames", { ...OPTIONS, stallTimeoutMs: 4 });
    using producer = channel.producer();
    const stopped = new Consumer(pair.name, "frames");
    const other = new Consumer(pair.name, "frames");
    await producer.waitForConsumers(2);
    let last = 0;
    for (let round = 0; round < 20; round++) {
      stopped.process.kill("SIGSTOP");
      for (let i = 0; i < 2 * OPTIONS.laneCapacity; i++) last = await send(producer);
      stopped.process.kill("SIGCONT");
      for (let i = 0; i < round; i++) last = await send(producer);
    }
    producer.close();
    await Promise.all([stopped.ended, other.ended]);
    const sequences = other.lines.flatMap((line) => (line.startsWith("got ") ? [Number(line.slice(4))] : []));
    // On a crowded machine the other one may be evicted, too; whoever never was has everything.
    if (!other.lines.includes("evicted"))
      expect(sequences).toEqual(Array.from({ length: last + 1 }, (_, i) => i));
    expect(producer.counters.evicted).toBeGreaterThan(0);
    expect([...stopped.lines, ...other.lines].filter((line) => line.startsWith("WRONG"))).toEqual([]);
    expect(channel.pool.countFree()).toBe(channel.pool.geometry.blockCount);
  });
});

/** A consumer of `b` that does not read, and a full lane. */
function gated(pair: RegionPair, options: Partial<ChannelOptions>) {
  const channel = Channel.create(pair.a, "frames", { ...OPTIONS, stallTimeoutMs: 10, ...options });
  const producer = channel.producer();
  const consumer = Channel.open(pair.b, "frames").consumer();
  for (let i = 0; i < OPTIONS.laneCapacity; i++) producer.send(producer.loan()!);
  return { channel, producer, consumer };
}

describe("a consumer that does not read", () => {
  test("is told at its next call; blocking sends and loans find it, too", () => {
    using pair = new RegionPair("stall");
    const { channel, producer, consumer } = gated(pair, {});
    expect(producer.send(producer.loan()!)).toBe(false); // nobody is left
    expect(consumer.ready()).toBe(true);
    expect(() => consumer.tryReceive()).toThrow(EvictedError);
    consumer.close();
    using again = Channel.open(pair.b, "frames").consumer();
    producer.send(producer.loan()!);
    expect(again.tryReceive()?.sequence).toBe(producer.sequence - 1);
    expect(producer.counters).toMatchObject({ evicted: 1, rejected: 0 });
    expect(channel.pool.countFree()).toBe(channel.pool.geometry.blockCount - 1);
  });

  test("frames in its lane come back to a producer that lacks blocks", async () => {
    using pair = new RegionPair("stall");
    const { producer } = gated(pair, { frames: OPTIONS.laneCapacity });
    expect(await producer.loanAsync()).not.toBeNull();
    expect(producer.counters.evicted).toBe(1);
  });

  test("blocks it has taken cannot: the error names it", async () => {
    using pair = new RegionPair("stall");
    const { producer, consumer } = gated(pair, { frames: OPTIONS.laneCapacity });
    const held = Array.from({ length: OPTIONS.laneCapacity }, () => consumer.tryReceive()!);
    const error = await producer.loanAsync().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StalledError);
    expect(error).toMatchObject({ participant: 1, pid: process.pid });
    held[0]!.release();
    expect(producer.loan()).not.toBeNull();
  });

  test("with action error nothing is taken, and the frame stays the sender's", () => {
    using pair = new RegionPair("stall");
    const { producer, consumer } = gated(pair, { stallAction: "error" });
    const frame = producer.loan()!;
    expect(() => producer.send(frame)).toThrow(StalledError);
    consumer.tryReceive()!.release();
    expect(producer.send(frame)).toBe(true);
    expect(producer.counters.evicted).toBe(0);
  });

  test("one of several: delivery one goes on with the others", () => {
    using pair = new RegionPair("stall");
    using third = Region.open(pair.name);
    const { producer } = gated(pair, { delivery: "one" });
    using busy = Channel.open(third, "frames").consumer();
    for (let i = 0; i < 20; i++) {
      producer.send(producer.loan()!);
      busy.tryReceive()?.release();
    }
    expect(producer.counters.evicted).toBe(0); // it stands in nobody's way
  });

  test("the option goes with policy block", () => {
    using pair = new RegionPair("stall");
    expectCode("ARGUMENT", () => Channel.create(pair.a, "c", { ...OPTIONS, policy: "fail" }));
    expectCode("ARGUMENT", () => Channel.create(pair.a, "c", { ...OPTIONS, stallTimeoutMs: -1 }));
  });
});
