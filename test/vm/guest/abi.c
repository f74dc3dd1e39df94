// SPDX-License-Identifier: MIT
/*
 * abi DEVICE SIZE: every ioctl, read, write, lseek, mmap and the open modes,
 * called as a program written for u-dma-buf calls them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

/* An address that no process has; volatile, so the compiler does not know it. */
static void *volatile nowhere = (void *)8;

static const char *device;
static uint64_t size;

static int open_device(int flags)
{
	int fd = open(device, flags | O_CLOEXEC);

	require(fd >= 0);
	return fd;
}

/* Old programs have these numbers compiled in. */
static void test_numbers(void)
{
	check_u64("ioctl number GET_DRV_INFO", U_DMA_BUF_IOCTL_GET_DRV_INFO, 0x80185501);
	check_u64("ioctl number GET_SIZE", U_DMA_BUF_IOCTL_GET_SIZE, 0x80085502);
	check_u64("ioctl number GET_DMA_ADDR", U_DMA_BUF_IOCTL_GET_DMA_ADDR, 0x80085503);
	check_u64("ioctl number GET_SYNC_OWNER", U_DMA_BUF_IOCTL_GET_SYNC_OWNER, 0x80045504);
	check_u64("ioctl number SET_SYNC_FOR_CPU", U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, 0x40085505);
	check_u64("ioctl number SET_SYNC_FOR_DEVICE", U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE,
		  0x40085506);
	check_u64("ioctl number GET_DEV_INFO", U_DMA_BUF_IOCTL_GET_DEV_INFO, 0x80185507);
	check_u64("ioctl number GET_SYNC", U_DMA_BUF_IOCTL_GET_SYNC, 0x80185508);
	check_u64("ioctl number SET_SYNC", U_DMA_BUF_IOCTL_SET_SYNC, 0x40185509);
	check_u64("ioctl number EXPORT", U_DMA_BUF_IOCTL_EXPORT, 0xC028550A);
}

static void test_information(void)
{
	struct u_dma_buf_drv_info driver = { 0 };
	struct u_dma_buf_dev_info info = { 0 };
	struct u_dma_buf_buffer buffer = { 0 };
	uint64_t value = 0, zero[2] = { 0 };
	int fd = open_device(O_RDWR);

	check_ok("GET_DRV_INFO", ioctl(fd, U_DMA_BUF_IOCTL_GET_DRV_INFO, &driver));
	check_u64("GET_DRV_INFO: ioctl version", driver.flags & 0xff, 2);
	check(strncmp(driver.version, "5.5.0", 5) == 0, "GET_DRV_INFO: version", "%.16s",
	      driver.version);
	check_ok("GET_SIZE", ioctl(fd, U_DMA_BUF_IOCTL_GET_SIZE, &value));
	check_u64("GET_SIZE: value", value, size);
	check_ok("GET_DMA_ADDR", ioctl(fd, U_DMA_BUF_IOCTL_GET_DMA_ADDR, &value));
	check(value != 0, "GET_DMA_ADDR: not zero", "zero");
	check_ok("GET_DEV_INFO", ioctl(fd, U_DMA_BUF_IOCTL_GET_DEV_INFO, &info));
	check_u64("GET_DEV_INFO: size", info.size, size);
	check_u64("GET_DEV_INFO: address", info.addr, value);
	check_u64("GET_DEV_INFO: mask bits", info.flags & 0xff, 32);
	check_ok("GET_BUFFER", ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &buffer));
	check_u64("GET_BUFFER: size", buffer.size, size);
	check_u64("GET_BUFFER: device address", buffer.dma_addr, value);
	check_u64("GET_BUFFER: whole pages", buffer.map_size % getpagesize(), 0);
	check(memcmp(buffer.instance_id, zero, sizeof(zero)) != 0, "GET_BUFFER: instance id",
	      "all zero");
	check_errno("an unknown ioctl", ioctl(fd, _IO('U', 0x7f), 0), ENOTTY);
	check_errno("GET_SIZE to nowhere", ioctl(fd, U_DMA_BUF_IOCTL_GET_SIZE, 8UL), EFAULT);
	close(fd);
}

/* Two opens used to overwrite each other's range between set and sync. */
static void test_sync_state_per_open(void)
{
	struct u_dma_buf_sync set = { .flags = 2 << 2 | 3 << 8, .size = 4096, .offset = 8192 };
	struct u_dma_buf_sync a = { 0 }, b = { 0 };
	int fd = open_device(O_RDWR), other = open_device(O_RDWR);

	check_ok("SET_SYNC without command", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set));
	check_ok("GET_SYNC", ioctl(fd, U_DMA_BUF_IOCTL_GET_SYNC, &a));
	check_u64("GET_SYNC: size", a.size, 4096);
	check_u64("GET_SYNC: offset", a.offset, 8192);
	check_u64("GET_SYNC: direction and mode", a.flags & 0xff0c, 2 << 2 | 3 << 8);
	check_ok("GET_SYNC of another open", ioctl(other, U_DMA_BUF_IOCTL_GET_SYNC, &b));
	check_u64("another open keeps its size", b.size, size);
	check_u64("another open keeps its offset", b.offset, 0);

	set = (struct u_dma_buf_sync){ .flags = 0, .size = 0, .offset = 64 };
	check_ok("SET_SYNC of the offset only", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set));
	check_ok("GET_SYNC again", ioctl(fd, U_DMA_BUF_IOCTL_GET_SYNC, &a));
	check_u64("size 0 leaves the size", a.size, 4096);
	check_u64("mode 0 leaves the mode", a.flags >> 8 & 0xff, 3);
	check_u64("the offset is replaced", a.offset, 64);

	set = (struct u_dma_buf_sync){ .flags = 8 << 8, .size = 4096 };
	check_errno("SET_SYNC mode 8", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set), EINVAL);
	set = (struct u_dma_buf_sync){ .flags = 3 << 2, .size = 4096 };
	check_errno("SET_SYNC direction 3", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set), EINVAL);
	close(fd);
	close(other);
}

static void test_sync_commands(void)
{
	struct u_dma_buf_sync set = { .flags = 3 | 1 << 2, .size = 4096, .offset = 0 };
	uint32_t owner = 9;
	uint64_t word = 1;
	int fd = open_device(O_RDWR);

	check_ok("SET_SYNC for device", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set));
	check_ok("GET_SYNC_OWNER", ioctl(fd, U_DMA_BUF_IOCTL_GET_SYNC_OWNER, &owner));
	check_u64("the device owns it", owner, 1);
	check_ok("SET_SYNC_FOR_CPU, stored range", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, &word));
	check_ok("GET_SYNC_OWNER again", ioctl(fd, U_DMA_BUF_IOCTL_GET_SYNC_OWNER, &owner));
	check_u64("the CPU owns it", owner, 0);
	word = (size - 16) << 32 | 16 | 1;
	check_ok("SET_SYNC_FOR_DEVICE, last 16 bytes",
		 ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE, &word));
	word = (size - 16) << 32 | 32 | 1;
	check_errno("SET_SYNC_FOR_DEVICE, 16 bytes too many",
		    ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE, &word), EINVAL);
	word = size << 32 | 16 | 1;
	check_errno("SET_SYNC_FOR_CPU behind the end",
		    ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, &word), EINVAL);
	word = 16 | 3 << 2 | 1;
	check_errno("SET_SYNC_FOR_CPU direction 3",
		    ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, &word), EINVAL);
	set = (struct u_dma_buf_sync){ .flags = 1, .size = UINT64_MAX, .offset = 4096 };
	check_errno("SET_SYNC, a range that wraps", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set), EINVAL);
	close(fd);
}

static void test_sync_ranges(void)
{
	struct u_dma_buf_range ranges[3] = { { 0, 64 }, { 4096, 4096 }, { size, 0 } };
	struct u_dma_buf_sync_ranges batch = {
		.ranges = (uintptr_t)ranges, .count = 3,
		.command = U_DMA_BUF_SYNC_FOR_DEVICE, .direction = 1,
	};
	int fd = open_device(O_RDWR), reader = open_device(O_RDONLY);

	check_ok("SYNC_RANGES", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch));
	check_errno("SYNC_RANGES for device, read-only open",
		    ioctl(reader, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch), EACCES);
	ranges[2] = (struct u_dma_buf_range){ size - 8, 9 };
	check_errno("SYNC_RANGES, one byte too many", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch),
		    EINVAL);
	batch.count = U_DMA_BUF_SYNC_RANGES_MAX + 1;
	check_errno("SYNC_RANGES, too many", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch), EINVAL);
	batch.count = 1;
	batch.ranges = 8;
	check_errno("SYNC_RANGES from nowhere", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch), EFAULT);
	batch.command = 2;
	check_errno("SYNC_RANGES, command 2", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch), EINVAL);
	close(fd);
	close(reader);
}

static void test_open_modes(void)
{
	struct u_dma_buf_export export = { .flags = O_RDWR | O_CLOEXEC };
	struct u_dma_buf_sync set = { .flags = 3, .size = 4096 };
	uint64_t word = 4096 | 1, value;
	int reader = open_device(O_RDONLY), writer = open_device(O_WRONLY);
	char byte = 1;
	void *map;

	check_ok("read-only open: GET_SIZE", ioctl(reader, U_DMA_BUF_IOCTL_GET_SIZE, &value));
	check_ok("read-only open: SET_SYNC_FOR_CPU",
		 ioctl(reader, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, &word));
	check_errno("read-only open: SET_SYNC_FOR_DEVICE",
		    ioctl(reader, U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE, &word), EACCES);
	check_errno("read-only open: SET_SYNC for device",
		    ioctl(reader, U_DMA_BUF_IOCTL_SET_SYNC, &set), EACCES);
	check_errno("read-only open: EXPORT for writing",
		    ioctl(reader, U_DMA_BUF_IOCTL_EXPORT, &export), EACCES);
	check_errno("read-only open: write", write(reader, &byte, 1), EBADF);
	check_errno("write-only open: read", read(writer, &byte, 1), EBADF);
	check_errno("write-only open: EXPORT for reading and writing",
		    ioctl(writer, U_DMA_BUF_IOCTL_EXPORT, &export), EACCES);

	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
	check_errno("read-only open: writable mapping", map == MAP_FAILED ? -1 : 0, EACCES);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, reader, 0);
	check_ok("read-only open: read-only mapping", map == MAP_FAILED ? -1 : 0);
	check_errno("read-only open: mprotect to writable",
		    mprotect(map, 4096, PROT_READ | PROT_WRITE), EACCES);
	munmap(map, 4096);
	close(reader);
	close(writer);
}

static void test_read_write_seek(void)
{
	char out[100], in[100];
	int fd = open_device(O_RDWR);

	memset(out, 0x5a, sizeof(out));
	check_u64("write across a page boundary", pwrite(fd, out, sizeof(out), 4096 - 50), 100);
	check_u64("read it back", pread(fd, in, sizeof(in), 4096 - 50), 100);
	check(memcmp(in, out, sizeof(in)) == 0, "the same bytes", "different");
	check_u64("a read is cut at the end", pread(fd, in, 100, size - 10), 10);
	check_u64("a read at the end", pread(fd, in, 100, size), 0);
	check_u64("a write is cut at the end", pwrite(fd, out, 100, size - 10), 10);
	check_errno("a write at the end", pwrite(fd, out, 100, size), ENOSPC);
	check_errno("a read to nowhere", pread(fd, nowhere, 100, 0), EFAULT);
	check_u64("lseek end", lseek(fd, 0, SEEK_END), size);
	check_u64("lseek back", lseek(fd, -16, SEEK_CUR), size - 16);
	check_u64("lseek set", lseek(fd, 4096, SEEK_SET), 4096);
	check_errno("lseek before the start", lseek(fd, -1, SEEK_SET), EINVAL);
	check_errno("lseek behind the end", lseek(fd, 1, SEEK_END), EINVAL);
	close(fd);
}

static void test_mmap(void)
{
	size_t page = getpagesize(), whole = (size + page - 1) / page * page;
	char in[4] = { 0 };
	int fd = open_device(O_RDWR | O_SYNC);
	char *map;

	map = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check_ok("mmap of all with O_SYNC", map == MAP_FAILED ? -1 : 0);
	if (map == MAP_FAILED)
		return;
	memcpy(map + page, "abc", 4);
	check_u64("read sees a store", pread(fd, in, 4, page), 4);
	check(strcmp(in, "abc") == 0, "read sees its bytes", "%.4s", in);
	check_ok("msync", msync(map, whole, MS_SYNC));
	check_errno("mremap to more", mremap(map, whole, whole + page, MREMAP_MAYMOVE) ==
		    MAP_FAILED ? -1 : 0, EFAULT);
	munmap(map, whole);

	map = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, page);
	check_ok("mmap of the second page", map == MAP_FAILED ? -1 : 0);
	check(strcmp(map, "abc") == 0, "it is the second page", "%.4s", map);
	munmap(map, page);

	check_errno("mmap of one page too many",
		    mmap(NULL, whole + page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
		    EINVAL);
	check_errno("mmap behind the end",
		    mmap(NULL, page, PROT_READ, MAP_SHARED, fd, whole) == MAP_FAILED ? -1 : 0,
		    EINVAL);
	/* Kills the kernel with u-dma-buf 5.5.0 in mode 2. */
	check_errno("a private mapping",
		    mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED ?
		    -1 : 0, EINVAL);
	close(fd);
}

int main(int argc, char **argv)
{
	require(argc == 3);
	device = argv[1];
	size = strtoull(argv[2], NULL, 0);

	test_numbers();
	test_information();
	test_sync_state_per_open();
	test_sync_commands();
	test_sync_ranges();
	test_open_modes();
	test_read_write_seek();
	test_mmap();
	return check_done();
}
