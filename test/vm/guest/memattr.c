// SPDX-License-Identifier: MIT
/*
 * memattr DEVICE ignored|uncached|exclusive|mixed: mappings with O_SYNC beside mappings
 * without.  "ignored": O_SYNC changes nothing; "uncached": nor is there any
 * other kind of mapping than those without cache; "exclusive": one kind at a time;
 * "mixed": the compatibility parameter allows both.  What a mapping is, is read from
 * the page table (udb-memtype).
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
static bool exclusive, ignored, never_cached;

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

static void set_default_mode(const char *path, const char *mode)
{
	char file[100];
	int fd;

	snprintf(file, sizeof(file), "/sys/class/u-dma-buf/%s/sync_mode", basename(path));
	fd = open(file, O_WRONLY);
	require(fd >= 0 && write(fd, mode, 1) == 1);
	close(fd);
}

/* The page table's word for it. */
static void memory_type(const void *at, char *type, size_t bytes)
{
	int fd = open("/dev/udb-memtype", O_RDWR);
	char text[32];
	ssize_t count;

	require(fd >= 0);
	snprintf(text, sizeof(text), "%p", at);
	require(write(fd, text, strlen(text)) > 0);
	count = read(fd, type, bytes - 1);
	require(count > 0);
	type[count] = 0;
	close(fd);
}

/* Modes 4 to 7 are as O_SYNC with 0 to 3; and 0 changes nothing. */
static void test_types(const char *path)
{
	for (int mode = 0; mode < 8; mode++) {
		for (int sync = 0; sync < 2; sync++) {
			bool asked = mode & 3 && (sync || mode & 4);
			bool without_cache = never_cached || (asked && !ignored);
			const char *expected = without_cache ? "non-cacheable" : "write-back";
			struct u_dma_buf_sync set = { .flags = mode << 8, .size = BYTES };
			int fd = open(path, O_RDWR | (sync ? O_SYNC : 0));
			char name[60], type[20];
			char *at;

			require(fd >= 0);
			/* SET_SYNC can not say 0. */
			if (mode == 0)
				set_default_mode(path, "0");
			else
				require(ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set) == 0);
			at = map(fd);
			require(at);
			at[0] = 1;
			memory_type(at, type, sizeof(type));
			snprintf(name, sizeof(name), "memattr: sync_mode %d%s", mode,
				 sync ? " with O_SYNC" : "");
			check(strcmp(type, expected) == 0, name, "%s, expected %s", type, expected);
			munmap(at, BYTES);
			close(fd);
			set_default_mode(path, "1");
		}
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
	ignored = strcmp(argv[2], "ignored") == 0;
	never_cached = strcmp(argv[2], "uncached") == 0;
	cached = open(argv[1], O_RDWR);
	uncached = open(argv[1], O_RDWR | O_SYNC);
	require(cached >= 0 && uncached >= 0);
	test_pair("memattr: O_SYNC beside a cached mapping", cached, uncached);
	test_pair("memattr: cached beside an O_SYNC mapping", uncached, cached);
	test_read_write();
	test_types(argv[1]);
	return check_done();
}
