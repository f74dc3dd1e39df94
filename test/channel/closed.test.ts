/** Ends that were closed belong to somebody else: every call on them says so, and writes nothing. */
import { describe, expect, test } from "bun:test";
import {
  Cell,
  Channel,
  Messages,
  Queue,
  Records,
  type Region,
  Ring,
  Service,
  waitAny,
} from "../../src/index.ts";
import { Participant } from "../../src/ring/participant.ts";
import { rejectionCode } from "../support/errors.ts";
import { RegionPair } from "../support/regions.ts";

interface End {
  close(): void;
}

/** Closes an end of each kind; what is called on it afterwards. */
const CALLS: Record<string, (region: Region) => { end: End; calls: (() => unknown)[] }> = {
  "ring producer": (region) => {
    const end = Ring.create(region, "r", { slotBytes: 16, capacity: 8 }).producer();
    end.reserve(2);
    return {
      end,
      calls: [() => end.reserve(1), () => end.commit(1), () => end.commit(0), () => end.block()],
    };
  },
  "ring consumer": (region) => {
    const ring = Ring.create(region, "r", { slotBytes: 16, capacity: 8 });
    const tx = ring.producer();
    tx.commit(tx.reserve(2));
    const end = ring.consumer();
    end.peek(1);
    return { end, calls: [() => end.peek(1), () => end.release(1), () => end.release(0), () => end.wait()] };
  },
  "queue producer": (region) => {
    const end = Queue.create(region, "q", { producers: 2, slotBytes: 16, capacity: 8 }).producer();
    end.reserve(1);
    return { end, calls: [() => end.reserve(1), () => end.commit(1), () => end.block(), () => end.wait()] };
  },
  "queue consumer": (region) => {
    const queue = Queue.create(region, "q", { producers: 2, consumers: "one", slotBytes: 16, capacity: 8 });
    const tx = queue.producer();
    tx.commit(tx.reserve(2));
    const end = queue.consumer();
    end.peek(1);
    return { end, calls: [() => end.peek(1), () => end.release(1), () => end.block(), () => end.wait()] };
  },
  "queue taker": (region) => {
    const queue = Queue.create(region, "q", { producers: 2, consumers: "many", slotBytes: 16, capacity: 8 });
    const tx = queue.producer();
    tx.commit(tx.reserve(2));
    const end = queue.taker();
    return { end, calls: [() => end.take(1), () => end.block(), () => end.wait()] };
  },
  "cell writer": (region) => {
    const end = Cell.create(region, "c", { valueBytes: 8 }).writer();
    end.begin();
    return { end, calls: [() => end.begin(), () => end.write(new Uint8Array(1))] };
  },
  "frame producer": (region) => {
    const end = Channel.create(region, "f", { frames: 2, frameBytes: 64 }).producer();
    return { end, calls: [() => end.tryLoan(), () => end.loan()] };
  },
  "frame consumer": (region) => {
    const end = Channel.create(region, "f", { frames: 2, frameBytes: 64 }).consumer();
    return { end, calls: [() => end.tryReceive(), () => end.receive()] };
  },
  "record producer": (region) => {
    const end = Records.create(region, "s", { capacityBytes: 4096 }).producer();
    return { end, calls: [() => end.reserve(8)] };
  },
  "record consumer": (region) => {
    const end = Records.create(region, "s", { capacityBytes: 4096 }).consumer();
    const lossy = Records.create(region, "l", { capacityBytes: 4096, mode: "lossy" }).consumer();
    const close = (): void => {
      end.close();
      lossy.close();
    };
    return { end: { close }, calls: [() => end.next(), () => lossy.next()] };
  },
  "message producer": (region) => {
    const end = Messages.create(region, "m", { capacityBytes: 4096 }).producer();
    return { end, calls: [() => end.send(1)] };
  },
  "message consumer": (region) => {
    const end = Messages.create(region, "m", { capacityBytes: 4096 }).consumer();
    return { end, calls: [() => end.tryReceive()] };
  },
  "service server": (region) => {
    const end = Service.create(region, "v", {}).server();
    return { end, calls: [() => end.tryReceive()] };
  },
  "service client": (region) => {
    const end = Service.create(region, "v", {}).client();
    return { end, calls: [() => end.call(1)] };
  },
};

describe("every call says CLOSED", () => {
  for (const [name, make] of Object.entries(CALLS)) {
    test(name, async () => {
      using pair = new RegionPair("closed", "4MiB");
      const { end, calls } = make(pair.a);
      end.close();
      end.close();
      for (const call of calls) expect(await rejectionCode((async () => call())())).toBe("CLOSED");
    });
  }
});

test("what is reserved when a producer closes can not be committed over its successor's messages", () => {
  using pair = new RegionPair("closed", "4MiB");
  const ring = Ring.create(pair.a, "r", { slotBytes: 16, capacity: 8 });
  const rx = ring.consumer();
  const send = (tx: ReturnType<Ring["producer"]>, value: number): void => {
    expect(tx.reserve(1)).toBe(1);
    tx.words[tx.at] = value;
    tx.commit(1);
  };
  const first = ring.producer();
  send(first, 1);
  first.reserve(1);
  first.close();
  using second = Ring.open(pair.b, "r").producer();
  send(second, 2);
  expect(() => first.commit(1)).toThrow("closed");
  expect(() => first.reserve(1)).toThrow("closed");
  send(second, 3);
  const values: number[] = [];
  for (let left = 3; left > 0; left--) {
    expect(rx.peek(1)).toBe(1);
    values.push(rx.words[rx.at]!);
    rx.release(1);
  }
  expect(values).toEqual([1, 2, 3]);
});

/** One end of each kind that waits for something that never comes. */
const WAITS: Record<string, (region: Region) => { end: End; wait: () => Promise<unknown> }> = {
  "ring consumer": (region) => {
    const end = Ring.create(region, "r", { slotBytes: 16, capacity: 8 }).consumer();
    return { end, wait: () => end.wait() };
  },
  "ring producer": (region) => {
    const end = Ring.create(region, "r", { slotBytes: 16, capacity: 2 }).producer();
    end.commit(end.reserve(2));
    return { end, wait: () => end.wait() };
  },
  "queue producer": (region) => {
    const end = Queue.create(region, "q", { producers: 1, slotBytes: 16, capacity: 2 }).producer();
    end.commit(end.reserve(2));
    return { end, wait: () => end.wait() };
  },
  "queue consumer": (region) => {
    const end = Queue.create(region, "q", {
      producers: 1,
      consumers: "one",
      slotBytes: 16,
      capacity: 8,
    }).consumer();
    return { end, wait: () => end.wait() };
  },
  "queue taker": (region) => {
    const end = Queue.create(region, "q", {
      producers: 1,
      consumers: "many",
      slotBytes: 16,
      capacity: 8,
    }).taker();
    return { end, wait: () => end.wait() };
  },
  "frame consumer": (region) => {
    const end = Channel.create(region, "f", { frames: 2, frameBytes: 64 }).consumer();
    return { end, wait: () => end.receiveAsync() };
  },
  "frame producer that watches for stalls": (region) => {
    const channel = Channel.create(region, "f", { frames: 2, frameBytes: 64, stallTimeoutMs: 50 });
    const end = channel.producer();
    end.tryLoan();
    end.tryLoan();
    return { end, wait: () => waitAny([end.freeBlock]) };
  },
  "record consumer": (region) => {
    const end = Records.create(region, "s", { capacityBytes: 4096 }).consumer();
    return { end, wait: () => end.receiveAsync() };
  },
  "message consumer": (region) => {
    const end = Messages.create(region, "m", { capacityBytes: 4096 }).consumer();
    return { end, wait: () => end.receiveAsync() };
  },
  "service server": (region) => {
    const end = Service.create(region, "v", {}).server();
    return { end, wait: () => end.receiveAsync() };
  },
};

describe("a wait under way ends when its end closes", () => {
  for (const [name, make] of Object.entries(WAITS)) {
    test(name, async () => {
      using pair = new RegionPair("closed", "4MiB");
      const { end, wait } = make(pair.a);
      const code = rejectionCode(wait());
      while (!Participant.of(pair.a).doorbell.asleep) await Bun.sleep(1);
      end.close();
      expect(await Promise.race([code, Bun.sleep(5000).then(() => "still waiting")])).toBe("CLOSED");
    });
  }
});

test("a closed producer of records or messages leaves its successor's stream alone", () => {
  using pair = new RegionPair("closed", "4MiB");
  const messages = Messages.create<string>(pair.a, "m", { capacityBytes: 65536 });
  const rx = Messages.open<string>(pair.b, "m").consumer({ reconnect: true });
  const first = messages.producer();
  first.send("a");
  first.close();
  using second = messages.producer();
  second.send("b");
  second.send("c");
  expect(() => first.send("stale")).toThrow("closed");
  second.send("d");
  expect(["a", "b", "c", "d"].map(() => rx.tryReceive())).toEqual(["a", "b", "c", "d"]);
  const records = Records.create(pair.a, "s", { capacityBytes: 4096 });
  const tx = records.producer();
  tx.tryReserve(8);
  tx.close();
  for (const call of [
    () => tx.tryReserve(8),
    () => tx.finish(8),
    () => tx.commit(8),
    () => tx.send(new Uint8Array(1)),
  ])
    expect(call).toThrow("closed");
});

test("an error of a condition in a blocking wait leaves the waits of the event loop awake", async () => {
  using pair = new RegionPair("closed", "4MiB");
  const ring = Ring.create(pair.a, "r", { slotBytes: 16, capacity: 8 });
  const rx = ring.consumer();
  const waiting = rx.wait({ timeoutMs: 10_000 });
  while (!Participant.of(pair.a).doorbell.asleep) await Bun.sleep(1);
  let looks = 0;
  const failing = {
    ready: () => {
      if (++looks > 1) throw new Error("spoilt");
      return false;
    },
  };
  expect(() => Participant.of(pair.a).doorbell.block(failing, 1000, "futex")).toThrow("spoilt");
  const startMs = performance.now();
  await Bun.sleep(1);
  const tx = Ring.open(pair.b, "r").producer();
  tx.commit(tx.reserve(1));
  expect(await waiting).toBe(true);
  expect(performance.now() - startMs).toBeLessThan(5000);
});
