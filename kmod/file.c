// SPDX-License-Identifier: GPL-2.0 OR MIT
/* File operations of /dev/udmabufN. */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "compat.h"
#include "udb.h"

static struct udb_file *udb_file_create(struct udb_memory *m)
{
	struct udb_file *uf = udb_zalloc(sizeof(*uf));

	if (!uf)
		return NULL;
	mutex_init(&uf->lock);
	uf->memory = udb_memory_get(m);
	udb_listener_add(&m->bells, &uf->listener);
	return uf;
}

static void udb_file_destroy(struct udb_file *uf)
{
	udb_listener_remove(&uf->memory->bells, &uf->listener);
	udb_memory_put(uf->memory);
	if (uf->udev)
		put_device(&uf->udev->dev);
	mutex_destroy(&uf->lock);
	kfree(uf);
}

static int udb_open(struct inode *inode, struct file *file)
{
	struct udb_device *udev = container_of(inode->i_cdev, struct udb_device, cdev);
	struct udb_file *uf = udb_file_create(udev->memory);

	if (!uf)
		return -ENOMEM;
	get_device(&udev->dev);
	uf->udev = udev;
	if (uf->memory->inode)
		file->f_mapping = uf->memory->inode->i_mapping;
	file->private_data = uf;
	return 0;
}

static int udb_release(struct inode *inode, struct file *file)
{
	struct udb_file *uf = file->private_data;

	/* The private inode goes with the memory. */
	file->f_mapping = inode->i_mapping;
	udb_file_destroy(uf);
	return 0;
}

static int udb_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct udb_file *uf = file->private_data;

	return udb_mmap(uf->memory, vma,
			udb_wants_uncached(uf->memory, file->f_flags, udb_file_sync(uf).mode));
}

static loff_t udb_llseek(struct file *file, loff_t offset, int whence)
{
	struct udb_file *uf = file->private_data;

	return fixed_size_llseek(file, offset, whence, uf->memory->size);
}

/*
 * With O_SYNC, or a sync_mode of 4 and more, read and write sync by themselves;
 * and they must while somebody else has a mapping without cache.
 */
static bool udb_syncs_itself(struct file *file)
{
	struct udb_file *uf = file->private_data;

	return !uf->memory->coherent &&
	       ((file->f_flags & O_SYNC) || udb_file_sync(uf).mode & 4 ||
		READ_ONCE(uf->memory->views[1].maps));
}

/* Return: bytes copied; fewer than @count if the caller's memory faults. */
static size_t udb_copy(struct udb_memory *m, u64 pos, size_t count,
		       struct iov_iter *iter, bool to_buffer)
{
	size_t done = 0;

	while (done < count) {
		size_t offset = offset_in_page(pos + done);
		size_t bytes = min_t(size_t, count - done, PAGE_SIZE - offset);
		struct page *page = udb_page(m, (pos + done) >> PAGE_SHIFT);
		void *at = m->pool_virt + pos + done;
		size_t copied;

		if (m->kind == U_DMA_BUF_MEMORY_POOL)
			copied = to_buffer ? copy_from_iter(at, bytes, iter) :
					     copy_to_iter(at, bytes, iter);
		else
			copied = to_buffer ? copy_page_from_iter(page, offset, bytes, iter) :
					     copy_page_to_iter(page, offset, bytes, iter);
		done += copied;
		if (copied < bytes)
			break;
		cond_resched();
	}
	return done;
}

/*
 * The copy goes through the cache.  What is there of the range may be older than the
 * memory, and is given up first: before a read for the bytes themselves, before a write
 * for their neighbours in the lines at the ends, which it would clean over what the
 * device or a mapping without cache has stored.  No line is in two such copies at once.
 *
 * Return: bytes copied, 0 if the caller's memory faults, or the error of the sync.
 */
static ssize_t udb_copy_synced(struct udb_memory *m, u64 pos, size_t count,
			       struct iov_iter *iter, bool to_buffer)
{
	ssize_t done;
	int error;

	if (mutex_lock_killable(&m->copy_lock))
		return -EINTR;
	/* What others have stored through the cache stays there, should the copy end early. */
	error = to_buffer ? udb_sync_bytes(m, pos, count, DMA_TO_DEVICE, true) : 0;
	if (!error)
		error = udb_sync_bytes(m, pos, count, DMA_FROM_DEVICE, false);
	done = error ? 0 : udb_copy(m, pos, count, iter, to_buffer);
	if (done && to_buffer)
		error = udb_sync_bytes(m, pos, done, DMA_TO_DEVICE, true);
	mutex_unlock(&m->copy_lock);
	return error ? error : done;
}

static ssize_t udb_transfer(struct kiocb *iocb, struct iov_iter *iter, bool to_buffer)
{
	struct udb_file *uf = iocb->ki_filp->private_data;
	struct udb_memory *m = uf->memory;
	u64 pos = iocb->ki_pos;
	size_t count = min_t(u64, iov_iter_count(iter), m->size - pos);
	ssize_t done;

	done = udb_syncs_itself(iocb->ki_filp) ? udb_copy_synced(m, pos, count, iter, to_buffer) :
						 udb_copy(m, pos, count, iter, to_buffer);
	if (done > 0)
		iocb->ki_pos += done;
	return done ? done : -EFAULT;
}

static ssize_t udb_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct udb_file *uf = iocb->ki_filp->private_data;

	if (iocb->ki_pos >= uf->memory->size || !iov_iter_count(to))
		return 0;
	return udb_transfer(iocb, to, false);
}

static ssize_t udb_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct udb_file *uf = iocb->ki_filp->private_data;

	if (!iov_iter_count(from))
		return 0;
	if (iocb->ki_pos >= uf->memory->size)
		return -ENOSPC;
	return udb_transfer(iocb, from, true);
}

const struct file_operations udb_fops = {
	.owner		= THIS_MODULE,
	.open		= udb_open,
	.release	= udb_release,
	.mmap		= udb_file_mmap,
	.poll		= udb_poll,
	.llseek		= udb_llseek,
	.read_iter	= udb_read_iter,
	.write_iter	= udb_write_iter,
	/* msync(MS_SYNC) asks for it; there is nowhere to write to. */
	.fsync		= noop_fsync,
	.unlocked_ioctl	= udb_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

/**
 * udb_anonymous_file - a file of a memory that has no device node
 * @m: the memory; the file takes a reference of its own
 * @flags: O_RDONLY or O_RDWR, O_SYNC
 *
 * Return: the file, or an ERR_PTR.
 */
struct file *udb_anonymous_file(struct udb_memory *m, unsigned int flags)
{
	struct udb_file *uf = udb_file_create(m);
	struct file *file;

	if (!uf)
		return ERR_PTR(-ENOMEM);
	uf->own_sync = true;
	uf->sync = (struct udb_sync){ .mode = 1, .size = m->size };
	file = udb_inject() ? ERR_PTR(-ENOMEM) :
	       anon_inode_getfile("[u-dma-buf]", &udb_fops, uf, flags & O_ACCMODE);
	if (IS_ERR(file)) {
		udb_file_destroy(uf);
		return file;
	}
	/* What open() does for files with a name. */
	file->f_flags |= flags & O_SYNC;
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	if (m->inode)
		file->f_mapping = m->inode->i_mapping;
	return file;
}
