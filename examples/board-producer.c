/*
 * A camera on a board that is too small for Bun: frames go into the DMA buffer, their descriptors through a ring.
 *
 *     aarch64-linux-gnu-gcc -O2 -std=c11 -static -Iinclude -Ikmod/uapi examples/board-producer.c -o board-producer
 *     ./board-producer board /dev/udmabuf0 1000          sends 1000 frames to examples/board-consumer.ts
 *
 * The ring says which part of the buffer is free: frame i has block i modulo the ring's capacity, and reserve gives the
 * slot of i only when the consumer has released that of i - capacity, which it does after it has read the frame.
 */
#include "physring.h"

#include "u-dma-buf.h"

#include <sys/ioctl.h>

#define FRAME_BYTES 65536u
#define WAIT_MS 60000

static _Noreturn void fail(const char *what, int status) {
  fprintf(stderr, "board-producer: %s: %s\n", what, physring_message(status));
  exit(1);
}

static _Noreturn void fail_system(const char *what) {
  perror(what);
  exit(1);
}

static int checked(const char *what, int status) {
  if (status < 0) fail(what, status);
  return status;
}

/* All of the device's buffer, mapped; the mapping outlives the descriptor. */
static uint8_t *map_buffer(const char *device, uint64_t *size_bytes) {
  int fd = open(device, O_RDWR | O_CLOEXEC);
  if (fd < 0) fail_system(device);
  __u64 size;
  if (ioctl(fd, U_DMA_BUF_IOCTL_GET_SIZE, &size) != 0) fail_system("ioctl GET_SIZE");
  uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) fail_system("mmap");
  close(fd);
  *size_bytes = size;
  return base;
}

/* CRC-32 as zlib's and Bun.hash.crc32, four bits at a time. */
static uint32_t crc32_of(const uint8_t *bytes, uint32_t length) {
  static const uint32_t table[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = ~0u;
  for (uint32_t i = 0; i < length; i++) {
    crc ^= bytes[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

/* In place of a sensor. A DMA engine would be told the device address (ioctl GET_DMA_ADDR) plus the offset, and on a
 * device that is not coherent SYNC_FOR_CPU would follow before anybody reads; between processors nothing is needed. */
static void take_picture(uint8_t *frame, uint32_t number) {
  for (uint32_t i = 0; i < FRAME_BYTES; i++) frame[i] = (uint8_t)(number * 7 + i + (i >> 8));
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s REGION DEVICE COUNT\n", argv[0]);
    return 2;
  }
  const uint32_t count = (uint32_t)strtoul(argv[3], NULL, 10);
  physring_region region;
  physring_producer tx;
  uint64_t buffer_bytes;
  checked("open the region", physring_region_open(&region, argv[1], WAIT_MS));
  checked("join", physring_join(&region, "board-producer"));
  int64_t deadline_ns = physring_deadline_ns_(WAIT_MS);
  int status;
  while ((status = physring_producer_attach(&tx, &region, "frames")) == PHYSRING_ERR_OBJECT_NOT_FOUND &&
         physring_now_ns_() < deadline_ns)
    physring_nap_();
  checked("attach to the ring", status);

  uint8_t *buffer = map_buffer(argv[2], &buffer_bytes);
  if (buffer_bytes / FRAME_BYTES < tx.ring.capacity) {
    fprintf(stderr, "board-producer: %s is too small for %u frames of %u bytes\n", argv[2], tx.ring.capacity,
            FRAME_BYTES);
    return 1;
  }

  for (uint32_t sent = 0; sent < count; sent++) {
    void *slot;
    while (checked("reserve", physring_reserve(&tx, 1, &slot)) == 0)
      if (checked("wait for room", physring_producer_wait(&tx, WAIT_MS)) == 0) {
        fprintf(stderr, "board-producer: the consumer released nothing for %d ms\n", WAIT_MS);
        return 1;
      }
    uint64_t offset = (uint64_t)(tx.tail % tx.ring.capacity) * FRAME_BYTES;
    take_picture(buffer + offset, sent);
    physring_descriptor descriptor = {(uint32_t)offset, (uint32_t)(offset >> 32), FRAME_BYTES,
                                      crc32_of(buffer + offset, FRAME_BYTES)};
    memcpy(slot, &descriptor, sizeof descriptor);
    checked("commit", physring_commit(&tx, 1));
  }
  printf("board-producer: %u frames sent\n", count);
  munmap(buffer, buffer_bytes);
  physring_region_close(&region);
  return 0;
}
