// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Failures on demand.  Every step that can fail for want of memory or of a
 * resource asks udb_inject() first, so a test walks N = 1, 2, ... until nothing
 * fails any more and looks for leaks each time (test/vm, injected).
 */
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "compat.h"
#include "udb.h"

/* Counted down; written by whoever asks, and by root. */
static unsigned int udb_fail_alloc;
module_param_named(fail_alloc, udb_fail_alloc, uint, 0600);
MODULE_PARM_DESC(fail_alloc, "for tests: fail the Nth allocation step from now, 0 none (default)");

/* Return: true once, when the count is over: the caller fails as if it had no memory. */
bool udb_inject(void)
{
	unsigned int left = READ_ONCE(udb_fail_alloc);

	return left && cmpxchg(&udb_fail_alloc, left, left - 1) == left && left == 1;
}

void *udb_zalloc(size_t size)
{
	return udb_inject() ? NULL : kzalloc(size, GFP_KERNEL);
}
