/** Work queues through the named API: several region handles of this process stand for processes. */
import { describe, expect, test } from "bun:test";
import { Region } from "../../src/memory/region.ts";
import {
  ArgumentError,
  BackpressureError,
  CorruptError,
  InUseError,
  QueueEndedError,
} from "../../src/ring/errors.ts";
import { type PolicyName, RingLayout } from "../../src/ring/layout.ts";
import { Queue } from "../../src/ring/queue.ts";
import type { QueueConsumer } from "../../src/ring/queue-consumer.ts";
import { LANE_BURST } from "../../src/ring/queue-consumer.ts";
import { QueueLayout } from "../../src/ring/queue-layout.ts";
import type { QueueProducer } from "../../src/ring/queue-producer.ts";
import type { QueueTaker } from "../../src/ring/queue-taker.ts";
import { rejectionCode } from "../support/errors.ts";
import { RegionPair, uniqueName } from "../support/regions.ts";

/** As many handles as wanted of one region with one queue. */
class Stage implements Disposable {
  readonly name = uniqueName("queue");
  readonly handles: Region[];

  constructor(
    handles: number,
    readonly options: Parameters<typeof Queue.create>[2],
  ) {
    this.handles = [Region.create(this.name, { size: "4MiB" })];
    while (this.handles.length < handles) this.handles.push(Region.open(this.name));
    Queue.create(this.handles[0]!, "q", options);
  }

  queue(handle: number): Queue {
    return Queue.open(this.handles[handle]!, "q");
  }

  [Symbol.dispose](): void {
    for (const handle of this.handles) handle.close();
    Region.destroy(this.name);
  }
}

const ONE = { slotBytes: 16, capacity: 4, producers: 2 } as const;
const MANY = { ...ONE, consumers: "many" } as const;

function send(tx: QueueProducer, ...values: number[]): number {
  let sent = 0;
  while (sent < values.length) {
    const n = tx.reserve(values.length - sent);
    if (n === 0) break;
    for (let i = 0; i < n; i++) tx.write(i, values[sent + i]!, 0, 0, 0);
    tx.commit(n);
    sent += n;
  }
  return sent;
}

function some(rx: QueueConsumer | QueueTaker, max: number): number {
  return "take" in rx ? rx.take(max) : rx.peek(max);
}

function receive(rx: QueueConsumer | QueueTaker, max = 100): number[] {
  const got: number[] = [];
  for (;;) {
    const n = some(rx, max);
    if (n === 0) return got;
    for (let i = 0; i < n; i++) got.push(rx.words[rx.at + i * rx.slotWords]!);
    if ("release" in rx) rx.release(n);
  }
}

describe("geometry", () => {
  test("comes from the segment, and every word of it is checked", () => {
    using stage = new Stage(2, { ...MANY, policy: "drop-newest" });
    const { geometry } = stage.queue(1);
    expect(geometry).toMatchObject({ ...MANY, policy: "drop-newest", sharedHeads: true });
    for (const word of [0, 1, 2, 3, 4, 5, 6]) {
      const before = geometry.words[word]!;
      geometry.words[word] = before ^ 0x5a5a5a5a;
      expect(() => stage.queue(0)).toThrow(CorruptError);
      geometry.words[word] = before;
    }
    geometry.lanes[1]!.words[RingLayout.flagsWord] = 0;
    expect(() => stage.queue(0)).toThrow(CorruptError);
  });

  test("impossible shapes and the wrong verb are refused with the remedy", () => {
    using stage = new Stage(1, ONE);
    const region = stage.handles[0]!;
    expect(() => Queue.create(region, "x", { ...ONE, producers: 32 })).toThrow("1 to 31");
    expect(() => Queue.create(region, "x", { ...ONE, slotBytes: 24 })).toThrow("slotBytes is a power of two");
    expect(() => stage.queue(0).taker()).toThrow("use consumer()");
    const many = Queue.create(region, "many", MANY);
    expect(() => many.consumer()).toThrow("use taker()");
    expect(() => many.taker({ burst: 0 })).toThrow(ArgumentError);
  });
});

describe("ends", () => {
  test("a lane for each producer up to the limit; a freed one is taken again, an empty one first", () => {
    using stage = new Stage(2, ONE);
    const a = stage.queue(0).producer();
    using b = stage.queue(1).producer();
    expect([a.lane, b.lane]).toEqual([0, 1]);
    expect(() => stage.queue(1).producer()).toThrow(InUseError);
    expect(() => stage.queue(1).producer()).toThrow("each of the 2 producer lanes");
    send(a, 1, 2);
    a[Symbol.dispose]();
    using c = stage.queue(0).producer();
    expect(c.lane).toBe(0);
    send(c, 3);
    using rx = stage.queue(1).consumer();
    expect(receive(rx)).toEqual([1, 2, 3]);
  });

  test("one consumer, or one for each handle", () => {
    using stage = new Stage(2, ONE);
    using rx = stage.queue(0).consumer();
    expect(() => stage.queue(1).consumer()).toThrow(InUseError);
    rx[Symbol.dispose]();
    stage.queue(1).consumer()[Symbol.dispose]();
    using many = new Stage(2, MANY);
    using x = many.queue(0).taker();
    using y = many.queue(1).taker();
    expect(() => many.queue(1).taker()).toThrow(InUseError);
    expect(x.take(1) + y.take(1)).toBe(0);
  });

  test("what was peeked and not released is delivered again", () => {
    using stage = new Stage(2, ONE);
    using tx = stage.queue(0).producer();
    send(tx, 1, 2, 3);
    const first = stage.queue(1).consumer();
    expect(first.peek(2)).toBe(2);
    first.release(1);
    first[Symbol.dispose]();
    using next = stage.queue(1).consumer();
    expect(receive(next)).toEqual([2, 3]);
  });

  for (const options of [ONE, MANY]) {
    test(`end: no new producers, the rest is delivered, then ended (${"consumers" in options ? "many" : "one"})`, () => {
      using stage = new Stage(2, options);
      const tx = stage.queue(0).producer();
      using rx = "consumers" in options ? stage.queue(1).taker() : stage.queue(1).consumer();
      expect(rx.ended).toBe(false);
      stage.queue(0).end();
      expect(() => stage.queue(1).producer()).toThrow(QueueEndedError);
      send(tx, 7);
      tx[Symbol.dispose]();
      expect(rx.ended).toBe(false);
      expect(rx.block()).toBe(true);
      expect(receive(rx)).toEqual([7]);
      expect(rx.ended).toBe(true);
      expect(rx.block()).toBe(false);
    });
  }
});

describe("messages", () => {
  for (const options of [ONE, MANY, { ...ONE, policy: "drop-oldest" } as const]) {
    const title = `${"consumers" in options ? "many" : "one"}, ${"policy" in options ? options.policy : "block"}`;
    for (const start of [0, 0x7fff_fffe, -2]) {
      test(`order of each producer over many laps, content, indices from ${start} (${title})`, () => {
        using stage = new Stage(3, { ...options, slotBytes: 32 });
        for (const lane of stage.queue(0).geometry.lanes)
          lane.words[RingLayout.tailWord] = lane.words[RingLayout.headWord] = start;
        using a = stage.queue(0).producer();
        using b = stage.queue(1).producer();
        const queue = stage.queue(2);
        using rx = queue.geometry.sharedHeads ? queue.taker() : queue.consumer();
        const last = [0, 0];
        let received = 0;
        const next = [1, 1];
        const check = (): void => {
          const n = some(rx, 3);
          for (let i = 0, at: number = rx.at; i < n; i++, at += rx.slotWords) {
            const [who, number] = [rx.words[at]!, rx.words[at + 1]!];
            expect(rx.words[at + 7]).toBe(number * 3);
            expect(number).toBe(last[who]! + 1);
            last[who] = number;
            received++;
          }
          if ("release" in rx) rx.release(n);
        };
        for (let step = 0; step < 3000; step++) {
          for (const [who, tx] of [a, b].entries()) {
            if (tx.used() >= 2) continue; // drop-oldest must have nothing to drop here
            const n = tx.reserve(1 + (step % 2));
            for (let i = 0, at = tx.at; i < n; i++, at += tx.slotWords) {
              tx.words[at] = who;
              tx.words[at + 1] = next[who]!;
              tx.words[at + 7] = next[who]! * 3;
              next[who]!++;
            }
            tx.commit(n);
          }
          check();
        }
        for (let i = 0; i < 20; i++) check();
        expect(received).toBe(next[0]! + next[1]! - 2);
        expect(received).toBeGreaterThan(3000);
      });
    }
  }

  test("each message to exactly one of several takers", () => {
    using stage = new Stage(4, { ...MANY, capacity: 16 });
    using a = stage.queue(0).producer();
    using b = stage.queue(1).producer();
    using x = stage.queue(2).taker({ burst: 3 });
    using y = stage.queue(3).taker();
    const seen = new Set<number>();
    let next = 0;
    for (let round = 0; round < 500; round++) {
      next += send(round % 2 === 0 ? a : b, ...Array.from({ length: 5 }, (_, i) => next + i));
      const taker = round % 3 === 0 ? x : y;
      const n = taker.take(4);
      expect(n).toBeLessThanOrEqual(taker === x ? 3 : 4);
      for (let i = 0; i < n; i++) seen.add(taker.words[i * taker.slotWords]!);
    }
    for (const value of [...receive(x), ...receive(y)]) seen.add(value);
    expect(seen.size).toBe(next);
  });

  test("a busy lane does not starve the others", () => {
    using stage = new Stage(3, { ...ONE, capacity: 1024 });
    using a = stage.queue(0).producer();
    using b = stage.queue(1).producer();
    using rx = stage.queue(2).consumer();
    send(a, ...Array.from({ length: 1000 }, () => 1));
    send(b, 2);
    const got: number[] = [];
    while (!got.includes(2)) {
      const n = rx.peek(50);
      for (let i = 0; i < n; i++) got.push(rx.words[rx.at + i * rx.slotWords]!);
      rx.release(n);
    }
    expect(got.length).toBeLessThanOrEqual(LANE_BURST + 1);
  });
});

describe("backpressure", () => {
  const stageOf = (policy: PolicyName, consumers: "one" | "many"): Stage =>
    new Stage(2, { ...ONE, policy, consumers });

  for (const consumers of ["one", "many"] as const) {
    const consumerOf = (stage: Stage): QueueConsumer | QueueTaker => {
      const queue = stage.queue(1);
      return queue.geometry.sharedHeads ? queue.taker() : queue.consumer();
    };

    test(`block: 0, and block() waits for room (${consumers})`, () => {
      using stage = stageOf("block", consumers);
      using tx = stage.queue(0).producer();
      expect(send(tx, 1, 2, 3, 4, 5)).toBe(4);
      expect(tx.block({ timeoutMs: 5 })).toBe(false);
      using rx = consumerOf(stage);
      expect(receive(rx)).toEqual([1, 2, 3, 4]);
      expect(tx.block()).toBe(true);
      expect(stage.queue(0).counters).toMatchObject({ waits: 2, queued: 0, refused: 0 });
    });

    test(`fail: a typed error (${consumers})`, () => {
      using stage = stageOf("fail", consumers);
      using tx = stage.queue(0).producer();
      send(tx, 1, 2, 3, 4);
      expect(() => tx.reserve(2)).toThrow(BackpressureError);
      expect(stage.queue(0).counters).toMatchObject({ refused: 2, queued: 4 });
    });

    test(`drop-newest: not sent, counted (${consumers})`, () => {
      using stage = stageOf("drop-newest", consumers);
      using tx = stage.queue(0).producer();
      expect(send(tx, 1, 2, 3, 4, 5, 6)).toBe(4);
      expect(stage.queue(0).counters.droppedNewest).toBe(2);
      using rx = consumerOf(stage);
      expect(receive(rx)).toEqual([1, 2, 3, 4]);
    });

    test(`drop-oldest: the newest are kept, the others counted (${consumers})`, () => {
      using stage = stageOf("drop-oldest", consumers);
      using tx = stage.queue(0).producer();
      for (let i = 0; i < 11; i++) expect(send(tx, i)).toBe(1);
      using rx = consumerOf(stage);
      expect(receive(rx)).toEqual([7, 8, 9, 10]);
      expect(stage.queue(0).counters).toMatchObject({ droppedOldest: 7, queued: 0 });
    });
  }
});

describe("untrusted indices", () => {
  test("are errors, not accesses", () => {
    using one = new Stage(2, ONE);
    using tx = one.queue(0).producer();
    using rx = one.queue(1).consumer();
    const { words } = one.queue(0).geometry.lanes[0]!;
    words[RingLayout.tailWord] = 100;
    expect(() => rx.peek(1)).toThrow(CorruptError);
    words[RingLayout.tailWord] = 0;
    words[RingLayout.headWord] = 77;
    send(tx, 1, 2, 3);
    expect(() => send(tx, 4, 5)).toThrow(CorruptError);
    using many = new Stage(2, MANY);
    using taker = many.queue(1).taker();
    const lane = many.queue(0).geometry.lanes[0]!.words;
    lane[RingLayout.headWord] = 50;
    expect(() => taker.take(1)).toThrow(CorruptError);
    many.queue(0).geometry.words[QueueLayout.lanesUsedWord] = -1;
    lane[RingLayout.headWord] = 0;
    expect(taker.take(1)).toBe(0);
  });

  test("a producer that meets them gives its lane back", () => {
    using stage = new Stage(1, ONE);
    const { geometry } = stage.queue(0);
    for (const lane of geometry.lanes) lane.words[RingLayout.headWord] = 99;
    expect(() => stage.queue(0).producer()).toThrow(CorruptError);
    for (const lane of geometry.lanes) expect(lane.words[RingLayout.producerOwnerWord]! & 0xff).toBe(0);
  });
});

describe("waiting", () => {
  for (const options of [ONE, MANY]) {
    const title = "consumers" in options ? "many" : "one";
    test(`block() and wait() end at the limit, at a message, at the signal (${title})`, async () => {
      using stage = new Stage(2, options);
      using tx = stage.queue(0).producer();
      const queue = stage.queue(1);
      using rx = queue.geometry.sharedHeads ? queue.taker() : queue.consumer();
      expect(rx.block({ timeoutMs: 5 })).toBe(false);
      expect(await rx.wait({ timeoutMs: 5 })).toBe(false);
      const woken = rx.wait();
      setTimeout(() => send(tx, 1), 5);
      expect(await woken).toBe(true);
      expect(receive(rx)).toEqual([1]);
      const abort = new AbortController();
      const aborted = rx.wait({ signal: abort.signal }).catch((error: Error) => error.message);
      setTimeout(() => abort.abort(new Error("enough")), 5);
      expect(await aborted).toBe("enough");
      expect(queue.geometry.words[QueueLayout.sleepersWord]).toBe(0);
      const over = rx.wait();
      setTimeout(() => {
        stage.queue(0).end();
        tx[Symbol.dispose]();
      }, 5);
      expect(await over).toBe(false);
      expect(rx.ended).toBe(true);
    });
  }

  test("one message wakes one sleeper; whoever leaves messages wakes the next", async () => {
    using stage = new Stage(4, { ...MANY, capacity: 16 });
    using tx = stage.queue(0).producer();
    using x = stage.queue(1).taker();
    using y = stage.queue(2).taker();
    using z = stage.queue(3).taker();
    const takers = [x, y, z];
    const awake: number[] = [];
    const waits = takers.map((taker, i) => taker.wait({ timeoutMs: 60_000 }).then(() => awake.push(i)));
    await Bun.sleep(1);
    send(tx, 1, 2, 3);
    await Promise.race(waits);
    // Nobody has taken anything: the time slice of the others is 50 ms, but they look only when it comes.
    const first = takers[awake[0]!]!;
    expect(first.take(1)).toBe(1);
    await Promise.any(waits.filter((_, i) => i !== awake[0]));
    for (const taker of takers) taker.take(1);
    send(tx, 4, 5, 6);
    await Promise.all(waits);
    expect(awake.toSorted()).toEqual([0, 1, 2]);
  });
});

test("two takers of one thread, one after the other: the wait of the first does not end that of the second", async () => {
  using pair = new RegionPair("queue");
  const queue = Queue.create(pair.a, "q", { slotBytes: 16, capacity: 4, producers: 1, consumers: "many" });
  using tx = queue.producer();
  const consuming = Queue.open(pair.b, "q");
  const first = consuming.taker();
  const firstWait = rejectionCode(first.wait({ timeoutMs: 20 }));
  first.close();
  using second = consuming.taker();
  const secondWait = second.wait();
  expect(await firstWait).toBe("CLOSED");
  expect(tx.reserve(1)).toBe(1);
  tx.commit(1);
  expect(await Promise.race([secondWait, Bun.sleep(3000).then(() => "still asleep")])).toBe(true);
});
