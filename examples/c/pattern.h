/* What the example programs send: descriptor i follows from the ring's running index i, so that either end can check
 * every word. */
#ifndef PATTERN_H
#define PATTERN_H

#include "physring.h"

#include <signal.h>

/* Longest wait before the programs look for a signal. */
#ifndef PATTERN_STEP_MS
#define PATTERN_STEP_MS 100
#endif

/* The finalizer of MurmurHash3: a bijection that spreads the index over all bits. */
static inline uint32_t pattern_hash(uint32_t x) {
  x = (x ^ x >> 16) * 0x85ebca6bu;
  x = (x ^ x >> 13) * 0xc2b2ae35u;
  return x ^ x >> 16;
}

/* Descriptor of index i: some bytes behind the headers, inside the region. */
static inline physring_descriptor pattern_descriptor(uint32_t i, uint64_t size_bytes) {
  uint32_t hash = pattern_hash(i);
  uint64_t offset = PHYSRING_HEADER_BYTES + hash % (size_bytes - PHYSRING_HEADER_BYTES);
  uint64_t left = size_bytes - offset;
  physring_descriptor descriptor = {(uint32_t)offset, (uint32_t)(offset >> 32),
                                    (uint32_t)((hash >> 7) % left), hash ^ i};
  return descriptor;
}

/* Depends on every word and on the order. */
static inline uint32_t pattern_checksum(uint32_t sum, const physring_descriptor *descriptor) {
  sum = sum * 31 + descriptor->offset_low;
  sum = sum * 31 + descriptor->offset_high;
  sum = sum * 31 + descriptor->length;
  return sum * 31 + descriptor->tag;
}

static inline void pattern_nap(long ms) {
  struct timespec nap = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&nap, NULL);
}

/* REGION RING COUNT and the options of both programs. */
typedef struct pattern_options {
  const char *program, *region, *ring;
  uint64_t count;
  uint64_t create_bytes; /* 0: open an existing region and ring */
  uint32_t capacity, slot_bytes;
  uint32_t burst;       /* most slots for one index store */
  uint64_t pause_every; /* 0: never; else rest for pause_ms after so many descriptors */
  long pause_ms;
  int timeout_ms; /* how long to wait for the region, and then for a peer that does nothing */
} pattern_options;

static inline void pattern_usage(const char *program) {
  fprintf(stderr,
          "usage: %s REGION RING COUNT [--burst N] [--pause-every N --pause-ms MS] [--timeout-ms MS]\n"
          "       [--create BYTES [--capacity N] [--slot-bytes N]]   make the region and the ring first\n",
          program);
  exit(2);
}

static inline pattern_options pattern_parse(int argc, char **argv) {
  pattern_options options;
  memset(&options, 0, sizeof options);
  if (argc < 4) pattern_usage(argv[0]);
  options.program = argv[0];
  options.region = argv[1];
  options.ring = argv[2];
  options.count = strtoull(argv[3], NULL, 10);
  options.capacity = 1024;
  options.slot_bytes = 16;
  options.burst = 32;
  options.timeout_ms = 10000;
  for (int i = 4; i < argc; i += 2) {
    if (i + 1 >= argc) pattern_usage(argv[0]);
    unsigned long long value = strtoull(argv[i + 1], NULL, 10);
    if (strcmp(argv[i], "--burst") == 0 && value > 0)
      options.burst = (uint32_t)value;
    else if (strcmp(argv[i], "--create") == 0)
      options.create_bytes = value;
    else if (strcmp(argv[i], "--capacity") == 0)
      options.capacity = (uint32_t)value;
    else if (strcmp(argv[i], "--slot-bytes") == 0)
      options.slot_bytes = (uint32_t)value;
    else if (strcmp(argv[i], "--pause-every") == 0)
      options.pause_every = value;
    else if (strcmp(argv[i], "--pause-ms") == 0)
      options.pause_ms = (long)value;
    else if (strcmp(argv[i], "--timeout-ms") == 0)
      options.timeout_ms = (int)value;
    else
      pattern_usage(argv[0]);
  }
  return options;
}

/* What the program has open, so that it leaves in good order when it gives up. */
static physring_region *pattern_region;

static inline void pattern_exit(const char *error, const char *call) {
  printf("{\"error\":\"%s\",\"call\":\"%s\"}\n", error, call);
  if (pattern_region != NULL) physring_region_close(pattern_region);
  exit(1);
}

/* Prints {"error": NAME, ...} and ends with code 1. */
static inline void pattern_fail(const char *call, int status) {
  const char *reason = status == PHYSRING_ERR_SYSTEM ? strerror(errno) : "";
  fprintf(stderr, "%s: %s %s\n", call, physring_message(status), reason);
  pattern_exit(physring_error_name(status), call);
}

static inline int pattern_check(const char *call, int status) {
  if (status < 0) pattern_fail(call, status);
  return status;
}

/* Set by SIGINT and SIGTERM; the programs then leave the region in good order. */
static volatile sig_atomic_t pattern_stopped;

static void pattern_stop(int signal_number) {
  (void)signal_number;
  pattern_stopped = 1;
}

/* Worth another try for a while: the creator has not come to the ring, or nobody has cleaned up behind a dead peer. */
static inline int pattern_passing(int status) {
  return status == PHYSRING_ERR_OBJECT_NOT_FOUND || status == PHYSRING_ERR_OWNER_DEAD;
}

/* Opens (or makes) the region and the ring, and joins. */
static inline void pattern_open(const pattern_options *options, physring_region *region) {
  signal(SIGINT, pattern_stop);
  signal(SIGTERM, pattern_stop);
  if (options->create_bytes > 0) {
    pattern_check("create region",
                  physring_region_create(region, options->region, options->create_bytes, 0600));
    pattern_check("create ring",
                  physring_ring_create(region, options->ring, options->slot_bytes, options->capacity));
  } else {
    pattern_check("open region", physring_region_open(region, options->region, options->timeout_ms));
  }
  pattern_region = region;
  if (region->size_bytes == PHYSRING_HEADER_BYTES) pattern_fail("region", PHYSRING_ERR_TOO_SMALL);
  pattern_check("join", physring_join(region, options->program));
}

#endif
