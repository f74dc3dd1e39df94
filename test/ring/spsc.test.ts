/** The SPSC ring through the named-ring API, both ends in this process on two region handles. */
import { describe, expect, test } from "bun:test";
import { ArgumentError, CorruptError, InUseError } from "../../src/ring/errors.ts";
import { RingLayout } from "../../src/ring/layout.ts";
import { Ring } from "../../src/ring/ring.ts";
import { RegionPair } from "../support/regions.ts";

function ringPair(pair: RegionPair, slotBytes: number, capacity: number) {
  const created = Ring.create(pair.a, "r", { slotBytes, capacity });
  const opened = Ring.open(pair.b, "r");
  return { created, opened };
}

describe("geometry", () => {
  test("a second handle learns the shape from the segment", () => {
    using pair = new RegionPair("shape");
    const { opened } = ringPair(pair, 32, 64);
    expect(opened.geometry.slotBytes).toBe(32);
    expect(opened.geometry.capacity).toBe(64);
  });

  for (const shape of [
    { slotBytes: 8, capacity: 4 },
    { slotBytes: 24, capacity: 4 },
    { slotBytes: 16, capacity: 3 },
    { slotBytes: 16, capacity: 1 },
    { slotBytes: 16, capacity: 2 ** 25 },
    { slotBytes: Number.NaN, capacity: 4 },
  ]) {
    test(`refuses slots of ${shape.slotBytes} bytes x ${shape.capacity}`, () => {
      using pair = new RegionPair("bad");
      expect(() => Ring.create(pair.a, "r", shape)).toThrow(/slotBytes is a power of two/);
    });
  }

  test("every geometry word is checked at open", () => {
    using pair = new RegionPair("corrupt");
    const { created } = ringPair(pair, 16, 8);
    for (const word of [
      RingLayout.magicWord,
      RingLayout.versionWord,
      RingLayout.slotBytesWord,
      RingLayout.capacityWord,
    ]) {
      const before = created.geometry.words[word]!;
      created.geometry.words[word] = before ^ 0x5a5a5a5a;
      expect(() => Ring.open(pair.b, "r")).toThrow(CorruptError);
      created.geometry.words[word] = before;
    }
    created.geometry.words[RingLayout.capacityWord] = 1 << 20; // valid in itself, larger than the object
    expect(() => Ring.open(pair.b, "r")).toThrow(CorruptError);
  });
});

describe("messages", () => {
  for (const slotBytes of [16, 32, 64, 1024]) {
    test(`order and content over many laps, slots of ${slotBytes} bytes`, () => {
      using pair = new RegionPair("laps");
      const { created, opened } = ringPair(pair, slotBytes, 8);
      using tx = created.producer();
      using rx = opened.consumer();
      const words = slotBytes / 4;
      let sent = 0;
      let received = 0;
      for (let step = 0; step < 5000; step++) {
        const n = tx.reserve(1 + (step % 7));
        for (let i = 0, at = tx.at; i < n; i++, at += tx.slotWords) {
          for (let w = 0; w < words; w++) tx.words[at + w] = Math.imul(sent, 31) + w;
          sent++;
        }
        tx.commit(n);
        const m = rx.peek(1 + (step % 5));
        for (let i = 0, at = rx.at; i < m; i++, at += rx.slotWords) {
          for (let w = 0; w < words; w++) expect(rx.words[at + w]).toBe((Math.imul(received, 31) + w) | 0);
          received++;
        }
        rx.release(m);
      }
      expect(received).toBeGreaterThan(5000);
      expect(sent - received).toBeLessThanOrEqual(8);
    });
  }

  test("full and empty", () => {
    using pair = new RegionPair("full");
    const { created, opened } = ringPair(pair, 16, 4);
    using tx = created.producer();
    using rx = opened.consumer();
    expect(rx.peek(1)).toBe(0);
    expect(tx.reserve(100)).toBe(4);
    tx.write(0, 1, 2, 3, 4);
    tx.commit(4);
    expect(tx.reserve(1)).toBe(0);
    expect(rx.peek(100)).toBe(4);
    expect([...rx.words.subarray(rx.at, rx.at + 4)]).toEqual([1, 2, 3, 4]);
    rx.release(1);
    expect(tx.reserve(4)).toBe(1);
  });

  test("runs stop at the wrap, and indices cross 2^31 and 2^32", () => {
    for (const start of [0x7fff_fffe, -2]) {
      using pair = new RegionPair("wrap");
      const { created, opened } = ringPair(pair, 16, 4);
      created.geometry.words[RingLayout.tailWord] = start;
      created.geometry.words[RingLayout.headWord] = start;
      using tx = created.producer();
      using rx = opened.consumer();
      for (let i = 0; i < 20; i++) {
        const n = tx.reserve(3);
        expect(n).toBeGreaterThan(0);
        for (let k = 0; k < n; k++) tx.write(k, i, k, 0, 0);
        tx.commit(n);
        expect(rx.peek(n)).toBe(n);
        expect(rx.words[rx.at]).toBe(i);
        rx.release(n);
      }
    }
  });

  test("commit and release are checked against what was reserved and peeked", () => {
    using pair = new RegionPair("misuse");
    const { created, opened } = ringPair(pair, 16, 4);
    using tx = created.producer();
    using rx = opened.consumer();
    tx.reserve(2);
    expect(() => tx.commit(3)).toThrow(ArgumentError);
    tx.commit(1);
    expect(() => tx.commit(1)).toThrow(ArgumentError);
    rx.peek(1);
    expect(() => rx.release(2)).toThrow(ArgumentError);
  });
});

describe("ends", () => {
  test("one producer and one consumer at a time; a successor continues", () => {
    using pair = new RegionPair("ends");
    const { created, opened } = ringPair(pair, 16, 4);
    const tx = created.producer();
    expect(() => opened.producer()).toThrow(InUseError);
    tx.reserve(2);
    tx.write(0, 7, 0, 0, 0);
    tx.write(1, 8, 0, 0, 0);
    tx.commit(2);
    tx[Symbol.dispose]();
    using next = opened.producer();
    next.reserve(1);
    next.write(0, 9, 0, 0, 0);
    next.commit(1);
    using rx = created.consumer();
    expect(rx.peek(8)).toBe(3);
    expect([0, 1, 2].map((i) => rx.words[rx.at + i * rx.slotWords])).toEqual([7, 8, 9]);
  });

  test("impossible indices are an error, not an access", () => {
    using pair = new RegionPair("indices");
    const { created, opened } = ringPair(pair, 16, 4);
    using tx = created.producer();
    using rx = opened.consumer();
    created.geometry.words[RingLayout.tailWord] = 100;
    expect(() => rx.peek(1)).toThrow(CorruptError);
    created.geometry.words[RingLayout.headWord] = 55;
    tx.reserve(4);
    tx.commit(4);
    expect(() => tx.reserve(1)).toThrow(CorruptError);
  });
});

describe("waiting", () => {
  test("block() ends at its time limit, and at once when something is there", () => {
    using pair = new RegionPair("block");
    const { created, opened } = ringPair(pair, 16, 4);
    using tx = created.producer();
    using rx = opened.consumer();
    expect(rx.block({ timeoutMs: 5 })).toBe(false);
    expect(rx.block({ timeoutMs: 5, strategy: "spin" })).toBe(false);
    tx.reserve(1);
    tx.commit(1);
    expect(rx.block()).toBe(true);
  });

  test("wait() leaves the event loop free, is woken by a commit, obeys limit and signal", async () => {
    using pair = new RegionPair("wait");
    const { created, opened } = ringPair(pair, 16, 4);
    using tx = created.producer();
    using rx = opened.consumer();
    expect(await rx.wait({ timeoutMs: 5 })).toBe(false);
    const woken = rx.wait();
    setTimeout(() => {
      tx.reserve(1);
      tx.commit(1);
    }, 5);
    expect(await woken).toBe(true);
    rx.peek(1);
    rx.release(1);
    const abort = new AbortController();
    const aborted = rx.wait({ signal: abort.signal });
    setTimeout(() => abort.abort(new Error("enough")), 5);
    expect(aborted).rejects.toThrow("enough");
    await aborted.catch(() => undefined);
  });
});
