/* One-way stream through the C ring: oneway producer|consumer FILE offset= words= capacity= burst= leg= warm= legs=
 * Both ends run warm + legs legs of `leg` messages; the consumer times the last `legs`. */
#include "ring.h"

typedef struct {
  uint32_t burst, sequence, sum;
} stream;

static void produce_descriptors(ring_end *ring, stream *s, uint32_t count) {
  uint32_t sequence = s->sequence, end = sequence + count;
  while (sequence != end) {
    uint32_t left = end - sequence, n = ring_reserve(ring, left < s->burst ? left : s->burst);
    uint32_t *slot = ring->at;
    for (uint32_t i = 0; i < n; i++, slot += 4, sequence++) {
      slot[0] = sequence;
      slot[1] = sequence ^ 0x5a5a5a5au;
      slot[2] = sequence + 7u;
      slot[3] = ~sequence;
    }
    if (n > 0) ring_commit(ring, n);
  }
  s->sequence = sequence;
}

static inline __attribute__((always_inline)) void produce_words(ring_end *ring, stream *s, uint32_t count, const uint32_t words) {
  uint32_t sequence = s->sequence, end = sequence + count;
  while (sequence != end) {
    uint32_t left = end - sequence, n = ring_reserve(ring, left < s->burst ? left : s->burst);
    uint32_t *slot = ring->at;
    for (uint32_t i = 0; i < n; i++, slot += words, sequence++) {
      uint32_t *payload = payloads[sequence & (MESSAGE_KINDS - 1)];
      payload[0] = sequence;
      memcpy(slot, payload, words * 4);
    }
    if (n > 0) ring_commit(ring, n);
  }
  s->sequence = sequence;
}

static inline __attribute__((always_inline)) void consume_words(ring_end *ring, stream *s, uint32_t count, const uint32_t words) {
  uint32_t sum = s->sum;
  while (count > 0) {
    uint32_t n = ring_peek(ring, count < s->burst ? count : s->burst);
    const uint32_t *word = ring->at;
    for (uint32_t i = 0; i < n * words; i++) sum = add_word(sum, word[i]);
    if (n > 0) ring_release(ring, n);
    count -= n;
  }
  s->sum = sum;
}

static void produce(ring_end *ring, stream *s, uint32_t count, uint32_t words) {
  if (words == 4) produce_descriptors(ring, s, count);
  else if (words == 16) produce_words(ring, s, count, 16);
  else produce_words(ring, s, count, 256);
}

static void consume(ring_end *ring, stream *s, uint32_t count, uint32_t words) {
  if (words == 4) consume_words(ring, s, count, 4);
  else if (words == 16) consume_words(ring, s, count, 16);
  else consume_words(ring, s, count, 256);
}

int main(int argc, char **argv) {
  uint32_t words = argument(argc, argv, "words"), leg = argument(argc, argv, "leg");
  uint32_t warm = argument(argc, argv, "warm"), legs = argument(argc, argv, "legs");
  if (words != 4 && words != 16 && words != 256) return fprintf(stderr, "words: 4, 16 or 256\n"), 2;
  uint8_t *base = map_file(argv[2], NULL);
  ring_end ring = ring_open(base + argument(argc, argv, "offset"), words * 4, argument(argc, argv, "capacity"));
  stream s = {.burst = argument(argc, argv, "burst")};
  fill_payloads();
  if (strcmp(argv[1], "producer") == 0) {
    for (uint32_t i = 0; i < warm + legs; i++) produce(&ring, &s, leg, words);
    print_producer(expected_checksum(words, leg * (warm + legs)));
    return 0;
  }
  for (uint32_t i = 0; i < warm; i++) consume(&ring, &s, leg, words);
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < legs; i++) consume(&ring, &s, leg, words);
  print_consumer((uint64_t)leg * legs, now_ns() - start, s.sum);
  return 0;
}
