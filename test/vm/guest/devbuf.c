// SPDX-License-Identifier: MIT
/*
 * devbuf MEBIBYTES: a program of the kind that users of u-dma-buf write.  It
 * asks the size and the bus address, maps all, closes the device, and
 * translates an address of the mapping; here pagemap must agree.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

/* Written out, as a program compiled against the other driver has them. */
#define GET_SIZE	_IOR('U', 2, uint64_t)
#define GET_DMA_ADDR	_IOR('U', 3, uint64_t)

#define PAGEMAP_PRESENT	(1ULL << 63)
#define PAGEMAP_PFN	((1ULL << 55) - 1)

static uint64_t frame_of(const void *address)
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	off_t at = (uintptr_t)address / getpagesize() * sizeof(entry);

	require(fd >= 0);
	require(pread(fd, &entry, sizeof(entry), at) == sizeof(entry));
	close(fd);
	return entry & PAGEMAP_PRESENT ? (entry & PAGEMAP_PFN) * getpagesize() : 0;
}

int main(int argc, char **argv)
{
	uint64_t wanted, bytes = 0, bus = 0, offset;
	volatile char *map;
	int fd;

	require(argc == 2);
	wanted = strtoull(argv[1], NULL, 0) << 20;
	fd = open("/dev/udmabuf0", O_RDWR);
	require(fd >= 0);
	check_ok("devbuf: size", ioctl(fd, GET_SIZE, &bytes));
	check_ok("devbuf: address", ioctl(fd, GET_DMA_ADDR, &bus));
	check_u64("devbuf: the size asked for", bytes, wanted);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(map != MAP_FAILED);
	close(fd);

	for (offset = 4096; offset < bytes; offset += bytes / 4) {
		map[offset] = 0x77;
		check_u64("devbuf: pagemap agrees after close", frame_of((void *)(map + offset)),
			  bus + offset);
	}
	check_ok("devbuf: munmap", munmap((void *)map, bytes));
	return check_done();
}
