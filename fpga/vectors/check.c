/*
 * The C header against the shared vectors: builds every descriptor and completion through the structures and constants of
 * physring_fpga.h and compares with the words of commands.hex (argument 1). Prints what passed.
 */
#include <stdio.h>
#include <string.h>

#include "../../include/physring_fpga.h"
#include "commands.h"

enum { HEADER_WORDS = 32, MAX_WORDS = 8192, DESCRIPTOR_WORDS = 16, COMPLETION_WORDS = 8 };

/* Words of a $readmemh file: hexadecimal, comments from two slashes to the end of the line. */
static size_t read_words(FILE *file, uint32_t *words) {
  char line[512];
  size_t count = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    unsigned value;
    int used;
    const char *at = line;
    while (strncmp(at, "//", 2) != 0 && count < MAX_WORDS && sscanf(at, "%x%n", &value, &used) == 1) {
      words[count++] = value;
      at += used;
      at += strspn(at, " \n");
    }
  }
  return count;
}

int main(int argc, char **argv) {
  static uint32_t words[MAX_WORDS];
  FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
  if (file == NULL) {
    fprintf(stderr, "usage: check commands.hex\n");
    return 2;
  }
  const size_t total = read_words(file, words), count = sizeof vectors / sizeof *vectors;
  fclose(file);
  unsigned passed = 0, failed = 0;
  if (total != HEADER_WORDS + count * (DESCRIPTOR_WORDS + COMPLETION_WORDS) || words[1] != count || words[3] != VECTOR_EPOCH) {
    printf("commands.hex and commands.h are of different versions\n");
    failed++;
  }
  for (size_t i = 0; i < count && failed == 0; i++) {
    const uint32_t *expected = words + HEADER_WORDS + i * (DESCRIPTOR_WORDS + COMPLETION_WORDS);
    struct vector v = vectors[i];
    v.descriptor.validity = physring_fpga_validity(VECTOR_EPOCH, (uint32_t)i, VECTOR_CAPACITY_LOG2);
    v.completion.validity = v.descriptor.validity;
    if (memcmp(&v.descriptor, expected, sizeof v.descriptor) == 0 &&
        memcmp(&v.completion, expected + DESCRIPTOR_WORDS, sizeof v.completion) == 0)
      passed++;
    else {
      printf("vector %zu differs\n", i);
      failed++;
    }
  }
  printf("%u passed, %u failed\n", passed, failed);
  return failed != 0;
}
