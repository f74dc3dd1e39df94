/** The module and its buffers as /sys and /dev show them; our driver's and u-dma-buf's. Nothing is opened. */
import type { FileMode, SystemFiles } from "./files.ts";

export interface BufferReport {
  readonly name: string;
  readonly sizeBytes: number | null;
  /** Address for the device, hexadecimal; null: not told (its device is gone). */
  readonly deviceAddress: string | null;
  /** Address on the CPU's side; null on u-dma-buf, which does not tell. */
  readonly physicalAddress: string | null;
  /** `cma`, `contig`, `buddy`, `no-map`; null on u-dma-buf. */
  readonly memory: string | null;
  readonly mmapMode: number | null;
  readonly coherent: boolean | null;
  /** Why it counts as coherent or not. */
  readonly coherentBecause: string;
  readonly instanceId: string | null;
  readonly driverVersion: string | null;
  /** Bus and name of the device that it is for: `platform/u-dma-buf.0`. */
  readonly parent: string | null;
  readonly node: (FileMode & { readonly path: string }) | null;
}

export interface ModuleReport {
  readonly version: string | null;
  readonly references: number | null;
  /** Parameters with a value, as given. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly buffers: readonly BufferReport[];
  readonly hasManager: boolean;
}

const MODULE = "/sys/module/u_dma_buf";
const CLASS = "/sys/class/u-dma-buf";
export const MANAGER_NODE = "/dev/u-dma-buf-mgr";

/** Most buffers that the driver makes (minors 0-255); more is no driver of ours. */
const MAX_BUFFERS = 256;

/** Null: not loaded, nor built into the kernel. */
export function readModule(files: SystemFiles, architecture: string): ModuleReport | null {
  if (!files.exists(MODULE) && !files.exists(CLASS)) return null;
  const parameters: Record<string, string> = {};
  for (const name of files.list(`${MODULE}/parameters`)) {
    const value = files.line(`${MODULE}/parameters/${name}`);
    if (value !== null && value !== "" && value !== "(null)") parameters[name] = value;
  }
  const names = files.list(CLASS).slice(0, MAX_BUFFERS);
  return {
    version: files.line(`${MODULE}/version`),
    references: files.number(`${MODULE}/refcnt`),
    parameters,
    buffers: names.map((name) => readBuffer(files, name, architecture, parameters)),
    hasManager: files.exists(MANAGER_NODE),
  };
}

function readBuffer(
  files: SystemFiles,
  name: string,
  architecture: string,
  parameters: Readonly<Record<string, string>>,
): BufferReport {
  const directory = `${CLASS}/${name}`;
  const coherent = files.number(`${directory}/dma_coherent`);
  const memory = files.line(`${directory}/memory`);
  const device = files.real(`${directory}/device`);
  const bus = files.real(`${directory}/device/subsystem`)?.split("/").pop();
  const path = `/dev/${name}`;
  const mode = files.mode(path);
  return {
    name,
    sizeBytes: files.number(`${directory}/size`),
    deviceAddress: files.line(`${directory}/dma_addr`) ?? files.line(`${directory}/phys_addr`),
    physicalAddress: files.line(`${directory}/cpu_phys_addr`),
    memory,
    mmapMode: files.number(`${directory}/quirk_mmap_mode`),
    coherent: coherent === null ? null : coherent === 1,
    coherentBecause: coherenceReason({
      architecture,
      isCoherent: coherent === 1,
      memory,
      parameter: parameters[`${name}_coherent`] ?? null,
      bus: bus ?? null,
      hasNode: files.exists(`${directory}/device/of_node`),
      saysCoherent: files.exists(`${directory}/device/of_node/dma-coherent`),
      saysNonCoherent: files.exists(`${directory}/device/of_node/dma-noncoherent`),
    }),
    instanceId: files.line(`${directory}/instance_id`),
    driverVersion: files.line(`${directory}/driver_version`),
    parent: device === null ? null : `${bus ?? "?"}/${device.split("/").pop()}`,
    node: mode === null ? null : { ...mode, path },
  };
}

export interface CoherenceFacts {
  readonly architecture: string;
  readonly isCoherent: boolean;
  readonly memory: string | null;
  /** udmabufN_coherent: `-1` is not given. */
  readonly parameter: string | null;
  readonly bus: string | null;
  readonly hasNode: boolean;
  readonly saysCoherent: boolean;
  readonly saysNonCoherent: boolean;
}

/** Where the kernel took it from; mirrors of_dma_is_coherent() and the module's parameters. */
export function coherenceReason(facts: CoherenceFacts): string {
  const { architecture, memory, parameter, bus } = facts;
  if (architecture === "x64") return "on x86-64 every device is coherent with the caches";
  if (memory === "no-map") return "no-map memory is never cached";
  if (parameter === "0" || parameter === "1") return `the module parameter says so (=${parameter})`;
  if (facts.saysCoherent) return "the device-tree node has dma-coherent";
  if (facts.saysNonCoherent) return "the device-tree node has dma-noncoherent";
  if (facts.hasNode)
    return "neither its device-tree node nor those above say dma-coherent, so the platform's default holds";
  if (bus === "pci") return "what the firmware says of its PCI host bridge (dma-coherent, or _CCA of ACPI)";
  if (facts.isCoherent) return "the platform says so of every device";
  return "a platform device without a device-tree node counts as not coherent; if the FPGA's port is coherent, load with udmabufN_coherent=1 or say dma-coherent in the device tree";
}
