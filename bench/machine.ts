/** What the figures were measured on, and how busy the machine was meanwhile. */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export interface Machine {
  readonly processor: string;
  readonly logicalCpus: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly architecture: string;
  readonly virtual: boolean;
  readonly bun: string;
  /** Logical CPUs of the two ends. */
  readonly pinned: readonly [number, number];
  readonly l3: string;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return otherwise;
  }
}

/** CPUs this process may use, from e.g. "0-3,8". */
export function allowedCpus(): number[] {
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return list.split(",").flatMap((part) => {
    const [first, last] = part.split("-").map(Number);
    return Array.from({ length: (last ?? first!) - first! + 1 }, (_, i) => first! + i);
  });
}

/** Two CPUs on different cores of one package where there is a choice.
 * @throws Error with fewer than two CPUs */
export function choosePair(): readonly [number, number] {
  const topology = (cpu: number, what: string): string =>
    readOr(`/sys/devices/system/cpu/cpu${cpu}/topology/${what}`, String(cpu));
  const [first, ...others] = allowedCpus();
  const differentCore = (cpu: number): boolean => topology(cpu, "core_id") !== topology(first!, "core_id");
  const samePackage = (cpu: number): boolean =>
    topology(cpu, "physical_package_id") === topology(first!, "physical_package_id");
  const second =
    others.find((cpu) => differentCore(cpu) && samePackage(cpu)) ?? others.find(differentCore) ?? others[0];
  if (first === undefined || second === undefined)
    throw new Error("the benchmark needs two CPUs: both ends spin");
  return [first, second];
}

export function describeMachine(pinned: readonly [number, number]): Machine {
  const info = readFileSync("/proc/cpuinfo", "utf8");
  return {
    processor: cpus()[0]?.model ?? "unknown",
    logicalCpus: cpus().length,
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    kernel: release(),
    architecture: process.arch,
    virtual: /^flags.*\bhypervisor\b/m.test(info),
    bun: Bun.version,
    pinned,
    l3: readOr("/sys/devices/system/cpu/cpu0/cache/index3/size", "unknown"),
  };
}

/** Milliseconds of CPU time that the whole machine has spent since boot, and that the hypervisor has taken away. */
export interface CpuTime {
  readonly atMs: number;
  readonly busyMs: number;
  readonly stolenMs: number;
}

const TICK_MS = 10;

export function readCpuTime(): CpuTime {
  const fields = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const [user, nice, system, , , irq, softirq, steal] = fields as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    atMs: performance.now(),
    busyMs: (user + nice + system + irq + softirq) * TICK_MS,
    stolenMs: steal * TICK_MS,
  };
}

/** Share of one CPU that others used between two readings, our own processes and stolen time considered. */
export function foreignShare(before: CpuTime, after: CpuTime, ownMs: number): number {
  const elapsedMs = after.atMs - before.atMs;
  const foreignMs = after.busyMs - before.busyMs - ownMs + (after.stolenMs - before.stolenMs);
  return Math.max(0, foreignMs) / elapsedMs;
}
