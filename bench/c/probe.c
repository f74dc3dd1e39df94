/* Cache-line ping-pong between two processes: probe ping|pong FILE count=
 * ping prints the mean round trip in nanoseconds. One word each way, 128 bytes apart. */
#include <stdatomic.h>
#include "common.h"

int main(int argc, char **argv) {
  uint32_t count = argument(argc, argv, "count");
  uint8_t *base = map_file(argv[2], NULL);
  _Atomic uint32_t *there = (_Atomic uint32_t *)base, *back = (_Atomic uint32_t *)(base + 128);
  int is_ping = strcmp(argv[1], "ping") == 0;
  uint64_t start = 0;
  for (uint32_t i = 1; i <= count; i++) {
    if (is_ping) {
      atomic_store_explicit(there, i, memory_order_release);
      while (atomic_load_explicit(back, memory_order_acquire) != i) continue;
      if (i == count / 10) start = now_ns(); /* the first tenth waits for the other process */
    } else {
      while (atomic_load_explicit(there, memory_order_acquire) != i) continue;
      atomic_store_explicit(back, i, memory_order_release);
    }
  }
  if (!is_ping) printf("{\"roundTripNs\":0}\n");
  if (is_ping) printf("{\"roundTripNs\":%.1f}\n", (double)(now_ns() - start) / (double)(count - count / 10));
  return 0;
}
