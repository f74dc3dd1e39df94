import { describe, expect, test } from "bun:test";
import {
  type DeviceAddress,
  type PhysicalAddress,
  type RegionOffset,
  regionOffset,
  type VirtualAddress,
  virtualAddress,
} from "../../src/memory/brands.ts";
import { decodePagemapEntry } from "../../src/memory/physical.ts";
import { Region } from "../../src/memory/region.ts";
import { Peer } from "../support/peer.ts";
import { RegionPair } from "../support/regions.ts";

const at = regionOffset;
const isRoot = process.getuid!() === 0;

/** Compiles only while every line below it is an error: tsc is the test. */
export function brandsDoNotMix(
  offset: RegionOffset,
  device: DeviceAddress,
  physical: PhysicalAddress,
  virtual: VirtualAddress,
): unknown[] {
  // @ts-expect-error a number is no offset until it is called one
  const a: RegionOffset = 5;
  // @ts-expect-error a device address is no offset
  const b: RegionOffset = device;
  // @ts-expect-error a physical address is no device address
  const c: DeviceAddress = physical;
  // @ts-expect-error a virtual address is no physical address
  const d: PhysicalAddress = virtual;
  // @ts-expect-error an offset is no virtual address
  const e: VirtualAddress = offset;
  // @ts-expect-error a device address is no physical address
  const f: PhysicalAddress = device;
  // @ts-expect-error the sum of an offset and a number is a number
  const g: RegionOffset = offset + 4;
  // Each is a number to calculate with.
  const h: number = offset + device + physical + virtual;
  return [a, b, c, d, e, f, g, h];
}

describe("addresses of a shm region", () => {
  test("virtual: of every byte, in every mapping, both ways", () => {
    using pair = new RegionPair("virtual", 70_001);
    for (const region of [pair.a, pair.b]) {
      for (const offset of [0, 1, 4095, 4096, 65_535, 65_536, 70_000]) {
        const address = region.virtualAddress(at(offset));
        expect(Region.locate(address)).toEqual({ region, offset: at(offset) });
      }
      expect(Region.locate(virtualAddress(region.virtualAddress(at(70_000)) + 1))).toBeNull();
      expect(Region.locate(virtualAddress(region.virtualAddress(at(0)) - 1))).toBeNull();
    }
    expect(pair.a.virtualAddress(at(0))).not.toBe(pair.b.virtualAddress(at(0)));
    const last = pair.a.virtualAddress(at(70_000));
    pair.a.close();
    expect(Region.locate(last)).toBeNull();
    expect(Region.locate(virtualAddress(0))).toBeNull();
  });

  test("lookups stay right among many mappings that come and go", () => {
    const pairs = Array.from({ length: 40 }, (_, i) => new RegionPair(`many-${i}`, 65_536));
    pairs.forEach((pair, i) => {
      if (i % 3 === 0) pair.b.close();
    });
    pairs.forEach((pair, i) => {
      expect(Region.locate(pair.a.virtualAddress(at(i)))).toEqual({ region: pair.a, offset: at(i) });
      if (i % 3 !== 0) expect(Region.locate(pair.b.virtualAddress(at(65_535)))?.region).toBe(pair.b);
    });
    for (const pair of pairs) pair[Symbol.dispose]();
  });

  test("device: there is none, and it is not made up", () => {
    using pair = new RegionPair("device");
    expect(pair.a.deviceAddress(at(0))).toBeNull();
    expect(pair.a.addresses(at(0)).device).toMatchObject({ code: "no-device" });
    expect(pair.a.dmaCoherent).toBe(true);
    pair.a.syncForCpu(at(0), 100);
    pair.a.syncForDevice(at(0), 100, "to-device");
  });

  test.skipIf(!isRoot)(
    "physical: the same in all mappings and processes, page by page (needs root)",
    async () => {
      using pair = new RegionPair("physical", 70_001);
      // Written by one, never touched by the other: its page table is filled on demand.
      pair.a.bytes.fill(1);
      const offsets = [0, 1, 4095, 4096, 8191, 65_536, 70_000];
      for (const offset of offsets) {
        const physical = pair.a.physicalAddress(at(offset));
        expect(physical).not.toBeNull();
        expect(physical! % 4096).toBe(offset % 4096);
        expect(pair.b.physicalAddress(at(offset))).toBe(physical);
      }
      expect(new Set([0, 4096, 8192].map((offset) => pair.a.physicalAddress(at(offset)))).size).toBe(3);
      expect(() => pair.a.physicalAddress(at(70_001))).toThrow("not in a region");
    },
  );

  test("of another process differ in the virtual one only", async () => {
    using pair = new RegionPair("peer", 70_001);
    await using peer = await Peer.start("map", pair.name);
    const [first, last] = (await peer.nextLine()).split(" ").map(Number);
    expect(last! - first!).toBe(70_000);
  });
});

test("pagemap entries are taken apart as the kernel documents them", () => {
  expect(decodePagemapEntry(0, 0)).toEqual({ present: false, frame: null });
  // Present, a file page, PFN 0x123456789.
  expect(decodePagemapEntry(0x23456789, 0xa0000001)).toEqual({ present: true, frame: 0x123456789 });
  // Present without CAP_SYS_ADMIN: the number is hidden.
  expect(decodePagemapEntry(0, 0xa0000000)).toEqual({ present: true, frame: null });
  // Swapped: type and offset are no frame number.
  expect(decodePagemapEntry(0x1234, 0x40000000)).toEqual({ present: false, frame: null });
  // Soft-dirty and exclusive bits are no part of the number.
  expect(decodePagemapEntry(1, 0x81800000)).toEqual({ present: true, frame: 1 });
});
