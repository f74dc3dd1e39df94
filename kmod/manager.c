// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /dev/u-dma-buf-mgr: buffers made and deleted at run time, by ioctl
 * (uapi/u-dma-buf.h) or in the text commands of u-dma-buf-mgr.
 *
 *   create NAME SIZE [OPTION...]	or size=SIZE
 *   delete NAME
 *
 * Options: bus=BUS device=DEVICE, dma-mask=BITS, quirk-mmap-off|on|auto|page.
 * A command ends with a newline, a semicolon, a NUL or the write.
 */
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/kstrtox.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "udb.h"

#define UDB_COMMAND_MAX	1024
#define UDB_COMMAND_END	"\n;"
#define UDB_BLANKS	" \t"

/* Buffers with a platform device; bound ones are in bind.c's list. */
struct udb_managed {
	struct udb_platform platform;
	struct list_head link;
};

static LIST_HEAD(udb_managed);
/* One command at a time: of udb_managed. */
static DEFINE_MUTEX(udb_manager_lock);

struct udb_create {
	struct udb_spec spec;
	int coherent;		/* -1: as the platform says */
	const char *parent;	/* BUS/DEVICE, or NULL: a platform device of its own */
};

/* The same in the words of the text command. */
struct udb_text_create {
	struct udb_create create;
	const char *bus;
	const char *device;
};

static void udb_create_defaults(struct udb_create *create)
{
	*create = (struct udb_create){
		.coherent = -1,
		.spec = {
			.minor = -1,
			.dma_mask_bits = udb_dma_mask_bits,
			.mmap_mode = udb_mmap_mode,
			.managed = true,
			.sync = { .mode = 1 },
		},
	};
}

static int udb_parse_option(struct udb_text_create *text, char *word)
{
	static const char * const modes[] = {
		[U_DMA_BUF_MMAP_OFF] = "quirk-mmap-off",
		[U_DMA_BUF_MMAP_ON] = "quirk-mmap-on",
		[U_DMA_BUF_MMAP_AUTO] = "quirk-mmap-auto",
		[U_DMA_BUF_MMAP_PAGE] = "quirk-mmap-page",
	};
	struct udb_spec *spec = &text->create.spec;
	int mode;

	for (mode = U_DMA_BUF_MMAP_OFF; mode <= U_DMA_BUF_MMAP_PAGE; mode++) {
		if (!strcmp(word, modes[mode])) {
			spec->mmap_mode = mode;
			return 0;
		}
	}
	if (!strncmp(word, "bus=", 4)) {
		text->bus = word + 4;
		return 0;
	}
	if (!strncmp(word, "device=", 7)) {
		text->device = word + 7;
		return 0;
	}
	if (!strncmp(word, "dma-mask=", 9)) {
		if (kstrtouint(word + 9, 0, &spec->dma_mask_bits) ||
		    spec->dma_mask_bits < 12 || spec->dma_mask_bits > 64)
			return -EINVAL;
		return 0;
	}
	return kstrtou64(strncmp(word, "size=", 5) ? word : word + 5, 0, &spec->size);
}

/* It becomes the name of files. */
static bool udb_is_name(const char *name)
{
	size_t i;

	if (!name || !isalnum(name[0]) || strlen(name) >= UDB_NAME_MAX)
		return false;
	for (i = 0; name[i]; i++)
		if (!isalnum(name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

static int udb_create_platform(const struct udb_create *create)
{
	struct udb_managed *managed = udb_zalloc(sizeof(*managed));
	int error;

	if (!managed)
		return -ENOMEM;
	managed->platform.spec = create->spec;
	managed->platform.coherent = create->coherent;
	error = udb_platform_create(&managed->platform, PLATFORM_DEVID_AUTO);
	if (error)
		kfree(managed);
	else
		list_add(&managed->link, &udb_managed);
	return error;
}

/* With the lock. */
static int udb_do_create(const struct udb_create *create)
{
	if (!create->spec.size || !udb_is_name(create->spec.name))
		return -EINVAL;
	return create->parent ? udb_bind_create(create->parent, &create->spec) :
				udb_create_platform(create);
}

static int udb_text_create(char *arguments)
{
	char *name = strsep(&arguments, UDB_BLANKS), *word, *parent = NULL;
	struct udb_text_create text = { 0 };
	int error;

	udb_create_defaults(&text.create);
	if (!udb_is_name(name))
		return -EINVAL;
	strscpy(text.create.spec.name, name, sizeof(text.create.spec.name));
	while ((word = strsep(&arguments, UDB_BLANKS))) {
		error = *word ? udb_parse_option(&text, word) : 0;
		if (error)
			return error;
	}
	if (text.bus && !text.device)
		return -EINVAL;
	if (text.device) {
		parent = udb_inject() ? NULL :
			 kasprintf(GFP_KERNEL, "%s/%s", text.bus ? text.bus : "platform",
				   text.device);
		if (!parent)
			return -ENOMEM;
	}
	text.create.parent = parent;
	error = udb_do_create(&text.create);
	kfree(parent);
	return error;
}

static void udb_managed_destroy(struct udb_managed *managed)
{
	list_del(&managed->link);
	udb_platform_destroy(&managed->platform);
	kfree(managed);
}

/* With the lock. */
static int udb_do_delete(const char *name)
{
	struct udb_managed *managed;

	if (!udb_is_name(name))
		return -EINVAL;
	list_for_each_entry(managed, &udb_managed, link) {
		if (!strcmp(managed->platform.spec.name, name)) {
			udb_managed_destroy(managed);
			return 0;
		}
	}
	return udb_bind_delete_managed(name);
}

static int udb_text_command(char *command)
{
	char *arguments = strim(command), *verb;
	int error = -EINVAL;

	verb = strsep(&arguments, UDB_BLANKS);
	if (!*verb)
		return 0;
	if (arguments)
		arguments = skip_spaces(arguments);
	mutex_lock(&udb_manager_lock);
	if (!strcmp(verb, "create"))
		error = udb_text_create(arguments);
	else if (!strcmp(verb, "delete"))
		error = udb_do_delete(strsep(&arguments, UDB_BLANKS));
	mutex_unlock(&udb_manager_lock);
	return error;
}

/* The first command that fails ends it. */
static ssize_t udb_manager_write(struct file *file, const char __user *buf, size_t count,
				 loff_t *pos)
{
	char *text, *rest, *command;
	int error = 0;
	size_t i;

	if (count > UDB_COMMAND_MAX)
		return -EINVAL;
	text = memdup_user_nul(buf, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	for (i = 0; i < count; i++)
		if (!text[i])
			text[i] = '\n';
	rest = text;
	while (!error && (command = strsep(&rest, UDB_COMMAND_END)))
		error = udb_text_command(command);
	kfree(text);
	return error ? error : count;
}

static bool udb_is_terminated(const char *text, size_t size)
{
	return strnlen(text, size) < size;
}

static int udb_check_create(const struct u_dma_buf_create *in)
{
	const u32 both = U_DMA_BUF_CREATE_COHERENT | U_DMA_BUF_CREATE_NOT_COHERENT;

	if (in->reserved || in->flags & ~both || in->flags == both)
		return -EINVAL;
	if (!udb_is_terminated(in->name, sizeof(in->name)) ||
	    !udb_is_terminated(in->parent, sizeof(in->parent)) || (in->flags && in->parent[0]))
		return -EINVAL;
	if (in->dma_mask_bits && (in->dma_mask_bits < 12 || in->dma_mask_bits > 64))
		return -EINVAL;
	return in->mmap_mode > U_DMA_BUF_MMAP_CACHE ? -EINVAL : 0;
}

static long udb_ioctl_create(const void __user *arg)
{
	struct u_dma_buf_create in;
	struct udb_create create;
	long error;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	error = udb_check_create(&in);
	if (error)
		return error;
	udb_create_defaults(&create);
	create.spec.size = in.size;
	strscpy(create.spec.name, in.name, sizeof(create.spec.name));
	if (in.dma_mask_bits)
		create.spec.dma_mask_bits = in.dma_mask_bits;
	if (in.mmap_mode)
		create.spec.mmap_mode = in.mmap_mode;
	if (in.flags)
		create.coherent = in.flags == U_DMA_BUF_CREATE_COHERENT;
	if (in.parent[0])
		create.parent = in.parent;
	mutex_lock(&udb_manager_lock);
	error = udb_do_create(&create);
	mutex_unlock(&udb_manager_lock);
	return error;
}

static long udb_ioctl_delete(const void __user *arg)
{
	struct u_dma_buf_delete in;
	long error;

	if (copy_from_user(&in, arg, sizeof(in)))
		return -EFAULT;
	if (!udb_is_terminated(in.name, sizeof(in.name)))
		return -EINVAL;
	mutex_lock(&udb_manager_lock);
	error = udb_do_delete(in.name);
	mutex_unlock(&udb_manager_lock);
	return error;
}

static long udb_manager_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	if (cmd != U_DMA_BUF_IOCTL_CREATE && cmd != U_DMA_BUF_IOCTL_DELETE)
		return -ENOTTY;
	if (!(file->f_mode & FMODE_WRITE))
		return -EACCES;
	return cmd == U_DMA_BUF_IOCTL_CREATE ? udb_ioctl_create((const void __user *)arg) :
					       udb_ioctl_delete((const void __user *)arg);
}

static const struct file_operations udb_manager_fops = {
	.owner = THIS_MODULE,
	.write = udb_manager_write,
	.unlocked_ioctl = udb_manager_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice udb_manager = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "u-dma-buf-mgr",
	.fops = &udb_manager_fops,
	.mode = 0600,
};

int __init udb_manager_init(void)
{
	return udb_inject() ? -ENOMEM : misc_register(&udb_manager);
}

void udb_manager_exit(void)
{
	struct udb_managed *managed, *next;

	misc_deregister(&udb_manager);
	list_for_each_entry_safe(managed, next, &udb_managed, link)
		udb_managed_destroy(managed);
}
