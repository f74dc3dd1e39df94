import { describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { regionOffset } from "../../src/memory/brands.ts";
import { HEADER_BYTES } from "../../src/memory/layout.ts";
import { Region } from "../../src/memory/region.ts";
import { expectCode } from "../support/errors.ts";
import { openDescriptors, Peer } from "../support/peer.ts";
import { ScratchName } from "../support/scratch.ts";

describe("create over something", () => {
  test("a region that this or another process has open is refused; force takes the name and leaves them theirs", async () => {
    using scratch = new ScratchName("live");
    const { name } = scratch;
    const before = openDescriptors();
    {
      using mine = Region.create(name, { size: "64KiB" });
      expectCode("REGION_LIVE", () => Region.create(name, { size: "64KiB" }));
      await using peer = await Peer.start("hold", name);
      mine.close();
      const error = expectCode("REGION_LIVE", () => Region.create(name, { size: "64KiB" }));
      expect(error.message).toContain("force");
      using forced = Region.create(name, { size: "128KiB", force: true });
      using reader = Region.open(name);
      expect(reader.instanceId).toBe(forced.instanceId);
      expect(reader.instanceId).not.toBe(mine.instanceId);
      await peer.kill();
    }
    expect(openDescriptors()).toBe(before);
  });

  test("a region whose users all died, by SIGKILL too, is replaced", async () => {
    using scratch = new ScratchName("dead");
    const { name } = scratch;
    const first = Region.create(name, { size: "64KiB" });
    first.close();
    const peer = await Peer.start("hold", name);
    expectCode("REGION_LIVE", () => Region.create(name, { size: "64KiB" }));
    await peer.kill();
    using second = Region.create(name, { size: "96KiB" });
    expect(second.instanceId).not.toBe(first.instanceId);
    expect(statSync(second.path).size).toBe(96 * 1024);
  });

  test("a live participant alone, without the users' lock (as a C peer may be), keeps it", () => {
    using scratch = new ScratchName("participant");
    const first = Region.create(scratch.name, { size: "64KiB" });
    first.close();
    const lockByte = 2 ** 40 + 30;
    const script = `
      const { openFile } = await import(${JSON.stringify(new URL("../../src/ffi/files.ts", import.meta.url).pathname)});
      const { tryLockByte } = await import(${JSON.stringify(new URL("../../src/ffi/locks.ts", import.meta.url).pathname)});
      const { Region } = await import(${JSON.stringify(new URL("../../src/memory/region.ts", import.meta.url).pathname)});
      if (!tryLockByte(openFile(${JSON.stringify(scratch.path)}), ${lockByte})) throw new Error("locked");
      try { Region.create(${JSON.stringify(scratch.name)}, { size: 65536 }); } catch (error) { console.log(error.code); }`;
    expect(Bun.spawnSync([process.execPath, "-e", script]).stdout.toString()).toBe("REGION_LIVE\n");
  });

  test("foreign bytes stay unless forced", () => {
    using scratch = new ScratchName("foreign");
    for (const content of ["", "precious", "x".repeat(100_000)]) {
      writeFileSync(scratch.path, content);
      expectCode("REGION_FOREIGN", () => Region.create(scratch.name, { size: "64KiB" }));
      expect(readFileSync(scratch.path, "utf8")).toBe(content);
    }
    using region = Region.create(scratch.name, { size: "64KiB", force: true });
    expect(region.bytes.length).toBe(65_536);
  });

  test("a symbolic link is neither followed nor taken for a region", () => {
    using scratch = new ScratchName("link");
    using other = new ScratchName("link-target");
    using target = Region.create(other.name, { size: "64KiB" });
    symlinkSync(target.path, scratch.path);
    expectCode("REGION_UNSUPPORTED", () => Region.open(scratch.name));
    expectCode("REGION_FOREIGN", () => Region.create(scratch.name, { size: "64KiB" }));
    using forced = Region.create(scratch.name, { size: "64KiB", force: true });
    expect(forced.instanceId).not.toBe(target.instanceId);
    expect(statSync(other.path).nlink).toBe(1);
  });

  test("a directory of that name is an error, with force too", () => {
    using scratch = new ScratchName("directory");
    mkdirSync(scratch.path);
    expectCode("REGION_FOREIGN", () => Region.create(scratch.name, { size: "64KiB" }));
    expect(() => Region.create(scratch.name, { size: "64KiB", force: true })).toThrow(/EISDIR|EPERM/);
    expectCode("REGION_UNSUPPORTED", () => Region.open(scratch.name));
    expectCode("REGION_UNSUPPORTED", () => Region.open(scratch.name, { readOnly: true }));
    rmdirSync(scratch.path);
  });

  test("a FIFO of that name is an error, not a hang", () => {
    using scratch = new ScratchName("fifo");
    expect(Bun.spawnSync(["mkfifo", scratch.path]).exitCode).toBe(0);
    expectCode("REGION_UNSUPPORTED", () => Region.open(scratch.name));
    expectCode("REGION_UNSUPPORTED", () => Region.open(scratch.name, { readOnly: true }));
    expectCode("REGION_FOREIGN", () => Region.create(scratch.name, { size: "64KiB" }));
  });

  test("wrong options destroy nothing", () => {
    using scratch = new ScratchName("options");
    Region.create(scratch.name, { size: "64KiB" }).close();
    expectCode("SIZE_INVALID", () =>
      Region.create(scratch.name, { size: "64KiB", windowBytes: 5, force: true }),
    );
    expectCode("SIZE_INVALID", () => Region.create(scratch.name, { size: 5, force: true }));
    expectCode("OUT_OF_RANGE", () => Region.create(scratch.name, { size: "64KiB", offset: 5, force: true }));
    Region.open(scratch.name).close();
  });

  test("of several creators at once, one has it at any time", async () => {
    using scratch = new ScratchName("race");
    const peers = await Promise.all(Array.from({ length: 3 }, () => Peer.start("race", scratch.name, "150")));
    const counts = await Promise.all(peers.map(async (peer) => Number(await peer.nextLine())));
    for (const peer of peers) await peer[Symbol.asyncDispose]();
    // Each peer throws when a region that it has open loses its name to another.
    expect(counts.every((count) => count >= 0 && count <= 150)).toBe(true);
    expect(Math.max(...counts)).toBeGreaterThan(0);
  });
});

describe("the file of a region", () => {
  test("has mode 0600, or the one asked for whatever the umask", () => {
    using a = new ScratchName("mode");
    using b = new ScratchName("mode");
    const umask = process.umask(0o077);
    using first = Region.create(a.name, { size: "64KiB" });
    using second = Region.create(b.name, { size: "64KiB", mode: 0o664 });
    process.umask(umask);
    expect(statSync(first.path).mode & 0o777).toBe(0o600);
    expect(statSync(second.path).mode & 0o777).toBe(0o664);
    expectCode("REGION_UNSUPPORTED", () => Region.create(a.name, { size: "64KiB", mode: 0o1777 }));
  });

  test("has all its memory, unless it is sparse", () => {
    using a = new ScratchName("reserved");
    using b = new ScratchName("sparse");
    using reserved = Region.create(a.name, { size: "8MiB" });
    using sparse = Region.create(b.name, { size: "8MiB", sparse: true });
    expect(statSync(reserved.path).blocks * 512).toBe(8 * 2 ** 20);
    expect(statSync(sparse.path).blocks * 512).toBeLessThan(2 ** 20);
    // A new object in a sparse region gets no memory either, and reads as zero.
    sparse.view(regionOffset(2 ** 20), 2 ** 20).fill(1);
    const entry = sparse.directory.create(2, "pool", 4 * 2 ** 20, () => {});
    expect(statSync(sparse.path).blocks * 512).toBeLessThan(2 ** 20);
    expect(sparse.view(entry.offset, entry.sizeBytes).every((byte) => byte === 0)).toBe(true);
  });

  test("is waited for", async () => {
    using scratch = new ScratchName("wait");
    expectCode("REGION_NOT_FOUND", () => Region.open(scratch.name));
    const started = performance.now();
    expectCode("REGION_NOT_FOUND", () => Region.open(scratch.name, { waitMs: 30 }));
    expect(performance.now() - started).toBeGreaterThanOrEqual(30);
    const module = JSON.stringify(new URL("../../src/memory/region.ts", import.meta.url).pathname);
    const script = `
      const { Region } = await import(${module});
      using region = Region.open(${JSON.stringify(scratch.name)}, { waitMs: 30000 });
      console.log(region.instanceId);`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    await Bun.sleep(50);
    using region = Region.create(scratch.name, { size: "64KiB" });
    expect(await new Response(child.stdout).text()).toBe(`${region.instanceId}\n`);
    expectCode("REGION_UNSUPPORTED", () => Region.open(scratch.name, { waitMs: -1 }));
    expectCode("REGION_UNSUPPORTED", () => Region.open(scratch.name, { waitMs: Number.NaN }));
  });
});

describe("PHYSRING_SHM_DIR", () => {
  function inDirectory(directory: string, body: () => void): void {
    const before = process.env["PHYSRING_SHM_DIR"];
    process.env["PHYSRING_SHM_DIR"] = directory;
    try {
      body();
    } finally {
      if (before === undefined) delete process.env["PHYSRING_SHM_DIR"];
      else process.env["PHYSRING_SHM_DIR"] = before;
    }
  }

  test("puts everything elsewhere", () => {
    const directory = mkdtempSync("/dev/shm/test-shm-dir-");
    inDirectory(directory, () => {
      using region = Region.create("elsewhere", { size: "64KiB" });
      expect(region.path).toBe(`${directory}/physring.elsewhere`);
      expect(region.control.doorbellDirectory).toBe(`${directory}/physring.elsewhere.d`);
      mkdirSync(region.control.doorbellDirectory);
      writeFileSync(`${region.control.doorbellDirectory}/0.1`, "");
      expect(Region.destroy("elsewhere")).toBe(true);
      expect(readdirSync(directory)).toEqual([]);
    });
    inDirectory("/nonexistent", () => {
      expectCode("REGION_NOT_FOUND", () => Region.create("x", { size: "64KiB" }));
      expectCode("REGION_NOT_FOUND", () => Region.open("x"));
    });
    rmSync(directory, { recursive: true });
  });

  test.skipIf(process.getuid!() !== 0)(
    "a full file system is an error that names the fix, and leaves nothing (needs root)",
    () => {
      const directory = mkdtempSync("/tmp/test-small-shm-");
      const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory]);
      expect(mounted.exitCode).toBe(0);
      try {
        inDirectory(directory, () => {
          const before = openDescriptors();
          const error = expectCode("REGION_NO_SPACE", () => Region.create("big", { size: "2MiB" }));
          expect(error.message).toContain("--shm-size");
          expect(error.message).toContain("sparse: true");
          expect(readdirSync(directory)).toEqual([]);
          expect(openDescriptors()).toBe(before);
          using small = Region.create("small", { size: "768KiB" });
          small.bytes.fill(1, HEADER_BYTES);
          expectCode("REGION_NO_SPACE", () => Region.create("second", { size: "512KiB" }));
          // Force that fails leaves the name to those who have it.
          expectCode("REGION_NO_SPACE", () => Region.create("small", { size: "512KiB", force: true }));
          using again = Region.open("small");
          expect(again.instanceId).toBe(small.instanceId);
          using sparse = Region.create("sparse", { size: "2GiB", sparse: true });
          expect(sparse.sizeBytes).toBe(2 ** 31);
          sparse.close();
          Region.destroy("sparse");
          Region.destroy("small");
          expect(readdirSync(directory)).toEqual([]);
        });
      } finally {
        Bun.spawnSync(["umount", directory]);
        rmdirSync(directory);
      }
    },
  );
});
