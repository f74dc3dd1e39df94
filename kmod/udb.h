/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Internal interface of the u-dma-buf module.
 *
 *   memory   a contiguous range of pages with a reference count.  It lives
 *            until the last file, mapping and dma-buf that uses it is gone.
 *   device   /dev/NAME and /sys/class/u-dma-buf/NAME: a name for a memory.
 *   file     one open of a device, or a memory without a name: its own sync
 *            state and doorbells heard, a reference to memory and device.
 *   tie      what has to happen when somebody else's device goes.
 */
#ifndef UDB_H
#define UDB_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mod_devicetable.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "uapi/u-dma-buf.h"

#define UDB_DRIVER_NAME		"u-dma-buf"
#define UDB_DRIVER_VERSION	"5.5.0+physring"	/* interface level, then whose */
#define UDB_STATIC_BUFFERS	8
#define UDB_MINORS		256
#define UDB_NAME_MAX		64
#define UDB_INSTANCE_ID_BYTES	16

/* The values of the module parameter info_enable. */
#define UDB_INFO_INSTALL	BIT(0)
#define UDB_INFO_DMA		BIT(1)
#define UDB_INFO_BUILD		BIT(2)

extern int udb_info_enable;
extern int udb_dma_mask_bits;
extern int udb_mmap_mode;

/* What to create: filled from module parameters or from the device tree. */
struct udb_spec {
	char name[UDB_NAME_MAX];
	u64 size;
	int minor;			/* -1: any */
	unsigned int dma_mask_bits;
	enum u_dma_buf_mmap_mode mmap_mode;
	bool managed;			/* made by the manager, which may delete it */
	bool anonymous;			/* without a device node */
	bool charged;			/* to the quota of the current user */
	bool owns_region;		/* its memory-region was assigned by us */
	struct udb_sync {		/* a range for a later "sync" without one */
		unsigned int mode;	/* 0-7 */
		unsigned int direction;	/* 0-2 */
		u64 offset;
		u64 size;		/* 0: all */
	} sync;
};

/* A platform device of ours, and what became of it. */
struct udb_platform {
	struct udb_spec spec;
	int coherent;			/* -1: as the platform says */
	struct platform_device *pdev;
	int error;
};

/* What is done, once, when the device that a thing was made for is removed. */
struct udb_tie {
	struct list_head link;		/* empty: not tied, or the device is gone */
	struct device *parent;
	void (*cut)(struct udb_tie *tie);
};

struct eventfd_ctx;
struct poll_table_struct;

/* One open of a buffer, as its doorbells see it.  Of all but ctx: bells.lock. */
struct udb_listener {
	struct list_head link;
	u32 mask;			/* doorbells listened to */
	u64 heard[U_DMA_BUF_DOORBELLS];
	struct eventfd_ctx *ctx[U_DMA_BUF_DOORBELLS];
};

struct udb_bells {
	spinlock_t lock;
	u64 rung[U_DMA_BUF_DOORBELLS];	/* never wraps */
	struct list_head listeners;
	bool gone;			/* with the device; never false again */
	wait_queue_head_t wait;
};

struct udb_payer;

struct udb_memory {
	struct kref ref;
	char name[UDB_NAME_MAX];	/* for the log */
	u64 size;
	unsigned long nr_pages;
	unsigned long first_pfn;	/* contiguous; each page has its own count */
	enum u_dma_buf_memory kind;
	struct device *cma_dev;		/* U_DMA_BUF_MEMORY_CMA: allocated and freed for it */
	dma_addr_t cma_handle;
	struct device *pool_dev;	/* U_DMA_BUF_MEMORY_POOL: likewise */
	void *pool_virt;
	dma_addr_t pool_handle;
	enum u_dma_buf_mmap_mode mmap_mode;
	struct inode *inode;		/* U_DMA_BUF_MMAP_CACHE: owner of the page cache */
	u8 instance_id[UDB_INSTANCE_ID_BYTES];
	bool anonymous;
	bool owns_region;
	struct udb_payer *payer;	/* of the quota, or NULL */
	struct udb_tie tie;		/* of an anonymous one to the device that it is for */
	struct udb_bells bells;

	/*
	 * Readers use the device mapping, the one writer (udb_memory_detach)
	 * takes it away when the device goes.
	 */
	struct rw_semaphore dma_lock;
	struct device *dma_dev;		/* NULL after detach */
	dma_addr_t dma_addr;
	bool coherent;
	unsigned int dma_mask_bits;

	atomic_t sync_owner;		/* 0 CPU, 1 device: the last sync command */
	struct mutex copy_lock;		/* a read discards lines, a write dirties them */

	/* Mappings by memory attribute; see map.c. */
	struct mutex view_lock;		/* of views and last_view */
	struct udb_view {
		struct udb_memory *memory;
		unsigned int maps;
	} views[2];			/* 0 cached, 1 not */
	struct udb_view *last_view;

	/* Only while a free waits for others, see memory.c. */
	struct delayed_work free_work;
	unsigned int free_delay_ms;
	int free_tries;
	bool free_holds_module;
};

struct udb_device {
	struct device dev;
	struct cdev cdev;
	struct udb_memory *memory;
	struct list_head bound_link;	/* see bind.c */
	bool managed;
	struct mutex sync_lock;		/* of sync */
	struct udb_sync sync;		/* defaults, set in sysfs */
};

struct udb_file {
	struct udb_device *udev;	/* NULL: anonymous, and own_sync is set */
	struct udb_memory *memory;
	struct mutex lock;		/* of own_sync and sync */
	bool own_sync;			/* false: the defaults of the device apply */
	struct udb_sync sync;
	struct udb_listener listener;
};

/* inject.c */
bool udb_inject(void);
void *udb_zalloc(size_t size);

/* quota.c */
int udb_quota_charge(u64 bytes, struct udb_payer **payer);
void udb_quota_return(struct udb_payer *payer, u64 bytes);
bool udb_quota_allows_any(void);
u64 udb_quota_used(void);

/* doorbell.c */
void udb_bells_init(struct udb_bells *bells);
void udb_bells_gone(struct udb_bells *bells);
void udb_listener_add(struct udb_bells *bells, struct udb_listener *listener);
void udb_listener_remove(struct udb_bells *bells, struct udb_listener *listener);
__poll_t udb_poll(struct file *file, struct poll_table_struct *table);
long udb_ring(struct udb_bells *bells, u32 mask);
long udb_listen(struct udb_bells *bells, struct udb_listener *listener, u32 mask);
void udb_take_rings(struct udb_bells *bells, struct udb_listener *listener,
		    struct u_dma_buf_rings *out);
void udb_untake_rings(struct udb_bells *bells, struct udb_listener *listener,
		      const struct u_dma_buf_rings *taken);
long udb_set_eventfd(struct udb_bells *bells, struct udb_listener *listener,
		     const struct u_dma_buf_eventfd *in);

/* source.c */
int udb_source_take(struct udb_memory *m, struct device *dev, phys_addr_t limit);
bool udb_source_give(struct udb_memory *m);

bool udb_has_pool(struct device *dev);

/* contig.c */
struct page *udb_contig_take(unsigned long nr_pages, int node, phys_addr_t limit);

/* memory.c */
int udb_memory_init(void);
void udb_memory_exit(void);
struct udb_memory *udb_memory_create(struct device *dev, const struct udb_spec *spec);
struct udb_memory *udb_memory_get(struct udb_memory *m);
void udb_memory_put(struct udb_memory *m);

/*
 * dma.c
 *
 * The same pages may be mapped more than once: for a buffer's device and for those
 * that import it; and what comes from CMA counts as mapped from the start.  The
 * kernel allows that if the mapping itself moves no data, so every map is followed
 * and every unmap preceded by a sync.
 */
#define UDB_MAP_ATTRS	DMA_ATTR_SKIP_CPU_SYNC
phys_addr_t udb_dma_limit(struct device *dev);
int udb_dma_attach(struct udb_memory *m, struct device *dev);
void udb_memory_detach(struct udb_memory *m);
int udb_dma_addr(struct udb_memory *m, dma_addr_t *addr);
bool udb_direction(unsigned int direction, enum dma_data_direction *kernels);
bool udb_is_range(const struct udb_memory *m, u64 offset, u64 size);
int udb_sync_range(struct udb_memory *m, u64 offset, u64 size,
		   unsigned int direction, bool for_device);
int udb_sync_bytes(struct udb_memory *m, u64 offset, u64 size,
		   enum dma_data_direction direction, bool for_device);
bool udb_dma_is_direct(struct device *dev, dma_addr_t addr, phys_addr_t phys, u64 size);
const char *udb_dma_domain_name(struct device *dev);

/* cache.c */
int udb_cache_init(void);
void udb_cache_exit(void);
int udb_cache_create(struct udb_memory *m);
void udb_cache_destroy(struct udb_memory *m);

/* map.c */
extern bool udb_mixed_attributes;
bool udb_wants_uncached(const struct udb_memory *m, unsigned int file_flags,
			unsigned int sync_mode);
int udb_mmap(struct udb_memory *m, struct vm_area_struct *vma, bool uncached);

/* file.c */
extern const struct file_operations udb_fops;
struct file *udb_anonymous_file(struct udb_memory *m, unsigned int flags);

/* ioctl.c */
long udb_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
struct u_dma_buf_range *udb_get_ranges(const void __user *arg,
				       struct u_dma_buf_sync_ranges *in);
struct udb_sync udb_file_sync(struct udb_file *uf);
int udb_sync_word(struct udb_memory *m, u64 word, const struct udb_sync *stored,
		  bool for_device);

/* dmabuf.c */
#if IS_ENABLED(CONFIG_DMA_SHARED_BUFFER)
int udb_export(struct file *file, struct u_dma_buf_export *arg,
	       struct u_dma_buf_export __user *user);
#else
static inline int udb_export(struct file *file, struct u_dma_buf_export *arg,
			     struct u_dma_buf_export __user *user)
{
	return -ENOTTY;
}
#endif

/* device.c */
int udb_class_init(void);
void udb_class_exit(void);
struct udb_device *udb_device_create(struct device *dma_dev, const struct udb_spec *spec);
void udb_device_destroy(struct udb_device *udev);

/* bind.c */
int udb_bind_init(void);
void udb_bind_exit(void);
int udb_bind_create(const char *parent, const struct udb_spec *spec);
int udb_bind_delete_managed(const char *name);
struct device *udb_bind_get(const char *parent, const struct udb_spec *spec);
void udb_bind_put(struct device *dev);
int udb_tie_to(struct udb_tie *tie, const char *name, struct device *parent);
void udb_untie(struct udb_tie *tie);

/* platform.c */
int udb_platform_init(void);
void udb_platform_exit(void);
int udb_platform_create(struct udb_platform *p, int id);
void udb_platform_destroy(struct udb_platform *p);

/* manager.c */
int udb_manager_init(void);
void udb_manager_exit(void);

/* anonymous.c */
int udb_anonymous_init(void);
void udb_anonymous_exit(void);

/* adopt.c */
long udb_adopt(struct device *dev, const struct u_dma_buf_adopt *in,
	       struct u_dma_buf_adopt __user *user);

/* devicetree.c */
#ifdef CONFIG_OF
extern const struct of_device_id udb_of_match[];
int udb_of_spec(struct device *dev, struct udb_spec *spec);
#endif

static inline u64 udb_map_size(const struct udb_memory *m)
{
	return (u64)m->nr_pages << PAGE_SHIFT;
}

static inline struct page *udb_page(const struct udb_memory *m, unsigned long index)
{
	return pfn_to_page(m->first_pfn + index);
}

static inline phys_addr_t udb_phys(const struct udb_memory *m)
{
	return PFN_PHYS(m->first_pfn);
}

#endif /* UDB_H */
