// SPDX-License-Identifier: MIT
/*
 * large DEVICE: the far end of a buffer of gibibytes.  One process fills a frame
 * there, another one reads it; the frame is above 4 GiB of physical memory.  If the
 * offset of that needs more than 32 bits, so does everything that is done with it, and
 * the place that its lower 32 bits name stays as it was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define FRAME	(1 << 20)

static uint64_t frame_of(const void *address)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	require(fd >= 0 && pread(fd, &entry, 8, (uintptr_t)address / 4096 * 8) == 8);
	close(fd);
	return (entry & ((1ULL << 55) - 1)) << 12;
}

static void fill_and_exit(int fd, uint64_t at)
{
	unsigned char *map = mmap(NULL, FRAME, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);

	if (map == MAP_FAILED)
		_exit(1);
	for (int i = 0; i < FRAME; i++)
		map[i] = i * 3 + (i >> 9);
	_exit(0);
}

/* read, write, mmap, dma-buf and the stored range of sync behind the 4 GiB. */
static void test_far(int fd, uint64_t at)
{
	struct u_dma_buf_export export = { .flags = O_RDWR | O_CLOEXEC, .offset = at, .size = FRAME };
	struct u_dma_buf_sync set = { .flags = 3, .offset = at, .size = FRAME }, get = { 0 };
	struct u_dma_buf_buffer info;
	unsigned char *map, text[4] = { 0 };

	check_u64("large: far: write", pwrite(fd, "far", 4, at + 100), 4);
	check_u64("large: far: lseek", lseek(fd, at + 100, SEEK_SET), at + 100);
	check_u64("large: far: read", read(fd, text, 4), 4);
	check(memcmp(text, "far", 4) == 0, "large: far: the same bytes", "others");
	map = mmap(NULL, FRAME, PROT_READ, MAP_SHARED, fd, at);
	require(map != MAP_FAILED);
	check(memcmp(map + 100, "far", 4) == 0, "large: far: a mapping of that place", "other bytes");
	munmap(map, FRAME);
	require(pread(fd, text, 4, (uint32_t)at + 100) == 4);
	check(!(text[0] | text[1] | text[2]), "large: far: nothing at its lower 32 bits", "%.3s", text);
	check_ok("large: far: SET_SYNC for the device", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set));
	check_ok("large: far: GET_SYNC", ioctl(fd, U_DMA_BUF_IOCTL_GET_SYNC, &get));
	check_u64("large: far: its offset", get.offset, at);
	require(ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &info) == 0);
	check_ok("large: far: EXPORT", ioctl(fd, U_DMA_BUF_IOCTL_EXPORT, &export));
	check_u64("large: far: the dma-buf's address", export.addr, info.dma_addr + at);
	map = mmap(NULL, FRAME, PROT_READ, MAP_SHARED, export.fd, 0);
	require(map != MAP_FAILED);
	check(memcmp(map + 100, "far", 4) == 0, "large: far: the dma-buf's bytes", "others");
	munmap(map, FRAME);
	close(export.fd);
}

int main(int argc, char **argv)
{
	struct u_dma_buf_buffer info;
	struct u_dma_buf_range range;
	struct u_dma_buf_sync_ranges sync = {
		.ranges = (uintptr_t)&range, .count = 1, .command = U_DMA_BUF_SYNC_FOR_DEVICE,
	};
	unsigned char *map, byte;
	uint64_t at;
	int fd, status, wrong = 0;
	pid_t child;

	require(argc == 2);
	fd = open(argv[1], O_RDWR);
	require(fd >= 0 && ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &info) == 0);
	at = info.size - FRAME;
	printf("# large: %s at 0x%llx, %llu bytes\n", argv[1], info.cpu_phys_addr, info.size);

	child = fork();
	require(child >= 0);
	if (!child)
		fill_and_exit(fd, at);
	waitpid(child, &status, 0);
	require(WIFEXITED(status) && WEXITSTATUS(status) == 0);

	map = mmap(NULL, info.size, PROT_READ, MAP_SHARED, fd, 0);
	check_ok("large: all of it mapped", map == MAP_FAILED ? -1 : 0);
	for (int i = 0; i < FRAME; i++)
		wrong += map[at + i] != (unsigned char)(i * 3 + (i >> 9));
	check_u64("large: the other process's frame", wrong, 0);
	check_u64("large: where pagemap says", frame_of(map + at), info.cpu_phys_addr + at);
	check(info.cpu_phys_addr + at >= 1ULL << 32, "large: above 4 GiB", "0x%llx",
	      info.cpu_phys_addr + at);
	check_u64("large: read at the end", pread(fd, &byte, 1, info.size - 1), 1);
	range = (struct u_dma_buf_range){ at, FRAME };
	check_ok("large: sync of the last frame", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &sync));
	range.size++;
	check_errno("large: sync of a byte too many", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &sync),
		    EINVAL);
	if (at >> 32)
		test_far(fd, at);
	return check_done();
}
