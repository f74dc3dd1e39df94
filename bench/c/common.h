/* What all C peers of the benchmark share: mapping, clock, arguments, messages and their checksum (../messages.ts). */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SPIN_HINT() __builtin_ia32_pause()
#else
#define SPIN_HINT() __asm__ volatile("yield" ::: "memory")
#endif

#define MESSAGE_KINDS 64
#define MAX_MESSAGE_WORDS 256

static inline void fail(const char *what) {
  perror(what);
  exit(2);
}

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Maps all of an existing file. */
static inline uint8_t *map_file(const char *path, size_t *size) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) fail(path);
  uint8_t *base = (uint8_t *)mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (base == (uint8_t *)MAP_FAILED) fail("mmap");
  close(fd);
  if (size != NULL) *size = (size_t)info.st_size;
  return base;
}

/* Arguments are KEY=NUMBER, after ROLE and FILE. */
static inline uint32_t argument(int count, char **values, const char *key) {
  size_t length = strlen(key);
  for (int i = 3; i < count; i++) {
    if (strncmp(values[i], key, length) == 0 && values[i][length] == '=') return (uint32_t)strtoul(values[i] + length + 1, NULL, 10);
  }
  fprintf(stderr, "missing argument %s\n", key);
  exit(2);
}

/* The checksum: every word is rotated in. Order, value and number of words all count. */
static inline uint32_t add_word(uint32_t sum, uint32_t word) { return ((sum << 1) | (sum >> 31)) + word; }

/* Word k of payload kind i. Word 0 is replaced by the sequence number when a message is sent. */
static uint32_t payloads[MESSAGE_KINDS][MAX_MESSAGE_WORDS];
static inline void fill_payloads(void) {
  for (uint32_t i = 0; i < MESSAGE_KINDS; i++) {
    for (uint32_t k = 0; k < MAX_MESSAGE_WORDS; k++) payloads[i][k] = i * 977u + k * k * 31u + 5u;
  }
}

/* The checksum that `count` messages must have, made again from the generator after the timed part. */
static inline uint32_t expected_checksum(uint32_t words, uint32_t count) {
  uint32_t sum = 0;
  for (uint32_t sequence = 0; sequence != count; sequence++) {
    if (words == 4) {
      sum = add_word(sum, sequence);
      sum = add_word(sum, sequence ^ 0x5a5a5a5au);
      sum = add_word(sum, sequence + 7u);
      sum = add_word(sum, ~sequence);
    } else {
      sum = add_word(sum, sequence);
      for (uint32_t k = 1; k < words; k++) sum = add_word(sum, payloads[sequence & (MESSAGE_KINDS - 1)][k]);
    }
  }
  return sum;
}

static inline void print_producer(uint32_t checksum) { printf("{\"checksum\":%u}\n", checksum); }

static inline void print_consumer(uint64_t messages, uint64_t ns, uint32_t checksum) {
  printf("{\"messages\":%llu,\"ns\":%llu,\"checksum\":%u}\n", (unsigned long long)messages, (unsigned long long)ns, checksum);
}
