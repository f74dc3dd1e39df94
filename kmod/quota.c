// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * How much memory users without CAP_SYS_ADMIN may hold in anonymous buffers.  A
 * buffer is charged before it is allocated to the user who asks for it, and
 * returned once, when its pages have gone back.
 */
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "compat.h"
#include "udb.h"

static unsigned long long udb_anonymous_total;
module_param_named(anonymous_total, udb_anonymous_total, ullong, 0644);
MODULE_PARM_DESC(anonymous_total, "bytes that all users without CAP_SYS_ADMIN may hold in anonymous buffers (default 0)");

static unsigned long long udb_anonymous_per_user;
module_param_named(anonymous_per_user, udb_anonymous_per_user, ullong, 0644);
MODULE_PARM_DESC(anonymous_per_user, "bytes that each of them may hold, 0: no other limit (default)");

/* A user who holds anonymous buffers. */
struct udb_payer {
	struct list_head link;
	kuid_t uid;
	u64 bytes;
};

static LIST_HEAD(udb_payers);
static u64 udb_quota_sum;
/* Of both, and of the bytes of each payer. */
static DEFINE_MUTEX(udb_quota_lock);

static u64 udb_limit(const unsigned long long *parameter)
{
	u64 limit;

	/* Against a write in two halves on 32-bit machines. */
	kernel_param_lock(THIS_MODULE);
	limit = *parameter;
	kernel_param_unlock(THIS_MODULE);
	return limit;
}

/* May users without CAP_SYS_ADMIN have anything at all? */
bool udb_quota_allows_any(void)
{
	return udb_limit(&udb_anonymous_total);
}

u64 udb_quota_used(void)
{
	u64 used;

	mutex_lock(&udb_quota_lock);
	used = udb_quota_sum;
	mutex_unlock(&udb_quota_lock);
	return used;
}

static struct udb_payer *udb_payer_find(kuid_t uid)
{
	struct udb_payer *payer;

	list_for_each_entry(payer, &udb_payers, link)
		if (uid_eq(payer->uid, uid))
			return payer;
	return NULL;
}

/* Return: the payer of the current user, on the list, or NULL without memory. */
static struct udb_payer *udb_payer_get(void)
{
	struct udb_payer *payer = udb_payer_find(current_uid());

	if (payer)
		return payer;
	payer = udb_zalloc(sizeof(*payer));
	if (payer) {
		payer->uid = current_uid();
		list_add(&payer->link, &udb_payers);
	}
	return payer;
}

static void udb_payer_put(struct udb_payer *payer)
{
	if (payer->bytes)
		return;
	list_del(&payer->link);
	kfree(payer);
}

static bool udb_fits(u64 used, u64 bytes, u64 limit)
{
	return used <= limit && bytes <= limit - used;
}

/**
 * udb_quota_charge - charge the current user for a buffer
 * @bytes: whole pages, not 0
 * @payer: who pays; for udb_quota_return()
 *
 * Return: 0, -EPERM if nothing is allowed, -EDQUOT if this is too much, -ENOMEM.
 */
int udb_quota_charge(u64 bytes, struct udb_payer **payer)
{
	u64 total = udb_limit(&udb_anonymous_total);
	u64 per_user = udb_limit(&udb_anonymous_per_user);
	struct udb_payer *p;
	int error = 0;

	if (!total)
		return -EPERM;
	mutex_lock(&udb_quota_lock);
	p = udb_payer_get();
	if (!p) {
		error = -ENOMEM;
	} else if (!udb_fits(udb_quota_sum, bytes, total) ||
		   (per_user && !udb_fits(p->bytes, bytes, per_user))) {
		udb_payer_put(p);
		error = -EDQUOT;
	} else {
		p->bytes += bytes;
		udb_quota_sum += bytes;
		*payer = p;
	}
	mutex_unlock(&udb_quota_lock);
	return error;
}

/**
 * udb_quota_return - undo a charge
 * @payer: from udb_quota_charge()
 * @bytes: as many as were charged
 */
void udb_quota_return(struct udb_payer *payer, u64 bytes)
{
	mutex_lock(&udb_quota_lock);
	payer->bytes -= bytes;
	udb_quota_sum -= bytes;
	udb_payer_put(payer);
	mutex_unlock(&udb_quota_lock);
}
