/*
 * Hostile memory against physring.h; meant to be built with -fsanitize=address,undefined.
 *
 *     fuzz mutate REGION ROUNDS SEED    changes words at random, then opens, joins, attaches, sends and receives
 *     fuzz live REGION ROUNDS           prints "ready", reads a line, then sends and receives while somebody scribbles
 *     fuzz scribble REGION SEED         prints "ready" and overwrites words of the region until it is killed
 *
 * Any status is a good answer; a slot outside the mapping, a crash or a hang is not. Prints how often each status came, as JSON.
 */
#include "physring.h"

enum { REGION_BYTES = 131072, SCRIBBLED_BYTES = 65536, CAPACITY = 64, SLOT_BYTES = 32, MOST_MUTATIONS = 6 };

static uint64_t state;
static unsigned long long counts[64];

static uint32_t next_random(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16);
}

static int count(int status) {
  counts[status < 0 ? -status : 0]++;
  return status;
}

static void require(int condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "violated: %s\n", what);
  abort();
}

static void require_inside(const physring_region *region, const void *slots, int run, uint32_t slot_bytes) {
  const uint8_t *first = (const uint8_t *)slots;
  require(first >= region->base && first + (size_t)run * slot_bytes <= region->base + region->size_bytes,
          "slots lie in the region");
}

static void use_producer(physring_producer *producer) {
  void *slots = NULL;
  int run = count(physring_reserve(producer, 1 + next_random() % 100, &slots));
  if (run > 0) {
    require_inside(producer->region, slots, run, producer->ring.slot_bytes);
    memset(slots, 0xa5, (size_t)run * producer->ring.slot_bytes);
    uint32_t published = next_random() % ((uint32_t)run + 2);
    int status = count(physring_commit(producer, published));
    require(status == (published > (uint32_t)run ? PHYSRING_ERR_ARGUMENT : 0),
            "commit no more than was reserved");
  } else if (run == 0) {
    count(physring_producer_wait(producer, 0));
  }
}

static void use_consumer(physring_consumer *consumer) {
  const void *slots = NULL;
  int run = count(physring_peek(consumer, 1 + next_random() % 100, &slots));
  if (run > 0) {
    require_inside(consumer->region, slots, run, consumer->ring.slot_bytes);
    for (int i = 0; i < run; i++) {
      physring_descriptor descriptor =
          physring_read_descriptor((const uint8_t *)slots + (size_t)i * consumer->ring.slot_bytes);
      uint8_t *bytes = (uint8_t *)physring_bytes(consumer->region, physring_descriptor_offset(&descriptor),
                                                 descriptor.length);
      if (bytes == NULL)
        physring_reject(consumer);
      else if (descriptor.length > 0)
        (void)*(volatile uint8_t *)(bytes + descriptor.length - 1);
    }
    uint32_t released = next_random() % ((uint32_t)run + 2);
    int status = count(physring_release(consumer, released));
    require(status == (released > (uint32_t)run ? PHYSRING_ERR_ARGUMENT : 0),
            "release no more than was peeked");
  } else if (run == 0) {
    count(physring_consumer_wait(consumer, 0));
  }
}

/* A whole life in a region whose words may say anything. */
static void live_through(const char *name) {
  physring_region region;
  physring_producer producer;
  physring_consumer consumer;
  if (count(physring_region_open(&region, name, 0)) < 0) return;
  count(physring_ring_create(&region, "another", SLOT_BYTES, CAPACITY));
  count(physring_join(&region, "fuzz"));
  int sends = count(physring_producer_attach(&producer, &region, "ring")) == 0;
  int receives = count(physring_consumer_attach(&consumer, &region, "ring")) == 0;
  for (int i = 0; i < 4; i++) {
    if (sends) use_producer(&producer);
    if (receives) use_consumer(&consumer);
  }
  if (sends) count(physring_producer_peer(&producer));
  physring_region_close(&region);
}

static uint32_t hostile_value(uint32_t old) {
  static const uint32_t edges[] = {0,          1,         2,    3,     16,    31,    32,           33,
                                   127,        128,       4096, 12288, 24576, 24577, REGION_BYTES, 0x7fffffff,
                                   0x80000000, 0xffffffff};
  switch (next_random() % 4) {
    case 0: return edges[next_random() % (sizeof edges / sizeof edges[0])];
    case 1: return old ^ 1u << next_random() % 32;
    case 2: return old + 1 - 2 * (next_random() & 1);
    default: return next_random();
  }
}

/* Somewhere that matters: superblock, first entries, control area, ring header. */
static uint32_t hostile_word(void) {
  switch (next_random() % 5) {
    case 0: return next_random() % 20;
    case 1: return (PHYSRING_DIRECTORY_OFFSET + next_random() % 384) / 4;
    case 2: return (PHYSRING_CONTROL_OFFSET + next_random() % 1024) / 4;
    default: return (PHYSRING_HEADER_BYTES + next_random() % (uint32_t)sizeof(physring_ring_header)) / 4;
  }
}

static void mutate(const char *name, unsigned long rounds) {
  static uint8_t pristine[REGION_BYTES];
  physring_region region;
  require(physring_region_create(&region, name, REGION_BYTES, 0600) == 0, "create");
  require(physring_ring_create(&region, "ring", SLOT_BYTES, CAPACITY) == 0, "create ring");
  memcpy(pristine, region.base, sizeof pristine);
  for (unsigned long round = 0; round < rounds; round++) {
    uint32_t *words = (uint32_t *)(void *)region.base;
    memcpy(region.base, pristine, sizeof pristine);
    for (uint32_t i = next_random() % (MOST_MUTATIONS + 1); i > 0; i--) {
      uint32_t word = hostile_word();
      words[word] = hostile_value(words[word]);
    }
    live_through(name);
  }
  physring_region_close(&region);
}

static void await_line(void) {
  puts("ready");
  fflush(stdout);
  require(getchar() != EOF, "somebody says go");
}

static void live(const char *name, unsigned long rounds) {
  physring_region region;
  physring_producer producer;
  physring_consumer consumer;
  require(physring_region_create(&region, name, REGION_BYTES, 0600) == 0, "create");
  require(physring_ring_create(&region, "ring", SLOT_BYTES, CAPACITY) == 0, "create ring");
  require(physring_join(&region, "fuzz") == 0, "join");
  require(physring_producer_attach(&producer, &region, "ring") == 0, "attach producer");
  require(physring_consumer_attach(&consumer, &region, "ring") == 0, "attach consumer");
  await_line();
  for (unsigned long round = 0; round < rounds; round++) {
    use_producer(&producer);
    use_consumer(&consumer);
    if (round % 64 == 0) live_through(name);
  }
  physring_region_close(&region);
}

static void scribble(const char *name) {
  physring_region region;
  require(physring_region_open(&region, name, 1000) == 0, "open");
  puts("ready");
  fflush(stdout);
  for (;;) {
    uint32_t word = next_random() % 2 ? hostile_word() : next_random() % (SCRIBBLED_BYTES / 4);
    uint32_t *target = (uint32_t *)(void *)region.base + word;
    __atomic_store_n(target, hostile_value(__atomic_load_n(target, __ATOMIC_RELAXED)), __ATOMIC_RELAXED);
  }
}

int main(int argc, char **argv) {
  require(argc >= 4, "usage: fuzz mutate REGION ROUNDS SEED | live REGION ROUNDS | scribble REGION SEED");
  unsigned long number = strtoul(argv[3], NULL, 10);
  state = 0x9e3779b97f4a7c15u ^ (argc > 4 ? strtoul(argv[4], NULL, 10) : number);
  if (strcmp(argv[1], "scribble") == 0) scribble(argv[2]);
  if (strcmp(argv[1], "mutate") == 0) mutate(argv[2], number);
  if (strcmp(argv[1], "live") == 0) live(argv[2], number);
  printf("{\"OK\":%llu", counts[0]);
  for (int i = 1; i < 64; i++)
    if (counts[i] > 0) printf(",\"%s\":%llu", physring_error_name(-i), counts[i]);
  puts("}");
  return 0;
}
