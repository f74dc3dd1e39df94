/** Channels: loan → send → receive → release, deliveries, policies, metadata, ends of streams. Producer and consumers in one process. */
import { describe, expect, test } from "bun:test";
import { Channel, type ChannelOptions } from "../../src/channel/channel.ts";
import type { FrameConsumer } from "../../src/channel/consumer.ts";
import type { FrameProducer } from "../../src/channel/producer.ts";
import { Region } from "../../src/memory/region.ts";
import {
  ArgumentError,
  BackpressureError,
  FrameReleasedError,
  FrameSharedError,
  InUseError,
  SameHandleError,
  WaitTimeoutError,
} from "../../src/ring/errors.ts";
import { waitAny } from "../../src/ring/wait-any.ts";
import { uniqueName } from "../support/regions.ts";

/** One region with as many handles (participants) as a test wants. */
class Bench implements Disposable {
  readonly name = uniqueName("channel");
  readonly #handles: Region[] = [];

  constructor(size: number | string = "4MiB") {
    this.#handles.push(Region.create(this.name, { size }));
  }

  get first(): Region {
    return this.#handles[0]!;
  }

  handle(): Region {
    const region = Region.open(this.name);
    this.#handles.push(region);
    return region;
  }

  /** A producer and `count` consumers, each on a handle of its own. */
  connect(
    options: Partial<ChannelOptions>,
    count = 1,
  ): { channel: Channel; tx: FrameProducer; rx: FrameConsumer[] } {
    const channel = Channel.create(this.first, "c", { frameBytes: 4096, ...options });
    const tx = channel.producer();
    const rx = Array.from({ length: count }, () => Channel.open(this.handle(), "c").consumer());
    return { channel, tx, rx };
  }

  [Symbol.dispose](): void {
    for (const region of this.#handles.reverse()) region.close();
    Region.destroy(this.name);
  }
}

/** Sends a frame with `value` in every byte. */
function send(tx: FrameProducer, value: number): boolean {
  const frame = tx.loan();
  if (frame === null) return false;
  frame.bytes.fill(value);
  frame.tag = value;
  return tx.send(frame);
}

function drain(rx: FrameConsumer): number[] {
  const tags: number[] = [];
  for (let frame = rx.tryReceive(); frame !== null; frame = rx.tryReceive()) {
    tags.push(frame.tag);
    frame.release();
  }
  return tags;
}

describe("frames", () => {
  test("the receiver reads the bytes that were filled, at the same offset", () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({});
    using frame = tx.loan()!;
    frame.bytes.set([1, 2, 3], 100);
    frame.tag = 77;
    frame.metadata = { exposureUs: 500, gain: 1.5, name: "left" };
    expect(tx.send(frame)).toBe(true);
    using got = rx[0]!.receive()!;
    expect(got.offset).toBe(frame.offset);
    expect([...got.bytes.subarray(100, 103)]).toEqual([1, 2, 3]);
    expect(got.tag).toBe(77);
    expect(got.sequence).toBe(0);
    expect(got.timestampNs).toBeGreaterThan(0);
    expect(got.metadata).toEqual({ exposureUs: 500, gain: 1.5, name: "left" });
  });

  test("a loan has the length the channel was created with, not that of its block", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({ frameBytes: 5000 });
    using frame = tx.loan()!;
    expect(frame.bytes.byteLength).toBe(5000);
    expect(Channel.open(bench.handle(), "c", { waitMs: 100 }).frameBytes).toBe(5000);
    expect(channel.pool.geometry.blockBytes).toBe(8192);
    tx.send(frame);
    using got = rx[0]!.receive()!;
    expect(got.lengthBytes).toBe(5000);
  });

  test("shorter frames arrive with their length", () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({});
    const frame = tx.loan()!;
    frame.lengthBytes = 10;
    expect(frame.bytes.byteLength).toBe(10);
    tx.send(frame);
    using got = rx[0]!.receive()!;
    expect(got.bytes.byteLength).toBe(10);
    expect(() => (got.lengthBytes = 5000)).toThrow(ArgumentError);
  });

  test("metadata outlives release and does not alias shared memory", () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({});
    const frame = tx.loan()!;
    frame.metadata = { text: "before", blob: new Uint8Array([1, 2, 3]) };
    tx.send(frame);
    const got = rx[0]!.receive()!;
    const metadata = got.metadata as { text: string; blob: Uint8Array };
    const area = got.pool.region.view(got.pool.metaOffset(got.block), got.pool.geometry.metaBytes);
    area.fill(0xc1);
    got.release();
    expect(metadata.text).toBe("before");
    expect([...metadata.blob]).toEqual([1, 2, 3]);
  });

  test("metadata that does not fit, or is none", () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({ metaBytes: 128 });
    const frame = tx.loan()!;
    frame.metadata = "x".repeat(100);
    expect(() => (frame.metadata = "x".repeat(200))).toThrow(/takes 20\d bytes, its area has 128/);
    frame.metadata = { fits: true };
    tx.send(frame);
    const got = rx[0]!.receive()!;
    expect(got.metadata).toEqual({ fits: true });
    got.pool.region.view(got.pool.metaOffset(got.block), 128).fill(0xdf);
    expect(() => got.metadata).toThrow(/no MessagePack value/);
    got.release();
  });

  test("a frame that was sent or released is refused everywhere", () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({});
    const frame = tx.loan()!;
    tx.send(frame);
    expect(() => frame.bytes).toThrow(FrameReleasedError);
    expect(() => tx.send(frame)).toThrow(FrameReleasedError);
    frame.release();
    const got = rx[0]!.receive()!;
    got.release();
    got.release();
    expect(() => got.metadata).toThrow(FrameReleasedError);
  });

  test("an unsent loan comes back by using", () => {
    using bench = new Bench();
    const { channel, tx } = bench.connect({ frames: 1 });
    for (let i = 0; i < 5; i++) {
      using frame = tx.loan()!;
      frame.bytes[0] = i;
    }
    expect(channel.pool.countFree()).toBe(1);
  });
});

describe("delivery", () => {
  test("all: everybody sees every frame, the block returns when the last lets go", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({ frames: 4 }, 3);
    for (let i = 0; i < 3; i++) expect(send(tx, i)).toBe(true);
    expect(channel.pool.countFree()).toBe(1);
    for (const consumer of rx) expect(drain(consumer)).toEqual([0, 1, 2]);
    expect(channel.pool.countFree()).toBe(4);
  });

  test("one: each frame goes to one consumer, full lanes are passed over", () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({ delivery: "one", laneCapacity: 2, policy: "fail" }, 2);
    for (let i = 0; i < 3; i++) send(tx, i);
    expect(drain(rx[0]!)).toEqual([0, 2]);
    for (let i = 3; i < 6; i++) send(tx, i);
    expect([...drain(rx[0]!), ...drain(rx[1]!)].sort()).toEqual([1, 3, 4, 5]);
  });

  test("a consumer that joins late gets what is sent from then on", () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({});
    send(tx, 1);
    using late = Channel.open(bench.handle(), "c").consumer();
    send(tx, 2);
    expect(drain(rx[0]!)).toEqual([1, 2]);
    expect(drain(late)).toEqual([2]);
  });

  test("a consumer that leaves gives back what waited for it, and its lane is free again", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({ maxConsumers: 1, frames: 4 });
    send(tx, 1);
    send(tx, 2);
    expect(() => Channel.open(bench.handle(), "c").consumer()).toThrow(InUseError);
    rx[0]!.close();
    expect(channel.pool.countFree()).toBe(4);
    using next = Channel.open(bench.handle(), "c").consumer();
    send(tx, 3);
    expect(drain(next)).toEqual([3]);
    expect(next.rejected).toBe(0);
  });

  test("nobody attached: the frame is counted, not kept", () => {
    using bench = new Bench();
    const { channel, tx } = bench.connect({ frames: 2 }, 0);
    expect(send(tx, 1)).toBe(false);
    expect(channel.counters.unclaimed).toBe(1);
    expect(channel.pool.countFree()).toBe(2);
  });

  test("a received frame is forwarded through a second channel without a copy; a shared one is not", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({});
    const stage = bench.handle();
    const input = Channel.open(stage, "c").consumer();
    using output = Channel.create(stage, "d", { pool: Channel.open(stage, "c").pool }).producer();
    using last = Channel.open(bench.handle(), "d").consumer();
    rx[0]!.close();
    send(tx, 9);
    const middle = input.receive()!;
    const { offset } = middle;
    middle.bytes[0] = 42;
    output.send(middle);
    using end = last.receive()!;
    expect(end.offset).toBe(offset);
    expect([...end.bytes.subarray(0, 2)]).toEqual([42, 9]);
    using second = Channel.open(bench.handle(), "c").consumer();
    send(tx, 10);
    const shared = input.receive()!;
    expect(() => output.send(shared)).toThrow(FrameSharedError);
    second.receive()!.release();
    expect(output.send(shared)).toBe(true);
    last.receive()!.release();
    end.release();
    expect(channel.pool.countFree()).toBe(channel.pool.geometry.blockCount);
  });
});

test("waiting for more consumers than there can be is an error, not a wait", async () => {
  using bench = new Bench();
  const { tx } = bench.connect({ maxConsumers: 2 }, 0);
  const refused = await tx.waitForConsumers(3).catch((error: ArgumentError) => error.message);
  expect(refused).toContain("3 consumers cannot attach, at most 2");
});

describe("backpressure", () => {
  test("fail: a full lane is an error, the frame stays with the sender", () => {
    using bench = new Bench();
    const { tx } = bench.connect({ policy: "fail", laneCapacity: 2 });
    send(tx, 1);
    send(tx, 2);
    using frame = tx.loan()!;
    expect(() => tx.send(frame)).toThrow(BackpressureError);
    expect(frame.held).toBe(true);
    expect(tx.counters).toMatchObject({ failed: 1, blocked: 0 });
  });

  test("fail: no free block is an error", () => {
    using bench = new Bench();
    const { tx } = bench.connect({ policy: "fail", frames: 1 });
    using held = tx.loan()!;
    expect(held.held).toBe(true);
    expect(() => tx.loan()).toThrow(BackpressureError);
    expect(tx.counters).toMatchObject({ failed: 1, blocked: 0, dropped: 0 });
  });

  test("block: waits up to the time limit, and goes on when a frame is taken", async () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({ policy: "block", laneCapacity: 2 });
    send(tx, 1);
    send(tx, 2);
    using frame = tx.loan()!;
    expect(() => tx.send(frame, { timeoutMs: 5 })).toThrow(WaitTimeoutError);
    expect(tx.sendAsync(frame, { timeoutMs: 5 })).rejects.toThrow(WaitTimeoutError);
    const sending = tx.sendAsync(frame);
    setTimeout(() => rx[0]!.receive()!.release(), 5);
    expect(await sending).toBe(true);
    expect(tx.counters).toMatchObject({ failed: 0, blocked: 3 });
  });

  test("block: a loan waits for a released block", async () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({ policy: "block", frames: 1 });
    send(tx, 1);
    expect(() => tx.loan({ timeoutMs: 5 })).toThrow(WaitTimeoutError);
    const loaning = tx.loanAsync();
    setTimeout(() => rx[0]!.receive()!.release(), 5);
    using frame = await loaning;
    expect(frame!.held).toBe(true);
    expect(tx.counters).toMatchObject({ failed: 0, blocked: 2 });
  });

  test("drop-newest: the full lane keeps its old frames, others get the new one; all is counted", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({ policy: "drop-newest", laneCapacity: 2, frames: 16 }, 2);
    for (let i = 0; i < 2; i++) send(tx, i);
    drain(rx[1]!);
    expect(send(tx, 2)).toBe(true);
    expect(drain(rx[0]!)).toEqual([0, 1]);
    expect(drain(rx[1]!)).toEqual([2]);
    expect(channel.counters).toMatchObject({ droppedNewest: 1, published: 3 });
    expect(channel.pool.countFree()).toBe(16);
  });

  test("drop-newest: no free block drops the frame, the sequence shows the gap", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({ policy: "drop-newest", frames: 1 });
    send(tx, 0);
    expect(tx.loan()).toBeNull();
    rx[0]!.receive()!.release();
    send(tx, 2);
    using frame = rx[0]!.receive()!;
    expect(frame.sequence).toBe(2);
    expect(channel.counters.dropped).toBe(1);
  });

  test("drop-oldest: the newest frames survive, a taken frame is never touched", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({ policy: "drop-oldest", laneCapacity: 2, frames: 8 });
    for (let i = 0; i < 2; i++) send(tx, i);
    using taken = rx[0]!.receive()!;
    for (let i = 2; i < 6; i++) expect(send(tx, i)).toBe(true);
    expect(taken.tag).toBe(0);
    expect(taken.bytes.every((byte) => byte === 0)).toBe(true);
    expect(drain(rx[0]!)).toEqual([4, 5]);
    expect(channel.counters.droppedOldest).toBe(3);
    taken.release();
    expect(channel.pool.countFree()).toBe(8);
  });

  test("drop-oldest: a producer without a free block takes the oldest untaken one", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({ policy: "drop-oldest", laneCapacity: 8, frames: 3 });
    for (let i = 0; i < 5; i++) expect(send(tx, i)).toBe(true);
    expect(drain(rx[0]!)).toEqual([2, 3, 4]);
    const held = [tx.loan()!, tx.loan()!, tx.loan()!];
    expect(tx.loan()).toBeNull();
    for (const frame of held) frame.release();
    expect(channel.counters).toMatchObject({ droppedOldest: 2, dropped: 1 });
  });

  test("drop-oldest: leaving and joining while frames wait", () => {
    using bench = new Bench();
    const { channel, tx, rx } = bench.connect({
      policy: "drop-oldest",
      laneCapacity: 4,
      frames: 8,
      maxConsumers: 1,
    });
    for (let i = 0; i < 6; i++) send(tx, i);
    rx[0]!.close();
    expect(channel.pool.countFree()).toBe(8);
    using next = Channel.open(bench.handle(), "c").consumer();
    for (let i = 10; i < 16; i++) send(tx, i);
    expect(drain(next)).toEqual([12, 13, 14, 15]);
  });
});

test("taking a frame back frees nothing that the producer holds as well, having received it before", () => {
  using bench = new Bench();
  const { channel, tx, rx } = bench.connect({ policy: "drop-oldest", laneCapacity: 2, frames: 6 }, 1);
  const handle = bench.handle();
  const first = Channel.open(handle, "c").consumer();
  send(tx, 1);
  send(tx, 2);
  using kept = first.receive()!;
  tx.close();
  first.close();
  const next = Channel.open(handle, "c").producer();
  send(next, 3); // takes 1 back from the other consumer's full lane
  expect(channel.counters.droppedOldest).toBe(1);
  for (let frame = next.tryLoan(); frame !== null; frame = next.tryLoan()) frame.bytes.fill(9);
  expect(kept.bytes[0]).toBe(1);
  expect(rx[0]!.receive()!.bytes[0]).toBe(2);
});

describe("streams", () => {
  test("for await ends when the producer closes, after the last frame", async () => {
    using bench = new Bench();
    const { tx, rx } = bench.connect({});
    setTimeout(() => {
      for (let i = 0; i < 5; i++) send(tx, i);
      tx.close();
    }, 5);
    const tags: number[] = [];
    for await (using frame of rx[0]!) tags.push(frame.tag);
    expect(tags).toEqual([0, 1, 2, 3, 4]);
    expect(rx[0]!.receive()).toBeNull();
  });

  test("reconnect waits for the next producer, whose sequence goes on", async () => {
    using bench = new Bench();
    const { channel, tx } = bench.connect({}, 0);
    using rx = Channel.open(bench.handle(), "c").consumer({ reconnect: true });
    send(tx, 1);
    tx.close();
    expect(drain(rx)).toEqual([1]);
    const next = rx.receiveAsync();
    using successor = channel.producer();
    send(successor, 2);
    using frame = await next;
    expect(frame!.tag).toBe(2);
    expect(frame!.sequence).toBe(1);
  });

  test("waitAny wakes for whichever consumer has a frame", async () => {
    using bench = new Bench();
    const { tx } = bench.connect({}, 0);
    using other = Channel.create(bench.first, "d", { frameBytes: 64 }).producer();
    const handle = bench.handle();
    const consumers = [Channel.open(handle, "c").consumer(), Channel.open(handle, "d").consumer()];
    expect(await waitAny(consumers, { timeoutMs: 5 })).toBe(false);
    const waiting = waitAny(consumers);
    setTimeout(() => send(other, 3), 5);
    expect(await waiting).toBe(true);
    expect(consumers[0]!.tryReceive()).toBeNull();
    consumers[1]!.receive()!.release();
    expect(send(tx, 1)).toBe(true);
  });

  test("receive times out, aborts, and ends when the region closes", async () => {
    using bench = new Bench();
    const { rx } = bench.connect({});
    expect(() => rx[0]!.receive({ timeoutMs: 5 })).toThrow(WaitTimeoutError);
    const abort = new AbortController();
    const receiving = rx[0]!.receiveAsync({ signal: abort.signal });
    abort.abort(new Error("stop"));
    expect(receiving).rejects.toThrow("stop");
    await receiving.catch(() => undefined);
  });

  test("waitForConsumers", async () => {
    using bench = new Bench();
    const { tx } = bench.connect({}, 1);
    expect(tx.waitForConsumers(2, { timeoutMs: 5 })).rejects.toThrow(WaitTimeoutError);
    const waiting = tx.waitForConsumers(2);
    using second = Channel.open(bench.handle(), "c").consumer();
    await waiting;
    expect(second.lane).toBe(1);
    expect(tx.consumers).toBe(2);
  });
});

describe("misuse", () => {
  test("one producer; both ends on one handle; one lane per participant", () => {
    using bench = new Bench();
    const { channel } = bench.connect({});
    expect(() => Channel.open(bench.handle(), "c").producer()).toThrow(InUseError);
    expect(() => channel.consumer()).toThrow(SameHandleError);
    const handle = bench.handle();
    using rx = Channel.open(handle, "c").consumer();
    expect(() => Channel.open(handle, "c").consumer()).toThrow(SameHandleError);
    expect(rx.lane).toBe(1);
  });

  test("impossible shapes name the limits", () => {
    using bench = new Bench();
    const { first } = bench;
    expect(() => Channel.create(first, "x", {})).toThrow(/frameBytes or a pool/);
    expect(() => Channel.create(first, "x", { frameBytes: 0 })).toThrow(ArgumentError);
    expect(() => Channel.create(first, "x", { frameBytes: 64, maxConsumers: 31 })).toThrow(/1-30/);
    expect(() => Channel.create(first, "x", { frameBytes: 64, laneCapacity: 3 })).toThrow(/power of two/);
    expect(() => Channel.create(first, "x", { frameBytes: 64, policy: "newest" as "block" })).toThrow(
      /one of block/,
    );
    expect(first.directory.find("x.pool")).toBeNull();
  });

  test("sizeBytes is enough for what create takes", () => {
    for (const options of [
      { frameBytes: 100 },
      { frameBytes: 1920 * 1080, frames: 5 },
      { frameBytes: 4096, maxConsumers: 30, delivery: "one" as const },
    ]) {
      using bench = new Bench(Channel.sizeBytes(options) + 32768);
      expect(Channel.create(bench.first, "c", options).frameBytes).toBeGreaterThanOrEqual(options.frameBytes);
    }
  });
});
