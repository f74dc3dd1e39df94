/** The device backend as far as it goes without a device; with one: test/vm/guest/region-udmabuf.test.ts. */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { factsFromSysfs, pinRefusal } from "../../src/memory/device-buffer.ts";
import {
  hitsMemory,
  type MappingFacts,
  translationRefusal,
  uncachedRefusal,
} from "../../src/memory/device-limits.ts";
import { sidecarPath } from "../../src/memory/names.ts";
import { Region } from "../../src/memory/region.ts";
import { Ioctl } from "../../src/memory/udmabuf-abi.ts";
import { expectCode } from "../support/errors.ts";
import { openDescriptors } from "../support/peer.ts";

describe("a device region without a device", () => {
  test("a missing one is not found, and the remedy is told", () => {
    for (const use of [
      () => Region.open("/dev/udmabuf-none"),
      () => Region.create("/dev/udmabuf-none", {}),
      () => Region.open("udmabuf:udmabuf-none", { raw: true, syncMode: "noncached" }),
    ]) {
      expect(expectCode("REGION_NOT_FOUND", use).message).toContain("lsmod");
    }
    expect(Region.destroy("/dev/udmabuf-none")).toBe(false);
    expect(existsSync(sidecarPath("udmabuf-none", 0))).toBe(false);
  });

  test("another driver's device is refused, without a leak", () => {
    const before = openDescriptors();
    for (const device of ["/dev/null", "/dev/zero"]) {
      expectCode("REGION_UNSUPPORTED", () => Region.open(device));
      expectCode("REGION_UNSUPPORTED", () => Region.open(device, { raw: true, readOnly: true }));
      expectCode("REGION_UNSUPPORTED", () => Region.create(device, { size: "64KiB" }));
    }
    expect(openDescriptors()).toBe(before);
    expect(existsSync(sidecarPath("null", 0))).toBe(false);
  });

  test("an offset is checked before anything is touched", () => {
    for (const offset of [1, -4096, 0.5, Number.NaN]) {
      expectCode("OUT_OF_RANGE", () => Region.create("/dev/udmabuf-none", { offset }));
      expectCode("OUT_OF_RANGE", () => Region.open("/dev/udmabuf-none", { offset }));
    }
  });
});

test("ioctl numbers are those of the u-dma-buf interface", () => {
  expect(Ioctl).toEqual({
    getSize: 0x80085502,
    getDmaAddress: 0x80085503,
    setSyncForCpu: 0x40085505,
    setSyncForDevice: 0x40085506,
    getDeviceInfo: 0x80185507,
    getSync: 0x80185508,
    setSync: 0x40185509,
    getBuffer: 0x80385540,
    syncRanges: 0x40185541,
  });
});

test("sidecars are named after device and offset", () => {
  expect(sidecarPath("udmabuf0", 0)).toBe("/dev/shm/physring.udmabuf0.ctl");
  expect(sidecarPath("udmabuf0", 0x12000)).toBe("/dev/shm/physring.udmabuf0@12000.ctl");
});

test("facts of an old driver come from sysfs, each checked", () => {
  const directory = mkdtempSync("/tmp/test-sysfs-");
  try {
    const write = (attribute: string, text: string): void => writeFileSync(`${directory}/${attribute}`, text);
    expectCode("REGION_UNSUPPORTED", () => factsFromSysfs(directory));
    write("size", "1048576\n");
    write("phys_addr", "0x0000000102d00000\n");
    write("dma_coherent", "1\n");
    expect(factsFromSysfs(directory)).toEqual({
      sizeBytes: 2 ** 20,
      deviceBase: 0x102d00000,
      physicalBase: null,
      coherent: true,
      instance: [0, 0],
      driver: "u-dma-buf",
      mmapMode: null,
      movable: null,
    });
    write("quirk_mmap_mode", "2\n");
    expect(factsFromSysfs(directory).mmapMode).toBe(2);
    for (const bad of ["", "x", "-1", "1.5", "0xffffffffffffffff"]) {
      write("phys_addr", bad);
      expectCode("REGION_CORRUPT", () => factsFromSysfs(directory));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("pinning for long is refused where the kernel would fail, or hang", () => {
  expect(pinRefusal({ driver: "physring", movable: false }, "6.12.1-amd64")).toBeNull();
  expect(pinRefusal({ driver: "physring", movable: false }, "7.0.0")).toBeNull();
  expect(pinRefusal({ driver: "physring", movable: false }, "6.1.0-56-amd64")).toContain("6.5");
  expect(pinRefusal({ driver: "physring", movable: true }, "6.12.1")).toContain("CMA");
  expect(pinRefusal({ driver: "u-dma-buf", movable: null }, "6.12.1")).toContain("u-dma-buf");
});

describe("mappings that are refused", () => {
  const upstream = { driver: "u-dma-buf", coherent: true, mmapMode: 3 } as const;
  const apart = { ...upstream, coherent: false };
  const ours = { driver: "physring", coherent: false, mmapMode: null } as const;

  test("by device address behind an IOMMU that translates, where that is one of memory", () => {
    const refusal = (facts: MappingFacts, domain: string | null, hits = true): string | null =>
      translationRefusal(facts, domain, hits);
    for (const domain of ["DMA", "DMA-FQ"]) {
      expect(refusal({ ...upstream, mmapMode: 2 }, domain)).toContain("quirk_mmap_mode=1");
      expect(refusal({ ...upstream, mmapMode: 4 }, domain)).toContain("IOMMU");
      expect(refusal({ ...upstream, mmapMode: null }, domain)).toContain("IOMMU");
      expect(refusal(apart, domain)).toContain("IOMMU");
      for (const allowed of [upstream, { ...upstream, mmapMode: 1 }, ours])
        expect(refusal(allowed, domain)).toBeNull();
      expect(refusal({ ...upstream, mmapMode: 2 }, domain, false)).toBeNull();
    }
    for (const domain of [null, "identity"]) expect(refusal({ ...upstream, mmapMode: 2 }, domain)).toBeNull();
  });

  test("memory is where the kernel has blocks of it", () => {
    const blocks = mkdtempSync("/tmp/test-blocks-");
    const block = 2 ** 27;
    try {
      expect(hitsMemory(0, 1, blocks)).toBe(true);
      writeFileSync(`${blocks}/block_size_bytes`, `${block.toString(16)}\n`);
      mkdirSync(`${blocks}/memory2`);
      for (const [base, sizeBytes, hits] of [
        [0, block, false],
        [0, 2 * block, false],
        [0, 2 * block + 1, true],
        [3 * block - 1, 1, true],
        [3 * block, 2 ** 33, false],
        [0, 2 ** 33, true],
      ] as const)
        expect([base, sizeBytes, hitsMemory(base, sizeBytes, blocks)]).toEqual([base, sizeBytes, hits]);
    } finally {
      rmSync(blocks, { recursive: true });
    }
  });

  test("without cache on arm64, for a region", () => {
    const refused = (facts: MappingFacts, syncMode: number | null): boolean =>
      uncachedRefusal(facts, syncMode, "arm64") !== null;
    for (const syncMode of [5, 6, 7]) {
      expect(refused(upstream, syncMode)).toBe(true);
      expect(refused(ours, syncMode)).toBe(true);
      expect(refused({ ...ours, coherent: true }, syncMode)).toBe(false);
      expect(uncachedRefusal(upstream, syncMode, "x64")).toBeNull();
    }
    expect(uncachedRefusal(upstream, 5, "arm64")).toContain("write 1 to sync_mode");
    for (const syncMode of [null, 0, 1, 3, 4]) {
      expect(refused(upstream, syncMode)).toBe(false);
      expect(refused(apart, syncMode)).toBe(false);
    }
    const off = { ...apart, mmapMode: 1 };
    expect(uncachedRefusal(off, 1, "arm64")).toContain("quirk_mmap_mode=2");
    expect(uncachedRefusal({ ...off, coherent: true }, 1, "arm64")).toBeNull();
    expect(uncachedRefusal(off, 1, "x64")).toBeNull();
  });
});
