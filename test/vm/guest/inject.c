// SPDX-License-Identifier: MIT
/*
 * inject WHAT: one operation on udmabuf0, the manager or memory without a name is
 * repeated with the Nth allocation step failing, N = 1, 2, ... until none fails.
 * Each time a failure must be told and leave nothing: the operation is undone and
 * done again, and at the end no memory, pin or descriptor is missing.
 *
 *   create, bound, anonymous, adopt, open, export, ranges, eventfd
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define FAIL		"/sys/module/u_dma_buf/parameters/fail_alloc"
#define BYTES		(4 << 20)
#define STEPS_MAX	100

static int node, manager, device, memory;
static const char *edu;

static void set_fail(unsigned int step)
{
	int fd = open(FAIL, O_WRONLY);
	char text[16];

	require(fd >= 0);
	snprintf(text, sizeof(text), "%u", step);
	require(write(fd, text, strlen(text)) > 0);
	close(fd);
}

static unsigned int steps_left(void)
{
	int fd = open(FAIL, O_RDONLY);
	char text[16] = { 0 };

	require(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return atoi(text);
}

static int create(const char *parent)
{
	struct u_dma_buf_create in = { .size = BYTES, .name = "injected" };
	struct u_dma_buf_delete undo = { .name = "injected" };

	strcpy(in.parent, parent);
	if (ioctl(manager, U_DMA_BUF_IOCTL_CREATE, &in))
		return -1;
	require(ioctl(manager, U_DMA_BUF_IOCTL_DELETE, &undo) == 0);
	return 0;
}

static int try_create(void)
{
	return create("");
}

static int try_bound(void)
{
	char parent[64];

	snprintf(parent, sizeof(parent), "pci/%s", edu);
	return create(parent);
}

static int try_anonymous(void)
{
	struct u_dma_buf_anonymous in = { .size = BYTES, .flags = O_RDWR };

	if (ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in))
		return -1;
	close(in.fd);
	return 0;
}

static int try_adopt(void)
{
	struct u_dma_buf_adopt in = { .size = BYTES, .source_fd = memory };

	if (ioctl(node, U_DMA_BUF_IOCTL_ADOPT, &in))
		return -1;
	close(in.fd);
	return 0;
}

static int try_open(void)
{
	int fd = open("/dev/udmabuf0", O_RDWR);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* The dma-buf, and another device that imports it. */
static int try_export(void)
{
	struct u_dma_buf_export in = { .flags = O_RDWR };
	int importer, result, error;
	char text[16];

	if (ioctl(device, U_DMA_BUF_IOCTL_EXPORT, &in))
		return -1;
	importer = open("/dev/udb-importer", O_RDWR);
	require(importer >= 0);
	snprintf(text, sizeof(text), "%d", in.fd);
	result = write(importer, text, strlen(text)) < 0 ? -1 : 0;
	error = errno;
	close(importer);
	close(in.fd);
	errno = error;
	return result;
}

static int try_ranges(void)
{
	struct u_dma_buf_range range = { 0, 4096 };
	struct u_dma_buf_sync_ranges in = {
		.ranges = (uintptr_t)&range, .count = 1, .command = U_DMA_BUF_SYNC_FOR_CPU,
	};

	return ioctl(device, U_DMA_BUF_IOCTL_SYNC_RANGES, &in);
}

static int try_eventfd(void)
{
	struct u_dma_buf_eventfd in = { .doorbell = 1, .fd = eventfd(0, 0) };
	int result = ioctl(device, U_DMA_BUF_IOCTL_EVENTFD, &in);

	close(in.fd);
	return result;
}

static const struct {
	const char *name;
	int (*try)(void);
	unsigned int steps;	/* at least so many can fail */
} operations[] = {
	{ "create", try_create, 12 },
	{ "bound", try_bound, 12 },
	{ "anonymous", try_anonymous, 10 },
	{ "adopt", try_adopt, 6 },
	{ "open", try_open, 1 },
	{ "export", try_export, 4 },
	{ "ranges", try_ranges, 1 },
	{ "eventfd", try_eventfd, 1 },
};

static unsigned int open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	require(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* With those that the processors keep at hand, which MemFree leaves out. */
static long free_pages(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	long pages = 0, count;
	char line[100];

	require(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " pages free %ld", &count) == 1 || sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	fclose(file);
	return pages;
}

/* A failure that is got over by another source of memory is none. */
static void walk(size_t index)
{
	int (*try)(void) = operations[index].try;
	unsigned int step, failures = 0, odd = 0, files = open_files();
	long lost = free_pages();
	char name[64];

	for (step = 1; step < STEPS_MAX; step++) {
		set_fail(step);
		if (try()) {
			failures++;
			odd += errno != ENOMEM;
		}
		if (steps_left())
			break;
		/* What failed has left nothing that is in the way. */
		odd += try() != 0;
	}
	set_fail(0);
	lost -= free_pages();
	snprintf(name, sizeof(name), "inject: %s: all steps walked", operations[index].name);
	check(step < STEPS_MAX && step > operations[index].steps && failures, name, "%u steps, %u failures",
	      step - 1, failures);
	snprintf(name, sizeof(name), "inject: %s: each ends with ENOMEM and can be repeated",
		 operations[index].name);
	check_u64(name, odd, 0);
	snprintf(name, sizeof(name), "inject: %s: no descriptor is left", operations[index].name);
	check_u64(name, open_files(), files);
	/* A buffer lost in one step is 1024 pages. */
	snprintf(name, sizeof(name), "inject: %s: no buffer is lost", operations[index].name);
	check(lost < 900, name, "%ld pages", lost);
}

int main(int argc, char **argv)
{
	require(argc == 2);
	edu = argv[1];
	node = open("/dev/u-dma-buf-anon", O_RDWR);
	manager = open("/dev/u-dma-buf-mgr", O_WRONLY);
	device = open("/dev/udmabuf0", O_RDWR);
	memory = memfd_create("inject", 0);
	require(node >= 0 && manager >= 0 && device >= 0);
	/* All there, so that its own pages are not missed. */
	require(posix_fallocate(memory, 0, BYTES) == 0);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		walk(i);
	return check_done();
}
