// SPDX-License-Identifier: MIT
/*
 * compat DEVICE: the ioctls as a 32-bit program of x86-64 makes them, by its system call
 * (int 0x80), with all that they point at below 4 GiB.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#ifdef __x86_64__

#define NR_IOCTL_32	54

/* All arguments of calls, where 32 bits reach. */
static union {
	uint64_t value;
	struct u_dma_buf_buffer buffer;
	struct { struct u_dma_buf_sync_ranges batch; struct u_dma_buf_range ranges[2]; };
	struct u_dma_buf_create create;
	struct u_dma_buf_delete delete;
	struct u_dma_buf_anonymous anonymous;
	struct u_dma_buf_adopt adopt;
	struct { struct u_dma_buf_segments list; struct u_dma_buf_segment segment; };
} *low;

static int ioctl_32(int fd, unsigned int command)
{
	int result;

	asm volatile("int $0x80" : "=a" (result)
		     : "a" (NR_IOCTL_32), "b" (fd), "c" (command), "d" ((uint32_t)(uintptr_t)low)
		     : "memory", "r8", "r9", "r10", "r11");
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static void *cleared(void)
{
	return memset(low, 0, sizeof(*low));
}

static void test_device(const char *path)
{
	struct u_dma_buf_buffer facts = { 0 };
	int fd = open(path, O_RDWR);

	require(fd >= 0 && ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &facts) == 0);
	cleared();
	check_ok("compat: GET_SIZE", ioctl_32(fd, U_DMA_BUF_IOCTL_GET_SIZE));
	check_u64("compat: its size", low->value, facts.size);
	check_ok("compat: GET_BUFFER", ioctl_32(fd, U_DMA_BUF_IOCTL_GET_BUFFER));
	check(memcmp(&low->buffer, &facts, sizeof(facts)) == 0, "compat: the same facts", "others");
	cleared();
	low->batch = (struct u_dma_buf_sync_ranges){
		.ranges = (uintptr_t)low->ranges, .count = 2, .command = U_DMA_BUF_SYNC_FOR_DEVICE,
	};
	low->ranges[1] = (struct u_dma_buf_range){ 64, 64 };
	check_ok("compat: SYNC_RANGES", ioctl_32(fd, U_DMA_BUF_IOCTL_SYNC_RANGES));
	low->ranges[1].offset = facts.size;
	check_errno("compat: SYNC_RANGES behind the end", ioctl_32(fd, U_DMA_BUF_IOCTL_SYNC_RANGES), EINVAL);
	close(fd);
}

static void test_manager(void)
{
	int fd = open("/dev/u-dma-buf-mgr", O_WRONLY);

	require(fd >= 0);
	cleared();
	low->create.size = 4096;
	strcpy(low->create.name, "compat");
	check_ok("compat: CREATE", ioctl_32(fd, U_DMA_BUF_IOCTL_CREATE));
	check_ok("compat: it is there", access("/dev/compat", F_OK));
	cleared();
	strcpy(low->delete.name, "compat");
	check_ok("compat: DELETE", ioctl_32(fd, U_DMA_BUF_IOCTL_DELETE));
	close(fd);
}

static void test_anonymous(void)
{
	int node = open("/dev/u-dma-buf-anon", O_RDWR), source = memfd_create("compat", 0), fd;

	require(node >= 0 && source >= 0 && ftruncate(source, 4096) == 0);
	cleared();
	low->anonymous = (struct u_dma_buf_anonymous){ .size = 4096, .flags = O_RDWR };
	check_ok("compat: ANONYMOUS", ioctl_32(node, U_DMA_BUF_IOCTL_ANONYMOUS));
	fd = low->anonymous.fd;
	check_ok("compat: GET_SIZE of it", ioctl_32(fd, U_DMA_BUF_IOCTL_GET_SIZE));
	check_u64("compat: the size of it", low->value, 4096);
	close(fd);
	cleared();
	low->adopt = (struct u_dma_buf_adopt){ .size = 4096, .source_fd = source };
	check_ok("compat: ADOPT", ioctl_32(node, U_DMA_BUF_IOCTL_ADOPT));
	fd = low->adopt.fd;
	cleared();
	low->list = (struct u_dma_buf_segments){ .segments = (uintptr_t)&low->segment, .count = 1 };
	check_ok("compat: GET_SEGMENTS", ioctl_32(fd, U_DMA_BUF_IOCTL_GET_SEGMENTS));
	check_u64("compat: the segment's size", low->segment.size, 4096);
	close(fd);
	close(node);
}

int main(int argc, char **argv)
{
	require(argc == 2);
	low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	require(low != MAP_FAILED);
	test_device(argv[1]);
	test_manager();
	test_anonymous();
	return check_done();
}

#else

int main(void)
{
	require(!"a processor that has them");
}

#endif
