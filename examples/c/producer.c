/*
 * Sends COUNT descriptors through a ring and prints a checksum as JSON.
 *
 *     cc -O2 -std=c11 -Iinclude -Iexamples/c examples/c/producer.c -o producer
 *     ./producer REGION RING COUNT [options]
 */
#include "pattern.h"

/* Waits in short steps so that a signal or a dead consumer ends it. */
static void wait_for_room(physring_producer *producer, const pattern_options *options) {
  for (int waited_ms = 0; !pattern_stopped; waited_ms += PATTERN_STEP_MS) {
    if (pattern_check("wait", physring_producer_wait(producer, PATTERN_STEP_MS)) > 0) return;
    if (waited_ms >= options->timeout_ms)
      pattern_exit("TIMEOUT",
                   physring_producer_peer(producer) == PHYSRING_PEER_ALIVE ? "wait" : "wait for a peer");
  }
}

static void attach(physring_producer *producer, physring_region *region, const pattern_options *options) {
  int64_t deadline_ns = physring_deadline_ns_(options->timeout_ms);
  for (;;) {
    int status = physring_producer_attach(producer, region, options->ring);
    if (status >= 0) return;
    if (!pattern_passing(status) || physring_now_ns_() >= deadline_ns) pattern_fail("attach", status);
    pattern_nap(1);
  }
}

int main(int argc, char **argv) {
  pattern_options options = pattern_parse(argc, argv);
  physring_region region;
  physring_producer producer;
  uint64_t sent = 0;
  uint32_t sum = 0;
  pattern_open(&options, &region);
  attach(&producer, &region, &options);
  const uint32_t first = producer.tail;
  while (sent < options.count && !pattern_stopped) {
    void *slots;
    uint64_t left = options.count - sent;
    uint32_t wanted = left < options.burst ? (uint32_t)left : options.burst;
    uint32_t count = (uint32_t)pattern_check("reserve", physring_reserve(&producer, wanted, &slots));
    if (count == 0) {
      wait_for_room(&producer, &options);
      continue;
    }
    for (uint32_t i = 0; i < count; i++) {
      physring_descriptor descriptor = pattern_descriptor(first + (uint32_t)sent + i, region.size_bytes);
      memcpy((char *)slots + (size_t)i * producer.ring.slot_bytes, &descriptor, sizeof descriptor);
      sum = pattern_checksum(sum, &descriptor);
    }
    pattern_check("commit", physring_commit(&producer, count));
    if (options.pause_every > 0 && (sent + count) / options.pause_every != sent / options.pause_every)
      pattern_nap(options.pause_ms);
    sent += count;
  }
  printf(
      "{\"role\":\"producer\",\"count\":%llu,\"first\":%u,\"checksum\":%u,"
      "\"sleeps\":%llu,\"woken\":%llu,\"wakes\":%llu,\"participant\":%d}\n",
      (unsigned long long)sent, first, sum, (unsigned long long)region.sleeps,
      (unsigned long long)region.woken, (unsigned long long)region.wakes, region.participant);
  physring_region_close(&region);
  return 0;
}
