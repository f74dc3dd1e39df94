/** One set of behaviours, over every backend and every topology of adapters.ts. */
import { describe, expect, test } from "bun:test";
import { blockAny, Region, Service, waitAny } from "../../src/index.ts";
import { BackpressureError, CorruptError, InUseError } from "../../src/ring/errors.ts";
import { firstLine } from "../support/lines.ts";
import { type Adapter, adapters, type Receiver } from "./adapters.ts";
import { type Backend, backends } from "./backends.ts";

const PEER = new URL("./peer.ts", import.meta.url).pathname;
const CAPACITY = 8;

/** A region with the object in it, and a second handle as another process would have it. */
class Stage implements Disposable {
  readonly a: Region;
  readonly b: Region;
  readonly #backend: Backend;

  constructor(backend: Backend, adapter: Adapter, policy = adapter.policies[0] ?? "block") {
    this.#backend = backend;
    this.a = backend.create();
    this.b = Region.open(backend.nameOf(this.a));
    adapter.create(this.a, CAPACITY, policy);
  }

  get name(): string {
    return this.#backend.nameOf(this.a);
  }

  [Symbol.dispose](): void {
    this.b.close();
    this.a.close();
    this.#backend.destroy(this.a);
  }
}

function all(receiver: Receiver): number[] {
  const values: number[] = [];
  for (let value = receiver.receive(); value !== null; value = receiver.receive()) values.push(value);
  return values;
}

async function killedPeer(job: object): Promise<void> {
  const peer = Bun.spawn([process.execPath, PEER, JSON.stringify(job)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  expect(await firstLine(peer.stdout)).toBe("ready");
  peer.kill("SIGKILL");
  await peer.exited;
}

function conforms(backend: Backend, adapter: Adapter): void {
  const { latestOnly, policies, keeps, receivers, history = 0, historyStays = false } = adapter;
  /** Before anything is sent, where that is needed. */
  const early = (stage: Stage): Receiver | null => (keeps ? null : adapter.receiver(stage.b));
  const late = (stage: Stage, receiver: Receiver | null): Receiver => receiver ?? adapter.receiver(stage.b);

  test("what is sent is received, in order and whole, over many laps", () => {
    using stage = new Stage(backend, adapter);
    const sender = adapter.sender(stage.a);
    const receiver = adapter.receiver(stage.b);
    expect(receiver.receive()).toBeNull();
    for (let value = 1; value <= 20 * CAPACITY; value++) {
      expect(sender.send(value)).toBe(true);
      expect(receiver.receive()).toBe(value);
      expect(receiver.receive()).toBeNull();
    }
  });

  test("a receiver that joins late gets what is there", () => {
    using stage = new Stage(backend, adapter);
    const sender = adapter.sender(stage.a);
    const values = [1, 2, 3];
    for (const value of values) sender.send(value);
    const receiver = adapter.receiver(stage.b);
    const newest = values.slice(values.length - (latestOnly ? 1 : history));
    expect(all(receiver)).toEqual(keeps && !latestOnly ? values : newest);
    sender.send(4);
    expect(all(receiver)).toEqual([4]);
  });

  test("ends are closed and taken again, by others", () => {
    using stage = new Stage(backend, adapter);
    for (let round = 1; round <= 5; round++) {
      const [there, here] = round % 2 === 0 ? [stage.a, stage.b] : [stage.b, stage.a];
      const sender = adapter.sender(there);
      const receiver = adapter.receiver(here);
      sender.send(round);
      const first = historyStays ? Math.max(1, round - history) : round;
      expect(all(receiver)).toEqual(Array.from({ length: round - first + 1 }, (_, i) => first + i));
      sender.close();
      receiver.close();
    }
  });

  if (adapter.oneSender)
    test("a second sender is refused", () => {
      using stage = new Stage(backend, adapter);
      adapter.sender(stage.a);
      expect(() => adapter.sender(stage.b)).toThrow(InUseError);
    });
  else
    test("two senders: everything arrives, what is of one in its order", () => {
      using stage = new Stage(backend, adapter);
      using c = Region.open(stage.name);
      const receiver = adapter.receiver(stage.b);
      const senders = [adapter.sender(stage.a), adapter.sender(c)];
      const values = [1, 2, 3, 4, 5, 6];
      for (const value of values) expect(senders[value % 2]!.send(value)).toBe(true);
      const got = all(receiver);
      expect(got.toSorted()).toEqual(values);
      for (const parity of [0, 1])
        expect(got.filter((value) => value % 2 === parity)).toEqual(
          values.filter((value) => value % 2 === parity),
        );
    });

  test("a wait ends with a message, at its limit, or with its signal", async () => {
    using stage = new Stage(backend, adapter);
    const sender = adapter.sender(stage.a);
    const receiver = adapter.receiver(stage.b);
    expect(await waitAny([receiver.end], { timeoutMs: 5 })).toBe(false);
    const stop = new AbortController();
    const aborted = waitAny([receiver.end], { signal: stop.signal }).catch((error) => error.name);
    stop.abort();
    expect(await aborted).toBe("AbortError");
    const waiting = waitAny([receiver.end], { timeoutMs: 10_000 });
    while (!receiver.end.participant.doorbell.asleep) await Bun.sleep(1);
    sender.send(1);
    expect(await waiting).toBe(true);
    expect(receiver.receive()).toBe(1);
    setTimeout(() => sender.send(2), 2);
    expect(await waitAny([receiver.end], { timeoutMs: 10_000 })).toBe(true);
    expect(receiver.receive()).toBe(2);
    expect(blockAny([receiver.end], { timeoutMs: 1 })).toBe(false);
  });

  test(`two receivers: ${{ one: "the second is refused", each: "each gets everything", share: "every message goes to one" }[receivers]}`, () => {
    using stage = new Stage(backend, adapter);
    using c = Region.open(stage.name);
    const first = adapter.receiver(stage.b);
    if (receivers === "one") {
      expect(() => adapter.receiver(c)).toThrow(InUseError);
      return;
    }
    const second = adapter.receiver(c);
    const sender = adapter.sender(stage.a);
    const values = [1, 2, 3, 4];
    for (const value of values) sender.send(value);
    const got = [first, second].map(all);
    if (receivers === "share") expect(got.flat().sort()).toEqual(values);
    else for (const one of got) expect(one).toEqual(latestOnly ? [4] : values);
    first.close();
    sender.send(5);
    expect(all(second)).toEqual([5]);
  });

  test("a sender that was killed leaves what it sent, and its place", async () => {
    using stage = new Stage(backend, adapter);
    const receiver = early(stage);
    await killedPeer({ adapter: adapter.name, region: stage.name, end: "sender", values: [1, 2, 3] });
    const sender = adapter.sender(stage.a);
    sender.send(4);
    expect(all(late(stage, receiver))).toEqual(latestOnly ? [4] : [1, 2, 3, 4]);
  });

  test("a receiver that was killed leaves its place", async () => {
    using stage = new Stage(backend, adapter);
    await killedPeer({ adapter: adapter.name, region: stage.name, end: "receiver", values: [] });
    const sender = adapter.sender(stage.a);
    const receiver = adapter.receiver(stage.b);
    sender.send(1);
    expect(all(receiver)).toEqual([1]);
  });

  test("an impossible index and a spoilt geometry are typed errors", () => {
    using stage = new Stage(backend, adapter);
    const receiver = adapter.receiver(stage.b);
    const mend = adapter.corrupt(stage.a);
    expect(() => receiver.receive()).toThrow(CorruptError);
    mend();
    adapter.spoil(stage.a);
    expect(() => adapter.receiver(stage.b)).toThrow(CorruptError);
  });

  for (const policy of policies) {
    test(`full, policy ${policy}`, () => {
      using stage = new Stage(backend, adapter, policy);
      const sender = adapter.sender(stage.a);
      const first = early(stage);
      const values = Array.from({ length: CAPACITY }, (_, i) => i + 1);
      for (const value of values) expect(sender.send(value)).toBe(true);
      if (policy === "fail") expect(() => sender.send(99)).toThrow(BackpressureError);
      else expect(sender.send(99)).toBe(policy === "drop-oldest");
      const receiver = late(stage, first);
      expect(all(receiver)).toEqual(policy === "drop-oldest" ? [...values.slice(1), 99] : values);
      expect(sender.send(100)).toBe(true);
      expect(all(receiver)).toEqual([100]);
    });
  }

  if (latestOnly)
    test("never full: the newest stays", () => {
      using stage = new Stage(backend, adapter);
      const sender = adapter.sender(stage.a);
      for (let value = 1; value <= 100; value++) expect(sender.send(value)).toBe(true);
      expect(all(adapter.receiver(stage.b))).toEqual([100]);
    });
}

/** Request and response have two directions, which the adapters have not. */
function answers(backend: Backend): void {
  test("service: calls are answered, by the next server too", async () => {
    const a = backend.create();
    const b = Region.open(backend.nameOf(a));
    try {
      const service = Service.create<number, number>(a, "it", { clients: 2 });
      using client = Service.open<number, number>(b, "it").client();
      for (const factor of [2, 3]) {
        using server = service.server();
        const stop = new AbortController();
        const serving = server.serve((value) => factor * value, { signal: stop.signal });
        const calls = Array.from({ length: 50 }, (_, i) => client.call(i, { timeoutMs: 10_000 }));
        expect(await Promise.all(calls)).toEqual(calls.map((_, i) => factor * i));
        stop.abort();
        await serving;
      }
    } finally {
      b.close();
      a.close();
      backend.destroy(a);
    }
  });
}

for (const backend of backends) {
  if (backend.missing !== null) {
    test.skip(`${backend.name}: ${backend.missing}`, () => undefined);
    continue;
  }
  describe(backend.name, () => {
    answers(backend);
    for (const adapter of adapters) describe(adapter.name, () => conforms(backend, adapter));
  });
}
