// SPDX-License-Identifier: MIT
/*
 * manage EDU: buffers made and deleted by ioctl on /dev/u-dma-buf-mgr.  EDU is the
 * name of a PCI device that one of them is made for.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define CLASS	"/sys/class/u-dma-buf/"

static int manager;

/* Without an end if it just fits. */
static void copy_name(char *field, const char *name)
{
	memcpy(field, name, strnlen(name, U_DMA_BUF_NAME_BYTES));
}

static long create(const char *name, uint64_t size, uint32_t mode, uint32_t mask, uint32_t flags,
		   const char *parent)
{
	struct u_dma_buf_create in = {
		.size = size, .mmap_mode = mode, .dma_mask_bits = mask, .flags = flags,
	};

	copy_name(in.name, name);
	copy_name(in.parent, parent);
	return ioctl(manager, U_DMA_BUF_IOCTL_CREATE, &in);
}

static long delete(const char *name)
{
	struct u_dma_buf_delete in = { 0 };

	copy_name(in.name, name);
	return ioctl(manager, U_DMA_BUF_IOCTL_DELETE, &in);
}

static struct u_dma_buf_buffer facts_of(const char *path)
{
	struct u_dma_buf_buffer facts = { 0 };
	int fd = open(path, O_RDWR);

	check_ok("manage: open what was made", fd);
	check_ok("manage: GET_BUFFER", ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &facts));
	close(fd);
	return facts;
}

static void test_create(const char *edu)
{
	char parent[64], link[512] = { 0 };
	struct u_dma_buf_buffer facts;

	check_ok("manage: create", create("by.ioctl", 1 << 20, 0, 0, 0, ""));
	facts = facts_of("/dev/by.ioctl");
	check_u64("manage: its size", facts.size, 1 << 20);
	check_u64("manage: its mode is the module's", facts.flags >> 8 & 0xff, U_DMA_BUF_MMAP_CACHE);
	check_u64("manage: it has a name", facts.flags & U_DMA_BUF_BUFFER_ANONYMOUS, 0);
	check_errno("manage: the name is taken", create("by.ioctl", 4096, 0, 0, 0, ""), EEXIST);

	check_ok("manage: create with a mode, coherent",
		 create("page", 8192, U_DMA_BUF_MMAP_PAGE, 40, U_DMA_BUF_CREATE_COHERENT, ""));
	facts = facts_of("/dev/page");
	check_u64("manage: its mode", facts.flags >> 8 & 0xff, U_DMA_BUF_MMAP_PAGE);
	check_u64("manage: it is coherent", facts.flags & U_DMA_BUF_BUFFER_COHERENT,
		  U_DMA_BUF_BUFFER_COHERENT);

#ifdef __aarch64__
	check_ok("manage: create, not coherent", create("not", 8192, 0, 0, U_DMA_BUF_CREATE_NOT_COHERENT, ""));
	check_u64("manage: it is not", facts_of("/dev/not").flags & U_DMA_BUF_BUFFER_COHERENT, 0);
	check_ok("manage: delete it", delete("not"));
#else
	check_errno("manage: create, not coherent, where all is",
		    create("not", 8192, 0, 0, U_DMA_BUF_CREATE_NOT_COHERENT, ""), EINVAL);
#endif

	snprintf(parent, sizeof(parent), "pci/%s", edu);
	check_ok("manage: create for a device", create("card", 8192, 0, 0, 0, parent));
	check(readlink(CLASS "card/device", link, sizeof(link) - 1) > 0 && strstr(link, edu),
	      "manage: its parent", "%s", link);

	check_ok("manage: delete", delete("by.ioctl"));
	check_errno("manage: it is gone", access("/dev/by.ioctl", F_OK), ENOENT);
	check_errno("manage: delete it again", delete("by.ioctl"), ENOENT);
	check_ok("manage: delete the second", delete("page"));
	check_ok("manage: delete the one for a device", delete("card"));
}

static void test_refusals(void)
{
	struct u_dma_buf_create in = { .size = 4096, .name = "x", .reserved = 1 };
	struct u_dma_buf_delete all;
	int reader = open("/dev/u-dma-buf-mgr", O_RDONLY);

	check_errno("manage: size 0", create("x", 0, 0, 0, 0, ""), EINVAL);
	check_errno("manage: a size that no machine has", create("x", 1ULL << 62, 0, 0, 0, ""), ENOMEM);
	check_errno("manage: a size of all bits", create("x", UINT64_MAX, 0, 0, 0, ""), EINVAL);
	check_errno("manage: no name", create("", 4096, 0, 0, 0, ""), EINVAL);
	check_errno("manage: a path", create("a/b", 4096, 0, 0, 0, ""), EINVAL);
	check_errno("manage: a name without end",
		    create("123456789012345678901234567890123456789012345678901234567890abcd", 4096,
			   0, 0, 0, ""), EINVAL);
	check_errno("manage: mode 6", create("x", 4096, 6, 0, 0, ""), EINVAL);
	check_errno("manage: 65 address bits", create("x", 4096, 0, 65, 0, ""), EINVAL);
	check_errno("manage: both flags", create("x", 4096, 0, 0, 3, ""), EINVAL);
	check_errno("manage: an unknown flag", create("x", 4096, 0, 0, 4, ""), EINVAL);
	check_errno("manage: coherent and for a device", create("x", 4096, 0, 0, 1, "pci/x"), EINVAL);
	check_errno("manage: for no device", create("x", 4096, 0, 0, 0, "pci/x"), EINVAL);
	check_errno("manage: reserved", ioctl(manager, U_DMA_BUF_IOCTL_CREATE, &in), EINVAL);
	check_errno("manage: from nowhere", ioctl(manager, U_DMA_BUF_IOCTL_CREATE, 8UL), EFAULT);
	memset(&all, 'x', sizeof(all));
	check_errno("manage: delete a name without end",
		    ioctl(manager, U_DMA_BUF_IOCTL_DELETE, &all), EINVAL);
	check_errno("manage: an unknown ioctl", ioctl(manager, _IO('U', 0x7f), 0), ENOTTY);
	in.reserved = 0;
	check_errno("manage: create by a read-only open",
		    ioctl(reader, U_DMA_BUF_IOCTL_CREATE, &in), EACCES);
	close(reader);
}

int main(int argc, char **argv)
{
	require(argc == 2);
	manager = open("/dev/u-dma-buf-mgr", O_WRONLY);
	require(manager >= 0);
	test_create(argv[1]);
	test_refusals();
	return check_done();
}
