/**
 * physring kmod and doctor on a real module, which they load and unload. The guest has the kernel's own insmod and rmmod
 * (busybox) and the module that was built by DKMS (x86-64) or by `physring kmod build` with a cross compiler (arm64).
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Region } from "../../../../src/index.ts";
import { doctor, physring } from "./command.ts";

// An emulated machine on a busy one.
setDefaultTimeout(120_000);

const MODULE = "/modules/tooling/u-dma-buf.ko";
const IS_ARM = process.arch === "arm64";

test("doctor before: no module, everything of Bun works, what the kernel has", async () => {
  const checks = await doctor("256MiB");
  const bun = [...checks.values()].filter(({ id }) => id.startsWith("bun."));
  expect(bun.filter(({ status }) => status !== "ok")).toEqual([]);
  expect(bun.length).toBeGreaterThan(8);
  expect(checks.get("module.loaded")).toMatchObject({ status: "warning" });
  expect(checks.get("kernel.config")).toMatchObject({
    status: "ok",
    text: expect.stringContaining("/boot/config-"),
  });
  expect(checks.get("kernel.option.CONTIG_ALLOC")).toMatchObject({ status: "ok" });
  expect(/\bCMA\b/.test(checks.get("kernel.options")!.text)).toBe(!IS_ARM);
  expect(checks.get("memory.buddy")).toMatchObject({ status: "ok" });
  expect(checks.get("iommu")).toMatchObject({ status: "ok" });
  // Debian's kernels have CMA on arm64 only, 64 MiB of it.
  expect(checks.get("memory.cma")!.status).toBe(IS_ARM ? "ok" : "note");
  expect(checks.get("wanted.memory")!.status).toBe("warning");
  const fix = checks.get("wanted.memory")!.fix.join("\n");
  expect(fix).toContain("cma=269M");
  if (IS_ARM) expect(fix).toContain('compatible = "shared-dma-pool"; reusable;');
  // More than there is.
  expect((await doctor("900MiB")).get("wanted.memory")).toMatchObject({ status: "failure" });
});

test("load, with sizes as people write them, shows the buffers", async () => {
  const loaded = await physring(
    "kmod",
    "load",
    "--module",
    MODULE,
    "udmabuf0=16MiB",
    "udmabuf1=64KiB",
    "--json",
  );
  expect(loaded.code, loaded.stderr).toBe(0);
  const status = JSON.parse(loaded.stdout);
  expect(status.module).toMatchObject({ version: expect.stringContaining("physring"), hasManager: true });
  expect(status.module.buffers).toMatchObject([
    {
      name: "udmabuf0",
      sizeBytes: 2 ** 24,
      memory: IS_ARM ? "cma" : "contig",
      coherent: !IS_ARM,
      mmapMode: 5,
      parent: "platform/u-dma-buf.0",
      node: { mode: 0o600, uid: 0 },
    },
    { name: "udmabuf1", sizeBytes: 65536 },
  ]);
  const [buffer] = status.module.buffers;
  expect(buffer.deviceAddress).toBe(buffer.physicalAddress);
  expect(buffer.deviceAddress).toBe(readFileSync("/sys/class/u-dma-buf/udmabuf0/dma_addr", "utf8").trim());
  expect(buffer.coherentBecause).toContain(
    IS_ARM ? "without a device-tree node" : "every device is coherent",
  );
  expect(await physring("kmod", "load", "--module", MODULE)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("loaded already"),
  });
});

test("status as text", async () => {
  const { code, stdout } = await physring("kmod", "status");
  expect(code).toBe(0);
  expect(stdout).toContain("udmabuf0  16 MiB  /dev/udmabuf0 mode 0600 of 0:0");
  expect(stdout).toContain(IS_ARM ? "coherent: no, because" : "coherent: yes, because");
});

test("doctor knows the buffers", async () => {
  const checks = await doctor();
  expect(checks.get("module.loaded")).toMatchObject({
    status: "ok",
    text: expect.stringContaining("2 buffers"),
  });
  expect(checks.get("buffer.udmabuf0")).toMatchObject({
    status: "ok",
    text: expect.stringContaining("16 MiB"),
  });
  expect(checks.get("buffer.udmabuf0.coherent")!.status).toBe(IS_ARM ? "note" : "ok");
  expect(checks.get("module.access")).toMatchObject({ status: "ok" });
});

test("unload names who has a buffer open, and works when nobody has", async () => {
  const region = Region.open("/dev/udmabuf0", { raw: true });
  const status = JSON.parse((await physring("kmod", "status", "--json")).stdout);
  expect(status.users).toMatchObject([{ pid: process.pid, paths: ["/dev/udmabuf0"] }]);
  const refused = await physring("kmod", "unload");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(`process ${process.pid} `);
  expect(refused.stderr).toContain("/dev/udmabuf0");
  region.close();
  // The mapping ends with the collector's pass over its views.
  Bun.gc(true);
  let unloaded = await physring("kmod", "unload");
  for (let i = 0; unloaded.code !== 0 && i < 20; i++) {
    Bun.gc(true);
    await Bun.sleep(100);
    unloaded = await physring("kmod", "unload");
  }
  expect(unloaded, unloaded.stderr).toMatchObject({ code: 0, stdout: "unloaded\n" });
  expect(existsSync("/dev/udmabuf0")).toBe(false);
  expect(await physring("kmod", "unload")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("not loaded"),
  });
  expect((await physring("kmod", "status")).code).toBe(1);
});

test("load says in the kernel's words why a buffer cannot be had", async () => {
  const { code, stderr } = await physring("kmod", "load", "--module", MODULE, "udmabuf0=8GiB");
  expect(code).toBe(1);
  expect(stderr).toContain("dma_mask_bit=64");
  expect(existsSync("/sys/module/u_dma_buf")).toBe(false);
});

test("install: modprobe finds the module with its parameters; uninstall takes everything back", async () => {
  const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  mkdirSync(`/lib/modules/${release}`, { recursive: true });
  mkdirSync("/etc", { recursive: true });
  writeFileSync("/etc/group", "root:x:0:\nphysring:x:900:\n");
  const installed = await physring("kmod", "install", "--module", MODULE, "udmabuf0=1MiB");
  expect(installed.code, installed.stderr).toBe(0);
  expect(readFileSync("/etc/udev/rules.d/60-u-dma-buf.rules", "utf8")).toContain('GROUP="physring"');
  expect(readFileSync("/etc/modules-load.d/u-dma-buf.conf", "utf8")).toMatch(/^u-dma-buf$/m);

  const loaded = await physring("kmod", "load", "udmabuf1=64KiB", "--json");
  expect(loaded.code, loaded.stderr).toBe(0);
  const status = JSON.parse(loaded.stdout);
  expect(status.installed).toBe(`/lib/modules/${release}/updates/u-dma-buf.ko`);
  expect(status.module.buffers).toMatchObject([
    { name: "udmabuf0", sizeBytes: 2 ** 20 },
    { name: "udmabuf1", sizeBytes: 65536 },
  ]);
  expect((await physring("kmod", "unload")).code).toBe(0);
  expect((await physring("kmod", "uninstall")).code).toBe(0);
  expect(existsSync(`/lib/modules/${release}/updates/u-dma-buf.ko`)).toBe(false);
  expect((await physring("kmod", "load")).stderr).toContain("physring kmod build");
});
