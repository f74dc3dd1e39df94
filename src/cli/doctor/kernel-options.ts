/**
 * The options of a kernel that decide about contiguous and DMA memory. docs/KERNEL.md has one row for each (a test compares).
 * Facts: Kconfig files of Linux 6.1 and 6.12 (all of kernel/dma and drivers/dma-buf; mm, drivers/iommu, arch/x86, arch/arm64).
 */

export type Need =
  /** Without it the module does not build or load. */
  | "needed"
  /** What it gives is worth a kernel of one's own, or a boot parameter. */
  | "useful"
  /** Follows from other options or from the architecture; nobody sets it. */
  | "automatic"
  /** Restricts what works. */
  | "restricts"
  /** For finding faults; costs time. */
  | "debug";

export interface KernelOption {
  readonly name: string;
  readonly need: Need;
  readonly does: string;
  /** Only there; absent: everywhere. */
  readonly architecture?: "arm64" | "x64";
}

export const KERNEL_OPTIONS: readonly KernelOption[] = [
  {
    name: "MODULES",
    need: "needed",
    does: "loadable modules; without them the driver is built in (kmod/add-to-tree.sh)",
  },
  { name: "MMU", need: "automatic", does: "virtual memory" },
  { name: "HAS_DMA", need: "automatic", does: "the DMA API" },
  {
    name: "CONTIG_ALLOC",
    need: "needed",
    does: "large ranges without CMA; set by CMA, or by MEMORY_ISOLATION with COMPACTION",
  },
  { name: "COMPACTION", need: "useful", does: "moves pages to make room" },
  { name: "MIGRATION", need: "automatic", does: "moves the content of pages in use" },
  { name: "MEMORY_ISOLATION", need: "automatic", does: "keeps others out of a range while it is emptied" },
  {
    name: "CMA",
    need: "useful",
    does: "an area where only movable pages live, so that it can be emptied at any time",
  },
  { name: "DMA_CMA", need: "useful", does: "the DMA API's default area, cma= and reusable memory-regions" },
  { name: "CMA_SIZE_MBYTES", need: "useful", does: "size of the default area where no cma= is given" },
  { name: "CMA_SIZE_PERCENTAGE", need: "useful", does: "the same as a share of RAM" },
  { name: "CMA_SIZE_SEL_MBYTES", need: "automatic", does: "the size of the default area counts in MiB" },
  {
    name: "CMA_SIZE_SEL_PERCENTAGE",
    need: "automatic",
    does: "the size of the default area is a share of RAM",
  },
  { name: "CMA_SIZE_SEL_MIN", need: "automatic", does: "the smaller of the two sizes" },
  { name: "CMA_SIZE_SEL_MAX", need: "automatic", does: "the larger of the two sizes" },
  { name: "CMA_ALIGNMENT", need: "useful", does: "buffers are aligned to their size, at most to 2^n pages" },
  { name: "CMA_AREAS", need: "useful", does: "most areas; each reusable memory-region is one" },
  {
    name: "DMA_PERNUMA_CMA",
    need: "useful",
    does: "an area on each NUMA node (cma_pernuma=); DMA_NUMA_CMA from 6.6 on",
  },
  { name: "OF", need: "useful", does: "device tree: buffers as nodes" },
  { name: "OF_RESERVED_MEM", need: "automatic", does: "memory-region of the device tree" },
  { name: "DMA_DECLARE_COHERENT", need: "automatic", does: "no-map memory-regions" },
  { name: "DMA_GLOBAL_POOL", need: "automatic", does: "one coherent pool for machines without MMU" },
  { name: "DMA_SHARED_BUFFER", need: "useful", does: "dma-buf: export of buffers to other drivers" },
  {
    name: "SYNC_FILE",
    need: "automatic",
    does: "fences in user space; dma-buf heaps and graphics select it",
  },
  { name: "DMA_OPS", need: "automatic", does: "DMA through an IOMMU or Xen rather than directly" },
  { name: "DMA_OPS_BYPASS", need: "automatic", does: "powerpc: direct DMA past an IOMMU" },
  {
    name: "DMA_DIRECT_REMAP",
    need: "automatic",
    does: "kernel mappings without cache for devices that are not coherent",
    architecture: "arm64",
  },
  {
    name: "DMA_COHERENT_POOL",
    need: "automatic",
    does: "small coherent buffers in atomic context (coherent_pool=)",
  },
  { name: "DMA_NONCOHERENT_MMAP", need: "automatic", does: "the DMA API may map its memory for user space" },
  { name: "ARCH_DMA_ADDR_T_64BIT", need: "automatic", does: "device addresses of 64 bits" },
  { name: "NEED_SG_DMA_LENGTH", need: "automatic", does: "an IOMMU may join the entries of a scatter list" },
  { name: "NEED_DMA_MAP_STATE", need: "automatic", does: "drivers keep address and length until they unmap" },
  {
    name: "ARCH_HAS_FORCE_DMA_UNENCRYPTED",
    need: "restricts",
    does: "guests with encrypted memory (SEV, TDX) bounce all DMA",
  },
  {
    name: "ARCH_HAS_SETUP_DMA_OPS",
    need: "automatic",
    does: "arm64: the DMA of a device is set up when a driver is bound to it",
  },
  { name: "ARCH_HAS_TEARDOWN_DMA_OPS", need: "automatic", does: "the same, taken down when the driver goes" },
  {
    name: "ARCH_HAS_SYNC_DMA_FOR_DEVICE",
    need: "automatic",
    does: "sync_for_device has work: some devices are not coherent",
    architecture: "arm64",
  },
  {
    name: "ARCH_HAS_SYNC_DMA_FOR_CPU",
    need: "automatic",
    does: "sync_for_cpu has work",
    architecture: "arm64",
  },
  {
    name: "ZONE_DMA",
    need: "automatic",
    does: "a zone for devices with few address bits (16 MiB on x86-64)",
  },
  { name: "ZONE_DMA32", need: "automatic", does: "a zone below 4 GiB" },
  { name: "SWIOTLB", need: "automatic", does: "bounce buffers for devices that do not reach a page" },
  {
    name: "DMA_RESTRICTED_POOL",
    need: "restricts",
    does: "devices with a restricted-dma-pool always bounce",
  },
  { name: "IOMMU_API", need: "automatic", does: "IOMMU drivers" },
  { name: "IOMMU_DMA", need: "automatic", does: "the DMA API behind an IOMMU" },
  {
    name: "IOMMU_DEFAULT_PASSTHROUGH",
    need: "useful",
    does: "devices see physical addresses unless iommu.passthrough=0",
  },
  { name: "INTEL_IOMMU", need: "useful", does: "Intel VT-d", architecture: "x64" },
  { name: "AMD_IOMMU", need: "useful", does: "AMD-Vi", architecture: "x64" },
  {
    name: "ARM_SMMU",
    need: "useful",
    does: "SMMU version 2 (Zynq UltraScale+, many SoCs)",
    architecture: "arm64",
  },
  { name: "ARM_SMMU_V3", need: "useful", does: "SMMU version 3 (servers)", architecture: "arm64" },
  { name: "HUGETLBFS", need: "useful", does: "huge pages" },
  { name: "TRANSPARENT_HUGEPAGE", need: "useful", does: "huge pages for shared memory" },
  { name: "PROC_PAGE_MONITOR", need: "useful", does: "/proc/PID/pagemap: physring v2p" },
  { name: "UIO", need: "useful", does: "registers and interrupts of a device in user space" },
  { name: "VFIO", need: "useful", does: "the same behind an IOMMU" },
  { name: "DMABUF_HEAPS", need: "useful", does: "/dev/dma_heap, another source of DMA memory" },
  { name: "DMABUF_HEAPS_SYSTEM", need: "useful", does: "the heap of scattered pages" },
  { name: "DMABUF_HEAPS_CMA", need: "useful", does: "the heap of the default area" },
  { name: "DMABUF_MOVE_NOTIFY", need: "automatic", does: "graphics memory that moves while it is shared" },
  {
    name: "UDMABUF",
    need: "useful",
    does: "/dev/udmabuf (without a number): dma-bufs from memfds; not this module",
  },
  { name: "STRICT_DEVMEM", need: "restricts", does: "/dev/mem does not show RAM; nothing here needs it" },
  { name: "MODVERSIONS", need: "restricts", does: "a module fits only kernels with the same Module.symvers" },
  { name: "TRIM_UNUSED_KSYMS", need: "restricts", does: "drops exports that no module of the tree uses" },
  { name: "MODULE_SIG_FORCE", need: "restricts", does: "signed modules only" },
  { name: "SECURITY_LOCKDOWN_LSM", need: "restricts", does: "with Secure Boot, signed modules only" },
  { name: "CMA_DEBUG", need: "debug", does: "a log of each allocation" },
  { name: "CMA_DEBUGFS", need: "debug", does: "areas and their bitmaps in /sys/kernel/debug/cma" },
  { name: "CMA_SYSFS", need: "debug", does: "counts of successes and failures in /sys/kernel/mm/cma" },
  { name: "DMA_API_DEBUG", need: "debug", does: "finds wrong use of the DMA API" },
  { name: "DMA_API_DEBUG_SG", need: "debug", does: "the same for scatter lists" },
  { name: "DMA_MAP_BENCHMARK", need: "debug", does: "measures mapping" },
  { name: "DMABUF_DEBUG", need: "debug", does: "importers that look at pages of a scatter list crash" },
  { name: "DMABUF_SYSFS_STATS", need: "debug", does: "statistics of each dma-buf" },
  { name: "DMABUF_SELFTESTS", need: "debug", does: "tests at boot" },
  { name: "SW_SYNC", need: "debug", does: "fences made by user space, for tests" },
  {
    name: "PAGE_OWNER",
    need: "debug",
    does: "who holds the page that keeps a range from being emptied (page_owner=on)",
  },
];
