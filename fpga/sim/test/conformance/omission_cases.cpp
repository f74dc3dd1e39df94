// The tests of the tests: a host that leaves out one sync or barrier is found out (docs/PROTOCOL.md 10.9).
#include "cases.h"
#include "traffic.h"

namespace {

void mustFail(const CaseOptions& o, const char* name, const char* coherency, const char* expected, void (*leaveOut)(Omissions&)) {
  check::run(std::string("left out and noticed: ") + name + ", " + coherency, [&] {
    BoardProcess board(o.board, o.boardOptions(coherency));
    leaveOut(board.omissions);
    TrafficPlan plan;
    plan.commands = 1500;
    plan.seed = o.seed;
    std::string noticed;
    try {
      runTraffic(board, plan);
    } catch (const std::exception& error) {
      noticed = error.what();
    }
    check::that(!noticed.empty(), "1500 commands went well without it");
    check::that(noticed.find(expected) != std::string::npos, std::string("noticed otherwise than by '") + expected + "': " + noticed);
  });
}

}  // namespace

void omissionCases(const CaseOptions& o) {
  for (const char* coherency : {"io", "none"}) {
    mustFail(o, "wmb before the doorbell", coherency, "", [](Omissions& x) { x.wmb = true; });
    mustFail(o, "rmb after the validity word", coherency, "", [](Omissions& x) { x.rmb = true; });
  }
  mustFail(o, "sync of a source for the device", "none", "", [](Omissions& x) { x.syncSource = true; });
  mustFail(o, "sync of a destination for the device", "none", "byte", [](Omissions& x) { x.syncDestination = true; });
  mustFail(o, "sync of a destination for the CPU", "none", "byte", [](Omissions& x) { x.syncCpu = true; });
}
