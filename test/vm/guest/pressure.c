// SPDX-License-Identifier: MIT
/*
 * pressure DEVICE SECONDS: at least so long, and until the kernel's own counter tells of
 * it, the kernel is short of memory, moves pages together and is told to give up the
 * mapping's; a child is killed in the middle of its stores.  The buffer's bytes and
 * frames must stay as they are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define PAGE	4096UL
#define CHUNK	(8UL << 20)
#define SPARE	(96UL << 20)
#define PATIENCE	60		/* seconds */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static uint64_t size;
static volatile uint64_t *map;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static uint64_t available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long long kib = 0;
	char line[100];

	require(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "MemAvailable: %llu", &kib);
	fclose(file);
	return kib << 10;
}

/* Pages that the kernel looked at to move them. */
static uint64_t scanned_to_move(void)
{
	FILE *file = fopen("/proc/vmstat", "r");
	unsigned long long value = 0;
	char line[100];

	require(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "compact_migrate_scanned %llu", &value);
	fclose(file);
	return value;
}

/* Takes nearly all there is and gives it back, until killed. */
static void squeeze(void)
{
	write_file("/proc/self/oom_score_adj", "1000");
	for (;;) {
		char *chunks[512];
		int count = 0;

		while (count < 512 && available_bytes() > SPARE) {
			chunks[count] = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
			if (chunks[count] == MAP_FAILED)
				break;
			count++;
		}
		write_file("/proc/sys/vm/compact_memory", "1");
		write_file("/proc/sys/vm/drop_caches", "3");
		/* Every other one, so that there is something to move. */
		for (int i = 0; i < count; i += 2)
			munmap(chunks[i], CHUNK);
		write_file("/proc/sys/vm/compact_memory", "1");
		for (int i = 1; i < count; i += 2)
			munmap(chunks[i], CHUNK);
	}
}

/* Stores into the last page only, until killed. */
static void scribble(void)
{
	volatile uint64_t *last = map + (size - PAGE) / 8;

	for (uint64_t i = 0;; i++)
		last[i % (PAGE / 8)] = i;
}

static pid_t start(void (*work)(void))
{
	pid_t child = fork();

	require(child >= 0);
	if (!child)
		work();
	return child;
}

/* Return: was it still at work? */
static bool stop(pid_t child)
{
	int status;
	bool alive = waitpid(child, &status, WNOHANG) == 0;

	if (alive) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	return alive;
}

static uint64_t frame_of(int pagemap, uint64_t page)
{
	uint64_t entry = 0;

	/* Touched first: a page that was given up comes back by a fault. */
	(void)map[page * PAGE / 8];
	require(pread(pagemap, &entry, 8, ((uintptr_t)map / PAGE + page) * 8) == 8);
	return entry & ((1ULL << 55) - 1);
}

static uint64_t pattern(uint64_t word)
{
	return word * 0x9E3779B97F4A7C15ULL + 1;
}

int main(int argc, char **argv)
{
	static const int advice[] = { MADV_COLD, MADV_PAGEOUT, MADV_COLLAPSE, MADV_DONTNEED, MADV_REMOVE };
	uint64_t bad_words = 0, bad_frames = 0, pages, words;
	int fd = open(argv[1], O_RDWR), pagemap = open("/proc/self/pagemap", O_RDONLY), rounds = 0, scribbled = 0;
	struct u_dma_buf_buffer facts;
	uint64_t scanned = scanned_to_move();
	pid_t squeezer, scribbler;
	bool squeezed;
	time_t end;

	require(argc == 3 && fd >= 0 && pagemap >= 0);
	require(ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &facts) == 0);
	size = facts.size;
	pages = size / PAGE;
	words = (size - PAGE) / 8;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(map != MAP_FAILED);
	for (uint64_t i = 0; i < words; i++)
		map[i] = pattern(i);

	squeezer = start(squeeze);
	end = time(NULL) + atoi(argv[2]);
	/* A busy machine takes its time; one that never gets there fails below. */
	while (time(NULL) < end || (time(NULL) < end + PATIENCE && scanned_to_move() == scanned)) {
		scribbler = start(scribble);
		for (size_t i = 0; i < sizeof(advice) / sizeof(advice[0]); i++)
			(void)madvise((void *)map, size, advice[i]);
		for (uint64_t i = 0; i < words; i += 61)
			bad_words += map[i] != pattern(i);
		for (uint64_t page = 0; page < pages; page++)
			bad_frames += frame_of(pagemap, page) != facts.cpu_phys_addr / PAGE + page;
		scribbled += stop(scribbler);
		rounds++;
	}
	squeezed = stop(squeezer);
	for (uint64_t i = 0; i < words; i++)
		bad_words += map[i] != pattern(i);
	check(rounds > 0, "pressure: at least one round", "none");
	check_u64("pressure: each round had a child that stored", scribbled, rounds);
	check(squeezed, "pressure: the one who takes the memory was alive to the end", "it was not");
	check(scanned_to_move() > scanned, "pressure: the kernel looked for pages to move", "it did not");
	check_u64("pressure: every word is as it was", bad_words, 0);
	check_u64("pressure: every frame is where it was", bad_frames, 0);
	return check_done();
}
