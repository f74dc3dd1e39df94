/** History of frame channels (PROTOCOL.md §7.6): a consumer that joins late gets the last frames first, whatever the producer does. */
import { afterEach, describe, expect, test } from "bun:test";
import { Channel, type ChannelOptions } from "../../src/channel/channel.ts";
import type { FrameConsumer } from "../../src/channel/consumer.ts";
import type { FrameProducer } from "../../src/channel/producer.ts";
import { ParticipantRecord, participantRecordWord } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import {
  ArgumentError,
  BackpressureError,
  EvictedError,
  FrameSharedError,
  InUseError,
  PeerDiedError,
  WaitTimeoutError,
} from "../../src/ring/errors.ts";
import { ChannelLayout, RingLayout } from "../../src/ring/layout.ts";
import { Participant } from "../../src/ring/participant.ts";
import { expectCode } from "../support/errors.ts";
import { uniqueName } from "../support/regions.ts";

const PEER = new URL("fixtures/history-peer.ts", import.meta.url).pathname;

/** A region with a channel `c` in it, its producer on the first handle, and as many more handles as a test wants. */
class Bench implements Disposable {
  readonly name = uniqueName("history");
  readonly channel: Channel;
  readonly #handles: Region[] = [];

  constructor(options: Partial<ChannelOptions>) {
    const region = Region.create(this.name, { size: "4MiB" });
    this.#handles.push(region);
    try {
      this.channel = Channel.create(region, "c", { frameBytes: 256, ...options });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  handle(): Region {
    const region = Region.open(this.name);
    this.#handles.push(region);
    return region;
  }

  join(options: { history?: number; reconnect?: boolean } = {}): FrameConsumer {
    return Channel.open(this.handle(), "c").consumer(options);
  }

  get free(): number {
    return this.channel.pool.countFree();
  }

  get blocks(): number {
    return this.channel.pool.geometry.blockCount;
  }

  [Symbol.dispose](): void {
    for (const region of this.#handles.reverse()) region.close();
    Region.destroy(this.name);
  }
}

function send(tx: FrameProducer, ...values: number[]): void {
  for (const value of values) {
    const frame = tx.loan({ timeoutMs: 1000 });
    if (frame === null) continue;
    frame.bytes.fill(value);
    frame.tag = value;
    frame.metadata = { value };
    tx.send(frame, { timeoutMs: 1000 });
  }
}

function drain(rx: FrameConsumer): number[] {
  const values: number[] = [];
  for (let frame = rx.tryReceive(); frame !== null; frame = rx.tryReceive()) {
    expect(frame.bytes.every((byte) => byte === frame!.tag)).toBe(true);
    expect(frame.metadata).toEqual({ value: frame.tag });
    expect(frame.sequence).toBe(frame.tag);
    values.push(frame.tag);
    frame.release();
  }
  return values;
}

const started: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

async function startPeer(name: string, count: number): Promise<Bun.Subprocess<"ignore", "pipe", "inherit">> {
  const peer = Bun.spawn([process.execPath, PEER, name, String(count)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  started.push(peer);
  await peer.stdout.getReader().read();
  return peer;
}

describe("joining late", () => {
  test("the last frames first, in order, then what is sent", () => {
    using bench = new Bench({ history: 3 });
    const tx = bench.channel.producer();
    send(tx, 0, 1, 2, 3, 4);
    const rx = bench.join();
    expect(rx.ready()).toBe(true);
    send(tx, 5, 6);
    expect(drain(rx)).toEqual([2, 3, 4, 5, 6]);
    expect(rx.ready()).toBe(false);
  });

  test("fewer were sent than are kept; none", () => {
    using bench = new Bench({ history: 3 });
    const tx = bench.channel.producer();
    const first = bench.join();
    expect(drain(first)).toEqual([]);
    send(tx, 0, 1);
    expect(drain(bench.join())).toEqual([0, 1]);
    expect(drain(first)).toEqual([0, 1]);
  });

  test("it is the same memory, and stays until it is released", () => {
    using bench = new Bench({ history: 1, frames: 3 });
    const tx = bench.channel.producer();
    const early = bench.join();
    send(tx, 0);
    using seen = early.tryReceive()!;
    const late = bench.join();
    const frame = late.tryReceive()!;
    expect(frame.offset).toBe(seen.offset);
    expect(frame.timestampNs).toBe(seen.timestampNs);
    seen.release();
    early.close();
    for (const value of [1, 2, 3, 4]) {
      send(tx, value);
      late.tryReceive()!.release();
      expect(frame.bytes[0]).toBe(0);
    }
    frame.release();
    expect(bench.free).toBe(2);
  });

  test("as many as the consumer asks for", () => {
    using bench = new Bench({ history: 3 });
    const tx = bench.channel.producer();
    send(tx, 0, 1, 2, 3);
    expect(drain(bench.join({ history: 2 }))).toEqual([2, 3]);
    expect(drain(bench.join({ history: 0 }))).toEqual([]);
    expect(() => bench.join({ history: 4 })).toThrow(ArgumentError);
    expect(() => bench.join({ history: -1 })).toThrow(ArgumentError);
  });

  test("many laps, a joiner after each frame", () => {
    using bench = new Bench({ history: 5, frames: 7, maxConsumers: 1 });
    const tx = bench.channel.producer();
    const handle = bench.handle();
    for (let value = 0; value < 40; value++) {
      send(tx, value);
      const rx = Channel.open(handle, "c").consumer();
      const from = Math.max(0, value - 4);
      expect(drain(rx)).toEqual(Array.from({ length: value - from + 1 }, (_, i) => from + i));
      rx.close();
    }
    expect(bench.free).toBe(2);
  });

  test("a frame still held from an earlier stay is left out", () => {
    using bench = new Bench({ history: 3 });
    const tx = bench.channel.producer();
    const handle = bench.handle();
    const first = Channel.open(handle, "c").consumer();
    send(tx, 0, 1, 2);
    first.tryReceive()!.release();
    using held = first.tryReceive()!;
    first.close();
    const second = Channel.open(handle, "c").consumer();
    expect(drain(second)).toEqual([0, 2]);
    expect(held.bytes[0]).toBe(1);
    expect(drain(bench.join())).toEqual([0, 1, 2]);
  });

  test("frames that were not received are let go when the consumer leaves", () => {
    using bench = new Bench({ history: 2 });
    const tx = bench.channel.producer();
    send(tx, 0, 1, 2);
    const rx = bench.join();
    rx.tryReceive()!.release();
    rx.close();
    tx.close();
    expect(bench.free).toBe(bench.blocks);
  });
});

describe("the producer", () => {
  test("idle in another process, and stopped", async () => {
    using bench = new Bench({ history: 3 });
    const peer = await startPeer(bench.name, 5);
    const plain = (rx: FrameConsumer): number[] => {
      const tags: number[] = [];
      for (let frame = rx.tryReceive(); frame !== null; frame = rx.tryReceive()) {
        tags.push(frame.tag);
        frame.release();
      }
      return tags;
    };
    expect(plain(bench.join())).toEqual([2, 3, 4]);
    peer.kill("SIGSTOP");
    expect(plain(bench.join())).toEqual([2, 3, 4]);
  });

  test("dies: its history is gone, what was taken is not; a successor has its own", async () => {
    using bench = new Bench({ history: 3 });
    const peer = await startPeer(bench.name, 5);
    const rx = bench.join({ reconnect: true });
    peer.kill("SIGKILL");
    await peer.exited;
    const tx = bench.channel.producer(); // cleans up
    expect(bench.free).toBe(bench.blocks - 3); // those of rx
    const frames = [rx.tryReceive()!, rx.tryReceive()!, rx.tryReceive()!];
    expect(frames.map((frame) => [frame.tag, frame.bytes[0]])).toEqual([
      [2, 2],
      [3, 3],
      [4, 4],
    ]);
    for (const frame of frames) frame.release();
    expect(bench.free).toBe(bench.blocks);
    send(tx, 5);
    expect(drain(bench.join())).toEqual([5]);
    expect(drain(rx)).toEqual([5]);
  });

  test("dies: who joins afterwards is told so", async () => {
    using bench = new Bench({ history: 3 });
    const peer = await startPeer(bench.name, 5);
    peer.kill("SIGKILL");
    await peer.exited;
    const handle = bench.handle();
    Participant.of(handle).recoverDead();
    const rx = Channel.open(handle, "c").consumer();
    expect(() => rx.receive({ timeoutMs: 1000 })).toThrow(PeerDiedError);
  });

  test("ends: so does the history", () => {
    using bench = new Bench({ history: 3 });
    const tx = bench.channel.producer();
    send(tx, 0, 1, 2);
    const before = bench.join();
    tx.close();
    const after = bench.join();
    expect(after.receive({ timeoutMs: 1000 })).toBeNull();
    expect(before.ended).toBe(false);
    expect(drain(before)).toEqual([0, 1, 2]);
    expect(before.ended).toBe(true);
    expect(bench.free).toBe(bench.blocks);
    const next = Channel.open(bench.handle(), "c").producer();
    send(next, 3);
    expect(drain(bench.join())).toEqual([3]);
  });

  test("stopped in the middle of a send: a typed error, and the lane is free again", () => {
    using bench = new Bench({ history: 2, maxConsumers: 1 });
    const tx = bench.channel.producer();
    send(tx, 0);
    const { words } = bench.channel.geometry;
    words[ChannelLayout.sendingWord]! += 1;
    expect(() => bench.join()).toThrow(InUseError);
    expect(drain(bench.join({ history: 0 }))).toEqual([]);
    words[ChannelLayout.sendingWord]! -= 1;
  });

  test("stopped in the middle of a send to the joiner: it may try again on the same handle", () => {
    using bench = new Bench({ history: 2, maxConsumers: 2 });
    const tx = bench.channel.producer();
    send(tx, 0);
    const { words, lanes } = bench.channel.geometry;
    words[ChannelLayout.sendingWord]! += 1;
    lanes[0]![RingLayout.preparedWord]! += 1;
    const consumer = Channel.open(bench.handle(), "c");
    expectCode("IN_USE", () => consumer.consumer());
    expectCode("IN_USE", () => consumer.consumer()); // the lane is busy: not SAME_HANDLE
    lanes[0]![RingLayout.preparedWord]! -= 1;
    words[ChannelLayout.sendingWord]! -= 1;
    const rx = consumer.consumer();
    expect(drain(rx)).toEqual([0]);
    expectCode("SAME_HANDLE", () => consumer.consumer());
  });

  test("keeps a block that a joiner is about to take", () => {
    using bench = new Bench({ history: 1, frames: 4 });
    const tx = bench.channel.producer();
    const joiner = bench.handle();
    const { index, bit } = Participant.of(joiner);
    send(tx, 0); // block 0
    bench.channel.geometry.words[ChannelLayout.takersWord] = bit;
    const wanted = participantRecordWord(index) + ParticipantRecord.wantedWord;
    joiner.control.words[wanted] = 1;
    send(tx, 1);
    expect(bench.free).toBe(2);
    send(tx, 2);
    expect(bench.free).toBe(2);
    joiner.control.words[wanted] = 0;
    send(tx, 3);
    expect(bench.free).toBe(3);
    const [kept] = [0, 1, 2, 3].filter((block) => bench.channel.pool.holders(block) !== 0);
    joiner.control.words[wanted] = kept! + 1; // where frame 3 is
    send(tx, 4);
    expect(bench.free).toBe(2);
    joiner.control.words[wanted] = 0;
    tx.close();
    Participant.of(bench.channel.geometry.region).recoverDead();
    expect(bench.free).toBe(4);
  });
});

test("a block that an ended history could not let go of is let go of once, whatever its next producer drops", () => {
  using bench = new Bench({ history: 1, policy: "drop-oldest", laneCapacity: 2, frames: 8 });
  const first = bench.channel.producer();
  const { pool } = bench.channel;
  const { bit } = Participant.of(bench.channel.geometry.region);
  bench.join(); // and takes nothing
  const joiner = bench.handle();
  const { index, bit: joinersBit } = Participant.of(joiner);
  send(first, 0);
  const block = Array.from({ length: 8 }, (_, b) => b).find((b) => pool.holders(b) !== 0)!;
  bench.channel.geometry.words[ChannelLayout.takersWord] = joinersBit;
  const wanted = participantRecordWord(index) + ParticipantRecord.wantedWord;
  joiner.control.words[wanted] = block + 1;
  first.close();
  const next = bench.channel.producer();
  send(next, 1, 2);
  expect(bench.channel.counters.droppedOldest).toBe(1); // 0, from the consumer's full lane
  expect(pool.holders(block)).toBe(bit);
  joiner.control.words[wanted] = 0;
  Participant.of(bench.channel.geometry.region).recoverDead();
  expect(pool.holders(block)).toBe(0);
});

describe("frames of a channel with history", () => {
  test("cannot be forwarded in place, and the error says what to do", () => {
    using bench = new Bench({ history: 1 });
    const tx = bench.channel.producer();
    const handle = bench.handle();
    const next = Channel.create(bench.handle(), "next", { pool: Channel.open(handle, "c").pool });
    expect(next.history).toBe(0);
    const forward = Channel.open(handle, "next").producer();
    const rx = Channel.open(handle, "c").consumer();
    send(tx, 0, 1);
    using first = rx.tryReceive()!;
    expectCode("FRAME_SHARED", () => forward.send(first));
    expect(() => forward.send(first)).toThrow(FrameSharedError);
    expect(() => forward.send(first)).toThrow(/channel c .*copy/);
    expect(first.bytes[0]).toBe(0);
  });

  test("may have been forwarded into it", () => {
    using bench = new Bench({ history: 2 });
    const handle = bench.handle();
    const pool = bench.channel.pool;
    const source = Channel.create(bench.channel.geometry.region, "source", { pool }).producer();
    const stage = Channel.open(handle, "source").consumer();
    const tx = Channel.open(handle, "c").producer();
    send(source, 0, 1, 2);
    for (let frame = stage.tryReceive(); frame !== null; frame = stage.tryReceive()) tx.send(frame);
    expect(drain(bench.join())).toEqual([1, 2]);
    tx.close();
    expect(bench.free).toBe(bench.blocks);
  });
});

describe("policies", () => {
  test("block: a joiner that does not read holds blocks, and the producer waits for them", () => {
    using bench = new Bench({ history: 2, frames: 4 });
    const tx = bench.channel.producer();
    send(tx, 0, 1);
    const rx = bench.join();
    send(tx, 2, 3);
    expect(() => tx.loan({ timeoutMs: 30 })).toThrow(WaitTimeoutError);
    rx.tryReceive()!.release();
    send(tx, 4);
    expect(drain(rx)).toEqual([1, 2, 3, 4]);
  });

  test("fail: nothing is kept of what was not sent", () => {
    using bench = new Bench({ history: 4, policy: "fail", laneCapacity: 2 });
    const tx = bench.channel.producer();
    const rx = bench.join();
    send(tx, 0, 1);
    using frame = tx.loan()!;
    expect(() => tx.send(frame)).toThrow(BackpressureError);
    expect(drain(bench.join())).toEqual([0, 1]);
    expect(drain(rx)).toEqual([0, 1]);
  });

  test("drop-newest: who joins gets what others had no room for", () => {
    using bench = new Bench({ history: 3, policy: "drop-newest", laneCapacity: 2 });
    const tx = bench.channel.producer();
    const rx = bench.join();
    send(tx, 0, 1, 2, 3);
    expect(drain(bench.join())).toEqual([1, 2, 3]);
    expect(drain(rx)).toEqual([0, 1]);
  });

  test("drop-oldest: what is dropped from a lane stays in the history, which is not given up for a loan", () => {
    using bench = new Bench({ history: 3, policy: "drop-oldest", laneCapacity: 2, frames: 5 });
    const tx = bench.channel.producer();
    const rx = bench.join();
    send(tx, 0, 1, 2, 3);
    expect(drain(bench.join())).toEqual([1, 2, 3]);
    using a = tx.loan()!;
    using b = tx.loan()!;
    expect(a.held && b.held).toBe(true);
    expect(tx.loan()).toBeNull();
    expect(drain(rx)).toEqual([2, 3]);
  });

  test("drop-oldest: an untaken frame older than the history is given up for a loan", () => {
    using bench = new Bench({ history: 1, policy: "drop-oldest", laneCapacity: 4, frames: 4 });
    const tx = bench.channel.producer();
    const rx = bench.join();
    send(tx, 0, 1, 2, 3, 4);
    expect(drain(rx)).toEqual([1, 2, 3, 4]);
  });

  /** A joiner of a history of 0 and 1, evicted before it received anything. */
  async function evictedJoiner(bench: Bench) {
    const tx = bench.channel.producer();
    send(tx, 0, 1);
    const rx = bench.join();
    while (bench.channel.counters.evicted === 0) {
      const frame = (await tx.loanAsync({ timeoutMs: 5000 }))!;
      await tx.sendAsync(frame, { timeoutMs: 5000 });
    }
    return { tx, rx };
  }

  test("evict: a joiner keeps what it took from the history, and lets go of what it does not receive", async () => {
    using bench = new Bench({ history: 2, laneCapacity: 2, stallTimeoutMs: 20 });
    const { tx, rx } = await evictedJoiner(bench);
    {
      using first = rx.tryReceive()!;
      expect(first.bytes[0]).toBe(0);
    }
    rx.close();
    tx.close();
    expect(bench.free).toBe(bench.blocks);
  });

  test("evict, for want of a block: like a send to those who join, for blocks leave the history's lanes meanwhile", () => {
    using bench = new Bench({ history: 2, laneCapacity: 8, frames: 4, stallTimeoutMs: 20 });
    const tx = bench.channel.producer();
    bench.join();
    send(tx, 0, 1, 2, 3);
    const { words, pool } = bench.channel.geometry;
    const takeBack = pool.takeBack.bind(pool);
    const under: boolean[] = [];
    pool.takeBack = (...step) => {
      under.push((words[ChannelLayout.sendingWord]! & 1) === 1);
      return takeBack(...step);
    };
    const frame = tx.loan({ timeoutMs: 5000 });
    expect(frame).not.toBeNull();
    expect(bench.channel.counters.evicted).toBe(1);
    expect(under).toEqual([true, true, true, true]);
    expect(words[ChannelLayout.sendingWord]! & 1).toBe(0);
  });

  test("evict: behind the history comes the error", async () => {
    using bench = new Bench({ history: 2, laneCapacity: 2, stallTimeoutMs: 20 });
    const { rx } = await evictedJoiner(bench);
    for (const value of [0, 1]) {
      using frame = rx.tryReceive()!;
      expect(frame.bytes[0]).toBe(value);
    }
    expect(() => rx.tryReceive()).toThrow(EvictedError);
  });

  test("evict: who works through its history is not stalled", async () => {
    const history = 8;
    using bench = new Bench({ history, laneCapacity: 2, frames: 24, stallTimeoutMs: 400 });
    const tx = bench.channel.producer();
    for (let value = 0; value < history; value++) send(tx, value);
    const rx = bench.join();
    send(tx, 8, 9);
    using frame = tx.loan()!;
    const sending = tx.sendAsync(frame, { timeoutMs: 5000 });
    for (let value = 0; value < history; value++) {
      await Bun.sleep(80); // longer than the limit, together
      using received = rx.tryReceive()!;
      expect(received.bytes[0]).toBe(value);
    }
    using next = rx.tryReceive()!;
    expect(next.bytes[0]).toBe(8);
    expect(await sending).toBe(true);
    expect(bench.channel.counters.evicted).toBe(0);
  });
});

describe("shape", () => {
  test("impossible numbers are refused", () => {
    for (const options of [
      { history: -1 },
      { history: 1.5 },
      { history: 2 ** 15 + 1, frames: 60_000 },
      { history: 4, frames: 4 },
      { history: 1, delivery: "one" },
    ] as const)
      expect(() => new Bench(options)).toThrow(ArgumentError);
  });

  test("it is in the segment, and checked", () => {
    using bench = new Bench({ history: 3 });
    expect(Channel.open(bench.handle(), "c", { history: 3 }).history).toBe(3);
    expectCode("OBJECT_SHAPE", () => Channel.open(bench.handle(), "c", { history: 2 }));
    const { words } = bench.channel.geometry;
    const spoil = (word: number, value: number): void => {
      const before = words[word]!;
      words[word] = value;
      expectCode("CORRUPT", () => Channel.open(bench.handle(), "c"));
      words[word] = before;
    };
    spoil(ChannelLayout.historyCountWord, 2 ** 15 + 1);
    spoil(ChannelLayout.historyCountWord, bench.blocks);
    spoil(ChannelLayout.historyCountWord, 0);
    spoil(ChannelLayout.historyOffsetWord, 128);
    spoil(ChannelLayout.deliveryWord, 1);
  });
});
