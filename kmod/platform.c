// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Buffers with a platform device of their own: made here for module parameters
 * and the manager, or by the kernel for nodes of the device tree.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/platform_device.h>

#include "compat.h"
#include "udb.h"

static int udb_set_mask(struct device *dev, const struct udb_spec *spec)
{
	int error = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(spec->dma_mask_bits));

	if (error)
		pr_err("u-dma-buf: %s: with %u address bits the device reaches no memory of this machine. Remedy: a larger dma_mask_bit\n",
		       spec->name, spec->dma_mask_bits);
	return error;
}

static int udb_probe_static(struct platform_device *pdev, struct udb_platform *p)
{
	struct device *dev = &pdev->dev;
	struct udb_device *udev;
	int error;

	error = udb_set_mask(dev, &p->spec);
	if (error)
		return error;
	if (p->coherent >= 0 && udb_set_dma_coherent(dev, p->coherent)) {
		pr_err("u-dma-buf: %s: coherent=0: every device is coherent on this machine\n",
		       p->spec.name);
		return -EINVAL;
	}
	udev = udb_device_create(dev, &p->spec);
	if (IS_ERR(udev))
		return PTR_ERR(udev);
	platform_set_drvdata(pdev, udev);
	return 0;
}

#ifdef CONFIG_OF

/* The memory-region is optional; if it can not be had, nothing else will do. */
static int udb_assign_region(struct device *dev, const struct udb_spec *spec)
{
	int error = of_reserved_mem_device_init(dev);

	if (error == -ENODEV)
		return 0;
	if (error == -EBUSY)
		pr_err("u-dma-buf: %s: its memory-region is still in use by a program that had the buffer before\n",
		       spec->name);
	else if (error)
		pr_err("u-dma-buf: %s: its memory-region can not be used (error %d); it needs compatible = \"shared-dma-pool\" and no-map or reusable\n",
		       spec->name, error);
	return error;
}

static int udb_probe_node(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct udb_spec spec = { 0 };
	struct udb_device *udev;
	int error;

	spec.owns_region = true;
	error = udb_of_spec(dev, &spec);
	if (!error)
		error = udb_set_mask(dev, &spec);
	if (!error)
		error = udb_assign_region(dev, &spec);
	if (error)
		return error;
	udev = udb_device_create(dev, &spec);
	if (IS_ERR(udev)) {
		of_reserved_mem_device_release(dev);
		return PTR_ERR(udev);
	}
	platform_set_drvdata(pdev, udev);
	return 0;
}

#else

static int udb_probe_node(struct platform_device *pdev)
{
	return -ENODEV;
}

#endif /* CONFIG_OF */

static int udb_probe(struct platform_device *pdev)
{
	struct udb_platform **data = dev_get_platdata(&pdev->dev);

	if (!data)
		return udb_probe_node(pdev);
	(*data)->error = udb_probe_static(pdev, *data);
	return (*data)->error;
}

static UDB_REMOVE_RESULT udb_remove(struct platform_device *pdev)
{
	udb_device_destroy(platform_get_drvdata(pdev));
	/* A pool is released with its memory, which may be in use. */
	if (!udb_has_pool(&pdev->dev))
		of_reserved_mem_device_release(&pdev->dev);
	return UDB_REMOVE_DONE;
}

static struct platform_driver udb_platform_driver = {
	.probe = udb_probe,
	.remove = udb_remove,
	.driver = {
		.name = UDB_DRIVER_NAME,
#ifdef CONFIG_OF
		.of_match_table = udb_of_match,
#endif
		/* insmod waits for the result, to be able to fail. */
		.probe_type = PROBE_FORCE_SYNCHRONOUS,
	},
};

/**
 * udb_platform_create - make a buffer with a platform device of its own
 * @p: spec and coherent say what to make; stays until udb_platform_destroy()
 * @id: number of the device, or PLATFORM_DEVID_AUTO
 *
 * Return: 0, or the error of the allocation; the log says more.
 */
int udb_platform_create(struct udb_platform *p, int id)
{
	p->error = -ENODEV;
	p->pdev = udb_inject() ? ERR_PTR(-ENOMEM) :
		  platform_device_register_data(NULL, UDB_DRIVER_NAME, id, &p, sizeof(p));
	if (IS_ERR(p->pdev)) {
		p->error = PTR_ERR(p->pdev);
		p->pdev = NULL;
	}
	if (p->error)
		udb_platform_destroy(p);
	return p->error;
}

/* Nothing happens to one that was never made. */
void udb_platform_destroy(struct udb_platform *p)
{
	platform_device_unregister(p->pdev);
	p->pdev = NULL;
}

int __init udb_platform_init(void)
{
	return udb_inject() ? -ENOMEM : platform_driver_register(&udb_platform_driver);
}

void udb_platform_exit(void)
{
	platform_driver_unregister(&udb_platform_driver);
}
