/** Collects {@link DoctorFacts} from the running system, or from a recorded tree below a root. */
import { readFileSync, statfsSync } from "node:fs";
import { sharedMemoryDirectory } from "../../memory/names.ts";
import { builtModule, installedModule } from "../kmod/places.ts";
import { readDistribution } from "../system/distribution.ts";
import { SystemFiles } from "../system/files.ts";
import { type KernelConfig, readKernelConfig } from "../system/kernel-config.ts";
import { readModule } from "../system/udmabuf.ts";
import type { BuddyZone, DoctorFacts, Probe, ReservedRegion, SharedMemory } from "./facts.ts";
import { KERNEL_OPTIONS } from "./kernel-options.ts";

/** `MemTotal:  1 kB` in bytes; the counts of huge pages have no unit. */
export function parseMeminfo(text: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const match of text.matchAll(/^([\w()]+):\s+(\d+)( kB)?$/gm))
    values[match[1]!] = Number(match[2]) * (match[3] === undefined ? 1 : 1024);
  return values;
}

/** `Node 0, zone   Normal   1  4 …` */
export function parseBuddyinfo(text: string): BuddyZone[] {
  return [...text.matchAll(/^Node (\d+), zone\s+(\S+)\s+(.*)$/gm)].map((match) => ({
    node: Number(match[1]),
    zone: match[2]!,
    free: match[3]!.trim().split(/\s+/).map(Number),
  }));
}

const TREE = "/proc/device-tree/reserved-memory";
const CELL_BYTES = 4;

/** A number of big-endian 32-bit cells. */
function readCells(bytes: Uint8Array, cell: number, count: number): number {
  let value = 0;
  for (const byte of bytes.subarray(cell * CELL_BYTES, (cell + count) * CELL_BYTES))
    value = value * 256 + byte;
  return value;
}

function readReserved(files: SystemFiles): ReservedRegion[] {
  // The specification's defaults (Devicetree Specification 0.4, 2.3.5) are 2 and 1.
  const addressCells = files.bytes(`${TREE}/#address-cells`)?.[CELL_BYTES - 1] ?? 2;
  const sizeCells = files.bytes(`${TREE}/#size-cells`)?.[CELL_BYTES - 1] ?? 1;
  const names = files.list(TREE).filter((name) => files.isDirectory(`${TREE}/${name}`));
  return names.map((name) => {
    const directory = `${TREE}/${name}`;
    const reg = files.bytes(`${directory}/reg`);
    const size = files.bytes(`${directory}/size`);
    const anywhere = size === null ? null : readCells(size, 0, size.byteLength / CELL_BYTES);
    return {
      name,
      compatible: files.line(`${directory}/compatible`) ?? "",
      isReusable: files.exists(`${directory}/reusable`),
      isNoMap: files.exists(`${directory}/no-map`),
      start: reg === null ? null : readCells(reg, 0, addressCells),
      sizeBytes: reg === null ? anywhere : readCells(reg, addressCells, sizeCells),
    };
  });
}

function readIommu(files: SystemFiles): DoctorFacts["iommu"] {
  const groups = files.list("/sys/kernel/iommu_groups");
  const types = groups
    .map((group) => files.line(`/sys/kernel/iommu_groups/${group}/type`))
    .filter((type) => type !== null);
  return { groups: groups.length, types: [...new Set(types)].sort(), units: files.list("/sys/class/iommu") };
}

function readContainer(files: SystemFiles): string | null {
  if (files.exists("/.dockerenv")) return "docker";
  if (files.exists("/run/.containerenv")) return "podman";
  return /(?:^|\0)container=([^\0]+)/.exec(files.text("/proc/1/environ") ?? "")?.[1] ?? null;
}

function groupNames(files: SystemFiles): string[] {
  const own = new Set((process.getgroups?.() ?? []).map(String));
  const lines = (files.text("/etc/group") ?? "").split("\n").map((line) => line.split(":"));
  return lines.filter(([, , gid]) => gid !== undefined && own.has(gid)).map(([name]) => name!);
}

const TMPFS_MAGIC = 0x01021994; // include/uapi/linux/magic.h

function readSharedMemory(): SharedMemory | null {
  const path = sharedMemoryDirectory();
  try {
    const { bsize, blocks, bavail, type } = statfsSync(path);
    return { path, sizeBytes: bsize * blocks, freeBytes: bsize * bavail, isTmpfs: type === TMPFS_MAGIC };
  } catch {
    return null;
  }
}

/** Of this process; null: another C library. */
function glibcVersion(): string | null {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined;
  return report?.header?.glibcVersionRuntime ?? null;
}

const UDEV_DIRECTORIES = [
  "/etc/udev/rules.d",
  "/usr/lib/udev/rules.d",
  "/lib/udev/rules.d",
  "/run/udev/rules.d",
];

function hasUdevRule(files: SystemFiles): boolean {
  return UDEV_DIRECTORIES.some((directory) =>
    files
      .list(directory)
      .some(
        (name) =>
          name.endsWith(".rules") && /^[^#]*u-dma-buf/m.test(files.text(`${directory}/${name}`) ?? ""),
      ),
  );
}

/** Options that checks look at beside {@link KERNEL_OPTIONS}. */
const OTHER_OPTIONS = ["RANDOMIZE_BASE"];

/** Without the thousands of options that nothing here depends on. */
function relevantOptions(config: KernelConfig | null): KernelConfig | null {
  if (config === null) return null;
  const names = [...KERNEL_OPTIONS.map(({ name }) => name), ...OTHER_OPTIONS];
  const set = names.filter((name) => config.options[name] !== undefined);
  return { ...config, options: Object.fromEntries(set.map((name) => [name, config.options[name]!])) };
}

/** The chosen word of `always [madvise] never`. */
function chosenWord(text: string | null): string | null {
  return /\[(\w+)\]/.exec(text ?? "")?.[1] ?? null;
}

const DEFAULT_PAGE_BYTES = 4096;
const AT_PAGESZ = 6n; // include/uapi/linux/auxvec.h

/** From the auxiliary vector: needs no FFI, which may be what is broken. */
function pageBytes(): number {
  try {
    const words = new BigUint64Array(new Uint8Array(readFileSync("/proc/self/auxv")).buffer);
    const at = words.findIndex((word, i) => i % 2 === 0 && word === AT_PAGESZ);
    return at < 0 ? DEFAULT_PAGE_BYTES : Number(words[at + 1]);
  } catch {
    return DEFAULT_PAGE_BYTES;
  }
}

export function collectFacts(
  probes: readonly Probe[],
  wantedBytes: readonly number[],
  files = new SystemFiles(),
): DoctorFacts {
  const release = files.line("/proc/sys/kernel/osrelease") ?? "unknown";
  const module = readModule(files, process.arch);
  const nodes = (module?.buffers ?? []).map(({ name }) => `/dev/${name}`);
  return {
    architecture: process.arch,
    release,
    distribution: readDistribution(files),
    isRoot: process.getuid?.() === 0,
    groups: groupNames(files),
    container: readContainer(files),
    config: relevantOptions(readKernelConfig(files, release)),
    bootArguments: files.line("/proc/cmdline") ?? "",
    boot: {
      hasGrub: files.exists("/etc/default/grub"),
      hasDeviceTree: files.exists("/proc/device-tree"),
      hasExtlinux: files.exists("/boot/extlinux/extlinux.conf"),
      hasCmdlineFile: files.exists("/boot/firmware/cmdline.txt"),
    },
    lockdown: chosenWord(files.line("/sys/kernel/security/lockdown")),
    modulesDisabled: files.line("/proc/sys/kernel/modules_disabled") === "1",
    pageBytes: pageBytes(),
    memory: parseMeminfo(files.text("/proc/meminfo") ?? ""),
    buddy: parseBuddyinfo(files.text("/proc/buddyinfo") ?? ""),
    reserved: readReserved(files),
    iommu: readIommu(files),
    module,
    installedModule: installedModule(files, release),
    builtModule: builtModule(release),
    hasHeaders: files.exists(`/lib/modules/${release}/build/Makefile`),
    hasUdevRule: hasUdevRule(files),
    closedNodes: nodes.filter((path) => !files.canUse(path)),
    shm: readSharedMemory(),
    shmHugePages: chosenWord(files.line("/sys/kernel/mm/transparent_hugepage/shmem_enabled")),
    glibc: glibcVersion(),
    bun: Bun.version,
    probes,
    wantedBytes,
  };
}
