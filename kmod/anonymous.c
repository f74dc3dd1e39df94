// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /dev/u-dma-buf-anon: memory without a name, for whoever may open the node.
 * Users without CAP_SYS_ADMIN need a quota as well (quota.c).
 */
#include <linux/capability.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/platform_device.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "udb.h"

static int udb_anonymous_coherent = -1;
module_param_named(anonymous_coherent, udb_anonymous_coherent, int, 0444);
MODULE_PARM_DESC(anonymous_coherent, "1: buffers without name and parent are coherent, 0: not");

/* The device of those that name no other; it has no driver. */
static struct platform_device *udb_anonymous_pdev;

static void udb_anonymous_cut(struct udb_tie *tie)
{
	udb_memory_detach(container_of(tie, struct udb_memory, tie));
}

/*
 * Return: the device, for udb_anonymous_device_put().  Another one than ours is for
 * administrators: they decide what a device of the machine can reach.
 */
static struct device *udb_anonymous_device(const char *parent)
{
	struct udb_spec spec = { .name = "anonymous", .dma_mask_bits = udb_dma_mask_bits };

	if (!parent[0])
		return get_device(&udb_anonymous_pdev->dev);
	if (!capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);
	return udb_bind_get(parent, &spec);
}

/* Ours is locked only if it was named. */
static void udb_anonymous_device_put(struct device *dev, const char *parent)
{
	if (parent[0])
		udb_bind_put(dev);
	else
		put_device(dev);
}

static struct udb_memory *udb_anonymous_create(struct device *dev,
					       const struct u_dma_buf_anonymous *in)
{
	struct udb_spec spec = {
		.name = "anonymous",
		.size = in->size,
		.mmap_mode = in->mmap_mode ? in->mmap_mode : udb_mmap_mode,
		.anonymous = true,
		.charged = !capable(CAP_SYS_ADMIN),
	};
	struct udb_memory *m = udb_memory_create(dev, &spec);
	int error;

	if (IS_ERR(m) || !in->parent[0])
		return m;
	m->tie.cut = udb_anonymous_cut;
	error = udb_tie_to(&m->tie, in->parent, dev);
	if (error) {
		udb_memory_put(m);
		return ERR_PTR(error);
	}
	return m;
}

static int udb_check_anonymous(const struct u_dma_buf_anonymous *in)
{
	unsigned int mode = in->flags & O_ACCMODE;

	if (in->reserved || in->flags & ~(u32)(O_ACCMODE | O_CLOEXEC | O_SYNC) ||
	    (mode != O_RDONLY && mode != O_RDWR))
		return -EINVAL;
	if (in->mmap_mode > U_DMA_BUF_MMAP_CACHE ||
	    strnlen(in->parent, sizeof(in->parent)) == sizeof(in->parent))
		return -EINVAL;
	return 0;
}

static long udb_ioctl_anonymous(struct u_dma_buf_anonymous __user *user)
{
	struct u_dma_buf_anonymous in;
	struct udb_memory *m;
	struct device *dev;
	struct file *file;
	int fd, error;

	if (copy_from_user(&in, user, sizeof(in)))
		return -EFAULT;
	error = udb_check_anonymous(&in);
	if (error)
		return error;
	dev = udb_anonymous_device(in.parent);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	m = udb_anonymous_create(dev, &in);
	udb_anonymous_device_put(dev, in.parent);
	if (IS_ERR(m))
		return PTR_ERR(m);
	/* The file has its own reference. */
	file = udb_anonymous_file(m, in.flags);
	udb_memory_put(m);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(in.flags & O_CLOEXEC);
	if (fd < 0) {
		fput(file);
		return fd;
	}
	if (put_user(fd, &user->fd)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

static long udb_ioctl_adopt(struct u_dma_buf_adopt __user *user)
{
	struct u_dma_buf_adopt in;
	struct device *dev;
	long error;

	if (copy_from_user(&in, user, sizeof(in)))
		return -EFAULT;
	if (strnlen(in.parent, sizeof(in.parent)) == sizeof(in.parent))
		return -EINVAL;
	/* How much is limited by RLIMIT_MEMLOCK. */
	if (!capable(CAP_SYS_ADMIN) && !udb_quota_allows_any())
		return -EPERM;
	dev = udb_anonymous_device(in.parent);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	error = udb_adopt(dev, &in, user);
	udb_anonymous_device_put(dev, in.parent);
	return error;
}

static long udb_anonymous_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case U_DMA_BUF_IOCTL_ANONYMOUS:
		return udb_ioctl_anonymous(user);
	case U_DMA_BUF_IOCTL_ADOPT:
		return udb_ioctl_adopt(user);
	}
	return -ENOTTY;
}

/* What users without CAP_SYS_ADMIN hold. */
static ssize_t used_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", udb_quota_used());
}
static DEVICE_ATTR_RO(used_bytes);

static struct attribute *udb_anonymous_attrs[] = {
	&dev_attr_used_bytes.attr,
	NULL
};
ATTRIBUTE_GROUPS(udb_anonymous);

static const struct file_operations udb_anonymous_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = udb_anonymous_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* A udev rule opens it for a group. */
static struct miscdevice udb_anonymous_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "u-dma-buf-anon",
	.fops = &udb_anonymous_fops,
	.mode = 0600,
	.groups = udb_anonymous_groups,
};

static int __init udb_anonymous_device_init(struct device *dev)
{
	int error = dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(udb_dma_mask_bits));

	if (error) {
		pr_err("u-dma-buf: with dma_mask_bit=%d no memory of this machine is reached\n",
		       udb_dma_mask_bits);
		return error;
	}
	/* An adopted range is as long as it is. */
	dma_set_max_seg_size(dev, UINT_MAX);
	if (udb_anonymous_coherent >= 0 && udb_set_dma_coherent(dev, udb_anonymous_coherent)) {
		pr_err("u-dma-buf: anonymous_coherent=0: every device is coherent on this machine\n");
		return -EINVAL;
	}
	return 0;
}

int __init udb_anonymous_init(void)
{
	int error;

	if (udb_anonymous_coherent < -1 || udb_anonymous_coherent > 1) {
		pr_err("u-dma-buf: anonymous_coherent=%d: must be 0 or 1\n",
		       udb_anonymous_coherent);
		return -EINVAL;
	}
	udb_anonymous_pdev = udb_inject() ? ERR_PTR(-ENOMEM) :
			     platform_device_register_simple("u-dma-buf-anon",
							     PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(udb_anonymous_pdev))
		return PTR_ERR(udb_anonymous_pdev);
	error = udb_anonymous_device_init(&udb_anonymous_pdev->dev);
	if (!error)
		error = udb_inject() ? -ENOMEM : misc_register(&udb_anonymous_misc);
	if (error)
		platform_device_unregister(udb_anonymous_pdev);
	return error;
}

void udb_anonymous_exit(void)
{
	misc_deregister(&udb_anonymous_misc);
	platform_device_unregister(udb_anonymous_pdev);
}
