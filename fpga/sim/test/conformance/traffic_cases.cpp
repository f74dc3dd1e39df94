// Random commands in all coherency modes, with bus errors, with resets; and proof that a missing call is noticed.
#include <cstdio>

#include "cases.h"
#include "traffic.h"

namespace {

void covered(const std::map<std::string, double>& numbers, const char* name, double least) {
  check::that(numbers.at(name) >= least, std::string(name) + " is " + std::to_string(numbers.at(name)) + ", at least " + std::to_string(least) + " is to be seen");
}

}  // namespace

void trafficCases(const CaseOptions& o) {
  for (const char* coherency : {"full", "io", "none"}) {
    check::run(std::string("random commands, ") + coherency, [&] {
      BoardProcess board(o.board, o.boardOptions(coherency));
      TrafficPlan plan;
      plan.commands = o.commands;
      plan.seed = o.seed;
      const TrafficResult r = runTraffic(board, plan);
      check::equal(r.completed, plan.commands, "completed");
      const auto n = board.end();
      check::equal(board.status, 0, "exit status of the board");
      check::equal(n.at("violations"), 0.0, "violations of AXI");
      // One bus write for each, two where the core splits them.
      const double writes = n.at("completionWrites") / plan.commands;
      check::that(writes == 1 || writes == 2, "completion writes per command: " + std::to_string(writes));
      check::equal(n.at("failedCommands"), 0.0, "failed commands");
      for (const char* name : {"burstsSplitAt4KiB", "partialTails", "readsOutOfOrder", "readBeatsInterleaved", "stallsAW", "stallsW", "stallsAR"}) covered(n, name, 20);
      covered(n, "maxOutstandingReadsOfOneId", 4);
      printf("        %.2f bus transactions per command, %.2f descriptor fetches, %.0f bursts split at 4 KiB, %.0f partial tails, %.0f reads outstanding, %.0f clocks\n", n.at("transactionsPerCommand"),
             n.at("descriptorFetchesPerCommand"), n.at("burstsSplitAt4KiB"), n.at("partialTails"), n.at("maxOutstandingReads"), n.at("clocks"));
    });
  }

  check::run("random commands on a bus that fails, none", [&] {
    BoardProcess board(o.board, o.boardOptions("none", {"--error-rate", "0.005"}));
    TrafficPlan plan;
    plan.commands = o.commands / 2;
    plan.errors = true;
    plan.seed = o.seed + 1;
    const TrafficResult r = runTraffic(board, plan);
    const auto n = board.end();
    check::equal(r.completed + r.failed + r.lost, plan.commands, "commands accounted for");
    check::that(r.failed >= 1, "failed: " + std::to_string(r.failed));
    check::equal(n.at("violations"), 0.0, "violations of AXI");
    for (const char* name : {"readBurstsFailed", "writeBurstsFailed"}) covered(n, name, 1);
    printf("        %llu completed, %llu failed, %llu given up in %llu halts, %.0f errors injected\n", static_cast<unsigned long long>(r.completed), static_cast<unsigned long long>(r.failed),
           static_cast<unsigned long long>(r.lost), static_cast<unsigned long long>(r.halts), n.at("errorsInjected"));
  });

  check::run("random commands with errors and resets, none", [&] {
    BoardProcess board(o.board, o.boardOptions("none", {"--error-rate", "0.003"}));
    TrafficPlan plan;
    plan.commands = o.commands / 2;
    plan.errors = plan.resets = true;
    plan.seed = o.seed + 2;
    const TrafficResult r = runTraffic(board, plan);
    check::equal(r.completed + r.failed + r.lost, plan.commands, "commands accounted for");
    check::that(r.resets >= 1, "resets: " + std::to_string(r.resets));
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
    printf("        %llu completed, %llu failed, %llu given up in %llu resets and %llu halts\n", static_cast<unsigned long long>(r.completed), static_cast<unsigned long long>(r.failed),
           static_cast<unsigned long long>(r.lost), static_cast<unsigned long long>(r.resets), static_cast<unsigned long long>(r.halts));
  });
}
