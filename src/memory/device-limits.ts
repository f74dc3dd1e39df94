/**
 * Mappings of a device that must not be touched, told before they are: u-dma-buf makes some that end the process (SIGBUS) or show other
 * memory than the buffer's, and any driver can be told to map without cache, where atomics need not work (docs/KERNEL.md).
 */
import { existsSync, readFileSync } from "node:fs";
import { isReadable } from "../ffi/futex.ts";
import { mapPlain, PAGE_BYTES } from "../ffi/mapping.ts";
import type { BufferFacts, DeviceBuffer } from "./device-buffer.ts";
import { RegionError } from "./errors.ts";
import { MmapMode, SYNC_MODE_ALWAYS, SYNC_MODE_CODE_MASK } from "./udmabuf-abi.ts";

export type MappingFacts = Pick<BufferFacts, "driver" | "coherent" | "mmapMode">;

/** `auto` as the driver takes it; of an old u-dma-buf that does not say, `on`. */
function effectiveMode({ mmapMode, coherent }: MappingFacts): number {
  if (mmapMode !== MmapMode.auto) return mmapMode ?? MmapMode.on;
  return coherent ? MmapMode.off : MmapMode.on;
}

/**
 * u-dma-buf's modes `on` and `page` take the device's address for a physical one if there is memory at it. Behind an IOMMU (`domain`: the type
 * of the device's IOMMU group, null without one) that is not the buffer's memory.
 */
export function translationRefusal(
  facts: MappingFacts,
  domain: string | null,
  hitsMemory: boolean,
): string | null {
  if (facts.driver === "physring" || domain?.startsWith("DMA") !== true || !hitsMemory) return null;
  const mode = effectiveMode(facts);
  if (mode === MmapMode.off) return null;
  return `its device is behind an IOMMU, and u-dma-buf's quirk_mmap_mode ${mode} would map other memory than the buffer: load it with quirk_mmap_mode=1, or physring's module (physring kmod)`;
}

/** Of a region, whose words are for atomics: on arm64 these are not guaranteed on memory that is mapped without cache. */
export function uncachedRefusal(
  facts: MappingFacts,
  syncMode: number | null,
  architecture: string,
): string | null {
  if (architecture === "x64" || (facts.driver === "physring" && facts.coherent)) return null;
  const code = (syncMode ?? 0) & SYNC_MODE_CODE_MASK;
  if (code !== 0 && ((syncMode ?? 0) & SYNC_MODE_ALWAYS) !== 0)
    return `its sync_mode ${syncMode} maps it without cache, where atomics are not guaranteed: write ${code} to sync_mode in sysfs, or take sync-always out of its device-tree node`;
  if (facts.driver === "u-dma-buf" && !facts.coherent && effectiveMode(facts) === MmapMode.off)
    return "u-dma-buf's quirk_mmap_mode 1 maps it without cache, where atomics are not guaranteed: load it with quirk_mmap_mode=2, or physring's module (physring kmod)";
  return null;
}

/** Without CMA u-dma-buf's mode `page` has memory of which only the first page can be mapped. */
function reachRefusal({ fd, facts, path }: DeviceBuffer): string | null {
  if (facts.driver === "physring" || facts.sizeBytes <= PAGE_BYTES) return null;
  const lastPage = Math.floor((facts.sizeBytes - 1) / PAGE_BYTES) * PAGE_BYTES;
  const mapping = mapPlain(fd, lastPage, PAGE_BYTES, false, path);
  try {
    if (isReadable(mapping.address)) return null;
  } finally {
    mapping.release();
  }
  return "its last page cannot be touched (SIGBUS): u-dma-buf's quirk_mmap_mode 4 needs memory from CMA; load it with another mode, or physring's module (physring kmod)";
}

function iommuDomain(device: string): string | null {
  try {
    return readFileSync(`/sys/class/u-dma-buf/${device}/device/iommu_group/type`, "utf8").trim();
  } catch {
    return null;
  }
}

const BLOCKS = "/sys/devices/system/memory";

/** Whether main memory has one of these addresses, by the kernel's blocks of it; true also where it does not tell. */
export function hitsMemory(base: number, sizeBytes: number, blocks = BLOCKS): boolean {
  let blockBytes: number;
  try {
    blockBytes = Number.parseInt(readFileSync(`${blocks}/block_size_bytes`, "utf8"), 16);
  } catch {
    return true;
  }
  if (!(blockBytes > 0)) return true;
  const last = Math.floor((base + sizeBytes - 1) / blockBytes);
  for (let block = Math.floor(base / blockBytes); block <= last; block++)
    if (existsSync(`${blocks}/memory${block}`)) return true;
  return false;
}

/** The reason and the remedy, or null. `name`: of the device, as in /sys/class/u-dma-buf. */
export function mappingRefusal(device: DeviceBuffer, name: string, use: "raw" | "region"): string | null {
  const { facts } = device;
  if (facts.driver === "u-dma-buf") {
    const atMemory = hitsMemory(facts.deviceBase ?? 0, facts.sizeBytes);
    const translation = translationRefusal(facts, iommuDomain(name), atMemory);
    if (translation !== null) return translation;
  }
  const uncached = use === "region" ? uncachedRefusal(facts, device.syncMode(), process.arch) : null;
  return uncached ?? reachRefusal(device);
}

/** Throws `REGION_UNSUPPORTED` where {@link mappingRefusal} has a reason. */
export function assertMappable(device: DeviceBuffer, name: string, use: "raw" | "region"): void {
  const refusal = mappingRefusal(device, name, use);
  if (refusal !== null)
    throw new RegionError("REGION_UNSUPPORTED", `${device.path} cannot be mapped: ${refusal}`);
}
