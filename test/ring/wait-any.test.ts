/** Waiting for many things at once, with limits and signals. */
import { describe, expect, test } from "bun:test";
import {
  blockAny,
  Cell,
  Channel,
  Messages,
  Participant,
  Pool,
  Queue,
  Records,
  type Region,
  Ring,
  type Waitable,
  waitAny,
} from "../../src/index.ts";
import { RegionPair } from "../support/regions.ts";

const SHAPE = { slotBytes: 16, capacity: 4 };

async function asleep(...regions: Region[]): Promise<void> {
  while (!regions.every((region) => Participant.of(region).doorbell.asleep)) await Bun.sleep(1);
}

/** Everything that can be waited for, in a region of its own; `make` makes it ready. */
function everything(pair: RegionPair): { name: string; end: Waitable; make: () => void }[] {
  const { a, b } = pair;
  const rx = Ring.create(a, "rx", SHAPE).consumer();
  const rxPeer = Ring.open(b, "rx").producer();
  const tx = Ring.create(a, "tx", SHAPE).producer();
  const txPeer = Ring.open(b, "tx").consumer();
  tx.commit(tx.reserve(4));
  const frames = Channel.create(a, "frames", { frameBytes: 128, frames: 1 });
  const producer = frames.producer();
  const held = producer.loan()!;
  const incoming = Channel.create(b, "incoming", { frameBytes: 128 });
  const consumer = Channel.open(a, "incoming").consumer();
  const sender = incoming.producer();
  const queue = Queue.create(a, "queue", { slotBytes: 16, capacity: 4 });
  const taker = queue.consumer();
  const giver = Queue.open(b, "queue").producer();
  const records = Records.create(b, "records", { capacityBytes: 4096 });
  const reader = Records.open(a, "records").consumer();
  const writer = records.producer();
  const messages = Messages.create<number>(b, "messages", { capacityBytes: 4096 });
  const listener = Messages.open<number>(a, "messages").consumer();
  const speaker = messages.producer();
  const cell = Cell.create(b, "cell", { valueBytes: 8 });
  const observer = Cell.open(a, "cell").reader();
  const author = cell.writer();
  return [
    { name: "ring, something committed", end: rx, make: () => rxPeer.commit(rxPeer.reserve(1)) },
    { name: "ring, something released", end: tx, make: () => txPeer.release(txPeer.peek(1)) },
    { name: "pool, a block released", end: producer.freeBlock, make: () => held.release() },
    { name: "channel, a frame", end: consumer, make: () => void sender.send(sender.loan()!) },
    { name: "queue, a message", end: taker, make: () => giver.commit(giver.reserve(1)) },
    { name: "cell, a value", end: observer, make: () => author.write(new Uint8Array(8)) },
    { name: "records, a record", end: reader, make: () => void writer.send(new Uint8Array(8)) },
    { name: "messages, a message", end: listener, make: () => void speaker.send(1) },
  ];
}

describe("waitAny", () => {
  for (let i = 0; i < 8; i++) {
    test(`wakes for number ${i} of rings, a pool, a channel, a queue, records, messages`, async () => {
      using pair = new RegionPair("any");
      const ends = everything(pair);
      const all = ends.map(({ end }) => end);
      expect(await waitAny(all, { timeoutMs: 1 })).toBe(false);
      const waiting = waitAny(all);
      await asleep(pair.a);
      ends[i]!.make();
      expect(await waiting).toBe(true);
      expect(ends.flatMap(({ name, end }) => (end.ready() ? [name] : []))).toEqual([ends[i]!.name]);
    });
  }

  test("spans regions, and ends with its signal", async () => {
    using first = new RegionPair("any");
    using second = new RegionPair("any");
    const rx = [first, second].map(({ a }) => Ring.create(a, "r", SHAPE).consumer());
    const tx = Ring.open(second.b, "r").producer();
    expect(await waitAny(rx, { timeoutMs: 2 })).toBe(false);
    const stop = new AbortController();
    const aborted = waitAny(rx, { signal: stop.signal });
    await asleep(first.a, second.a);
    stop.abort(new Error("enough"));
    expect(aborted).rejects.toThrow("enough");
    await aborted.catch(() => undefined);
    expect([first, second].some(({ a }) => Participant.of(a).doorbell.asleep)).toBe(false);
    const waiting = waitAny(rx);
    await asleep(first.a, second.a);
    tx.commit(tx.reserve(1));
    expect(await waiting).toBe(true);
    expect(() => blockAny(rx)).toThrow(/one region handle/);
  });

  test("blockAny blocks", () => {
    using pair = new RegionPair("any");
    const ends = everything(pair);
    const all = ends.map(({ end }) => end);
    expect(blockAny(all, { timeoutMs: 5 })).toBe(false);
    ends[2]!.make();
    expect(blockAny(all)).toBe(true);
    expect(() => blockAny([])).toThrow(/nothing to wait for/);
  });

  test("two readers of one cell do not put each other to sleep", async () => {
    using pair = new RegionPair("any");
    const author = Cell.create(pair.b, "cell", { valueBytes: 8 }).writer();
    const readers = [1, 2].map(() => Cell.open(pair.a, "cell").reader());
    const short = readers[0]!.wait({ timeoutMs: 2 });
    const long = readers[1]!.wait();
    expect(await short).toBe(false);
    author.write(new Uint8Array(8));
    expect(await long).toBe(true);
  });

  test("loans that wait together do not put each other to sleep", async () => {
    using pair = new RegionPair("any");
    const pool = Pool.create(pair.a, "pool", { frameBytes: 128, blockCount: 2, metaBytes: 0 });
    const producers = ["x", "y"].map((name) => Channel.create(pair.a, name, { pool }).producer());
    const held = [producers[0]!.loan()!, producers[1]!.loan()!];
    const given = await Promise.allSettled([producers[0]!.loanAsync({ timeoutMs: 2 })]);
    expect(given[0]!.status).toBe("rejected");
    const short = producers[0]!.loanAsync({ timeoutMs: 2 });
    const long = producers[1]!.loanAsync();
    await short.catch(() => undefined);
    held[0]!.release();
    const frame = await long;
    expect(frame).not.toBeNull();
  });
});
