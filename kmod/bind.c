// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Buffers for a device of somebody else's: bind=BUS/DEVICE.  The memory is
 * chosen and mapped for that device, so it works behind an IOMMU.  The other
 * driver knows nothing of us; when its device is removed from its bus the
 * buffer loses its node and its device address, but not its users' memory.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/string.h>
#if IS_REACHABLE(CONFIG_ARM_AMBA)
#include <linux/amba/bus.h>
#endif

#include "compat.h"
#include "udb.h"

struct udb_bus {
	const char *name;
	typeof(platform_bus_type) *bus;	/* const since 6.12: as the headers say */
	struct notifier_block notifier;
};

static int udb_bus_event(struct notifier_block *nb, unsigned long event, void *data);

static struct udb_bus udb_buses[] = {
	{ .name = "platform", .bus = &platform_bus_type, },
#if IS_ENABLED(CONFIG_PCI)
	{ .name = "pci", .bus = &pci_bus_type, },
#endif
#if IS_REACHABLE(CONFIG_ARM_AMBA)
	{ .name = "amba", .bus = &amba_bustype, },
#endif
};

/* The only owner of bound buffers. */
static LIST_HEAD(udb_bound);
static DEFINE_MUTEX(udb_bound_lock);

static void udb_bound_take(struct device *parent, struct list_head *taken)
{
	struct udb_device *udev, *next;

	mutex_lock(&udb_bound_lock);
	list_for_each_entry_safe(udev, next, &udb_bound, bound_link)
		if (!parent || udev->dev.parent == parent)
			list_move(&udev->bound_link, taken);
	mutex_unlock(&udb_bound_lock);
}

/* Destroy the buffers bound to @parent, or all. */
static void udb_bound_destroy(struct device *parent)
{
	struct udb_device *udev, *next;
	LIST_HEAD(taken);

	udb_bound_take(parent, &taken);
	list_for_each_entry_safe(udev, next, &taken, bound_link) {
		list_del(&udev->bound_link);
		udb_device_destroy(udev);
	}
}

/**
 * udb_bind_delete_managed - delete a bound buffer that the manager made
 * @name: of the buffer
 *
 * Return: 0, or -ENOENT if there is none.
 */
int udb_bind_delete_managed(const char *name)
{
	struct udb_device *udev, *found = NULL;

	mutex_lock(&udb_bound_lock);
	list_for_each_entry(udev, &udb_bound, bound_link) {
		if (udev->managed && !strcmp(dev_name(&udev->dev), name)) {
			found = udev;
			list_del(&udev->bound_link);
			break;
		}
	}
	mutex_unlock(&udb_bound_lock);
	if (!found)
		return -ENOENT;
	udb_device_destroy(found);
	return 0;
}

static int udb_bus_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_DEL_DEVICE)
		udb_bound_destroy(data);
	return NOTIFY_DONE;
}

/* Return: the device with a reference, or NULL with the reason in @why. */
static struct device *udb_bind_find(const char *name, const char **why)
{
	const char *slash = strchr(name, '/');
	size_t length = slash ? slash - name : strlen("platform");
	const char *bus = slash ? name : "platform";
	const char *device = slash ? slash + 1 : name;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(udb_buses); i++) {
		struct device *dev;

		if (strlen(udb_buses[i].name) != length ||
		    strncmp(udb_buses[i].name, bus, length))
			continue;
		dev = bus_find_device_by_name(udb_buses[i].bus, NULL, device);
		*why = "no such device on this bus";
		return dev;
	}
	*why = "no such bus; there are platform, pci and, on ARM, amba";
	return NULL;
}

/*
 * The driver of a device knows how far it reaches.  Without a driver there is
 * only a default, which dma_mask_bit may widen.
 */
static int udb_bind_mask(struct device *dev, const struct udb_spec *spec)
{
	u64 mask = DMA_BIT_MASK(spec->dma_mask_bits);
	int error = 0;

	device_lock(dev);
	if (!dev->dma_mask || !*dev->dma_mask)
		error = dma_coerce_mask_and_coherent(dev, mask);
	else if (!dev->driver && *dev->dma_mask < mask)
		error = dma_set_mask_and_coherent(dev, mask);
	device_unlock(dev);
	return error;
}

/**
 * udb_bind_create - make a buffer for a device that exists
 * @parent: BUS/DEVICE, or DEVICE on the platform bus
 * @spec: what to make
 *
 * Return: 0, -EINVAL if there is no such device, or the reason of the
 * allocation; the log says more.
 */
int udb_bind_create(const char *parent, const struct udb_spec *spec)
{
	struct udb_device *udev;
	struct device *dev;
	const char *why;
	int error;

	dev = udb_bind_find(parent, &why);
	if (!dev) {
		pr_err("u-dma-buf: %s: bind=%s: %s. Remedy: BUS/DEVICE as in /sys/bus/BUS/devices\n",
		       spec->name, parent, why);
		return -EINVAL;
	}
	error = udb_bind_mask(dev, spec);
	if (error) {
		pr_err("u-dma-buf: %s: bind=%s: the device has no usable DMA mask (error %d)\n",
		       spec->name, parent, error);
		goto put;
	}
	udev = udb_device_create(dev, spec);
	if (IS_ERR(udev)) {
		error = PTR_ERR(udev);
		goto put;
	}
	mutex_lock(&udb_bound_lock);
	list_add(&udev->bound_link, &udb_bound);
	mutex_unlock(&udb_bound_lock);
put:
	put_device(dev);
	return error;
}

int __init udb_bind_init(void)
{
	size_t i;
	int error;

	for (i = 0; i < ARRAY_SIZE(udb_buses); i++) {
		udb_buses[i].notifier.notifier_call = udb_bus_event;
		error = bus_register_notifier(udb_buses[i].bus, &udb_buses[i].notifier);
		if (error)
			goto undo;
	}
	return 0;
undo:
	while (i--)
		bus_unregister_notifier(udb_buses[i].bus, &udb_buses[i].notifier);
	return error;
}

void udb_bind_exit(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(udb_buses); i++)
		bus_unregister_notifier(udb_buses[i].bus, &udb_buses[i].notifier);
	udb_bound_destroy(NULL);
}
