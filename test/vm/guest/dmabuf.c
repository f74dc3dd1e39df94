// SPDX-License-Identifier: MIT
/*
 * dmabuf DEVICE [bounces]: a part of the buffer as a dma-buf, used by a process and,
 * through the module udb-importer, by another device.  "bounces": only the latter, and
 * it does not reach the buffer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define OFFSET	0x4000
#define BYTES	0x3000

static int device;

static int export_range(uint64_t flags, uint64_t offset, uint64_t size, uint64_t *addr)
{
	struct u_dma_buf_export request = { .flags = flags, .offset = offset, .size = size };

	if (ioctl(device, U_DMA_BUF_IOCTL_EXPORT, &request))
		return -1;
	if (addr)
		*addr = request.addr;
	return request.fd;
}

static void test_limits(uint64_t size)
{
	check_errno("export: offset inside a page", export_range(O_RDWR, 16, 4096, NULL), EINVAL);
	check_errno("export: size inside a page", export_range(O_RDWR, 0, 100, NULL), EINVAL);
	check_errno("export: behind the end", export_range(O_RDWR, size, 4096, NULL), EINVAL);
	check_errno("export: a range that wraps",
		    export_range(O_RDWR, 4096, UINT64_MAX - 4095, NULL), EINVAL);
	check_errno("export: unknown flag", export_range(O_APPEND, 0, 4096, NULL), EINVAL);
}

static void test_mapping(int fd, const volatile char *whole)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	volatile char *part;

	check_u64("export: size", lseek(fd, 0, SEEK_END), BYTES);
	part = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check_ok("export: mmap", part == MAP_FAILED ? -1 : 0);
	check_ok("export: begin CPU access", ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync));
	part[0x1234] = 0x66;
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	check_ok("export: end CPU access", ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync));
	check_u64("export: the same bytes", whole[OFFSET + 0x1234], 0x66);
	munmap((void *)part, BYTES);
	check_errno("export: mmap of more",
		    mmap(NULL, BYTES + 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
		    EINVAL);
	check_errno("export: private mapping",
		    mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED ?
		    -1 : 0, EINVAL);
}

/* The importer attaches the descriptor and answers "ADDRESS LENGTH" in hex. */
static void test_importer(int fd, uint64_t addr)
{
	int importer = open("/dev/udb-importer", O_RDWR);
	unsigned long long seen = 0, length = 0;
	char text[64] = { 0 };

	require(importer >= 0);
	snprintf(text, sizeof(text), "%d", fd);
	check_u64("export: another device imports it", write(importer, text, strlen(text)),
		  strlen(text));
	memset(text, 0, sizeof(text));
	require(read(importer, text, sizeof(text) - 1) > 0);
	require(sscanf(text, "%llx %llx", &seen, &length) == 2);
	check_u64("export: the importer's device address", seen, addr);
	check_u64("export: the importer's length", length, BYTES);
	close(importer);
}

static void test_bounced_importer(void)
{
	int fd = export_range(O_RDWR | O_CLOEXEC, OFFSET, BYTES, NULL);
	int importer = open("/dev/udb-importer", O_RDWR);
	char text[16];

	require(fd >= 0 && importer >= 0);
	snprintf(text, sizeof(text), "%d", fd);
	check_errno("export: to a device that does not reach it", write(importer, text, strlen(text)), EIO);
	close(importer);
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t addr = 0, size = 0, bus = 0;
	volatile char *whole, *part;
	int fd, reader;

	require(argc >= 2);
	device = open(argv[1], O_RDWR);
	require(device >= 0);
	if (argc == 3) {
		test_bounced_importer();
		return check_done();
	}
	require(ioctl(device, U_DMA_BUF_IOCTL_GET_SIZE, &size) == 0);
	require(ioctl(device, U_DMA_BUF_IOCTL_GET_DMA_ADDR, &bus) == 0);
	whole = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	require(whole != MAP_FAILED);

	test_limits(size);
	fd = export_range(O_RDWR | O_CLOEXEC, OFFSET, BYTES, &addr);
	check_ok("export", fd);
	check_u64("export: device address", addr, bus + OFFSET);
	check_u64("export: close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	test_mapping(fd, whole);
	test_importer(fd, addr);

	reader = export_range(O_RDONLY, OFFSET, BYTES, NULL);
	check_errno("export: a read-only one has no writable mapping",
		    mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED ?
		    -1 : 0, EACCES);
	close(reader);

	/* The dma-buf alone keeps the memory. */
	part = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(part != MAP_FAILED);
	munmap((void *)whole, size);
	close(device);
	close(fd);
	part[0] = 0x42;
	check_u64("export: its mapping outlives every descriptor", part[0], 0x42);
	return check_done();
}
