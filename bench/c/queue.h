/* Messages of the queue benchmark: a descriptor names its producer in the high bits of its sequence number, and the consumer keeps a checksum
 * for each producer (../peers/queue-stream.ts does the same arithmetic). */
#pragma once
#include "common.h"

enum { MOST_PRODUCERS = 4, PRODUCER_SHIFT = 28 };

static inline void write_descriptor(uint32_t *slot, uint32_t sequence) {
  slot[0] = sequence;
  slot[1] = sequence ^ 0x5a5a5a5au;
  slot[2] = sequence + 7u;
  slot[3] = ~sequence;
}

static inline void add_descriptors(uint32_t *sums, const uint32_t *word, uint32_t count) {
  for (uint32_t i = 0; i < count; i++, word += 4) {
    uint32_t *sum = &sums[(word[0] >> PRODUCER_SHIFT) % MOST_PRODUCERS];
    *sum = add_word(add_word(add_word(add_word(*sum, word[0]), word[1]), word[2]), word[3]);
  }
}

static inline uint32_t total_sum(const uint32_t *sums, uint32_t producers) {
  uint32_t total = 0;
  for (uint32_t p = 0; p < producers; p++) total = add_word(total, sums[p]);
  return total;
}

/* What the consumer must have when each producer has sent `each` messages. */
static inline uint32_t expected_sum(uint32_t producers, uint32_t each) {
  uint32_t sums[MOST_PRODUCERS] = {0};
  for (uint32_t p = 0; p < producers; p++) {
    for (uint32_t i = 0; i < each; i++) {
      uint32_t slot[4];
      write_descriptor(slot, (p << PRODUCER_SHIFT) + i);
      add_descriptors(sums, slot, 1);
    }
  }
  return total_sum(sums, producers);
}
