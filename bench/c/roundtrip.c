/* 64-byte round trips: roundtrip ping|pong FILE offset= back= capacity= mode= idleUs= warm= count=
 * mode 0 spin, 1 spin for 20 us then futex, 2 event loop (epoll on an eventfd).
 * ping prints one line: its checksum, the time of all trips and the percentiles of their latencies in nanoseconds. */
#include "doorbell.h"
#include "ring.h"

enum { WORDS = 16, SPIN = 0, SPIN_THEN_FUTEX = 1, EVENT_LOOP = 2 };

typedef struct {
  ring_end out, in;
  doorbell bell;
  uint32_t sum;
} peer;

static int spin_until(ring_end *in, uint64_t deadline_ns) {
  for (;;) {
    for (int i = 0; i < SPINS_PER_CLOCK_READ; i++) {
      if (ring_peek(in, 1) > 0) return 1;
    }
    if (now_ns() >= deadline_ns) return 0;
  }
}

static inline __attribute__((always_inline)) void await_message(peer *p, const int mode) {
  if (mode == SPIN) {
    while (ring_peek(&p->in, 1) == 0) continue;
    return;
  }
  if (ring_peek(&p->in, 1) > 0) return;
  if (mode == SPIN_THEN_FUTEX && spin_until(&p->in, now_ns() + SPIN_NS)) return;
  do {
    DOORBELL_ARM(&p->bell, mode == EVENT_LOOP ? ASLEEP_EVENT_LOOP : ASLEEP_FUTEX);
    if (ring_peek(&p->in, 1) == 0) (mode == EVENT_LOOP ? event_loop_sleep : futex_sleep)(&p->bell);
    DOORBELL_DISARM(&p->bell);
  } while (ring_peek(&p->in, 1) == 0);
}

static inline __attribute__((always_inline)) void send_message(peer *p, const uint32_t *message, const int mode) {
  while (ring_reserve(&p->out, 1) == 0) continue;
  memcpy(p->out.at, message, WORDS * 4);
  ring_commit(&p->out, 1);
  if (mode != SPIN) doorbell_ring(&p->bell);
}

static inline __attribute__((always_inline)) void receive_message(peer *p, uint32_t *message, const int mode) {
  await_message(p, mode);
  memcpy(message, p->in.at, WORDS * 4);
  ring_release(&p->in, 1);
  if (mode != SPIN) doorbell_ring(&p->bell);
}

/* Checked outside the timed path: the trip is copy, publish, see, copy; not arithmetic. */
static inline void add_message(peer *p, const uint32_t *message) {
  uint32_t sum = p->sum;
  for (int k = 0; k < WORDS; k++) sum = add_word(sum, message[k]);
  p->sum = sum;
}

static inline __attribute__((always_inline)) void ping(peer *p, uint32_t from, uint32_t count, uint32_t idle_us, uint32_t *latencies, const int mode) {
  uint32_t reply[WORDS];
  uint64_t before = now_ns();
  for (uint32_t i = 0; i < count; i++) {
    uint32_t *message = payloads[(from + i) & (MESSAGE_KINDS - 1)];
    message[0] = from + i;
    if (idle_us > 0) {
      usleep(idle_us);
      before = now_ns();
    }
    send_message(p, message, mode);
    receive_message(p, reply, mode);
    uint64_t after = now_ns();
    if (latencies != NULL) latencies[i] = (uint32_t)(after - before);
    add_message(p, reply);
    before = now_ns();
  }
}

static inline __attribute__((always_inline)) void pong(peer *p, uint32_t count, const int mode) {
  uint32_t message[WORDS];
  for (uint32_t i = 0; i < count; i++) {
    receive_message(p, message, mode);
    send_message(p, message, mode);
    add_message(p, message);
  }
}

static void run_ping(peer *p, uint32_t from, uint32_t count, uint32_t idle_us, uint32_t *latencies, int mode) {
  if (mode == SPIN) ping(p, from, count, 0, latencies, SPIN);
  else if (mode == SPIN_THEN_FUTEX) ping(p, from, count, idle_us, latencies, SPIN_THEN_FUTEX);
  else ping(p, from, count, idle_us, latencies, EVENT_LOOP);
}

static void run_pong(peer *p, uint32_t count, int mode) {
  if (mode == SPIN) pong(p, count, SPIN);
  else if (mode == SPIN_THEN_FUTEX) pong(p, count, SPIN_THEN_FUTEX);
  else pong(p, count, EVENT_LOOP);
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* Mean of the trips ranked 45 to 55 %: the clock ticks in steps of 10 ns on some machines. */
static double middle(const uint32_t *sorted, uint32_t count) {
  uint32_t from = (uint32_t)((uint64_t)count * 45 / 100), to = (uint32_t)(((uint64_t)count * 55 + 99) / 100);
  double sum = 0;
  for (uint32_t i = from; i < to; i++) sum += sorted[i];
  return sum / (to - from);
}

int main(int argc, char **argv) {
  int is_ping = strcmp(argv[1], "ping") == 0, mode = (int)argument(argc, argv, "mode");
  uint32_t warm = argument(argc, argv, "warm"), count = argument(argc, argv, "count");
  uint32_t capacity = argument(argc, argv, "capacity"), there = argument(argc, argv, "offset"), back = argument(argc, argv, "back");
  uint8_t *base = map_file(argv[2], NULL);
  peer p = {.out = ring_open(base + (is_ping ? there : back), WORDS * 4, capacity),
            .in = ring_open(base + (is_ping ? back : there), WORDS * 4, capacity),
            .bell = doorbell_open(base, argv[2], is_ping)};
  fill_payloads();
  if (!is_ping) {
    run_pong(&p, warm + count, mode);
    print_producer(p.sum);
    return 0;
  }
  uint32_t idle_us = argument(argc, argv, "idleUs"), *latencies = malloc(sizeof *latencies * count);
  if (latencies == NULL) fail("malloc");
  run_ping(&p, 0, warm, idle_us, NULL, mode);
  uint64_t start = now_ns();
  run_ping(&p, warm, count, idle_us, latencies, mode);
  uint64_t elapsed = now_ns() - start;
  qsort(latencies, count, sizeof *latencies, ascending);
  printf("{\"messages\":%u,\"ns\":%llu,\"checksum\":%u,\"expected\":%u,\"latency\":{\"p50\":%.2f,\"p99\":%u,\"p999\":%u}}\n", count,
         (unsigned long long)elapsed, p.sum, expected_checksum(WORDS, warm + count), middle(latencies, count),
         latencies[(uint64_t)count * 99 / 100], latencies[(uint64_t)count * 999 / 1000]);
  return 0;
}
