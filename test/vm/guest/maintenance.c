// SPDX-License-Identifier: MIT
/*
 * maintenance DEVICE coherent|not: which cache maintenance the kernel does for a call,
 * seen by probes on the two functions of arm64 that do it, compared with what the call
 * asks for: where, how much, which way.  A coherent buffer asks for none.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define TRACING		"/sys/kernel/tracing/"
#define STEPS_MAX	32
/* enum dma_data_direction, which is also how u-dma-buf counts. */
enum { BOTH, TO_DEVICE, FROM_DEVICE };
enum { CPU = 'c', DEVICE = 'd' };

struct step {
	char who;
	uint64_t offset, size;
	int direction;
};

static const char *path, *name;
static struct u_dma_buf_buffer info;
static bool coherent;
static int device;

static void write_text(const char *file, const char *text, int flags)
{
	int fd = open(file, O_WRONLY | flags);

	require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void probes_begin(void)
{
	require(mount("tracefs", TRACING, "tracefs", 0, NULL) == 0 || errno == EBUSY);
	write_text(TRACING "kprobe_events",
		   "p:udb/cpu arch_sync_dma_for_cpu at=$arg1:x64 size=$arg2:u64 way=$arg3:u32\n"
		   "p:udb/device arch_sync_dma_for_device at=$arg1:x64 size=$arg2:u64 way=$arg3:u32\n",
		   O_APPEND);
	write_text(TRACING "events/udb/enable", "1", 0);
}

static void probes_end(void)
{
	write_text(TRACING "events/udb/enable", "0", 0);
	write_text(TRACING "kprobe_events", "", O_TRUNC);
}

static void forget(void)
{
	close(open(TRACING "trace", O_WRONLY | O_TRUNC));
}

/* Reads what was done since the last time. */
static int seen(struct step *steps)
{
	FILE *trace = fopen(TRACING "trace", "r");
	char line[300];
	int count = 0;

	require(trace);
	while (fgets(line, sizeof(line), trace)) {
		unsigned long long at, size;
		unsigned int way;
		char *fields = strstr(line, " at=");

		if (line[0] == '#' || !fields)
			continue;
		require(count < STEPS_MAX);
		require(sscanf(fields, " at=%llx size=%llu way=%u", &at, &size, &way) == 3);
		steps[count++] = (struct step){
			strstr(line, "for_cpu") ? CPU : DEVICE, at - info.cpu_phys_addr, size, way,
		};
	}
	fclose(trace);
	forget();
	return count;
}

static bool same(const struct step *a, const struct step *b)
{
	return a->who == b->who && a->offset == b->offset && a->size == b->size &&
	       a->direction == b->direction;
}

static void tell(char *text, const struct step *steps, int count)
{
	*text = 0;
	for (int i = 0; i < count; i++)
		text += sprintf(text, "%s %#llx+%#llx %d; ", steps[i].who == CPU ? "cpu" : "device",
				(unsigned long long)steps[i].offset,
				(unsigned long long)steps[i].size, steps[i].direction);
}

static void compare(const struct step *expected, int count)
{
	struct step steps[STEPS_MAX];
	char got[STEPS_MAX * 80], wanted[STEPS_MAX * 80];
	bool good;
	int found = seen(steps);

	if (coherent)
		count = 0;
	good = found == count;
	for (int i = 0; i < count && good; i++)
		good = same(&steps[i], &expected[i]);
	tell(got, steps, found);
	tell(wanted, expected, count);
	check(good, name, "\"%s\", expected \"%s\"", got, wanted);
}

#define expect(...)									\
	do {										\
		const struct step steps_[] = { __VA_ARGS__ };				\
		compare(steps_, sizeof(steps_) / sizeof(steps_[0]));			\
	} while (0)

static void begin(const char *text)
{
	name = text;
	forget();
}

static int reopen(int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	require(fd >= 0);
	return fd;
}

static void test_commands(void)
{
	struct u_dma_buf_sync set = { .flags = 1 << 2, .offset = 0x2000, .size = 0x300 };
	uint64_t word = 0x4000ULL << 32 | 0x120 | FROM_DEVICE << 2 | 1;
	int fd = reopen(O_RDWR);
	char text[40], file[100];

	begin("maintenance: a word with a range, for the CPU");
	require(ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, &word) == 0);
	expect({ CPU, 0x4000, 0x120, FROM_DEVICE });
	begin("maintenance: SET_SYNC without a command");
	require(ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set) == 0);
	compare(NULL, 0);
	begin("maintenance: a word without a range takes the stored one");
	word = 1;
	require(ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE, &word) == 0);
	expect({ DEVICE, 0x2000, 0x300, TO_DEVICE });
	begin("maintenance: a word without a command");
	word = 0x1000;
	require(ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE, &word) == 0);
	compare(NULL, 0);
	begin("maintenance: SET_SYNC for the CPU");
	set.flags = 1 | BOTH << 2;
	require(ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC, &set) == 0);
	expect({ CPU, 0x2000, 0x300, BOTH });
	begin("maintenance: sync_for_device in sysfs");
	snprintf(file, sizeof(file), "/sys/class/u-dma-buf/%s/sync_for_device", basename(path));
	snprintf(text, sizeof(text), "0x%llx", 0x8000ULL << 32 | 0x40 | TO_DEVICE << 2 | 1);
	write_text(file, text, 0);
	expect({ DEVICE, 0x8000, 0x40, TO_DEVICE });
	begin("maintenance: and the whole of it");
	write_text(file, "1", 0);
	expect({ DEVICE, 0, info.size, BOTH });
	close(fd);
}

static void test_ranges(void)
{
	struct u_dma_buf_range ranges[3] = { { 0x1001, 63 }, { 0x3000, 0 }, { 0x5000, 0x2000 } };
	struct u_dma_buf_sync_ranges batch = {
		.ranges = (uintptr_t)ranges, .count = 3,
		.command = U_DMA_BUF_SYNC_FOR_DEVICE, .direction = TO_DEVICE,
	};

	begin("maintenance: SYNC_RANGES for the device");
	require(ioctl(device, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch) == 0);
	expect({ DEVICE, 0x1001, 63, TO_DEVICE }, { DEVICE, 0x5000, 0x2000, TO_DEVICE });
	begin("maintenance: SYNC_RANGES for the CPU");
	batch.command = U_DMA_BUF_SYNC_FOR_CPU;
	batch.direction = FROM_DEVICE;
	require(ioctl(device, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch) == 0);
	expect({ CPU, 0x1001, 63, FROM_DEVICE }, { CPU, 0x5000, 0x2000, FROM_DEVICE });
	begin("maintenance: SYNC_RANGES with one range that leaves the buffer syncs none");
	ranges[2].offset = info.size;
	check_errno("maintenance: it is refused", ioctl(device, U_DMA_BUF_IOCTL_SYNC_RANGES, &batch),
		    EINVAL);
	compare(NULL, 0);
}

/* A write keeps what was stored through the cache, then gives up what it has: that may be older than the memory. */
static void transfer(const char *reading, const char *writing, int fd, bool syncs)
{
	static char data[5000];

	begin(reading);
	require(pread(fd, data, 5000, 0x7001) == 5000);
	if (syncs)
		expect({ CPU, 0x7001, 5000, FROM_DEVICE });
	else
		compare(NULL, 0);
	begin(writing);
	require(pwrite(fd, data, 5000, 0x7001) == 5000);
	if (syncs)
		expect({ DEVICE, 0x7001, 5000, TO_DEVICE }, { CPU, 0x7001, 5000, FROM_DEVICE },
		       { DEVICE, 0x7001, 5000, TO_DEVICE });
	else
		compare(NULL, 0);
}

static void test_read_write(void)
{
	struct u_dma_buf_sync always = { .flags = 5 << 8, .size = info.size };
	int synced = reopen(O_RDWR | O_SYNC), other = reopen(O_RDWR);
	char *at;

	transfer("maintenance: read", "maintenance: write", device, false);
	transfer("maintenance: read with O_SYNC", "maintenance: write with O_SYNC", synced, true);
	require(ioctl(other, U_DMA_BUF_IOCTL_SET_SYNC, &always) == 0);
	transfer("maintenance: read with sync_mode 5", "maintenance: write with sync_mode 5", other, true);

	begin("maintenance: the first mapping without cache");
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, synced, 0);
	require(at != MAP_FAILED);
	expect({ DEVICE, 0, info.size, BOTH }, { CPU, 0, info.size, BOTH });
	begin("maintenance: and the second");
	require(mmap(NULL, 4096, PROT_READ, MAP_SHARED, synced, 0x2000) != MAP_FAILED);
	compare(NULL, 0);
	transfer("maintenance: read beside a mapping without cache",
		 "maintenance: write beside a mapping without cache", device, true);
	munmap(at, 4096);
	close(synced);
	close(other);
}

static void sync_dmabuf(int fd, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	require(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) == 0);
}

static int export_range(uint64_t offset, uint64_t size)
{
	struct u_dma_buf_export request = { .flags = O_RDWR | O_CLOEXEC, .offset = offset, .size = size };

	require(ioctl(device, U_DMA_BUF_IOCTL_EXPORT, &request) == 0);
	return request.fd;
}

/* For the buffer's own device, attached or not. */
static void test_dmabuf(void)
{
	uint64_t last = info.map_size - 4096;
	int fd = export_range(0x3000, 0x5000), end = export_range(last, 4096);

	begin("maintenance: CPU access to a dma-buf begins, reading");
	sync_dmabuf(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	expect({ CPU, 0x3000, 0x5000, FROM_DEVICE });
	begin("maintenance: and ends");
	sync_dmabuf(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ);
	expect({ DEVICE, 0x3000, 0x5000, FROM_DEVICE });
	begin("maintenance: it begins, writing");
	sync_dmabuf(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE);
	expect({ CPU, 0x3000, 0x5000, TO_DEVICE });
	begin("maintenance: it ends, both");
	sync_dmabuf(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW);
	expect({ DEVICE, 0x3000, 0x5000, BOTH });
	begin("maintenance: the last page of a buffer that ends inside it");
	sync_dmabuf(end, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	expect({ DEVICE, last, 4096, TO_DEVICE });
	close(fd);
	close(end);
}

/* The importer is not coherent itself. */
static void test_importer(void)
{
	int fd = export_range(0x3000, 0x5000), importer = open("/dev/udb-importer", O_RDWR);
	char text[16];

	require(importer >= 0);
	snprintf(text, sizeof(text), "%d", fd);
	begin("maintenance: another device imports it");
	require(write(importer, text, strlen(text)) > 0);
	expect({ DEVICE, 0x3000, 0x5000, BOTH });
	begin("maintenance: CPU access is for both devices");
	sync_dmabuf(fd, DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ);
	expect({ CPU, 0x3000, 0x5000, FROM_DEVICE }, { CPU, 0x3000, 0x5000, FROM_DEVICE });
	begin("maintenance: and so is its end");
	sync_dmabuf(fd, DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE);
	expect({ DEVICE, 0x3000, 0x5000, TO_DEVICE }, { DEVICE, 0x3000, 0x5000, TO_DEVICE });
	begin("maintenance: the import ends");
	close(importer);
	expect({ CPU, 0x3000, 0x5000, BOTH });
	close(fd);
}

int main(int argc, char **argv)
{
	require(argc == 3);
	path = argv[1];
	coherent = strcmp(argv[2], "coherent") == 0;
	device = reopen(O_RDWR);
	require(ioctl(device, U_DMA_BUF_IOCTL_GET_BUFFER, &info) == 0);
	probes_begin();
	test_commands();
	test_ranges();
	test_read_write();
	test_dmabuf();
	if (!coherent)
		test_importer();
	probes_end();
	return check_done();
}
