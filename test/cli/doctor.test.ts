/** The checks of `physring doctor` on facts of other machines, and the command on this one. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { bootSize, deviceTreeFragment } from "../../src/cli/doctor/boot-fix.ts";
import type { Check } from "../../src/cli/doctor/check.ts";
import { freeBlocks } from "../../src/cli/doctor/check-memory.ts";
import { collectFacts, parseBuddyinfo, parseMeminfo } from "../../src/cli/doctor/collect.ts";
import { diagnose, diagnosisText } from "../../src/cli/doctor/command.ts";
import type { DoctorFacts } from "../../src/cli/doctor/facts.ts";
import { KERNEL_OPTIONS } from "../../src/cli/doctor/kernel-options.ts";
import { PROBES } from "../../src/cli/doctor/probe-bun.ts";
import { findCommand, runCommand } from "../../src/cli/system/commands.ts";
import { SystemFiles } from "../../src/cli/system/files.ts";
import type { BufferReport, ModuleReport } from "../../src/cli/system/udmabuf.ts";
import { physring } from "./command.ts";

const GIB = 2 ** 30;

const BUFFER: BufferReport = {
  name: "udmabuf0",
  sizeBytes: 16 * 2 ** 20,
  deviceAddress: "0x0000000070000000",
  physicalAddress: "0x0000000070000000",
  memory: "cma",
  mmapMode: 5,
  coherent: true,
  coherentBecause: "on x86-64 every device is coherent with the caches",
  instanceId: "00",
  driverVersion: "5.5.0+physring",
  parent: "platform/u-dma-buf.0",
  node: { path: "/dev/udmabuf0", mode: 0o660, uid: 0, gid: 900, sizeBytes: 0 },
};

const LOADED: ModuleReport = {
  version: "5.5.0+physring",
  references: 0,
  parameters: {},
  buffers: [BUFFER],
  hasManager: true,
};

/** A server on which all is well: Debian without CMA, the module loaded. */
const SERVER: DoctorFacts = {
  architecture: "x64",
  release: "6.1.0-56-amd64",
  distribution: { family: "debian", name: "Debian GNU/Linux 12 (bookworm)" },
  isRoot: false,
  groups: ["me", "physring"],
  container: null,
  config: {
    source: "/boot/config-6.1.0-56-amd64",
    architecture: "x86",
    options: { MODULES: "y", CONTIG_ALLOC: "y", COMPACTION: "y" },
  },
  bootArguments: "root=/dev/sda1 ro quiet",
  boot: { hasGrub: true, hasDeviceTree: false, hasExtlinux: false, hasCmdlineFile: false },
  lockdown: "none",
  modulesDisabled: false,
  pageBytes: 4096,
  memory: { MemTotal: 16 * GIB, MemAvailable: 14 * GIB },
  buddy: [{ node: 0, zone: "Normal", free: [1, 1, 1, 0, 0, 0, 0, 0, 0, 4, 2000] }],
  reserved: [],
  iommu: { groups: 0, types: [], units: [] },
  module: LOADED,
  installedModule: "/lib/modules/6.1.0-56-amd64/updates/u-dma-buf.ko",
  builtModule: null,
  hasHeaders: true,
  hasUdevRule: true,
  closedNodes: [],
  shm: { path: "/dev/shm", sizeBytes: 8 * GIB, freeBytes: 8 * GIB, isTmpfs: true },
  shmHugePages: "never",
  glibc: "2.36",
  bun: "1.4.5",
  probes: Object.values(PROBES).map((name) => ({ name, ok: true, detail: "works" })),
  wantedBytes: [],
};

/** A board with a device tree and U-Boot. */
const BOARD: DoctorFacts = {
  ...SERVER,
  architecture: "arm64",
  release: "6.6.22",
  config: {
    source: "/proc/config.gz",
    architecture: "arm64",
    options: { MODULES: "y", CONTIG_ALLOC: "y", CMA: "y", DMA_CMA: "y", ZONE_DMA: "y" },
  },
  boot: { hasGrub: false, hasDeviceTree: true, hasExtlinux: false, hasCmdlineFile: false },
  memory: { MemTotal: 2 * GIB, MemAvailable: GIB, CmaTotal: 64 * 2 ** 20, CmaFree: 60 * 2 ** 20 },
  module: null,
};

const checks = (facts: DoctorFacts): Check[] => diagnose(facts).sections.flatMap((section) => section.checks);

function check(facts: DoctorFacts, id: string): Check {
  const found = checks(facts).filter((each) => each.id === id);
  expect(found.map((each) => each.id)).toEqual([id]);
  return found[0]!;
}

/** Status and fix of one check. */
function expectCheck(facts: DoctorFacts, id: string, status: Check["status"], ...words: string[]): void {
  const seen = check(facts, id);
  expect([seen.id, seen.status, seen.text]).toEqual([id, status, seen.text]);
  const all = [seen.text, ...seen.fix].join("\n");
  for (const word of words) expect(all).toContain(word);
}

test("a machine on which all is well", () => {
  const { counts } = diagnose(SERVER);
  expect([counts.warning, counts.failure]).toEqual([0, 0]);
  expect(counts.ok).toBeGreaterThan(14);
});

test("ids are unique, and whatever is a warning or a failure says what to do", () => {
  const worst: DoctorFacts = {
    ...BOARD,
    probes: Object.values(PROBES).map((name) => ({ name, ok: false, detail: "EPERM" })),
    shm: null,
    glibc: "2.16",
    bootArguments: "swiotlb=force",
    config: { source: "x", architecture: "arm64", options: {} },
    buddy: [{ node: 0, zone: "Normal", free: [5] }],
    reserved: [
      {
        name: "odd",
        compatible: "shared-dma-pool",
        isReusable: false,
        isNoMap: false,
        start: null,
        sizeBytes: 1,
      },
    ],
    module: { ...LOADED, buffers: [{ ...BUFFER, deviceAddress: null }] },
    iommu: { groups: 3, types: ["DMA"], units: ["smmu"] },
    closedNodes: ["/dev/udmabuf0"],
    wantedBytes: [4 * GIB],
  };
  for (const facts of [SERVER, BOARD, worst]) {
    const all = checks(facts);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    for (const { id, status, fix } of all)
      if (status === "failure" || status === "warning") expect([id, fix.length > 0]).toEqual([id, true]);
  }
  expect(diagnose(worst).counts.failure).toBeGreaterThan(8);
});

describe("Bun and the library", () => {
  for (const [key, name] of Object.entries(PROBES)) {
    test(`${name} does not work`, () => {
      const probes = SERVER.probes.map((probe) =>
        probe.name === name ? { ...probe, ok: false, detail: "EPERM" } : probe,
      );
      const status = key === "membarrier" || key === "deaths" ? "warning" : "failure";
      expectCheck({ ...SERVER, probes }, `bun.${key}`, status, "EPERM");
    });
  }

  test("FFI without the JIT: the other probes were not run", () => {
    const probes = [{ name: PROBES.ffi, ok: false, detail: "bun:ffi requires the JIT" }];
    expectCheck({ ...SERVER, probes }, "bun.ffi", "failure", "unset BUN_JSC_useJIT");
    expect(diagnose({ ...SERVER, probes }).counts.failure).toBe(1);
  });

  test("the C library", () => {
    expectCheck({ ...SERVER, glibc: "2.16" }, "bun.glibc", "failure", "2.17");
    expectCheck({ ...SERVER, glibc: "3.0" }, "bun.glibc", "ok");
    expectCheck({ ...SERVER, glibc: null }, "bun.glibc", "warning");
  });

  test("/dev/shm", () => {
    const shm = SERVER.shm!;
    expectCheck({ ...SERVER, shm: null }, "shm.size", "failure", "mount -t tmpfs");
    expectCheck({ ...SERVER, shm: { ...shm, isTmpfs: false } }, "shm.size", "warning", "mount -t tmpfs");
    expectCheck(
      { ...SERVER, shm: { ...shm, sizeBytes: 2 ** 26, freeBytes: 2 ** 26 } },
      "shm.size",
      "warning",
      "--shm-size=1g",
    );
    expectCheck({ ...SERVER, shm: { ...shm, freeBytes: 2 ** 20 } }, "shm.size", "failure", "physring ls");
  });
});

describe("kernel", () => {
  test("no configuration to be found", () => {
    expectCheck({ ...SERVER, config: null }, "kernel.config", "note", "modprobe configs");
  });

  test("an option that the module needs is missing", () => {
    const config = { ...SERVER.config!, options: { MODULES: "y" } };
    expectCheck(
      { ...SERVER, config },
      "kernel.option.CONTIG_ALLOC",
      "warning",
      "scripts/config -e COMPACTION -e MIGRATION -e CMA -e DMA_CMA",
    );
  });

  test("debug options are told", () => {
    const config = { ...SERVER.config!, options: { ...SERVER.config!.options, DMA_API_DEBUG: "y" } };
    expectCheck({ ...SERVER, config }, "kernel.debug", "note", "DMA_API_DEBUG");
    expect(checks(SERVER).some(({ id }) => id === "kernel.debug")).toBe(false);
  });

  test("swiotlb=force, and cma= that the kernel ignores", () => {
    expectCheck(
      { ...SERVER, bootArguments: "a swiotlb=force b" },
      "kernel.swiotlb",
      "failure",
      "remove swiotlb=force",
    );
    expectCheck({ ...SERVER, bootArguments: "cma=64M" }, "kernel.cma-ignored", "warning", "-e DMA_CMA");
    expect(checks({ ...BOARD, bootArguments: "cma=64M" }).some(({ id }) => id === "kernel.cma-ignored")).toBe(
      false,
    );
  });

  test("a kernel at a random physical address, when gibibytes are wanted without CMA", () => {
    const config = { ...SERVER.config!, options: { ...SERVER.config!.options, RANDOMIZE_BASE: "y" } };
    const facts = { ...SERVER, config, wantedBytes: [2 * GIB] };
    expectCheck(facts, "kernel.kaslr", "note", 'GRUB_CMDLINE_LINUX_DEFAULT="... nokaslr"');
    expect(checks({ ...facts, bootArguments: "nokaslr" }).some(({ id }) => id === "kernel.kaslr")).toBe(
      false,
    );
  });

  test("each option has a row in docs/KERNEL.md", async () => {
    const text = await Bun.file(`${import.meta.dir}/../../docs/KERNEL.md`).text();
    const rows = new Set([...text.matchAll(/^\| `CONFIG_(\w+)` \|/gm)].map((match) => match[1]!));
    expect([...rows].sort()).toEqual(KERNEL_OPTIONS.map(({ name }) => name).sort());
  });
});

describe("contiguous memory", () => {
  test("CMA, none of it, and a kernel without", () => {
    expectCheck(BOARD, "memory.cma", "ok", "67.1 MB");
    expectCheck(
      { ...BOARD, memory: { MemTotal: GIB, CmaTotal: 0 } },
      "memory.cma",
      "note",
      ' cma=64M"; saveenv',
      "U-Boot: setenv bootargs",
    );
    expectCheck(SERVER, "memory.cma", "note", "scripts/config -e CMA -e DMA_CMA");
  });

  test("how a kernel argument is set on each kind of machine", () => {
    const without = { ...BOARD, memory: { MemTotal: GIB } };
    const boot = without.boot;
    expectCheck({ ...without, boot: { ...boot, hasExtlinux: true } }, "memory.cma", "note", "extlinux.conf");
    expectCheck(
      { ...without, boot: { ...boot, hasCmdlineFile: true } },
      "memory.cma",
      "note",
      "/boot/firmware/cmdline.txt",
    );
    expectCheck({ ...without, boot: { ...boot, hasGrub: true } }, "memory.cma", "note", "sudo update-grub");
    const fedora = { family: "fedora", name: "Fedora" } as const;
    expectCheck(
      { ...without, distribution: fedora, boot: { ...boot, hasGrub: true } },
      "memory.cma",
      "note",
      'grubby --update-kernel=ALL --args="cma=64M"',
    );
    expectCheck(
      { ...without, boot: { ...boot, hasDeviceTree: false } },
      "memory.cma",
      "note",
      "in the boot loader",
    );
  });

  test("free blocks", () => {
    expect(freeBlocks(SERVER.buddy, 4096, 2 ** 21)).toEqual({
      largestOrder: 10,
      bytes: 4 * 2 ** 21 + 2000 * 2 ** 22,
    });
    expect(freeBlocks([], 4096, 1)).toEqual({ largestOrder: -1, bytes: 0 });
    expectCheck(SERVER, "memory.buddy", "ok", "order 10");
    expectCheck(
      { ...SERVER, buddy: [{ node: 0, zone: "Normal", free: [900, 3] }] },
      "memory.buddy",
      "warning",
      "compact_memory",
    );
  });

  test("reserved memory", () => {
    const region = {
      name: "r",
      compatible: "shared-dma-pool",
      isReusable: true,
      isNoMap: false,
      start: 0x70000000,
      sizeBytes: GIB,
    };
    const reserved = (change: Partial<typeof region>) => ({ ...BOARD, reserved: [{ ...region, ...change }] });
    expectCheck(reserved({}), "memory.reserved.r", "ok", "0x70000000");
    expectCheck(reserved({ isReusable: false, isNoMap: true }), "memory.reserved.r", "note", "reusable;");
    expectCheck(reserved({ isReusable: false }), "memory.reserved.r", "warning", "reusable;");
    expect(
      checks(reserved({ compatible: "removed-dma-pool" })).some(({ id }) => id === "memory.reserved.r"),
    ).toBe(false);
  });

  test("buffers that are wanted: a server without CMA", () => {
    const want = (...wantedBytes: number[]) => ({ ...SERVER, wantedBytes });
    expectCheck(want(64 * 2 ** 20), "wanted.memory", "ok");
    expectCheck(want(64 * 2 ** 20), "wanted.load", "ok", "udmabuf0=67108864");
    expectCheck(want(4 * GIB, 2 * GIB), "wanted.memory", "warning", "cma=6452M", "modules-load.d");
    expectCheck(
      want(4 * GIB, 2 * GIB),
      "wanted.load",
      "note",
      "udmabuf0=4294967296 udmabuf1=2147483648 dma_mask_bit=64",
    );
    expectCheck(want(15 * GIB), "wanted.memory", "failure", "ask for less");
    expectCheck(want(32 * GIB), "wanted.ram", "failure");
  });

  test("buffers that are wanted: a board with CMA", () => {
    const want = (...wantedBytes: number[]) => ({ ...BOARD, wantedBytes });
    expectCheck(want(32 * 2 ** 20), "wanted.memory", "ok", "fit into CMA");
    expectCheck(
      want(256 * 2 ** 20),
      "wanted.memory",
      "warning",
      "setenv bootargs",
      "cma=269M",
      'compatible = "shared-dma-pool"; reusable;',
      "size = <0x0 0x10000000>",
    );
    expectCheck(want(62 * 2 ** 20), "wanted.memory", "warning", "only");
    const large = {
      ...want(4 * GIB),
      memory: { ...BOARD.memory, MemTotal: 16 * GIB, MemAvailable: 15 * GIB },
    };
    expectCheck(
      large,
      "wanted.memory",
      "warning",
      "scripts/config -d ZONE_DMA -d ZONE_DMA32",
      "alloc-ranges",
      "dma-mask = <64>",
    );
  });

  test("sizes for boot loaders and device trees", () => {
    expect([2 ** 26, GIB, 1.5 * GIB, 2 ** 20 + 1].map(bootSize)).toEqual(["64M", "1G", "1536M", "2M"]);
    expect(deviceTreeFragment(4 * GIB).join("\n")).toContain("size = <0x1 0x0>");
  });
});

test.skipIf(findCommand("dtc") === null)("the device-tree fragments are ones that dtc takes", async () => {
  const directory = mkdtempSync(`${tmpdir()}/physring-test-dts-`);
  try {
    for (const sizeBytes of [64 * 2 ** 20, 4 * GIB]) {
      const [, ...lines] = deviceTreeFragment(sizeBytes);
      const head = "/dts-v1/;\n/ { #address-cells = <2>; #size-cells = <2>;";
      writeFileSync(`${directory}/tree.dts`, `${head}\n${lines.join("\n")}\n};\n`);
      const { code, output } = await runCommand([
        "dtc",
        "-q",
        "-I",
        "dts",
        "-O",
        "dtb",
        "-o",
        "/dev/null",
        `${directory}/tree.dts`,
      ]);
      expect(code, output).toBe(0);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

describe("module and devices", () => {
  const gone = (change: Partial<DoctorFacts>): DoctorFacts => ({ ...SERVER, module: null, ...change });

  test("not loaded: the next step", () => {
    expectCheck(gone({}), "module.loaded", "warning", "sudo physring kmod load udmabuf0=64MiB");
    const nowhere = { installedModule: null };
    expectCheck(
      gone({ ...nowhere, builtModule: "/b/u-dma-buf.ko" }),
      "module.loaded",
      "warning",
      "install --module /b/u-dma-buf.ko",
    );
    expectCheck(gone(nowhere), "module.loaded", "warning", "physring kmod build");
    expectCheck(
      gone({ ...nowhere, hasHeaders: false }),
      "module.loaded",
      "warning",
      "sudo apt-get install linux-headers-6.1.0-56-amd64 gcc make",
    );
    expectCheck(gone({ container: "docker" }), "module.loaded", "warning", "--device /dev/udmabuf0");
    expectCheck(gone({ lockdown: "integrity" }), "module.loaded", "warning", "mokutil");
    expectCheck(gone({ modulesDisabled: true }), "module.loaded", "warning", "modules_disabled");
    const config = { ...SERVER.config!, options: { CONTIG_ALLOC: "y" } };
    expectCheck(gone({ config }), "module.loaded", "warning", "add-to-tree.sh");
  });

  const withBuffer = (change: Partial<BufferReport>, facts: Partial<DoctorFacts> = {}): DoctorFacts => ({
    ...SERVER,
    ...facts,
    module: { ...LOADED, buffers: [{ ...BUFFER, ...change }] },
  });

  describe("the other driver", () => {
    const foreign = (change: Partial<BufferReport>, facts: Partial<DoctorFacts> = {}): DoctorFacts => {
      const buffer = { ...BUFFER, memory: null, driverVersion: "4.7.0", mmapMode: 3, ...change };
      return { ...SERVER, ...facts, module: { ...LOADED, version: null, buffers: [buffer] } };
    };

    test("is told by its devices' version", () => {
      expectCheck(foreign({}), "module.loaded", "note", "u-dma-buf 4.7.0 is loaded", "not physring's driver");
    });

    test("its default mode is no fault of the parameters", () => {
      expectCheck(foreign({}), "buffer.udmabuf0.mode", "note", "quirk_mmap_mode 3", "rmmod u-dma-buf");
    });

    test("its pages cannot be mapped without CMA", () => {
      const mode = "buffer.udmabuf0.mode";
      expectCheck(foreign({ mmapMode: 4 }), mode, "warning", "first page only", "without quirk_mmap_mode");
      const memory = { ...SERVER.memory, CmaTotal: GIB };
      expectCheck(foreign({ mmapMode: 4 }, { memory }), mode, "note", "quirk_mmap_mode 4");
      expectCheck(withBuffer({ mmapMode: 4 }), mode, "note", "quirk_mmap_mode 4");
    });

    test("has no parameter that says coherent", () => {
      const apart = foreign({ coherent: false }, { architecture: "arm64" });
      expectCheck(apart, "buffer.udmabuf0.coherent", "note", "dma-coherent;");
      expect(check(apart, "buffer.udmabuf0.coherent").fix.join()).not.toContain("udmabuf0_coherent");
    });
  });

  test("a buffer: coherent or not, and why; modes; a device that is gone", () => {
    expectCheck(SERVER, "buffer.udmabuf0", "ok", "16 MiB of cma memory at device address 0x0000000070000000");
    expectCheck(SERVER, "buffer.udmabuf0.coherent", "ok", "every device is coherent");
    const apart = withBuffer(
      { coherent: false, coherentBecause: "made by insmod" },
      { architecture: "arm64" },
    );
    expectCheck(
      apart,
      "buffer.udmabuf0.coherent",
      "note",
      "because made by insmod",
      "udmabuf0_coherent=1",
      "dma-coherent;",
    );
    expectCheck(withBuffer({ mmapMode: 2 }), "buffer.udmabuf0.mode", "note", "quirk_mmap_mode 2");
    expectCheck(withBuffer({ mmapMode: 1, memory: "no-map" }), "buffer.udmabuf0.mode", "note", "reusable;");
    expectCheck(withBuffer({ deviceAddress: null }), "buffer.udmabuf0", "warning", "is gone");
  });

  test("who may open it", () => {
    expectCheck(SERVER, "module.access", "ok");
    const closed = { ...SERVER, closedNodes: ["/dev/udmabuf0"], groups: ["me"] };
    expectCheck(closed, "module.access", "warning", "usermod -a -G physring");
    expectCheck({ ...closed, hasUdevRule: false }, "module.access", "warning", "physring kmod install");
    expectCheck(
      withBuffer({ node: { ...BUFFER.node!, mode: 0o666 } }),
      "module.access",
      "warning",
      "every user",
    );
  });

  test("behind an IOMMU", () => {
    const iommu = { groups: 8, types: ["DMA-FQ"], units: ["dmar0"] };
    expectCheck({ ...SERVER, iommu }, "iommu", "warning", "udmabuf0_bind=pci/", "iommu=pt");
    expectCheck({ ...SERVER, iommu, architecture: "arm64" }, "iommu", "warning", "iommu.passthrough=1");
    expectCheck(withBuffer({ parent: "pci/0000:01:00.0" }, { iommu }), "iommu", "ok", "bound");
    expectCheck({ ...SERVER, iommu: { ...iommu, types: ["identity"] } }, "iommu", "ok", "pass-through");
  });
});

test("facts from the files of a system", () => {
  const root = mkdtempSync(`${tmpdir()}/physring-test-doctor-`);
  try {
    const write = (path: string, content: string | Uint8Array) => {
      mkdirSync(dirname(`${root}${path}`), { recursive: true });
      writeFileSync(`${root}${path}`, content);
    };
    const cells = (...words: number[]) => {
      const bytes = Buffer.alloc(words.length * 4);
      for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, i * 4);
      return bytes;
    };
    write("/proc/sys/kernel/osrelease", "6.6.22\n");
    write("/proc/cmdline", "console=ttyS0 cma=64M\n");
    write("/proc/config.gz", Bun.gzipSync("# Linux/arm64 6.6.22 Kernel Configuration\nCONFIG_DMA_CMA=y\n"));
    write(
      "/proc/meminfo",
      "MemTotal:  1000 kB\nHugePages_Total:   3\nHugepagesize: 2048 kB\nActive(anon): 4 kB\n",
    );
    write("/proc/buddyinfo", "Node 0, zone   Normal   1  4   9\nNode 1, zone  DMA32  0 0 0 7\n");
    write("/proc/device-tree/reserved-memory/#address-cells", cells(2));
    write("/proc/device-tree/reserved-memory/#size-cells", cells(2));
    write("/proc/device-tree/reserved-memory/region@70000000/compatible", "shared-dma-pool\0");
    write("/proc/device-tree/reserved-memory/region@70000000/reusable", "");
    write("/proc/device-tree/reserved-memory/region@70000000/reg", cells(1, 0x70000000, 0, 0x2000000));
    write("/proc/device-tree/reserved-memory/pool/compatible", "shared-dma-pool\0");
    write("/proc/device-tree/reserved-memory/pool/size", cells(2, 0));
    write("/etc/udev/rules.d/60-x.rules", 'SUBSYSTEM=="u-dma-buf", GROUP="x"\n');
    write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
    write("/sys/kernel/iommu_groups/0/type", "DMA\n");
    write("/sys/module/u_dma_buf/parameters/udmabuf0_coherent", "1\n");
    write("/sys/module/u_dma_buf/parameters/bind", "(null)\n");
    write("/sys/devices/platform/u-dma-buf.0/x", "");
    mkdirSync(`${root}/sys/bus/platform`, { recursive: true });
    symlinkSync("../../../bus/platform", `${root}/sys/devices/platform/u-dma-buf.0/subsystem`);
    const attributes = {
      size: "65536",
      phys_addr: "0x0000000012345000",
      dma_coherent: "1",
      memory: "contig",
      quirk_mmap_mode: "5",
    };
    for (const [name, value] of Object.entries(attributes))
      write(`/sys/class/u-dma-buf/udmabuf0/${name}`, `${value}\n`);
    symlinkSync("../../../devices/platform/u-dma-buf.0", `${root}/sys/class/u-dma-buf/udmabuf0/device`);

    const facts = collectFacts([], [4096], new SystemFiles(root));
    expect(facts).toMatchObject({
      release: "6.6.22",
      bootArguments: "console=ttyS0 cma=64M",
      config: { source: "/proc/config.gz", architecture: "arm64", options: { DMA_CMA: "y" } },
      memory: { MemTotal: 1024000, HugePages_Total: 3, "Active(anon)": 4096 },
      lockdown: "integrity",
      hasUdevRule: true,
      iommu: { groups: 1, types: ["DMA"] },
      boot: { hasDeviceTree: true, hasGrub: false },
      closedNodes: ["/dev/udmabuf0"],
      wantedBytes: [4096],
    });
    expect(facts.buddy).toEqual([
      { node: 0, zone: "Normal", free: [1, 4, 9] },
      { node: 1, zone: "DMA32", free: [0, 0, 0, 7] },
    ]);
    expect(facts.reserved).toEqual([
      {
        name: "pool",
        compatible: "shared-dma-pool",
        isReusable: false,
        isNoMap: false,
        start: null,
        sizeBytes: 2 ** 33,
      },
      {
        name: "region@70000000",
        compatible: "shared-dma-pool",
        isReusable: true,
        isNoMap: false,
        start: 0x170000000,
        sizeBytes: 2 ** 25,
      },
    ]);
    expect(facts.module!.parameters).toEqual({ udmabuf0_coherent: "1" });
    expect(facts.module!.buffers).toMatchObject([
      {
        name: "udmabuf0",
        sizeBytes: 65536,
        deviceAddress: "0x0000000012345000",
        physicalAddress: null,
        memory: "contig",
        coherent: true,
        parent: "platform/u-dma-buf.0",
        node: null,
      },
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("an empty system is no reason to fail", () => {
  const facts = collectFacts([], [], new SystemFiles("/nowhere"));
  expect([facts.config, facts.module, facts.buddy.length, facts.release]).toEqual([null, null, 0, "unknown"]);
  expect(diagnosisText(diagnose(facts))).toContain("warnings");
  expect([parseMeminfo(""), parseBuddyinfo("garbage")]).toEqual([{}, []]);
});

describe("the command on this machine", () => {
  test("every probe of Bun works", async () => {
    const { code, stdout } = await physring(["doctor", "--json"]);
    const { sections, counts } = JSON.parse(stdout);
    const bun = sections[0].checks.filter(({ id }: Check) => id.startsWith("bun."));
    expect(bun.filter(({ status }: Check) => status !== "ok")).toEqual([]);
    expect(bun).toHaveLength(2 + Object.keys(PROBES).length);
    expect(code).toBe(counts.failure === 0 ? 0 : 1);
  });

  test("without the JIT there is no FFI, and doctor says so rather than crash", async () => {
    const child = Bun.spawn([process.execPath, `${import.meta.dir}/../../src/cli/physring.ts`, "doctor"], {
      env: { ...process.env, BUN_JSC_useJIT: "0" },
      stderr: "pipe",
    });
    const [output, code] = [await new Response(child.stdout).text(), await child.exited];
    expect([code, await new Response(child.stderr).text()]).toEqual([1, ""]);
    expect(output).toMatch(/FAIL {2}FFI does not work: .*\n.*unset BUN_JSC_useJIT/);
  });

  test("text, facts, sizes, wrong arguments", async () => {
    const text = await physring(["doctor", "1MiB"]);
    expect(text.stdout).toMatch(/\d+ ok, \d+ notes, \d+ warnings, \d+ failures\n$/);
    expect(text.stdout).toContain("1 buffer of 1.05 MB");
    const facts = JSON.parse((await physring(["doctor", "--facts", "4GiB"])).stdout) as DoctorFacts;
    expect([facts.architecture, facts.wantedBytes]).toEqual([process.arch, [4 * GIB]]);
    expect(diagnose(facts).sections).toHaveLength(4);
    expect(await physring(["doctor", "many"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is no size"),
    });
  });
});
