/** `physring kmod build`: what it says of kernel trees, fed with facts; and the parameters and files of load and install. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { bootFiles } from "../../src/cli/kmod/boot-files.ts";
import {
  elfMachine,
  type KernelTree,
  makeArguments,
  parseCompilerVersion,
  treeProblems,
} from "../../src/cli/kmod/kernel-tree.ts";
import { moduleInfo, moduleRelease } from "../../src/cli/kmod/modinfo.ts";
import { parseParameters } from "../../src/cli/kmod/parameters.ts";
import { binaryBytes, statusText } from "../../src/cli/kmod/status.ts";
import { UsageError } from "../../src/cli/options.ts";
import { SystemFiles } from "../../src/cli/system/files.ts";
import { parseKernelConfig } from "../../src/cli/system/kernel-config.ts";
import { coherenceReason } from "../../src/cli/system/udmabuf.ts";
import { deviceUsers } from "../../src/cli/system/users.ts";

const CONFIG = `#
# Automatically generated file; DO NOT EDIT.
# Linux/arm64 6.6.22 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0"
CONFIG_CC_IS_GCC=y
CONFIG_MODULES=y
CONFIG_MMU=y
CONFIG_HAS_DMA=y
CONFIG_CONTIG_ALLOC=y
CONFIG_CMA_SIZE_MBYTES=64
# CONFIG_TRIM_UNUSED_KSYMS is not set
`;

const config = (text: string) => parseKernelConfig("/linux/.config", text);

const GOOD: KernelTree = {
  request: {
    kernelSource: "/linux",
    architecture: "arm64",
    crossCompile: "aarch64-linux-gnu-",
    compiler: null,
    anyCompiler: false,
  },
  directory: "/linux",
  runningRelease: "6.1.0-56-amd64",
  hostArchitecture: "x86",
  distribution: { family: "debian", name: "Debian GNU/Linux 12 (bookworm)" },
  exists: true,
  hasMakefile: true,
  config: config(CONFIG),
  release: "6.6.22",
  hasSymvers: true,
  modpostMachine: "x86",
  danglingScripts: null,
  hasMake: true,
  compiler: { command: "aarch64-linux-gnu-gcc", version: "aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0" },
};

const problems = (change: Partial<KernelTree>) => treeProblems({ ...GOOD, ...change });
const request = (change: Partial<KernelTree["request"]>) => ({ request: { ...GOOD.request, ...change } });

describe("what is wrong with a kernel tree", () => {
  test("nothing", () => {
    expect(treeProblems(GOOD)).toEqual([]);
    expect(makeArguments(GOOD)).toEqual(["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"]);
  });

  const cases: [string, Partial<KernelTree>, id: string, fix: string][] = [
    [
      "no headers of the running kernel",
      { ...request({ kernelSource: null }), exists: false, directory: "/lib/modules/6.1.0-56-amd64/build" },
      "no-kernel-source",
      "sudo apt-get install linux-headers-6.1.0-56-amd64",
    ],
    [
      "a directory that is not there",
      { exists: false },
      "no-kernel-source",
      "name the directory of the kernel's headers",
    ],
    ["no tree at all", { hasMakefile: false }, "no-makefile", "top Makefile"],
    [
      "not configured",
      { config: null },
      "no-config",
      "make -C /linux ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- olddefconfig",
    ],
    [
      "not prepared",
      { release: null },
      "not-prepared",
      "make -C /linux ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules_prepare",
    ],
    ["no modpost", { modpostMachine: null }, "not-prepared", "modules_prepare"],
    ["headers made for the target", { modpostMachine: "arm64" }, "foreign-tools", "modules_prepare"],
    [
      "headers without kbuild",
      { danglingScripts: "../../lib/linux-kbuild-6.1/scripts", modpostMachine: null },
      "no-scripts",
      "sudo apt-get install linux-kbuild-6.1",
    ],
    [
      "no Module.symvers",
      { hasSymvers: false },
      "no-module-symvers",
      "make -C /linux ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- -j$(nproc) vmlinux modules",
    ],
    ["no make", { hasMake: false }, "no-make", "sudo apt-get install make"],
    [
      "no cross compiler",
      { compiler: { command: "aarch64-linux-gnu-gcc", version: null } },
      "no-compiler",
      "sudo apt-get install gcc-aarch64-linux-gnu",
    ],
    [
      "a toolchain that is not in PATH",
      {
        ...request({ crossCompile: "aarch64-none-linux-gnu-" }),
        compiler: { command: "aarch64-none-linux-gnu-gcc", version: null },
      },
      "no-compiler",
      "export PATH=/path/to/toolchain/bin:$PATH",
    ],
    ["no prefix", request({ crossCompile: "" }), "no-cross-compile", "--cross-compile aarch64-linux-gnu-"],
    [
      "a tree for another architecture",
      { ...request({ architecture: "x86", crossCompile: "" }) },
      "other-architecture",
      "physring kmod build --kernel-src /linux --arch arm64 --cross-compile aarch64-linux-gnu-",
    ],
    [
      "an older compiler",
      { compiler: { command: "aarch64-linux-gnu-gcc", version: "aarch64-linux-gnu-gcc (GCC) 11.2.0" } },
      "other-compiler",
      "physring kmod build --cc aarch64-linux-gnu-gcc-12",
    ],
    [
      "gcc for a kernel of clang",
      {
        config: config(
          CONFIG.replace(/CONFIG_CC_VERSION_TEXT=.*/, 'CONFIG_CC_VERSION_TEXT="Debian clang version 14.0.6"'),
        ),
      },
      "other-compiler",
      "--cc clang-14",
    ],
    [
      "no contiguous allocation",
      { config: config(CONFIG.replace("CONFIG_CONTIG_ALLOC=y\n", "")) },
      "option-contig_alloc",
      "/linux/scripts/config --file /linux/.config -e COMPACTION -e MIGRATION -e CMA -e DMA_CMA",
    ],
    [
      "no modules",
      { config: config(CONFIG.replace("CONFIG_MODULES=y\n", "")) },
      "option-modules",
      "-e MODULES",
    ],
  ];
  for (const [name, change, id, fix] of cases) {
    test(name, () => {
      const found = problems(change);
      expect(found.map((problem) => problem.id)).toEqual([id]);
      expect(found[0]!.severity).toBe("error");
      expect(found[0]!.fix.join("\n")).toContain(fix);
    });
  }

  test("everything is told at once", () => {
    const found = problems({ hasSymvers: false, hasMake: false, compiler: { command: "x", version: null } });
    expect(found.map(({ id }) => id)).toEqual(["no-make", "no-compiler", "no-module-symvers"]);
  });

  test("a newer compiler is a warning, and so is any with --any-compiler", () => {
    const newer = { command: "gcc", version: "aarch64-linux-gnu-gcc (GCC) 13.1.0" };
    expect(problems({ compiler: newer })).toMatchObject([{ id: "other-compiler", severity: "warning" }]);
    const older = { command: "gcc", version: "aarch64-linux-gnu-gcc (GCC) 11.2.0" };
    expect(problems({ compiler: older, ...request({ anyCompiler: true }) })).toMatchObject([
      { severity: "warning" },
    ]);
  });

  test("options that make loading fail later are warned of", () => {
    const strict = config(`${CONFIG}CONFIG_TRIM_UNUSED_KSYMS=y\nCONFIG_MODULE_SIG_FORCE=y\n`);
    expect(problems({ config: strict }).map(({ id, severity }) => [id, severity])).toEqual([
      ["option-trim_unused_ksyms", "warning"],
      ["option-module_sig_force", "warning"],
    ]);
  });

  test("a kernel of clang is built with LLVM=1", () => {
    const clang = config(`${CONFIG}CONFIG_CC_IS_CLANG=y\n`);
    expect(makeArguments({ ...GOOD, config: clang })).toContain("LLVM=1");
  });
});

test("compiler versions", () => {
  const cases: [string, string, number, number][] = [
    ["gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", "gcc", 12, 2],
    ["gcc (GCC) 7.3.1 20180712 (Red Hat 7.3.1-6)", "gcc", 7, 3],
    ["aarch64-none-linux-gnu-gcc (Arm GNU Toolchain 11.2-2022.02 (arm-11.14)) 11.2.1 20220111", "gcc", 11, 2],
    ["aarch64-linux-gnu-gcc (Linaro GCC 7.5-2019.12) 7.5.0", "gcc", 7, 5],
    ["Debian clang version 14.0.6", "clang", 14, 0],
    ["Ubuntu clang version 15.0.7 (++20230131)", "clang", 15, 0],
    ["tcc version 0.9.27", "other", 0, 0],
  ];
  for (const [text, kind, major, minor] of cases)
    expect(parseCompilerVersion(text)).toEqual({ kind, major, minor } as ReturnType<
      typeof parseCompilerVersion
    >);
});

test("kernel configurations", () => {
  const { options, architecture } = config(CONFIG);
  expect(architecture).toBe("arm64");
  expect(options).toMatchObject({ CMA_SIZE_MBYTES: "64", MODULES: "y", CC_IS_GCC: "y" });
  expect(options["TRIM_UNUSED_KSYMS"]).toBeUndefined();
  expect(config("no config at all").architecture).toBeNull();
});

test("what an ELF file runs on", () => {
  const header = new Uint8Array(64);
  header.set([0x7f, 0x45, 0x4c, 0x46]);
  header[18] = 183;
  expect(elfMachine(header)).toBe("arm64");
  header[18] = 62;
  expect(elfMachine(header)).toBe("x86");
  expect(elfMachine(new Uint8Array(4))).toBeNull();
  expect(elfMachine(Buffer.from("#!/bin/sh and some more text"))).toBeNull();
});

test("what a module says of itself", () => {
  const bytes = Buffer.from("ELF\0vermagic=6.1.0-56-amd64 SMP preempt mod_unload \0name=u_dma_buf\0");
  expect(moduleInfo(bytes, "vermagic")).toBe("6.1.0-56-amd64 SMP preempt mod_unload ");
  expect(moduleRelease(bytes)).toBe("6.1.0-56-amd64");
  expect(moduleInfo(bytes, "magic")).toBeNull();
  expect(moduleRelease(Buffer.from("text"))).toBeNull();
});

describe("module parameters", () => {
  test("sizes become bytes, the rest stays", () => {
    const { words, bufferBytes, dmaMaskBits } = parseParameters("load", [
      "udmabuf0=64MiB",
      "udmabuf1=4GiB",
      "udmabuf2=0x10000",
      "dma_mask_bit=64",
      "udmabuf1_bind=pci/0000:01:00.0",
      "udmabuf0_coherent=1",
    ]);
    expect(words).toEqual([
      "udmabuf0=67108864",
      "udmabuf1=4294967296",
      "udmabuf2=65536",
      "dma_mask_bit=64",
      "udmabuf1_bind=pci/0000:01:00.0",
      "udmabuf0_coherent=1",
    ]);
    expect(bufferBytes.get("udmabuf1")).toBe(2 ** 32);
    expect(dmaMaskBits).toBe(64);
    const quotas = ["anonymous_total=256MiB", "anonymous_per_user=0"];
    expect(parseParameters("load", quotas).words).toEqual([
      "anonymous_total=268435456",
      "anonymous_per_user=0",
    ]);
    expect(parseParameters("load", ["of_a_newer_module=1"]).words).toEqual(["of_a_newer_module=1"]);
  });

  const wrong: [string, RegExp][] = [
    ["udmabuf0", /is no parameter/],
    ["udmabuf0=64Mb", /a size is needed/],
    ["udmabuf0=-1", /a size is needed/],
    ["udmabuf8=64MiB", /udmabuf0 to udmabuf7/],
    ["dma_mask_bit=65", /from 12 to 64/],
    ["dma_mask_bits=64", /did you mean dma_mask_bit/],
    ["udmabuf0_coherent=2", /1 \(coherent\) or 0/],
    ["bind=pci/x y", /no spaces/],
  ];
  for (const [word, message] of wrong) {
    test(`refused: ${word}`, () => {
      expect(() => parseParameters("load", [word])).toThrow(UsageError);
      expect(() => parseParameters("load", [word])).toThrow(message);
    });
  }
});

test("the files of boot", () => {
  const all = bootFiles({
    group: "fpga",
    parameters: ["udmabuf0=67108864", "dma_mask_bit=64"],
    autoload: true,
  });
  expect(all.map(({ path }) => path)).toEqual([
    "/etc/udev/rules.d/60-u-dma-buf.rules",
    "/etc/modprobe.d/u-dma-buf.conf",
    "/etc/modules-load.d/u-dma-buf.conf",
  ]);
  expect(all[0]!.content).toContain('SUBSYSTEM=="u-dma-buf", GROUP="fpga", MODE="0660"\n');
  expect(all[1]!.content).toContain("\noptions u-dma-buf udmabuf0=67108864 dma_mask_bit=64\n");
  expect(all[2]!.content).toContain("\nu-dma-buf\n");
  expect(bootFiles({ group: "fpga", parameters: [], autoload: false })).toHaveLength(1);
});

test("why a buffer counts as coherent or not", () => {
  const base = {
    architecture: "arm64",
    isCoherent: false,
    memory: "cma",
    parameter: "-1",
    bus: "platform",
    hasNode: false,
    saysCoherent: false,
    saysNonCoherent: false,
  };
  const reason = (change: Partial<typeof base>) => coherenceReason({ ...base, ...change });
  expect(reason({})).toMatch(/without a device-tree node counts as not coherent.*udmabufN_coherent=1/);
  expect(reason({ architecture: "x64" })).toMatch(/every device is coherent/);
  expect(reason({ parameter: "1", isCoherent: true })).toMatch(/parameter says so \(=1\)/);
  expect(reason({ memory: "no-map", isCoherent: true })).toMatch(/never cached/);
  expect(reason({ hasNode: true, saysCoherent: true, isCoherent: true })).toMatch(/has dma-coherent/);
  expect(reason({ hasNode: true })).toMatch(/platform's default/);
  expect(reason({ bus: "pci" })).toMatch(/PCI host bridge/);
});

test("sizes as the parameters are given", () => {
  expect([4 * 2 ** 30, 64 * 2 ** 20, 65536, 1000000].map(binaryBytes)).toEqual([
    "4 GiB",
    "64 MiB",
    "64 KiB",
    "1000000 bytes",
  ]);
});

test("who has a device open or mapped", () => {
  const root = mkdtempSync(`${tmpdir()}/physring-test-users-`);
  try {
    for (const pid of ["7", "8", "9", "bus"]) mkdirSync(`${root}/proc/${pid}/fd`, { recursive: true });
    writeFileSync(`${root}/proc/7/comm`, "holder\n");
    symlinkSync("/dev/udmabuf0", `${root}/proc/7/fd/3`);
    writeFileSync(`${root}/proc/8/comm`, "mapper\n");
    const line = "7f00-7f10 rw-s 00000000 00:05 12                         /dev/udmabuf1";
    writeFileSync(`${root}/proc/8/maps`, `5500-5600 r-xp 00000000 08:01 9 /usr/bin/cat\n${line}\n${line}\n`);
    symlinkSync("/dev/null", `${root}/proc/9/fd/0`);
    expect(deviceUsers(new SystemFiles(root), (path) => path.startsWith("/dev/udmabuf"))).toEqual([
      { pid: 7, name: "holder", paths: ["/dev/udmabuf0"] },
      { pid: 8, name: "mapper", paths: ["/dev/udmabuf1"] },
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("status says the next step where nothing is loaded", () => {
  const nothing = { release: "6.1.0", module: null, installed: null, built: null, users: [] };
  expect(statusText(nothing)).toContain("physring kmod build");
  expect(statusText({ ...nothing, built: "/b/u-dma-buf.ko" })).toContain("sudo physring kmod install");
  expect(statusText({ ...nothing, installed: "/l/u-dma-buf.ko" })).toContain("sudo physring kmod load");
  const empty = { version: "5.5.0+physring", references: 0, parameters: {}, buffers: [], hasManager: true };
  expect(statusText({ ...nothing, module: empty })).toContain("create udmabuf0 67108864");
});
