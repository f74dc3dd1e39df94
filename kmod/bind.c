// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Buffers for a device of somebody else's: bind=BUS/DEVICE.  The memory is
 * chosen and mapped for that device, so it works behind an IOMMU.  The other
 * driver knows nothing of us; when its device is removed from its bus, or the
 * driver from the device, the buffer loses its node and its device address, but
 * not its users' memory.
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
/* Things that others own; see udb_tie_to(). */
static LIST_HEAD(udb_ties);
/* Of both.  Held while a tie is cut, so that its owner can not free it meanwhile. */
static DEFINE_MUTEX(udb_bound_lock);

static void udb_bound_take(struct device *parent, struct list_head *taken)
{
	struct udb_device *udev, *next;

	mutex_lock(&udb_bound_lock);
	list_for_each_entry_safe(udev, next, &udb_bound, bound_link)
		if (!parent || udev->dev.parent == parent) {
			/* Whoever unbinds the device does not find it any more. */
			udb_memory_detach(udev->memory);
			list_move(&udev->bound_link, taken);
		}
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
			udb_memory_detach(udev->memory);
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

static void udb_cut_ties(struct device *parent)
{
	struct udb_tie *tie, *next;

	mutex_lock(&udb_bound_lock);
	list_for_each_entry_safe(tie, next, &udb_ties, link) {
		if (tie->parent == parent) {
			list_del_init(&tie->link);
			tie->cut(tie);
		}
	}
	mutex_unlock(&udb_bound_lock);
}

/*
 * DEL comes while the device still works.  REMOVED comes when nobody finds it on
 * its bus any more: for whoever found it just before that.  UNBIND comes before the
 * driver goes, and with it how the device's DMA is set up.
 */
static int udb_bus_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_DEL_DEVICE || event == BUS_NOTIFY_REMOVED_DEVICE ||
	    event == BUS_NOTIFY_UNBIND_DRIVER) {
		udb_bound_destroy(data);
		udb_cut_ties(data);
	}
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

	if (!dev->dma_mask || !*dev->dma_mask)
		return dma_coerce_mask_and_coherent(dev, mask);
	if (!dev->driver && *dev->dma_mask < mask)
		return dma_set_mask_and_coherent(dev, mask);
	return 0;
}

/*
 * Where the kernel learns only when a driver takes a device whether it is coherent and
 * what an IOMMU or its bus does to its addresses, there is none of that before.
 */
static bool udb_bind_is_set_up(const struct device *dev)
{
	return dev->driver || !IS_ENABLED(CONFIG_ARCH_HAS_SETUP_DMA_OPS);
}

/**
 * udb_bind_get - a device of somebody else's, with a usable DMA mask
 * @parent: BUS/DEVICE, or DEVICE on the platform bus
 * @spec: for what
 *
 * The lock keeps its driver while the buffer is made and entered in our lists.
 *
 * Return: the device for udb_bind_put(); or an ERR_PTR, -EINVAL if there is no such
 * device, -ENODEV if it has no driver and needs one, after saying why in the log.
 */
struct device *udb_bind_get(const char *parent, const struct udb_spec *spec)
{
	const char *why;
	struct device *dev = udb_bind_find(parent, &why);
	int error;

	if (!dev) {
		pr_err("u-dma-buf: %s: bind=%s: %s. Remedy: BUS/DEVICE as in /sys/bus/BUS/devices\n",
		       spec->name, parent, why);
		return ERR_PTR(-EINVAL);
	}
	device_lock(dev);
	if (!udb_bind_is_set_up(dev)) {
		error = -ENODEV;
		pr_err("u-dma-buf: %s: bind=%s: the device has no driver, and without one its DMA is not set up on this machine. Remedy: give it a driver first, e.g. uio_pci_generic\n",
		       spec->name, parent);
	} else {
		error = udb_bind_mask(dev, spec);
		if (error)
			pr_err("u-dma-buf: %s: bind=%s: the device has no usable DMA mask (error %d)\n",
			       spec->name, parent, error);
	}
	if (!error)
		return dev;
	udb_bind_put(dev);
	return ERR_PTR(error);
}

void udb_bind_put(struct device *dev)
{
	device_unlock(dev);
	put_device(dev);
}

/*
 * Is it still on its bus?  If so, its removal is yet to be announced to what is on
 * our lists by now.
 */
static bool udb_bind_is_current(const char *parent, struct device *dev)
{
	const char *why;
	struct device *found = udb_bind_find(parent, &why);

	put_device(found);
	return found == dev;
}

/**
 * udb_tie_to - have something done when a device, or its driver, is removed
 * @tie: of the thing; cut and nothing else is set
 * @name: BUS/DEVICE
 * @parent: that device, from udb_bind_get()
 *
 * cut() may be called before this returns, and is called at most once.
 *
 * Return: 0, or -ENODEV if the device is gone already and cut() is not called.
 */
int udb_tie_to(struct udb_tie *tie, const char *name, struct device *parent)
{
	bool cut;

	tie->parent = parent;
	mutex_lock(&udb_bound_lock);
	list_add(&tie->link, &udb_ties);
	mutex_unlock(&udb_bound_lock);
	if (udb_bind_is_current(name, parent))
		return 0;
	mutex_lock(&udb_bound_lock);
	cut = list_empty(&tie->link);
	list_del_init(&tie->link);
	mutex_unlock(&udb_bound_lock);
	return cut ? 0 : -ENODEV;
}

/* When it returns, cut() is over or will never be called. */
void udb_untie(struct udb_tie *tie)
{
	mutex_lock(&udb_bound_lock);
	list_del_init(&tie->link);
	mutex_unlock(&udb_bound_lock);
}

/* Return: false if it is not there any more, being destroyed with its parent. */
static bool udb_bound_remove(struct udb_device *udev)
{
	struct udb_device *other;
	bool found = false;

	mutex_lock(&udb_bound_lock);
	list_for_each_entry(other, &udb_bound, bound_link)
		found |= other == udev;
	if (found)
		list_del(&udev->bound_link);
	mutex_unlock(&udb_bound_lock);
	return found;
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
	struct device *dev = udb_bind_get(parent, spec);
	struct udb_device *udev;
	int error = 0;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	udev = udb_device_create(dev, spec);
	if (IS_ERR(udev)) {
		error = PTR_ERR(udev);
		goto put;
	}
	get_device(&udev->dev);
	mutex_lock(&udb_bound_lock);
	list_add(&udev->bound_link, &udb_bound);
	mutex_unlock(&udb_bound_lock);
	if (!udb_bind_is_current(parent, dev) && udb_bound_remove(udev)) {
		udb_device_destroy(udev);
		error = -ENODEV;
	}
	put_device(&udev->dev);
put:
	udb_bind_put(dev);
	return error;
}

int __init udb_bind_init(void)
{
	size_t i;
	int error;

	for (i = 0; i < ARRAY_SIZE(udb_buses); i++) {
		udb_buses[i].notifier.notifier_call = udb_bus_event;
		error = udb_inject() ? -ENOMEM :
			bus_register_notifier(udb_buses[i].bus, &udb_buses[i].notifier);
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

	udb_bound_destroy(NULL);
	for (i = 0; i < ARRAY_SIZE(udb_buses); i++)
		bus_unregister_notifier(udb_buses[i].bus, &udb_buses[i].notifier);
}
