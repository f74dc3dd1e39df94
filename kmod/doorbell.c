// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Doorbells of a buffer: counters that its users ring, and the poll() and the
 * eventfds that tell of it.  uapi/u-dma-buf.h documents what a caller sees.
 *
 * No wake-up is lost: a listener enters the wait queue (poll_wait) before it
 * looks at the counters, a ringer counts before it looks at the queue, and the
 * lock orders the two.
 */
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/poll.h>

#include "compat.h"
#include "udb.h"

#define UDB_ALWAYS_READY	(EPOLLIN | EPOLLRDNORM)
#define UDB_WRITABLE		(EPOLLOUT | EPOLLWRNORM)

void udb_bells_init(struct udb_bells *bells)
{
	spin_lock_init(&bells->lock);
	INIT_LIST_HEAD(&bells->listeners);
	init_waitqueue_head(&bells->wait);
}

void udb_listener_add(struct udb_bells *bells, struct udb_listener *listener)
{
	spin_lock(&bells->lock);
	list_add(&listener->link, &bells->listeners);
	spin_unlock(&bells->lock);
}

/* After that nobody signals its eventfds, which are given back here. */
void udb_listener_remove(struct udb_bells *bells, struct udb_listener *listener)
{
	unsigned int i;

	spin_lock(&bells->lock);
	list_del(&listener->link);
	spin_unlock(&bells->lock);
	for (i = 0; i < U_DMA_BUF_DOORBELLS; i++)
		if (listener->ctx[i])
			eventfd_ctx_put(listener->ctx[i]);
}

/* Called with the lock, so that no context is given back meanwhile. */
static void udb_signal(struct udb_bells *bells, u32 mask)
{
	struct udb_listener *listener;
	unsigned int i;

	list_for_each_entry(listener, &bells->listeners, link)
		for (i = 0; i < U_DMA_BUF_DOORBELLS; i++)
			if (mask & BIT(i) && listener->ctx[i])
				udb_eventfd_signal(listener->ctx[i]);
}

/**
 * udb_bells_gone - end every wait: the device is gone
 * @bells: of a memory that is detached
 */
void udb_bells_gone(struct udb_bells *bells)
{
	bool first;

	spin_lock(&bells->lock);
	first = !bells->gone;
	bells->gone = true;
	if (first)
		udb_signal(bells, U_DMA_BUF_DOORBELLS_MASK);
	spin_unlock(&bells->lock);
	if (first)
		wake_up_poll(&bells->wait, EPOLLIN | EPOLLHUP | EPOLLERR);
}

long udb_ring(struct udb_bells *bells, u32 mask)
{
	long error = 0;
	unsigned int i;

	if (mask & ~U_DMA_BUF_DOORBELLS_MASK)
		return -EINVAL;
	spin_lock(&bells->lock);
	if (bells->gone) {
		error = -ENODEV;
	} else {
		for (i = 0; i < U_DMA_BUF_DOORBELLS; i++)
			if (mask & BIT(i))
				bells->rung[i]++;
		udb_signal(bells, mask);
	}
	spin_unlock(&bells->lock);
	if (!error && mask)
		wake_up_poll(&bells->wait, EPOLLIN | EPOLLRDNORM);
	return error;
}

long udb_listen(struct udb_bells *bells, struct udb_listener *listener, u32 mask)
{
	u32 fresh;
	unsigned int i;

	if (mask & ~U_DMA_BUF_DOORBELLS_MASK)
		return -EINVAL;
	spin_lock(&bells->lock);
	/* One that goes on being listened to loses nothing. */
	fresh = mask & ~listener->mask;
	for (i = 0; i < U_DMA_BUF_DOORBELLS; i++)
		if (fresh & BIT(i))
			listener->heard[i] = bells->rung[i];
	listener->mask = mask;
	spin_unlock(&bells->lock);
	/* Another thread in poll() of this open may be ready by the new mask. */
	wake_up_poll(&bells->wait, EPOLLIN | EPOLLRDNORM);
	return 0;
}

/* Called with the lock. */
static u32 udb_pending(const struct udb_bells *bells, const struct udb_listener *listener)
{
	u32 pending = 0;
	unsigned int i;

	for (i = 0; i < U_DMA_BUF_DOORBELLS; i++)
		if (listener->mask & BIT(i) && bells->rung[i] != listener->heard[i])
			pending |= BIT(i);
	return pending;
}

void udb_take_rings(struct udb_bells *bells, struct udb_listener *listener,
		    struct u_dma_buf_rings *out)
{
	unsigned int i;

	spin_lock(&bells->lock);
	out->pending = udb_pending(bells, listener);
	for (i = 0; i < U_DMA_BUF_DOORBELLS; i++) {
		if (!(out->pending & BIT(i)))
			continue;
		out->counts[i] = min_t(u64, bells->rung[i] - listener->heard[i], U32_MAX);
		listener->heard[i] = bells->rung[i];
	}
	spin_unlock(&bells->lock);
}

/* The caller could not be told: it is as if nothing was taken. */
void udb_untake_rings(struct udb_bells *bells, struct udb_listener *listener,
		      const struct u_dma_buf_rings *taken)
{
	unsigned int i;

	spin_lock(&bells->lock);
	for (i = 0; i < U_DMA_BUF_DOORBELLS; i++)
		listener->heard[i] -= taken->counts[i];
	spin_unlock(&bells->lock);
}

long udb_set_eventfd(struct udb_bells *bells, struct udb_listener *listener,
		     const struct u_dma_buf_eventfd *in)
{
	struct eventfd_ctx *ctx = NULL, *old;
	bool gone;

	if (in->doorbell >= U_DMA_BUF_DOORBELLS || in->fd < -1)
		return -EINVAL;
	if (in->fd >= 0) {
		ctx = udb_inject() ? ERR_PTR(-ENOMEM) : eventfd_ctx_fdget(in->fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}
	spin_lock(&bells->lock);
	gone = bells->gone && ctx;
	if (gone) {
		old = ctx;
	} else {
		old = listener->ctx[in->doorbell];
		listener->ctx[in->doorbell] = ctx;
	}
	spin_unlock(&bells->lock);
	if (old)
		eventfd_ctx_put(old);
	return gone ? -ENODEV : 0;
}

__poll_t udb_poll(struct file *file, struct poll_table_struct *table)
{
	struct udb_file *uf = file->private_data;
	struct udb_bells *bells = &uf->memory->bells;
	__poll_t events = UDB_WRITABLE;

	poll_wait(file, &bells->wait, table);
	spin_lock(&bells->lock);
	if (!uf->listener.mask || udb_pending(bells, &uf->listener))
		events |= UDB_ALWAYS_READY;
	if (bells->gone)
		events |= EPOLLHUP | EPOLLERR;
	spin_unlock(&bells->lock);
	return events;
}
