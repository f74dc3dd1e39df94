/** Live consumers of a work queue that stand still: evicted, or an error for the producer (PROTOCOL.md §11); with processes that are stopped. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import {
  EvictedError,
  InUseError,
  Queue,
  type QueueOptions,
  type QueueProducer,
  type QueueTaker,
  Region,
  StalledError,
} from "../../src/index.ts";
import { QueueLayout } from "../../src/ring/queue-layout.ts";
import { expectCode } from "../support/errors.ts";
import { lines } from "../support/lines.ts";
import { RegionPair } from "../support/regions.ts";

const TAKER = new URL("fixtures/stopping-taker.ts", import.meta.url).pathname;
const CAPACITY = 4;
const OPTIONS = { slotBytes: 16, capacity: CAPACITY, producers: 1, stallTimeoutMs: 10 } as const;

function fill(tx: QueueProducer, first: number): number {
  let value = first;
  for (let n = tx.reserve(1); n > 0; n = tx.reserve(1)) {
    tx.write(0, value++, 0, 0, 0);
    tx.commit(1);
  }
  return value;
}

function takeAll(rx: QueueTaker): number[] {
  const got: number[] = [];
  for (let n = rx.take(1); n > 0; n = rx.take(1)) got.push(rx.words[rx.at]!);
  return got;
}

/** A queue whose lane is full, with a consumer of `b` that does not take. */
function gated(pair: RegionPair, options: Partial<QueueOptions> = {}) {
  const queue = Queue.create(pair.a, "q", { ...OPTIONS, ...options });
  const tx = queue.producer();
  const rx = Queue.open(pair.b, "q").taker();
  fill(tx, 0);
  return { queue, tx, rx };
}

describe("a consumer that takes nothing", () => {
  for (const consumers of ["one", "many"] as const) {
    for (const how of ["block", "wait", "reserve"] as const) {
      test(`of ${consumers} is evicted by a producer's ${how}; what is queued goes to the next`, async () => {
        using pair = new RegionPair("qstall");
        using third = Region.open(pair.name);
        const { queue, tx, rx } = gated(pair, { consumers });
        while (queue.counters.evicted === 0) {
          if (how === "block") expect(tx.block({ timeoutMs: 60 })).toBe(false);
          if (how === "wait") expect(await tx.wait({ timeoutMs: 60 })).toBe(false);
          if (how === "reserve") expect(tx.reserve(1)).toBe(0);
        }
        expect(queue.counters).toMatchObject({ evicted: 1, queued: CAPACITY });
        using next = Queue.open(third, "q").taker();
        expect(takeAll(next)).toEqual([0, 1, 2, 3]);
        expect(tx.reserve(1)).toBe(1);
        expect(rx.ready()).toBe(true);
        expect(() => rx.take(1)).toThrow(EvictedError);
        rx.close(); // takes nothing from its successor
        fill(tx, 4);
        expect(takeAll(next)).toEqual([4, 5, 6, 7]);
        expect(queue.counters.evicted).toBe(1);
      });
    }
  }

  test("learns it from a wait, too, and may come again; the old one stays evicted", async () => {
    using pair = new RegionPair("qstall");
    const { queue: created, tx, rx } = gated(pair);
    while (created.counters.evicted === 0) tx.block({ timeoutMs: 60 });
    expect(await rx.wait()).toBe(true);
    const queue = Queue.open(pair.b, "q");
    using again = queue.taker();
    expect(() => rx.take(1)).toThrow(EvictedError);
    rx.close();
    expect(() => queue.taker()).toThrow(InUseError);
    expect(takeAll(again)).toEqual([0, 1, 2, 3]);
  });

  test("is told by the error of a queue with action error; nothing changes", async () => {
    using pair = new RegionPair("qstall");
    const queue = Queue.create(pair.a, "q", { ...OPTIONS, stallAction: "error" });
    using tx = queue.producer();
    using rx = Queue.open(pair.b, "q").consumer(); // messages are read in place
    fill(tx, 0);
    expect(() => tx.block()).toThrow(StalledError);
    const error = await tx.wait().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StalledError);
    expect(error).toMatchObject({ participant: 1, pid: process.pid });
    expect(rx.peek(9)).toBe(CAPACITY);
    rx.release(CAPACITY);
    expect(tx.block()).toBe(true);
    expect(queue.counters.evicted).toBe(0);
  });

  test("is left alone while it moves, or while nobody waits for it", async () => {
    using pair = new RegionPair("qstall");
    const { queue, tx, rx } = gated(pair, { stallTimeoutMs: 200 });
    const timer = setInterval(() => rx.take(1), 20);
    for (let value = CAPACITY; value < 30; ) {
      if (await tx.wait()) value = fill(tx, value);
    }
    clearInterval(timer);
    await Bun.sleep(300);
    expect(queue.counters.evicted).toBe(0);
    expect(rx.take(1)).toBe(1);
  });

  test("is not looked for where there is none: the producer waits", () => {
    using pair = new RegionPair("qstall");
    for (const stallAction of ["evict", "error"] as const) {
      const queue = Queue.create(pair.a, stallAction, { ...OPTIONS, stallAction });
      using tx = queue.producer();
      fill(tx, 0);
      expect(tx.block({ timeoutMs: 50 })).toBe(false);
      expect(queue.counters.evicted).toBe(0);
    }
  });
});

test("the options: with policy block, whole milliseconds; evicting queues have takers; the words are checked", () => {
  using pair = new RegionPair("qstall");
  expectCode("ARGUMENT", () => Queue.create(pair.a, "q", { ...OPTIONS, policy: "fail" }));
  expectCode("ARGUMENT", () => Queue.create(pair.a, "q", { ...OPTIONS, stallTimeoutMs: 1.5 }));
  const queue = Queue.create(pair.a, "q", OPTIONS);
  expectCode("ARGUMENT", () => queue.consumer());
  const { words } = queue.geometry;
  for (const [word, value] of [
    [QueueLayout.stallActionWord, 0],
    [QueueLayout.stallActionWord, 2], // lanes without shared heads
    [QueueLayout.stallActionWord, 3],
    [QueueLayout.stallTimeoutMsWord, 0],
    [QueueLayout.stallTimeoutMsWord, -1],
    [QueueLayout.policyWord, 1],
  ] as const) {
    const before = words[word]!;
    words[word] = value;
    expectCode("CORRUPT", () => Queue.open(pair.b, "q"));
    words[word] = before;
  }
});

/** A process of fixtures/stopping-taker.ts. */
class Taker {
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly lines: string[] = [];
  readonly ended: Promise<void>;

  constructor(region: string, queue: string) {
    this.process = Bun.spawn([process.execPath, TAKER, region, queue], {
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

  get values(): number[] {
    return this.lines.flatMap((line) => (line.startsWith("got ") ? [Number(line.slice(4))] : []));
  }

  async said(line: string): Promise<void> {
    while (!this.lines.includes(line)) {
      if (this.process.exitCode !== null) throw new Error(`a taker ended and never said "${line}"`);
      await Bun.sleep(1);
    }
  }
}

const started: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

async function sendUpTo(tx: QueueProducer, first: number, last: number): Promise<void> {
  for (let value = first; value <= last; value++) {
    while (tx.reserve(1) === 0) await tx.wait();
    tx.write(0, value, 0, 0, 0);
    tx.commit(1);
  }
}

test("who was evicted and comes back has all of the time again", () => {
  using pair = new RegionPair("qstall");
  const { queue, tx } = gated(pair, { stallTimeoutMs: 20 });
  while (queue.counters.evicted === 0) expect(tx.reserve(1)).toBe(0);
  using back = Queue.open(pair.b, "q").taker();
  expect(tx.reserve(1)).toBe(0); // looks at the consumers
  expect(queue.counters.evicted).toBe(1);
  expect(back.take(1)).toBe(1);
});

test("a wait for room ends with its region", () => {
  using pair = new RegionPair("qstall");
  const { tx } = gated(pair, { stallTimeoutMs: 60_000 });
  const block = spyOn(tx.participant.doorbell, "block").mockImplementation(() => {
    pair.a.close(); // as a listener of deaths may, inside
    return false;
  });
  expect(tx.block()).toBe(false);
  expect(block).toHaveBeenCalledTimes(1);
});

test("one who works on another producer's lane is not stalled", () => {
  using pair = new RegionPair("qstall");
  using third = Region.open(pair.name);
  const queue = Queue.create(pair.a, "q", { ...OPTIONS, producers: 2, stallTimeoutMs: 40 });
  const busy = queue.producer();
  const waiting = Queue.open(third, "q").producer();
  const rx = Queue.open(pair.b, "q").taker({ burst: 1 });
  fill(busy, 0);
  expect(rx.take(1)).toBe(1);
  fill(waiting, 100);
  // Slowly, but always from the lane it is at: the turn of the other one comes after 256 messages.
  const untilMs = performance.now() + 200;
  while (performance.now() < untilMs) {
    fill(busy, 0);
    expect(rx.take(1)).toBe(1);
    expect(rx.words[rx.at]).toBeLessThan(100);
    expect(waiting.block({ timeoutMs: 4 })).toBe(false);
  }
  expect(queue.counters.evicted).toBe(0);
});

describe("a stopped process", () => {
  test("the one consumer: its successor goes on; it is told, and comes back when the successor has gone", async () => {
    using pair = new RegionPair("qstall");
    const queue = Queue.create(pair.a, "q", { ...OPTIONS, stallTimeoutMs: 2000 });
    using tx = queue.producer();
    const stopped = new Taker(pair.name, "q");
    await stopped.said("ready");
    await sendUpTo(tx, 0, 9);
    await stopped.said("got 9");
    stopped.process.kill("SIGSTOP");
    const successor = new Taker(pair.name, "q"); // InUseError until the place is free
    await sendUpTo(tx, 10, 30);
    await successor.said("got 30");
    expect(queue.counters.evicted).toBe(1);
    expect(stopped.values).toEqual(Array.from({ length: 10 }, (_, i) => i));
    stopped.process.kill("SIGCONT");
    await stopped.said("evicted");
    successor.process.kill("SIGKILL");
    await sendUpTo(tx, 31, 40);
    await stopped.said("got 40");
    queue.end();
    tx.close();
    await stopped.said("ended");
    const all = [...stopped.values, ...successor.values].sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: 41 }, (_, i) => i));
  });

  test("one of two, asleep: the other one gets everything, nobody is evicted", async () => {
    using pair = new RegionPair("qstall");
    const queue = Queue.create(pair.a, "q", { ...OPTIONS, consumers: "many", stallTimeoutMs: 2000 });
    using tx = queue.producer();
    const stopped = new Taker(pair.name, "q");
    const other = new Taker(pair.name, "q");
    await Promise.all([stopped.said("ready"), other.said("ready")]);
    while (queue.geometry.words[QueueLayout.sleepersWord] !== 0b110) await Bun.sleep(1);
    stopped.process.kill("SIGSTOP");
    await sendUpTo(tx, 0, 99);
    await other.said("got 99");
    expect(other.values).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(queue.counters.evicted).toBe(0);
    stopped.process.kill("SIGCONT");
    queue.end();
    tx.close();
    await Promise.all([stopped.said("ended"), other.said("ended")]);
    expect(stopped.values).toEqual([]);
  });

  test("again and again, with two of them: each message exactly once", async () => {
    using pair = new RegionPair("qstall");
    const queue = Queue.create(pair.a, "q", { ...OPTIONS, consumers: "many", stallTimeoutMs: 4 });
    using tx = queue.producer();
    const takers = [new Taker(pair.name, "q"), new Taker(pair.name, "q")];
    await Promise.all(takers.map((taker) => taker.said("ready")));
    let sent = 0;
    for (let round = 0; round < 20; round++) {
      for (const taker of takers) taker.process.kill("SIGSTOP");
      sent = fill(tx, sent);
      await tx.wait({ timeoutMs: 12 });
      for (const taker of takers) taker.process.kill("SIGCONT");
      await sendUpTo(tx, sent, sent + 10);
      sent += 11;
    }
    queue.end();
    tx.close();
    await Promise.all(takers.map((taker) => taker.said("ended")));
    expect(queue.counters.evicted).toBeGreaterThan(0);
    const all = takers.flatMap((taker) => taker.values).sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: sent }, (_, i) => i));
  });
});
