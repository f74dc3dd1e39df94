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
  Service,
  type Waitable,
  waitAny,
} from "../../src/index.ts";
import { expectCode, rejectionCode } from "../support/errors.ts";
import { RegionPair } from "../support/regions.ts";

const SHAPE = { slotBytes: 16, capacity: 4 };

async function asleep(...regions: Region[]): Promise<void> {
  while (!regions.every((region) => Participant.of(region).doorbell.asleep)) await Bun.sleep(1);
}

interface End {
  readonly name: string;
  readonly end: Waitable;
  /** Makes it ready. */
  make(): void;
}

const SMALL = { clients: 2, requestBytes: 8192, responseBytes: 8192 };

/** Producers on one handle that found no room, with consumers on the other. */
function withoutRoom({ a, b }: RegionPair): End[] {
  const lane = Queue.create(a, "full queue", SHAPE).producer();
  lane.commit(lane.reserve(4));
  const laneConsumer = Queue.open(b, "full queue").consumer();
  const records = Records.create(a, "full records", { capacityBytes: 4096 }).producer();
  const recordsConsumer = Records.open(b, "full records").consumer();
  while (records.tryReserve(1024)) records.commit(1024);
  const frames = Channel.create(a, "full channel", { frameBytes: 128, laneCapacity: 2 }).producer();
  const framesConsumer = Channel.open(b, "full channel").consumer();
  for (let i = 0; i < 2; i++) frames.send(frames.loan()!);
  expect(frames.trySend(frames.loan()!)).toBeNull();
  const messages = Messages.create<Uint8Array>(a, "full messages", { capacityBytes: 4096 }).producer();
  const messagesConsumer = Messages.open<Uint8Array>(b, "full messages").consumer();
  const send = (): boolean => messages.send(new Uint8Array(1500), { timeoutMs: 0 });
  expectCode("TIMEOUT", () => {
    for (;;) send();
  });
  return [
    {
      name: "queue, room",
      end: lane,
      make: () => laneConsumer.release(laneConsumer.peek(1)),
    },
    { name: "records, room", end: records, make: () => void recordsConsumer.tryReceive() },
    { name: "channel, room", end: frames.room, make: () => framesConsumer.tryReceive()!.release() },
    { name: "messages, room", end: messages, make: () => void messagesConsumer.tryReceive() },
  ];
}

/** A server, and a client with a call under way. */
async function services({ a, b }: RegionPair): Promise<End[]> {
  const server = Service.create<number, number>(a, "server here", SMALL).server();
  const caller = Service.open<number, number>(b, "server here").client();
  const elsewhere = Service.create<number, number>(b, "server elsewhere", SMALL).server();
  const client = Service.open<number, number>(a, "server elsewhere").client();
  client.call(1).catch(() => undefined); // unanswered in most tests
  const request = await elsewhere.receiveAsync();
  return [
    { name: "service, a request", end: server, make: () => void caller.notify(1) },
    { name: "service, a response", end: client, make: () => void request.reply(2) },
  ];
}

/** Everything that can be waited for, on one handle. */
async function everything(pair: RegionPair): Promise<End[]> {
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
  const shared = Queue.create(a, "shared queue", { ...SHAPE, consumers: "many" }).taker();
  const sharer = Queue.open(b, "shared queue").producer();
  const endingHere = Queue.create(a, "ending queue", SHAPE).consumer();
  const endingTaker = Queue.create(a, "other ending queue", { ...SHAPE, consumers: "many" }).taker();
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
    { name: "queue with takers, a message", end: shared, make: () => sharer.commit(sharer.reserve(1)) },
    { name: "queue, its end", end: endingHere, make: () => Queue.open(b, "ending queue").end() },
    {
      name: "queue with takers, its end",
      end: endingTaker,
      make: () => Queue.open(b, "other ending queue").end(),
    },
    { name: "cell, a value", end: observer, make: () => author.write(new Uint8Array(8)) },
    { name: "records, a record", end: reader, make: () => void writer.send(new Uint8Array(8)) },
    { name: "messages, a message", end: listener, make: () => void speaker.send(1) },
    ...withoutRoom(pair),
    ...(await services(pair)),
  ];
}

const ENDS = 17;

describe("waitAny", () => {
  for (let i = 0; i < ENDS; i++) {
    test(`wakes for number ${i} of everything that can be waited for`, async () => {
      using pair = new RegionPair("any", "4MiB");
      const ends = await everything(pair);
      expect(ends).toHaveLength(ENDS);
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

  test("blockAny blocks", async () => {
    using pair = new RegionPair("any", "4MiB");
    const ends = await everything(pair);
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

const STALL = { stallTimeoutMs: 20 };

/** Each kind of producer that a consumer without hurry holds up; `room`: what it waits for. */
const STALLED: Record<
  string,
  (pair: RegionPair, stallAction: "evict" | "error") => { room: Waitable; evicted: () => number }
> = {
  "queue, room": ({ a, b }, stallAction) => {
    const queue = Queue.create(a, "x", { ...SHAPE, ...STALL, stallAction, consumers: "many" });
    const producer = queue.producer();
    producer.commit(producer.reserve(4));
    Queue.open(b, "x").taker();
    return { room: producer, evicted: () => queue.counters.evicted };
  },
  "records, room": ({ a, b }, stallAction) => {
    const producer = Records.create(a, "x", { capacityBytes: 4096, ...STALL, stallAction }).producer();
    Records.open(b, "x").consumer();
    while (producer.tryReserve(1024)) producer.commit(1024);
    return { room: producer, evicted: () => producer.counters.evicted };
  },
  "channel, room": ({ a, b }, stallAction) => {
    const options = { frameBytes: 128, laneCapacity: 2, ...STALL, stallAction };
    const producer = Channel.create(a, "x", options).producer();
    Channel.open(b, "x").consumer();
    for (let i = 0; i < 2; i++) producer.send(producer.loan()!);
    expect(producer.trySend(producer.loan()!)).toBeNull();
    return { room: producer.room, evicted: () => producer.counters.evicted };
  },
  "channel, a block": ({ a, b }, stallAction) => {
    const producer = Channel.create(a, "x", { frameBytes: 128, frames: 1, ...STALL, stallAction }).producer();
    Channel.open(b, "x").consumer();
    producer.send(producer.loan()!);
    expect(producer.tryLoan()).toBeNull();
    return { room: producer.freeBlock, evicted: () => producer.counters.evicted };
  },
};

describe("waiting together with other things looks for consumers that stand still", () => {
  for (const [kind, prepare] of Object.entries(STALLED)) {
    test(`${kind}: evicts`, async () => {
      using pair = new RegionPair("any");
      const idle = Ring.create(pair.a, "idle", SHAPE).consumer();
      const { room, evicted } = prepare(pair, "evict");
      // A queue without consumers has no more room than before.
      const expected = kind !== "queue, room";
      expect(await waitAny([idle, room], { timeoutMs: expected ? 10_000 : 200 })).toBe(expected);
      expect(evicted()).toBe(1);
    });

    test(`${kind}: fails, blocked as well`, async () => {
      using pair = new RegionPair("any");
      const idle = Ring.create(pair.a, "idle", SHAPE).consumer();
      const { room } = prepare(pair, "error");
      expect(await rejectionCode(waitAny([idle, room], { timeoutMs: 10_000 }))).toBe("STALLED");
      expectCode("STALLED", () => blockAny([idle, room], { timeoutMs: 10_000 }));
    });
  }
});
