// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Export of a part of a buffer as a dma-buf.  The dma-buf holds the device
 * file it was made from, and with it the memory and the module.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "udb.h"

UDB_IMPORT_NS_DMA_BUF;

/* The length of a scatterlist entry is an unsigned int. */
#define UDB_SEGMENT_BYTES	SZ_1G

struct udb_export {
	struct file *file;
	struct udb_memory *memory;	/* held by file */
	unsigned long first_page;
	u64 size;
	bool uncached;
	struct mutex lock;		/* of attachments */
	struct list_head attachments;
};

struct udb_attachment {
	struct device *dev;
	struct sg_table table;
	struct list_head link;
	bool mapped;
};

static int udb_fill_table(struct sg_table *table, const struct udb_export *e)
{
	u64 left = e->size;
	unsigned long index = e->first_page;
	struct scatterlist *sg;
	unsigned int i;
	int error;

	if (udb_inject())
		return -ENOMEM;
	error = sg_alloc_table(table, DIV_ROUND_UP_ULL(e->size, UDB_SEGMENT_BYTES), GFP_KERNEL);
	if (error)
		return error;
	for_each_sgtable_sg(table, sg, i) {
		unsigned int bytes = min_t(u64, left, UDB_SEGMENT_BYTES);

		sg_set_page(sg, udb_page(e->memory, index), bytes, 0);
		index += bytes >> PAGE_SHIFT;
		left -= bytes;
	}
	return 0;
}

static int udb_dmabuf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	struct udb_export *e = dmabuf->priv;
	struct udb_attachment *a = udb_zalloc(sizeof(*a));
	int error;

	if (!a)
		return -ENOMEM;
	error = udb_fill_table(&a->table, e);
	if (error) {
		kfree(a);
		return error;
	}
	a->dev = attachment->dev;
	attachment->priv = a;
	mutex_lock(&e->lock);
	list_add(&a->link, &e->attachments);
	mutex_unlock(&e->lock);
	return 0;
}

static void udb_dmabuf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attachment)
{
	struct udb_export *e = dmabuf->priv;
	struct udb_attachment *a = attachment->priv;

	mutex_lock(&e->lock);
	list_del(&a->link);
	mutex_unlock(&e->lock);
	sg_free_table(&a->table);
	kfree(a);
}

/* The importer's device must see these pages and no bounce buffer. */
static bool udb_table_is_direct(const struct udb_export *e, struct udb_attachment *a)
{
	phys_addr_t phys = PFN_PHYS(e->memory->first_pfn + e->first_page);
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(&a->table, sg, i) {
		if (!udb_dma_is_direct(a->dev, sg_dma_address(sg), phys, sg_dma_len(sg)))
			return false;
		phys += sg_dma_len(sg);
	}
	return true;
}

static struct sg_table *udb_dmabuf_map(struct dma_buf_attachment *attachment,
				       enum dma_data_direction direction)
{
	struct udb_export *e = attachment->dmabuf->priv;
	struct udb_attachment *a = attachment->priv;
	int error = dma_map_sgtable(a->dev, &a->table, direction, UDB_MAP_ATTRS);

	if (error)
		return ERR_PTR(error);
	if (!udb_table_is_direct(e, a)) {
		dma_unmap_sgtable(a->dev, &a->table, direction, UDB_MAP_ATTRS);
		return ERR_PTR(-EIO);
	}
	dma_sync_sgtable_for_device(a->dev, &a->table, direction);
	mutex_lock(&e->lock);
	a->mapped = true;
	mutex_unlock(&e->lock);
	return &a->table;
}

static void udb_dmabuf_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			     enum dma_data_direction direction)
{
	struct udb_export *e = attachment->dmabuf->priv;
	struct udb_attachment *a = attachment->priv;

	mutex_lock(&e->lock);
	a->mapped = false;
	mutex_unlock(&e->lock);
	dma_sync_sgtable_for_cpu(a->dev, table, direction);
	dma_unmap_sgtable(a->dev, table, direction, UDB_MAP_ATTRS);
}

/*
 * CPU access is for the buffer's own device, as it was with u-dma-buf, and for those
 * that import it.  A device that is gone has nothing to say any more.
 */
static void udb_export_sync(struct udb_export *e, enum dma_data_direction direction,
			    bool for_device)
{
	udb_sync_bytes(e->memory, (u64)e->first_page << PAGE_SHIFT, e->size, direction, for_device);
}

static int udb_dmabuf_begin_cpu_access(struct dma_buf *dmabuf,
				       enum dma_data_direction direction)
{
	struct udb_export *e = dmabuf->priv;
	struct udb_attachment *a;

	udb_export_sync(e, direction, false);
	mutex_lock(&e->lock);
	list_for_each_entry(a, &e->attachments, link)
		if (a->mapped)
			dma_sync_sgtable_for_cpu(a->dev, &a->table, direction);
	mutex_unlock(&e->lock);
	return 0;
}

static int udb_dmabuf_end_cpu_access(struct dma_buf *dmabuf,
				     enum dma_data_direction direction)
{
	struct udb_export *e = dmabuf->priv;
	struct udb_attachment *a;

	udb_export_sync(e, direction, true);
	mutex_lock(&e->lock);
	list_for_each_entry(a, &e->attachments, link)
		if (a->mapped)
			dma_sync_sgtable_for_device(a->dev, &a->table, direction);
	mutex_unlock(&e->lock);
	return 0;
}

/* The core has checked the range against the dma-buf's size. */
static int udb_dmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct udb_export *e = dmabuf->priv;

	vma_set_file(vma, e->file);
	vma->vm_pgoff += e->first_page;
	return udb_mmap(e->memory, vma, e->uncached);
}

static void udb_dmabuf_release(struct dma_buf *dmabuf)
{
	struct udb_export *e = dmabuf->priv;

	fput(e->file);
	mutex_destroy(&e->lock);
	kfree(e);
}

static const struct dma_buf_ops udb_dmabuf_ops = {
	.attach			= udb_dmabuf_attach,
	.detach			= udb_dmabuf_detach,
	.map_dma_buf		= udb_dmabuf_map,
	.unmap_dma_buf		= udb_dmabuf_unmap,
	.begin_cpu_access	= udb_dmabuf_begin_cpu_access,
	.end_cpu_access		= udb_dmabuf_end_cpu_access,
	.mmap			= udb_dmabuf_mmap,
	.release		= udb_dmabuf_release,
};

/* Nobody gets more through the dma-buf than through the file it came from. */
static int udb_check_export(struct file *file, const struct udb_memory *m,
			    struct u_dma_buf_export *arg)
{
	/* An importer needs pages. */
	if (m->kind == U_DMA_BUF_MEMORY_POOL)
		return -EOPNOTSUPP;
	if (arg->flags & ~(u64)(O_CLOEXEC | O_SYNC | O_ACCMODE))
		return -EINVAL;
	if ((arg->flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	if ((arg->flags & O_ACCMODE) != O_WRONLY && !(file->f_mode & FMODE_READ))
		return -EACCES;
	if ((arg->flags & O_ACCMODE) != O_RDONLY && !(file->f_mode & FMODE_WRITE))
		return -EACCES;
	if (!PAGE_ALIGNED(arg->offset) || !PAGE_ALIGNED(arg->size))
		return -EINVAL;
	if (arg->offset >= udb_map_size(m) || arg->size > udb_map_size(m) - arg->offset)
		return -EINVAL;
	if (!arg->size)
		arg->size = udb_map_size(m) - arg->offset;
	return 0;
}

static struct dma_buf *udb_dmabuf_create(struct file *file, struct udb_memory *m,
					 const struct u_dma_buf_export *arg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct udb_export *e = udb_zalloc(sizeof(*e));
	struct dma_buf *dmabuf;

	if (!e)
		return ERR_PTR(-ENOMEM);
	mutex_init(&e->lock);
	INIT_LIST_HEAD(&e->attachments);
	e->file = get_file(file);
	e->memory = m;
	e->first_page = arg->offset >> PAGE_SHIFT;
	e->size = arg->size;
	e->uncached = udb_wants_uncached(m, arg->flags, udb_file_sync(file->private_data).mode);

	info.exp_name = UDB_DRIVER_NAME;
	info.ops = &udb_dmabuf_ops;
	info.size = arg->size;
	info.flags = arg->flags & (O_ACCMODE | O_SYNC);
	info.priv = e;
	dmabuf = udb_inject() ? ERR_PTR(-ENOMEM) : dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		fput(file);
		kfree(e);
	}
	return dmabuf;
}

/**
 * udb_export - export a range as a dma-buf
 * @file: an open of the device; the dma-buf keeps it
 * @arg: the request; size, addr and fd are filled in
 * @user: where the answer goes before the descriptor becomes visible
 */
int udb_export(struct file *file, struct u_dma_buf_export *arg,
	       struct u_dma_buf_export __user *user)
{
	struct udb_file *uf = file->private_data;
	struct dma_buf *dmabuf;
	dma_addr_t addr;
	int error, fd;

	error = udb_check_export(file, uf->memory, arg);
	if (!error)
		error = udb_dma_addr(uf->memory, &addr);
	if (error)
		return error;
	fd = get_unused_fd_flags(arg->flags & O_CLOEXEC);
	if (fd < 0)
		return fd;
	dmabuf = udb_dmabuf_create(file, uf->memory, arg);
	if (IS_ERR(dmabuf)) {
		put_unused_fd(fd);
		return PTR_ERR(dmabuf);
	}
	arg->addr = addr + arg->offset;
	arg->fd = fd;
	if (copy_to_user(user, arg, sizeof(*arg))) {
		dma_buf_put(dmabuf);
		put_unused_fd(fd);
		return -EFAULT;
	}
	fd_install(fd, dmabuf->file);
	return 0;
}
