/**
 * The device backend on a real /dev/udmabufN; run inside a guest by test/vm/run.sh with udmabuf0 (16 MiB) and udmabuf1 (1 MiB).
 * Tests that need other module parameters load the module anew and put it back.
 */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { release } from "node:os";
import { runV2p } from "../../../src/cli/v2p.ts";
import { closeFile, ioctl, openFile } from "../../../src/ffi/files.ts";
import { FutexResult, futexWait } from "../../../src/ffi/futex.ts";
import { tryLockByte } from "../../../src/ffi/locks.ts";
import { regionOffset } from "../../../src/memory/brands.ts";
import { DeviceBuffer } from "../../../src/memory/device-buffer.ts";
import { HEADER_BYTES, LOCK_BASE_OFFSET, LockByte, Superblock } from "../../../src/memory/layout.ts";
import { Region } from "../../../src/memory/region.ts";
import { Ioctl, SyncCommand, SyncSetting } from "../../../src/memory/udmabuf-abi.ts";
import { expectCode } from "../../support/errors.ts";
import { mapsOf, openDescriptors, Peer } from "../../support/peer.ts";
import { syncEverywhere } from "./whole-sync.ts";

const at = regionOffset;
const BIG = "/dev/udmabuf0";
const BIG_BYTES = 16 * 2 ** 20;
const NAME = "/dev/udmabuf1";
const BYTES = 2 ** 20;
const SIDECAR = "/dev/shm/physring.udmabuf1.ctl";
/** Every device of an x86-64 machine; on arm64 none that insmod makes. */
const COHERENT = process.arch === "x64";
const PARAMETERS = [`udmabuf0=${BIG_BYTES}`, `udmabuf1=${BYTES}`];

function attribute(device: string, name: string): string {
  return readFileSync(`/sys/class/u-dma-buf/${device}/${name}`, "utf8").trim();
}

function command(...argv: readonly string[]): void {
  const result = Bun.spawnSync([...argv]);
  if (result.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${result.stderr.toString()}`);
}

function reload(...parameters: readonly string[]): void {
  command("/bin/rmmod", "u_dma_buf");
  // Of a parameter that is given twice the kernel takes the last.
  command("/bin/insmod", "/modules/u-dma-buf.ko", ...PARAMETERS, ...parameters);
}

function leftovers(): string[] {
  return readdirSync("/dev/shm");
}

// An emulated machine on a busy one.
setDefaultTimeout(60_000);

let descriptors = 0;
beforeAll(() => {
  reload();
  descriptors = openDescriptors();
});
afterEach(() => {
  for (const offset of [0, BYTES, 2 * BYTES]) Region.destroy(BIG, { offset });
  Region.destroy(NAME);
  expect(leftovers()).toEqual([]);
  expect(openDescriptors()).toBe(descriptors);
});
afterAll(() => reload());

describe("a region on a device", () => {
  test("is all of the buffer, with the addresses that the driver says and the page tables confirm", () => {
    using region = Region.create(NAME, {});
    expect(region).toMatchObject({ backend: "udmabuf", sizeBytes: BYTES, path: NAME, dmaCoherent: COHERENT });
    expect(region.bytes.length).toBe(BYTES);
    expect(region.view(at(0), 1).buffer).toBeInstanceOf(SharedArrayBuffer);
    const device = Number(attribute("udmabuf1", "phys_addr"));
    const physical = Number(attribute("udmabuf1", "cpu_phys_addr"));
    for (const offset of [0, 1, 4096, BYTES - 1]) {
      const addresses = region.addresses(at(offset));
      expect(Number(addresses.device)).toBe(device + offset);
      expect(Number(addresses.physical)).toBe(physical + offset);
      expect(Number(addresses.pageTable)).toBe(physical + offset);
      expect(Region.locate(addresses.virtual)).toEqual({ region, offset: at(offset) });
    }
    expectCode("OUT_OF_RANGE", () => region.deviceAddress(at(BYTES)));
    expect(statSync(SIDECAR).mode & 0o777).toBe(0o600);
    expect(region.control.doorbellDirectory).toBe(`${SIDECAR}.d`);
  });

  test("is opened by another process, which sees the same bytes and objects", async () => {
    using region = Region.create(NAME, { size: 100_001 });
    const entry = region.directory.create(1, "object", 8, () => {});
    region.bytes[100_000] = 41;
    await using peer = await Peer.start("echo", NAME);
    expect(await peer.nextLine()).toBe("8 1 41");
    expect(region.words(entry.offset, 2)[1]).toBe(42);
  });

  test("has futexes, across processes, in its sidecar", async () => {
    using region = Region.create(NAME, {});
    await using peer = await Peer.start("wake", NAME);
    let result: number = FutexResult.timedOut;
    for (let attempt = 0; attempt < 10_000 && result !== FutexResult.woken; attempt++) {
      region.control.words[64] = 1;
      result = futexWait(region.control.address + 256, 1, 5e9);
    }
    expect(result).toBe(FutexResult.woken);
    expect(await peer.nextLine()).toBe("woken");
  });

  test("keeps its first word when a Worker that mapped it is terminated", async () => {
    using region = Region.create(NAME, {});
    const worker = new Worker(new URL("../../unit/fixtures/mapping-worker.ts", import.meta.url).href);
    const closed = new Promise((resolve) => worker.addEventListener("close", resolve));
    const mapped = new Promise((resolve) => worker.addEventListener("message", resolve));
    worker.postMessage({ path: NAME, lengthBytes: BYTES, end: false });
    await mapped;
    expect(mapsOf(NAME).length).toBe(2);
    worker.terminate();
    await closed;
    for (let i = 0; i < 200 && mapsOf(NAME).length > 1; i++) {
      Bun.gc(true);
      await Bun.sleep(1);
    }
    expect(mapsOf(NAME).length).toBe(1);
    expect(region.words(at(0), 2)).toEqual(Int32Array.of(Superblock.magicLow, Superblock.magicHigh));
  });

  test("can be mapped raw and read-only, whole or in part", () => {
    using region = Region.create(NAME, {});
    region.bytes[BYTES - 1] = 7;
    using raw = Region.open(NAME, { raw: true, offset: BYTES - 4096, readOnly: true });
    expect([raw.sizeBytes, raw.bytes[4095]]).toEqual([4096, 7]);
    expect(raw.deviceAddress(at(4095))).toBe(region.deviceAddress(at(BYTES - 1)));
    using reader = Region.open(NAME, { readOnly: true });
    expect(reader.directory.list()).toEqual([]);
    expectCode("OUT_OF_RANGE", () => Region.open(NAME, { raw: true, offset: BYTES }));
  });
});

describe("create over something", () => {
  test("live: refused, with force the old users keep their sidecar", async () => {
    using region = Region.create(NAME, {});
    expectCode("REGION_LIVE", () => Region.create(NAME, {}));
    region.close();
    await using peer = await Peer.start("hold", NAME);
    expectCode("REGION_LIVE", () => Region.create(NAME, {}));
    const inode = statSync(SIDECAR).ino;
    using forced = Region.create(NAME, { force: true });
    expect(statSync(SIDECAR).ino).not.toBe(inode);
    using opened = Region.open(NAME);
    expect(opened.instanceId).toBe(forced.instanceId);
    await peer.kill();
  });

  test("dead, also by SIGKILL: replaced", async () => {
    Region.create(NAME, {}).close();
    const peer = await Peer.start("hold", NAME);
    await peer.kill();
    using region = Region.create(NAME, {});
    expect(region.directory.list()).toEqual([]);
  });

  test("foreign bytes: refused unless forced", () => {
    using raw = Region.open(NAME, { raw: true });
    raw.bytes.fill(0x5a);
    expectCode("REGION_FOREIGN", () => Region.create(NAME, {}));
    expect(raw.bytes[0]).toBe(0x5a);
    expect(existsSync(SIDECAR)).toBe(false);
    using region = Region.create(NAME, { force: true });
    expect(raw.bytes[HEADER_BYTES]).toBe(0x5a);
    expect(
      region.view(region.directory.create(1, "x", 100, () => {}).offset, 100).every((byte) => byte === 0),
    ).toBe(true);
    region.close();
    raw.bytes.fill(0);
  });

  test("a region without its sidecar may live in another container: refused unless forced", () => {
    Region.create(NAME, {}).close();
    rmSync(SIDECAR);
    expectCode("REGION_NOT_FOUND", () => Region.open(NAME));
    expectCode("REGION_LIVE", () => Region.create(NAME, {}));
    Region.create(NAME, { force: true }).close();
  });

  test("while another process creates: busy", () => {
    Region.create(NAME, {}).close();
    const fd = openFile(SIDECAR);
    expect(tryLockByte(fd, LOCK_BASE_OFFSET + LockByte.creation)).toBe(true);
    expectCode("REGION_BUSY", () => Region.create(NAME, {}));
    using raw = Region.open(NAME, { raw: true });
    raw.words(at(0), 8)[Superblock.stateWord] = 0;
    expectCode("REGION_BUSY", () => Region.open(NAME, { waitMs: 20 }));
    closeFile(fd);
    // Now its creator is dead.
    expectCode("REGION_HALF_MADE", () => Region.open(NAME, { waitMs: 20 }));
    using region = Region.create(NAME, {});
    expect(region.closed).toBe(false);
  });
});

describe("a sidecar", () => {
  test("of a buffer that was made anew is told, not used", () => {
    Region.create(NAME, {}).close();
    const old = Region.open(NAME, { raw: true });
    const superblock = old.view(at(0), Superblock.sizeBytes).slice();
    old.close();
    reload();
    // The new buffer is empty.
    expectCode("REGION_NOT_A_REGION", () => Region.open(NAME));
    // Somebody restores its content: only the driver's instance id tells that it is another buffer.
    const raw = Region.open(NAME, { raw: true });
    raw.bytes.set(superblock);
    raw.close();
    expectCode("REGION_STALE_SIDECAR", () => Region.open(NAME));
    Region.create(NAME, {}).close();
    Region.open(NAME).close();
  });

  test("of another region on the same buffer is told, not used", () => {
    Region.create(NAME, {}).close();
    using raw = Region.open(NAME, { raw: true });
    const words = raw.words(at(0), 16);
    words[Superblock.instanceIdWord] = ~words[Superblock.instanceIdWord]!;
    expectCode("REGION_STALE_SIDECAR", () => Region.open(NAME));
    expectCode("REGION_LIVE", () => Region.create(NAME, {}));
    words[Superblock.instanceIdWord] = ~words[Superblock.instanceIdWord]!;
    Region.open(NAME).close();
    Region.create(NAME, {}).close();
  });
});

describe("parts of a buffer", () => {
  test("hold regions of their own, beside bytes that belong to others", () => {
    using bitstream = Region.open(BIG, { raw: true, sizeBytes: BYTES });
    bitstream.bytes.fill(0xbb);
    using first = Region.create(BIG, { offset: BYTES, size: BYTES });
    using second = Region.create(BIG, { offset: 2 * BYTES });
    expect(existsSync("/dev/shm/physring.udmabuf0@100000.ctl")).toBe(true);
    expect(second.sizeBytes).toBe(BIG_BYTES - 2 * BYTES);
    first.view(at(HEADER_BYTES), BYTES - HEADER_BYTES).fill(1);
    using opened = Region.open(BIG, { offset: BYTES });
    expect(opened.instanceId).toBe(first.instanceId);
    expect(opened.bytes[BYTES - 1]).toBe(1);
    expect(opened.deviceAddress(at(5))! as number).toBe(
      Number(attribute("udmabuf0", "phys_addr")) + BYTES + 5,
    );
    expect(opened.addresses(at(5)).pageTable).toBe(opened.physicalAddress(at(5))!);
    expect(second.words(at(0), 1)[0]).toBe(Superblock.magicLow);
    expect(bitstream.bytes.every((byte) => byte === 0xbb)).toBe(true);
    // The whole buffer is theirs now.
    expectCode("REGION_FOREIGN", () => Region.create(BIG, {}));
    bitstream.bytes.fill(0);
    expectCode("REGION_LIVE", () => Region.create(BIG, {}));
    expectCode("REGION_LIVE", () => Region.create(BIG, { size: BYTES + 1 }));
    using before = Region.create(BIG, { size: BYTES });
    expect(before.sizeBytes).toBe(BYTES);
    expectCode("REGION_TOO_SMALL", () => Region.create(BIG, { offset: BIG_BYTES, size: BYTES }));
    expectCode("REGION_TOO_SMALL", () => Region.create(BIG, { offset: BYTES, size: BIG_BYTES, force: true }));
  });
});

test("pinning for long is refused in CMA, and by kernels that cannot", () => {
  using region = Region.create(NAME, {});
  const cma = attribute("udmabuf1", "memory") === "cma";
  if (cma || release().startsWith("6.1.")) expectCode("REGION_UNSUPPORTED", () => region.assertPinnable());
  else region.assertPinnable();
  if (cma) expect(() => region.assertPinnable()).toThrow("CMA");
});

describe("cache maintenance", () => {
  test("is a system call only where caches are not coherent", () => {
    using region = Region.create(NAME, {});
    expect(region.dmaCoherent).toBe(COHERENT);
    region.syncForDevice(at(0), BYTES);
    expect(attribute("udmabuf1", "sync_owner")).toBe(COHERENT ? "0" : "1");
    region.syncForCpu(at(0), BYTES);
    expect(attribute("udmabuf1", "sync_owner")).toBe("0");
    expectCode("OUT_OF_RANGE", () => region.syncForCpu(at(BYTES - 1), 2));
  });

  // Where the device is coherent the driver is asked all the same, in each of the three ways.
  for (const driver of ["physring", "u-dma-buf"] as const) {
    test(`reaches the driver for every byte, by the interface of ${driver}`, () => {
      const size = 1_000_001;
      reload(`udmabuf1=${size}`);
      const real = DeviceBuffer.open(NAME, "udmabuf1", { readOnly: false, syncMode: "cached" });
      expect(real.facts).toMatchObject({ sizeBytes: size, coherent: COHERENT, driver: "physring" });
      const device = new DeviceBuffer(NAME, real.fd, { ...real.facts, coherent: false, driver });
      const owner = (): string => attribute("udmabuf1", "sync_owner");
      syncEverywhere(device, size, owner);
      device.sync(SyncCommand.forDevice, 0, 0, "both");
      expect(owner()).toBe("0");
      // The driver checks for itself: one byte too far in each of the ways.
      expectCode("EINVAL", () => device.sync(SyncCommand.forDevice, size, 1, "both"));
      expectCode("EINVAL", () => device.sync(SyncCommand.forDevice, 0, size + 1, "both"));
      closeFile(real.fd);
      reload();
    });
  }

  test("sync modes are set, for raw mappings", () => {
    for (const [syncMode, mode] of [
      ["noncached", 1],
      ["write-combine", 2],
      ["dma-coherent", 3],
    ] as const) {
      const device = DeviceBuffer.open(NAME, "udmabuf1", { readOnly: false, syncMode });
      const setting = new Uint32Array(new ArrayBuffer(SyncSetting.sizeBytes));
      ioctl(device.fd, Ioctl.getSync, setting, "GET_SYNC");
      expect((setting[0]! >>> SyncSetting.modeShift) & SyncSetting.modeMask).toBe(mode);
      closeFile(device.fd);
      using raw = Region.open(NAME, { raw: true, syncMode });
      raw.bytes[0] = 5;
      expect(raw.bytes[0]).toBe(5);
      raw.bytes[0] = 0;
    }
  });
});

describe("raw page frames (mmap mode 1)", () => {
  test("have no pagemap: the driver tells the physical address, v2p tells why", () => {
    reload("quirk_mmap_mode=1");
    {
      using region = Region.create(NAME, {});
      const addresses = region.addresses(at(4097));
      expect(Number(addresses.physical)).toBe(Number(attribute("udmabuf1", "cpu_phys_addr")) + 4097);
      expect(addresses.pageTable).toMatchObject({ code: "pages-not-walked" });
      const out = spyOn(console, "log").mockImplementation(() => {});
      expect(runV2p(["--region", NAME, "4097"])).toBe(0);
      const text = out.mock.calls[0]![0] as string;
      out.mockRestore();
      expect(text).toContain("VM_PFNMAP");
      expect(text).toContain(`physical  0x${addresses.physical.toString(16)}`);
    }
    reload();
  });
});

test("v2p of a device: driver and page tables agree, for another process too", async () => {
  using region = Region.create(NAME, {});
  await using peer = await Peer.start("map", NAME);
  await peer.nextLine();
  const out = spyOn(console, "log").mockImplementation(() => {});
  const codes = [
    runV2p(["--region", NAME, "0", "--json"]),
    runV2p(["--pid", String(peer.pid), "--region", NAME, "0", "--json"]),
  ];
  const answers = out.mock.calls.map((call) => JSON.parse(call[0] as string) as Record<string, unknown>);
  out.mockRestore();
  expect(codes).toEqual([0, 0]);
  for (const answer of answers) {
    expect(answer).toMatchObject({
      device: `0x${region.deviceAddress(at(0))!.toString(16)}`,
      physical: `0x${region.physicalAddress(at(0))!.toString(16)}`,
      pagemap: `0x${region.physicalAddress(at(0))!.toString(16)}`,
      check: "agrees",
    });
  }
  expect(answers[1]!["pid"]).toBe(peer.pid);
});
