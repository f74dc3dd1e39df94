/** Latest-value cells through the named API. */
import { describe, expect, test } from "bun:test";
import { Region } from "../../src/memory/region.ts";
import { Cell } from "../../src/ring/cell.ts";
import { bufferOf } from "../../src/ring/cell-geometry.ts";
import { CellLayout } from "../../src/ring/cell-layout.ts";
import { ArgumentError, CellBusyError, CorruptError, InUseError } from "../../src/ring/errors.ts";
import { RegionPair } from "../support/regions.ts";

const bytesOf = (...values: number[]): Uint8Array => Uint8Array.from(values);

describe("geometry", () => {
  test("comes from the segment, and every word of it is checked", () => {
    using pair = new RegionPair("cell");
    const { geometry } = Cell.create(pair.a, "v", { valueBytes: 100, buffers: 8 });
    expect(Cell.open(pair.b, "v").geometry).toMatchObject({ valueBytes: 100, bufferCount: 8 });
    for (const word of [0, 1, 2, 3, 4, 5]) {
      const before = geometry.words[word]!;
      geometry.words[word] = before ^ 0x5a5a5a5a;
      expect(() => Cell.open(pair.b, "v")).toThrow(CorruptError);
      geometry.words[word] = before;
    }
  });

  for (const [valueBytes, buffers] of [
    [0, 4],
    [2 ** 26 + 1, 4],
    [10, 2],
    [10, 6],
    [10, 128],
  ] as const) {
    test(`refuses ${buffers} buffers of ${valueBytes} bytes`, () => {
      using pair = new RegionPair("cell");
      expect(() => Cell.create(pair.a, "v", { valueBytes, buffers })).toThrow("power of two from 4 to 64");
    });
  }
});

describe("values", () => {
  test("none at first; then always the newest, with its length, however many readers", () => {
    using pair = new RegionPair("cell");
    using writer = Cell.create(pair.a, "v", { valueBytes: 9 }).writer();
    const [x, y] = [Cell.open(pair.b, "v").reader(), Cell.open(pair.a, "v").reader()];
    expect([x.read(), x.version, x.ready()]).toEqual([-1, 0, false]);
    for (let i = 1; i <= 20; i++) {
      writer.write(bytesOf(i, i + 1, i + 2));
      if (i % 3 !== 0) continue;
      expect([x.ready(), x.read(), x.version, x.ready()]).toEqual([true, 3, i, false]);
      expect([...x.bytes.subarray(0, 3)]).toEqual([i, i + 1, i + 2]);
    }
    writer.begin().fill(7);
    writer.commit();
    const into = new Int32Array(3);
    expect(y.read(into)).toBe(9);
    expect([...new Uint8Array(into.buffer, 0, 9)]).toEqual(Array.from({ length: 9 }, () => 7));
    expect(() => y.read(new Int32Array(2))).toThrow(ArgumentError);
    writer.write(bytesOf());
    expect(y.read()).toBe(0);
    expect(writer.version).toBe(22);
  });

  test("in place: valid until the buffer is used again, and then it says so", () => {
    using pair = new RegionPair("cell");
    using writer = Cell.create(pair.a, "v", { valueBytes: 4 }).writer();
    const reader = Cell.open(pair.b, "v").reader();
    writer.write(bytesOf(1, 0, 0, 0));
    expect(reader.peek()).toBe(4);
    expect(reader.cellWords[reader.at]).toBe(1);
    for (let i = 2; i <= 4; i++) writer.write(bytesOf(i, 0, 0, 0));
    expect([reader.isIntact(), reader.cellWords[reader.at]]).toEqual([true, 1]);
    writer.begin();
    expect(reader.isIntact()).toBe(false);
  });

  test("versions go round and skip 0", () => {
    using pair = new RegionPair("cell");
    const { geometry } = Cell.create(pair.a, "v", { valueBytes: 4 });
    geometry.words[CellLayout.latestWord] = -2;
    using writer = Cell.open(pair.a, "v").writer();
    const reader = Cell.open(pair.b, "v").reader();
    const seen: number[] = [];
    for (let i = 0; i < 3; i++) {
      writer.write(bytesOf(i, 0, 0, 0));
      expect(reader.read()).toBe(4);
      seen.push(reader.version);
      expect(reader.words[0]).toBe(i);
    }
    expect(seen).toEqual([0xffff_ffff, 1, 2]);
  });

  test("misuse", () => {
    using pair = new RegionPair("cell");
    using writer = Cell.create(pair.a, "v", { valueBytes: 4 }).writer();
    expect(() => writer.commit()).toThrow("begin() first");
    writer.begin();
    expect(() => writer.commit(5)).toThrow(ArgumentError);
    writer.commit(4);
    expect(() => writer.commit()).toThrow(ArgumentError);
    expect(() => writer.write(new Uint8Array(5))).toThrow(ArgumentError);
  });
});

describe("ends", () => {
  test("one writer; what it left half written is never seen, a successor continues", () => {
    using pair = new RegionPair("cell");
    const first = Cell.create(pair.a, "v", { valueBytes: 4 }).writer();
    expect(() => Cell.open(pair.b, "v").writer()).toThrow(InUseError);
    first.write(bytesOf(1, 0, 0, 0));
    first.begin().fill(9);
    first.close();
    const reader = Cell.open(pair.a, "v").reader();
    expect(reader.read()).toBe(4);
    expect(reader.words[0]).toBe(1);
    using next = Cell.open(pair.b, "v").writer();
    next.write(bytesOf(2, 0, 0, 0));
    expect([reader.read(), reader.words[0], reader.version]).toEqual([4, 2, 2]);
  });

  test("a reader of a read-only region reads, and is told that it cannot wait", () => {
    using pair = new RegionPair("cell");
    using writer = Cell.create(pair.a, "v", { valueBytes: 64 }).writer();
    using observer = Region.open(pair.name, { readOnly: true });
    const reader = Cell.open(observer, "v").reader();
    let sum = 0;
    // Hot enough for the compiler: an atomic load would write, and a write would end the process.
    for (let i = 1; i <= 200_000; i++) {
      if (i % 100 === 0) writer.write(bytesOf(i & 0xff));
      if (reader.read() === 1) sum += reader.bytes[0]!;
    }
    expect(sum).toBeGreaterThan(0);
    expect(() => reader.block()).toThrow("open for reading only");
  });
});

describe("untrusted words", () => {
  test("end in typed errors", () => {
    using pair = new RegionPair("cell");
    const { geometry } = Cell.create(pair.a, "v", { valueBytes: 4 });
    using writer = Cell.open(pair.a, "v").writer();
    const reader = Cell.open(pair.b, "v").reader();
    writer.write(bytesOf(1));
    const buffer = bufferOf(geometry, 1);
    geometry.words[buffer + CellLayout.lengthWord] = 5;
    expect(() => reader.read()).toThrow(CorruptError);
    geometry.words[buffer + CellLayout.lengthWord] = -1;
    expect(() => reader.peek()).toThrow(CorruptError);
    geometry.words[buffer + CellLayout.sequenceWord] = 77;
    expect(() => reader.read()).toThrow(CellBusyError);
    geometry.words[CellLayout.latestWord] = -123456;
    expect(() => reader.read()).toThrow(CellBusyError);
  });
});

describe("waiting", () => {
  test("block() and wait() end at the limit, at a new value, at the signal; the waiters' mask is clean afterwards", async () => {
    using pair = new RegionPair("cell");
    const { geometry } = Cell.create(pair.a, "v", { valueBytes: 4 });
    using writer = Cell.open(pair.a, "v").writer();
    const reader = Cell.open(pair.b, "v").reader();
    expect(reader.block({ timeoutMs: 5 })).toBe(false);
    const woken = reader.wait();
    setTimeout(() => writer.write(bytesOf(1)), 5);
    expect(await woken).toBe(true);
    expect(reader.read()).toBe(1);
    expect(await reader.wait({ timeoutMs: 5 })).toBe(false);
    writer.write(bytesOf(1, 2));
    expect(reader.block()).toBe(true);
    reader.read();
    const aborted = reader.wait({ signal: AbortSignal.timeout(5) }).catch((error: Error) => error.name);
    expect(await aborted).toBe("TimeoutError");
    expect(geometry.words[CellLayout.waitersWord]).toBe(0);
  });
});
