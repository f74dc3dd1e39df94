/* Frames filled and read in place: frames producer|consumer FILE offset= blocks= frameBytes= capacity= leg= warm= legs=
 * A ring of descriptors, as many blocks as the ring has slots: a reserved slot means that its block is free.
 * The producer fills a frame with one value and a marker as its last byte; the consumer scans for the marker (so every byte is read) and adds
 * the place where it was found and one word of each page to the checksum. */
#include "ring.h"

enum { PAGE_WORDS = 1024 };

static uint8_t fill_value(uint32_t sequence) { return (uint8_t)(sequence & 0x7f); }
static uint8_t marker(uint32_t sequence) { return (uint8_t)(0x80 | ((sequence * 5u) & 0x7f)); }

static void produce(ring_end *ring, uint8_t *blocks, uint32_t frame_bytes, uint32_t from, uint32_t count) {
  for (uint32_t sequence = from; sequence != from + count; sequence++) {
    while (ring_reserve(ring, 1) == 0) continue;
    uint32_t offset = (sequence & ring->mask) * frame_bytes;
    memset(blocks + offset, fill_value(sequence), frame_bytes);
    blocks[offset + frame_bytes - 1] = marker(sequence);
    ring->at[0] = offset;
    ring->at[1] = 0;
    ring->at[2] = frame_bytes;
    ring->at[3] = sequence;
    ring_commit(ring, 1);
  }
}

static uint32_t consume(ring_end *ring, const uint8_t *blocks, uint32_t sum, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    while (ring_peek(ring, 1) == 0) continue;
    uint32_t offset = ring->at[0], length = ring->at[2], sequence = ring->at[3];
    const uint8_t *frame = blocks + offset, *found = memchr(frame, marker(sequence), length);
    sum = add_word(sum, found == NULL ? 0xffffffffu : (uint32_t)(found - frame));
    for (uint32_t word = 0; word < length / 4; word += PAGE_WORDS) sum = add_word(sum, ((const uint32_t *)frame)[word]);
    ring_release(ring, 1);
  }
  return sum;
}

static uint32_t expected(uint32_t frame_bytes, uint32_t count) {
  uint32_t sum = 0;
  for (uint32_t sequence = 0; sequence < count; sequence++) {
    sum = add_word(sum, frame_bytes - 1);
    for (uint32_t word = 0; word < frame_bytes / 4; word += PAGE_WORDS) sum = add_word(sum, fill_value(sequence) * 0x01010101u);
  }
  return sum;
}

int main(int argc, char **argv) {
  uint32_t frame_bytes = argument(argc, argv, "frameBytes"), leg = argument(argc, argv, "leg");
  uint32_t warm = argument(argc, argv, "warm"), legs = argument(argc, argv, "legs"), sum = 0;
  uint8_t *base = map_file(argv[2], NULL), *blocks = base + argument(argc, argv, "blocks");
  ring_end ring = ring_open(base + argument(argc, argv, "offset"), 16, argument(argc, argv, "capacity"));
  if (strcmp(argv[1], "producer") == 0) {
    for (uint32_t i = 0; i < warm + legs; i++) produce(&ring, blocks, frame_bytes, i * leg, leg);
    print_producer(expected(frame_bytes, leg * (warm + legs)));
    return 0;
  }
  for (uint32_t i = 0; i < warm; i++) sum = consume(&ring, blocks, sum, leg);
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < legs; i++) sum = consume(&ring, blocks, sum, leg);
  print_consumer((uint64_t)leg * legs, now_ns() - start, sum);
  return 0;
}
