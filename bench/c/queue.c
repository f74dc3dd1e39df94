/* A work queue (docs/PROTOCOL.md section 11) in C: queue producer|consumer FILE offset= capacity= burst= leg= warm= legs= producers= producer= shared= sleep=
 * Lanes of 16-byte descriptors; with shared=1 heads are moved by compare-and-swap after the copy. With sleep=1 ends spin for 20 us, then
 * sleep in a futex. The consumer times the last `legs`; all producers together send a leg. */
#include "doorbell.h"
#include "queue.h"
#include "ring.h"

enum { WORDS = 4, SLOT_BYTES = 16, LANES_OFFSET = 4096, LANE_BURST = 256, MOST_BURST = 64 };

typedef struct {
  _Atomic uint32_t *mine;
  int sleeps;
} waiter;

static _Atomic uint32_t *bell_of(uint8_t *queue, uint32_t party) { return (_Atomic uint32_t *)(queue + 128 * (1 + party)); }

static void wake(_Atomic uint32_t *bell) {
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load_explicit(bell, memory_order_relaxed) == AWAKE) return;
  if (atomic_exchange(bell, AWAKE) != AWAKE) syscall(SYS_futex, bell, FUTEX_WAKE, 1, NULL, NULL, 0);
}

#define WAIT_UNTIL(w, condition)                                                          \
  do {                                                                                    \
    uint64_t until = now_ns() + SPIN_NS;                                                  \
    for (int spins = 0; !(condition); spins++) {                                          \
      SPIN_HINT();                                                                        \
      if (!(w)->sleeps || spins % SPINS_PER_CLOCK_READ != 0 || now_ns() < until) continue; \
      atomic_store((w)->mine, ASLEEP_FUTEX);                                              \
      atomic_thread_fence(memory_order_seq_cst);                                          \
      if (!(condition)) {                                                                 \
        struct timespec slice = {.tv_nsec = 50000000};                                    \
        syscall(SYS_futex, (w)->mine, FUTEX_WAIT, ASLEEP_FUTEX, &slice, NULL, 0);         \
      }                                                                                   \
      atomic_store((w)->mine, AWAKE);                                                     \
    }                                                                                     \
  } while (0)

static uint32_t index_of(const _Atomic uint32_t *word) { return atomic_load_explicit(word, memory_order_acquire); }

static void produce(ring_end *lane, waiter *w, _Atomic uint32_t *consumer, uint32_t burst, uint32_t producer, uint32_t count) {
  uint32_t sequence = producer << PRODUCER_SHIFT, end = sequence + count;
  while (sequence != end) {
    uint32_t left = end - sequence, n = ring_reserve(lane, left < burst ? left : burst);
    if (n == 0) {
      WAIT_UNTIL(w, lane->mine - index_of(lane->head) < lane->capacity);
      continue;
    }
    uint32_t *slot = lane->at;
    for (uint32_t i = 0; i < n; i++, slot += WORDS, sequence++) write_descriptor(slot, sequence);
    ring_commit(lane, n);
    wake(consumer);
  }
}

typedef struct {
  uint8_t *queue;
  ring_end lanes[MOST_PRODUCERS];
  uint32_t lane_count, current, budget, shared, sums[MOST_PRODUCERS];
  uint32_t copies[MOST_BURST * WORDS];
} consumer;

static int any_ready(const consumer *c) {
  for (uint32_t l = 0; l < c->lane_count; l++)
    if (index_of(c->lanes[l].tail) != (c->shared ? index_of(c->lanes[l].head) : c->lanes[l].mine)) return 1;
  return 0;
}

/* Copies, then claims; 0 when the lane is empty. */
static uint32_t take(consumer *c, ring_end *lane, uint32_t max) {
  for (;;) {
    uint32_t head = atomic_load_explicit(lane->head, memory_order_relaxed);
    if (lane->cached - head - 1 >= lane->capacity) lane->cached = index_of(lane->tail);
    uint32_t available = lane->cached - head, room = lane->capacity - (head & lane->mask);
    if (available == 0) return 0;
    if (available > lane->capacity) continue;
    uint32_t n = available < room ? available : room;
    if (n > max) n = max;
    memcpy(c->copies, lane->slots + (size_t)(head & lane->mask) * SLOT_BYTES, (size_t)n * SLOT_BYTES);
    if (atomic_compare_exchange_strong(lane->head, &head, head + n)) return n;
  }
}

static uint32_t from_lane(consumer *c, ring_end *lane, uint32_t max) {
  if (c->shared) return take(c, lane, max);
  if (lane->cached == lane->mine) lane->cached = index_of(lane->tail);
  return lane->cached == lane->mine ? 0 : ring_peek(lane, max);
}

static void consume(consumer *c, waiter *w, uint32_t burst, uint32_t count) {
  while (count > 0) {
    uint32_t max = count < burst ? count : burst, n = 0;
    for (uint32_t tries = 0; tries <= c->lane_count && n == 0; tries++) {
      if (c->budget == 0 || tries > 0) c->current = (c->current + 1) % c->lane_count, c->budget = LANE_BURST;
      n = from_lane(c, &c->lanes[c->current], max < c->budget ? max : c->budget);
    }
    if (n == 0) {
      WAIT_UNTIL(w, any_ready(c));
      continue;
    }
    ring_end *lane = &c->lanes[c->current];
    add_descriptors(c->sums, c->shared ? c->copies : lane->at, n);
    if (!c->shared) ring_release(lane, n);
    wake(bell_of(c->queue, 1 + c->current));
    c->budget -= n;
    count -= n;
  }
}

int main(int argc, char **argv) {
  uint32_t leg = argument(argc, argv, "leg"), warm = argument(argc, argv, "warm"), legs = argument(argc, argv, "legs");
  uint32_t capacity = argument(argc, argv, "capacity"), burst = argument(argc, argv, "burst"), producers = argument(argc, argv, "producers");
  uint8_t *queue = map_file(argv[2], NULL) + argument(argc, argv, "offset");
  if (producers > MOST_PRODUCERS || burst > MOST_BURST) return 2;
  consumer c = {.queue = queue, .lane_count = producers, .shared = argument(argc, argv, "shared")};
  for (uint32_t l = 0; l < producers; l++)
    c.lanes[l] = ring_open(queue + LANES_OFFSET + (size_t)l * (SLOTS_OFFSET + (size_t)capacity * SLOT_BYTES), SLOT_BYTES, capacity);
  uint32_t each = leg / producers, total = each * (warm + legs);
  waiter w = {.sleeps = (int)argument(argc, argv, "sleep")};
  if (strcmp(argv[1], "producer") == 0) {
    uint32_t producer = argument(argc, argv, "producer");
    w.mine = bell_of(queue, 1 + producer);
    produce(&c.lanes[producer], &w, bell_of(queue, 0), burst, producer, total);
    print_producer(expected_sum(producers, total));
    return 0;
  }
  w.mine = bell_of(queue, 0);
  c.budget = LANE_BURST;
  for (uint32_t i = 0; i < warm; i++) consume(&c, &w, burst, leg);
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < legs; i++) consume(&c, &w, burst, leg);
  print_consumer((uint64_t)leg * legs, now_ns() - start, total_sum(c.sums, producers));
  return 0;
}
