/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * All that differs between kernels, 6.1 and later.  Decided by compiling small
 * programs against the very kernel (probe.sh), because distributions move
 * changes to older version numbers.
 */
#ifndef UDB_COMPAT_H
#define UDB_COMPAT_H

#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "probed.h"

/* 6.3: vm_flags is written through functions. */
static inline void udb_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#if UDB_HAVE_VM_FLAGS_SET
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* 6.16: flags in place of a migrate type. */
static inline int udb_alloc_contig_range(unsigned long start, unsigned long end, gfp_t gfp)
{
#if UDB_HAVE_ACR_FLAGS
	return alloc_contig_range(start, end, ACR_FLAGS_NONE, gfp);
#else
	return alloc_contig_range(start, end, MIGRATE_MOVABLE, gfp);
#endif
}

/* 6.11: platform_driver.remove returns nothing. */
#if UDB_HAVE_PLATFORM_REMOVE_VOID
#define UDB_REMOVE_RESULT	void
#define UDB_REMOVE_DONE
#else
#define UDB_REMOVE_RESULT	int
#define UDB_REMOVE_DONE		0
#endif

/* Only where there are devices that are not coherent with the caches. */
static inline int udb_set_dma_coherent(struct device *dev, bool coherent)
{
#if UDB_HAVE_DMA_COHERENT
	dev->dma_coherent = coherent;
	return 0;
#else
	return coherent ? 0 : -EINVAL;
#endif
}

/* 6.8: always by one. */
static inline void udb_eventfd_signal(struct eventfd_ctx *ctx)
{
#if UDB_HAVE_EVENTFD_SIGNAL_ONE
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* 6.13: the name space is a string. */
#if UDB_HAVE_IMPORT_NS_BARE
#define UDB_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#else
#define UDB_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#endif

#endif /* UDB_COMPAT_H */
