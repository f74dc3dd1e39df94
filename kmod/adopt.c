// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Memory of user space for a device: a range of a memfd or of a file in
 * hugetlbfs is pinned for long and mapped.  On such memory everything works that
 * works on ordinary memory, io_uring's registered buffers included; contiguity
 * is that of the pages, so huge ones are wanted.
 *
 * A long-term pin moves pages out of CMA and of movable zones first.  A buffer of
 * a driver can not be moved, and the kernel would try for ever: only files whose
 * pages the kernel owns are taken.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "udb.h"

#define UDB_PIN_CHUNK_PAGES	1024UL
/* Far more than a machine of today pins; the number of pages is an unsigned int. */
#define UDB_ADOPT_MAX_BYTES	min_t(u64, 1ULL << 40, ULONG_MAX & PAGE_MASK)

struct udb_adoption {
	struct mm_struct *mm;		/* whose RLIMIT_MEMLOCK is charged */
	unsigned long nr_pages;
	unsigned long nr_pinned;
	struct page **pages;
	struct sg_table table;
	struct udb_tie tie;
	/* Readers use the device mapping, the one writer takes it away. */
	struct rw_semaphore lock;
	struct device *dev;		/* NULL: not mapped */
	struct u_dma_buf_segment *segments;
	unsigned int nr_segments;
};

static int udb_charge_pins(struct udb_adoption *a)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	u64 pinned = atomic64_add_return(a->nr_pages, &current->mm->pinned_vm);

	if (pinned > limit && !capable(CAP_IPC_LOCK)) {
		atomic64_sub(a->nr_pages, &current->mm->pinned_vm);
		return -ENOMEM;
	}
	a->mm = current->mm;
	mmgrab(a->mm);
	return 0;
}

/* Memory that the kernel itself allots and can move. */
static bool udb_is_adoptable(const struct file *source)
{
	const struct inode *inode = file_inode(source);
	unsigned long magic = inode->i_sb->s_magic;

	/* A device node, ours among them, may be in a tmpfs too. */
	return S_ISREG(inode->i_mode) && (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC);
}

static int udb_pin_mapped(struct udb_adoption *a, unsigned long at)
{
	while (a->nr_pinned < a->nr_pages) {
		int count = min(a->nr_pages - a->nr_pinned, UDB_PIN_CHUNK_PAGES);

		if (fatal_signal_pending(current))
			return -EINTR;
		count = udb_inject() ? -ENOMEM :
			pin_user_pages_fast(at + (a->nr_pinned << PAGE_SHIFT), count,
					    FOLL_WRITE | FOLL_LONGTERM,
					    a->pages + a->nr_pinned);
		if (count <= 0)
			return count ? count : -EFAULT;
		a->nr_pinned += count;
		cond_resched();
	}
	return 0;
}

/*
 * By way of a mapping, because that applies everything the file demands: seals,
 * the open mode, allocation of holes.
 */
static int udb_pin(struct udb_adoption *a, struct file *source, u64 offset, u64 size)
{
	unsigned long at = vm_mmap(source, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, offset);
	int error;

	if (IS_ERR_VALUE(at))
		return at;
	error = udb_pin_mapped(a, at);
	vm_munmap(at, size);
	return error;
}

static bool udb_pins_are_below(const struct udb_adoption *a, phys_addr_t limit)
{
	unsigned long i;

	for (i = 0; i < a->nr_pages; i++)
		if (page_to_phys(a->pages[i]) + PAGE_SIZE - 1 > limit)
			return false;
	return true;
}

/* The same pages in the same order, and no bounce buffer. */
static bool udb_pins_are_direct(const struct udb_adoption *a, struct device *dev)
{
	unsigned long page = 0;
	struct scatterlist *sg;
	unsigned int i, at;

	for_each_sgtable_dma_sg(&a->table, sg, i) {
		for (at = 0; at < sg_dma_len(sg); at += PAGE_SIZE, page++) {
			if (page >= a->nr_pages ||
			    !udb_dma_is_direct(dev, sg_dma_address(sg) + at,
					       page_to_phys(a->pages[page]), PAGE_SIZE))
				return false;
		}
		cond_resched();
	}
	return page == a->nr_pages;
}

/* Return: how many segments; they are written to @out if it is not NULL. */
static unsigned int udb_list_segments(const struct udb_adoption *a,
				      struct u_dma_buf_segment *out)
{
	struct u_dma_buf_segment last = { 0 };
	unsigned int count = 0, i;
	struct scatterlist *sg;

	for_each_sgtable_dma_sg(&a->table, sg, i) {
		if (count && sg_dma_address(sg) == last.dma_addr + last.size) {
			last.size += sg_dma_len(sg);
		} else {
			last.offset += last.size;
			last.dma_addr = sg_dma_address(sg);
			last.size = sg_dma_len(sg);
			count++;
		}
		if (out)
			out[count - 1] = last;
	}
	return count;
}

static int udb_map_pins(struct udb_adoption *a, struct device *dev)
{
	unsigned int longest = ALIGN_DOWN(dma_get_max_seg_size(dev), PAGE_SIZE);
	int error;

	if (!udb_pins_are_below(a, udb_dma_limit(dev)))
		return -EIO;
	error = udb_inject() ? -ENOMEM :
		sg_alloc_table_from_pages_segment(&a->table, a->pages, a->nr_pages, 0,
						  (u64)a->nr_pages << PAGE_SHIFT,
						  max_t(unsigned int, longest, PAGE_SIZE),
						  GFP_KERNEL);
	if (error)
		return error;
	error = udb_inject() ? -ENOMEM :
		dma_map_sgtable(dev, &a->table, DMA_BIDIRECTIONAL, UDB_MAP_ATTRS);
	if (error)
		return error;
	if (!udb_pins_are_direct(a, dev)) {
		dma_unmap_sgtable(dev, &a->table, DMA_BIDIRECTIONAL, UDB_MAP_ATTRS);
		return -EIO;
	}
	a->dev = get_device(dev);
	dma_sync_sgtable_for_device(dev, &a->table, DMA_BIDIRECTIONAL);
	return 0;
}

static void udb_unmap_pins(struct udb_adoption *a)
{
	down_write(&a->lock);
	if (a->dev) {
		dma_sync_sgtable_for_cpu(a->dev, &a->table, DMA_BIDIRECTIONAL);
		dma_unmap_sgtable(a->dev, &a->table, DMA_BIDIRECTIONAL, UDB_MAP_ATTRS);
		put_device(a->dev);
		a->dev = NULL;
	}
	up_write(&a->lock);
}

static void udb_adoption_cut(struct udb_tie *tie)
{
	udb_unmap_pins(container_of(tie, struct udb_adoption, tie));
}

/* Also of one that is half made. */
static void udb_adoption_destroy(struct udb_adoption *a)
{
	/* Before it is off the list: what unbinds the device waits until this is done. */
	udb_unmap_pins(a);
	udb_untie(&a->tie);
	sg_free_table(&a->table);
	if (a->nr_pinned)
		unpin_user_pages_dirty_lock(a->pages, a->nr_pinned, true);
	if (a->mm) {
		atomic64_sub(a->nr_pages, &a->mm->pinned_vm);
		mmdrop(a->mm);
	}
	kvfree(a->segments);
	kvfree(a->pages);
	kfree(a);
}

static int udb_make_segments(struct udb_adoption *a)
{
	a->nr_segments = udb_list_segments(a, NULL);
	a->segments = udb_inject() ? NULL :
		      kvmalloc_array(a->nr_segments, sizeof(*a->segments), GFP_KERNEL_ACCOUNT);
	if (!a->segments)
		return -ENOMEM;
	udb_list_segments(a, a->segments);
	return 0;
}

static int udb_adoption_fill(struct udb_adoption *a, struct file *source, struct device *dev,
			     const struct u_dma_buf_adopt *in)
{
	int error = udb_charge_pins(a);

	if (error)
		return error;
	a->pages = udb_inject() ? NULL :
		   kvmalloc_array(a->nr_pages, sizeof(*a->pages), GFP_KERNEL_ACCOUNT);
	if (!a->pages)
		return -ENOMEM;
	error = udb_pin(a, source, in->offset, in->size);
	if (!error)
		error = udb_map_pins(a, dev);
	if (error == -EIO)
		pr_err_ratelimited("u-dma-buf: adopted memory lies where %s does not reach it without a bounce buffer. Remedy: a wider dma_mask_bit, no swiotlb=force\n",
				   dev_name(dev));
	return error ? error : udb_make_segments(a);
}

static struct udb_adoption *udb_adoption_create(struct file *source, struct device *dev,
						const struct u_dma_buf_adopt *in)
{
	struct udb_adoption *a;
	int error;

	if (!udb_is_adoptable(source)) {
		pr_info_ratelimited("u-dma-buf: only a memfd or a file of tmpfs or hugetlbfs can be adopted; memory of a device may be CMA, which can not be pinned\n");
		return ERR_PTR(-EOPNOTSUPP);
	}
	if (in->offset > i_size_read(file_inode(source)) ||
	    in->size > i_size_read(file_inode(source)) - in->offset)
		return ERR_PTR(-EINVAL);
	a = udb_zalloc(sizeof(*a));
	if (!a)
		return ERR_PTR(-ENOMEM);
	init_rwsem(&a->lock);
	INIT_LIST_HEAD(&a->tie.link);
	a->tie.cut = udb_adoption_cut;
	a->nr_pages = in->size >> PAGE_SHIFT;
	error = udb_adoption_fill(a, source, dev, in);
	if (!error && in->parent[0])
		error = udb_tie_to(&a->tie, in->parent, dev);
	if (error) {
		udb_adoption_destroy(a);
		return ERR_PTR(error);
	}
	return a;
}

static int udb_adopted_release(struct inode *inode, struct file *file)
{
	udb_adoption_destroy(file->private_data);
	return 0;
}

static long udb_get_segments(struct udb_adoption *a, struct u_dma_buf_segments __user *user)
{
	struct u_dma_buf_segments in;
	long error = 0;

	if (copy_from_user(&in, user, sizeof(in)))
		return -EFAULT;
	if (in.first > a->nr_segments)
		return -EINVAL;
	in.count = min(in.count, a->nr_segments - in.first);
	down_read(&a->lock);
	if (!a->dev)
		error = -ENODEV;
	up_read(&a->lock);
	if (error)
		return error;
	if (copy_to_user(u64_to_user_ptr(in.segments), a->segments + in.first,
			 in.count * sizeof(*a->segments)))
		return -EFAULT;
	return put_user(in.count, &user->count);
}

/* All of it, because the kernel syncs a scatter list as a whole. */
static int udb_sync_pins(struct udb_adoption *a, enum dma_data_direction direction,
			 bool for_device)
{
	int error = 0;

	down_read(&a->lock);
	if (!a->dev)
		error = -ENODEV;
	else if (for_device)
		dma_sync_sgtable_for_device(a->dev, &a->table, direction);
	else
		dma_sync_sgtable_for_cpu(a->dev, &a->table, direction);
	up_read(&a->lock);
	return error;
}

static long udb_sync_adopted(struct udb_adoption *a, void __user *arg)
{
	struct u_dma_buf_sync_ranges in;
	struct u_dma_buf_range *ranges = udb_get_ranges(arg, &in);
	u64 size = (u64)a->nr_pages << PAGE_SHIFT;
	enum dma_data_direction direction;
	long error = 0;
	u32 i;

	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	if (!udb_direction(in.direction, &direction))
		error = -EINVAL;
	for (i = 0; i < in.count; i++)
		if (ranges[i].offset > size || ranges[i].size > size - ranges[i].offset)
			error = -EINVAL;
	kfree(ranges);
	return error ? error :
		       udb_sync_pins(a, direction, in.command == U_DMA_BUF_SYNC_FOR_DEVICE);
}

static long udb_adopted_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct udb_adoption *a = file->private_data;
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case U_DMA_BUF_IOCTL_GET_SEGMENTS:
		return udb_get_segments(a, user);
	case U_DMA_BUF_IOCTL_SYNC_RANGES:
		return udb_sync_adopted(a, user);
	}
	return -ENOTTY;
}

static const struct file_operations udb_adopted_fops = {
	.owner = THIS_MODULE,
	.release = udb_adopted_release,
	.unlocked_ioctl = udb_adopted_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static long udb_adopted_install(struct udb_adoption *a, const struct u_dma_buf_adopt *in,
				struct u_dma_buf_adopt __user *user)
{
	unsigned int segments = a->nr_segments;
	struct file *file;
	int fd;

	file = udb_inject() ? ERR_PTR(-ENOMEM) :
	       anon_inode_getfile("[u-dma-buf-adopted]", &udb_adopted_fops, a, O_RDWR);
	if (IS_ERR(file)) {
		udb_adoption_destroy(a);
		return PTR_ERR(file);
	}
	/* From here on the file has it. */
	fd = get_unused_fd_flags(in->flags & O_CLOEXEC);
	if (fd < 0) {
		fput(file);
		return fd;
	}
	if (put_user(segments, &user->segments) || put_user(fd, &user->fd)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

/**
 * udb_adopt - the ioctl ADOPT
 * @dev: the device that the memory is for
 * @in: the request; the caller may have that device
 * @user: where the answer goes before the descriptor becomes visible
 */
long udb_adopt(struct device *dev, const struct u_dma_buf_adopt *in,
	       struct u_dma_buf_adopt __user *user)
{
	struct udb_adoption *a;
	struct file *source;

	if (in->flags & ~(u32)O_CLOEXEC || !in->size || in->size > UDB_ADOPT_MAX_BYTES ||
	    in->offset > ULONG_MAX || !PAGE_ALIGNED(in->offset) || !PAGE_ALIGNED(in->size))
		return -EINVAL;
	source = fget(in->source_fd);
	if (!source)
		return -EBADF;
	a = udb_adoption_create(source, dev, in);
	fput(source);
	if (IS_ERR(a))
		return PTR_ERR(a);
	return udb_adopted_install(a, in, user);
}
