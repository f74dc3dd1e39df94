/**
 * `physring kmod` as a user runs it. Builds against headers that are installed here; without any, those tests are skipped
 * (apt-get install linux-headers-amd64). Nothing is loaded: guests do that (test/vm).
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import manifest from "../../package.json";
import { dkmsVersion } from "../../src/cli/kmod/dkms.ts";
import { moduleInfo, moduleRelease } from "../../src/cli/kmod/modinfo.ts";
import { findCommand, runCommand } from "../../src/cli/system/commands.ts";
import { PHYSRING, physring } from "./command.ts";

const work = mkdtempSync(`${tmpdir()}/physring-test-kmod-`);
afterAll(() => rmSync(work, { recursive: true }));

// A build takes 8 s of a free machine, and many times that of a busy one.
setDefaultTimeout(300_000);

const IS_ROOT = process.getuid?.() === 0;

/** A tree of this machine's architecture that modules can be built against, or null. */
function installedHeaders(): string | null {
  const name = existsSync("/usr/src")
    ? readdirSync("/usr/src").find(
        (entry) => existsSync(`/usr/src/${entry}/Module.symvers`) && existsSync(`/usr/src/${entry}/.config`),
      )
    : undefined;
  return name === undefined || findCommand("make") === null || findCommand("gcc") === null
    ? null
    : `/usr/src/${name}`;
}

const headers = installedHeaders();
const udevVersion =
  findCommand("udevadm") === null ? 0 : Number((await runCommand(["udevadm", "--version"])).output);
const kmod = (...args: string[]) => physring(["kmod", ...args]);

test("help of every command, and what is mistyped", async () => {
  const help = await kmod("--help");
  expect(help.code).toBe(0);
  for (const name of ["build", "install", "uninstall", "load", "unload", "status"]) {
    expect(help.stdout).toContain(`  ${name} `);
    const own = await kmod(name, "--help");
    expect([own.code, own.stderr]).toEqual([0, ""]);
    expect(own.stdout).toContain(`Usage: physring kmod ${name}`);
    expect(own.stdout).toContain("--json");
  }
  expect(await kmod("biuld")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("did you mean build?"),
  });
  expect(await kmod("load", "udmabuf0=1Gb")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("a size is needed"),
  });
  expect(await kmod("install", "--group", "a b")).toMatchObject({ code: 2 });
  expect((await kmod()).code).toBe(2);
});

test("status on a machine without the module", async () => {
  const { code, stdout } = await kmod("status", "--json");
  const status = JSON.parse(stdout);
  expect(status.release).toBe(readFileSync("/proc/sys/kernel/osrelease", "utf8").trim());
  expect(code).toBe(existsSync("/sys/class/u-dma-buf") ? 0 : 1);
});

test("a tree that misses everything is told all of it", async () => {
  const tree = `${work}/tree`;
  mkdirSync(`${tree}/scripts/mod`, { recursive: true });
  writeFileSync(`${tree}/Makefile`, "");
  writeFileSync(
    `${tree}/.config`,
    "# Linux/arm64 6.6.22 Kernel Configuration\nCONFIG_MODULES=y\nCONFIG_MMU=y\nCONFIG_HAS_DMA=y\n",
  );
  const args = ["--kernel-src", tree, "--arch", "arm64", "--cross-compile", "no-such-toolchain-"];
  const { code, stderr } = await kmod("build", ...args);
  expect(code).toBe(1);
  for (const words of [
    "no-such-toolchain-gcc is not installed",
    "modules_prepare",
    "no Module.symvers",
    "CONFIG_CONTIG_ALLOC",
  ])
    expect(stderr).toContain(words);
  const json = await kmod("build", "--json", ...args);
  expect([json.code, JSON.parse(json.stdout).problems.map(({ id }: { id: string }) => id)]).toEqual([
    1,
    ["no-compiler", "not-prepared", "no-module-symvers", "option-contig_alloc"],
  ]);
});

test("the DKMS package has the version of the project", () => {
  expect(dkmsVersion()).toBe(manifest.version);
});

describe.skipIf(headers === null)("with headers", () => {
  let module = "";

  beforeAll(async () => {
    const args = ["build", "--kernel-src", headers!, "--output", `${work}/out`, "--json"];
    const { code, output } = await runCommand([process.execPath, PHYSRING, "kmod", ...args]);
    expect(code, output).toBe(0);
    module = JSON.parse(output).module;
  });

  test("build makes a module for that kernel and leaves nothing in the source", async () => {
    const bytes = readFileSync(module);
    expect(moduleInfo(bytes, "vermagic")).toStartWith(moduleRelease(bytes)!);
    expect(`/usr/src/linux-headers-${moduleRelease(bytes)}`).toBe(headers!);
    expect(moduleInfo(bytes, "license")).toBe("Dual MIT/GPL");
    const source = readdirSync(`${import.meta.dir}/../../kmod`);
    expect(source.filter((name) => /\.(o|ko|mod)$|^\.u-dma/.test(name))).toEqual([]);
  });

  test("a compiler error is shown, not only that make failed", async () => {
    const tree = `${work}/broken`;
    mkdirSync(tree);
    for (const name of readdirSync(headers!))
      if (name !== "Makefile") symlinkSync(`${headers}/${name}`, `${tree}/${name}`);
    writeFileSync(
      `${tree}/Makefile`,
      "modules:\n\t@echo 'u-dma-buf.c:1:1: error: something is wrong'; exit 2\n",
    );
    const { code, stderr } = await kmod("build", "--kernel-src", tree, "--output", `${work}/never`);
    expect(code).toBe(1);
    expect(stderr).toContain("error: something is wrong");
    expect(existsSync(`${work}/never`)).toBe(false);
  });

  test("install below a root: the module where modprobe finds it, and the files of boot; uninstall takes all back", async () => {
    const root = `${work}/image`;
    const release = moduleRelease(readFileSync(module))!;
    mkdirSync(`${root}/lib/modules/${release}`, { recursive: true });
    const where = ["--root", root];
    const args = [...where, "--module", module, "--group", "fpga", "udmabuf0=64MiB", "dma_mask_bit=64"];

    const planned = await kmod("install", "--dry-run", ...args);
    expect(planned.code).toBe(0);
    expect(planned.stdout).toContain('SUBSYSTEM=="u-dma-buf", GROUP="fpga", MODE="0660"');
    expect(existsSync(`${root}/etc`)).toBe(false);

    const installed = await kmod("install", ...args);
    expect(installed.code, installed.stderr).toBe(0);
    expect(readFileSync(`${root}/etc/modprobe.d/u-dma-buf.conf`, "utf8")).toContain(
      "options u-dma-buf udmabuf0=67108864 dma_mask_bit=64",
    );
    expect(readFileSync(`${root}/etc/modules-load.d/u-dma-buf.conf`, "utf8")).toMatch(/^u-dma-buf$/m);
    const shown = await runCommand([
      "modprobe",
      "-d",
      root,
      "-S",
      release,
      "-C",
      `${root}/etc/modprobe.d`,
      "--show-depends",
      "u-dma-buf",
    ]);
    expect(shown.output.trim()).toBe(
      `insmod ${root}/lib/modules/${release}/updates/u-dma-buf.ko udmabuf0=67108864 dma_mask_bit=64`,
    );

    const again = await kmod("install", ...where, "--module", module, "--no-autoload");
    expect(again.code).toBe(0);
    expect(existsSync(`${root}/etc/modules-load.d/u-dma-buf.conf`)).toBe(false);
    expect(existsSync(`${root}/etc/modprobe.d/u-dma-buf.conf`)).toBe(false);

    expect((await kmod("uninstall", ...where, "--release", release)).code).toBe(0);
    const left = [...new Bun.Glob("**/u-dma-buf*").scanSync({ cwd: root, dot: true })];
    expect([...left, ...new Bun.Glob("**/*u-dma-buf.rules").scanSync({ cwd: root })]).toEqual([]);
  });

  // `udevadm verify` came with systemd 254.
  test.skipIf(udevVersion < 254)("the udev rule is one that udev accepts", async () => {
    const root = `${work}/rules`;
    mkdirSync(root);
    expect((await kmod("install", "--root", root, "--module", module, "--group", "root")).code).toBe(0);
    const rules = `${root}/etc/udev/rules.d/60-u-dma-buf.rules`;
    const { code, output } = await runCommand(["udevadm", "verify", rules]);
    expect(code, output).toBe(0);
  });

  test("load says that no module can be loaded here, or for which kernel it is", async () => {
    const running = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
    if (running === moduleRelease(readFileSync(module))) return;
    const { code, stderr } = await kmod("load", "--module", module, "udmabuf0=64KiB");
    expect(code).toBe(1);
    expect(stderr).toMatch(IS_ROOT ? /built without modules|for another kernel|locked down/ : /root's work/);
  });

  // In directories of its own: this machine's DKMS is not touched.
  test.skipIf(findCommand("dkms") === null || !IS_ROOT)("DKMS: add, build, install, remove", async () => {
    const release = moduleRelease(readFileSync(module))!;
    const name = `u-dma-buf/${dkmsVersion()}`;
    const trees = ["source", "dkms", "install"].map((tree) => `${work}/dkms-${tree}`);
    for (const tree of trees) mkdirSync(tree);
    const [source, dkmsTree, installTree] = trees as [string, string, string];
    const copied = `${source}/u-dma-buf-${dkmsVersion()}`;
    await runCommand(["cp", "-r", `${import.meta.dir}/../../kmod`, copied]);
    const dkms = async (command: string, ...args: string[]) => {
      const options = ["--sourcetree", source, "--dkmstree", dkmsTree, "--installtree", installTree];
      const result = await runCommand(["dkms", command, ...options, ...args]);
      expect(result.code, `dkms ${command}: ${result.output}`).toBe(0);
      return result.output;
    };
    const kernel = ["-k", release, "--kernelsourcedir", headers!];
    mkdirSync(`${installTree}/${release}`);
    await dkms("add", name);
    await dkms("build", name, ...kernel);
    expect(await dkms("status", name)).toContain("built");
    await dkms("install", name, "--no-depmod", "--force", ...kernel);
    const file = [...new Bun.Glob("**/u-dma-buf.ko*").scanSync({ cwd: installTree })];
    expect(file).toEqual([`${release}/updates/dkms/u-dma-buf.ko`]);
    expect(moduleRelease(readFileSync(`${installTree}/${file[0]}`))).toBe(release);
    expect(await dkms("status", name)).toContain("installed");
    await dkms("remove", name, "--all", "--no-depmod");
    expect([...new Bun.Glob("**/u-dma-buf.ko*").scanSync({ cwd: installTree })]).toEqual([]);
  });
});
