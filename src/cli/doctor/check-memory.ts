/** Contiguous memory: CMA, free blocks, reserved regions, huge pages, and whether the wanted buffers fit. */
import { bytes, plural } from "../format.ts";
import { bootArgumentFix, bootSize, deviceTreeFragment } from "./boot-fix.ts";
import { type Check, type CheckGroup, finding, ok } from "./check.ts";
import type { BuddyZone, DoctorFacts, ReservedRegion } from "./facts.ts";

/** What udb_buddy_take() of kmod/source.c takes as one block. */
const BUDDY_LIMIT_BYTES = 4 * 2 ** 20;
const EXAMPLE_BUFFER_BYTES = 64 * 2 ** 20;

function cmaBytes({ memory }: DoctorFacts): { total: number; free: number } {
  return { total: memory["CmaTotal"] ?? 0, free: memory["CmaFree"] ?? 0 };
}

/** Kernels with CMA have the line CmaTotal in /proc/meminfo. */
function hasCma({ config, memory }: DoctorFacts): boolean {
  return memory["CmaTotal"] !== undefined || config?.options["DMA_CMA"] === "y";
}

function cmaCheck(facts: DoctorFacts): Check {
  const { total, free } = cmaBytes(facts);
  const id = "memory.cma";
  if (total > 0)
    return ok(
      id,
      `CMA: ${bytes(total)}, ${bytes(free)} free (also holds movable memory of others, which makes room)`,
    );
  if (hasCma(facts))
    return finding(
      id,
      "note",
      "the kernel has CMA, but no area",
      ...bootArgumentFix(facts, `cma=${bootSize(EXAMPLE_BUFFER_BYTES)}`),
    );
  return finding(
    id,
    "note",
    "no CMA: the module empties ranges of ordinary memory, which works best early after boot",
    "load at boot: sudo physring kmod install udmabuf0=SIZE",
    "for memory that must be there, a kernel with CMA: scripts/config -e CMA -e DMA_CMA && make olddefconfig, then boot it with cma=SIZE",
  );
}

/** Order of the largest free block, and bytes in blocks of at least `least` bytes. */
export function freeBlocks(
  zones: readonly BuddyZone[],
  pageBytes: number,
  leastBytes: number,
): { largestOrder: number; bytes: number } {
  let largestOrder = -1;
  let sum = 0;
  for (const { free } of zones) {
    free.forEach((blocks, order) => {
      if (blocks === 0) return;
      largestOrder = Math.max(largestOrder, order);
      const blockBytes = pageBytes * 2 ** order;
      if (blockBytes >= leastBytes) sum += blocks * blockBytes;
    });
  }
  return { largestOrder, bytes: sum };
}

const HUGE_PAGE_BYTES = 2 ** 21;
const COMPACT = "echo 3 | sudo tee /proc/sys/vm/drop_caches; echo 1 | sudo tee /proc/sys/vm/compact_memory";

function buddyCheck({ buddy, pageBytes }: DoctorFacts): Check {
  const id = "memory.buddy";
  if (buddy.length === 0)
    return finding(id, "note", "/proc/buddyinfo cannot be read: what is free in one piece is not known");
  const { largestOrder, bytes: large } = freeBlocks(buddy, pageBytes, HUGE_PAGE_BYTES);
  const largest =
    largestOrder < 0 ? "nothing" : `${bytes(pageBytes * 2 ** largestOrder)} (order ${largestOrder})`;
  const text = `largest free block ${largest}, ${bytes(large)} in blocks of 2 MiB and more`;
  return large === 0 ? finding(id, "warning", `memory is in small pieces: ${text}`, COMPACT) : ok(id, text);
}

function regionCheck(region: ReservedRegion): Check | null {
  if (!region.compatible.includes("shared-dma-pool")) return null;
  const { name, sizeBytes, start, isNoMap, isReusable } = region;
  const id = `memory.reserved.${name}`;
  const where = start === null ? "placed by the kernel" : `at 0x${start.toString(16)}`;
  const text = `reserved memory ${name}: ${sizeBytes === null ? "size unknown" : bytes(sizeBytes)} ${where}`;
  if (isReusable) return ok(id, `${text}, reusable (CMA: everything works on it)`);
  if (isNoMap)
    return finding(
      id,
      "note",
      `${text}, no-map: no page frames, so neither shared futexes nor O_DIRECT nor dma-buf work on it`,
      `in its node, instead of no-map: reusable;`,
    );
  return finding(
    id,
    "warning",
    `${text} is neither reusable nor no-map: the module cannot use it`,
    "in its node: reusable;",
  );
}

function hugePageCheck({ memory, shmHugePages }: DoctorFacts): Check {
  const total = memory["HugePages_Total"] ?? 0;
  const free = memory["HugePages_Free"] ?? 0;
  const sizeBytes = memory["Hugepagesize"] ?? 0;
  const shm = shmHugePages === null ? "" : `; for shared memory: ${shmHugePages}`;
  if (total === 0)
    return finding(
      "memory.huge-pages",
      "note",
      `no huge pages are set aside${shm}; regions do not need any`,
      "for huge-page memfds: echo 64 | sudo tee /proc/sys/vm/nr_hugepages",
    );
  return ok("memory.huge-pages", `huge pages: ${free} of ${total} free, ${bytes(sizeBytes)} each${shm}`);
}

/** The sizes as parameters: `udmabuf0=4294967296 udmabuf1=2147483648`. */
function asParameters(wanted: readonly number[], needsMask: boolean): string {
  return `${wanted.map((size, i) => `udmabuf${i}=${size}`).join(" ")}${needsMask ? " dma_mask_bit=64" : ""}`;
}

/** Room for what the kernel itself keeps in an area, and for alignment. */
const AREA_MARGIN = 1.05;

function wantedChecks(facts: DoctorFacts): Check[] {
  const { wantedBytes, memory } = facts;
  if (wantedBytes.length === 0) return [];
  const sum = wantedBytes.reduce((total, size) => total + size, 0);
  const ram = memory["MemTotal"] ?? 0;
  const what = `${plural(wantedBytes.length, "buffer")} of ${wantedBytes.map(bytes).join(" and ")}`;
  if (sum > ram)
    return [finding("wanted.ram", "failure", `${what}: more than the ${bytes(ram)} of RAM`, "ask for less")];
  const checks = [placeCheck(facts, what, sum, ram)];
  // Below 4 GiB there is at most that much, and devices and firmware have their part of it.
  const needsMask = sum >= 2 ** 31;
  checks.push(
    finding(
      "wanted.load",
      needsMask ? "note" : "ok",
      needsMask
        ? `${what} lie above 4 GiB, wholly or in part: the device must have more than 32 address bits, and the module is told so`
        : `${what} fit below 4 GiB, where devices with 32 address bits reach them`,
      `sudo physring kmod load ${asParameters(wantedBytes, needsMask)}`,
    ),
  );
  return checks;
}

/** Where firmware and devices leave room below 4 GiB, roughly. */
const LOW_AREA_LIMIT_BYTES = 3 * 2 ** 30;

/**
 * A larger default area. arm64 places it where all devices reach it: below 4 GiB as long as there are zones for small masks
 * (arch/arm64/mm/init.c: dma_contiguous_reserve(arm64_dma_phys_limit)).
 */
function areaFix(facts: DoctorFacts, sum: number): string[] {
  const fix = bootArgumentFix(facts, `cma=${bootSize(sum * AREA_MARGIN)}`);
  const options = facts.config?.options;
  const hasLowZone = options?.["ZONE_DMA"] === "y" || options?.["ZONE_DMA32"] === "y";
  if (facts.architecture !== "arm64" || !hasLowZone || sum < LOW_AREA_LIMIT_BYTES) return fix;
  return [
    "arm64 places the area of cma= below 4 GiB, where this much is not to be had: reserve memory above it in the device tree (below), or in the kernel's tree:",
    "scripts/config -d ZONE_DMA -d ZONE_DMA32 && make olddefconfig, then build and boot it, and:",
    ...fix,
  ];
}

function placeCheck(facts: DoctorFacts, what: string, sum: number, ram: number): Check {
  const id = "wanted.memory";
  const { total, free } = cmaBytes(facts);
  const largest = Math.max(...facts.wantedBytes);
  if (largest <= BUDDY_LIMIT_BYTES) return ok(id, `${what}: blocks of the page allocator`);
  if (free >= sum) return ok(id, `${what}: fit into CMA (${bytes(free)} free)`);
  const available = facts.memory["MemAvailable"] ?? 0;
  if (sum > available)
    return finding(
      id,
      "failure",
      `${what}: only ${bytes(available)} of memory are available`,
      "end programs, or ask for less",
    );
  // The module takes from ordinary memory what CMA does not have.
  const place = `emptying ordinary memory (${bytes(available)} available of ${bytes(ram)})`;
  if (hasCma(facts)) {
    const cma =
      total >= sum
        ? `CMA is large enough (${bytes(total)}), but only ${bytes(free)} are free`
        : `CMA has only ${bytes(total)}`;
    return finding(
      id,
      "warning",
      `${what}: ${cma}; what is left is ${place}, which does not always succeed`,
      ...areaFix(facts, sum),
      ...(facts.boot.hasDeviceTree ? deviceTreeFragment(largest) : []),
    );
  }
  if (sum <= ram / 4) return ok(id, `${what}: by ${place}`);
  return finding(
    id,
    "warning",
    `${what}: by ${place}; more than a quarter of RAM is not always to be had in one piece`,
    "load early: sudo physring kmod install udmabuf0=...   (modules-load.d, while memory is unused)",
    COMPACT,
    "for memory that must be there: a kernel with CONFIG_CMA and CONFIG_DMA_CMA",
    ...areaFix(facts, sum),
  );
}

export const checkMemory: CheckGroup = (facts) => [
  cmaCheck(facts),
  buddyCheck(facts),
  ...facts.reserved.map(regionCheck).filter((check) => check !== null),
  hugePageCheck(facts),
  ...wantedChecks(facts),
];
