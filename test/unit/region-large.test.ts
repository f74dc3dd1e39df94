/** Regions larger than one buffer, and small windows that do the same with less memory. */
import { describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { regionOffset, virtualAddress } from "../../src/memory/brands.ts";
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import { expectCode } from "../support/errors.ts";
import { mapsOf } from "../support/peer.ts";
import { ScratchName } from "../support/scratch.ts";

const at = regionOffset;
const GiB = 2 ** 30;

describe("a sparse region of 6 GiB", () => {
  test("is reached everywhere, with objects of up to 2 GiB in one piece", () => {
    using scratch = new ScratchName("six");
    using region = Region.create(scratch.name, { size: "6GiB", sparse: true });
    using other = Region.open(scratch.name);
    expect(region.sizeBytes).toBe(6 * GiB);
    expect(mapsOf(region.path)).toHaveLength(2);
    const offsets = [
      HEADER_BYTES,
      GiB,
      2 * GiB - 1,
      2 * GiB,
      3 * GiB + 5,
      4 * GiB - 4097,
      4 * GiB - 4096,
      4 * GiB - 1,
      4 * GiB,
      6 * GiB - 1,
    ];
    for (const [i, offset] of offsets.entries()) region.view(at(offset), 1).fill(i + 1);
    for (const [i, offset] of offsets.entries()) expect(other.view(at(offset), 1)[0]).toBe(i + 1);
    // Windows 0, 1 and 2 (for the last page) of each handle and no more.
    expect(mapsOf(region.path)).toHaveLength(6);
    for (const start of [HEADER_BYTES, GiB, 2 * GiB - 4096, 2 * GiB, 3 * GiB, 4 * GiB]) {
      const view = region.view(at(start), 2 * GiB);
      expect(view.length).toBe(2 * GiB);
      view[2 * GiB - 1] = 0x77;
      expect(other.view(at(start + 2 * GiB - 1), 1)[0]).toBe(0x77);
      expect(region.words(at(start), GiB / 2).length).toBe(GiB / 2);
    }
    expectCode("OUT_OF_RANGE", () => region.view(at(GiB), 4 * GiB));
    expectCode("OUT_OF_RANGE", () => region.view(at(0), 6 * GiB));
    expectCode("REGION_TOO_LARGE", () => region.bytes);
    expect(statSync(region.path).blocks * 512).toBeLessThan(2 ** 20);
  });

  test("holds objects past 4 GiB, found by their 64-bit offset", () => {
    using scratch = new ScratchName("six-objects");
    using region = Region.create(scratch.name, { size: "6GiB", sparse: true });
    region.directory.create(2, "first", 2 * GiB, () => {});
    region.directory.create(2, "second", 2 * GiB, () => {});
    const third = region.directory.create(2, "third", GiB, (offset) =>
      region.view(offset, GiB).fill(3, 0, 10),
    );
    expect(third.offset).toBe(at(HEADER_BYTES + 4 * GiB));
    expectCode("DIRECTORY_NO_ROOM", () => region.directory.create(2, "fourth", GiB, () => {}));
    using other = Region.open(scratch.name);
    expect(other.directory.open("third", 2)).toEqual(third);
    expect(other.view(third.offset, GiB)[9]).toBe(3);
    expect(statSync(region.path).blocks * 512).toBeLessThan(2 ** 20);
  });

  test("translates addresses in every window, the last byte included", () => {
    using scratch = new ScratchName("six-addresses");
    using region = Region.create(scratch.name, { size: "6GiB", sparse: true });
    for (const offset of [0, 2 * GiB - 1, 2 * GiB, 4 * GiB - 1, 4 * GiB, 6 * GiB - 1]) {
      const found = Region.locate(region.virtualAddress(at(offset)));
      expect(found?.region).toBe(region);
      expect(found?.offset).toBe(at(offset));
    }
    expect(Region.locate(virtualAddress(region.virtualAddress(at(6 * GiB - 1)) + 1))).toBeNull();
  });
});

test("a region of 4 GiB less or more: one view of all bytes, and objects up to 2 GiB", () => {
  for (const size of [4 * GiB - 4096, 4 * GiB - 4095, 4 * GiB]) {
    using scratch = new ScratchName("four");
    using region = Region.create(scratch.name, { size, sparse: true });
    expect(region.bytes.length).toBe(size);
    region.bytes[size - 1] = 7;
    expect(region.view(at(size - 1), 1)[0]).toBe(7);
    const found = Region.locate(virtualAddress(region.virtualAddress(at(size - 1))));
    expect(found?.offset).toBe(at(size - 1));
  }
});

describe("small windows", () => {
  test("give the same bytes as one large one, at every boundary", () => {
    using scratch = new ScratchName("windows");
    const windowBytes = 2 ** 17;
    const size = 1_000_003;
    using region = Region.create(scratch.name, { size, windowBytes });
    using whole = Region.open(scratch.name);
    for (let offset = 0; offset < size; offset += 4096) {
      const length = Math.min(windowBytes / 2, size - offset);
      whole.view(at(offset), length).fill(offset / 4096);
      const view = region.view(at(offset), length);
      expect([view.length, view[0], view[length - 1]]).toEqual([
        length,
        (offset / 4096) & 0xff,
        (offset / 4096) & 0xff,
      ]);
    }
    expect(region.bytes.length).toBe(size);
    expect(region.bytes[size - 1]).toBe(whole.bytes[size - 1]!);
    // To the last byte of a window, and not one further.
    expect(region.view(at(0), windowBytes).length).toBe(windowBytes);
    expectCode("OUT_OF_RANGE", () => region.view(at(1), windowBytes));
    expect(region.view(at(65_535), 65_537).length).toBe(65_537);
    expectCode("OUT_OF_RANGE", () => region.view(at(65_535), 65_538));
    expectCode("OUT_OF_RANGE", () => region.view(at(size), 1));
  });

  test("have sizes that make sense", () => {
    using scratch = new ScratchName("window-size");
    for (const windowBytes of [0, 1, 65_536, 100_000, 2 ** 33, Number.NaN]) {
      expectCode("SIZE_INVALID", () => Region.create(scratch.name, { size: "64KiB", windowBytes }));
    }
    expectCode("REGION_NOT_FOUND", () => Region.open(scratch.name));
  });
});
