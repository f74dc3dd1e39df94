/** Ends that were closed belong to somebody else: every call on them says so, and writes nothing. */
import { describe, expect, test } from "bun:test";
import { Cell, Channel, Messages, Queue, Records, type Region, Ring, Service } from "../../src/index.ts";
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

test("a wait that is pending when its end closes ends with the error at the next ring", async () => {
  using pair = new RegionPair("closed", "4MiB");
  const queue = Queue.create(pair.a, "q", { producers: 1, consumers: "many", slotBytes: 16, capacity: 8 });
  const taker = queue.taker();
  let code: unknown;
  const waiting = taker.wait().catch((error: { code: string }) => {
    code = error.code;
  });
  await Bun.sleep(5);
  taker.close();
  using tx = Queue.open(pair.b, "q").producer();
  using other = Queue.open(pair.b, "q").taker();
  tx.commit(tx.reserve(1));
  await waiting;
  expect(code).toBe("CLOSED");
  expect(other.take(1)).toBe(1);
});
