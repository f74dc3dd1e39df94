/** Records through their API, both ends in this process on two region handles. */
import { describe, expect, test } from "bun:test";
import type { RecordConsumer } from "../../src/channel/record-consumer.ts";
import { Records, type RecordsOptions } from "../../src/channel/records.ts";
import { Region } from "../../src/memory/region.ts";
import { ArgumentError, CorruptError } from "../../src/ring/errors.ts";
import {
  cursorOwnerWord,
  cursorPositionWord,
  RecordHeader,
  RecordsLayout,
} from "../../src/ring/records-layout.ts";
import { expectCode } from "../support/errors.ts";
import { RegionPair, uniqueName } from "../support/regions.ts";

/** A record that shows its number in every byte. */
export function payload(number: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = number * 7 + i;
  return bytes;
}

function setup(label: string, options: Partial<RecordsOptions> = {}) {
  using stack = new DisposableStack();
  const pair = stack.use(new RegionPair(label));
  const created = Records.create(pair.a, "r", { capacityBytes: 4096, ...options });
  const opened = Records.open(pair.b, "r");
  stack.move();
  return { pair, created, opened };
}

/** Empty records whose positions start at `position`, as after many gigabytes. */
function startAt(records: Records, position: number): void {
  const { words, maxConsumers } = records.geometry;
  words[RecordsLayout.tailWord] = position;
  words[RecordsLayout.firstMarkWord] = position;
  words[RecordsLayout.claimWord] = position;
  words[RecordsLayout.epochWord] = position >>> 31;
  for (let k = 0; k < maxConsumers; k++) words[cursorPositionWord(k)] = position;
}

function drain(rx: RecordConsumer): Uint8Array[] {
  const got: Uint8Array[] = [];
  for (let bytes = rx.tryReceive(); bytes !== null; bytes = rx.tryReceive()) got.push(bytes);
  return got;
}

describe("shape", () => {
  test("a second handle learns it from the segment", () => {
    const { pair, opened } = setup("shape", {
      maxConsumers: 3,
      history: 5,
      policy: "fail",
      stallTimeoutMs: 100,
      stallAction: "error",
    });
    using _ = pair;
    expect(opened.geometry).toMatchObject({
      capacityBytes: 4096,
      mode: "reliable",
      maxConsumers: 3,
      policy: "fail",
      history: 5,
      stallTimeoutMs: 100,
      stallAction: "error",
      indexCount: 16,
      maxRecordBytes: 2040,
    });
  });

  for (const [what, options] of Object.entries({
    "a capacity that is no power of two": { capacityBytes: 5000 },
    "a small capacity": { capacityBytes: 2048 },
    "a large capacity": { capacityBytes: 2 ** 31 },
    "no consumer": { maxConsumers: 0 },
    "32 consumers": { maxConsumers: 32 },
    "lossy consumers with a place": { mode: "lossy", maxConsumers: 2 },
    "reliable drop-oldest": { policy: "drop-oldest" },
    "a lossy policy": { mode: "lossy", policy: "block" },
    "half a record of history": { history: 0.5 },
    "too much history": { history: 32769 },
    "a fraction of a millisecond": { stallTimeoutMs: 0.5 },
  } as Record<string, Partial<RecordsOptions>>)) {
    test(`refuses ${what}`, () => {
      using pair = new RegionPair("bad");
      expectCode("ARGUMENT", () => Records.create(pair.a, "r", { capacityBytes: 4096, ...options }));
    });
  }

  test("every geometry word is checked at open", () => {
    const { pair, created } = setup("corrupt", { history: 4 });
    using _ = pair;
    const { words } = created.geometry;
    for (let word = 0; word <= RecordsLayout.stallActionWord; word++) {
      const before = words[word]!;
      words[word] = before ^ 0x5a5a5a5a;
      expect(() => Records.open(pair.b, "r")).toThrow(CorruptError);
      words[word] = before;
    }
    words[RecordsLayout.capacityBytesWord] = 8192; // valid in itself, larger than the object
    expect(() => Records.open(pair.b, "r")).toThrow(CorruptError);
  });
});

describe("reliable", () => {
  for (const start of [0, 0x7fff_f000, -4096]) {
    test(`lengths from 0 to the largest in order, over many laps from position ${start}`, () => {
      const { pair, created, opened } = setup("laps");
      using _ = pair;
      startAt(created, start);
      using tx = created.producer();
      using rx = opened.consumer();
      const lengths = [0, 1, 7, 8, 9, 64, 100, 500, 1500, 2040, 2033, 3];
      let received = 0;
      const check = (): void => {
        for (const bytes of drain(rx)) {
          expect(bytes).toEqual(payload(received, lengths[received % lengths.length]!));
          received++;
        }
      };
      for (let i = 0; i < 600; i++) {
        const bytes = payload(i, lengths[i % lengths.length]!);
        while (!tx.tryReserve(bytes.length)) check();
        tx.bytes.set(bytes, tx.offset);
        tx.commit(bytes.length);
        if (i % 3 === 0) check();
      }
      check();
      expect(received).toBe(600);
    });
  }

  test("nothing is visible before it is published, a burst then all at once; reservations shrink and are forgotten", () => {
    const { pair, created, opened } = setup("burst");
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    for (let i = 0; i < 3; i++) {
      expect(tx.tryReserve(100)).toBe(true);
      tx.bytes.set(payload(i, 10), tx.offset);
      tx.finish(10);
      expect(rx.next()).toBe(false);
    }
    tx.tryReserve(50);
    tx.abort();
    expect(() => tx.finish(1)).toThrow(ArgumentError);
    tx.publish();
    for (let i = 0; i < 3; i++) {
      expect(rx.next()).toBe(true);
      expect(rx.length).toBe(10);
      expect(rx.sequence).toBe(i);
      expect(rx.view()).toEqual(payload(i, 10));
    }
    expect(rx.next()).toBe(false);
    rx.release();
    tx.tryReserve(8);
    expect(() => tx.finish(9)).toThrow(ArgumentError);
    expect(() => tx.tryReserve(2041)).toThrow(/largest has 2040/);
    expect(() => tx.tryReserve(Number.NaN)).toThrow(/largest/);
    expect(() => tx.tryReserve(-1)).toThrow(/largest/);
  });

  test("words and bytes of a record are the same memory", () => {
    const { pair, created, opened } = setup("words");
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    tx.tryReserve(8);
    tx.data[tx.word] = 0x04030201;
    tx.data[tx.word + 1] = 5;
    tx.commit(8);
    rx.next();
    expect([...rx.view()]).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
    expect(rx.data[rx.word + 1]).toBe(5);
  });

  test("the slowest consumer holds the producer up, by bytes, until it releases or leaves", () => {
    const { pair, created, opened } = setup("slowest", { maxConsumers: 2, policy: "fail" });
    using _ = pair;
    using tx = created.producer();
    using fast = opened.consumer();
    using slow = opened.consumer();
    expect(tx.consumers).toBe(2);
    let sent = 0;
    for (; tx.tryReserve(56); sent++) tx.commit(56);
    expect(sent).toBe(4096 / 64);
    expect(drain(fast)).toHaveLength(64);
    expect(() => tx.send(new Uint8Array(56))).toThrow(expect.objectContaining({ code: "BACKPRESSURE" }));
    expect(slow.next()).toBe(true);
    expect(tx.tryReserve(56)).toBe(false); // read, not released
    slow.release();
    expect(tx.tryReserve(56)).toBe(true);
    tx.commit(56);
    expect(tx.tryReserve(56)).toBe(false);
    slow.close();
    expect(tx.tryReserve(56)).toBe(true);
    tx.abort();
    expect(drain(fast)).toHaveLength(1);
    expect(tx.counters).toEqual({ droppedNewest: 0, failed: 1, blocked: 0, evicted: 0 });
  });

  test("drop-newest drops and counts", () => {
    const { pair, created, opened } = setup("newest", { policy: "drop-newest" });
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    let kept = 0;
    for (let i = 0; i < 100; i++) if (tx.send(payload(i, 56))) kept++;
    expect(kept).toBe(64);
    expect(tx.counters.droppedNewest).toBe(36);
    expect(drain(rx)[63]).toEqual(payload(63, 56));
  });

  test("without a consumer nothing waits; a new one gets what comes", () => {
    const { pair, created, opened } = setup("nobody");
    using _ = pair;
    using tx = created.producer();
    for (let i = 0; i < 500; i++) tx.send(payload(i, 40));
    using rx = opened.consumer();
    expect(rx.tryReceive()).toBeNull();
    tx.send(payload(500, 40));
    expect(rx.tryReceive()).toEqual(payload(500, 40));
  });

  test("a successor producer goes on, with the sequence too; what was not published is gone", () => {
    const { pair, created, opened } = setup("successor");
    using _ = pair;
    using rx = opened.consumer({ reconnect: true });
    for (let i = 0; i < 10; i++) {
      using tx = created.producer();
      tx.send(payload(2 * i, 30));
      tx.send(payload(2 * i + 1, 31));
      tx.tryReserve(100);
      tx.bytes.fill(0xff, tx.offset, tx.offset + 100); // never finished
    }
    for (let i = 0; i < 20; i++) {
      expect(rx.next()).toBe(true);
      expect(rx.sequence).toBe(i);
      expect(rx.view()).toEqual(payload(i, 30 + (i & 1)));
    }
    expect(rx.ended).toBe(false);
  });

  test("one producer, so many consumers; the end of the stream", async () => {
    const { pair, created, opened } = setup("ends");
    using _ = pair;
    const tx = created.producer();
    expect(() => opened.producer()).toThrow(expect.objectContaining({ code: "IN_USE" }));
    using rx = opened.consumer();
    expect(() => opened.consumer()).toThrow(/every cursor/);
    expect(() => opened.consumer({ history: 1 })).toThrow(/keep 0 records/);
    tx.send(payload(1, 5));
    tx.close();
    expect(rx.ended).toBe(false);
    expect(rx.receive()).toEqual(payload(1, 5));
    expect(rx.receive()).toBeNull();
    expect(await rx.receiveAsync()).toBeNull();
    expect(() => tx.send(payload(1, 5))).toThrow(/closed/);
  });

  test("waiting: async iteration, a blocked sender, time limits, signals", async () => {
    const { pair, created, opened } = setup("wait");
    using _ = pair;
    const tx = created.producer();
    using rx = opened.consumer();
    expect(() => rx.receive({ timeoutMs: 5 })).toThrow(expect.objectContaining({ code: "TIMEOUT" }));
    await expect(rx.receiveAsync({ timeoutMs: 5 })).rejects.toMatchObject({ code: "TIMEOUT" });
    const aborted = rx.receiveAsync({ signal: AbortSignal.timeout(5) });
    await expect(aborted).rejects.toMatchObject({ name: "TimeoutError" });
    const received: Uint8Array[] = [];
    const reading = (async () => {
      for await (const bytes of rx) received.push(bytes);
    })();
    for (let i = 0; i < 300; i++) await tx.sendAsync(payload(i, 200));
    tx.close();
    await reading;
    expect(received).toHaveLength(300);
    expect(received[299]).toEqual(payload(299, 200));
  });

  test("a full ring blocks for as long as it is told", () => {
    const { pair, created, opened } = setup("limit");
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    while (tx.tryReserve(1000)) tx.commit(1000);
    expect(() => tx.send(payload(0, 1000), { timeoutMs: 10 })).toThrow(
      expect.objectContaining({ code: "TIMEOUT" }),
    );
    expect(tx.counters.blocked).toBe(1);
    expect(rx.next()).toBe(true);
  });
});

describe("history", () => {
  test("a new consumer starts with the last records", () => {
    const { pair, created, opened } = setup("history", { history: 10, maxConsumers: 2 });
    using _ = pair;
    using tx = created.producer();
    for (let i = 0; i < 4; i++) tx.send(payload(i, 40));
    {
      using early = opened.consumer({ history: 10 });
      expect(drain(early)).toEqual([0, 1, 2, 3].map((i) => payload(i, 40)));
    }
    for (let i = 4; i < 1000; i++) tx.send(payload(i, 40));
    using all = opened.consumer({ history: 10 });
    using some = opened.consumer({ history: 3 });
    expect(drain(all)).toEqual(Array.from({ length: 10 }, (_, i) => payload(990 + i, 40)));
    expect(drain(some)).toEqual(Array.from({ length: 3 }, (_, i) => payload(997 + i, 40)));
  });

  test("as far as it fits half the capacity, and at any moment", () => {
    const { pair, created, opened } = setup("fits", { history: 100 });
    using _ = pair;
    using tx = created.producer();
    for (let i = 0; i < 500; i++) {
      tx.send(payload(i, 120)); // 128 bytes each: 16 fit half of 4096
      if (i < 20) continue;
      using rx = opened.consumer({ history: 100 });
      const got = drain(rx);
      expect(got.length).toBeGreaterThanOrEqual(16);
      expect(got.at(-1)).toEqual(payload(i, 120));
      expect(got[0]).toEqual(payload(i + 1 - got.length, 120));
    }
  });

  test("it holds nobody up: the largest records pass", () => {
    const { pair, created, opened } = setup("pass", { history: 2, policy: "fail" });
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    for (let i = 0; i < 50; i++) {
      expect(tx.send(payload(i, 1000 + (i % 2) * 1040))).toBe(true);
      expect(rx.tryReceive()).toEqual(payload(i, 1000 + (i % 2) * 1040));
    }
  });
});

describe("eviction", () => {
  test("a consumer that stands still is evicted, learns it at its next call, and may join again", () => {
    const { pair, created, opened } = setup("evict", { maxConsumers: 2, stallTimeoutMs: 30 });
    using _ = pair;
    using tx = created.producer();
    using fast = opened.consumer();
    using slow = opened.consumer();
    for (let i = 0; i < 3; i++) tx.send(payload(i, 100));
    expect(slow.next()).toBe(true); // it knows of two more, which will still be whole
    for (let i = 3; tx.counters.evicted === 0 && i < 10_000; i++) {
      drain(fast);
      tx.send(payload(i, 100));
    }
    expect(tx.counters).toMatchObject({ evicted: 1, blocked: 1 });
    expect(tx.consumers).toBe(1);
    expect(() => opened.consumer()).toThrow(/every cursor/); // its place stays taken until it knows
    expect(() => slow.next()).toThrow(expect.objectContaining({ code: "EVICTED" }));
    expect(() => slow.release()).toThrow(expect.objectContaining({ code: "EVICTED" }));
    expect(() => slow.tryReceive()).toThrow(expect.objectContaining({ code: "EVICTED" }));
    using again = opened.consumer();
    tx.send(payload(100, 100));
    expect(drain(again)).toEqual([payload(100, 100)]);
  });

  test("or the send fails and names it", () => {
    const { pair, created, opened } = setup("stalled", { stallTimeoutMs: 20, stallAction: "error" });
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    const fill = (): void => {
      for (;;) tx.send(payload(0, 500));
    };
    expect(fill).toThrow(expect.objectContaining({ code: "STALLED", pid: process.pid }));
    expect(drain(rx)).toHaveLength(8);
    expect(tx.send(payload(0, 500))).toBe(true);
  });
});

describe("lossy", () => {
  test("any number of readers, nobody waits, and the missed are counted exactly", () => {
    const { pair, created, opened } = setup("lossy", { mode: "lossy" });
    using _ = pair;
    using tx = created.producer();
    using keen = opened.consumer();
    using lazy = opened.consumer();
    const got: number[] = [];
    for (let i = 0; i < 1000; i++) {
      tx.send(payload(i, 40));
      expect(keen.tryReceive()).toEqual(payload(i, 40));
      if (i % 300 !== 299) continue;
      while (lazy.next()) {
        expect(lazy.view()).toEqual(payload(lazy.sequence, 40));
        expect(lazy.intact()).toBe(true);
        got.push(lazy.sequence);
      }
      expect(got.length + lazy.missed).toBe(i + 1);
    }
    expect(keen.missed).toBe(0);
    expect(lazy.missed).toBeGreaterThan(500);
    expect(got).toEqual([...got].sort((a, b) => a - b));
  });

  for (const start of [0, 0x7fff_f000, -4096, -64]) {
    test(`all sizes from position ${start}: what is intact is whole`, () => {
      const { pair, created, opened } = setup("sizes", { mode: "lossy" });
      using _ = pair;
      startAt(created, start);
      using tx = created.producer();
      using rx = opened.consumer();
      let seen = 0;
      for (let i = 0; i < 3000; i++) {
        tx.send(payload(i, (i * 37) % 2041));
        if (i % 5 === 0) continue;
        while (rx.next()) {
          expect(rx.view()).toEqual(payload(rx.sequence, (rx.sequence * 37) % 2041));
          expect(rx.intact()).toBe(true);
          seen++;
        }
        expect(seen + rx.missed).toBe(i + 1);
      }
      expect(seen).toBeGreaterThan(1500);
    });
  }

  test("a record overwritten while it is read is not intact", () => {
    const { pair, created, opened } = setup("torn", { mode: "lossy" });
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    tx.send(payload(0, 40));
    expect(rx.next()).toBe(true);
    for (let i = 1; i < 200; i++) tx.send(payload(i, 40));
    expect(rx.intact()).toBe(false);
    expect(rx.next()).toBe(true);
    expect(rx.missed).toBe(rx.sequence - 1);
    expect(rx.intact()).toBe(true);
  });

  test("a reader that was away for exactly 4 GiB notices", () => {
    const { pair, created, opened } = setup("away", { mode: "lossy" });
    using _ = pair;
    const tx = created.producer();
    using rx = opened.consumer();
    tx.send(payload(0, 40));
    expect(rx.next()).toBe(true);
    created.geometry.words[RecordsLayout.epochWord] = 2; // as if claim had gone once around
    expect(rx.intact()).toBe(false);
  });

  test("a reader on a read-only region; history", () => {
    const { pair, created } = setup("readonly", { mode: "lossy", history: 20 });
    using _ = pair;
    using tx = created.producer();
    for (let i = 0; i < 100; i++) tx.send(payload(i, 40));
    using region = Region.open(pair.name, { readOnly: true });
    using rx = Records.open(region, "r").consumer({ history: 20 });
    expect(drain(rx)).toEqual(Array.from({ length: 20 }, (_, i) => payload(80 + i, 40)));
    for (let i = 0; i < 20000; i++) {
      tx.send(payload(i, 40));
      expect(rx.tryReceive()?.[0]).toBe(payload(i, 1)[0]!);
    }
  });
});

describe("hostile words", () => {
  const cases: [string, (r: Records) => void][] = [
    ["a length beyond what is published", (r) => (r.geometry.data[0] = 1000)],
    ["a length beyond the largest", (r) => (r.geometry.data[0] = 0x7fff_ffff)],
    ["padding in the middle", (r) => (r.geometry.data[0] = -0x8000_0000 | 16)],
    ["padding of everything", (r) => (r.geometry.data[0] = -0x8000_0000 | 4088)],
    ["another sequence", (r) => (r.geometry.data[RecordHeader.sequenceWord] = 77)],
    ["a tail far away", (r) => (r.geometry.words[RecordsLayout.tailWord] = 1 << 20)],
    ["a tail behind", (r) => (r.geometry.words[RecordsLayout.tailWord] = -8)],
  ];
  for (const [what, spoil] of cases) {
    test(`${what} is corruption, again and again`, () => {
      const { pair, created, opened } = setup("hostile");
      using _ = pair;
      using tx = created.producer();
      using rx = opened.consumer();
      tx.send(payload(0, 40));
      spoil(created);
      for (let i = 0; i < 3; i++) expect(() => rx.next()).toThrow(CorruptError);
    });
  }

  test("nonsense cursors hold nobody up", () => {
    const { pair, created, opened } = setup("cursor", { policy: "fail" });
    using _ = pair;
    using tx = created.producer();
    using rx = opened.consumer();
    for (const value of [1 << 20, 0x7fff_ffff, -100_000]) {
      created.geometry.words[cursorPositionWord(0)] = value;
      for (let i = 0; i < 100; i++) tx.send(payload(i, 100));
    }
    expect(() => drain(rx)).toThrow(CorruptError);
  });

  test("a successor refuses a tail without a mark, and lets go", () => {
    const { pair, created, opened } = setup("mark");
    using _ = pair;
    created.geometry.words[RecordsLayout.tailWord] = 64;
    expect(() => created.producer()).toThrow(CorruptError);
    expect(() => opened.producer()).toThrow(CorruptError); // not IN_USE
    expect(() => opened.consumer()).toThrow(CorruptError);
    expect(created.geometry.words[cursorOwnerWord(0)]! & 0xff).toBe(0);
  });
});

test("names in error messages", () => {
  using region = Region.create(uniqueName("records"), { size: "1MiB" });
  Records.create(region, "a", { capacityBytes: 4096 });
  expect(() => Records.create(region, "a", { capacityBytes: 4096 })).toThrow(/already has/);
  expect(() => Records.open(region, "b")).toThrow(/records "a"/);
  Region.destroy(region.name);
});

test("sends of one event loop that wait together keep their payloads apart", async () => {
  const { pair, created, opened } = setup("concurrent");
  using _ = pair;
  using tx = created.producer();
  using rx = opened.consumer();
  const sends = Array.from({ length: 40 }, (_, i) => tx.sendAsync(payload(i, 200 + 40 * i)));
  const got: number[] = [];
  for await (const bytes of rx) {
    const number = (bytes.length - 200) / 40;
    expect(bytes).toEqual(payload(number, bytes.length));
    if (got.push(number) === sends.length) break;
  }
  expect(await Promise.all(sends)).toEqual(sends.map(() => true));
  expect(got.sort((a, b) => a - b)).toEqual(sends.map((_, i) => i));
});
