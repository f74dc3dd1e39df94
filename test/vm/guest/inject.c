// SPDX-License-Identifier: MIT
/*
 * inject EDU [kernel]: each operation on udmabuf0, the manager and memory without a
 * name is repeated with the Nth allocation step failing, N = 1, 2, ... until none
 * fails.  Each time a failure must be told and leave nothing: the operation is done
 * again, and at the end no memory and no descriptor is missing.
 *
 * The steps are those that the module counts (its parameter fail_alloc), or all
 * allocations of the kernel (/proc/thread-self/fail-nth of debug kernels).
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

#define BY_MODULE	"/sys/module/u_dma_buf/parameters/fail_alloc"
#define BY_KERNEL	"/proc/thread-self/fail-nth"

static int node, manager, device, memory, fail;
static const char *edu;
static bool by_kernel;
static uint64_t bytes = 4 << 20;

/* By an open file, because to open one is an operation that may fail, too. */
static void set_fail(unsigned int step)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", step);
	require(pwrite(fail, text, strlen(text), 0) > 0);
}

static unsigned int steps_left(void)
{
	char text[16] = { 0 };

	require(pread(fail, text, sizeof(text) - 1, 0) > 0);
	return atoi(text);
}

static int create(const char *parent)
{
	struct u_dma_buf_create in = { .size = bytes, .name = "injected" };
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
	struct u_dma_buf_anonymous in = { .size = bytes, .flags = O_RDWR };

	if (ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in))
		return -1;
	close(in.fd);
	return 0;
}

static int try_adopt(void)
{
	struct u_dma_buf_adopt in = { .size = bytes, .source_fd = memory };

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
	snprintf(text, sizeof(text), "%d", in.fd);
	result = importer < 0 || write(importer, text, strlen(text)) < 0 ? -1 : 0;
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
	int result = in.fd < 0 ? -1 : ioctl(device, U_DMA_BUF_IOCTL_EVENTFD, &in), error = errno;

	close(in.fd);
	errno = error;
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
	/* The kernel allocates far more often than we do, up to each page of a file. */
	unsigned int most = by_kernel ? 3000 : 100;
	long lost = free_pages();
	char name[64];

	for (step = 1; step < most; step++) {
		set_fail(step);
		if (try()) {
			failures++;
			odd += !by_kernel && errno != ENOMEM;
		}
		if (steps_left())
			break;
		/* What failed has left nothing that is in the way. */
		odd += try() != 0;
	}
	set_fail(0);
	lost -= free_pages();
	printf("# inject: %s: %u steps, %u failures\n", operations[index].name, step - 1, failures);
	snprintf(name, sizeof(name), "inject: %s: all steps walked", operations[index].name);
	check(step < most && step > operations[index].steps && failures, name, "%u steps, %u failures",
	      step - 1, failures);
	snprintf(name, sizeof(name), "inject: %s: each is told and can be repeated",
		 operations[index].name);
	check_u64(name, odd, 0);
	snprintf(name, sizeof(name), "inject: %s: no descriptor is left", operations[index].name);
	check_u64(name, open_files(), files);
	/* A buffer lost in one step is 1024 pages; on debug kernels kmemleak looks, too. */
	snprintf(name, sizeof(name), "inject: %s: no buffer is lost", operations[index].name);
	check(by_kernel || lost < 900, name, "%ld pages", lost);
}

int main(int argc, char **argv)
{
	require(argc == 2 || argc == 3);
	edu = argv[1];
	by_kernel = argc == 3;
	if (by_kernel)
		bytes = 64 << 10;
	fail = open(by_kernel ? BY_KERNEL : BY_MODULE, O_RDWR);
	node = open("/dev/u-dma-buf-anon", O_RDWR);
	manager = open("/dev/u-dma-buf-mgr", O_WRONLY);
	device = open("/dev/udmabuf0", O_RDWR);
	memory = memfd_create("inject", 0);
	require(fail >= 0 && node >= 0 && manager >= 0 && device >= 0);
	/* All there, so that its own pages are not missed. */
	require(posix_fallocate(memory, 0, bytes) == 0);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		walk(i);
	return check_done();
}
