/* DPDK's rte_ring, multi-producer and multi-consumer, bursts of 16-byte elements, in a file that two processes map (rte_ring_init needs no EAL):
 * rte producer|consumer FILE capacity= burst= leg= warm= legs= */
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdatomic.h>
#include "queue.h"

enum { ELEMENT_BYTES = 16, RING_OFFSET = 4096, MOST_BURST = 64 };

static void produce(struct rte_ring *ring, uint32_t burst, uint32_t count) {
  uint32_t messages[MOST_BURST * 4];
  for (uint32_t sequence = 0; sequence != count;) {
    uint32_t n = count - sequence < burst ? count - sequence : burst;
    for (uint32_t i = 0; i < n; i++) write_descriptor(messages + 4 * i, sequence + i);
    for (uint32_t sent = 0; sent < n;) {
      uint32_t done = rte_ring_mp_enqueue_burst_elem(ring, messages + 4 * sent, ELEMENT_BYTES, n - sent, NULL);
      if (done == 0) SPIN_HINT();
      sent += done;
    }
    sequence += n;
  }
}

static void consume(struct rte_ring *ring, uint32_t burst, uint32_t count, uint32_t *sums) {
  uint32_t messages[MOST_BURST * 4];
  while (count > 0) {
    uint32_t n = rte_ring_mc_dequeue_burst_elem(ring, messages, ELEMENT_BYTES, count < burst ? count : burst, NULL);
    if (n == 0) SPIN_HINT();
    add_descriptors(sums, messages, n);
    count -= n;
  }
}

int main(int argc, char **argv) {
  uint32_t leg = argument(argc, argv, "leg"), warm = argument(argc, argv, "warm"), legs = argument(argc, argv, "legs");
  uint32_t capacity = argument(argc, argv, "capacity"), burst = argument(argc, argv, "burst"), sums[MOST_PRODUCERS] = {0};
  uint8_t *base = map_file(argv[2], NULL);
  _Atomic uint32_t *ready = (_Atomic uint32_t *)base;
  struct rte_ring *ring = (struct rte_ring *)(base + RING_OFFSET);
  if (burst > MOST_BURST) return 2;
  if (strcmp(argv[1], "producer") == 0) {
    /* Exactly `capacity` elements, as in the others. */
    if (rte_ring_init(ring, "bench", capacity, RING_F_EXACT_SZ) != 0) return fprintf(stderr, "rte_ring_init\n"), 2;
    atomic_store(ready, 1);
    produce(ring, burst, leg * (warm + legs));
    print_producer(expected_sum(1, leg * (warm + legs)));
    return 0;
  }
  while (atomic_load(ready) == 0) SPIN_HINT();
  for (uint32_t i = 0; i < warm; i++) consume(ring, burst, leg, sums);
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < legs; i++) consume(ring, burst, leg, sums);
  print_consumer((uint64_t)leg * legs, now_ns() - start, total_sum(sums, 1));
  return 0;
}
