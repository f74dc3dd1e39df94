// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A device that imports dma-bufs, for test/vm only.  Write a descriptor to
 * /dev/udb-importer: it is attached and mapped for a platform device; reading
 * gives "ADDRESS LENGTH" of the first segment.  Close detaches.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"

UDB_IMPORT_NS_DMA_BUF;

struct import {
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment;
	struct sg_table *table;
};

static unsigned int mask_bits = 64;
module_param(mask_bits, uint, 0444);
MODULE_PARM_DESC(mask_bits, "address bits of the device");

static struct platform_device *importer_pdev;

/* It does nothing; but a device may have to have a driver. */
static struct platform_driver importer_driver = {
	.driver = { .name = "udb-importer", },
};

static int importer_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct import), GFP_KERNEL);
	return file->private_data ? 0 : -ENOMEM;
}

static int import_attach(struct import *import, int fd)
{
	import->dmabuf = dma_buf_get(fd);
	if (IS_ERR(import->dmabuf))
		return PTR_ERR(import->dmabuf);
	import->attachment = dma_buf_attach(import->dmabuf, &importer_pdev->dev);
	if (IS_ERR(import->attachment)) {
		dma_buf_put(import->dmabuf);
		return PTR_ERR(import->attachment);
	}
	import->table = dma_buf_map_attachment_unlocked(import->attachment, DMA_BIDIRECTIONAL);
	if (IS_ERR(import->table)) {
		int error = PTR_ERR(import->table);

		import->table = NULL;
		dma_buf_detach(import->dmabuf, import->attachment);
		dma_buf_put(import->dmabuf);
		return error;
	}
	return 0;
}

static ssize_t importer_write(struct file *file, const char __user *buf, size_t count,
			      loff_t *pos)
{
	struct import *import = file->private_data;
	int fd, error = kstrtoint_from_user(buf, count, 10, &fd);

	if (error)
		return error;
	if (import->table)
		return -EBUSY;
	error = import_attach(import, fd);
	return error ? error : count;
}

static ssize_t importer_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct import *import = file->private_data;
	char text[64];

	if (!import->table)
		return -ENODATA;
	snprintf(text, sizeof(text), "%llx %x\n", (u64)sg_dma_address(import->table->sgl),
		 sg_dma_len(import->table->sgl));
	return simple_read_from_buffer(buf, count, pos, text, strlen(text));
}

static int importer_release(struct inode *inode, struct file *file)
{
	struct import *import = file->private_data;

	if (import->table) {
		dma_buf_unmap_attachment_unlocked(import->attachment, import->table,
						  DMA_BIDIRECTIONAL);
		dma_buf_detach(import->dmabuf, import->attachment);
		dma_buf_put(import->dmabuf);
	}
	kfree(import);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.read = importer_read,
	.write = importer_write,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "udb-importer",
	.fops = &importer_fops,
};

static int __init importer_init(void)
{
	int error;

	error = platform_driver_register(&importer_driver);
	if (error)
		return error;
	importer_pdev = platform_device_register_simple("udb-importer", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(importer_pdev)) {
		error = PTR_ERR(importer_pdev);
		goto unregister_driver;
	}
	error = dma_coerce_mask_and_coherent(&importer_pdev->dev, DMA_BIT_MASK(mask_bits));
	if (!error)
		error = misc_register(&importer_misc);
	if (!error)
		return 0;
	platform_device_unregister(importer_pdev);
unregister_driver:
	platform_driver_unregister(&importer_driver);
	return error;
}

static void __exit importer_exit(void)
{
	misc_deregister(&importer_misc);
	platform_device_unregister(importer_pdev);
	platform_driver_unregister(&importer_driver);
}

module_init(importer_init);
module_exit(importer_exit);
MODULE_DESCRIPTION("dma-buf importer for the tests of u-dma-buf");
MODULE_LICENSE("Dual MIT/GPL");
