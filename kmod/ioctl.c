// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The ioctls of /dev/udmabufN; uapi/u-dma-buf.h documents them. */
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "udb.h"

/* The composite word of SET_SYNC_FOR_CPU, SET_SYNC_FOR_DEVICE and sysfs. */
#define UDB_WORD_COMMAND(w)	((w) & 1)
#define UDB_WORD_DIRECTION(w)	(((w) >> 2) & 3)
#define UDB_WORD_SIZE(w)	((w) & 0xfffffff0ULL)
#define UDB_WORD_OFFSET(w)	((w) >> 32)
#define UDB_WORD_HAS_RANGE(w)	((w) & ~1ULL)

/* A command changed hands: remember who has the buffer. */
static int udb_sync_and_own(struct udb_memory *m, u64 offset, u64 size,
			    unsigned int direction, bool for_device)
{
	int error = udb_sync_range(m, offset, size, direction, for_device);

	if (!error)
		atomic_set(&m->sync_owner, for_device);
	return error;
}

/**
 * udb_sync_word - carry out a composite sync word
 * @m: the memory
 * @word: see uapi/u-dma-buf.h; without a command nothing is done
 * @stored: range and direction if the word brings none
 * @for_device: else for the CPU
 *
 * Return: 0, -EINVAL or -ENODEV as udb_sync_range().
 */
int udb_sync_word(struct udb_memory *m, u64 word, const struct udb_sync *stored,
		  bool for_device)
{
	if (!UDB_WORD_COMMAND(word))
		return 0;
	if (UDB_WORD_HAS_RANGE(word))
		return udb_sync_and_own(m, UDB_WORD_OFFSET(word), UDB_WORD_SIZE(word),
					UDB_WORD_DIRECTION(word), for_device);
	return udb_sync_and_own(m, stored->offset, stored->size, stored->direction,
				for_device);
}

/* What applies to this open: its own setting, else the device's. */
struct udb_sync udb_file_sync(struct udb_file *uf)
{
	struct udb_sync sync;
	bool own;

	mutex_lock(&uf->lock);
	own = uf->own_sync;
	sync = uf->sync;
	mutex_unlock(&uf->lock);
	if (own)
		return sync;

	mutex_lock(&uf->udev->sync_lock);
	sync = uf->udev->sync;
	mutex_unlock(&uf->udev->sync_lock);
	return sync;
}

static long udb_get_drv_info(struct udb_file *uf, void __user *arg)
{
	struct u_dma_buf_drv_info info = {
		.flags = U_DMA_BUF_IOCTL_VERSION | U_DMA_BUF_DRV_QUIRK_MMAP |
			 U_DMA_BUF_DRV_QUIRK_MMAP_PAGE,
	};

	if (IS_ENABLED(CONFIG_OF))
		info.flags |= U_DMA_BUF_DRV_OF_DMA_CONFIG | U_DMA_BUF_DRV_OF_RESERVED_MEM;
	strscpy(info.version, UDB_DRIVER_VERSION, sizeof(info.version));
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long udb_get_dma_addr(struct udb_file *uf, u64 __user *arg)
{
	dma_addr_t addr;
	int error = udb_dma_addr(uf->memory, &addr);

	return error ? error : put_user((u64)addr, arg);
}

static long udb_get_dev_info(struct udb_file *uf, void __user *arg)
{
	struct udb_memory *m = uf->memory;
	struct u_dma_buf_dev_info info = {
		.flags = m->dma_mask_bits | (m->coherent ? U_DMA_BUF_DEV_COHERENT : 0) |
			 (u64)m->mmap_mode << U_DMA_BUF_DEV_MMAP_MODE_SHIFT,
		.size = m->size,
	};
	dma_addr_t addr;
	int error = udb_dma_addr(m, &addr);

	if (error)
		return error;
	info.addr = addr;
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long udb_get_sync(struct udb_file *uf, void __user *arg)
{
	struct udb_sync sync = udb_file_sync(uf);
	struct u_dma_buf_sync out = {
		.flags = (u64)sync.direction << U_DMA_BUF_SYNC_DIRECTION_SHIFT |
			 (u64)sync.mode << U_DMA_BUF_SYNC_MODE_SHIFT |
			 (u64)atomic_read(&uf->memory->sync_owner) << U_DMA_BUF_SYNC_OWNER_SHIFT,
		.size = sync.size,
		.offset = sync.offset,
	};

	return copy_to_user(arg, &out, sizeof(out)) ? -EFAULT : 0;
}

/* Giving memory to the device is a store to it: it needs a writable open. */
static bool udb_may_sync(struct file *file, bool for_device)
{
	return !for_device || (file->f_mode & FMODE_WRITE);
}

static long udb_set_sync(struct file *file, struct udb_file *uf, void __user *arg)
{
	struct udb_sync sync = udb_file_sync(uf);
	struct u_dma_buf_sync in;
	unsigned int mode, command;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	command = in.flags & U_DMA_BUF_SYNC_COMMAND_MASK;
	mode = (in.flags >> U_DMA_BUF_SYNC_MODE_SHIFT) & U_DMA_BUF_SYNC_MODE_MASK;
	sync.direction = (in.flags >> U_DMA_BUF_SYNC_DIRECTION_SHIFT) &
			 U_DMA_BUF_SYNC_DIRECTION_MASK;
	sync.offset = in.offset;
	if (mode)
		sync.mode = mode;
	if (in.size)
		sync.size = in.size;
	if (sync.mode > 7 || sync.direction > 2)
		return -EINVAL;
	if (!udb_may_sync(file, command == U_DMA_BUF_SYNC_FOR_DEVICE))
		return -EACCES;

	mutex_lock(&uf->lock);
	uf->sync = sync;
	uf->own_sync = true;
	mutex_unlock(&uf->lock);

	if (command != U_DMA_BUF_SYNC_FOR_CPU && command != U_DMA_BUF_SYNC_FOR_DEVICE)
		return 0;
	return udb_sync_and_own(uf->memory, sync.offset, sync.size, sync.direction,
				command == U_DMA_BUF_SYNC_FOR_DEVICE);
}

static long udb_set_sync_word(struct file *file, struct udb_file *uf, u64 __user *arg,
			      bool for_device)
{
	struct udb_sync stored = udb_file_sync(uf);
	u64 word;

	if (get_user(word, arg))
		return -EFAULT;
	if (!udb_may_sync(file, for_device))
		return -EACCES;
	return udb_sync_word(uf->memory, word, &stored, for_device);
}

static long udb_get_buffer(struct udb_file *uf, void __user *arg)
{
	struct udb_memory *m = uf->memory;
	struct u_dma_buf_buffer out = {
		.flags = (u64)m->mmap_mode << U_DMA_BUF_BUFFER_MMAP_MODE_SHIFT |
			 (u64)m->kind << U_DMA_BUF_BUFFER_MEMORY_SHIFT,
		.size = m->size,
		.map_size = udb_map_size(m),
		.cpu_phys_addr = udb_phys(m),
	};
	dma_addr_t addr;

	if (m->coherent)
		out.flags |= U_DMA_BUF_BUFFER_COHERENT;
	if (m->anonymous)
		out.flags |= U_DMA_BUF_BUFFER_ANONYMOUS;
	if (m->kind == U_DMA_BUF_MEMORY_CMA || m->kind == U_DMA_BUF_MEMORY_POOL)
		out.flags |= U_DMA_BUF_BUFFER_NO_LONGTERM_PIN;
	if (udb_dma_addr(m, &addr))
		out.flags |= U_DMA_BUF_BUFFER_NO_DEVICE;
	else
		out.dma_addr = addr;
	memcpy(out.instance_id, m->instance_id, sizeof(out.instance_id));
	return copy_to_user(arg, &out, sizeof(out)) ? -EFAULT : 0;
}

/**
 * udb_get_ranges - the argument of SYNC_RANGES
 * @arg: its address
 * @in: filled in and checked
 *
 * Return: the ranges, unchecked, to be given to kfree(); or an ERR_PTR.
 */
struct u_dma_buf_range *udb_get_ranges(const void __user *arg,
				       struct u_dma_buf_sync_ranges *in)
{
	if (copy_from_user(in, arg, sizeof(*in)))
		return ERR_PTR(-EFAULT);
	if (in->command != U_DMA_BUF_SYNC_FOR_CPU && in->command != U_DMA_BUF_SYNC_FOR_DEVICE)
		return ERR_PTR(-EINVAL);
	if (in->reserved || !in->count || in->count > U_DMA_BUF_SYNC_RANGES_MAX)
		return ERR_PTR(-EINVAL);
	if (udb_inject())
		return ERR_PTR(-ENOMEM);
	return memdup_user(u64_to_user_ptr(in->ranges),
			   in->count * sizeof(struct u_dma_buf_range));
}

static long udb_sync_ranges(struct file *file, struct udb_file *uf, void __user *arg)
{
	struct u_dma_buf_sync_ranges in;
	struct u_dma_buf_range *ranges = udb_get_ranges(arg, &in);
	bool for_device;
	long error = 0;
	u32 i;

	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	for_device = in.command == U_DMA_BUF_SYNC_FOR_DEVICE;
	if (!udb_may_sync(file, for_device))
		error = -EACCES;
	/* All or none of them. */
	for (i = 0; i < in.count && !error; i++)
		if (!udb_is_range(uf->memory, ranges[i].offset, ranges[i].size))
			error = -EINVAL;
	for (i = 0; i < in.count && !error; i++)
		error = udb_sync_and_own(uf->memory, ranges[i].offset, ranges[i].size,
					 in.direction, for_device);
	kfree(ranges);
	return error;
}

static long udb_ioctl_export(struct file *file, struct u_dma_buf_export __user *arg)
{
	struct u_dma_buf_export export;

	if (copy_from_user(&export, arg, sizeof(export)))
		return -EFAULT;
	return udb_export(file, &export, arg);
}

/* A ring is a store that others see. */
static long udb_ioctl_ring(struct file *file, struct udb_file *uf, u32 __user *arg)
{
	u32 mask;

	if (get_user(mask, arg))
		return -EFAULT;
	if (!(file->f_mode & FMODE_WRITE))
		return -EACCES;
	return udb_ring(&uf->memory->bells, mask);
}

static long udb_ioctl_listen(struct udb_file *uf, u32 __user *arg)
{
	u32 mask;

	if (get_user(mask, arg))
		return -EFAULT;
	return udb_listen(&uf->memory->bells, &uf->listener, mask);
}

static long udb_ioctl_take(struct udb_file *uf, void __user *arg)
{
	struct u_dma_buf_rings out = { 0 };

	udb_take_rings(&uf->memory->bells, &uf->listener, &out);
	if (!copy_to_user(arg, &out, sizeof(out)))
		return 0;
	udb_untake_rings(&uf->memory->bells, &uf->listener, &out);
	return -EFAULT;
}

static long udb_ioctl_eventfd(struct udb_file *uf, void __user *arg)
{
	struct u_dma_buf_eventfd in;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	return udb_set_eventfd(&uf->memory->bells, &uf->listener, &in);
}

long udb_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct udb_file *uf = file->private_data;
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case U_DMA_BUF_IOCTL_GET_DRV_INFO:
		return udb_get_drv_info(uf, user);
	case U_DMA_BUF_IOCTL_GET_SIZE:
		return put_user(uf->memory->size, (u64 __user *)user);
	case U_DMA_BUF_IOCTL_GET_DMA_ADDR:
		return udb_get_dma_addr(uf, user);
	case U_DMA_BUF_IOCTL_GET_SYNC_OWNER:
		return put_user((u32)atomic_read(&uf->memory->sync_owner),
				(u32 __user *)user);
	case U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU:
		return udb_set_sync_word(file, uf, user, false);
	case U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE:
		return udb_set_sync_word(file, uf, user, true);
	case U_DMA_BUF_IOCTL_GET_DEV_INFO:
		return udb_get_dev_info(uf, user);
	case U_DMA_BUF_IOCTL_GET_SYNC:
		return udb_get_sync(uf, user);
	case U_DMA_BUF_IOCTL_SET_SYNC:
		return udb_set_sync(file, uf, user);
	case U_DMA_BUF_IOCTL_EXPORT:
		return udb_ioctl_export(file, user);
	case U_DMA_BUF_IOCTL_GET_BUFFER:
		return udb_get_buffer(uf, user);
	case U_DMA_BUF_IOCTL_SYNC_RANGES:
		return udb_sync_ranges(file, uf, user);
	case U_DMA_BUF_IOCTL_RING:
		return udb_ioctl_ring(file, uf, user);
	case U_DMA_BUF_IOCTL_LISTEN:
		return udb_ioctl_listen(uf, user);
	case U_DMA_BUF_IOCTL_TAKE:
		return udb_ioctl_take(uf, user);
	case U_DMA_BUF_IOCTL_EVENTFD:
		return udb_ioctl_eventfd(uf, user);
	}
	return -ENOTTY;
}
