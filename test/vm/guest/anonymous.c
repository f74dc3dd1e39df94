// SPDX-License-Identifier: MIT
/*
 * anonymous [EDU [UNBIND]]: buffers without a name - their life, and the quota of users
 * who are not root.  EDU is the name of a PCI device; with it, and alone, the program
 * makes one for that device, removes the device - or, by the file UNBIND, its driver -
 * and looks what is left.
 *
 * anonymous coherent: tells whether one is.
 * anonymous hold: tells "held" when a descriptor of one is all that it has, and waits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define PARAMETERS	"/sys/module/u_dma_buf/parameters/"
#define USED		"/sys/class/misc/u-dma-buf-anon/used_bytes"
#define PAGE		4096
#define BYTES		(256 << 10)
#define USER		1000

static int node;

static int anonymous(uint64_t size, uint32_t flags)
{
	struct u_dma_buf_anonymous in = { .size = size, .flags = flags, .fd = -1 };

	return ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in) ? -1 : in.fd;
}

static void *map_of(int fd)
{
	void *map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	require(map != MAP_FAILED);
	return map;
}

static void write_file(const char *path, uint64_t value)
{
	int fd = open(path, O_WRONLY);
	char text[32];

	require(fd >= 0);
	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)value);
	require(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static uint64_t used_bytes(void)
{
	int fd = open(USED, O_RDONLY);
	char text[32] = { 0 };

	require(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(text, NULL, 0);
}

static void test_buffer(void)
{
	struct u_dma_buf_export export = { .flags = O_RDWR | O_CLOEXEC, .size = PAGE };
	struct u_dma_buf_buffer facts = { 0 };
	struct u_dma_buf_sync sync = { 0 };
	uint64_t value = 0;
	int fd = anonymous(BYTES, O_RDWR | O_CLOEXEC);
	volatile char *map, *part;
	char text[8] = { 0 };

	check_ok("anonymous: create", fd);
	require(fd >= 0);
	check_u64("anonymous: close-on-exec", fcntl(fd, F_GETFD), FD_CLOEXEC);
	check_ok("anonymous: GET_BUFFER", ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &facts));
	check_u64("anonymous: size", facts.size, BYTES);
	check_u64("anonymous: it says so", facts.flags & U_DMA_BUF_BUFFER_ANONYMOUS,
		  U_DMA_BUF_BUFFER_ANONYMOUS);
	check_ok("anonymous: GET_DMA_ADDR", ioctl(fd, U_DMA_BUF_IOCTL_GET_DMA_ADDR, &value));
	check_u64("anonymous: device address", value, facts.dma_addr);
	check_ok("anonymous: GET_SYNC", ioctl(fd, U_DMA_BUF_IOCTL_GET_SYNC, &sync));
	check_u64("anonymous: sync_size", sync.size, BYTES);
	value = 1;
	check_ok("anonymous: SET_SYNC_FOR_CPU", ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, &value));

	map = map_of(fd);
	check_u64("anonymous: it is zero", map[PAGE] | map[BYTES - 1], 0);
	check_u64("anonymous: pwrite", pwrite(fd, "abcdefg", 8, PAGE), 8);
	check(strcmp((char *)map + PAGE, "abcdefg") == 0, "anonymous: the mapping has its bytes", "others");
	check_u64("anonymous: pread", pread(fd, text, 8, PAGE), 8);
	check_u64("anonymous: lseek", lseek(fd, 0, SEEK_END), BYTES);

	check_ok("anonymous: EXPORT", ioctl(fd, U_DMA_BUF_IOCTL_EXPORT, &export));
	close(fd);
	check_u64("anonymous: the mapping outlives its descriptor", map[PAGE], 'a');
	munmap((void *)map, BYTES);
	part = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, export.fd, 0);
	check_ok("anonymous: its dma-buf outlives both", part == MAP_FAILED ? -1 : 0);
	munmap((void *)part, PAGE);
	close(export.fd);
}

static void test_open_modes(void)
{
	uint32_t bell = 1;
	int fd = anonymous(BYTES, O_RDONLY);
	char byte = 1;

	check_ok("anonymous: read-only", fd);
	check_errno("anonymous: read-only: write", write(fd, &byte, 1), EBADF);
	check_errno("anonymous: read-only: ring", ioctl(fd, U_DMA_BUF_IOCTL_RING, &bell), EACCES);
	check_errno("anonymous: read-only: writable mapping",
		    mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
		    EACCES);
	close(fd);
}

static void test_refusals(void)
{
	struct u_dma_buf_anonymous in = { .size = PAGE, .flags = O_RDWR, .reserved = 1 };

	check_errno("anonymous: size 0", anonymous(0, O_RDWR), EINVAL);
	check_errno("anonymous: more than there is", anonymous(1ULL << 40, O_RDWR), ENOMEM);
	check_errno("anonymous: write-only", anonymous(PAGE, O_WRONLY), EINVAL);
	check_errno("anonymous: an unknown flag", anonymous(PAGE, O_RDWR | O_APPEND), EINVAL);
	check_errno("anonymous: reserved", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in), EINVAL);
	in.reserved = 0;
	strcpy(in.parent, "pci/nothing");
	check_errno("anonymous: for no device", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in), EINVAL);
	memset(in.parent, 'x', sizeof(in.parent));
	check_errno("anonymous: a parent without end", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in),
		    EINVAL);
	check_errno("anonymous: from nowhere", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, 8UL), EFAULT);
}

static void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	require(sendmsg(socket, &message, 0) == 1);
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fd;

	require(recvmsg(socket, &message, 0) == 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* The maker dies; the memory lives on with the one who was given it. */
static void test_handed_over(void)
{
	int sockets[2], status, fd;
	volatile char *map;
	pid_t child;

	require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
	child = fork();
	require(child >= 0);
	if (!child) {
		fd = anonymous(BYTES, O_RDWR);
		map = map_of(fd);
		map[PAGE] = 77;
		send_fd(sockets[1], fd);
		kill(getpid(), SIGKILL);
	}
	fd = receive_fd(sockets[0]);
	waitpid(child, &status, 0);
	map = map_of(fd);
	check_u64("anonymous: handed over by SCM_RIGHTS, its maker killed", map[PAGE], 77);
	munmap((void *)map, BYTES);
	close(fd);
	close(sockets[0]);
	close(sockets[1]);
}

/* The device of those that name none, by its name: no lock of it is left. */
static void test_own_device(void)
{
	struct u_dma_buf_anonymous in = { .size = BYTES, .flags = O_RDWR, .parent = "u-dma-buf-anon" };

#ifdef __x86_64__
	for (int i = 0; i < 2; i++) {
		check_ok("anonymous: for the module's own device", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in));
		close(in.fd);
	}
#else
	check_errno("anonymous: for a device without driver", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in), ENODEV);
#endif
}

static void become(int user)
{
	require(setgid(user) == 0 && setuid(user) == 0);
}

/* Runs the steps as a user in a child; the checks are counted by its exit status. */
static void as_user(int user, void (*steps)(void))
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	require(child >= 0);
	if (!child) {
		check_failures = 0;
		become(user);
		steps();
		exit(check_failures);
	}
	waitpid(child, &status, 0);
	check(WIFEXITED(status), "quota: a user's steps came to their end", "status 0x%x", status);
	if (WIFEXITED(status))
		check_failures += WEXITSTATUS(status);
}

static void without_quota(void)
{
	struct u_dma_buf_adopt in = { .size = PAGE, .source_fd = 0 };

	check_errno("quota: none by default", anonymous(PAGE, O_RDWR), EPERM);
	check_errno("quota: nor adoption", ioctl(node, U_DMA_BUF_IOCTL_ADOPT, &in), EPERM);
	check_errno("quota: the node is root's", open("/dev/u-dma-buf-anon", O_RDWR), EACCES);
	check_errno("quota: so is the manager's", open("/dev/u-dma-buf-mgr", O_RDWR), EACCES);
}

static void within_quota(void)
{
	struct u_dma_buf_anonymous in = { .size = PAGE, .flags = O_RDWR, .parent = "platform/x" };
	struct u_dma_buf_export export = { .flags = O_RDWR };
	int first = anonymous(BYTES, O_RDWR), second = anonymous(BYTES - 100, O_RDWR);
	volatile char *map;

	check_ok("quota: what it allows", first);
	check_ok("quota: all that it allows", second);
	check_u64("quota: whole pages are charged", used_bytes(), 2 * BYTES);
	check_errno("quota: a page too many", anonymous(PAGE, O_RDWR), EDQUOT);
	check_errno("quota: a size that no sum may wrap by", anonymous(1ULL << 62, O_RDWR), EDQUOT);
	check_errno("quota: a parent is for root", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in), EPERM);

	map = map_of(second);
	require(ioctl(second, U_DMA_BUF_IOCTL_EXPORT, &export) == 0);
	close(second);
	check_errno("quota: a mapping is charged", anonymous(PAGE, O_RDWR), EDQUOT);
	munmap((void *)map, BYTES);
	check_errno("quota: a dma-buf is charged", anonymous(PAGE, O_RDWR), EDQUOT);
	close(export.fd);
	check_u64("quota: the last user of one returns it", used_bytes(), BYTES);
	close(first);
	check_u64("quota: all is returned, once", used_bytes(), 0);

	for (int i = 0; i < 50; i++)
		close(anonymous(BYTES, O_RDWR));
	check_u64("quota: 50 times charged and returned", used_bytes(), 0);
	check_errno("quota: a failure charges nothing", anonymous(3 * BYTES, O_RDWR), EDQUOT);
	check_u64("quota: nothing is charged", used_bytes(), 0);
	/* The exit of this process returns what it still has. */
	require(anonymous(BYTES, O_RDWR) >= 0);
}

static void another_user(void)
{
	check_ok("quota: another user has a part of its own", anonymous(BYTES, O_RDWR));
	check_u64("quota: the sum of both", used_bytes(), 2 * BYTES);
}

static void both_users(void)
{
	int status, ends[2];
	char byte = 0;
	pid_t child;

	require(pipe(ends) == 0);
	fflush(stdout);
	child = fork();
	require(child >= 0);
	if (!child) {
		become(USER);
		require(anonymous(BYTES, O_RDWR) >= 0);
		require(write(ends[1], &byte, 1) == 1);
		pause();
	}
	require(read(ends[0], &byte, 1) == 1);
	as_user(USER + 1, another_user);
	check_u64("quota: the part of a process that ended", used_bytes(), BYTES);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	check_u64("quota: SIGKILL returns it, too", used_bytes(), 0);
}

static void only_user_limit(void)
{
	int fd = anonymous(BYTES, O_RDWR);

	check_ok("quota: one user's part", fd);
	check_errno("quota: more than one user's part", anonymous(PAGE, O_RDWR), EDQUOT);
	close(fd);
}

static void test_quota(void)
{
	as_user(USER, without_quota);
	write_file(PARAMETERS "anonymous_total", 2 * BYTES);
	as_user(USER, within_quota);
	check_u64("quota: exit returns all", used_bytes(), 0);
	write_file(PARAMETERS "anonymous_per_user", BYTES);
	as_user(USER, only_user_limit);
	both_users();
	close(anonymous(4 * BYTES, O_RDWR));
	check_ok("quota: root is not limited", anonymous(4 * BYTES, O_RDWR | O_CLOEXEC));
	check_u64("quota: nor charged", used_bytes(), 0);
	write_file(PARAMETERS "anonymous_total", 0);
	write_file(PARAMETERS "anonymous_per_user", 0);
}

/* For a device of the machine, which then goes; or its driver does, by the file @unbind. */
static void test_parent(const char *edu, const char *unbind)
{
	struct u_dma_buf_anonymous in = { .size = BYTES, .flags = O_RDWR };
	struct u_dma_buf_buffer facts = { 0 };
	volatile char *map;
	const char *text;
	char path[200];
	uint64_t addr;
	int fd;

	snprintf(in.parent, sizeof(in.parent), "pci/%s", edu);
	check_ok("anonymous: for a device", ioctl(node, U_DMA_BUF_IOCTL_ANONYMOUS, &in));
	map = map_of(in.fd);
	map[0] = 42;
	check_ok("anonymous: its address for it", ioctl(in.fd, U_DMA_BUF_IOCTL_GET_DMA_ADDR, &addr));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", edu);
	text = unbind ? edu : "1";
	fd = open(unbind ? unbind : path, O_WRONLY);
	require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	check_errno("anonymous: no address when the device is gone",
		    ioctl(in.fd, U_DMA_BUF_IOCTL_GET_DMA_ADDR, &addr), ENODEV);
	check_ok("anonymous: GET_BUFFER then", ioctl(in.fd, U_DMA_BUF_IOCTL_GET_BUFFER, &facts));
	check_u64("anonymous: it says that the device is gone",
		  facts.flags & U_DMA_BUF_BUFFER_NO_DEVICE, U_DMA_BUF_BUFFER_NO_DEVICE);
	check_u64("anonymous: the memory is there", map[0], 42);
}

/* What the parameter anonymous_coherent made of it. */
static void tell_coherent(void)
{
	struct u_dma_buf_buffer facts = { 0 };
	int fd = anonymous(BYTES, O_RDWR);

	require(fd >= 0 && ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &facts) == 0);
	printf("%s\n", facts.flags & U_DMA_BUF_BUFFER_COHERENT ? "coherent" : "not coherent");
	exit(0);
}

static void hold(void)
{
	require(anonymous(BYTES, O_RDWR) >= 0);
	close(node);
	printf("held\n");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	node = open("/dev/u-dma-buf-anon", O_RDWR | O_CLOEXEC);
	require(node >= 0);
	if (argc == 2 && strcmp(argv[1], "hold") == 0)
		hold();
	if (argc == 2 && strcmp(argv[1], "coherent") == 0)
		tell_coherent();
	if (argc >= 2) {
		test_parent(argv[1], argv[2]);
		return check_done();
	}
	test_buffer();
	test_open_modes();
	test_refusals();
	test_handed_over();
	test_own_device();
	test_quota();
	return check_done();
}
