/**
 * The library on a driver with the interface of u-dma-buf and nothing of ours: no GET_BUFFER, no batch of ranges, no instance id. By
 * default a stand-in (test/vm/build.sh, build_stand_in); with PHYSRING_MODULE u-dma-buf itself (test/vm/guest/upstream.sh).
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { closeFile, ioctl } from "../../../../src/ffi/files.ts";
import { regionOffset } from "../../../../src/memory/brands.ts";
import { DeviceBuffer } from "../../../../src/memory/device-buffer.ts";
import { Region, type SyncMode } from "../../../../src/memory/region.ts";
import { SyncBatch } from "../../../../src/memory/sync-batch.ts";
import { Ioctl, SyncCommand, SyncSetting } from "../../../../src/memory/udmabuf-abi.ts";
import { expectCode } from "../../../support/errors.ts";
import { openDescriptors, Peer } from "../../../support/peer.ts";
import { syncEverywhere } from "../whole-sync.ts";
import { doctor, physring } from "./command.ts";

const at = regionOffset;
const MODULE = process.env["PHYSRING_MODULE"] ?? "/modules/stand-in/u-dma-buf.ko";
const IS_STAND_IN = MODULE.includes("stand-in");
const NAME = "/dev/udmabuf0";
const CLASS = "/sys/class/u-dma-buf/udmabuf0";
const SIDECAR = "physring.udmabuf0.ctl";
const BYTES = 2 ** 20;
const COHERENT = process.arch === "x64";
/** Where u-dma-buf's pages can be mapped. The stand-in's can nowhere. */
const HAS_CMA = !IS_STAND_IN && readFileSync("/proc/meminfo", "utf8").includes("CmaTotal");

function command(...argv: readonly string[]): void {
  const result = Bun.spawnSync([...argv]);
  if (result.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${result.stderr.toString()}`);
}

function load(mode: number, sizeBytes = BYTES, ...parameters: readonly string[]): void {
  command("/bin/insmod", MODULE, `udmabuf0=${sizeBytes}`, `quirk_mmap_mode=${mode}`, ...parameters);
}

const unload = (): void => command("/bin/rmmod", "u_dma_buf");

function attribute(name: string): string {
  return readFileSync(`${CLASS}/${name}`, "utf8").trim();
}

class OpenedDevice implements Disposable {
  readonly device: DeviceBuffer;

  constructor(syncMode: SyncMode) {
    this.device = DeviceBuffer.open(NAME, "udmabuf0", { readOnly: false, syncMode });
  }

  [Symbol.dispose](): void {
    closeFile(this.device.fd);
  }
}

// An emulated machine on a busy one.
setDefaultTimeout(120_000);

let descriptors = 0;

function afterRegions(): void {
  Region.destroy(NAME);
  expect(readdirSync("/dev/shm")).toEqual([]);
  expect(openDescriptors()).toBe(descriptors);
}

// 1: all frames at once; 2: frame by frame, u-dma-buf's default on arm64; 3: its default elsewhere, there the same as 1.
for (const mode of IS_STAND_IN || !COHERENT ? [2] : [1, 2, 3])
  describe(`mode ${mode}`, () => {
    beforeAll(() => {
      load(mode);
      descriptors = openDescriptors();
    });
    afterEach(afterRegions);
    afterAll(unload);

    test("the driver has none of our attributes", () => {
      expect(attribute("quirk_mmap_mode")).toBe(String(mode));
      expect(readdirSync(CLASS)).not.toContain("instance_id");
    });

    test("a region has the device's address, and another process sees its bytes and objects", async () => {
      using region = Region.create(NAME, {});
      expect(region).toMatchObject({ backend: "udmabuf", sizeBytes: BYTES, dmaCoherent: COHERENT });
      expect(Number(region.deviceAddress(at(4097)))).toBe(Number(attribute("phys_addr")) + 4097);
      region.directory.create(1, "object", 8, () => {});
      region.bytes[BYTES - 1] = 41;
      await using peer = await Peer.start("echo", NAME);
      expect(await peer.nextLine()).toBe("8 1 41");
    });

    test("there is no physical address to be had, and it is told why", () => {
      using region = Region.create(NAME, {});
      const { physical, pageTable } = region.addresses(at(4097));
      expect([physical, pageTable]).toMatchObject([
        { code: "pages-not-walked" },
        { code: "pages-not-walked" },
      ]);
    });

    test("sync is one call for each range, and none where caches are coherent", () => {
      using region = Region.create(NAME, {});
      const batch = new SyncBatch();
      batch.add(at(0), 4096);
      batch.add(at(BYTES - 4096), 4096);
      region.syncBatchForDevice(batch);
      expect(attribute("sync_owner")).toBe(COHERENT ? "0" : "1");
      region.syncBatchForCpu(batch);
      expect(attribute("sync_owner")).toBe("0");
    });

    test("pinning for long is refused: the driver does not say where its memory lies", () => {
      using region = Region.create(NAME, {});
      expectCode("REGION_UNSUPPORTED", () => region.assertPinnable());
      expect(() => region.assertPinnable()).toThrow("does not tell");
    });
  });

describe("a driver that is asked", () => {
  const size = BYTES + 4097;
  beforeAll(() => {
    load(2, size);
    descriptors = openDescriptors();
  });
  afterAll(unload);

  test("syncs every byte, also at an end that is no multiple of 16", () => {
    using opened = new OpenedDevice("cached");
    const real = opened.device;
    expect(real.facts).toMatchObject({
      sizeBytes: size,
      coherent: COHERENT,
      driver: "u-dma-buf",
      mmapMode: 2,
    });
    // Asked also where the device is coherent.
    const device = new DeviceBuffer(NAME, real.fd, { ...real.facts, coherent: false });
    syncEverywhere(device, size, () => attribute("sync_owner"));
    device.sync(SyncCommand.forDevice, 0, 0, "both");
    expect(attribute("sync_owner")).toBe("0");
    expectCode("EINVAL", () => device.sync(SyncCommand.forDevice, size, 1, "both"));
    expectCode("EINVAL", () => device.sync(SyncCommand.forDevice, 0, size + 1, "both"));
  });

  test("keeps its direction, its range and sync-always when a sync mode is set", () => {
    for (const [name, value] of [
      ["sync_direction", 2],
      ["sync_offset", 4096],
      ["sync_size", 8192],
      ["sync_mode", 5],
    ] as const)
      writeFileSync(`${CLASS}/${name}`, String(value));
    using opened = new OpenedDevice("write-combine");
    const setting = new Uint32Array(new ArrayBuffer(SyncSetting.sizeBytes));
    ioctl(opened.device.fd, Ioctl.getSync, setting, "GET_SYNC");
    const [flags = 0, , sizeBytes, , offset] = setting;
    expect({ mode: (flags >>> 8) & 0xff, direction: (flags >>> 2) & 3, offset, sizeBytes }).toEqual({
      mode: 6,
      direction: 2,
      offset: 4096,
      sizeBytes: 8192,
    });
    writeFileSync(`${CLASS}/sync_mode`, "1");
  });

  test("maps raw memory with each sync mode", () => {
    for (const syncMode of ["noncached", "write-combine", "dma-coherent"] as const) {
      using raw = Region.open(NAME, { raw: true, syncMode });
      raw.words(at(BYTES), 1)[0] = 5;
      expect(raw.words(at(BYTES), 1)[0]).toBe(5);
      raw.words(at(BYTES), 1)[0] = 0;
    }
    expect(openDescriptors()).toBe(descriptors);
  });

  test("and maps everything without cache has no region where that forbids atomics", () => {
    writeFileSync(`${CLASS}/sync_mode`, "5");
    if (COHERENT) Region.create(NAME, {}).close();
    else {
      expectCode("REGION_UNSUPPORTED", () => Region.create(NAME, {}));
      expect(() => Region.open(NAME)).toThrow("write 1 to sync_mode");
    }
    writeFileSync(`${CLASS}/sync_mode`, "1");
    Region.create(NAME, {}).close();
    afterRegions();
  });
});

describe("mode 4", () => {
  afterEach(afterRegions);
  afterEach(unload);

  test("is refused where only its first page can be touched", () => {
    load(4);
    descriptors = openDescriptors();
    if (HAS_CMA) {
      using region = Region.create(NAME, {});
      region.bytes[BYTES - 1] = 1;
      expect(typeof region.addresses(at(BYTES - 1)).pageTable).toBe("number");
      return;
    }
    for (const use of [
      () => Region.create(NAME, {}),
      () => Region.open(NAME),
      () => Region.open(NAME, { raw: true }),
      () => Region.open(NAME, { raw: true, readOnly: true }),
    ]) {
      expectCode("REGION_UNSUPPORTED", use);
      expect(use).toThrow("quirk_mmap_mode 4");
    }
    // What is left of an earlier load goes away all the same.
    writeFileSync(`/dev/shm/${SIDECAR}`, "");
    expect(Region.destroy(NAME)).toBe(true);
  });

  test("has a single page", () => {
    load(4, 4096);
    descriptors = openDescriptors();
    using raw = Region.open(NAME, { raw: true });
    raw.bytes[4095] = 3;
    expect(raw.bytes[4095]).toBe(3);
  });
});

if (!COHERENT)
  test("mode 1 where caches are not coherent has no region: u-dma-buf maps it without cache", () => {
    load(1);
    descriptors = openDescriptors();
    expectCode("REGION_UNSUPPORTED", () => Region.create(NAME, {}));
    Region.open(NAME, { raw: true }).close();
    afterRegions();
    unload();
  });

/** QEMU's edu device, when an IOMMU translates its addresses. */
function translatedDevice(): string | null {
  const root = "/sys/bus/pci/devices";
  for (const name of existsSync(root) ? readdirSync(root) : []) {
    const id = readFileSync(`${root}/${name}/device`, "utf8").trim();
    if (id === "0x11e8" && existsSync(`${root}/${name}/iommu_group`)) return name;
  }
  return null;
}

// No device address of this guest is one of its memory, so u-dma-buf maps the buffer's frames in each mode.
describe.skipIf(IS_STAND_IN || translatedDevice() === null)("a buffer of a device behind an IOMMU", () => {
  afterEach(afterRegions);
  afterEach(unload);

  for (const mode of [1, 2, 4])
    test(`is mapped as the driver has it, in mode ${mode}`, () => {
      load(mode, BYTES, `bind=pci/${translatedDevice()}`);
      descriptors = openDescriptors();
      using region = Region.create(NAME, {});
      expect(Number(region.deviceAddress(at(0)))).toBeGreaterThan(2 ** 31);
      region.bytes[BYTES - 1] = 7;
      const seen = readFileSync(NAME);
      expect([seen.length, seen[BYTES - 1]]).toEqual([BYTES, 7]);
    });
});

// The stand-in says that it is ours.
test.skipIf(IS_STAND_IN)("doctor and status know it for what it is", async () => {
  load(4);
  expect((await doctor()).get("buffer.udmabuf0.mode")!.status).toBe(HAS_CMA ? "note" : "warning");
  unload();
  load(2);
  const checks = await doctor();
  expect(checks.get("module.loaded")).toMatchObject({
    status: "note",
    text: expect.stringMatching(/^u-dma-buf [0-9.].*not physring's driver/),
  });
  expect(checks.get("buffer.udmabuf0.coherent")!.status).toBe(COHERENT ? "ok" : "note");
  const { module } = JSON.parse((await physring("kmod", "status", "--json")).stdout);
  expect(module.buffers).toMatchObject([
    {
      name: "udmabuf0",
      sizeBytes: BYTES,
      memory: null,
      mmapMode: 2,
      coherent: COHERENT,
      physicalAddress: null,
    },
  ]);
  unload();
});
