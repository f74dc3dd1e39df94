// SPDX-License-Identifier: MIT
/*
 * doorbell DEVICE: rings, poll, epoll and eventfds of a buffer; two processes that
 * wake each other and must never sleep for ever.
 *
 * doorbell DEVICE sleep WAY: tells "asleep" when another thread or process is about
 * to wait by poll, epoll, or eventfd; ends well when the wait is ended by the removal
 * of the device, which the script around it causes.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define ROUNDS		2000
#define LIMIT_MS	20000
#define PING		3
#define PONG		7

static const char *device;

static int open_device(int flags)
{
	int fd = open(device, flags | O_CLOEXEC);

	require(fd >= 0);
	return fd;
}

static int ring(int fd, uint32_t mask)
{
	return ioctl(fd, U_DMA_BUF_IOCTL_RING, &mask);
}

static int hear(int fd, uint32_t mask)
{
	return ioctl(fd, U_DMA_BUF_IOCTL_LISTEN, &mask);
}

static struct u_dma_buf_rings take(int fd)
{
	struct u_dma_buf_rings rings = { 0 };

	require(ioctl(fd, U_DMA_BUF_IOCTL_TAKE, &rings) == 0);
	return rings;
}

static int poll_events(int fd, int timeout)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	require(poll(&p, 1, timeout) >= 0);
	return p.revents;
}

static void test_rings(void)
{
	int a = open_device(O_RDWR), b = open_device(O_RDWR), deaf = open_device(O_RDONLY);
	struct u_dma_buf_rings rings;

	check_u64("doorbell: an open that does not listen is ready", poll_events(deaf, 0),
		  POLLIN | POLLOUT);
	check_ok("doorbell: ring that nobody hears", ring(b, 1 << PING));
	check_ok("doorbell: LISTEN", hear(a, 1 << PING | 1 << PONG));
	check_u64("doorbell: what was before is not heard", poll_events(a, 0), POLLOUT);
	check_ok("doorbell: ring", ring(b, 1 << PING));
	check_ok("doorbell: ring two", ring(b, 1 << PING | 1 << PONG));
	check_ok("doorbell: ring another", ring(b, 1));
	check_u64("doorbell: a listener is ready", poll_events(a, 0), POLLIN | POLLOUT);
	check_ok("doorbell: LISTEN to the same and one more loses nothing",
		 hear(a, 1 << PING | 1 << PONG | 1 << 15));
	rings = take(a);
	check_u64("doorbell: which rang", rings.pending, 1 << PING | 1 << PONG);
	check_u64("doorbell: how often the first", rings.counts[PING], 2);
	check_u64("doorbell: how often the second", rings.counts[PONG], 1);
	check_u64("doorbell: one not listened to", rings.counts[0], 0);
	check_u64("doorbell: taken is taken", take(a).pending, 0);
	check_u64("doorbell: and not ready any more", poll_events(a, 0), POLLOUT);

	check_ok("doorbell: LISTEN of the ringer itself", hear(b, 1 << PING));
	check_ok("doorbell: its own ring", ring(b, 1 << PING));
	check_u64("doorbell: it hears it", take(b).counts[PING], 1);
	check_u64("doorbell: each open takes for itself", take(a).counts[PING], 1);

	check_errno("doorbell: TAKE to nowhere", ring(a, 1 << PING) ? -1 :
		    ioctl(a, U_DMA_BUF_IOCTL_TAKE, 8UL), EFAULT);
	check_u64("doorbell: nothing was lost by it", take(a).counts[PING], 1);
	check_ok("doorbell: LISTEN to none", hear(a, 0));
	check_u64("doorbell: then always ready", poll_events(a, 0), POLLIN | POLLOUT);
	check_errno("doorbell: RING number 16", ring(a, 1 << 16), EINVAL);
	check_errno("doorbell: LISTEN number 16", hear(a, 1 << 16), EINVAL);
	check_errno("doorbell: RING by a read-only open", ring(deaf, 1), EACCES);
	check_ok("doorbell: LISTEN by a read-only open", hear(deaf, 1));
	close(a);
	close(b);
	close(deaf);
}

static uint64_t read_eventfd(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

static int set_eventfd(int device_fd, uint32_t doorbell, int fd)
{
	struct u_dma_buf_eventfd in = { .doorbell = doorbell, .fd = fd };

	return ioctl(device_fd, U_DMA_BUF_IOCTL_EVENTFD, &in);
}

static void test_eventfd(void)
{
	int a = open_device(O_RDONLY), b = open_device(O_RDWR);
	int first = eventfd(0, EFD_NONBLOCK), second = eventfd(0, EFD_NONBLOCK);

	check_ok("doorbell: EVENTFD", set_eventfd(a, PING, first));
	check_ok("doorbell: three rings", ring(b, 1 << PING) | ring(b, 1 << PING) | ring(b, 3 << PING));
	check_u64("doorbell: the eventfd has three", read_eventfd(first), 3);
	check_ok("doorbell: another EVENTFD in its place", set_eventfd(a, PING, second));
	check_ok("doorbell: ring it", ring(b, 1 << PING));
	check_u64("doorbell: the first has nothing", read_eventfd(first), 0);
	check_u64("doorbell: the second has one", read_eventfd(second), 1);
	check_ok("doorbell: the same one for two doorbells", set_eventfd(a, PONG, second));
	check_ok("doorbell: ring both", ring(b, 1 << PING | 1 << PONG));
	check_u64("doorbell: it has two", read_eventfd(second), 2);
	check_ok("doorbell: EVENTFD none", set_eventfd(a, PING, -1));
	check_ok("doorbell: ring without it", ring(b, 1 << PING));
	check_u64("doorbell: it has nothing", read_eventfd(second), 0);
	check_errno("doorbell: EVENTFD number 16", set_eventfd(a, 16, first), EINVAL);
	check_errno("doorbell: EVENTFD of another file", set_eventfd(a, 0, b), EINVAL);
	check_errno("doorbell: EVENTFD of no file", set_eventfd(a, 0, 999), EBADF);
	close(a);
	check_ok("doorbell: ring after its close", ring(b, 1 << PONG));
	check_u64("doorbell: close removes the eventfd", read_eventfd(second), 0);
	close(b);
	close(first);
	close(second);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

/* The kernel looks once more when the time is over: ready by then is not woken. */
static int woken_poll(struct pollfd *p)
{
	long begin = now_ms();
	int result = poll(p, 1, LIMIT_MS);

	return now_ms() - begin < LIMIT_MS ? result : 0;
}

static void wait_by_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	require(woken_poll(&p) == 1);
}

/*
 * Each side looks at the other's counter in the buffer, and sleeps if there is
 * nothing; the other stores and rings.  A lost wake-up ends it by the limit.
 */
static void play(int fd, volatile uint32_t *mine, volatile uint32_t *other, uint32_t hears,
		 uint32_t rings, bool serve, int epoll)
{
	struct epoll_event event;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		if (serve) {
			__atomic_store_n(mine, round, __ATOMIC_RELEASE);
			require(ring(fd, rings) == 0);
		}
		while (__atomic_load_n(other, __ATOMIC_ACQUIRE) != round) {
			if (epoll >= 0)
				require(epoll_wait(epoll, &event, 1, LIMIT_MS) == 1);
			else
				wait_by_poll(fd);
			require(take(fd).pending == hears);
		}
		if (!serve) {
			__atomic_store_n(mine, round, __ATOMIC_RELEASE);
			require(ring(fd, rings) == 0);
		}
	}
}

/* One side by poll, the other by edge-triggered epoll. */
static void test_ping_pong(void)
{
	int fd = open_device(O_RDWR), status = 0;
	volatile uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t child;

	require(words != MAP_FAILED);
	words[0] = 0;
	words[32] = 0;
	require(hear(fd, 1 << PONG) == 0);
	fflush(stdout);
	child = fork();
	require(child >= 0);
	if (!child) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLET };
		int own = open_device(O_RDWR), epoll = epoll_create1(0);

		require(hear(own, 1 << PING) == 0);
		require(epoll_ctl(epoll, EPOLL_CTL_ADD, own, &event) == 0);
		play(own, words + 32, words, 1 << PING, 1 << PONG, false, epoll);
		_exit(0);
	}
	play(fd, words, words + 32, 1 << PONG, 1 << PING, true, -1);
	waitpid(child, &status, 0);
	check_u64("doorbell: both sides of the game end", status, 0);
	check_u64("doorbell: no wake-up is lost", words[32], ROUNDS);
	munmap((void *)words, 4096);
	close(fd);
}

/* The wait that only the end of the device ends. */
static int sleeper(const char *way)
{
	int fd = open_device(O_RDWR), event = eventfd(0, 0), epoll = epoll_create1(0);
	struct epoll_event what = { .events = EPOLLIN };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t addr;
	int result;

	require(hear(fd, 1) == 0);
	require(set_eventfd(fd, 5, event) == 0);
	require(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &what) == 0);
	printf("asleep\n");
	fflush(stdout);
	if (strcmp(way, "poll") == 0) {
		result = woken_poll(&p);
		check_u64("doorbell: removal ends poll", result, 1);
		check_u64("doorbell: with POLLHUP and POLLERR", p.revents, POLLHUP | POLLERR);
	} else if (strcmp(way, "epoll") == 0) {
		result = epoll_wait(epoll, &what, 1, LIMIT_MS);
		check_u64("doorbell: removal ends epoll_wait", result, 1);
		check_u64("doorbell: with EPOLLHUP and EPOLLERR", what.events, EPOLLHUP | EPOLLERR);
	} else {
		check_u64("doorbell: removal rings the eventfd", read_eventfd(event), 1);
	}
	check_errno("doorbell: it is the device that is gone",
		    ioctl(fd, U_DMA_BUF_IOCTL_GET_DMA_ADDR, &addr), ENODEV);
	check_errno("doorbell: RING then", ring(fd, 1), ENODEV);
	check_errno("doorbell: EVENTFD then", set_eventfd(fd, 6, event), ENODEV);
	check_ok("doorbell: EVENTFD none then", set_eventfd(fd, 5, -1));
	return check_done();
}

int main(int argc, char **argv)
{
	require(argc == 2 || argc == 4);
	device = argv[1];
	if (argc == 4)
		return sleeper(argv[3]);
	test_rings();
	test_eventfd();
	test_ping_pong();
	return check_done();
}
