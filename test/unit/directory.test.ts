import { describe, expect, test } from "bun:test";
import { closeFile } from "../../src/ffi/files.ts";
import { tryLockByte } from "../../src/ffi/locks.ts";
import { storePlain } from "../../src/memory/atomics.ts";
import { type RegionOffset, regionOffset } from "../../src/memory/brands.ts";
import {
  HEADER_BYTES,
  Directory as Layout,
  LOCK_BASE_OFFSET,
  LockByte,
  ObjectKind,
  WORD_BYTES,
} from "../../src/memory/layout.ts";
import type { Region } from "../../src/memory/region.ts";
import { expectCode } from "../support/errors.ts";
import { RegionPair } from "../support/regions.ts";

const nothing = (): void => {};

function entryWords(region: Region, index: number): Int32Array {
  return region.words(
    regionOffset(Layout.offset + index * Layout.entryBytes),
    Layout.entryBytes / WORD_BYTES,
  );
}

describe("directory", () => {
  test("an object made by one is found by the other, with the same geometry", () => {
    using pair = new RegionPair("directory");
    expect(pair.b.directory.list()).toEqual([]);
    const filled: RegionOffset[] = [];
    const entry = pair.a.directory.create(ObjectKind.pool, "Bildpuffer ü €", 10_000, (offset) => {
      filled.push(offset);
      // Not there until it is filled.
      expect(pair.b.directory.find("Bildpuffer ü €")).toBeNull();
    });
    expect(filled).toEqual([entry.offset]);
    expect(entry).toEqual({
      index: 0,
      kind: 2,
      generation: 1,
      name: "Bildpuffer ü €",
      offset: regionOffset(HEADER_BYTES),
      sizeBytes: 10_000,
    });
    expect(pair.b.directory.list()).toEqual([entry]);
    expect(pair.b.directory.at(0)).toEqual(entry);
    expect(pair.b.directory.at(1)).toBeNull();
    expect(pair.b.directory.find("Bildpuffer ü €", ObjectKind.ring)).toBeNull();
    expect(pair.b.directory.open("Bildpuffer ü €", ObjectKind.pool)).toEqual(entry);
    expectCode("OBJECT_KIND", () => pair.b.directory.open("Bildpuffer ü €", ObjectKind.ring));
    const error = expectCode("OBJECT_NOT_FOUND", () => pair.b.directory.open("other", ObjectKind.ring));
    expect(error.message).toContain('pool "Bildpuffer ü €"');
    expectCode("OUT_OF_RANGE", () => pair.b.directory.at(64));
    expectCode("OUT_OF_RANGE", () => pair.b.directory.at(-1));
  });

  test("allocates the first gap that fits, zeroed, on 4096-byte boundaries, and uses freed bytes again", () => {
    using pair = new RegionPair("gaps", 24_576 + 10 * 4096);
    const { directory } = pair.a;
    const offsets = ["a", "b", "c"].map(
      (name) => directory.create(1, name, 4097, (offset) => pair.a.view(offset, 4097).fill(1)).offset,
    );
    expect(offsets).toEqual([0, 2, 4].map((page) => regionOffset(HEADER_BYTES + page * 4096)));
    expect(directory.create(1, "end", 4 * 4096, nothing).offset).toBe(regionOffset(HEADER_BYTES + 6 * 4096));
    const error = expectCode("DIRECTORY_NO_ROOM", () => directory.create(1, "none", 1, nothing));
    expect(error.message).toContain("largest is 0");
    pair.b.directory.remove("b");
    expectCode("DIRECTORY_NO_ROOM", () => directory.create(1, "large", 8193, nothing));
    const again = directory.create(2, "again", 8192, (offset) => {
      expect(pair.a.view(offset, 8192).every((byte) => byte === 0)).toBe(true);
    });
    expect(again).toMatchObject({ index: 1, generation: 2, offset: offsets[1] });
    expectCode("OBJECT_NOT_FOUND", () => directory.remove("b"));
  });

  test("names are unique, and are names", () => {
    using pair = new RegionPair("names");
    pair.a.directory.create(1, "x".repeat(63), 1, nothing);
    expect(pair.b.directory.list()[0]?.name).toBe("x".repeat(63));
    expectCode("OBJECT_EXISTS", () => pair.b.directory.create(2, "x".repeat(63), 1, nothing));
    for (const name of ["", "x".repeat(64), "ü".repeat(32), "a\0b", "\ud800"]) {
      expectCode("NAME_INVALID", () => pair.a.directory.create(1, name, 1, nothing));
    }
    for (const size of [0, -1, 1.5, Number.NaN, 2 ** 54]) {
      expectCode("SIZE_INVALID", () => pair.a.directory.create(1, "size", size, nothing));
    }
  });

  test("has 64 entries", () => {
    using pair = new RegionPair("full");
    for (let i = 0; i < 64; i++) pair.a.directory.create(1, `object ${i}`, 1, nothing);
    expectCode("DIRECTORY_FULL", () => pair.a.directory.create(1, "one more", 1, nothing));
    expect(pair.b.directory.list().map((entry) => entry.index)).toEqual(
      Array.from({ length: 64 }, (_, i) => i),
    );
  });

  test("a fill that throws leaves nothing, and the lock free", () => {
    using pair = new RegionPair("fill");
    const fail = (): never => {
      throw new Error("no");
    };
    expect(() => pair.a.directory.create(1, "x", 1, fail)).toThrow("no");
    expect(pair.a.directory.list()).toEqual([]);
    expect(pair.b.directory.create(1, "x", 1, nothing).offset).toBe(regionOffset(HEADER_BYTES));
    const nested = (): void => void pair.a.directory.create(1, "inner", 1, nothing);
    expectCode("DIRECTORY_BUSY", () => pair.a.directory.create(1, "outer", 1, nested));
    expect(pair.a.directory.find("outer")).toBeNull();
  });

  test("what a dead creator was building is freed by the next", () => {
    using pair = new RegionPair("abandoned", 24_576 + 4096);
    pair.a.directory.create(1, "abandoned", 4096, nothing);
    storePlain(entryWords(pair.a, 0), Layout.stateWord, Layout.stateBuilding);
    expect(pair.b.directory.list()).toEqual([]);
    const entry = pair.b.directory.create(2, "next", 4096, nothing);
    expect(entry).toMatchObject({ index: 0, generation: 2 });
  });

  test("a lock that is never given back is an error, not a hang", () => {
    using pair = new RegionPair("locked");
    const fd = pair.b.control.openLockFile();
    expect(tryLockByte(fd, LOCK_BASE_OFFSET + LockByte.directory)).toBe(true);
    expectCode("DIRECTORY_BUSY", () => pair.a.directory.create(1, "x", 1, nothing));
    closeFile(fd);
    pair.a.directory.create(1, "x", 1, nothing);
  }, 30_000);
});

describe("a directory that somebody scribbled over", () => {
  const size = 24_576 + 16 * 4096;
  const broken: readonly (readonly [string, number, readonly number[]])[] = [
    ["offset low", Layout.offsetLowWord, [0, 4096, HEADER_BYTES + 1, size, -4096]],
    ["offset high", Layout.offsetHighWord, [1, -1]],
    ["size low", Layout.sizeLowWord, [0, size, -1]],
    ["size high", Layout.sizeHighWord, [1, -1]],
    ["name", Layout.nameWord, [0, 0xff, 0x80]],
  ];
  for (const [what, word, values] of broken) {
    test(`${what}: a typed error for readers and creators`, () => {
      for (const value of values) {
        using pair = new RegionPair("scribbled", size);
        pair.a.directory.create(1, "x", 4096, nothing);
        storePlain(entryWords(pair.a, 0), word, value);
        for (const use of [
          () => pair.b.directory.list(),
          () => pair.b.directory.find("x"),
          () => pair.b.directory.at(0),
        ]) {
          expectCode("DIRECTORY_CORRUPT", use);
        }
        expectCode("DIRECTORY_CORRUPT", () => pair.b.directory.create(1, "y", 1, nothing));
      }
    });
  }

  test("a name without an end", () => {
    using pair = new RegionPair("endless");
    pair.a.directory.create(1, "x", 4096, nothing);
    entryWords(pair.a, 0).fill(0x61616161, Layout.nameWord);
    expectCode("DIRECTORY_CORRUPT", () => pair.b.directory.list());
  });

  test("an unknown state is not ready, and stops creators", () => {
    using pair = new RegionPair("state");
    storePlain(entryWords(pair.a, 5), Layout.stateWord, 77);
    expect(pair.b.directory.list()).toEqual([]);
    expectCode("DIRECTORY_CORRUPT", () => pair.b.directory.create(1, "y", 1, nothing));
  });

  test("extents that overlap do not let a new object into either", () => {
    using pair = new RegionPair("overlap", size);
    pair.a.directory.create(1, "a", 4 * 4096, nothing);
    pair.a.directory.create(1, "b", 4096, nothing);
    storePlain(entryWords(pair.a, 1), Layout.offsetLowWord, HEADER_BYTES + 4096);
    expect(pair.b.directory.create(1, "c", 4096, nothing).offset).toBe(regionOffset(HEADER_BYTES + 4 * 4096));
  });

  test("kinds of later versions are listed by number", () => {
    using pair = new RegionPair("kind");
    pair.a.directory.create(99, "later", 1, nothing);
    expect(pair.b.directory.list()[0]?.kind).toBe(99);
    expect(
      expectCode("OBJECT_KIND", () => pair.b.directory.open("later", ObjectKind.ring)).message,
    ).toContain("kind 99");
  });
});
