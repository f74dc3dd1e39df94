/*
 * doorbell REGION ROUNDS [unfenced]: the race between going to sleep and publishing, provoked ROUNDS times. Two threads meet,
 * then one arms its doorbell, looks and sleeps while the other publishes and reads the doorbell (section 3). With a fence
 * missing on either side both look too early once in a while: nobody wakes the sleeper. Prints {"rounds", "sleeps", "lost"}
 * and stops at the first loss. The waker is the header's, and the sleeper has a fence and no membarrier; or `unfenced`: the waker
 * leaves its fence to the sleeper, as TypeScript does on x86-64, and the sleeper is the header's.
 */
#include "physring.h"

#include <pthread.h>
#include <sched.h>

/* Nobody is kept from running for so long: a sleep that ends by itself is a lost wake-up. */
static const int64_t LIMIT_NS = 20000000000;

typedef struct side {
  const char *region;
  uint64_t rounds;
  int unfenced;
} side;

static uint64_t arrived; /* both threads: 2 for each round */
static int lost;

static void require(int status) {
  if (status >= 0) return;
  fprintf(stderr, "%s\n", physring_message(status));
  abort();
}

/* Returns when both threads have come to this round, at nearly the same moment; then dawdles for up to 63 steps. */
static void meet(uint64_t round, uint32_t *seed) {
  uint64_t both = 2 * (round + 1);
  __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
  for (int spins = 0; __atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < both; spins++)
    if (spins % 1000 == 999) sched_yield();
  *seed = *seed * 1664525 + 1013904223;
  for (volatile uint32_t i = *seed >> 26; i > 0; i--) continue;
}

/* physring_commit of one slot without the fence. */
static void commit_unfenced(physring_producer *producer) {
  producer->tail++;
  physring_store_release_(&producer->ring.header->tail, producer->tail);
  __asm__ __volatile__("" ::: "memory");
  int sleeper = (int)(physring_load_(&producer->ring.header->consumer_owner) & PHYSRING_OWNER_PARTICIPANT_MASK) - 1;
  uint32_t *doorbell = &physring_record_(producer->region, sleeper)->doorbell;
  uint32_t armed = physring_load_(doorbell);
  if (armed != PHYSRING_AWAKE) physring_wake_(producer->region, sleeper, armed);
}

/* physring_sleep_ without the membarrier, whose delay would hide a waker that lacks its fence. */
static int sleep_bare(physring_region *region, physring_ready_ *ready, void *end, int64_t limit_ns) {
  uint32_t *doorbell = &physring_record_(region, region->participant)->doorbell;
  struct timespec limit = {(time_t)(limit_ns / 1000000000), 0};
  physring_store_release_(doorbell, PHYSRING_ASLEEP_FUTEX);
  physring_fence_();
  if (ready(end) == 0) {
    long woken = syscall(SYS_futex, doorbell, FUTEX_WAIT, PHYSRING_ASLEEP_FUTEX, &limit, NULL, 0);
    region->sleeps++;
    region->woken += woken == 0 || errno == EAGAIN;
  }
  physring_store_release_(doorbell, PHYSRING_AWAKE);
  return 0;
}

static void *publish(void *argument) {
  const side *self = (const side *)argument;
  physring_region region;
  physring_producer producer;
  uint32_t seed = 1;
  void *slots;
  if (self->unfenced && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) != 0) abort();
  require(physring_region_open(&region, self->region, 0));
  require(physring_join(&region, "waker"));
  require(physring_producer_attach(&producer, &region, "ring"));
  for (uint64_t round = 0; round < self->rounds && !__atomic_load_n(&lost, __ATOMIC_SEQ_CST); round++) {
    meet(2 * round, &seed);
    require(physring_reserve(&producer, 1, &slots) == 1 ? 0 : PHYSRING_ERR_CORRUPT);
    if (self->unfenced) commit_unfenced(&producer);
    else require(physring_commit(&producer, 1));
    meet(2 * round + 1, &seed);
  }
  physring_region_close(&region);
  return NULL;
}

int main(int argc, char **argv) {
  physring_region region;
  physring_consumer consumer;
  pthread_t waker;
  uint32_t seed = 2;
  const void *slots;
  if (argc < 3) return 2;
  side self = {argv[1], strtoull(argv[2], NULL, 10), argc > 3};
  uint64_t round = 0;
  require(physring_region_create(&region, self.region, 65536, 0600));
  require(physring_ring_create(&region, "ring", 16, 2));
  require(physring_join(&region, "sleeper"));
  require(physring_consumer_attach(&consumer, &region, "ring"));
  require(pthread_create(&waker, NULL, publish, &self) == 0 ? 0 : PHYSRING_ERR_SYSTEM);
  for (; round < self.rounds && !lost; round++) {
    meet(2 * round, &seed);
    while (!lost && physring_consumer_ready_(&consumer) == 0) {
      require((self.unfenced ? physring_sleep_ : sleep_bare)(&region, physring_consumer_ready_, &consumer, LIMIT_NS));
      if (region.woken < region.sleeps) __atomic_store_n(&lost, 1, __ATOMIC_SEQ_CST);
    }
    require(physring_peek(&consumer, 1, &slots) == 1 ? 0 : PHYSRING_ERR_CORRUPT);
    require(physring_release(&consumer, 1));
    meet(2 * round + 1, &seed);
  }
  pthread_join(waker, NULL);
  printf("{\"rounds\":%llu,\"sleeps\":%llu,\"lost\":%d}\n", (unsigned long long)round,
         (unsigned long long)region.sleeps, lost);
  physring_region_close(&region);
  return lost;
}
