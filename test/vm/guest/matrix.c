// SPDX-License-Identifier: MIT
/*
 * matrix DEVICE BLOCKDEV NAME EXPECTED...: what a mapping of DEVICE can do,
 * one word per column, printed as a row of a table and compared.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"
#include "uring.h"

#define BYTES	(64 << 10)
#define WORD	100		/* the futex: a word in the second page */

static int device, block;
static char *map;
static uint64_t phys;

static const char *answer(int result)
{
	return result == 0 ? "ok" : result < 0 ? strerrorname_np(-result) : "wrong";
}

static int of_errno(long result)
{
	return result < 0 ? -errno : 0;
}

static const char *pagemap(void)
{
	uint64_t entry = 0;
	int i, fd = open("/proc/self/pagemap", O_RDONLY);

	require(fd >= 0);
	for (i = 0; i < BYTES / 4096; i++) {
		((volatile char *)map)[i * 4096] = 1;
		require(pread(fd, &entry, 8, ((uintptr_t)map >> 12) * 8 + i * 8) == 8);
		if ((entry & ((1ULL << 55) - 1)) != (phys >> 12) + i)
			break;
	}
	close(fd);
	return i == BYTES / 4096 ? "ok" : i == 0 && !(entry >> 56) ? "none" : "wrong";
}

static pid_t fork_child(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	require(child >= 0);
	return child;
}

/* A child ends with the answer: 0 is well, else an error or, for other bytes than there should be, WRONG. */
#define WRONG	200

static const char *answer_of(int status)
{
	if (!WIFEXITED(status))
		return "killed";
	return WEXITSTATUS(status) == WRONG ? "wrong" : answer(-WEXITSTATUS(status));
}

static const char *child_answer(pid_t child)
{
	int status;

	require(waitpid(child, &status, 0) == child);
	return answer_of(status);
}

/* A wait with another value: EAGAIN says that the kernel found the word. */
static const char *futex(int flag)
{
	uint32_t *word = (uint32_t *)(map + 4096) + WORD;

	*word = 1;
	if (syscall(SYS_futex, word, FUTEX_WAIT | flag, 2, NULL, NULL, 0) == 0)
		return "wrong";
	return errno == EAGAIN ? "ok" : strerrorname_np(errno);
}

/* Another process sleeps on the word through another mapping at another address. */
static const char *futex_between_processes(void)
{
	volatile uint32_t *word = (uint32_t *)(map + 4096) + WORD;
	const char *failure = NULL, *answered;
	int status;
	pid_t child;

	*word = 1;
	child = fork_child();
	if (!child) {
		int fd = open("/dev/udmabuf0", O_RDWR);
		char *own = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
		uint32_t *mine = (uint32_t *)own + WORD;

		if (own == MAP_FAILED || own == map)
			_exit(WRONG);
		while (__atomic_load_n(mine, __ATOMIC_ACQUIRE) == 1)
			if (syscall(SYS_futex, mine, FUTEX_WAIT, 1, NULL, NULL, 0) &&
			    errno != EAGAIN && errno != EINTR)
				_exit(errno);
		_exit(*mine == 2 ? 0 : WRONG);
	}
	/* Woken while asleep, else the wait would prove nothing. */
	for (;;) {
		long woken = syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);

		if (woken == 1)
			break;
		if (woken < 0) {
			failure = strerrorname_np(errno);
			kill(child, SIGKILL);
			break;
		}
		if (waitpid(child, &status, WNOHANG) == child)
			return answer_of(status);
		usleep(1000);
	}
	*word = 2;
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	answered = child_answer(child);
	return failure ? failure : answered;
}

/* Through the block device and back by another buffer. */
static const char *direct_read(void)
{
	static char __attribute__((aligned(4096))) data[4096];
	int result;

	memset(data, 0x31, sizeof(data));
	require(pwrite(block, data, sizeof(data), 0) == sizeof(data));
	memset(map, 0, 4096);
	result = of_errno(pread(block, map, 4096, 0));
	return result ? answer(result) : memcmp(map, data, 4096) ? "wrong" : "ok";
}

static const char *direct_write(void)
{
	static char __attribute__((aligned(4096))) data[4096];
	int result;

	memset(map, 0x32, 4096);
	result = of_errno(pwrite(block, map, 4096, 4096));
	if (result)
		return answer(result);
	require(pread(block, data, sizeof(data), 4096) == sizeof(data));
	return memcmp(map, data, 4096) ? "wrong" : "ok";
}

static const char *splice_out(void)
{
	struct iovec vector = { map, 4096 };
	static char data[4096];
	int ends[2], result;

	require(pipe(ends) == 0);
	memset(map, 0x33, 4096);
	result = of_errno(vmsplice(ends[1], &vector, 1, 0));
	if (!result)
		require(read(ends[0], data, 4096) == 4096);
	close(ends[0]);
	close(ends[1]);
	return result ? answer(result) : memcmp(map, data, 4096) ? "wrong" : "ok";
}

static int other_process_reads(void)
{
	static char data[4096];
	struct iovec local = { data, 4096 }, remote = { map, 4096 };

	memset(map, 0x34, 4096);
	if (process_vm_readv(getppid(), &local, 1, &remote, 1, 0) != 4096)
		return errno;
	return memcmp(map, data, 4096) ? WRONG : 0;
}

/* Run in a child, because a process may always read its own memory. */
static const char *process_vm(void)
{
	pid_t child = fork_child();

	if (!child)
		_exit(other_process_reads());
	return child_answer(child);
}

static const char *uring_plain(void)
{
	static char data[4096];
	struct uring ring;
	int ends[2], result;

	uring_open(&ring);
	require(pipe(ends) == 0);
	memset(map, 0x35, 4096);
	result = uring_transfer(&ring, IORING_OP_WRITE, ends[1], map, 4096);
	if (result == 4096) {
		memset(map, 0, 4096);
		result = uring_transfer(&ring, IORING_OP_READ, ends[0], map, 4096);
	}
	close(ring.fd);
	close(ends[0]);
	close(ends[1]);
	memset(data, 0x35, 4096);
	return result != 4096 ? answer(result) : memcmp(map, data, 4096) ? "wrong" : "ok";
}

/*
 * A pin of CMA memory used to keep the caller in the kernel for ever: a child
 * does it, with a limit on its processor time.
 */
static const char *uring_registered(void)
{
	int status;
	pid_t child = fork_child();

	if (!child) {
		struct uring ring;

		uring_open(&ring);
		_exit(-uring_register(&ring, map, BYTES));
	}
	for (int i = 0; i < 2000; i++) {
		if (waitpid(child, &status, WNOHANG) == child)
			return answer_of(status);
		usleep(1000);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return "spins";
}

static const char *two_processes(void)
{
	const char *seen;
	pid_t child;

	map[12345] = 1;
	child = fork_child();
	if (!child) {
		int fd = open("/dev/udmabuf0", O_RDWR);
		char *own = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (own == MAP_FAILED || own[12345] != 1)
			_exit(WRONG);
		own[12345] = 2;
		_exit(0);
	}
	seen = child_answer(child);
	return map[12345] == 2 ? seen : "wrong";
}

int main(int argc, char **argv)
{
	static const char * const columns[] = {
		"pagemap", "futex-private", "futex-shared", "futex-processes", "O_DIRECT-read",
		"O_DIRECT-write", "vmsplice", "process_vm", "io_uring", "io_uring-registered",
		"two-processes",
	};
	enum { COUNT = sizeof(columns) / sizeof(columns[0]) };
	struct u_dma_buf_buffer info;
	const char *seen[COUNT];
	char name[100];

	require(argc == 4 + COUNT);
	device = open(argv[1], O_RDWR);
	block = open(argv[2], O_RDWR | O_DIRECT);
	require(device >= 0 && block >= 0);
	require(ioctl(device, U_DMA_BUF_IOCTL_GET_BUFFER, &info) == 0);
	phys = info.cpu_phys_addr;
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
	require(map != MAP_FAILED);

	seen[0] = pagemap();
	seen[1] = futex(FUTEX_PRIVATE_FLAG);
	seen[2] = futex(0);
	seen[3] = futex_between_processes();
	seen[4] = direct_read();
	seen[5] = direct_write();
	seen[6] = splice_out();
	seen[7] = process_vm();
	seen[8] = uring_plain();
	seen[9] = uring_registered();
	seen[10] = two_processes();

	printf("matrix | %s", argv[3]);
	for (int i = 0; i < COUNT; i++)
		printf(" | %s", seen[i]);
	printf(" |\n");
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "matrix %s: %s", argv[3], columns[i]);
		check(strcmp(seen[i], argv[4 + i]) == 0, name, "%s, expected %s", seen[i], argv[4 + i]);
	}
	return check_done();
}
