/** MessagePack in place: what is packed where, what hostile bytes can do. */
import { describe, expect, test } from "bun:test";
import {
  Codec,
  decodeShapes,
  encodeShapes,
  IN_PLACE_BYTES,
  MAX_DEPTH,
  MessageInvalidError,
} from "../../src/channel/codec.ts";
import { ArgumentError, CorruptError } from "../../src/ring/errors.ts";
import { Random } from "../support/random.ts";

const POSE = ["id", "name", "x", "y", "stampNs", "valid"];
const pose = { id: 7, name: "gripper – links", x: 1.5, y: -2.25, stampNs: 2 ** 52 + 1, valid: true };
const odd = {
  nothing: null,
  list: [1, -1, 2 ** 40, 0.1, "x".repeat(300), [], {}],
  bytes: new Uint8Array([1, 2, 3]),
  date: new Date(1_700_000_000_123),
  big: 2n ** 60n,
  nested: { a: { b: { c: "ü" } } },
};

function sharedArea(bytes: number): { all: Uint8Array; area: Buffer } {
  const memory = new WebAssembly.Memory({ shared: true, initial: 4, maximum: 4 });
  return {
    all: new Uint8Array(memory.buffer),
    area: Buffer.from(memory.buffer as unknown as ArrayBuffer, 4096, bytes),
  };
}

describe("in place", () => {
  for (const [title, shapes] of [
    ["shaped", [POSE]],
    ["no shapes", []],
  ] as const) {
    test(`${title}: values come back, at the place asked for`, () => {
      const { all, area } = sharedArea(16384);
      const tx = new Codec(shapes);
      const rx = new Codec(shapes);
      let at = 0;
      for (const value of [pose, odd, 5, "text", [pose, pose], null, { id: 1 }, pose]) {
        const length = tx.packInto(area, at, value);
        expect(length).toBeGreaterThan(0);
        expect(rx.unpack(all, 4096 + at, 4096 + at + length)).toEqual(value);
        at = (at + length + 7) & ~7;
      }
    });
  }

  test("a shape saves the field names, and nothing but its own keys in order gets it", () => {
    const { area } = sharedArea(16384);
    const codec = new Codec([POSE]);
    const shaped = codec.packInto(area, 0, pose);
    const { valid, ...rest } = pose;
    const other = codec.packInto(area, 0, { valid, ...rest });
    expect(shaped).toBeLessThan(other - 20);
  });

  test("a decoder without the encoder's history: every value stands alone", () => {
    const { all, area } = sharedArea(16384);
    const tx = new Codec([POSE]);
    for (let i = 0; i < 5; i++) tx.packInto(area, 0, { some: "other", shape: i });
    const length = tx.packInto(area, 0, { some: "other", shape: 9 });
    expect(new Codec([POSE]).unpack(all, 4096, 4096 + length)).toEqual({ some: "other", shape: 9 });
  });

  test("what does not fit is left to packApart, and nothing behind the area is written", () => {
    const { all, area } = sharedArea(IN_PLACE_BYTES + 100);
    all.fill(0xaa, 4096 + area.length);
    const codec = new Codec();
    const value = { text: "y".repeat(5000) };
    expect(codec.packInto(area, 0, value)).toBe(-1);
    expect(codec.packInto(area, 512, 1)).toBe(-1);
    const apart = codec.packApart(value);
    expect(new Codec().unpack(apart, 0, apart.byteLength)).toEqual(value);
    expect(all.subarray(4096 + area.length).every((byte) => byte === 0xaa)).toBe(true);
  });

  test("values that are none", () => {
    const { area } = sharedArea(16384);
    const circular: unknown[] = [];
    circular.push(circular);
    expect(() => new Codec().packInto(area, 0, circular)).toThrow(MessageInvalidError);
    expect(new Codec().packInto(area, 0, pose)).toBeGreaterThan(0); // and the next one is fine
  });
});

describe("hostile bytes", () => {
  /** Every view in a decoded value. */
  function* views(value: unknown): Generator<ArrayBufferView> {
    if (ArrayBuffer.isView(value)) yield value;
    else if (Array.isArray(value)) for (const item of value) yield* views(item);
    else if (value !== null && typeof value === "object")
      for (const item of Object.values(value)) yield* views(item);
  }

  test("a value or a MessageInvalidError, whatever the bytes, and nothing aliases them", () => {
    const { all, area } = sharedArea(16384);
    const random = new Random(1);
    const tx = new Codec([POSE]);
    const rx = new Codec([POSE]);
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const length = tx.packInto(area, 0, round % 2 === 0 ? pose : odd);
      for (let change = random.below(6); change >= 0; change--)
        area[random.below(length)] = random.below(256);
      try {
        for (const view of views(rx.unpack(all, 4096, 4096 + length)))
          expect(view.buffer).not.toBe(all.buffer);
      } catch (error) {
        expect(error).toBeInstanceOf(MessageInvalidError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
    expect(rx.unpack(all, 4096, 4096 + tx.packInto(area, 0, pose))).toEqual(pose);
  });

  test("lengths, counts and nesting beyond the bytes that are there", () => {
    const { all } = sharedArea(16);
    const rx = new Codec([POSE]);
    const refuse = (...bytes: number[]): void => {
      all.set(bytes, 0);
      expect(() => rx.unpack(all, 0, bytes.length)).toThrow(MessageInvalidError);
    };
    refuse(0xdd, 0xff, 0xff, 0xff, 0xff);
    refuse(0xdf, 0xff, 0xff, 0xff, 0xff);
    refuse(0xdb, 0xff, 0xff, 0xff, 0xff, 1);
    refuse(0xc6, 0x7f, 0xff, 0xff, 0xff, 1);
    refuse(0xc1 + 0, 0xc1);
    refuse(0xa5, 1);
    all.fill(0x91, 0, 250_000);
    expect(() => rx.unpack(all, 0, 250_000)).toThrow(MessageInvalidError);
    expect(() => rx.unpack(all, 8, 8)).toThrow(MessageInvalidError);
  });

  test("nesting: the limit passes and one level more is refused, on both sides, whatever it is made of", () => {
    const { all, area } = sharedArea(16384);
    const codec = new Codec([["only"]]);
    const wraps: readonly ((inner: unknown) => unknown)[] = [
      (inner) => [inner],
      (inner) => ({ only: inner }),
      (inner) => ({ other: inner, date: new Date(0) }),
      (inner) => [1, "x", inner],
    ];
    for (const wrap of wraps) {
      const nest = (levels: number): unknown => (levels === 0 ? 7 : wrap(nest(levels - 1)));
      const length = codec.packInto(area, 0, nest(MAX_DEPTH));
      expect(codec.unpack(all, 4096, 4096 + length)).toEqual(nest(MAX_DEPTH));
      expect(() => codec.packInto(area, 0, nest(MAX_DEPTH + 1))).toThrow(/more than 256 levels/);
      expect(() => codec.packApart(nest(MAX_DEPTH + 1))).toThrow(MessageInvalidError);
    }
    all.fill(0x91, 0, MAX_DEPTH + 1);
    all[MAX_DEPTH] = 7;
    expect(codec.unpack(all, 0, MAX_DEPTH + 1)).toBeArrayOfSize(1);
    all[MAX_DEPTH] = 0x91;
    all[MAX_DEPTH + 1] = 7;
    expect(() => codec.unpack(all, 0, MAX_DEPTH + 2)).toThrow(/more than 256 levels/);
  });

  test("keys cannot reach a prototype", () => {
    const { all, area } = sharedArea(16384);
    const length = new Codec().packInto(area, 0, JSON.parse('{"__proto__": {"polluted": 1}}'));
    const value = new Codec().unpack(all, 4096, 4096 + length) as Record<string, unknown>;
    expect(value["polluted"]).toBeUndefined();
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("shapes", () => {
  test("round trip, and the limits", () => {
    expect(decodeShapes(encodeShapes([POSE, ["a"]]))).toEqual([POSE, ["a"]]);
    expect(() => encodeShapes([[]])).toThrow(ArgumentError);
    expect(() => encodeShapes([["a", "a"]])).toThrow(ArgumentError);
    expect(() => encodeShapes(new Array(33).fill(["a"]))).toThrow(ArgumentError);
    expect(() => encodeShapes([["__proto__"]])).toThrow(ArgumentError);
    for (const text of ["{", '{"a":1}', '[["a",1]]', '[["a","a"]]', "[[]]"])
      expect(() => decodeShapes(new TextEncoder().encode(text))).toThrow(CorruptError);
  });
});
