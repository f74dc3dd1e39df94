// The yardstick for the C ring: boost::lockfree::spsc_queue of 16-byte items in the same shared file, between the same processes.
// boost producer|consumer FILE offset= burst= leg= warm= legs=     BOOST_CAPACITY is fixed when it is compiled.
#include <boost/lockfree/spsc_queue.hpp>
#include "common.h"

struct item {
  uint32_t word[4];
};
using queue = boost::lockfree::spsc_queue<item, boost::lockfree::capacity<BOOST_CAPACITY>>;
static const uint32_t MAX_BURST = 32;

static item make(uint32_t sequence) { return item{{sequence, sequence ^ 0x5a5a5a5au, sequence + 7u, ~sequence}}; }

static void produce(queue &q, uint32_t burst, uint32_t sequence, uint32_t count) {
  item items[MAX_BURST];
  for (uint32_t end = sequence + count; sequence != end;) {
    if (burst == 1) {
      while (!q.push(make(sequence))) SPIN_HINT();
      sequence++;
      continue;
    }
    uint32_t n = end - sequence < burst ? end - sequence : burst, sent = 0;
    for (uint32_t i = 0; i < n; i++) items[i] = make(sequence++);
    while ((sent += static_cast<uint32_t>(q.push(items + sent, n - sent))) < n) SPIN_HINT();
  }
}

static uint32_t consume(queue &q, uint32_t burst, uint32_t sum, uint32_t count) {
  item items[MAX_BURST];
  while (count > 0) {
    uint32_t n = static_cast<uint32_t>(burst == 1 ? q.pop(items[0]) : q.pop(items, count < burst ? count : burst));
    if (n == 0) SPIN_HINT();
    for (uint32_t i = 0; i < n; i++) {
      for (uint32_t word : items[i].word) sum = add_word(sum, word);
    }
    count -= n;
  }
  return sum;
}

// FILE starts zeroed, which is this queue's empty state: all its members are zero indices and raw storage.
int main(int argc, char **argv) {
  uint32_t burst = argument(argc, argv, "burst"), leg = argument(argc, argv, "leg");
  uint32_t warm = argument(argc, argv, "warm"), legs = argument(argc, argv, "legs"), sum = 0;
  uint8_t *base = map_file(argv[2], nullptr);
  queue &q = *reinterpret_cast<queue *>(base + argument(argc, argv, "offset"));
  if (burst > MAX_BURST) return 2;
  if (strcmp(argv[1], "producer") == 0) {
    for (uint32_t i = 0; i < warm + legs; i++) produce(q, burst, i * leg, leg);
    print_producer(expected_checksum(4, leg * (warm + legs)));
    return 0;
  }
  for (uint32_t i = 0; i < warm; i++) sum = consume(q, burst, sum, leg);
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < legs; i++) sum = consume(q, burst, sum, leg);
  print_consumer(static_cast<uint64_t>(leg) * legs, now_ns() - start, sum);
  return 0;
}
