// Random commands on several queues of one board, each checked byte by byte against the software models.
#pragma once

#include <cstdint>
#include <vector>

#include "host.h"
#include "models.h"

struct TrafficPlan {
  unsigned commands = 1000;
  unsigned queues = 4;
  bool errors = false;  // the bus fails at random: a command may fail with a bus status, a queue may halt
  bool resets = false;  // queues are stopped at random, in mid-burst
  double lists = 0.3;
  uint64_t seed = 1;
};

struct TrafficResult {
  uint64_t completed = 0, failed = 0, lost = 0, resets = 0, halts = 0;
};

/** Throws with a description at the first wrong byte, word, or missing completion. */
TrafficResult runTraffic(BoardProcess& board, const TrafficPlan& plan);
