// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The device's view of a buffer: which pages it can reach, the address it
 * uses for them, and the cache maintenance between it and the CPU.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "compat.h"
#include "udb.h"

#define UDB_RESCHED_BYTES	SZ_16M

static const enum dma_data_direction udb_directions[] = {
	DMA_BIDIRECTIONAL, DMA_TO_DEVICE, DMA_FROM_DEVICE,
};

/* Return: false if it is none of uapi/u-dma-buf.h. */
bool udb_direction(unsigned int direction, enum dma_data_direction *kernels)
{
	if (direction >= ARRAY_SIZE(udb_directions))
		return false;
	*kernels = udb_directions[direction];
	return true;
}

static bool udb_is_translated(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type != IOMMU_DOMAIN_IDENTITY;
}

/* For the log; the words are those that u-dma-buf's users know. */
const char *udb_dma_domain_name(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	if (!domain)
		return "NONE";
	switch (domain->type) {
	case IOMMU_DOMAIN_BLOCKED:
		return "BLOCKED";
	case IOMMU_DOMAIN_IDENTITY:
		return "IDENTITY";
	case IOMMU_DOMAIN_UNMANAGED:
		return "UNMANAGED";
	default:
		return "DMA";
	}
}

/**
 * udb_dma_limit - the highest physical address that @dev reaches
 * @dev: a device with its DMA mask set
 */
phys_addr_t udb_dma_limit(struct device *dev)
{
	const struct bus_dma_region *region = dev->dma_range_map;
	u64 mask = min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
	phys_addr_t limit = 0;

	if (udb_is_translated(dev))
		return PHYS_ADDR_MAX;
	if (!region)
		return min_t(u64, mask, PHYS_ADDR_MAX);
	for (; region->size; region++) {
		u64 last = min(mask, region->dma_start + region->size - 1);

		if (mask >= region->dma_start)
			limit = max_t(phys_addr_t, limit,
				      region->cpu_start + last - region->dma_start);
	}
	return limit;
}

/* The physical address that the device reaches with @addr. */
static phys_addr_t udb_device_sees(struct device *dev, struct iommu_domain *domain,
				   dma_addr_t addr)
{
	return domain ? iommu_iova_to_phys(domain, addr) : dma_to_phys(dev, addr);
}

/**
 * udb_dma_is_direct - does the device see these very pages?
 * @dev: the device
 * @addr: its address of the first byte
 * @phys: where the first byte is
 * @size: whole pages
 *
 * If the kernel put a bounce buffer in between, bytes would be copied at map
 * and sync time only, and a device that runs on its own would never meet the
 * CPU.
 */
bool udb_dma_is_direct(struct device *dev, dma_addr_t addr, phys_addr_t phys, u64 size)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	u64 offset;

	for (offset = 0; offset < size; offset += PAGE_SIZE) {
		if (udb_device_sees(dev, domain, addr + offset) != phys + offset)
			return false;
		if (!(offset % UDB_RESCHED_BYTES))
			cond_resched();
	}
	return true;
}

/**
 * udb_dma_attach - map the whole buffer for a device
 * @m: the memory
 * @dev: the device
 *
 * Return: 0, or -EIO after saying why in the log.
 */
int udb_dma_attach(struct udb_memory *m, struct device *dev)
{
	dma_addr_t addr;

	m->dma_mask_bits = fls64(dma_get_mask(dev));
	if (m->kind == U_DMA_BUF_MEMORY_POOL) {
		m->dma_dev = get_device(dev);
		m->dma_addr = m->pool_handle;
		m->coherent = true;
		return 0;
	}

	if (udb_inject())
		return -ENOMEM;
	addr = dma_map_page_attrs(dev, udb_page(m, 0), 0, udb_map_size(m), DMA_BIDIRECTIONAL,
				  UDB_MAP_ATTRS);
	if (dma_mapping_error(dev, addr)) {
		pr_err_ratelimited("u-dma-buf: %s: the kernel can not map %llu bytes for %s without a bounce buffer. Remedy: no swiotlb=force, or a wider dma_mask_bit\n",
		       m->name, m->size, dev_name(dev));
		return -EIO;
	}
	if (!udb_dma_is_direct(dev, addr, udb_phys(m), udb_map_size(m))) {
		dma_unmap_page_attrs(dev, addr, udb_map_size(m), DMA_BIDIRECTIONAL,
				     UDB_MAP_ATTRS);
		pr_err_ratelimited("u-dma-buf: %s: the mapping for %s goes through a bounce buffer and is refused. Remedy: no swiotlb=force, or a wider dma_mask_bit\n",
		       m->name, dev_name(dev));
		return -EIO;
	}
	dma_sync_single_for_device(dev, addr, udb_map_size(m), DMA_BIDIRECTIONAL);
	m->dma_dev = get_device(dev);
	m->dma_addr = addr;
	m->coherent = dev_is_dma_coherent(dev);
	return 0;
}

static void udb_dma_unmap(struct udb_memory *m)
{
	dma_sync_single_for_cpu(m->dma_dev, m->dma_addr, udb_map_size(m), DMA_BIDIRECTIONAL);
	dma_unmap_page_attrs(m->dma_dev, m->dma_addr, udb_map_size(m), DMA_BIDIRECTIONAL,
			     UDB_MAP_ATTRS);
}

/**
 * udb_memory_detach - take the buffer away from its device
 * @m: the memory
 *
 * The device, its driver or the last user goes.  The memory stays for whoever
 * still has it mapped; device addresses and sync then fail with ENODEV, and
 * nobody waits for a doorbell any more.
 */
void udb_memory_detach(struct udb_memory *m)
{
	down_write(&m->dma_lock);
	if (m->dma_dev) {
		if (m->kind != U_DMA_BUF_MEMORY_POOL)
			udb_dma_unmap(m);
		put_device(m->dma_dev);
		m->dma_dev = NULL;
		m->dma_addr = 0;
	}
	up_write(&m->dma_lock);
	udb_bells_gone(&m->bells);
}

/* Return: 0 with the device address in @addr, or -ENODEV after detach. */
int udb_dma_addr(struct udb_memory *m, dma_addr_t *addr)
{
	int error = 0;

	down_read(&m->dma_lock);
	if (m->dma_dev)
		*addr = m->dma_addr;
	else
		error = -ENODEV;
	up_read(&m->dma_lock);
	return error;
}

/**
 * udb_sync_bytes - cache maintenance, if the device needs any
 * @m: the memory
 * @offset: bytes from its start
 * @size: bytes, within whole pages of the memory; 0 does nothing
 * @direction: as the kernel counts them
 * @for_device: else for the CPU
 *
 * Return: 0, -ENODEV after detach.
 */
int udb_sync_bytes(struct udb_memory *m, u64 offset, u64 size,
		   enum dma_data_direction direction, bool for_device)
{
	int error = 0;

	down_read(&m->dma_lock);
	if (!m->dma_dev)
		error = -ENODEV;
	else if (m->coherent || !size)
		error = 0;
	else if (for_device)
		dma_sync_single_for_device(m->dma_dev, m->dma_addr + offset, size, direction);
	else
		dma_sync_single_for_cpu(m->dma_dev, m->dma_addr + offset, size, direction);
	up_read(&m->dma_lock);
	return error;
}

bool udb_is_range(const struct udb_memory *m, u64 offset, u64 size)
{
	return offset <= m->size && size <= m->size - offset;
}

/**
 * udb_sync_range - hand a range to the CPU or to the device
 * @m: the memory
 * @offset: bytes from its start
 * @size: bytes; 0 does nothing
 * @direction: 0 both, 1 the device reads, 2 the device writes
 * @for_device: else for the CPU
 *
 * Return: 0, -EINVAL for a range outside the buffer, -ENODEV after detach.
 */
int udb_sync_range(struct udb_memory *m, u64 offset, u64 size,
		   unsigned int direction, bool for_device)
{
	enum dma_data_direction kernels;

	if (!udb_direction(direction, &kernels) || !udb_is_range(m, offset, size))
		return -EINVAL;
	return udb_sync_bytes(m, offset, size, kernels, for_device);
}
