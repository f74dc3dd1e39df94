/** Everything that the checks look at, as plain data: collected once, printed by --facts, fed to the checks by tests. */
import type { Distribution } from "../system/distribution.ts";
import type { KernelConfig } from "../system/kernel-config.ts";
import type { ModuleReport } from "../system/udmabuf.ts";

/** One thing that the library rests on, tried in this process. */
export interface Probe {
  readonly name: string;
  readonly ok: boolean;
  /** What was seen. */
  readonly detail: string;
}

export interface BuddyZone {
  readonly node: number;
  readonly zone: string;
  /** Free blocks of 2^index pages. */
  readonly free: readonly number[];
}

export interface ReservedRegion {
  readonly name: string;
  readonly compatible: string;
  readonly isReusable: boolean;
  readonly isNoMap: boolean;
  /** Null: placed by the kernel (`size`, `alloc-ranges`). */
  readonly start: number | null;
  readonly sizeBytes: number | null;
}

/** What of this machine tells its kernel how to boot. */
export interface BootLoader {
  readonly hasGrub: boolean;
  readonly hasDeviceTree: boolean;
  readonly hasExtlinux: boolean;
  /** /boot/firmware/cmdline.txt of the Raspberry Pi. */
  readonly hasCmdlineFile: boolean;
}

export interface SharedMemory {
  readonly path: string;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly isTmpfs: boolean;
}

export interface DoctorFacts {
  /** Node's name: `x64`, `arm64`. */
  readonly architecture: string;
  readonly release: string;
  readonly distribution: Distribution;
  readonly isRoot: boolean;
  readonly groups: readonly string[];
  /** Which one; null: none that shows. In a container the kernel is the host's. */
  readonly container: string | null;
  readonly config: KernelConfig | null;
  readonly bootArguments: string;
  readonly boot: BootLoader;
  readonly lockdown: string | null;
  readonly modulesDisabled: boolean;
  readonly pageBytes: number;
  /** /proc/meminfo in bytes (HugePages_* are counts). */
  readonly memory: Readonly<Record<string, number>>;
  readonly buddy: readonly BuddyZone[];
  readonly reserved: readonly ReservedRegion[];
  readonly iommu: {
    readonly groups: number;
    /** Of the groups: `DMA`, `DMA-FQ`, `identity`. */
    readonly types: readonly string[];
    readonly units: readonly string[];
  };
  readonly module: ModuleReport | null;
  readonly installedModule: string | null;
  readonly builtModule: string | null;
  readonly hasHeaders: boolean;
  readonly hasUdevRule: boolean;
  /** Nodes of buffers that this user may not open for reading and writing. */
  readonly closedNodes: readonly string[];
  readonly shm: SharedMemory | null;
  readonly shmHugePages: string | null;
  readonly glibc: string | null;
  readonly bun: string;
  readonly probes: readonly Probe[];
  /** Sizes of the buffers that are wanted. */
  readonly wantedBytes: readonly number[];
}
