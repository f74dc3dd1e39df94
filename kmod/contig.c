// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Contiguous ranges on kernels without CMA: find a range of pages that look
 * movable and let alloc_contig_range() move their content elsewhere.  The
 * kernel's own search, alloc_contig_pages(), is not exported before 7.x.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/memory_hotplug.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "udb.h"

/* Windows that looked good and were not: each may cost much migration. */
#define UDB_CONTIG_ATTEMPTS	512
/*
 * A window is taken in pieces: the kernel clears a range without ever giving
 * way to others, and a piece that fails tells where not to look again.
 */
#define UDB_PIECE_PAGES		((64UL << 20) >> PAGE_SHIFT)
#define UDB_CONTIG_NONE		ULONG_MAX

/* alloc_contig_range() of overlapping ranges makes both callers fail. */
static DEFINE_MUTEX(udb_contig_lock);

/*
 * A hint: alloc_contig_range() decides.  In use, but neither on a list of the
 * reclaimer nor anybody's mapping: the kernel's own memory, which never moves.
 */
static bool udb_pfn_is_obstacle(unsigned long pfn, const struct zone *zone)
{
	struct page *page = pfn_to_online_page(pfn);

	if (!page || page_zone(page) != zone || PageReserved(page))
		return true;
	if (!page_count(page) || PageLRU(page))
		return false;
	return PageSlab(page) || !READ_ONCE(page->mapping);
}

/* Searched backwards, because everything up to the last obstacle is useless. */
static unsigned long udb_last_obstacle(unsigned long start, unsigned long end,
				       const struct zone *zone)
{
	unsigned long pfn;

	for (pfn = end; pfn-- > start;) {
		if (udb_pfn_is_obstacle(pfn, zone))
			return pfn;
		if (!(pfn % pageblock_nr_pages))
			cond_resched();
	}
	return UDB_CONTIG_NONE;
}

/* Return: end, or the start of the piece that can not be had. */
static unsigned long udb_take_window(unsigned long start, unsigned long end)
{
	unsigned long pfn, next;

	for (pfn = start; pfn < end; pfn = next) {
		next = min(pfn + UDB_PIECE_PAGES, end);
		if (fatal_signal_pending(current) ||
		    udb_inject() ||
		    udb_alloc_contig_range(pfn, next, GFP_KERNEL | __GFP_NOWARN))
			break;
		cond_resched();
	}
	if (pfn < end && pfn > start)
		free_contig_range(start, pfn - start);
	return pfn;
}

/*
 * What looks movable and is not often goes on for gibibytes: another buffer of
 * this module (pages of a page cache that refuses to move them), somebody's CMA
 * area.  So steps double while windows fail at their very start, up to a length
 * that may be lost without much harm.
 */
static unsigned long udb_longest_step(unsigned long nr_pages)
{
	return max(ALIGN_DOWN(nr_pages / 16, pageblock_nr_pages), UDB_PIECE_PAGES);
}

static struct page *udb_contig_take_in(struct zone *zone, unsigned long nr_pages,
				       unsigned long limit_pfn,
				       unsigned int *attempts)
{
	unsigned long start = ALIGN(zone->zone_start_pfn, pageblock_nr_pages);
	unsigned long end = min(zone_end_pfn(zone), limit_pfn);
	unsigned long step = pageblock_nr_pages;
	unsigned long obstacle, stopped;

	while (start < end && end - start >= nr_pages) {
		if (fatal_signal_pending(current))
			return NULL;

		obstacle = udb_last_obstacle(start, start + nr_pages, zone);
		if (obstacle != UDB_CONTIG_NONE) {
			start = ALIGN(obstacle + 1, pageblock_nr_pages);
			step = pageblock_nr_pages;
			continue;
		}
		if (!*attempts)
			return NULL;
		(*attempts)--;
		stopped = udb_take_window(start, start + nr_pages);
		if (stopped == start + nr_pages)
			return pfn_to_page(start);
		if (stopped > start)
			step = pageblock_nr_pages;
		/* Every window that begins before it contains that piece, too. */
		start = stopped + step;
		step = min(step * 2, udb_longest_step(nr_pages));
	}
	return NULL;
}

/* From the top, so that the zones of devices with small masks stay free. */
static struct page *udb_contig_take_on(int node, unsigned long nr_pages,
				       unsigned long limit_pfn)
{
	unsigned int attempts = UDB_CONTIG_ATTEMPTS;
	struct page *page;
	int i;

	for (i = MAX_NR_ZONES - 1; i >= 0; i--) {
		struct zone *zone = &NODE_DATA(node)->node_zones[i];

		/* ZONE_MOVABLE is kept free of what stays, ZONE_DEVICE is no RAM. */
		if (!populated_zone(zone) || zone_idx(zone) >= ZONE_MOVABLE)
			continue;
		page = udb_contig_take_in(zone, nr_pages, limit_pfn, &attempts);
		if (page)
			return page;
	}
	return NULL;
}

/**
 * udb_contig_take - get contiguous pages by moving others out of the way
 * @nr_pages: how many
 * @node: preferred NUMA node or NUMA_NO_NODE
 * @limit: highest physical address the last byte may have
 *
 * Return: the first page, each with a reference count of one, or NULL.
 */
struct page *udb_contig_take(unsigned long nr_pages, int node, phys_addr_t limit)
{
	unsigned long limit_pfn = limit == PHYS_ADDR_MAX ? ULONG_MAX : PHYS_PFN(limit + 1);
	struct page *page = NULL;
	int other;

	if (mutex_lock_killable(&udb_contig_lock))
		return NULL;
	if (node != NUMA_NO_NODE)
		page = udb_contig_take_on(node, nr_pages, limit_pfn);
	for_each_online_node(other) {
		if (page)
			break;
		if (other != node)
			page = udb_contig_take_on(other, nr_pages, limit_pfn);
	}
	mutex_unlock(&udb_contig_lock);
	return page;
}
