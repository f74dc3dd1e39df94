// SPDX-License-Identifier: MIT
/*
 * hold STEP...: what becomes of a buffer that is in use when its device goes.
 * The script around it removes the device between the steps, with this process
 * as the holder of a file and a mapping.  Each command line word is read from
 * standard input, carried out and answered, so the script needs no sleep.
 *
 *   open PATH     open and map 64 KiB, fill with a pattern
 *   check         the mapping still holds the pattern
 *   gone          ioctls that need the device answer ENODEV
 *   frames        the mapped frames are not free memory (as kpageflags says)
 *   export        make a dma-buf of it, then unmap and close: that alone is left,
 *                 mapped anew
 *   import        have another device attach the dma-buf (udb-importer)
 *   unimport      end that
 *   splice        put the first 16 pages into a pipe, unmap and close
 *   drain         read the pipe: the pattern must come out
 *   close         unmap and close
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "u-dma-buf.h"

#define BYTES	(64 << 10)
#define KPF_BUDDY	(1ULL << 10)

static int fd = -1, importer = -1, ends[2];
static struct u_dma_buf_buffer facts;
static unsigned char *map;

static unsigned char pattern(size_t i)
{
	return i * 7 + (i >> 12) + 3;
}

static bool is_pattern(const unsigned char *data)
{
	for (size_t i = 0; i < BYTES; i++)
		if (data[i] != pattern(i))
			return false;
	return true;
}

static void hold_open(const char *path)
{
	fd = open(path, O_RDWR);
	require(fd >= 0);
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(map != MAP_FAILED);
	require(ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &facts) == 0);
	for (size_t i = 0; i < BYTES; i++)
		map[i] = pattern(i);
}

static void hold_close(void)
{
	check_ok("hold: munmap", munmap(map, BYTES));
	check_ok("hold: close", close(fd));
	fd = -1;
}

static void hold_gone(void)
{
	struct u_dma_buf_buffer info = { 0 };
	uint64_t value = 4096 | 1;

	check_errno("hold: no device address after removal",
		    ioctl(fd, U_DMA_BUF_IOCTL_GET_DMA_ADDR, &value), ENODEV);
	check_errno("hold: no sync after removal",
		    ioctl(fd, U_DMA_BUF_IOCTL_SET_SYNC_FOR_CPU, &value), ENODEV);
	check_ok("hold: GET_BUFFER after removal", ioctl(fd, U_DMA_BUF_IOCTL_GET_BUFFER, &info));
	check(info.flags & U_DMA_BUF_BUFFER_NO_DEVICE, "hold: it says that the device is gone",
	      "flags 0x%llx", info.flags);
	check_u64("hold: no stale device address", info.dma_addr, 0);
}

static void hold_frames(void)
{
	uint64_t flags;
	int free_frames = 0, kpf = open("/proc/kpageflags", O_RDONLY);

	require(kpf >= 0);
	for (uint64_t at = 0; at < facts.map_size; at += 4096) {
		require(pread(kpf, &flags, 8, (facts.cpu_phys_addr + at) / 4096 * 8) == 8);
		free_frames += !!(flags & KPF_BUDDY);
	}
	close(kpf);
	check_u64("hold: no frame in use is free memory", free_frames, 0);
}

static void hold_export(void)
{
	struct u_dma_buf_export export = { .flags = O_RDWR | O_CLOEXEC, .size = BYTES };

	check_ok("hold: export", ioctl(fd, U_DMA_BUF_IOCTL_EXPORT, &export));
	hold_close();
	fd = export.fd;
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(map != MAP_FAILED);
}

static void hold_import(void)
{
	char text[16];

	importer = open("/dev/udb-importer", O_RDWR);
	require(importer >= 0);
	snprintf(text, sizeof(text), "%d", fd);
	check_u64("hold: another device imports it", write(importer, text, strlen(text)), strlen(text));
}

static void hold_splice(void)
{
	struct iovec vector = { map, BYTES };

	require(pipe(ends) == 0);
	check_u64("hold: pages go into a pipe", vmsplice(ends[1], &vector, 1, 0), BYTES);
	hold_close();
}

static void hold_drain(void)
{
	static unsigned char data[BYTES];
	size_t done = 0;

	while (done < BYTES) {
		ssize_t bytes = read(ends[0], data + done, BYTES - done);

		require(bytes > 0);
		done += bytes;
	}
	check(is_pattern(data), "hold: the pipe kept its bytes", "others");
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	char line[200];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "open ", 5) == 0)
			hold_open(line + 5);
		else if (strcmp(line, "check") == 0)
			check(is_pattern(map), "hold: the mapping kept its bytes", "others");
		else if (strcmp(line, "gone") == 0)
			hold_gone();
		else if (strcmp(line, "frames") == 0)
			hold_frames();
		else if (strcmp(line, "export") == 0)
			hold_export();
		else if (strcmp(line, "import") == 0)
			hold_import();
		else if (strcmp(line, "unimport") == 0)
			check_ok("hold: the import ends", close(importer));
		else if (strcmp(line, "splice") == 0)
			hold_splice();
		else if (strcmp(line, "drain") == 0)
			hold_drain();
		else if (strcmp(line, "close") == 0)
			hold_close();
		else
			require(!"a known step");
		/* The script waits for this line. */
		printf("done\n");
		fflush(stdout);
	}
	return check_done();
}
