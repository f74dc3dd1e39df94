/**
 * The library on a driver with the interface of u-dma-buf and nothing of ours: no GET_BUFFER, no batch of ranges, no instance id
 * (test/vm/build.sh, build_upstream), in the mapping mode that u-dma-buf has on arm64: frames without pages.
 */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { regionOffset } from "../../../../src/memory/brands.ts";
import { Region } from "../../../../src/memory/region.ts";
import { SyncBatch } from "../../../../src/memory/sync-batch.ts";
import { expectCode } from "../../../support/errors.ts";
import { Peer } from "../../../support/peer.ts";

const at = regionOffset;
const NAME = "/dev/udmabuf0";
const BYTES = 2 ** 20;
const COHERENT = process.arch === "x64";

function command(...argv: readonly string[]): void {
  const result = Bun.spawnSync([...argv]);
  if (result.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${result.stderr.toString()}`);
}

function attribute(name: string): string {
  return readFileSync(`/sys/class/u-dma-buf/udmabuf0/${name}`, "utf8").trim();
}

// An emulated machine on a busy one.
setDefaultTimeout(60_000);

beforeAll(() =>
  command("/bin/insmod", "/modules/upstream/u-dma-buf.ko", `udmabuf0=${BYTES}`, "quirk_mmap_mode=2"),
);
afterEach(() => Region.destroy(NAME));
afterAll(() => command("/bin/rmmod", "u_dma_buf"));

test("the driver has none of our attributes", () => {
  expect(readdirSync("/sys/class/u-dma-buf/udmabuf0")).not.toContain("instance_id");
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
