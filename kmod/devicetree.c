// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Buffers described in the device tree, with u-dma-buf's properties. */
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/of.h>

#include "compat.h"
#include "udb.h"

const struct of_device_id udb_of_match[] = {
	{ .compatible = "ikwzm,u-dma-buf" },
	{ }
};
MODULE_DEVICE_TABLE(of, udb_of_match);

/* One cell or two. Return: 0, -EINVAL if there is no such property. */
static int udb_of_number(const struct device_node *np, const char *name, u64 *value)
{
	u32 cell;

	if (!of_property_read_u64(np, name, value))
		return 0;
	if (of_property_read_u32(np, name, &cell))
		return -EINVAL;
	*value = cell;
	return 0;
}

/* An optional number from min to max. */
static int udb_of_limited(struct device *dev, const char *name, u32 min, u32 max, u32 *value)
{
	u32 cell;

	if (of_property_read_u32(dev->of_node, name, &cell))
		return 0;
	if (cell < min || cell > max) {
		dev_err(dev, "%s = <%u>: must be %u to %u\n", name, cell, min, max);
		return -EINVAL;
	}
	*value = cell;
	return 0;
}

static void udb_of_mmap_mode(const struct device_node *np, struct udb_spec *spec)
{
	static const struct {
		const char *name;
		enum u_dma_buf_mmap_mode mode;
	} modes[] = {
		/* The last one that is there wins. */
		{ "quirk-mmap-on", U_DMA_BUF_MMAP_ON },
		{ "quirk-mmap-off", U_DMA_BUF_MMAP_OFF },
		{ "quirk-mmap-auto", U_DMA_BUF_MMAP_AUTO },
		{ "quirk-mmap-page", U_DMA_BUF_MMAP_PAGE },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (of_property_read_bool(np, modes[i].name))
			spec->mmap_mode = modes[i].mode;
}

/* device-name, else udmabuf<minor-number>, else the name of the node. */
static void udb_of_name(struct device *dev, struct udb_spec *spec)
{
	const char *name;

	if (!of_property_read_string(dev->of_node, "device-name", &name))
		strscpy(spec->name, name, sizeof(spec->name));
	else if (spec->minor >= 0)
		snprintf(spec->name, sizeof(spec->name), "udmabuf%d", spec->minor);
	else
		snprintf(spec->name, sizeof(spec->name), "%pOFn", dev->of_node);
}

static int udb_of_sync(struct device *dev, struct udb_sync *sync)
{
	int error;

	sync->mode = 1;
	error = udb_of_limited(dev, "sync-mode", 1, 3, &sync->mode);
	if (error)
		return error;
	if (of_property_read_bool(dev->of_node, "sync-always"))
		sync->mode |= 4;
	/* Both may be absent. */
	udb_of_number(dev->of_node, "sync-offset", &sync->offset);
	udb_of_number(dev->of_node, "sync-size", &sync->size);
	return udb_of_limited(dev, "sync-direction", 0, 2, &sync->direction);
}

/**
 * udb_of_spec - read the properties of a node
 * @dev: the platform device of the node
 * @spec: filled in
 *
 * Return: 0, or -EINVAL after saying why in the log.
 */
int udb_of_spec(struct device *dev, struct udb_spec *spec)
{
	u32 minor = UDB_MINORS;
	int error;

	if (udb_of_number(dev->of_node, "size", &spec->size)) {
		dev_err(dev, "the property size is missing\n");
		return -EINVAL;
	}
	error = udb_of_limited(dev, "minor-number", 0, UDB_MINORS - 1, &minor);
	if (error)
		return error;
	spec->minor = minor < UDB_MINORS ? minor : -1;
	spec->dma_mask_bits = udb_dma_mask_bits;
	error = udb_of_limited(dev, "dma-mask", 12, 64, &spec->dma_mask_bits);
	if (error)
		return error;
	spec->mmap_mode = udb_mmap_mode;
	udb_of_mmap_mode(dev->of_node, spec);
	udb_of_name(dev, spec);
	return udb_of_sync(dev, &spec->sync);
}
