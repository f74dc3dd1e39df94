// SPDX-License-Identifier: MIT
/*
 * adopt [EDU [UNBIND]]: memory of user space pinned and mapped for a device.  EDU is the
 * name of a PCI device: with it the program adopts for that device and removes it, or, by
 * the file UNBIND, its driver.
 *
 * adopt bounces: where every mapping would be a copy, adoption is refused.
 * adopt hold: tells "held" when the descriptor of an adoption is all that it has, and waits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"
#include "uring.h"

#define PAGE	4096
#define HUGE	(2 << 20)
#define PAGES	64

static int node;

static int adopt_for(const char *parent, int source, uint64_t offset, uint64_t size,
		     unsigned int *segments)
{
	struct u_dma_buf_adopt in = {
		.offset = offset, .size = size, .source_fd = source, .flags = O_CLOEXEC, .fd = -1,
	};

	memcpy(in.parent, parent, strlen(parent));
	if (ioctl(node, U_DMA_BUF_IOCTL_ADOPT, &in))
		return -1;
	if (segments)
		*segments = in.segments;
	return in.fd;
}

static int adopt(int source, uint64_t offset, uint64_t size, unsigned int *segments)
{
	return adopt_for("", source, offset, size, segments);
}

static int memory_file(uint64_t size, unsigned int flags)
{
	int fd = memfd_create("adopt", MFD_CLOEXEC | flags);

	require(fd >= 0 && ftruncate(fd, size) == 0);
	return fd;
}

static unsigned int get_segments(int fd, struct u_dma_buf_segment *out, uint32_t first, uint32_t count)
{
	struct u_dma_buf_segments in = { .segments = (uintptr_t)out, .first = first, .count = count };

	require(ioctl(fd, U_DMA_BUF_IOCTL_GET_SEGMENTS, &in) == 0);
	return in.count;
}

static uint64_t physical_of(const volatile void *at)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	require(pagemap >= 0);
	require(pread(pagemap, &entry, 8, (uintptr_t)at / PAGE * 8) == 8);
	close(pagemap);
	return (entry & ((1ULL << 55) - 1)) * PAGE;
}

/* Every page of the mapping is where the segments say. */
static bool segments_match(const volatile char *map, const struct u_dma_buf_segment *segments,
			   unsigned int count, uint64_t size)
{
	uint64_t at = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (segments[i].offset != at)
			return false;
		for (uint64_t k = 0; k < segments[i].size; k += PAGE)
			if (physical_of(map + at + k) != segments[i].dma_addr + k)
				return false;
		at += segments[i].size;
	}
	return at == size;
}

static void test_memfd(void)
{
	struct u_dma_buf_range range = { PAGE, PAGE };
	struct u_dma_buf_sync_ranges sync = {
		.ranges = (uintptr_t)&range, .count = 1, .command = U_DMA_BUF_SYNC_FOR_DEVICE,
	};
	int source = memory_file(PAGES * PAGE, 0), fd;
	struct u_dma_buf_segment segments[PAGES], some[PAGES];
	unsigned int told = 0, count, done;
	volatile char *map;

	map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, source, 0);
	require(map != MAP_FAILED);
	map[3 * PAGE] = 33;
	/* The rest are holes. */
	fd = adopt(source, 2 * PAGE, (PAGES - 2) * PAGE, &told);
	check_ok("adopt: a part of a memfd", fd);
	check_u64("adopt: close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	count = get_segments(fd, segments, 0, PAGES);
	check_u64("adopt: as many segments as told", count, told);
	/* pagemap has no entry for a page that was never touched here. */
	for (int i = 0; i < PAGES; i++)
		map[i * PAGE + 1] = i;
	check(segments_match(map + 2 * PAGE, segments, count, (PAGES - 2) * PAGE),
	      "adopt: each page is where its segment says", "%u segments", count);
	check_u64("adopt: the bytes are the same", map[3 * PAGE], 33);
	for (done = 0; done < count; done += get_segments(fd, some + done, done, 1))
		;
	check(memcmp(some, segments, count * sizeof(*some)) == 0, "adopt: one segment at a time", "others");
	check_u64("adopt: none after the last", get_segments(fd, some, count, 5), 0);

	check_ok("adopt: SYNC_RANGES", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &sync));
	range.offset = (PAGES - 2) * PAGE;
	check_errno("adopt: SYNC_RANGES behind the end", ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &sync),
		    EINVAL);
	check_errno("adopt: it is no buffer", ioctl(fd, U_DMA_BUF_IOCTL_GET_SIZE, &range), ENOTTY);

	/* A pin holds what the file gives up. */
	munmap((void *)map, PAGES * PAGE);
	check_ok("adopt: truncate the file under it", ftruncate(source, 0));
	check_u64("adopt: the segments stay", get_segments(fd, segments, 0, PAGES), count);
	close(source);
	close(fd);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

/* Contiguous for 2 MiB at least, and all that driver memory can not do. */
static void test_huge(void)
{
	struct u_dma_buf_segment segments[2] = { 0 };
	struct uring ring;
	unsigned int count = 0;
	int source, fd;
	char *map;

	if (!write_file("/proc/sys/vm/nr_hugepages", "2\n")) {
		check(false, "adopt: two huge pages", "none");
		return;
	}
	source = memory_file(2 * HUGE, MFD_HUGETLB);
	map = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, source, 0);
	require(map != MAP_FAILED);
	memset(map, 1, 2 * HUGE);
	fd = adopt(source, 0, 2 * HUGE, &count);
	check_ok("adopt: huge pages", fd);
	check(count >= 1 && count <= 2, "adopt: a segment for each, or one for both", "%u", count);
	require(get_segments(fd, segments, 0, 2) == count);
	check_u64("adopt: the first is whole", segments[0].size % HUGE, 0);
	check_u64("adopt: where pagemap says", physical_of(map), segments[0].dma_addr);
	check_errno("adopt: a part of a huge page", adopt(source, 0, PAGE, NULL), EINVAL);
	uring_open(&ring);
	check_u64("adopt: and io_uring registers it", uring_register(&ring, map, HUGE), 0);
	check_ok("adopt: and forgets it", syscall(SYS_io_uring_register, ring.fd,
						  IORING_UNREGISTER_BUFFERS, NULL, 0));
	close(ring.fd);
	close(fd);
	munmap(map, 2 * HUGE);
	close(source);
	write_file("/proc/sys/vm/nr_hugepages", "0\n");
}

static void test_refusals(void)
{
	int source = memory_file(4 * PAGE, MFD_ALLOW_SEALING), buffer = open("/dev/udmabuf0", O_RDWR);
	int reader, sealed = memory_file(PAGE, MFD_ALLOW_SEALING), pipe_ends[2], other;
	struct u_dma_buf_anonymous anonymous = { .size = PAGE, .flags = O_RDWR };
	char path[64];

	require(buffer >= 0);
	check_errno("adopt: a buffer of ours, which may be CMA", adopt(buffer, 0, PAGE, NULL), EOPNOTSUPP);
	require(ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &anonymous) == 0);
	check_errno("adopt: one without name", adopt(anonymous.fd, 0, PAGE, NULL), EOPNOTSUPP);
	require(pipe(pipe_ends) == 0);
	check_errno("adopt: a pipe", adopt(pipe_ends[0], 0, PAGE, NULL), EOPNOTSUPP);
	other = open("/proc/self/maps", O_RDONLY);
	check_errno("adopt: a file of another kind", adopt(other, 0, PAGE, NULL), EOPNOTSUPP);
	check_errno("adopt: no file", adopt(999, 0, PAGE, NULL), EBADF);
	check_errno("adopt: nothing of it", adopt(source, 0, 0, NULL), EINVAL);
	check_errno("adopt: offset inside a page", adopt(source, 100, PAGE, NULL), EINVAL);
	check_errno("adopt: size inside a page", adopt(source, 0, 100, NULL), EINVAL);
	check_errno("adopt: behind the end", adopt(source, 0, 5 * PAGE, NULL), EINVAL);
	check_errno("adopt: far behind the end", adopt(source, 1ULL << 60, PAGE, NULL), EINVAL);
	check_errno("adopt: a range that wraps", adopt(source, PAGE, 0 - 4096ULL, NULL), EINVAL);
	check_errno("adopt: for no device", adopt_for("pci/none", source, 0, PAGE, NULL), EINVAL);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", source);
	reader = open(path, O_RDONLY);
	require(reader >= 0);
	check_errno("adopt: opened for reading only", adopt(reader, 0, PAGE, NULL), EACCES);
	require(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	check_errno("adopt: sealed against writing", adopt(sealed, 0, PAGE, NULL), EPERM);
	close(reader);
	close(sealed);
	close(source);
	close(buffer);
	close(anonymous.fd);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	close(other);
}

/* Pins count against RLIMIT_MEMLOCK of a user, and no longer than they last. */
static int limited_user(void)
{
	struct rlimit limit = { 16 * PAGE, 16 * PAGE };
	int source = memory_file(PAGES * PAGE, 0), fd;

	require(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	require(setgid(1000) == 0 && setuid(1000) == 0);
	fd = adopt(source, 0, 16 * PAGE, NULL);
	check_ok("adopt: a user within RLIMIT_MEMLOCK", fd);
	check_errno("adopt: a page more", adopt(source, 0, PAGE, NULL), ENOMEM);
	close(fd);
	check_errno("adopt: all at once too much", adopt(source, 0, 17 * PAGE, NULL), ENOMEM);
	check_errno("adopt: a device is for root", adopt_for("platform/x", source, 0, PAGE, NULL), EPERM);
	for (int i = 0; i < 50; i++)
		close(adopt(source, 0, 16 * PAGE, NULL));
	fd = adopt(source, 0, 16 * PAGE, NULL);
	check_ok("adopt: after 50 times adopt and close", fd);
	return check_failures;
}

static void test_limit(void)
{
	int status;
	pid_t child;

	require(write_file("/sys/module/u_dma_buf/parameters/anonymous_total", "1048576\n"));
	fflush(stdout);
	child = fork();
	require(child >= 0);
	if (!child) {
		check_failures = 0;
		exit(limited_user());
	}
	waitpid(child, &status, 0);
	check_failures += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	require(write_file("/sys/module/u_dma_buf/parameters/anonymous_total", "0\n"));
}

/* nr_foll_pin counts, so none is left over. */
static uint64_t pins_outstanding(void)
{
	uint64_t pinned = 0, released = 0;
	unsigned long long value;
	char name[64];
	FILE *file;

	/* Each processor keeps small differences to itself until then. */
	require(write_file("/proc/sys/vm/stat_refresh", "1\n"));
	file = fopen("/proc/vmstat", "r");
	require(file);
	while (fscanf(file, "%63s %llu", name, &value) == 2) {
		if (strcmp(name, "nr_foll_pin_acquired") == 0)
			pinned = value;
		if (strcmp(name, "nr_foll_pin_released") == 0)
			released = value;
	}
	fclose(file);
	return pinned - released;
}

/* For a device of the machine, which then goes; or its driver does, by the file @unbind. */
static void test_parent(const char *edu, const char *unbind)
{
	int source = memory_file(PAGES * PAGE, 0), fd, remove;
	struct u_dma_buf_segments in = { 0 };
	char parent[64], path[200];
	const char *text;

	snprintf(parent, sizeof(parent), "pci/%s", edu);
	fd = adopt_for(parent, source, 0, PAGES * PAGE, NULL);
	check_ok("adopt: for a device", fd);
	check_ok("adopt: its segments", ioctl(fd, U_DMA_BUF_IOCTL_GET_SEGMENTS, &in));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", edu);
	text = unbind ? edu : "1";
	remove = open(unbind ? unbind : path, O_WRONLY);
	require(remove >= 0 && write(remove, text, strlen(text)) == (ssize_t)strlen(text));
	check_errno("adopt: no segments when the device is gone",
		    ioctl(fd, U_DMA_BUF_IOCTL_GET_SEGMENTS, &in), ENODEV);
	close(fd);
	close(source);
}

static int bounces(void)
{
	int source = memory_file(PAGES * PAGE, 0);

	check_errno("adopt: memory that would bounce", adopt(source, 0, PAGES * PAGE, NULL), EIO);
	check_u64("adopt: its pins are released", pins_outstanding(), 0);
	return check_done();
}

static void hold(void)
{
	require(adopt(memory_file(PAGE, 0), 0, PAGE, NULL) >= 0);
	close(node);
	printf("held\n");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	uint64_t before = pins_outstanding();

	node = open("/dev/u-dma-buf-anon", O_RDWR | O_CLOEXEC);
	require(node >= 0);
	if (argc == 2 && strcmp(argv[1], "hold") == 0)
		hold();
	if (argc == 2 && strcmp(argv[1], "bounces") == 0)
		return bounces();
	if (argc >= 2) {
		test_parent(argv[1], argv[2]);
	} else {
		test_memfd();
		test_huge();
		test_refusals();
		test_limit();
	}
	check_u64("adopt: every pin is released", pins_outstanding(), before);
	return check_done();
}
