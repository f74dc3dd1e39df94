/* 64-byte records through physring_records.h: records producer|consumer REGION leg= warm= legs= burst= readers= reader= sleep=
 * All ends run warm + legs legs of `leg` records; reader 0 times the last `legs`. sleep=1: waits spin 20 us, then sleep. */
#include "../../include/physring.h"
#include "common.h"

enum { WORDS = 16 };

static void must(int status) {
  if (status < 0) fprintf(stderr, "%s\n", physring_message(status)), exit(2);
}

static void produce(physring_record_producer *tx, uint32_t from, uint32_t count, uint32_t burst, int sleep) {
  void *payload;
  for (uint32_t sequence = from; sequence != from + count;) {
    for (uint32_t i = 0; i < burst; i++, sequence++) {
      while (physring_record_reserve(tx, WORDS * 4, &payload) != 1) {
        if (sleep) must(physring_record_producer_wait(tx, -1));
        else SPIN_HINT();
      }
      uint32_t *words = payloads[sequence & (MESSAGE_KINDS - 1)];
      words[0] = sequence;
      memcpy(payload, words, WORDS * 4);
      physring_record_finish(tx, WORDS * 4);
    }
    physring_record_publish(tx);
  }
}

static uint32_t consume(physring_record_consumer *rx, uint32_t sum, uint32_t count, uint32_t burst, int sleep) {
  const void *payload;
  uint32_t length;
  while (count > 0) {
    uint32_t n = 0;
    int status = 0;
    for (; n < burst && n < count && (status = physring_record_next(rx, &payload, &length)) == 1; n++) {
      const uint32_t *words = (const uint32_t *)payload;
      for (uint32_t i = 0; i < WORDS; i++) sum = add_word(sum, words[i]);
    }
    must(status);
    if (n > 0) must(physring_record_release(rx));
    else if (sleep) must(physring_record_consumer_wait(rx, -1));
    else SPIN_HINT();
    count -= n;
  }
  return sum;
}

static uint32_t attached(const physring_records *records) {
  uint32_t count = 0;
  for (uint32_t k = 0; k < records->cursor_count; k++) count += physring_receiver_(physring_load_acquire_(&records->cursors[k].owner)) >= 0;
  return count;
}

int main(int argc, char **argv) {
  uint32_t leg = argument(argc, argv, "leg"), warm = argument(argc, argv, "warm"), legs = argument(argc, argv, "legs");
  uint32_t burst = argument(argc, argv, "burst"), readers = argument(argc, argv, "readers");
  int sleep = (int)argument(argc, argv, "sleep");
  physring_region region;
  fill_payloads();
  must(physring_region_open(&region, argv[2], 10000));
  must(physring_join(&region, "bench"));
  if (strcmp(argv[1], "producer") == 0) {
    physring_record_producer tx;
    must(physring_record_producer_attach(&tx, &region, "records"));
    while (attached(&tx.records) < readers) usleep(100);
    produce(&tx, 0, leg * (warm + legs), burst, sleep);
    print_producer(expected_checksum(WORDS, leg * (warm + legs)));
    while (attached(&tx.records) > 0) usleep(100);
  } else {
    physring_record_consumer rx;
    must(physring_record_consumer_attach(&rx, &region, "records", 0));
    uint32_t sum = consume(&rx, 0, leg * warm, burst, sleep);
    uint64_t start = now_ns();
    sum = consume(&rx, sum, leg * legs, burst, sleep);
    uint64_t ns = now_ns() - start;
    if (argument(argc, argv, "reader") == 0) print_consumer((uint64_t)leg * legs * readers, ns, sum);
    else print_producer(sum);
    physring_record_consumer_detach(&rx);
  }
  physring_region_close(&region);
  return 0;
}
