// SPDX-License-Identifier: MIT
/*
 * memattr DEVICE ignored|exclusive|mixed: mappings with O_SYNC beside mappings
 * without.  "ignored": O_SYNC changes nothing; "exclusive": one kind at a time;
 * "mixed": the compatibility parameter allows both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define BYTES	(64 << 10)

static int cached, uncached;
static bool exclusive;

static void *map(int fd)
{
	void *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* While @first is mapped, @second can not be, unless that is allowed. */
static void test_pair(const char *name, int first, int second)
{
	char *one = map(first), *two;
	int status;
	pid_t child;

	require(one);
	/* The zeroing instruction of arm64 faults on device memory. */
	memset(one, 0x11, BYTES);
	one[100] = 0x22;
	two = map(second);
	if (!exclusive) {
		if (check(two, name, "%s", strerrorname_np(errno)))
			munmap(two, BYTES);
		munmap(one, BYTES);
		return;
	}
	check_errno(name, two ? 0 : -1, EBUSY);

	/* A part that is left, and a child that has inherited it, count too. */
	munmap(one, BYTES / 2);
	check_errno("memattr: half of it still mapped", map(second) ? 0 : -1, EBUSY);
	child = fork();
	require(child >= 0);
	if (!child) {
		pause();
		_exit(0);
	}
	munmap(one + BYTES / 2, BYTES / 2);
	check_errno("memattr: still mapped in a child", map(second) ? 0 : -1, EBUSY);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);

	two = map(second);
	if (check(two, "memattr: free after the last one", "%s", strerrorname_np(errno))) {
		check_u64("memattr: the other kind sees the same byte", two[100], 0x22);
		munmap(two, BYTES);
	}
}

/* read and write meet a mapping without cache. */
static void test_read_write(void)
{
	char *at = map(uncached), data[64];

	require(at);
	memset(at + 4096, 0x44, sizeof(data));
	require(pread(cached, data, sizeof(data), 4096) == sizeof(data));
	check(data[0] == 0x44 && data[63] == 0x44, "memattr: read sees its stores", "others");
	memset(data, 0x55, sizeof(data));
	require(pwrite(cached, data, sizeof(data), 4096) == sizeof(data));
	check(at[4096] == 0x55 && at[4096 + 63] == 0x55, "memattr: it sees what write wrote",
	      "others");
	munmap(at, BYTES);
}

int main(int argc, char **argv)
{
	require(argc == 3);
	exclusive = strcmp(argv[2], "exclusive") == 0;
	cached = open(argv[1], O_RDWR);
	uncached = open(argv[1], O_RDWR | O_SYNC);
	require(cached >= 0 && uncached >= 0);
	test_pair("memattr: O_SYNC beside a cached mapping", cached, uncached);
	test_pair("memattr: cached beside an O_SYNC mapping", uncached, cached);
	test_read_write();
	return check_done();
}
