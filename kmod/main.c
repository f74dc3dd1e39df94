// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * u-dma-buf: physically contiguous DMA memory for user space.
 *
 * The interface is that of the module of the same name; docs/KERNEL.md tells
 * what is different.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "compat.h"
#include "udb.h"

int udb_info_enable = UDB_INFO_INSTALL;
module_param_named(info_enable, udb_info_enable, int, 0444);
MODULE_PARM_DESC(info_enable, "log: 1 buffers, 2 DMA facts, 4 build configuration (sum, default 1)");

int udb_dma_mask_bits = 32;
module_param_named(dma_mask_bit, udb_dma_mask_bits, int, 0444);
MODULE_PARM_DESC(dma_mask_bit, "address bits of devices that have no DMA mask, 12-64 (default 32)");

int udb_mmap_mode = U_DMA_BUF_MMAP_CACHE;
module_param_named(quirk_mmap_mode, udb_mmap_mode, int, 0444);
MODULE_PARM_DESC(quirk_mmap_mode, "1 off, 2 on, 3 auto, 4 page, 5 page cache (default 5)");

module_param_named(mixed_attributes, udb_mixed_attributes, bool, 0444);
MODULE_PARM_DESC(mixed_attributes, "allow mappings with and without cache at once, as u-dma-buf does (default no)");

static char *bind;
module_param(bind, charp, 0444);
MODULE_PARM_DESC(bind, "BUS/DEVICE that all buffers are for, e.g. pci/0000:00:04.0");

static struct udb_platform udb_statics[UDB_STATIC_BUFFERS];
static unsigned long long udb_sizes[UDB_STATIC_BUFFERS];
static char *udb_binds[UDB_STATIC_BUFFERS];
static int udb_coherent[UDB_STATIC_BUFFERS] = { [0 ... UDB_STATIC_BUFFERS - 1] = -1 };

#define UDB_BUFFER_PARAM(n)							\
	module_param_named(udmabuf##n, udb_sizes[n], ullong, 0444);		\
	MODULE_PARM_DESC(udmabuf##n, "bytes of buffer udmabuf" #n ", 0 for none");	\
	module_param_named(udmabuf##n##_bind, udb_binds[n], charp, 0444);	\
	MODULE_PARM_DESC(udmabuf##n##_bind, "BUS/DEVICE that udmabuf" #n " is for");	\
	module_param_named(udmabuf##n##_coherent, udb_coherent[n], int, 0444);	\
	MODULE_PARM_DESC(udmabuf##n##_coherent, "1: udmabuf" #n " is coherent, 0: not")

UDB_BUFFER_PARAM(0);
UDB_BUFFER_PARAM(1);
UDB_BUFFER_PARAM(2);
UDB_BUFFER_PARAM(3);
UDB_BUFFER_PARAM(4);
UDB_BUFFER_PARAM(5);
UDB_BUFFER_PARAM(6);
UDB_BUFFER_PARAM(7);

static int __init udb_check_parameters(void)
{
	unsigned int i;

	for (i = 0; i < UDB_STATIC_BUFFERS; i++) {
		if (udb_coherent[i] < -1 || udb_coherent[i] > 1) {
			pr_err("u-dma-buf: udmabuf%u_coherent=%d: must be 0 or 1\n", i,
			       udb_coherent[i]);
			return -EINVAL;
		}
	}
	if (udb_dma_mask_bits < 12 || udb_dma_mask_bits > 64) {
		pr_err("u-dma-buf: dma_mask_bit=%d: must be 12 to 64\n", udb_dma_mask_bits);
		return -EINVAL;
	}
	if (udb_mmap_mode < U_DMA_BUF_MMAP_OFF || udb_mmap_mode > U_DMA_BUF_MMAP_CACHE) {
		pr_err("u-dma-buf: quirk_mmap_mode=%d: must be 1 to 5\n", udb_mmap_mode);
		return -EINVAL;
	}
	return 0;
}

static int __init udb_create_one(unsigned int index)
{
	const char *parent = udb_binds[index] ? udb_binds[index] : bind;
	struct udb_spec spec = {
		.size = udb_sizes[index],
		.minor = index,
		.dma_mask_bits = udb_dma_mask_bits,
		.mmap_mode = udb_mmap_mode,
		.sync = { .mode = 1 },
	};

	if (!spec.size)
		return 0;
	snprintf(spec.name, sizeof(spec.name), "udmabuf%u", index);
	if (!parent) {
		udb_statics[index].spec = spec;
		udb_statics[index].coherent = udb_coherent[index];
		return udb_platform_create(&udb_statics[index], index);
	}
	if (udb_coherent[index] >= 0) {
		pr_err("u-dma-buf: udmabuf%u: coherent and bind exclude each other; the device that it is for knows\n",
		       index);
		return -EINVAL;
	}
	return udb_bind_create(parent, &spec);
}

static void udb_destroy_all(void)
{
	unsigned int i;

	for (i = 0; i < UDB_STATIC_BUFFERS; i++)
		udb_platform_destroy(&udb_statics[i]);
}

static unsigned int __init udb_largest(const bool *done)
{
	unsigned int i, largest = UDB_STATIC_BUFFERS;

	for (i = 0; i < UDB_STATIC_BUFFERS; i++)
		if (!done[i] && (largest == UDB_STATIC_BUFFERS || udb_sizes[i] > udb_sizes[largest]))
			largest = i;
	return largest;
}

/*
 * All or none: a program that finds udmabuf1 may rely on udmabuf0.  The largest
 * first, because a small one in a large gap may leave none that is large enough.
 */
static int __init udb_create_all(void)
{
	bool done[UDB_STATIC_BUFFERS] = { false };
	unsigned int i, largest;
	int error = 0;

	for (i = 0; i < UDB_STATIC_BUFFERS && !error; i++) {
		largest = udb_largest(done);
		done[largest] = true;
		error = udb_create_one(largest);
	}
	return error;
}

static void __init udb_log_build(void)
{
	pr_info("u-dma-buf: %s, dma-buf export %d, CMA %d, device tree %d\n",
		UDB_DRIVER_VERSION, IS_ENABLED(CONFIG_DMA_SHARED_BUFFER),
		IS_ENABLED(CONFIG_DMA_CMA), IS_ENABLED(CONFIG_OF));
}

static int __init udb_init(void)
{
	int error = udb_check_parameters();

	if (error)
		return error;
	if (udb_info_enable & UDB_INFO_BUILD)
		udb_log_build();
	error = udb_memory_init();
	if (error)
		return error;
	error = udb_cache_init();
	if (error)
		goto exit_memory;
	error = udb_class_init();
	if (error)
		goto exit_cache;
	error = udb_bind_init();
	if (error)
		goto exit_class;
	error = udb_platform_init();
	if (error)
		goto exit_bind;
	error = udb_create_all();
	if (error)
		goto destroy_all;
	error = udb_anonymous_init();
	if (error)
		goto destroy_all;
	error = udb_manager_init();
	if (error)
		goto exit_anonymous;
	return 0;

exit_anonymous:
	udb_anonymous_exit();
destroy_all:
	udb_destroy_all();
	udb_platform_exit();
exit_bind:
	udb_bind_exit();
exit_class:
	udb_class_exit();
exit_cache:
	udb_cache_exit();
exit_memory:
	udb_memory_exit();
	return error;
}

static void __exit udb_exit(void)
{
	udb_manager_exit();
	udb_anonymous_exit();
	udb_destroy_all();
	udb_platform_exit();
	udb_bind_exit();
	udb_class_exit();
	udb_cache_exit();
	udb_memory_exit();
}

module_init(udb_init);
module_exit(udb_exit);

MODULE_DESCRIPTION("Physically contiguous DMA memory for user space");
MODULE_VERSION(UDB_DRIVER_VERSION);
MODULE_LICENSE("Dual MIT/GPL");
/* The manager was a module of its own, which existing scripts load. */
MODULE_ALIAS("u-dma-buf-mgr");
