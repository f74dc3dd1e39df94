// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The life of a buffer's memory: made with one reference, freed when the last
 * file, mapping, dma-buf and device node have dropped theirs.
 */
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "udb.h"

/* Retries of a free that must wait for somebody else's page references. */
#define UDB_FREE_DELAY_MIN_MS	10
#define UDB_FREE_DELAY_MAX_MS	1000
#define UDB_FREE_EXIT_TRIES	20

static struct workqueue_struct *udb_free_queue;
static DECLARE_WAIT_QUEUE_HEAD(udb_free_wait);
static atomic_t udb_free_pending = ATOMIC_INIT(0);
static bool udb_exiting;

static void udb_memory_destroy(struct udb_memory *m)
{
	if (m->payer)
		udb_quota_return(m->payer, udb_map_size(m));
	mutex_destroy(&m->view_lock);
	mutex_destroy(&m->copy_lock);
	kfree(m);
}

/*
 * Outside module exit the retries hold a reference to the module, so that it
 * stays until the last page is back.
 */
static void udb_free_work(struct work_struct *work)
{
	struct udb_memory *m = container_of(to_delayed_work(work), struct udb_memory,
					    free_work);
	bool holds_module = m->free_holds_module;

	if (!udb_source_give(m)) {
		if (holds_module || !READ_ONCE(udb_exiting) || m->free_tries-- > 0) {
			m->free_delay_ms = min(m->free_delay_ms * 2, UDB_FREE_DELAY_MAX_MS);
			queue_delayed_work(udb_free_queue, &m->free_work,
					   msecs_to_jiffies(m->free_delay_ms));
			return;
		}
		pr_err("u-dma-buf: %s: pages are still in use by others at unload; %llu bytes of CMA stay allocated\n",
		       m->name, udb_map_size(m));
	}
	udb_memory_destroy(m);
	if (atomic_dec_and_test(&udb_free_pending))
		wake_up_all(&udb_free_wait);
	if (holds_module)
		module_put(THIS_MODULE);
}

static void udb_memory_release(struct kref *ref)
{
	struct udb_memory *m = container_of(ref, struct udb_memory, ref);

	/* Before it is off the list: what unbinds the device waits until this is done. */
	udb_memory_detach(m);
	udb_untie(&m->tie);
	if (m->inode)
		udb_cache_destroy(m);
	if (udb_source_give(m)) {
		udb_memory_destroy(m);
		return;
	}
	m->free_holds_module = try_module_get(THIS_MODULE);
	m->free_delay_ms = UDB_FREE_DELAY_MIN_MS;
	m->free_tries = UDB_FREE_EXIT_TRIES;
	atomic_inc(&udb_free_pending);
	INIT_DELAYED_WORK(&m->free_work, udb_free_work);
	queue_delayed_work(udb_free_queue, &m->free_work,
			   msecs_to_jiffies(m->free_delay_ms));
}

struct udb_memory *udb_memory_get(struct udb_memory *m)
{
	kref_get(&m->ref);
	return m;
}

void udb_memory_put(struct udb_memory *m)
{
	kref_put(&m->ref, udb_memory_release);
}

/* With the reference that put would count: the memory is not complete yet. */
static int udb_memory_fill(struct udb_memory *m, struct device *dev,
			   const struct udb_spec *spec)
{
	int error = 0;

	if (spec->charged)
		error = udb_quota_charge(udb_map_size(m), &m->payer);
	if (!error)
		error = udb_source_take(m, dev, udb_dma_limit(dev));
	if (error) {
		udb_memory_destroy(m);
		return error;
	}
	if (m->kind == U_DMA_BUF_MEMORY_POOL && m->mmap_mode > U_DMA_BUF_MMAP_AUTO) {
		pr_info("u-dma-buf: %s: a no-map memory-region has no pages, so it is mapped with quirk_mmap_mode 1; \"reusable\" instead of \"no-map\" gives pages\n",
			m->name);
		m->mmap_mode = U_DMA_BUF_MMAP_OFF;
	}
	error = udb_dma_attach(m, dev);
	if (!error && m->mmap_mode == U_DMA_BUF_MMAP_CACHE)
		error = udb_cache_create(m);
	if (error)
		udb_memory_put(m);
	return error;
}

/**
 * udb_memory_create - allocate a buffer and map it for a device
 * @dev: the device that will read and write it
 * @spec: size, mapping mode and name
 *
 * Return: the memory with one reference, or an ERR_PTR after saying why in the
 * log.
 */
struct udb_memory *udb_memory_create(struct device *dev, const struct udb_spec *spec)
{
	struct udb_memory *m;
	int error;

	if (!spec->size || spec->size > LLONG_MAX - PAGE_SIZE ||
	    PAGE_ALIGN(spec->size) >> PAGE_SHIFT > ULONG_MAX) {
		pr_err_ratelimited("u-dma-buf: %s: %llu bytes is no possible size\n",
				   spec->name, spec->size);
		return ERR_PTR(-EINVAL);
	}

	m = udb_zalloc(sizeof(*m));
	if (!m)
		return ERR_PTR(-ENOMEM);
	kref_init(&m->ref);
	init_rwsem(&m->dma_lock);
	mutex_init(&m->view_lock);
	mutex_init(&m->copy_lock);
	INIT_LIST_HEAD(&m->tie.link);
	udb_bells_init(&m->bells);
	m->views[0].memory = m;
	m->views[1].memory = m;
	m->last_view = &m->views[0];
	strscpy(m->name, spec->name, sizeof(m->name));
	m->size = spec->size;
	m->nr_pages = PAGE_ALIGN(spec->size) >> PAGE_SHIFT;
	m->mmap_mode = spec->mmap_mode;
	m->anonymous = spec->anonymous;
	m->owns_region = spec->owns_region;
	get_random_bytes(m->instance_id, sizeof(m->instance_id));
	error = udb_memory_fill(m, dev, spec);
	return error ? ERR_PTR(error) : m;
}

int __init udb_memory_init(void)
{
	udb_free_queue = udb_inject() ? NULL : alloc_workqueue("u-dma-buf", WQ_UNBOUND, 0);
	return udb_free_queue ? 0 : -ENOMEM;
}

void udb_memory_exit(void)
{
	WRITE_ONCE(udb_exiting, true);
	wait_event(udb_free_wait, !atomic_read(&udb_free_pending));
	destroy_workqueue(udb_free_queue);
}
