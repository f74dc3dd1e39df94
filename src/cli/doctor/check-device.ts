/** The module, its buffers, who may open them, and the IOMMU. */
import { MmapMode } from "../../memory/udmabuf-abi.ts";
import { binaryBytes } from "../kmod/status.ts";
import { installCommand } from "../system/distribution.ts";
import type { BufferReport } from "../system/udmabuf.ts";
import { bootArgumentFix } from "./boot-fix.ts";
import { type Check, type CheckGroup, finding, ok } from "./check.ts";
import type { DoctorFacts } from "./facts.ts";

const EXAMPLE = "udmabuf0=64MiB";
const OUR_DRIVER_FIX = "sudo rmmod u-dma-buf, then physring kmod build and load";

function moduleCheck(facts: DoctorFacts): Check {
  const { module } = facts;
  const id = "module.loaded";
  if (module !== null) {
    const isOurs =
      module.version?.includes("physring") ?? module.buffers.some(({ memory }) => memory !== null);
    // u-dma-buf's module has no version of its own, its devices have.
    const version = module.version ?? module.buffers[0]?.driverVersion ?? "of unknown version";
    const text = `u-dma-buf ${version} is loaded, ${module.buffers.length} buffers`;
    return isOurs
      ? ok(id, text)
      : finding(
          id,
          "note",
          `${text}; it is not physring's driver: no shared futexes, pagemap or sizes of 4 GiB`,
          OUR_DRIVER_FIX,
        );
  }
  return finding(
    id,
    "warning",
    "the module is not loaded: regions live in shared memory only, there is no memory for a device",
    ...loadFix(facts),
  );
}

function loadFix(facts: DoctorFacts): string[] {
  if (facts.container !== null)
    return [
      `this is a container (${facts.container}): load the module on the host and pass the device: --device /dev/udmabuf0`,
    ];
  if (facts.config !== null && facts.config.options["MODULES"] !== "y")
    return [
      "this kernel loads no modules (CONFIG_MODULES): boot another one, or build the driver in: kmod/add-to-tree.sh KERNEL_TREE",
    ];
  if (facts.modulesDisabled)
    return [
      "kernel.modules_disabled=1 holds until the next boot: load it earlier (sudo physring kmod install)",
    ];
  const signed =
    facts.lockdown !== null && facts.lockdown !== "none"
      ? [
          "the kernel is locked down (Secure Boot): the module must be signed; sudo physring kmod install --dkms signs it, mokutil --import enrols the key",
        ]
      : [];
  if (facts.installedModule !== null) return [...signed, `sudo physring kmod load ${EXAMPLE}`];
  if (facts.builtModule !== null)
    return [
      ...signed,
      `sudo physring kmod install --module ${facts.builtModule} ${EXAMPLE}`,
      "sudo physring kmod load",
    ];
  const headers = facts.hasHeaders
    ? []
    : [installCommand(facts.distribution, ["headers", "gcc", "make"], facts.release)];
  return [
    ...signed,
    ...headers,
    "physring kmod build",
    `sudo physring kmod install ${EXAMPLE} && sudo physring kmod load`,
  ];
}

function bufferChecks(facts: DoctorFacts, buffer: BufferReport): Check[] {
  const { name, sizeBytes, memory, coherent, coherentBecause, mmapMode } = buffer;
  const id = `buffer.${name}`;
  const size = sizeBytes === null ? "size unknown" : binaryBytes(sizeBytes);
  const text = `${name}: ${size} of ${memory ?? "unknown"} memory at device address ${buffer.deviceAddress ?? "(none)"}`;
  const checks = [
    buffer.deviceAddress === null
      ? finding(
          id,
          "warning",
          `${text}: the device that it was for is gone`,
          `close what still has it open (sudo fuser -v /dev/${name}), then: sudo physring kmod unload && sudo physring kmod load`,
        )
      : ok(id, text),
  ];
  const because = `because ${coherentBecause}`;
  checks.push(
    coherent === false
      ? finding(
          `${id}.coherent`,
          "note",
          `${name} is not coherent with the caches, ${because}: payload needs sync (the library does it)`,
          ...coherentFix(buffer, facts),
        )
      : ok(`${id}.coherent`, `${name} is coherent with the caches, ${because}`),
  );
  if (mmapMode !== null && mmapMode !== 5) checks.push(modeCheck(`${id}.mode`, buffer, facts));
  return checks;
}

/** Of a buffer that is not mapped in physring's way. */
function modeCheck(id: string, { name, memory, mmapMode }: BufferReport, facts: DoctorFacts): Check {
  if (memory === "no-map")
    return finding(
      id,
      "note",
      `${name} has no page frames (no-map): wait words live in a sidecar, no pagemap, no O_DIRECT`,
      "in the node of its region, instead of no-map: reusable;",
    );
  const isForeign = memory === null;
  if (isForeign && mmapMode === MmapMode.page && (facts.memory["CmaTotal"] ?? 0) === 0)
    return finding(
      id,
      "warning",
      `${name} is mapped with quirk_mmap_mode 4 and there is no CMA: u-dma-buf maps its first page only, so no region can be on it`,
      "load u-dma-buf without quirk_mmap_mode",
      `or ${OUR_DRIVER_FIX}`,
    );
  return finding(
    id,
    "note",
    `${name} is mapped with quirk_mmap_mode ${mmapMode}: wait words live in a sidecar, no pagemap or O_DIRECT with modes 1 to 3`,
    isForeign ? OUR_DRIVER_FIX : "load without quirk_mmap_mode (5 is the default of physring's driver)",
  );
}

function coherentFix({ name, memory }: BufferReport, { architecture }: DoctorFacts): string[] {
  if (architecture !== "arm64") return [];
  // u-dma-buf has no such parameter.
  const parameter =
    memory !== null && /^udmabuf[0-7]$/.test(name)
      ? [`only if the FPGA's port snoops the caches (ACP, HPC, CCI): modprobe u-dma-buf ${name}_coherent=1`]
      : [];
  return [...parameter, "or in its device-tree node: dma-coherent;"];
}

function accessChecks(facts: DoctorFacts): Check[] {
  const { module, closedNodes, hasUdevRule, groups } = facts;
  if (module === null || module.buffers.length === 0) return [];
  const id = "module.access";
  if (closedNodes.length === 0) {
    const open = module.buffers
      .filter(({ node }) => node !== null && (node.mode & 0o006) !== 0)
      .map(({ name }) => name);
    if (open.length > 0)
      return [
        finding(
          id,
          "warning",
          `${open.join(", ")}: every user may open the memory that a device writes`,
          "sudo physring kmod install   (a udev rule with a group), then load again",
        ),
      ];
    return [ok(id, "this user may open the buffers")];
  }
  const fix = hasUdevRule
    ? ["sudo usermod -a -G physring $USER   (or the group that the udev rule names), then log in again"]
    : [
        "sudo physring kmod install   (a udev rule with the group physring), then: sudo usermod -a -G physring $USER, log in again, load again",
      ];
  return [
    finding(
      id,
      "warning",
      `this user (groups ${groups.join(", ") || "unknown"}) may not open ${closedNodes.join(", ")}`,
      ...fix,
    ),
  ];
}

function iommuChecks(facts: DoctorFacts): Check[] {
  const { iommu, module, architecture } = facts;
  const id = "iommu";
  const translates = iommu.types.some((type) => type.startsWith("DMA"));
  if (iommu.groups === 0) return [ok(id, "no IOMMU: devices see physical addresses")];
  if (!translates)
    return [ok(id, `IOMMU in pass-through (${iommu.groups} groups): devices see physical addresses`)];
  const text = `an IOMMU translates the addresses of devices (${iommu.groups} groups)`;
  const unbound = (module?.buffers ?? []).filter(
    ({ parent }) => parent === null || parent.startsWith("platform/u-dma-buf"),
  );
  if (unbound.length === 0) return [ok(id, `${text}; buffers are bound to their devices`)];
  const pass = architecture === "x64" ? "iommu=pt" : "iommu.passthrough=1";
  return [
    finding(
      id,
      "warning",
      `${text}, and ${unbound.map(({ name }) => name).join(", ")} belongs to none of them: a PCI device that uses its address faults`,
      `make it for the device: sudo physring kmod load ${unbound[0]!.name}=SIZE ${unbound[0]!.name}_bind=pci/0000:01:00.0`,
      ...bootArgumentFix(facts, pass).map((line) => `or no translation: ${line}`),
    ),
  ];
}

export const checkDevice: CheckGroup = (facts) => [
  moduleCheck(facts),
  ...(facts.module?.buffers ?? []).flatMap((buffer) => bufferChecks(facts, buffer)),
  ...accessChecks(facts),
  ...iommuChecks(facts),
];
