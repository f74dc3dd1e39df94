// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The mapping on which everything works.  The pages of a buffer are the page
 * cache of a private inode, so a mapping of them is that of an ordinary file:
 * /proc/PID/pagemap shows the frames, shared futexes find their key (inode and
 * index), O_DIRECT, vmsplice and process_vm_readv can take references.
 *
 * The pages are entered here and not by filemap_add_folio(), because that puts
 * them on the reclaimer's lists, and CMA can not take a page back from there.
 * They are never clean nor dirty, never written back, never reclaimed: each
 * has one reference from its source and one from the cache.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/xarray.h>

#include "compat.h"
#include "udb.h"

#define UDB_FS_MAGIC		0x55444246	/* "UDBF" */
#define UDB_RESCHED_PAGES	512

static struct vfsmount *udb_mount;

/* There is nowhere to write to, so a store makes no page dirty. */
static bool udb_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	return false;
}

static const struct address_space_operations udb_aops = {
	.dirty_folio = udb_dirty_folio,
};

static int udb_cache_add(struct address_space *mapping, struct page *page, pgoff_t index)
{
	struct folio *folio = page_folio(page);
	int error;

	/* For tests: some pages stand for all. */
	if (!(index & (index - 1)) && udb_inject())
		return -ENOMEM;
	folio_get(folio);
	folio->mapping = mapping;
	folio->index = index;
	__folio_mark_uptodate(folio);
	error = xa_err(xa_store_irq(&mapping->i_pages, index, folio, GFP_KERNEL));
	if (error) {
		folio->mapping = NULL;
		folio_put(folio);
	}
	return error;
}

/* The lock excludes a walker of the cache that found the page just before. */
static void udb_cache_remove(struct address_space *mapping, struct page *page, pgoff_t index)
{
	struct folio *folio = page_folio(page);

	folio_lock(folio);
	xa_erase_irq(&mapping->i_pages, index);
	folio->mapping = NULL;
	folio_unlock(folio);
	folio_put(folio);
}

static void udb_cache_remove_first(struct udb_memory *m, unsigned long count)
{
	struct address_space *mapping = m->inode->i_mapping;
	unsigned long i;

	for (i = 0; i < count; i++) {
		udb_cache_remove(mapping, udb_page(m, i), i);
		if (!(i % UDB_RESCHED_PAGES))
			cond_resched();
	}
	mapping->nrpages = 0;
}

/**
 * udb_cache_create - make the pages the page cache of a new inode
 * @m: the memory
 *
 * Return: 0 or -ENOMEM.
 */
int udb_cache_create(struct udb_memory *m)
{
	struct inode *inode;
	unsigned long i;
	int error;

	inode = udb_inject() ? ERR_PTR(-ENOMEM) : alloc_anon_inode(udb_mount->mnt_sb);
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	m->inode = inode;
	inode->i_mapping->a_ops = &udb_aops;
	for (i = 0; i < m->nr_pages; i++) {
		error = udb_cache_add(inode->i_mapping, udb_page(m, i), i);
		if (error)
			goto undo;
		if (!(i % UDB_RESCHED_PAGES))
			cond_resched();
	}
	inode->i_mapping->nrpages = m->nr_pages;
	i_size_write(inode, udb_map_size(m));
	return 0;

undo:
	udb_cache_remove_first(m, i);
	iput(inode);
	m->inode = NULL;
	return error;
}

/* No mapping is left: each holds a file, and each file holds the memory. */
void udb_cache_destroy(struct udb_memory *m)
{
	udb_cache_remove_first(m, m->nr_pages);
	iput(m->inode);
	m->inode = NULL;
	/* A lookup that began before the removal may still take and drop a page. */
	synchronize_rcu();
}

static int udb_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, UDB_FS_MAGIC) ? 0 : -ENOMEM;
}

/* No owner: the mount made at load would keep the module loaded for ever. */
static struct file_system_type udb_fs_type = {
	.name = "u-dma-buf",
	.init_fs_context = udb_init_fs_context,
	.kill_sb = kill_anon_super,
};

int __init udb_cache_init(void)
{
	udb_mount = udb_inject() ? ERR_PTR(-ENOMEM) : kern_mount(&udb_fs_type);
	return PTR_ERR_OR_ZERO(udb_mount);
}

void udb_cache_exit(void)
{
	kern_unmount(udb_mount);
}
