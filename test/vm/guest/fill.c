// SPDX-License-Identifier: MIT
/*
 * fill PATH MIB: writes that many MiB of 'Z' to a device; or, if PATH is "memory", to
 * memory of its own, which goes back to the kernel dirty.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define CHUNK	(1 << 20)

int main(int argc, char **argv)
{
	static char data[CHUNK];
	size_t count;
	char *map;
	int fd;

	require(argc == 3);
	count = strtoull(argv[2], NULL, 0);
	if (strcmp(argv[1], "memory") == 0) {
		map = mmap(NULL, count * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		require(map != MAP_FAILED);
		memset(map, 'Z', count * CHUNK);
		return 0;
	}
	fd = open(argv[1], O_WRONLY);
	require(fd >= 0);
	memset(data, 'Z', CHUNK);
	while (count--)
		require(write(fd, data, CHUNK) == CHUNK);
	return 0;
}
