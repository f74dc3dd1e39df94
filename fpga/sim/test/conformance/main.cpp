// Conformance of core and simulated board with docs/PROTOCOL.md section 10.
//
//   conformance BOARD [--seed N] [--commands N] [--only TEXT] [--stop-at-failure]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cases.h"
#include "check.h"

int main(int count, char** arguments) {
  if (count < 2) {
    fprintf(stderr, "usage: %s BOARD [--seed N] [--commands N] [--only TEXT] [--stop-at-failure]\n", arguments[0]);
    return 2;
  }
  CaseOptions options;
  options.board = arguments[1];
  if (!strcmp(arguments[count - 1], "--stop-at-failure")) check::stopAtFailure = true, count--;
  for (int i = 2; i + 1 < count; i += 2) {
    if (!strcmp(arguments[i], "--seed")) options.seed = strtoull(arguments[i + 1], nullptr, 0);
    else if (!strcmp(arguments[i], "--commands")) options.commands = static_cast<unsigned>(strtoul(arguments[i + 1], nullptr, 0));
    else if (!strcmp(arguments[i], "--only")) check::only = arguments[i + 1];
    else {
      fprintf(stderr, "%s: no option %s\n", arguments[0], arguments[i]);
      return 2;
    }
  }
  printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  for (void (*cases)(const CaseOptions&) : {lifeCases, malformedCases, haltCases, resetCases, interruptCases, streamCases, omissionCases, trafficCases}) cases(options);
  printf("%u passed, %u failed, 0 skipped\n", check::passed, check::failed);
  return check::failed != 0;
}
