/*
 * A peer of test/c/records.test.ts: record i has (i * 37) % 1500 bytes, byte j of it is i * 7 + j.
 *
 *     records create REGION NAME CAPACITY MODE CURSORS HISTORY     creates the region and the records, then waits for a line
 *     records produce REGION NAME COUNT BURST
 *     records consume REGION NAME COUNT HISTORY PAUSE_MS           until record COUNT - 1; PAUSE_MS once, in the middle of a record
 */
#include "physring.h"

enum { TIMEOUT_MS = 60000 };

static int check(const char *what, int status) {
  if (status >= 0) return status;
  fprintf(stderr, "%s: %s: %s\n", what, physring_error_name(status), physring_message(status));
  exit(1);
}

static uint32_t length_of(uint32_t number) { return number * 37 % 1500; }

static void fill(uint8_t *payload, uint32_t number) {
  for (uint32_t j = 0; j < length_of(number); j++) payload[j] = (uint8_t)(number * 7 + j);
}

static int is_whole(const uint8_t *payload, uint32_t length, uint32_t number) {
  int whole = length == length_of(number);
  for (uint32_t j = 0; j < length && j < length_of(number); j++) whole &= payload[j] == (uint8_t)(number * 7 + j);
  return whole;
}

static void open_region(physring_region *region, const char *name) {
  check("open", physring_region_open(region, name, TIMEOUT_MS));
  check("join", physring_join(region, "records.c"));
}

static int create(char **args) {
  physring_region region;
  physring_records_shape shape = {(uint32_t)atoi(args[2]), (uint32_t)atoi(args[4]),
                                  strcmp(args[3], "lossy") == 0 ? PHYSRING_RECORDS_LOSSY : PHYSRING_RECORDS_RELIABLE, 0,
                                  (uint32_t)atoi(args[5])};
  if (shape.mode == PHYSRING_RECORDS_LOSSY) shape.policy = PHYSRING_POLICY_DROP_OLDEST;
  check("create", physring_region_create(&region, args[0], 8 << 20, 0600));
  check("records", physring_records_create(&region, args[1], &shape));
  puts("created");
  fflush(stdout);
  (void)getchar();
  physring_region_close(&region);
  return 0;
}

static int produce(char **args) {
  physring_region region;
  physring_record_producer tx;
  uint32_t count = (uint32_t)atoi(args[2]), burst = (uint32_t)atoi(args[3]);
  open_region(&region, args[0]);
  check("attach", physring_record_producer_attach(&tx, &region, args[1]));
  for (uint32_t number = 0; number < count;) {
    void *payload;
    if (check("reserve", physring_record_reserve(&tx, 1500, &payload)) == 0) {
      if (check("wait", physring_record_producer_wait(&tx, TIMEOUT_MS)) == 0) check("full for ever", PHYSRING_ERR_SYSTEM);
      continue;
    }
    fill(payload, number);
    check("finish", physring_record_finish(&tx, length_of(number)));
    if (++number % burst == 0) physring_record_publish(&tx);
  }
  physring_record_producer_detach(&tx);
  printf("{\"sent\":%u,\"sleeps\":%llu,\"wakes\":%llu}\n", count, (unsigned long long)region.sleeps,
         (unsigned long long)region.wakes);
  physring_region_close(&region);
  return 0;
}

static int consume(char **args) {
  physring_region region;
  physring_record_consumer rx;
  uint32_t count = (uint32_t)atoi(args[2]), received = 0, torn = 0, wrong = 0, first = 0, length, pause_ms = (uint32_t)atoi(args[4]);
  int status = 0;
  open_region(&region, args[0]);
  check("attach", physring_record_consumer_attach(&rx, &region, args[1], (uint32_t)atoi(args[3])));
  puts("ready");
  fflush(stdout);
  for (uint32_t last = 0; last + 1 != count;) {
    const void *payload;
    if ((status = physring_record_next(&rx, &payload, &length)) == PHYSRING_ERR_EVICTED) break;
    if (check("next", status) == 1) {
      last = rx.sequence;
      int whole = is_whole(payload, length, rx.sequence);
      if (received == 10 && pause_ms > 0) usleep(pause_ms * 1000);
      if ((status = physring_record_intact(&rx)) < 0) break;
      if (received == 0) first = rx.sequence;
      if (status == 1) received++, wrong += !whole;
      else torn++;
      if (rx.sequence % 7 != 0) continue;
    }
    if ((status = physring_record_release(&rx)) < 0) break;
    if (physring_record_stream_end(&rx) != PHYSRING_STREAM_OPEN) break;
    if (check("wait", physring_record_consumer_wait(&rx, TIMEOUT_MS)) == 0) check("nothing for ever", PHYSRING_ERR_SYSTEM);
  }
  printf("{\"received\":%u,\"missed\":%llu,\"torn\":%u,\"wrong\":%u,\"first\":%u,\"status\":\"%s\",\"sleeps\":%llu,\"woken\":%llu}\n",
         received, (unsigned long long)rx.missed, torn, wrong, first, physring_error_name(status),
         (unsigned long long)region.sleeps, (unsigned long long)region.woken);
  physring_record_consumer_detach(&rx);
  physring_region_close(&region);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 8 && strcmp(argv[1], "create") == 0) return create(argv + 2);
  if (argc == 6 && strcmp(argv[1], "produce") == 0) return produce(argv + 2);
  if (argc == 7 && strcmp(argv[1], "consume") == 0) return consume(argv + 2);
  return fprintf(stderr, "records create|produce|consume ...\n"), 2;
}
