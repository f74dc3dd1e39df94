/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * User-space interface of /dev/udmabufN.
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

#endif /* _UAPI_U_DMA_BUF_H */
