/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * User-space interface of /dev/udmabufN, /dev/u-dma-buf-mgr and
 * /dev/u-dma-buf-anon.
 *
 * Numbers 1-10 and their structures are those of u-dma-buf 4.8 and later
 * (ioctl version 2).  Numbers from 0x40 up exist only in this driver; on the
 * other one they fail with ENOTTY, which is how a program tells them apart.
 */
#ifndef _UAPI_U_DMA_BUF_H
#define _UAPI_U_DMA_BUF_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define U_DMA_BUF_IOCTL_MAGIC		'U'
#define U_DMA_BUF_IOCTL_VERSION		2

struct u_dma_buf_drv_info {
	__aligned_u64	flags;		/* U_DMA_BUF_DRV_* */
	char		version[16];	/* NUL-terminated */
};

#define U_DMA_BUF_DRV_IOCTL_VERSION_MASK	0xff
#define U_DMA_BUF_DRV_OF_DMA_CONFIG		(1 << 12)
#define U_DMA_BUF_DRV_OF_RESERVED_MEM		(1 << 13)
#define U_DMA_BUF_DRV_QUIRK_MMAP		(1 << 16)
#define U_DMA_BUF_DRV_QUIRK_MMAP_PAGE		(1 << 17)

struct u_dma_buf_dev_info {
	__aligned_u64	flags;
	__aligned_u64	size;
	__aligned_u64	addr;		/* device address, see dma_addr below */
};

#define U_DMA_BUF_DEV_DMA_MASK_MASK		0xff	/* bits of the mask */
#define U_DMA_BUF_DEV_COHERENT			(1 << 9)
#define U_DMA_BUF_DEV_MMAP_MODE_SHIFT		10
#define U_DMA_BUF_DEV_MMAP_MODE_MASK		0x7

struct u_dma_buf_sync {
	__aligned_u64	flags;
	__aligned_u64	size;
	__aligned_u64	offset;
};

#define U_DMA_BUF_SYNC_COMMAND_MASK		0x3
#define U_DMA_BUF_SYNC_FOR_CPU			0x1
#define U_DMA_BUF_SYNC_FOR_DEVICE		0x3
#define U_DMA_BUF_SYNC_DIRECTION_SHIFT		2	/* 0 both, 1 to, 2 from device */
#define U_DMA_BUF_SYNC_DIRECTION_MASK		0x3
#define U_DMA_BUF_SYNC_MODE_SHIFT		8
#define U_DMA_BUF_SYNC_MODE_MASK		0xff
#define U_DMA_BUF_SYNC_OWNER_SHIFT		16	/* 0 CPU, 1 device */

struct u_dma_buf_export {
	__aligned_u64	flags;		/* O_CLOEXEC, O_SYNC, O_ACCMODE */
	__aligned_u64	size;		/* multiple of the page size, 0: the rest */
	__aligned_u64	offset;		/* multiple of the page size */
	__aligned_u64	addr;		/* out: device address of the range */
	__s32		fd;		/* out: dma-buf file descriptor */
	__u32		reserved;	/* keeps the size at 40 bytes everywhere */
};

#define U_DMA_BUF_IOCTL_GET_DRV_INFO	_IOR(U_DMA_BUF_IOCTL_MAGIC, 1, struct u_dma_buf_drv_info)
#define U_DMA_BUF_IOCTL_GET_SIZE	_IOR(U_DMA_BUF_IOCTL_MAGIC, 2, __u64)
#define U_DMA_BUF_IOCTL_GET_DMA_ADDR	_IOR(U_DMA_BUF_IOCTL_MAGIC, 3, __u64)
#define U_DMA_BUF_IOCTL_GET_SYNC_OWNER	_IOR(U_DMA_BUF_IOCTL_MAGIC, 4, __u32)
#define U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU	_IOW(U_DMA_BUF_IOCTL_MAGIC, 5, __u64)
#define U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE	_IOW(U_DMA_BUF_IOCTL_MAGIC, 6, __u64)
#define U_DMA_BUF_IOCTL_GET_DEV_INFO	_IOR(U_DMA_BUF_IOCTL_MAGIC, 7, struct u_dma_buf_dev_info)
#define U_DMA_BUF_IOCTL_GET_SYNC	_IOR(U_DMA_BUF_IOCTL_MAGIC, 8, struct u_dma_buf_sync)
#define U_DMA_BUF_IOCTL_SET_SYNC	_IOW(U_DMA_BUF_IOCTL_MAGIC, 9, struct u_dma_buf_sync)
#define U_DMA_BUF_IOCTL_EXPORT		_IOWR(U_DMA_BUF_IOCTL_MAGIC, 10, struct u_dma_buf_export)

/*
 * The word of ioctls 5 and 6 and of the sysfs files sync_for_cpu and
 * sync_for_device: offset in bits 63:32, size in bits 31:4 (a multiple of 16),
 * direction in bits 3:2, command in bit 0.  The word 1 alone uses the range
 * and direction set earlier.
 */

/* ---- this driver only ---- */

enum u_dma_buf_mmap_mode {
	U_DMA_BUF_MMAP_OFF	= 1,	/* remap_pfn_range */
	U_DMA_BUF_MMAP_ON	= 2,	/* PFN by fault */
	U_DMA_BUF_MMAP_AUTO	= 3,	/* 1 on coherent devices, else 2 */
	U_DMA_BUF_MMAP_PAGE	= 4,	/* struct page by fault */
	U_DMA_BUF_MMAP_CACHE	= 5,	/* page cache; the default here */
};

enum u_dma_buf_memory {
	U_DMA_BUF_MEMORY_BUDDY	= 1,	/* one block of the page allocator */
	U_DMA_BUF_MEMORY_CONTIG	= 2,	/* a range emptied by migration */
	U_DMA_BUF_MEMORY_CMA	= 3,	/* default or memory-region CMA */
	U_DMA_BUF_MEMORY_POOL	= 4,	/* memory-region with no-map */
};

struct u_dma_buf_buffer {
	__aligned_u64	flags;		/* U_DMA_BUF_BUFFER_* */
	__aligned_u64	size;		/* bytes asked for */
	__aligned_u64	map_size;	/* size rounded up to whole pages */
	__aligned_u64	dma_addr;	/* address for the device (an IOVA behind an IOMMU) */
	__aligned_u64	cpu_phys_addr;	/* address on the CPU's side, as in pagemap */
	__u8		instance_id[16];	/* random, made anew with each buffer */
};

#define U_DMA_BUF_BUFFER_COHERENT		(1 << 0)	/* sync does nothing */
#define U_DMA_BUF_BUFFER_NO_DEVICE		(1 << 1)	/* it is gone: dma_addr is 0 */
#define U_DMA_BUF_BUFFER_NO_LONGTERM_PIN	(1 << 2)	/* see docs/KERNEL.md */
#define U_DMA_BUF_BUFFER_ANONYMOUS		(1 << 3)	/* it has no name */
#define U_DMA_BUF_BUFFER_MMAP_MODE_SHIFT	8		/* enum u_dma_buf_mmap_mode */
#define U_DMA_BUF_BUFFER_MEMORY_SHIFT		16		/* enum u_dma_buf_memory */

struct u_dma_buf_range {
	__aligned_u64	offset;
	__aligned_u64	size;
};

#define U_DMA_BUF_SYNC_RANGES_MAX	1024

struct u_dma_buf_sync_ranges {
	__aligned_u64	ranges;		/* address of struct u_dma_buf_range[count] */
	__u32		count;		/* 1 .. U_DMA_BUF_SYNC_RANGES_MAX */
	__u32		command;	/* U_DMA_BUF_SYNC_FOR_CPU or _FOR_DEVICE */
	__u32		direction;	/* 0 both, 1 to device, 2 from device */
	__u32		reserved;	/* 0 */
};

#define U_DMA_BUF_IOCTL_GET_BUFFER	_IOR(U_DMA_BUF_IOCTL_MAGIC, 0x40, struct u_dma_buf_buffer)
#define U_DMA_BUF_IOCTL_SYNC_RANGES	_IOW(U_DMA_BUF_IOCTL_MAGIC, 0x41,	\
					     struct u_dma_buf_sync_ranges)

/*
 * Doorbells: how one user of a buffer wakes another.  A buffer has
 * U_DMA_BUF_DOORBELLS of them, each a counter of rings that all opens of the
 * buffer share.  What an open has heard is its own.
 *
 * RING		rings each doorbell of a mask once.  EACCES without a writable
 *		open, ENODEV when the device is gone.
 * LISTEN	from now on this open hears the doorbells of a mask; what was rung
 *		before is not heard.  0 ends it.
 * TAKE		how often each doorbell was rung since LISTEN or the last TAKE
 *		of this open; that is then heard.  A doorbell that this open does
 *		not listen to counts 0.
 * EVENTFD	each ring adds 1 to an eventfd, from now on.  One for each
 *		doorbell and open, a new one replaces it, -1 removes it, close
 *		of the open removes all.  Independent of LISTEN.
 *
 * poll() of an open that listens says POLLIN as long as there is something to
 * TAKE.  An open that does not is always ready, as read and write never wait.
 * Both are always ready to write.  When the device is unbound, deleted or
 * removed, every poll() ends with POLLHUP and POLLERR, and each eventfd is
 * rung a last time.  A ring that comes after LISTEN is never lost, whether
 * poll() is called before or after it.
 *
 * Stores made before RING are seen by who learns of it by poll(), TAKE or read of
 * an eventfd.
 */
#define U_DMA_BUF_DOORBELLS		16
#define U_DMA_BUF_DOORBELLS_MASK	((1U << U_DMA_BUF_DOORBELLS) - 1)

struct u_dma_buf_rings {
	__u32	pending;			/* mask of those that rang */
	__u32	reserved;
	__u32	counts[U_DMA_BUF_DOORBELLS];	/* 2^32 - 1: that or more */
};

struct u_dma_buf_eventfd {
	__u32	doorbell;	/* below U_DMA_BUF_DOORBELLS */
	__s32	fd;		/* -1: none */
};

#define U_DMA_BUF_IOCTL_RING		_IOW(U_DMA_BUF_IOCTL_MAGIC, 0x42, __u32)
#define U_DMA_BUF_IOCTL_LISTEN		_IOW(U_DMA_BUF_IOCTL_MAGIC, 0x43, __u32)
#define U_DMA_BUF_IOCTL_TAKE		_IOR(U_DMA_BUF_IOCTL_MAGIC, 0x44, struct u_dma_buf_rings)
#define U_DMA_BUF_IOCTL_EVENTFD		_IOW(U_DMA_BUF_IOCTL_MAGIC, 0x45, struct u_dma_buf_eventfd)

/* ---- /dev/u-dma-buf-mgr: buffers with a name; the node must be open for writing ---- */

#define U_DMA_BUF_NAME_BYTES	64

struct u_dma_buf_create {
	__aligned_u64	size;
	__u32		dma_mask_bits;	/* 12 .. 64; 0: the module's dma_mask_bit */
	__u32		mmap_mode;	/* enum u_dma_buf_mmap_mode; 0: the module's */
	__u32		flags;		/* U_DMA_BUF_CREATE_* */
	__u32		reserved;	/* 0 */
	char		name[U_DMA_BUF_NAME_BYTES];	/* letters, digits and ._- ; of /dev/NAME */
	char		parent[U_DMA_BUF_NAME_BYTES];	/* BUS/DEVICE that it is for, or empty */
};

/* At most one, and only without parent; none: as the platform says. */
#define U_DMA_BUF_CREATE_COHERENT	(1 << 0)
#define U_DMA_BUF_CREATE_NOT_COHERENT	(1 << 1)

/* DELETE succeeds while the buffer is in use; its users keep the memory. */
struct u_dma_buf_delete {
	char	name[U_DMA_BUF_NAME_BYTES];
};

#define U_DMA_BUF_IOCTL_CREATE	_IOW(U_DMA_BUF_IOCTL_MAGIC, 0x50, struct u_dma_buf_create)
#define U_DMA_BUF_IOCTL_DELETE	_IOW(U_DMA_BUF_IOCTL_MAGIC, 0x51, struct u_dma_buf_delete)

/*
 * ---- /dev/u-dma-buf-anon: memory without a name ----
 *
 * ANONYMOUS makes a buffer that lives as long as its descriptor, copies of that,
 * mappings and dma-bufs.  The descriptor answers all that one of /dev/udmabufN
 * does; it is given to others by SCM_RIGHTS, pidfd_getfd or fork.
 *
 * EPERM: the caller has no CAP_SYS_ADMIN, and the module parameter
 * anonymous_total is 0, or parent is not empty.  EDQUOT: anonymous_total or
 * anonymous_per_user would be exceeded.
 */
struct u_dma_buf_anonymous {
	__aligned_u64	size;
	__u32		flags;		/* O_RDONLY or O_RDWR, O_CLOEXEC, O_SYNC */
	__u32		mmap_mode;	/* enum u_dma_buf_mmap_mode; 0: the module's */
	__s32		fd;		/* out */
	__u32		reserved;	/* 0 */
	char		parent[U_DMA_BUF_NAME_BYTES];	/* BUS/DEVICE that it is for, or empty */
};

/*
 * ADOPT pins a range of a memfd, of another file in tmpfs or of one in hugetlbfs,
 * and maps it for the device.  The memory stays what it is, mapped by whom it was;
 * the new descriptor stands for the device's view of it.  Closing the last copy
 * of that ends it.
 *
 * EPERM: as for ANONYMOUS.  EACCES: fd is not open for reading and writing.
 * ENOMEM: RLIMIT_MEMLOCK would be exceeded.  EOPNOTSUPP: fd is another kind of
 * file; a buffer of this driver, which may be CMA, is one.  EIO: the device does
 * not reach this memory (see dma_mask_bit), the log tells.
 */
struct u_dma_buf_adopt {
	__aligned_u64	offset;		/* multiple of the page size */
	__aligned_u64	size;		/* likewise, not 0, inside the file */
	__s32		source_fd;
	__u32		flags;		/* O_CLOEXEC */
	__s32		fd;		/* out */
	__u32		segments;	/* out: how many there are */
	char		parent[U_DMA_BUF_NAME_BYTES];	/* BUS/DEVICE that it is for, or empty */
};

/* Contiguous for the device, and as long as can be. */
struct u_dma_buf_segment {
	__aligned_u64	offset;		/* from the start of the adopted range */
	__aligned_u64	size;
	__aligned_u64	dma_addr;
};

struct u_dma_buf_segments {
	__aligned_u64	segments;	/* address of struct u_dma_buf_segment[count] */
	__u32		first;		/* number of the first one wanted */
	__u32		count;		/* in: room; out: how many were written */
};

#define U_DMA_BUF_IOCTL_ANONYMOUS	_IOWR(U_DMA_BUF_IOCTL_MAGIC, 0x52,	\
					      struct u_dma_buf_anonymous)
#define U_DMA_BUF_IOCTL_ADOPT		_IOWR(U_DMA_BUF_IOCTL_MAGIC, 0x53, struct u_dma_buf_adopt)

/*
 * Of the descriptor that ADOPT made; also SYNC_RANGES, which checks the ranges and
 * syncs all of the memory.  ENODEV when the device is gone.
 */
#define U_DMA_BUF_IOCTL_GET_SEGMENTS	_IOWR(U_DMA_BUF_IOCTL_MAGIC, 0x54,	\
					      struct u_dma_buf_segments)

#endif /* _UAPI_U_DMA_BUF_H */
