// The cases by topic; each file of cases holds one of these functions.
#pragma once

#include <cstdint>
#include <string>

struct CaseOptions {
  std::string board;
  uint64_t seed = 1;
  unsigned commands = 3000;  // of random traffic, for each coherency mode
};

void trafficCases(const CaseOptions& options);
