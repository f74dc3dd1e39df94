// SPDX-License-Identifier: GPL-2.0 OR MIT
/* /dev/NAME and /sys/class/u-dma-buf/NAME. */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "compat.h"
#include "udb.h"

static dev_t udb_first_devt;
static DEFINE_IDA(udb_minors);

static struct udb_device *to_udb_device(struct device *dev)
{
	return container_of(dev, struct udb_device, dev);
}

static struct udb_sync udb_device_sync(struct udb_device *udev)
{
	struct udb_sync sync;

	mutex_lock(&udev->sync_lock);
	sync = udev->sync;
	mutex_unlock(&udev->sync_lock);
	return sync;
}

/* ---- facts ---- */

static ssize_t driver_version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", UDB_DRIVER_VERSION);
}
static DEVICE_ATTR_RO(driver_version);

static ssize_t ioctl_version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", U_DMA_BUF_IOCTL_VERSION);
}
static DEVICE_ATTR_RO(ioctl_version);

static ssize_t dma_addr_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	dma_addr_t addr;
	int error = udb_dma_addr(to_udb_device(dev)->memory, &addr);

	return error ? error : sysfs_emit(buf, "%pad\n", &addr);
}
static DEVICE_ATTR_RO(dma_addr);

/* Always was the device address, and programs depend on it. */
static ssize_t phys_addr_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return dma_addr_show(dev, attr, buf);
}
static DEVICE_ATTR_RO(phys_addr);

static ssize_t cpu_phys_addr_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	phys_addr_t addr = udb_phys(to_udb_device(dev)->memory);

	return sysfs_emit(buf, "%pa\n", &addr);
}
static DEVICE_ATTR_RO(cpu_phys_addr);

static ssize_t size_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", to_udb_device(dev)->memory->size);
}
static DEVICE_ATTR_RO(size);

static ssize_t memory_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	static const char * const names[] = {
		[U_DMA_BUF_MEMORY_BUDDY] = "buddy",
		[U_DMA_BUF_MEMORY_CONTIG] = "contig",
		[U_DMA_BUF_MEMORY_CMA] = "cma",
		[U_DMA_BUF_MEMORY_POOL] = "no-map",
	};

	return sysfs_emit(buf, "%s\n", names[to_udb_device(dev)->memory->kind]);
}
static DEVICE_ATTR_RO(memory);

static ssize_t instance_id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%*phN\n", UDB_INSTANCE_ID_BYTES,
			  to_udb_device(dev)->memory->instance_id);
}
static DEVICE_ATTR_RO(instance_id);

static ssize_t quirk_mmap_mode_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", to_udb_device(dev)->memory->mmap_mode);
}
static DEVICE_ATTR_RO(quirk_mmap_mode);

static ssize_t dma_coherent_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", to_udb_device(dev)->memory->coherent);
}
static DEVICE_ATTR_RO(dma_coherent);

static ssize_t sync_owner_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&to_udb_device(dev)->memory->sync_owner));
}
static DEVICE_ATTR_RO(sync_owner);

/* ---- defaults of sync for opens that set nothing themselves ---- */

static ssize_t sync_mode_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", udb_device_sync(to_udb_device(dev)).mode);
}

static ssize_t sync_mode_store(struct device *dev, struct device_attribute *attr,
			       const char *buf, size_t count)
{
	struct udb_device *udev = to_udb_device(dev);
	u64 value;
	int error = kstrtoull(buf, 0, &value);

	if (error)
		return error;
	if (value > 7)
		return -EINVAL;
	mutex_lock(&udev->sync_lock);
	udev->sync.mode = value;
	mutex_unlock(&udev->sync_lock);
	return count;
}

static ssize_t sync_direction_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", udb_device_sync(to_udb_device(dev)).direction);
}

static ssize_t sync_direction_store(struct device *dev, struct device_attribute *attr,
				    const char *buf, size_t count)
{
	struct udb_device *udev = to_udb_device(dev);
	u64 value;
	int error = kstrtoull(buf, 0, &value);

	if (error)
		return error;
	if (value > 2)
		return -EINVAL;
	mutex_lock(&udev->sync_lock);
	udev->sync.direction = value;
	mutex_unlock(&udev->sync_lock);
	return count;
}

static ssize_t sync_offset_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "0x%llx\n", udb_device_sync(to_udb_device(dev)).offset);
}

static ssize_t sync_offset_store(struct device *dev, struct device_attribute *attr,
				 const char *buf, size_t count)
{
	struct udb_device *udev = to_udb_device(dev);
	u64 value;
	int error = kstrtoull(buf, 0, &value);

	if (error)
		return error;
	mutex_lock(&udev->sync_lock);
	udev->sync.offset = value;
	mutex_unlock(&udev->sync_lock);
	return count;
}

static ssize_t sync_size_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", udb_device_sync(to_udb_device(dev)).size);
}

static ssize_t sync_size_store(struct device *dev, struct device_attribute *attr,
			       const char *buf, size_t count)
{
	struct udb_device *udev = to_udb_device(dev);
	u64 value;
	int error = kstrtoull(buf, 0, &value);

	if (error)
		return error;
	mutex_lock(&udev->sync_lock);
	udev->sync.size = value;
	mutex_unlock(&udev->sync_lock);
	return count;
}

/* ---- commands ---- */

/* A command that succeeded is over, so there is never one to show. */
static ssize_t sync_command_show(char *buf)
{
	return sysfs_emit(buf, "0\n");
}

static ssize_t sync_command_store(struct device *dev, const char *buf, size_t count,
				  bool for_device)
{
	struct udb_device *udev = to_udb_device(dev);
	struct udb_sync stored = udb_device_sync(udev);
	u64 word;
	int error = kstrtoull(buf, 0, &word);

	if (!error)
		error = udb_sync_word(udev->memory, word, &stored, for_device);
	return error ? error : count;
}

static ssize_t sync_for_cpu_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sync_command_show(buf);
}

static ssize_t sync_for_cpu_store(struct device *dev, struct device_attribute *attr,
				  const char *buf, size_t count)
{
	return sync_command_store(dev, buf, count, false);
}

static ssize_t sync_for_device_show(struct device *dev, struct device_attribute *attr,
				    char *buf)
{
	return sync_command_show(buf);
}

static ssize_t sync_for_device_store(struct device *dev, struct device_attribute *attr,
				     const char *buf, size_t count)
{
	return sync_command_store(dev, buf, count, true);
}

/* The mode that u-dma-buf's users know: root and its group may write. */
static DEVICE_ATTR(sync_mode, 0664, sync_mode_show, sync_mode_store);
static DEVICE_ATTR(sync_direction, 0664, sync_direction_show, sync_direction_store);
static DEVICE_ATTR(sync_offset, 0664, sync_offset_show, sync_offset_store);
static DEVICE_ATTR(sync_size, 0664, sync_size_show, sync_size_store);
static DEVICE_ATTR(sync_for_cpu, 0664, sync_for_cpu_show, sync_for_cpu_store);
static DEVICE_ATTR(sync_for_device, 0664, sync_for_device_show, sync_for_device_store);

static struct attribute *udb_attrs[] = {
	&dev_attr_driver_version.attr,
	&dev_attr_ioctl_version.attr,
	&dev_attr_phys_addr.attr,
	&dev_attr_dma_addr.attr,
	&dev_attr_cpu_phys_addr.attr,
	&dev_attr_size.attr,
	&dev_attr_memory.attr,
	&dev_attr_instance_id.attr,
	&dev_attr_quirk_mmap_mode.attr,
	&dev_attr_dma_coherent.attr,
	&dev_attr_sync_owner.attr,
	&dev_attr_sync_mode.attr,
	&dev_attr_sync_direction.attr,
	&dev_attr_sync_offset.attr,
	&dev_attr_sync_size.attr,
	&dev_attr_sync_for_cpu.attr,
	&dev_attr_sync_for_device.attr,
	NULL,
};
ATTRIBUTE_GROUPS(udb);

static struct class udb_class = {
	.name = UDB_DRIVER_NAME,
	.dev_groups = udb_groups,
};

static void udb_log_created(struct udb_device *udev, struct device *dma_dev)
{
	struct udb_memory *m = udev->memory;
	phys_addr_t phys = udb_phys(m);

	if (udb_info_enable & UDB_INFO_INSTALL)
		dev_info(&udev->dev,
			 "driver version %s, device %u:%u, %llu bytes, device address %pad, physical address %pa\n",
			 UDB_DRIVER_VERSION, MAJOR(udev->dev.devt), MINOR(udev->dev.devt),
			 m->size, &m->dma_addr, &phys);
	if (udb_info_enable & UDB_INFO_DMA)
		dev_info(&udev->dev,
			 "for %s %s, dma coherent %d, dma mask %u bits, iommu domain %s, mmap mode %d\n",
			 dma_dev->bus ? dma_dev->bus->name : "no bus", dev_name(dma_dev),
			 m->coherent, m->dma_mask_bits, udb_dma_domain_name(dma_dev),
			 m->mmap_mode);
}

static void udb_device_release(struct device *dev)
{
	struct udb_device *udev = to_udb_device(dev);

	if (udev->memory)
		udb_memory_put(udev->memory);
	mutex_destroy(&udev->sync_lock);
	kfree(udev);
}

/* The first ones belong to the module parameters, as long as others are free. */
static int udb_minor_get(int wanted)
{
	int minor;

	if (wanted >= 0)
		return ida_alloc_range(&udb_minors, wanted, wanted, GFP_KERNEL);
	minor = ida_alloc_range(&udb_minors, UDB_STATIC_BUFFERS, UDB_MINORS - 1, GFP_KERNEL);
	return minor >= 0 ? minor : ida_alloc_max(&udb_minors, UDB_MINORS - 1, GFP_KERNEL);
}

/**
 * udb_device_create - make a buffer and its device node
 * @dma_dev: the device the memory is for; also the parent in sysfs
 * @spec: what to make
 *
 * Return: the device, to be given to udb_device_destroy(), or an ERR_PTR.
 */
struct udb_device *udb_device_create(struct device *dma_dev, const struct udb_spec *spec)
{
	struct udb_device *udev;
	struct udb_memory *m;
	struct device *taken;
	int error, minor;

	/* Else the kernel complains at length. */
	taken = class_find_device_by_name(&udb_class, spec->name);
	if (taken) {
		put_device(taken);
		pr_err("u-dma-buf: %s: there is a buffer of this name\n", spec->name);
		return ERR_PTR(-EEXIST);
	}
	minor = udb_minor_get(spec->minor);
	if (minor < 0) {
		pr_err("u-dma-buf: %s: the minor number is not free\n", spec->name);
		return ERR_PTR(minor);
	}

	udev = udb_zalloc(sizeof(*udev));
	if (!udev) {
		error = -ENOMEM;
		goto put_minor;
	}
	mutex_init(&udev->sync_lock);
	INIT_LIST_HEAD(&udev->bound_link);
	device_initialize(&udev->dev);
	udev->dev.class = &udb_class;
	udev->dev.parent = dma_dev;
	udev->dev.release = udb_device_release;
	udev->dev.devt = MKDEV(MAJOR(udb_first_devt), minor);

	m = udb_memory_create(dma_dev, spec);
	if (IS_ERR(m)) {
		error = PTR_ERR(m);
		goto put_udev;
	}
	udev->memory = m;
	udev->managed = spec->managed;
	udev->sync = spec->sync;
	if (!udev->sync.size)
		udev->sync.size = m->size;

	error = udb_inject() ? -ENOMEM : dev_set_name(&udev->dev, "%s", spec->name);
	if (error)
		goto put_udev;
	cdev_init(&udev->cdev, &udb_fops);
	udev->cdev.owner = THIS_MODULE;
	error = udb_inject() ? -ENOMEM : cdev_device_add(&udev->cdev, &udev->dev);
	if (error) {
		pr_err("u-dma-buf: %s: the device can not be registered (error %d); is the name taken?\n",
		       spec->name, error);
		goto put_udev;
	}
	udb_log_created(udev, dma_dev);
	return udev;

put_udev:
	put_device(&udev->dev);
put_minor:
	ida_free(&udb_minors, minor);
	return ERR_PTR(error);
}

/**
 * udb_device_destroy - remove the node; the memory lives on while it is in use
 * @udev: from udb_device_create()
 */
void udb_device_destroy(struct udb_device *udev)
{
	int minor = MINOR(udev->dev.devt);

	cdev_device_del(&udev->cdev, &udev->dev);
	udb_memory_detach(udev->memory);
	ida_free(&udb_minors, minor);
	if (udb_info_enable & UDB_INFO_INSTALL)
		dev_info(&udev->dev, "removed\n");
	put_device(&udev->dev);
}

int __init udb_class_init(void)
{
	int error = udb_inject() ? -ENOMEM :
		    alloc_chrdev_region(&udb_first_devt, 0, UDB_MINORS, UDB_DRIVER_NAME);

	if (error)
		return error;
	error = udb_inject() ? -ENOMEM : class_register(&udb_class);
	if (error)
		unregister_chrdev_region(udb_first_devt, UDB_MINORS);
	return error;
}

void udb_class_exit(void)
{
	class_unregister(&udb_class);
	unregister_chrdev_region(udb_first_devt, UDB_MINORS);
	ida_destroy(&udb_minors);
}
