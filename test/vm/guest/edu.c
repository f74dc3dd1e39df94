// SPDX-License-Identifier: MIT
/*
 * edu PCIDEVICE DEVICE|adopted EXPECT: QEMU's edu device carries bytes out of the
 * middle of the buffer and back to another place, by device address.  EXPECT
 * is "reaches" or "faults", the latter for a buffer that an IOMMU keeps from it.
 * "adopted" is a huge page of a memfd, adopted for PCIDEVICE.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define REG_SOURCE	0x80
#define REG_TARGET	0x88
#define REG_COUNT	0x90
#define REG_COMMAND	0x98
#define START		1
#define TO_MEMORY	2
#define DEVICE_RAM	0x40000
/* QEMU 7.2 aborts on 4096. */
#define BYTES		4092
#define MIDDLE		0x8100
#define OTHER		0xc200
#define HUGE_BYTES	(2 << 20)

static volatile unsigned char *registers;

static void write64(unsigned int offset, uint64_t value)
{
	*(volatile uint64_t *)(registers + offset) = value;
}

static void transfer(uint64_t from, uint64_t to, int command)
{
	write64(REG_SOURCE, from);
	write64(REG_TARGET, to);
	write64(REG_COUNT, BYTES);
	write64(REG_COMMAND, START | command);
	while (*(volatile uint64_t *)(registers + REG_COMMAND) & START)
		usleep(1000);
}

/* What the device is given to work on. */
struct target {
	int fd;			/* for SYNC_RANGES */
	unsigned char *map;
	uint64_t dma_addr;
};

static struct target open_buffer(const char *path)
{
	struct u_dma_buf_buffer info;
	struct target t = { .fd = open(path, O_RDWR) };

	require(t.fd >= 0);
	require(ioctl(t.fd, U_DMA_BUF_IOCTL_GET_BUFFER, &info) == 0);
	t.map = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, t.fd, 0);
	t.dma_addr = info.dma_addr;
	printf("# edu: device address 0x%llx, physical address 0x%llx\n", info.dma_addr,
	       info.cpu_phys_addr);
	return t;
}

static struct target adopt_memory(const char *pci_name)
{
	struct u_dma_buf_segment segment;
	struct u_dma_buf_segments list = { .segments = (uintptr_t)&segment, .count = 1 };
	struct u_dma_buf_adopt adopt = { .size = HUGE_BYTES };
	int node = open("/dev/u-dma-buf-anon", O_RDWR), pool = open("/proc/sys/vm/nr_hugepages", O_WRONLY);
	struct target t;

	require(node >= 0 && pool >= 0 && write(pool, "1", 1) == 1);
	adopt.source_fd = memfd_create("edu", MFD_HUGETLB);
	require(adopt.source_fd >= 0 && ftruncate(adopt.source_fd, HUGE_BYTES) == 0);
	snprintf(adopt.parent, sizeof(adopt.parent), "pci/%s", pci_name);
	require(ioctl(node, U_DMA_BUF_IOCTL_ADOPT, &adopt) == 0 && adopt.segments == 1);
	require(ioctl(adopt.fd, U_DMA_BUF_IOCTL_GET_SEGMENTS, &list) == 0);
	t = (struct target){ .fd = adopt.fd, .dma_addr = segment.dma_addr };
	t.map = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, adopt.source_fd, 0);
	printf("# edu: adopted, device address 0x%llx\n", segment.dma_addr);
	return t;
}

int main(int argc, char **argv)
{
	struct u_dma_buf_range ranges[2] = { { MIDDLE, BYTES }, { OTHER, BYTES } };
	struct u_dma_buf_sync_ranges sync = {
		.ranges = (uintptr_t)ranges, .count = 2, .command = U_DMA_BUF_SYNC_FOR_DEVICE,
	};
	struct target t;
	uint16_t command;
	char path[200];
	bool same;
	int pci;

	require(argc == 4);
	snprintf(path, sizeof(path), "%s/enable", argv[1]);
	pci = open(path, O_WRONLY);
	/* Busy: its driver has enabled it. */
	require(pci >= 0 && (write(pci, "1", 1) == 1 || errno == EBUSY));
	close(pci);
	snprintf(path, sizeof(path), "%s/config", argv[1]);
	pci = open(path, O_RDWR);
	require(pci >= 0 && pread(pci, &command, 2, 4) == 2);
	command |= 6;	/* memory space, bus master */
	require(pwrite(pci, &command, 2, 4) == 2);
	close(pci);
	snprintf(path, sizeof(path), "%s/resource0", argv[1]);
	pci = open(path, O_RDWR);
	require(pci >= 0);
	registers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, pci, 0);
	require(registers != MAP_FAILED);

	t = strcmp(argv[2], "adopted") ? open_buffer(argv[2]) : adopt_memory(basename(argv[1]));
	require(t.map != MAP_FAILED);
	for (int i = 0; i < BYTES; i++)
		t.map[MIDDLE + i] = i * 5 + 1;
	memset(t.map + OTHER, 0, BYTES);

	require(ioctl(t.fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &sync) == 0);
	transfer(t.dma_addr + MIDDLE, DEVICE_RAM, 0);
	transfer(DEVICE_RAM, t.dma_addr + OTHER, TO_MEMORY);
	sync.command = U_DMA_BUF_SYNC_FOR_CPU;
	require(ioctl(t.fd, U_DMA_BUF_IOCTL_SYNC_RANGES, &sync) == 0);

	same = memcmp(t.map + MIDDLE, t.map + OTHER, BYTES) == 0;
	if (strcmp(argv[3], "reaches") == 0)
		check(same, "edu: the device carried the bytes", "others arrived");
	else
		check(!same, "edu: the IOMMU kept the device out", "the bytes arrived");
	return check_done();
}
