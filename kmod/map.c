// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * mmap in its five modes.  What each can do is measured by test/vm and listed
 * in docs/KERNEL.md.
 *
 * On a device that is not coherent a program may ask for a mapping without
 * cache (O_SYNC).  Memory that is mapped both ways at once has no defined
 * content, so a buffer has mappings of one kind at a time.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "udb.h"

/* Set by the module parameter of this name. */
bool udb_mixed_attributes;

/**
 * udb_wants_uncached - what kind of mapping does this open ask for?
 * @m: the memory
 * @file_flags: O_SYNC asks for it
 * @sync_mode: 4 and more ask for it too; 0 and 4 never change the mapping
 *
 * Memory of a no-map region has no cached mapping, not even in the kernel.
 * x86 keeps its memory coherent and knows no such mapping of it.
 */
bool udb_wants_uncached(const struct udb_memory *m, unsigned int file_flags,
			unsigned int sync_mode)
{
	if (!IS_ENABLED(CONFIG_ARM64) && !IS_ENABLED(CONFIG_ARM))
		return false;
	if (m->kind == U_DMA_BUF_MEMORY_POOL)
		return true;
	return !m->coherent && (sync_mode & 3) && ((file_flags & O_SYNC) || (sync_mode & 4));
}

/*
 * One more mapping of this kind.  The first one after the other kind finds
 * neither old bytes in memory nor old bytes in the cache.
 */
static int udb_view_take(struct udb_view *view)
{
	struct udb_memory *m = view->memory;
	struct udb_view *other = view == &m->views[0] ? &m->views[1] : &m->views[0];
	int error = 0;

	mutex_lock(&m->view_lock);
	if (other->maps && !udb_mixed_attributes) {
		error = -EBUSY;
	} else if (m->last_view != view) {
		error = udb_sync_range(m, 0, m->size, 0, true);
		if (!error)
			error = udb_sync_range(m, 0, m->size, 0, false);
	}
	if (!error) {
		view->maps++;
		m->last_view = view;
	}
	mutex_unlock(&m->view_lock);
	return error;
}

static void udb_view_give(struct udb_view *view)
{
	mutex_lock(&view->memory->view_lock);
	view->maps--;
	mutex_unlock(&view->memory->view_lock);
}

/* A fork, or a mapping that was cut in two. */
static void udb_vma_open(struct vm_area_struct *vma)
{
	struct udb_view *view = vma->vm_private_data;

	mutex_lock(&view->memory->view_lock);
	view->maps++;
	mutex_unlock(&view->memory->view_lock);
}

static void udb_vma_close(struct vm_area_struct *vma)
{
	udb_view_give(vma->vm_private_data);
}

static const struct udb_memory *udb_vma_memory(const struct vm_area_struct *vma)
{
	const struct udb_view *view = vma->vm_private_data;

	return view->memory;
}

/* Mode 1: all frames at once, so there is no fault. */
static const struct vm_operations_struct udb_pfn_now_vm_ops = {
	.open = udb_vma_open,
	.close = udb_vma_close,
};

/* Mode 2: the frame without its struct page, when touched. */
static vm_fault_t udb_pfn_fault(struct vm_fault *vmf)
{
	const struct udb_memory *m = udb_vma_memory(vmf->vma);

	if (vmf->pgoff >= m->nr_pages)
		return VM_FAULT_SIGBUS;
	return vmf_insert_pfn(vmf->vma, vmf->address, m->first_pfn + vmf->pgoff);
}

static const struct vm_operations_struct udb_pfn_vm_ops = {
	.open = udb_vma_open,
	.close = udb_vma_close,
	.fault = udb_pfn_fault,
};

/* Mode 4: the struct page, when touched. */
static vm_fault_t udb_page_fault(struct vm_fault *vmf)
{
	const struct udb_memory *m = udb_vma_memory(vmf->vma);

	if (vmf->pgoff >= m->nr_pages)
		return VM_FAULT_SIGBUS;
	return vmf_insert_page(vmf->vma, vmf->address, udb_page(m, vmf->pgoff));
}

static const struct vm_operations_struct udb_page_vm_ops = {
	.open = udb_vma_open,
	.close = udb_vma_close,
	.fault = udb_page_fault,
};

/* Mode 5: all is done by the page cache (cache.c). */
static const struct vm_operations_struct udb_cache_vm_ops = {
	.open = udb_vma_open,
	.close = udb_vma_close,
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
};

/*
 * A long-term pin of a CMA page never returns: the kernel tries to move the
 * page out of CMA, can not, and tries again.  Kernels from 6.5 on refuse such
 * pins of mappings whose file system wants to know about first stores, so the
 * mere presence of this function turns the endless loop into EFAULT.
 */
static vm_fault_t udb_cma_mkwrite(struct vm_fault *vmf)
{
	return 0;
}

static const struct vm_operations_struct udb_cma_cache_vm_ops = {
	.open = udb_vma_open,
	.close = udb_vma_close,
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
	.page_mkwrite = udb_cma_mkwrite,
};

static int udb_mmap_pfn_now(struct udb_memory *m, struct vm_area_struct *vma)
{
	vma->vm_ops = &udb_pfn_now_vm_ops;
	return remap_pfn_range(vma, vma->vm_start, m->first_pfn + vma->vm_pgoff,
			       vma->vm_end - vma->vm_start, vma->vm_page_prot);
}

static int udb_mmap_pfn_by_fault(struct udb_memory *m, struct vm_area_struct *vma)
{
	udb_vm_flags_set(vma, VM_PFNMAP | VM_IO);
	vma->vm_ops = &udb_pfn_vm_ops;
	return 0;
}

static int udb_mmap_page(struct udb_memory *m, struct vm_area_struct *vma)
{
	udb_vm_flags_set(vma, VM_MIXEDMAP);
	vma->vm_ops = &udb_page_vm_ops;
	return 0;
}

static int udb_mmap_cache(struct udb_memory *m, struct vm_area_struct *vma)
{
	vma->vm_ops = m->kind == U_DMA_BUF_MEMORY_CMA ? &udb_cma_cache_vm_ops :
							&udb_cache_vm_ops;
	return 0;
}

static int udb_mmap_by_mode(struct udb_memory *m, struct vm_area_struct *vma)
{
	switch (m->mmap_mode) {
	case U_DMA_BUF_MMAP_OFF:
		return udb_mmap_pfn_now(m, vma);
	case U_DMA_BUF_MMAP_ON:
		return udb_mmap_pfn_by_fault(m, vma);
	case U_DMA_BUF_MMAP_AUTO:
		return m->coherent ? udb_mmap_pfn_now(m, vma) :
				     udb_mmap_pfn_by_fault(m, vma);
	case U_DMA_BUF_MMAP_PAGE:
		return udb_mmap_page(m, vma);
	case U_DMA_BUF_MMAP_CACHE:
		return udb_mmap_cache(m, vma);
	}
	return -EINVAL;
}

/**
 * udb_mmap - map a part of the buffer
 * @m: the memory; vma->vm_file holds a reference to it
 * @vma: pages vm_pgoff onwards are mapped
 * @uncached: from udb_wants_uncached()
 *
 * A private mapping is refused: its copies would be ordinary memory that no
 * device sees, and a copy of a PFN mapping is a BUG() in the kernel.
 *
 * Return: 0, -EINVAL for a private mapping or a range outside the buffer,
 * -EBUSY if the buffer is mapped with the other memory attribute.
 */
int udb_mmap(struct udb_memory *m, struct vm_area_struct *vma, bool uncached)
{
	unsigned long count = vma_pages(vma);
	struct udb_view *view = &m->views[uncached];
	int error;

	/* A shared mapping of a read-only open has VM_MAYSHARE only. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff > m->nr_pages || count > m->nr_pages - vma->vm_pgoff)
		return -EINVAL;

	error = udb_view_take(view);
	if (error)
		return error;
	vma->vm_private_data = view;
	udb_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	if (uncached)
		vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	error = udb_mmap_by_mode(m, vma);
	if (error)
		udb_view_give(view);
	return error;
}
