/*
 * Receives COUNT descriptors from a ring, checks every word, and prints a checksum as JSON. Exit code 1 when a word
 * was wrong.
 *
 *     cc -O2 -std=c11 -Iinclude -Iexamples/c examples/c/consumer.c -o consumer
 *     ./consumer REGION RING COUNT [options]
 */
#include "pattern.h"

/* Waits in short steps so that a signal or a dead producer ends it. */
static void wait_for_slots(physring_consumer *consumer, const pattern_options *options) {
  for (int waited_ms = 0; !pattern_stopped; waited_ms += PATTERN_STEP_MS) {
    if (pattern_check("wait", physring_consumer_wait(consumer, PATTERN_STEP_MS)) > 0) return;
    if (waited_ms >= options->timeout_ms)
      pattern_exit("TIMEOUT",
                   physring_consumer_peer(consumer) == PHYSRING_PEER_ALIVE ? "wait" : "wait for a peer");
  }
}

static void attach(physring_consumer *consumer, physring_region *region, const pattern_options *options) {
  int64_t deadline_ns = physring_deadline_ns_(options->timeout_ms);
  for (;;) {
    int status = physring_consumer_attach(consumer, region, options->ring);
    if (status >= 0) return;
    if (!pattern_passing(status) || physring_now_ns_() >= deadline_ns) pattern_fail("attach", status);
    pattern_nap(1);
  }
}

int main(int argc, char **argv) {
  pattern_options options = pattern_parse(argc, argv);
  physring_region region;
  physring_consumer consumer;
  uint64_t received = 0, wrong = 0;
  uint32_t sum = 0;
  pattern_open(&options, &region);
  attach(&consumer, &region, &options);
  const uint32_t first = consumer.head;
  while (received < options.count && !pattern_stopped) {
    const void *slots;
    uint64_t left = options.count - received;
    uint32_t wanted = left < options.burst ? (uint32_t)left : options.burst;
    uint32_t count = (uint32_t)pattern_check("peek", physring_peek(&consumer, wanted, &slots));
    if (count == 0) {
      wait_for_slots(&consumer, &options);
      continue;
    }
    for (uint32_t i = 0; i < count; i++) {
      physring_descriptor descriptor =
          physring_read_descriptor((const char *)slots + (size_t)i * consumer.ring.slot_bytes);
      physring_descriptor expected = pattern_descriptor(first + (uint32_t)received + i, region.size_bytes);
      int reachable =
          physring_bytes(&region, physring_descriptor_offset(&descriptor), descriptor.length) != NULL;
      if (!reachable || memcmp(&descriptor, &expected, sizeof descriptor) != 0) {
        wrong++;
        physring_reject(&consumer);
      }
      sum = pattern_checksum(sum, &descriptor);
    }
    pattern_check("release", physring_release(&consumer, count));
    if (options.pause_every > 0 && (received + count) / options.pause_every != received / options.pause_every)
      pattern_nap(options.pause_ms);
    received += count;
  }
  printf(
      "{\"role\":\"consumer\",\"count\":%llu,\"first\":%u,\"checksum\":%u,"
      "\"wrong\":%llu,\"sleeps\":%llu,\"woken\":%llu,\"wakes\":%llu,\"participant\":%d}\n",
      (unsigned long long)received, first, sum, (unsigned long long)wrong, (unsigned long long)region.sleeps,
      (unsigned long long)region.woken, (unsigned long long)region.wakes, region.participant);
  physring_region_close(&region);
  return wrong > 0 ? 1 : 0;
}
