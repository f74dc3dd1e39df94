// SPDX-License-Identifier: MIT
/*
 * vma DEVICE pages|pfn: what processes do to mappings - fork, move, cut, forget.
 * The kernel forgets no mapping of bare frames.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PAGE	4096
#define PAGES	32
#define BYTES	(PAGE * PAGES)

static volatile char *map;

static void test_fork(void)
{
	int status;
	pid_t child;

	map[0] = 1;
	child = fork();
	require(child >= 0);
	if (!child) {
		map[1] = map[0] + 1;
		_exit(0);
	}
	waitpid(child, &status, 0);
	check_u64("vma: a child shares the mapping", map[1], 2);
}

static void test_forget(bool has_pages)
{
	int result;

	map[5 * PAGE] = 55;
	result = madvise((void *)map, BYTES, MADV_DONTNEED);
	if (has_pages)
		check_ok("vma: MADV_DONTNEED", result);
	else
		check_errno("vma: MADV_DONTNEED", result, EINVAL);
	check_u64("vma: forgotten pages come back with their bytes", map[5 * PAGE], 55);
}

static void test_cut(int fd)
{
	volatile char *again;

	map[PAGE] = 11;
	map[3 * PAGE] = 33;
	check_ok("vma: unmap one page in the middle", munmap((void *)(map + 2 * PAGE), PAGE));
	check_u64("vma: the page before it", map[PAGE], 11);
	check_u64("vma: the page behind it", map[3 * PAGE], 33);
	again = mmap((void *)(map + 2 * PAGE), PAGE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED, fd, 2 * PAGE);
	check_ok("vma: map it again", again == MAP_FAILED ? -1 : 0);
}

static void test_move(void)
{
	char *moved;

	map[7 * PAGE] = 77;
	moved = mremap((void *)(map + 6 * PAGE), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (char *)map + 2 * BYTES);
	check_ok("vma: move a part", moved == MAP_FAILED ? -1 : 0);
	if (moved != MAP_FAILED)
		check_u64("vma: its bytes moved along", moved[PAGE], 77);
}

static void test_threads_of_faults(int fd)
{
	volatile char *fresh = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int status, sum = 0;
	pid_t children[4];

	require(fresh != MAP_FAILED);
	for (int i = 0; i < 4; i++) {
		children[i] = fork();
		require(children[i] >= 0);
		if (!children[i]) {
			for (int page = 10; page < PAGES; page++)
				__atomic_fetch_add(&fresh[page * PAGE], 1, __ATOMIC_RELAXED);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++)
		waitpid(children[i], &status, 0);
	for (int page = 10; page < PAGES; page++)
		sum += fresh[page * PAGE];
	check_u64("vma: four processes fault the same pages", sum, 4 * (PAGES - 10));
}

/* In mode 2 of u-dma-buf 5.5.0 the store is a BUG() in the kernel. */
static void test_private(int fd)
{
	volatile char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	check_errno("vma: a private mapping", private == MAP_FAILED ? -1 : 0, EINVAL);
	if (private != MAP_FAILED)
		private[0] = 1;
}

int main(int argc, char **argv)
{
	int fd;

	require(argc == 3);
	fd = open(argv[1], O_RDWR);
	require(fd >= 0);
	/* Room behind it for the moved part. */
	map = mmap(NULL, 4 * BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(map != MAP_FAILED);
	map = mmap((void *)map, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	require(map != MAP_FAILED);
	memset((void *)map, 0, BYTES);
	test_private(fd);
	test_fork();
	test_forget(strcmp(argv[2], "pages") == 0);
	test_cut(fd);
	test_threads_of_faults(fd);
	test_move();
	return check_done();
}
