/*
 * directory REGION PREFIX N [stay]: creates the rings PREFIX-0 ... PREFIX-(N-1), of different sizes, and prints the
 * status of the last one. With `stay` it says "ready" and keeps the region open, not joined, until its input ends.
 */
#include "physring.h"

int main(int argc, char **argv) {
  physring_region region;
  int status = PHYSRING_ERR_ARGUMENT;
  if (argc >= 4) status = physring_region_open(&region, argv[1], 1000);
  for (int i = 0; status == 0 && i < atoi(argv[3]); i++) {
    char name[64];
    snprintf(name, sizeof name, "%s-%d", argv[2], i);
    status = physring_ring_create(&region, name, 16u << i % 3, 256u >> i % 8);
  }
  if (status == 0 && argc > 4) {
    puts("ready");
    fflush(stdout);
    getchar();
  }
  puts(physring_error_name(status));
  return 0;
}
