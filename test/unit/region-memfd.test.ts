import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { closeFile, createMemfd, openFile, sealSize, setFileSize } from "../../src/ffi/files.ts";
import { Region } from "../../src/memory/region.ts";
import { expectCode } from "../support/errors.ts";
import { openDescriptors, Peer } from "../support/peer.ts";
import { uniqueName } from "../support/regions.ts";

describe("a memfd region", () => {
  test("is opened by path or descriptor; its size is sealed", () => {
    const before = openDescriptors();
    {
      using region = Region.create("memfd:frames", { size: 70_001 });
      expect(region.backend).toBe("memfd");
      using byPath = Region.open(`memfd:${region.path}`);
      using byNumber = Region.open(`memfd:${region.path.split("/").pop()}`);
      using reader = Region.open(`memfd:${region.path}`, { readOnly: true });
      region.bytes[70_000] = 9;
      for (const other of [byPath, byNumber, reader]) {
        expect(other.bytes[70_000]).toBe(9);
        expect(other.instanceId).toBe(region.instanceId);
      }
      const fd = openFile(region.path);
      expectCode("EPERM", () => setFileSize(fd, 4096));
      expectCode("EPERM", () => setFileSize(fd, 2 ** 20));
      closeFile(fd);
    }
    expect(openDescriptors()).toBe(before);
  });

  test("another process's region is opened through /proc, and outlives that process", async () => {
    await using peer = await Peer.start("memfd", "65536");
    const path = await peer.nextLine();
    using region = Region.open(`memfd:${path}`);
    await peer.kill();
    expect(region.bytes[65_535]).toBe(42);
    region.directory.create(1, "mine", 100, () => {});
    expectCode("REGION_NOT_FOUND", () => Region.open(`memfd:${path}`));
  });

  test("its doorbells go with its last user", () => {
    const region = Region.create("memfd:bells", { size: "64KiB" });
    const second = Region.open(`memfd:${region.path}`);
    const { doorbellDirectory } = region.control;
    expect(second.control.doorbellDirectory).toBe(doorbellDirectory);
    mkdirSync(doorbellDirectory, 0o700);
    region.close();
    expect(existsSync(doorbellDirectory)).toBe(true);
    second.close();
    expect(existsSync(doorbellDirectory)).toBe(false);
  });

  test("files whose size could change are refused", () => {
    const before = openDescriptors();
    const unsealed = createMemfd(uniqueName("unsealed"));
    setFileSize(unsealed, 65_536);
    expectCode("REGION_UNSUPPORTED", () => Region.open(`memfd:${unsealed}`));
    expectCode("REGION_UNSUPPORTED", () => Region.open(`memfd:${unsealed}`, { raw: true }));
    sealSize(unsealed);
    expectCode("REGION_NOT_A_REGION", () => Region.open(`memfd:${unsealed}`));
    using raw = Region.open(`memfd:${unsealed}`, { raw: true });
    expect(raw.bytes.length).toBe(65_536);
    raw.close();
    closeFile(unsealed);
    const path = `/dev/shm/${uniqueName("plain")}`;
    writeFileSync(path, "x".repeat(65_536));
    const plain = openFile(path);
    expectCode("REGION_UNSUPPORTED", () => Region.open(`memfd:${plain}`));
    closeFile(plain);
    Bun.file(path).delete();
    const device = openFile("/dev/null");
    expectCode("REGION_UNSUPPORTED", () => Region.open(`memfd:${device}`));
    closeFile(device);
    expect(openDescriptors()).toBe(before);
  });

  test("names that make no sense are told so", () => {
    expectCode("NAME_INVALID", () => Region.open("memfd:label"));
    expectCode("NAME_INVALID", () => Region.create("memfd:3", { size: 65_536 }));
    expectCode("REGION_NOT_FOUND", () => Region.open("memfd:999999"));
    expectCode("REGION_NOT_FOUND", () => Region.open("memfd:/proc/1/fd/999999"));
    expectCode("REGION_UNSUPPORTED", () => Region.destroy("memfd:label"));
  });
});
