import { describe, expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { regionOffset } from "../../src/memory/brands.ts";
import { ObjectKind } from "../../src/memory/layout.ts";
import { parseName } from "../../src/memory/names.ts";
import { Region } from "../../src/memory/region.ts";
import { parseSize } from "../../src/memory/size.ts";
import { expectCode } from "../support/errors.ts";
import { mapsOf, openDescriptors, Peer } from "../support/peer.ts";
import { isGone, RegionPair, regionPath, uniqueName } from "../support/regions.ts";
import { ScratchName } from "../support/scratch.ts";

const at = regionOffset;

describe("a shm region", () => {
  test("two handles see the same bytes, exactly as many as were asked for", () => {
    for (const size of [24_576, 24_577, 65_535, 65_536, 65_537, 1_000_003]) {
      using pair = new RegionPair("bytes", size);
      expect(pair.a.sizeBytes).toBe(size);
      expect(pair.b.bytes.length).toBe(size);
      pair.a.bytes[size - 1] = 0xa5;
      expect(pair.b.bytes[size - 1]).toBe(0xa5);
      expect(pair.b.view(at(size - 1), 1)[0]).toBe(0xa5);
      expect(pair.b.view(at(size), 0).length).toBe(0);
      expectCode("OUT_OF_RANGE", () => pair.b.view(at(size), 1));
      expect(pair.a.instanceId).toMatch(/^[0-9a-f]{32}$/);
      expect(pair.b.instanceId).toBe(pair.a.instanceId);
    }
  });

  test("another process finds by name what was put there, and answers in place", async () => {
    using pair = new RegionPair("process", 100_001);
    const entry = pair.a.directory.create(ObjectKind.ring, "object", 8, (offset) => {
      pair.a.words(offset, 2)[0] = 1;
    });
    pair.a.bytes[100_000] = 41;
    await using peer = await Peer.start("echo", pair.name);
    expect(await peer.nextLine()).toBe("8 1 41");
    expect(pair.b.words(entry.offset, 2)[1]).toBe(42);
  });

  test("ranges are checked: nothing outside the region, no fractions, no overflow", () => {
    using pair = new RegionPair("ranges", 65_536);
    const region = pair.a;
    const bad: readonly (readonly [number, number])[] = [
      [-1, 1],
      [0, -1],
      [0, 65_537],
      [65_536, 1],
      [65_535, 2],
      [0.5, 1],
      [0, 1.5],
      [Number.NaN, 1],
      [0, Number.NaN],
      [Infinity, 1],
      [2 ** 53, 1],
      [1, 2 ** 53],
    ];
    for (const [offset, length] of bad) {
      expectCode("OUT_OF_RANGE", () => region.view(at(offset), length));
      expectCode("OUT_OF_RANGE", () => region.syncForCpu(at(offset), length));
    }
    expectCode("OUT_OF_RANGE", () => region.words(at(2), 1));
    expectCode("OUT_OF_RANGE", () => region.words(at(65_532), 2));
    expect(region.words(at(65_532), 1).length).toBe(1);
  });

  test("close: idempotent, every use afterwards throws, nothing stays mapped or open", () => {
    const before = openDescriptors();
    using scratch = new ScratchName("close");
    const { name } = scratch;
    const region = Region.create(name, { size: "64KiB" });
    const { directory, control } = region;
    const order: number[] = [];
    region.onClose(() => order.push(1));
    region.onClose(() => {
      region.assertOpen();
      expect(region.words(at(0), 1)[0]).toBe(0x53594850);
      order.push(2);
    });
    const stale = region.bytes;
    region.close();
    region.close();
    expect(order).toEqual([2, 1]);
    expect(region.closed).toBe(true);
    const uses: readonly (() => unknown)[] = [
      () => region.bytes,
      () => region.words(at(0), 1),
      () => region.view(at(0), 1),
      () => region.directory,
      () => region.control,
      () => region.virtualAddress(at(0)),
      () => region.deviceAddress(at(0)),
      () => region.physicalAddress(at(0)),
      () => region.addresses(at(0)),
      () => region.syncForDevice(at(0), 1),
      () => region.onClose(() => {}),
      () => region.assertOpen(),
      () => directory.list(),
      () => directory.create(1, "x", 1, () => {}),
      () => control.openLockFile(),
    ];
    for (const use of uses) expectCode("REGION_CLOSED", use);
    expect(stale[0]).toBe(0);
    expect(mapsOf(region.path)).toEqual([]);
    expect(openDescriptors()).toBe(before);
    expect(Region.destroy(name)).toBe(true);
    expect(Region.destroy(name)).toBe(false);
    expect(isGone(name)).toBe(true);
  });

  test("errors of close callbacks come out when all is released", () => {
    using scratch = new ScratchName("callbacks");
    const { name } = scratch;
    const before = openDescriptors();
    const region = Region.create(name, { size: "64KiB" });
    region.onClose(() => {
      throw new Error("first");
    });
    region.onClose(() => {
      throw new Error("second");
    });
    expect(() => region.close()).toThrow(AggregateError);
    expect(region.closed).toBe(true);
    expect(openDescriptors()).toBe(before);
  });

  test("hundreds of regions leak neither descriptors nor mappings", () => {
    const before = openDescriptors();
    using scratch = new ScratchName("leak");
    const { name } = scratch;
    for (let i = 0; i < 400; i++) {
      using region = Region.create(name, { size: "64KiB" });
      using other = Region.open(name);
      other.bytes[65_535] = i;
      if (i % 100 === 0) Bun.gc(true);
      expect(region.bytes[65_535]).toBe(i & 0xff);
    }
    expect(openDescriptors()).toBe(before);
    expect(mapsOf(name)).toEqual([]);
  }, 60_000);

  test("a process that exits closes its regions: callbacks run, the memory is intact", () => {
    using scratch = new ScratchName("exit");
    const { name } = scratch;
    const module = JSON.stringify(new URL("../../src/memory/region.ts", import.meta.url).pathname);
    const script = `
      const { Region } = await import(${module});
      const region = Region.create(${JSON.stringify(name)}, { size: 65536 });
      region.onClose(() => console.log("left", region.view(0, 8).toString()));
      process.exit(0);`;
    const child = Bun.spawnSync([process.execPath, "-e", script]);
    expect(child.stdout.toString()).toBe(`left ${[..."PHYSRING"].map((c) => c.charCodeAt(0)).join(",")}\n`);
    using region = Region.open(name);
    expect(region.sizeBytes).toBe(65_536);
  });
});

describe("a read-only region", () => {
  test("is read, and never written", () => {
    using pair = new RegionPair("read-only");
    const entry = pair.a.directory.create(ObjectKind.pool, "p", 4096, (offset) =>
      pair.a.view(offset, 1).fill(7),
    );
    using reader = Region.open(pair.name, { readOnly: true });
    expect(reader.readOnly).toBe(true);
    expect(reader.directory.open("p", ObjectKind.pool)).toEqual(entry);
    expect(reader.view(entry.offset, 1)[0]).toBe(7);
    pair.a.view(entry.offset, 1)[0] = 8;
    expect(reader.view(entry.offset, 1)[0]).toBe(8);
    expect(mapsOf(pair.a.path).filter((line) => line.includes(" r--s "))).toHaveLength(1);
    expectCode("REGION_READ_ONLY", () => reader.directory.create(1, "x", 1, () => {}));
    expectCode("REGION_READ_ONLY", () => reader.directory.remove("p"));
    expectCode("REGION_READ_ONLY", () => reader.control.openLockFile());
    const stale = reader.bytes;
    reader.close();
    expect(stale[0]).toBe(0);
  });

  test("plain reads of the mapping survive the optimizing compiler", () => {
    using pair = new RegionPair("read-only-hot");
    using reader = Region.open(pair.name, { readOnly: true });
    for (let i = 0; i < 2000; i++) expect(reader.directory.list()).toEqual([]);
    const words = reader.words(at(0), 6144);
    let sum = 0;
    for (let round = 0; round < 2000; round++)
      for (let i = 0; i < words.length; i++) sum = (sum + words[i]!) | 0;
    expect(sum).not.toBe(0);
  });

  test.skipIf(process.getuid!() !== 0)(
    "another user opens what the mode lets him (needs root)",
    testAsNobody,
  );
});

/** Root may read anything: the case needs another user. */
function testAsNobody(): void {
  using scratch = new ScratchName("nobody");
  const { name } = scratch;
  using region = Region.create(name, { size: 65_536, mode: 0o644 });
  expect(statSync(region.path).mode & 0o777).toBe(0o644);
  const module = JSON.stringify(new URL("../../src/memory/region.ts", import.meta.url).pathname);
  const script = `
    const { Region } = await import(${module});
    try { Region.open(${JSON.stringify(name)}); } catch (error) { console.log(error.code); }
    try { Region.create(${JSON.stringify(name)}, { size: 65536 }); } catch (error) { console.log(error.code); }
    using region = Region.open(${JSON.stringify(name)}, { readOnly: true });
    console.log(region.view(0, 1)[0], region.addresses(0).physical.code);`;
  const user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const child = Bun.spawnSync([...user, process.execPath, "-e", script]);
  expect(child.stdout.toString()).toBe("REGION_PERMISSION\nREGION_PERMISSION\n80 needs-cap-sys-admin\n");
}

describe("a raw region", () => {
  test("maps any bytes, or a part of them, without a layout", () => {
    using scratch = new ScratchName("raw");
    const { name } = scratch;
    const { path } = scratch;
    writeFileSync(
      path,
      Uint8Array.from({ length: 20_001 }, (_, i) => i >>> 12),
    );
    using whole = Region.open(name, { raw: true });
    expect(whole.bytes.length).toBe(20_001);
    using part = Region.open(name, { raw: true, offset: 8192, sizeBytes: 5000 });
    expect(part.bytes.length).toBe(5000);
    expect([part.bytes[0], part.bytes[4999]]).toEqual([2, 3]);
    part.bytes[0] = 99;
    expect(whole.bytes[8192]).toBe(99);
    expect(readFileSync(path)[8192]).toBe(99);
    for (const use of [() => whole.directory, () => whole.control]) expectCode("REGION_UNSUPPORTED", use);
    expectCode("OUT_OF_RANGE", () => Region.open(name, { raw: true, offset: 1 }));
    expectCode("REGION_TOO_SMALL", () => Region.open(name, { raw: true, offset: 20_480 }));
    expectCode("REGION_TOO_SMALL", () => Region.open(name, { raw: true, offset: 8192, sizeBytes: 12_000 }));
    expectCode("REGION_UNSUPPORTED", () => Region.open(name, { offset: 4096 }));
    expectCode("REGION_UNSUPPORTED", () => Region.open(name, { sizeBytes: 4096 }));
    expectCode("REGION_UNSUPPORTED", () => Region.open(name, { syncMode: "noncached" }));
  });
});

describe("names and sizes", () => {
  test("name a backend and a file", () => {
    expect(parseName("a.b_c-1")).toEqual({
      backend: "shm",
      name: "a.b_c-1",
      path: regionPath("a.b_c-1"),
    });
    expect(parseName("shm:x")).toEqual({ backend: "shm", name: "shm:x", path: regionPath("x") });
    expect(parseName("/dev/udmabuf0")).toMatchObject({
      backend: "udmabuf",
      path: "/dev/udmabuf0",
      device: "udmabuf0",
    });
    expect(parseName("udmabuf:udmabuf0")).toMatchObject({ path: "/dev/udmabuf0" });
    expect(parseName("udmabuf:/dev/udmabuf0")).toMatchObject({ path: "/dev/udmabuf0" });
    expect(parseName("memfd:12")).toMatchObject({ backend: "memfd", source: 12 });
    expect(parseName("memfd:/proc/7/fd/3")).toMatchObject({ source: "/proc/7/fd/3" });
    expect(parseName("memfd:frames")).toMatchObject({ source: null, label: "frames" });
  });

  test("nothing else is a name", () => {
    const bad = [
      "",
      ".",
      "..",
      ".a",
      "a/b",
      "../etc",
      "a b",
      "x".repeat(49),
      "a\0",
      "é",
      "x.ctl",
      "x.d",
      "/dev/../etc/passwd",
      "/dev/",
      "memfd:",
      "memfd:/proc/1/maps",
      "tcp:1",
    ];
    for (const name of bad) expectCode("NAME_INVALID", () => parseName(name));
    expect(parseName("x".repeat(48)).backend).toBe("shm");
  });

  test("sizes as people write them", () => {
    expect([
      parseSize(5),
      parseSize("5"),
      parseSize("64K"),
      parseSize("256MiB"),
      parseSize("1.5 GiB"),
      parseSize("100MB"),
    ]).toEqual([5, 5, 65_536, 2 ** 28, 1.5 * 2 ** 30, 1e8]);
    for (const bad of [
      0,
      -1,
      1.5,
      Number.NaN,
      Infinity,
      2 ** 53,
      "",
      "MiB",
      "1 XB",
      "0.3",
      "-1",
      "1e3",
      "0x10",
    ]) {
      expectCode("SIZE_INVALID", () => parseSize(bad));
    }
    expectCode("SIZE_INVALID", () => Region.create(uniqueName("size"), {}));
    expectCode("SIZE_INVALID", () => Region.create(uniqueName("size"), { size: 24_575 }));
  });
});
