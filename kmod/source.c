// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Where the pages of a buffer come from and go back to:
 *
 *   pool     the device's memory-region with no-map: frames without pages
 *   CMA      the device's memory-region or the default area, if there is one
 *   buddy    one block of the page allocator, split, for up to 4 MiB
 *   contig   a range emptied by migration (contig.c), on any stock kernel
 *
 * Except in a pool, each page then has its own reference count, so whoever still holds one (a
 * pipe, a socket) keeps just that page when the buffer is given back.
 */
#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/of_reserved_mem.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "compat.h"
#include "udb.h"

/* Orders above this exist on no configuration with 4 KiB pages before 6.8. */
#define UDB_BUDDY_MAX_BYTES	(4UL << 20)
#define UDB_RESCHED_PAGES	512

static bool udb_below(const struct udb_memory *m, phys_addr_t limit)
{
	return udb_phys(m) + udb_map_size(m) - 1 <= limit;
}

static bool udb_each_count_is_one(const struct udb_memory *m)
{
	unsigned long i;

	for (i = 0; i < m->nr_pages; i++)
		if (page_count(udb_page(m, i)) != 1)
			return false;
	return true;
}

static void udb_zero(const struct udb_memory *m)
{
	unsigned long i;

	for (i = 0; i < m->nr_pages; i++) {
		clear_highpage(udb_page(m, i));
		if (!(i % UDB_RESCHED_PAGES))
			cond_resched();
	}
}

/* Has the device a memory-region with no-map?  Then nothing else will do. */
bool udb_has_pool(struct device *dev)
{
#ifdef CONFIG_DMA_DECLARE_COHERENT
	return dev->dma_mem;
#else
	return false;
#endif
}

/* Zeroed by the pool. */
static bool udb_pool_take(struct udb_memory *m, struct device *dev)
{
	if (udb_inject())
		return false;
	m->pool_virt = dma_alloc_coherent(dev, udb_map_size(m), &m->pool_handle,
					  GFP_KERNEL | __GFP_NOWARN);
	if (!m->pool_virt)
		return false;
	m->first_pfn = PHYS_PFN(dma_to_phys(dev, m->pool_handle));
	m->pool_dev = get_device(dev);
	return true;
}

/*
 * The region of a node of ours stays assigned to its device until here, whatever
 * becomes of that.  A device of somebody else's keeps its region.
 */
static void udb_pool_give(struct udb_memory *m)
{
	memset(m->pool_virt, 0, udb_map_size(m));
	dma_free_coherent(m->pool_dev, udb_map_size(m), m->pool_virt, m->pool_handle);
	if (m->owns_region)
		of_reserved_mem_device_release(m->pool_dev);
	put_device(m->pool_dev);
}

#ifdef CONFIG_DMA_CMA

static void udb_cma_dev_release(struct device *dev)
{
	kfree(dev->dma_mask);
	kfree(dev);
}

/*
 * A device that is never registered.  CMA pages are freed for the device they
 * were allocated for, and the real one may be gone by then.
 */
static struct device *udb_cma_dev_create(struct device *dev, phys_addr_t limit)
{
	struct device *cma_dev = udb_zalloc(sizeof(*cma_dev));

	if (!cma_dev)
		return NULL;
	device_initialize(cma_dev);
	cma_dev->release = udb_cma_dev_release;
	cma_dev->dma_mask = udb_zalloc(sizeof(u64));
	if (!cma_dev->dma_mask || udb_inject() || dev_set_name(cma_dev, "u-dma-buf-cma")) {
		put_device(cma_dev);
		return NULL;
	}
	*cma_dev->dma_mask = limit;
	cma_dev->coherent_dma_mask = limit;
	cma_dev->cma_area = dev->cma_area;
	set_dev_node(cma_dev, dev_to_node(dev));
	return cma_dev;
}

/* True if @dev has a CMA area of its own: then nothing else will do. */
static bool udb_cma_is_required(struct device *dev)
{
	return dev->cma_area;
}

static bool udb_cma_take(struct udb_memory *m, struct device *dev, phys_addr_t limit)
{
	struct page *page;

	m->cma_dev = udb_cma_dev_create(dev, limit);
	if (!m->cma_dev)
		return false;
	page = udb_inject() ? NULL :
	       dma_alloc_pages(m->cma_dev, udb_map_size(m), &m->cma_handle,
			       DMA_BIDIRECTIONAL, GFP_KERNEL | __GFP_NOWARN);
	if (!page)
		goto no_pages;
	m->first_pfn = page_to_pfn(page);
	/* There is no such error with a page; DMA-API debug of 6.1 wants it looked for. */
	if (dma_mapping_error(m->cma_dev, m->cma_handle))
		goto free_pages;

	/*
	 * Pages of CMA have a count of one each.  If the area was full or does
	 * not exist this is a block of the page allocator whose tail pages
	 * have none; the other sources do that better.
	 */
	if (m->nr_pages > 1 && udb_each_count_is_one(m))
		return true;
	if (udb_cma_is_required(dev) && udb_each_count_is_one(m))
		return true;
free_pages:
	dma_free_pages(m->cma_dev, udb_map_size(m), page, m->cma_handle, DMA_BIDIRECTIONAL);
no_pages:
	put_device(m->cma_dev);
	m->cma_dev = NULL;
	return false;
}

static void udb_cma_give(struct udb_memory *m)
{
	dma_free_pages(m->cma_dev, udb_map_size(m), udb_page(m, 0), m->cma_handle,
		       DMA_BIDIRECTIONAL);
	put_device(m->cma_dev);
}

#else

static bool udb_cma_is_required(struct device *dev)
{
	return false;
}

static bool udb_cma_take(struct udb_memory *m, struct device *dev, phys_addr_t limit)
{
	return false;
}

static void udb_cma_give(struct udb_memory *m)
{
}

#endif /* CONFIG_DMA_CMA */

static gfp_t udb_zone_flags(phys_addr_t limit)
{
	if (IS_ENABLED(CONFIG_ZONE_DMA) && limit <= DMA_BIT_MASK(24))
		return GFP_DMA;
	if (IS_ENABLED(CONFIG_ZONE_DMA32) && limit <= DMA_BIT_MASK(32))
		return GFP_DMA32;
	return 0;
}

static bool udb_buddy_take(struct udb_memory *m, struct device *dev, phys_addr_t limit)
{
	unsigned int order = get_order(udb_map_size(m));
	struct page *page;
	unsigned long i;

	if (udb_map_size(m) > UDB_BUDDY_MAX_BYTES || udb_inject())
		return false;
	page = alloc_pages_node(dev_to_node(dev),
				GFP_KERNEL | __GFP_NOWARN | udb_zone_flags(limit), order);
	if (!page)
		return false;
	m->first_pfn = page_to_pfn(page);
	if (!udb_below(m, limit)) {
		__free_pages(page, order);
		return false;
	}
	split_page(page, order);
	for (i = m->nr_pages; i < 1UL << order; i++)
		__free_page(udb_page(m, i));
	return true;
}

static bool udb_range_take(struct udb_memory *m, struct device *dev, phys_addr_t limit)
{
	struct page *page;

	if (udb_inject())
		return false;
	page = udb_contig_take(m->nr_pages, dev_to_node(dev), limit);
	if (!page)
		return false;
	m->first_pfn = page_to_pfn(page);
	return true;
}

static bool udb_take(struct udb_memory *m, struct device *dev, phys_addr_t limit)
{
	if (udb_has_pool(dev)) {
		m->kind = U_DMA_BUF_MEMORY_POOL;
		return udb_pool_take(m, dev);
	}
	if (udb_cma_take(m, dev, limit)) {
		m->kind = U_DMA_BUF_MEMORY_CMA;
		return true;
	}
	if (udb_cma_is_required(dev))
		return false;
	if (udb_buddy_take(m, dev, limit)) {
		m->kind = U_DMA_BUF_MEMORY_BUDDY;
		return true;
	}
	if (udb_range_take(m, dev, limit)) {
		m->kind = U_DMA_BUF_MEMORY_CONTIG;
		return true;
	}
	return false;
}

static void udb_explain_failure(const struct udb_memory *m, struct device *dev,
				phys_addr_t limit)
{
	u64 ram = (u64)totalram_pages() << PAGE_SHIFT;

	if (udb_map_size(m) - 1 > limit)
		pr_err_ratelimited("u-dma-buf: %s: %llu bytes can not lie below the device's limit %pa. Remedy: load with dma_mask_bit=64 if the device has 64 address bits\n",
		       m->name, m->size, &limit);
	else if (udb_map_size(m) > ram && !udb_has_pool(dev))
		pr_err_ratelimited("u-dma-buf: %s: %llu bytes are more than the %llu bytes of RAM. Remedy: a smaller buffer\n",
		       m->name, m->size, ram);
	else if (udb_cma_is_required(dev) || udb_has_pool(dev))
		pr_err_ratelimited("u-dma-buf: %s: its memory-region has no %llu contiguous free bytes. Remedy: a larger region in the device tree, or a smaller buffer\n",
		       m->name, m->size);
	else
		pr_err_ratelimited("u-dma-buf: %s: no %llu contiguous bytes can be freed below %pa. Remedy: %sload the module earlier (/etc/modules-load.d), free memory (echo 3 > /proc/sys/vm/drop_caches), %s\n",
		       m->name, m->size, &limit,
		       limit < DMA_BIT_MASK(64) ?
		       "dma_mask_bit=64 if the device has more address bits, " : "",
		       IS_ENABLED(CONFIG_DMA_CMA) ? "or boot with a larger cma=" :
		       "or use a kernel with CONFIG_DMA_CMA");
}

/**
 * udb_source_take - get the pages of @m, zeroed
 * @m: with name, size and nr_pages set; first_pfn and kind are filled in
 * @dev: the device the memory is for
 * @limit: highest physical address the device reaches
 *
 * Return: 0, or -ENOMEM or -EINTR after saying why in the log.
 */
int udb_source_take(struct udb_memory *m, struct device *dev, phys_addr_t limit)
{
	/* The memory of a pool is not counted as RAM. */
	bool possible = udb_map_size(m) - 1 <= limit &&
			(udb_has_pool(dev) || m->nr_pages <= totalram_pages());

	if (!possible || !udb_take(m, dev, limit)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		udb_explain_failure(m, dev, limit);
		return -ENOMEM;
	}
	/* With init_on_alloc=1 the kernel has done it. */
	if (m->kind != U_DMA_BUF_MEMORY_POOL && !want_init_on_alloc(GFP_KERNEL))
		udb_zero(m);
	return 0;
}

/* A page that somebody still reads (a pipe) is theirs now, content and all. */
static void udb_give_pages(struct udb_memory *m)
{
	unsigned long i;

	for (i = 0; i < m->nr_pages; i++) {
		struct page *page = udb_page(m, i);

		if (page_count(page) == 1 && !want_init_on_free())
			clear_highpage(page);
		put_page(page);
		if (!(i % UDB_RESCHED_PAGES))
			cond_resched();
	}
}

/**
 * udb_source_give - zero the pages and give them back
 * @m: the memory; no file, mapping or dma-buf uses it any more
 *
 * Return: false if it has to be tried again: CMA takes an area back only when
 * nobody holds any of its pages, and a pipe or a socket may.
 */
bool udb_source_give(struct udb_memory *m)
{
	if (m->kind == U_DMA_BUF_MEMORY_POOL) {
		udb_pool_give(m);
		return true;
	}
	if (m->kind != U_DMA_BUF_MEMORY_CMA) {
		udb_give_pages(m);
		return true;
	}
	if (!udb_each_count_is_one(m))
		return false;
	udb_zero(m);
	udb_cma_give(m);
	return true;
}
