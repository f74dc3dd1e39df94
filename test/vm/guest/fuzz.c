// SPDX-License-Identifier: MIT
/*
 * fuzz SECONDS SEED: threads throw random commands, sizes, offsets and pointers
 * at udmabuf0, memory without a name, adopted memory and the manager by every entry
 * they have, while devices come and go.  Nothing is compared: the kernel has to
 * survive, which its log tells.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define THREADS		4
#define FILES		4
#define MAPS		4
#define DRIVER		"/sys/bus/platform/drivers/u-dma-buf/"
#define CLASS		"/sys/class/u-dma-buf/udmabuf0/"

static atomic_bool stop;
static int anon_node, manager;
static atomic_ulong calls, successes;

struct fuzzer {
	pthread_t thread;
	uint64_t state;
	int files[FILES];
	void *maps[MAPS];
	size_t lengths[MAPS];
};

/* xorshift64*: a seed replays a thread, though not the interleaving. */
static uint64_t draw(struct fuzzer *f)
{
	f->state ^= f->state >> 12;
	f->state ^= f->state << 25;
	f->state ^= f->state >> 27;
	return f->state * 0x2545F4914F6CDD1DULL;
}

/* Small, around the size of the buffer, around the ends of the type, or any. */
static uint64_t number(struct fuzzer *f)
{
	uint64_t r = draw(f);

	switch (draw(f) % 6) {
	case 0: return r % 16;
	case 1: return r % 65536 & ~4095ULL;
	case 2: return (1 << 20) + r % 8192 - 4096;
	case 3: return 0 - r % 8192;
	case 4: return (1ULL << 32) + r % 8192 - 4096;
	default: return r;
	}
}

static void count(struct fuzzer *f, long result)
{
	(void)f;
	atomic_fetch_add(&calls, 1);
	if (result >= 0)
		atomic_fetch_add(&successes, 1);
}

static void fuzz_ioctl(struct fuzzer *f, int fd)
{
	static const unsigned int commands[] = {
		U_DMA_BUF_IOCTL_GET_DRV_INFO, U_DMA_BUF_IOCTL_GET_SIZE, U_DMA_BUF_IOCTL_GET_DMA_ADDR,
		U_DMA_BUF_IOCTL_GET_SYNC_OWNER, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU,
		U_DMA_BUF_IOCTL_SET_SYNC_FOR_DEVICE, U_DMA_BUF_IOCTL_GET_DEV_INFO,
		U_DMA_BUF_IOCTL_GET_SYNC, U_DMA_BUF_IOCTL_SET_SYNC, U_DMA_BUF_IOCTL_GET_BUFFER,
		U_DMA_BUF_IOCTL_RING, U_DMA_BUF_IOCTL_LISTEN, U_DMA_BUF_IOCTL_TAKE,
		U_DMA_BUF_IOCTL_EVENTFD, U_DMA_BUF_IOCTL_GET_SEGMENTS,
	};
	const unsigned int kinds = sizeof(commands) / sizeof(commands[0]);
	uint64_t words[16];

	for (int i = 0; i < 16; i++)
		words[i] = number(f);
	if (draw(f) % 8 == 0)
		count(f, ioctl(fd, draw(f), words));
	else if (draw(f) % 8 == 0)
		count(f, ioctl(fd, commands[draw(f) % kinds], (void *)number(f)));
	else
		count(f, ioctl(fd, commands[draw(f) % kinds], words));
}

static void fuzz_ranges(struct fuzzer *f, int fd)
{
	struct u_dma_buf_range ranges[8];
	struct u_dma_buf_sync_ranges sync = {
		.ranges = draw(f) % 8 ? (uintptr_t)ranges : number(f),
		.count = draw(f) % 8 ? draw(f) % 9 : number(f),
		.command = draw(f) % 5, .direction = draw(f) % 4, .reserved = draw(f) % 16 == 0,
	};

	for (int i = 0; i < 8; i++)
		ranges[i] = (struct u_dma_buf_range){ number(f), number(f) };
	count(f, ioctl(fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &sync));
}

static void fuzz_export(struct fuzzer *f, int fd)
{
	struct u_dma_buf_export export = {
		.flags = draw(f) % 4 ? O_RDWR | O_CLOEXEC : number(f),
		.offset = number(f), .size = number(f),
	};
	struct dma_buf_sync sync = { .flags = draw(f) % 8 };
	void *at;

	if (ioctl(fd, U_DMA_BUF_IOCTL_EXPORT, &export)) {
		count(f, -1);
		return;
	}
	count(f, ioctl(export.fd, DMA_BUF_IOCTL_SYNC, &sync));
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, number(f) & ~4095ULL);
	if (at != MAP_FAILED) {
		*(volatile char *)at = 1;
		munmap(at, 4096);
	}
	close(export.fd);
}

static void fuzz_map(struct fuzzer *f, int fd)
{
	int slot = draw(f) % MAPS;
	void *at;

	if (f->maps[slot]) {
		((volatile char *)f->maps[slot])[draw(f) % f->lengths[slot]]++;
		if (draw(f) % 2)
			count(f, madvise(f->maps[slot], f->lengths[slot], draw(f) % 22));
		munmap(f->maps[slot], f->lengths[slot]);
		f->maps[slot] = NULL;
		return;
	}
	f->lengths[slot] = (draw(f) % 256 + 1) * 4096;
	at = mmap(NULL, f->lengths[slot], PROT_READ | PROT_WRITE,
		  draw(f) % 8 ? MAP_SHARED : MAP_PRIVATE, fd, number(f) & ~4095ULL);
	count(f, at == MAP_FAILED ? -1 : 0);
	if (at != MAP_FAILED)
		f->maps[slot] = at;
}

static void fuzz_transfer(struct fuzzer *f, int fd)
{
	char data[9000];
	void *memory = draw(f) % 8 ? data : (void *)number(f);
	size_t bytes = draw(f) % sizeof(data);

	if (draw(f) % 2)
		count(f, pread(fd, memory, bytes, number(f)));
	else
		count(f, pwrite(fd, memory, bytes, number(f)));
	count(f, lseek(fd, number(f), draw(f) % 5));
}

static void fuzz_sysfs(struct fuzzer *f)
{
	static const char * const names[] = {
		"sync_mode", "sync_direction", "sync_offset", "sync_size", "sync_for_cpu",
		"sync_for_device", "phys_addr", "instance_id", "sync_owner", "memory",
	};
	char path[100], text[64];
	int fd;

	snprintf(path, sizeof(path), CLASS "%s", names[draw(f) % 10]);
	fd = open(path, O_RDWR);
	if (fd < 0)
		fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	snprintf(text, sizeof(text), "0x%llx\n", (unsigned long long)number(f));
	count(f, write(fd, text, strlen(text)));
	count(f, pread(fd, text, sizeof(text), 0));
	close(fd);
}

/* Rings, sleepers of a millisecond, eventfds that come and go. */
static void fuzz_doorbell(struct fuzzer *f, int fd)
{
	uint32_t mask = draw(f) % 4 ? draw(f) % (1 << 16) : number(f);
	struct u_dma_buf_eventfd in = { .doorbell = draw(f) % 18 };
	struct pollfd p = { .fd = fd, .events = draw(f) };
	struct epoll_event event = { .events = draw(f) };
	struct u_dma_buf_rings rings;
	int other;

	switch (draw(f) % 7) {
	case 0: count(f, ioctl(fd, U_DMA_BUF_IOCTL_LISTEN, &mask)); break;
	case 1: count(f, ioctl(fd, U_DMA_BUF_IOCTL_TAKE, &rings)); break;
	case 2:
		in.fd = draw(f) % 4 ? eventfd(0, EFD_NONBLOCK) : (int)(draw(f) % 40) - 2;
		count(f, ioctl(fd, U_DMA_BUF_IOCTL_EVENTFD, &in));
		/* Only a fresh one is ours to close; the doorbell keeps it. */
		if (in.fd >= 40)
			close(in.fd);
		break;
	case 3: count(f, poll(&p, 1, 1)); break;
	case 4:
		other = epoll_create1(0);
		count(f, epoll_ctl(other, EPOLL_CTL_ADD, fd, &event));
		epoll_wait(other, &event, 1, draw(f) % 2);
		close(other);
		break;
	default: count(f, ioctl(fd, U_DMA_BUF_IOCTL_RING, &mask)); break;
	}
}

static void random_parent(struct fuzzer *f, char *parent)
{
	static const char * const names[] = {
		"", "", "", "platform/u-dma-buf.0", "u-dma-buf-anon", "pci/0000:00:00.0", "x/y", "/",
	};

	strcpy(parent, names[draw(f) % 8]);
	if (draw(f) % 32 == 0)
		memset(parent, 'x', U_DMA_BUF_NAME_BYTES);
}

static int fuzz_anonymous(struct fuzzer *f)
{
	struct u_dma_buf_anonymous in = {
		.size = number(f), .mmap_mode = draw(f) % 7, .reserved = draw(f) % 32 == 0,
		.flags = draw(f) % 8 ? O_RDWR | O_CLOEXEC : number(f), .fd = -1,
	};

	random_parent(f, in.parent);
	count(f, ioctl(anon_node, U_DMA_BUF_IOCTL_ANONYMOUS, draw(f) % 32 ? &in : (void *)number(f)));
	return in.fd;
}

static int fuzz_adopt(struct fuzzer *f, int fd)
{
	struct u_dma_buf_adopt in = {
		.offset = number(f), .size = number(f), .flags = draw(f) % 8 ? O_CLOEXEC : number(f),
		.fd = -1,
	};
	int memory = memfd_create("fuzz", MFD_ALLOW_SEALING);

	if (ftruncate(memory, 128 << 10))
		return -1;
	in.source_fd = draw(f) % 8 ? memory : fd;
	if (draw(f) % 2) {
		in.offset = draw(f) % 16 * 4096;
		in.size = (draw(f) % 16 + 1) * 4096;
	}
	random_parent(f, in.parent);
	count(f, ioctl(anon_node, U_DMA_BUF_IOCTL_ADOPT, draw(f) % 32 ? &in : (void *)number(f)));
	if (draw(f) % 4 == 0)
		count(f, ftruncate(memory, number(f) % (128 << 10)));
	close(memory);
	return in.fd;
}

/* Commands of words that mostly fit, or of any characters, several in a write. */
static void fuzz_text(struct fuzzer *f)
{
	static const char * const words[] = {
		"create", "create", "create", "delete", "delete", "fuzz0", "fuzz1", "fuzz2", "4096", "65536",
		"size=0x8000", "bus=platform", "bus=pci", "device=u-dma-buf-anon", "device=0000:00:00.0",
		"dma-mask=40", "dma-mask=99", "quirk-mmap-on", "quirk-mmap-page", "", "a/b", "-1",
	};
	static const char ends[] = "  \t\n;";
	char text[1100];
	size_t length = 0, limit = draw(f) % 16 ? 120 : sizeof(text);

	if (draw(f) % 2)
		length = sprintf(text, draw(f) % 2 ? "create fuzz%d %d;" : "delete fuzz%d%.0d\n",
				 (int)(draw(f) % 3), (int)(draw(f) % (128 << 10)));
	while (length + 32 < limit && draw(f) % 8) {
		length += sprintf(text + length, "%s", words[draw(f) % (sizeof(words) / sizeof(words[0]))]);
		text[length++] = ends[draw(f) % sizeof(ends)];
		if (draw(f) % 32 == 0)
			text[length++] = draw(f);
	}
	count(f, write(manager, draw(f) % 32 ? text : (void *)number(f), length));
}

/* A few names, so that threads meet at them. */
static void fuzz_manager(struct fuzzer *f)
{
	struct u_dma_buf_create create = {
		.size = number(f) % (256 << 10), .dma_mask_bits = draw(f) % 4 ? 0 : draw(f) % 80,
		.mmap_mode = draw(f) % 7, .flags = draw(f) % 5, .reserved = draw(f) % 32 == 0,
	};
	struct u_dma_buf_delete delete = { 0 };

	if (draw(f) % 3 == 0) {
		fuzz_text(f);
		return;
	}
	snprintf(create.name, sizeof(create.name), "fuzz%d", (int)(draw(f) % 3));
	strcpy(delete.name, create.name);
	random_parent(f, create.parent);
	if (draw(f) % 2)
		count(f, ioctl(manager, U_DMA_BUF_IOCTL_CREATE, &create));
	else
		count(f, ioctl(manager, U_DMA_BUF_IOCTL_DELETE, &delete));
}

static void fuzz_open(struct fuzzer *f, int *fd)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR };
	int old = *fd;

	switch (draw(f) % 8) {
	case 0: case 1: *fd = fuzz_anonymous(f); break;
	case 2: *fd = fuzz_adopt(f, old); break;
	}
	if (*fd != old) {
		close(old);
		return;
	}
	if (*fd >= 0)
		close(*fd);
	*fd = open(draw(f) % 8 ? "/dev/udmabuf0" : "/dev/fuzz0", modes[draw(f) % 4] | (draw(f) % 4 ? 0 : O_SYNC));
	count(f, *fd);
}

static void *fuzz(void *argument)
{
	struct fuzzer *f = argument;

	for (int i = 0; i < FILES; i++)
		f->files[i] = -1;
	while (!atomic_load(&stop)) {
		int *fd = &f->files[draw(f) % FILES];

		switch (*fd < 0 ? 0 : draw(f) % 20) {
		case 0: fuzz_open(f, fd); break;
		case 1: case 2: case 3: case 4: fuzz_map(f, *fd); break;
		case 5: case 6: fuzz_transfer(f, *fd); break;
		case 7: case 8: fuzz_ranges(f, *fd); break;
		case 9: fuzz_sysfs(f); break;
		case 10: case 11: fuzz_export(f, *fd); break;
		case 12: fuzz_manager(f); break;
		case 13: case 14: case 15: fuzz_doorbell(f, *fd); break;
		default: fuzz_ioctl(f, *fd); break;
		}
	}
	return NULL;
}

static void tell(const char *file)
{
	int fd = open(file, O_WRONLY);

	require(fd >= 0);
	/* Either may be the state already. */
	(void)!write(fd, "u-dma-buf.0", 11);
	close(fd);
}

int main(int argc, char **argv)
{
	static struct fuzzer fuzzers[THREADS];
	uint64_t seed;
	time_t end;

	require(argc == 3);
	end = time(NULL) + atoi(argv[1]);
	anon_node = open("/dev/u-dma-buf-anon", O_RDWR);
	manager = open("/dev/u-dma-buf-mgr", O_RDWR);
	require(anon_node >= 0 && manager >= 0);
	seed = strtoull(argv[2], NULL, 0);
	printf("# fuzz: seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < THREADS; i++) {
		fuzzers[i].state = (seed + 1) * 0x9E3779B97F4A7C15ULL + i;
		require(pthread_create(&fuzzers[i].thread, NULL, fuzz, &fuzzers[i]) == 0);
	}
	while (time(NULL) < end) {
		usleep(20000);
		tell(DRIVER "unbind");
		tell(DRIVER "bind");
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(fuzzers[i].thread, NULL);
	printf("# fuzz: %lu calls, %lu succeeded\n", atomic_load(&calls), atomic_load(&successes));
	/* If hardly anything is accepted, hardly anything was tried. */
	check(atomic_load(&successes) * 10 > atomic_load(&calls), "fuzz: a tenth of the calls got through",
	      "%lu of %lu", atomic_load(&successes), atomic_load(&calls));
	return check_done();
}
