// What halts a queue, that it stays halted, and that a stop makes it whole again (docs/PROTOCOL.md 10.4, 10.6).
#include "cases.h"

namespace {

/** Halted with this code; nothing happens until a stop; then the queue works as ever. */
void expectHalt(HostQueue& q, uint32_t code) {
  check::that(eventually([&] { return q.state() == q.stateOf(PHYSRING_FPGA_HALTED); }), "the queue does not halt, state " + std::to_string(q.state()));
  check::equal(q.reg(PHYSRING_FPGA_REG_HALT_CODE), code, "halt code");
  const auto idle = q.stop();
  check::that(idle.has_value(), "the halted queue does not stop");
  q.overrides.clear();
  startRunning(q);
  checkCopies(q);
  check::that(q.stop().has_value(), "the queue does not stop");
}

void expectConfigHalt(HostQueue& q, const char* what, const std::map<uint32_t, uint32_t>& overrides) {
  q.overrides = overrides;
  const uint32_t state = q.start();
  check::equal(state, q.stateOf(PHYSRING_FPGA_HALTED), std::string(what) + ": state");
  check::equal(q.reg(PHYSRING_FPGA_REG_HALT_CODE), static_cast<uint32_t>(PHYSRING_FPGA_HALT_CONFIG), std::string(what) + ": halt code");
  check::that(q.stop().has_value(), std::string(what) + ": the halted queue does not stop");
  q.overrides.clear();
}

}  // namespace

void haltCases(const CaseOptions& o) {
  check::run("halts by code", [&] {
    // Queue 2: the fourth descriptor cannot be read; queue 3: the third completion cannot be written. k = 3.
    const uint64_t stride = BoardProcess::kQueueBytes / 4, completions = 64 << 3;
    BoardProcess board(o.board, o.boardOptions("io", {"--fault", "slverr:1:" + std::to_string(2 * stride + 3 * 64) + ":64", "--fault", "decerr:1:" + std::to_string(3 * stride + completions + 2 * 32) + ":32"}));
    HostQueue q(board, 0, 3);
    startRunning(q);
    const auto nop = command(PHYSRING_FPGA_NOP, 9, 0, 0, 0);
    q.submit(nop);
    q.submitted++;  // announced, never written
    q.ring();
    expectHalt(q, PHYSRING_FPGA_HALT_STALE);

    startRunning(q);
    q.setReg(PHYSRING_FPGA_REG_SQ_TAIL, q.capacity() + 1);
    expectHalt(q, PHYSRING_FPGA_HALT_SQ_TAIL);

    startRunning(q);
    q.submit(nop);
    q.reaped = 0u - q.capacity() - 1;  // far behind
    q.ring();
    expectHalt(q, PHYSRING_FPGA_HALT_CQ_HEAD);

    HostQueue fetch(board, 2, 3);
    startRunning(fetch);
    for (unsigned i = 0; i < 3; i++) check::equal(statusOf(runOne(fetch, nop)), 0u, "status before the bad slot");
    fetch.submit(nop);
    fetch.ring();
    check::that(!fetch.wait().has_value(), "a completion of a descriptor that could not be read");
    check::equal(fetch.reg(PHYSRING_FPGA_REG_HALT_CODE), static_cast<uint32_t>(PHYSRING_FPGA_HALT_FETCH), "halt code");
    check::equal(fetch.state(), fetch.stateOf(PHYSRING_FPGA_HALTED), "state");

    HostQueue complete(board, 3, 3);
    startRunning(complete);
    for (unsigned i = 0; i < 2; i++) check::equal(statusOf(runOne(complete, nop)), 0u, "status before the bad entry");
    complete.submit(nop);
    complete.ring();
    check::that(eventually([&] { return complete.state() == complete.stateOf(PHYSRING_FPGA_HALTED); }), "the queue does not halt");
    check::equal(complete.reg(PHYSRING_FPGA_REG_HALT_CODE), static_cast<uint32_t>(PHYSRING_FPGA_HALT_COMPLETE), "halt code");
    // One queue's halt is not another's.
    startRunning(q);
    checkCopies(q);
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
  });

  check::run("configurations that are refused", [&] {
    BoardProcess board(o.board, o.boardOptions("full"));
    HostQueue q(board, 1, 3);
    const uint32_t base = static_cast<uint32_t>(board.base(1)), sq = static_cast<uint32_t>(q.sqBase()), cq = static_cast<uint32_t>(q.cqBase());
    expectConfigHalt(q, "k = 0", {{PHYSRING_FPGA_REG_CAPACITY_LOG2, 0}});
    expectConfigHalt(q, "k = 13", {{PHYSRING_FPGA_REG_CAPACITY_LOG2, 13}});
    expectConfigHalt(q, "k = 2^31", {{PHYSRING_FPGA_REG_CAPACITY_LOG2, 1u << 31}});
    expectConfigHalt(q, "sqBase + 32", {{PHYSRING_FPGA_REG_SQ_BASE, sq + 32}});
    expectConfigHalt(q, "cqBase + 8", {{PHYSRING_FPGA_REG_CQ_BASE, cq + 8}});
    expectConfigHalt(q, "sqBase below the window", {{PHYSRING_FPGA_REG_SQ_BASE, base - 64}});
    expectConfigHalt(q, "cqBase in another 4 GiB", {{PHYSRING_FPGA_REG_CQ_BASE + 4, 1}});
    expectConfigHalt(q, "window ends in the completion ring", {{PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT, cq + (32 << 3) - 1}, {PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT + 4, static_cast<uint32_t>(q.cqBase() >> 32)}});
    expectConfigHalt(q, "queue window upside down", {{PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT, 0}, {PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT + 4, 0}});
    expectConfigHalt(q, "data window upside down", {{PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT, 0}, {PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT + 4, 0}});
    q.epoch = PHYSRING_FPGA_MAX_EPOCH + 1;  // start() counts on from it: any
    q.setReg(PHYSRING_FPGA_REG_CONTROL, PHYSRING_FPGA_CONTROL_ENABLE);  // epoch 0
    check::that(eventually([&] { return q.state() == PHYSRING_FPGA_HALTED; }), "epoch 0 does not halt");
    check::equal(q.reg(PHYSRING_FPGA_REG_HALT_CODE), static_cast<uint32_t>(PHYSRING_FPGA_HALT_CONFIG), "epoch 0: halt code");
    q.epoch = 0;
    check::that(q.stop().has_value(), "the queue of epoch 0 does not stop");
    startRunning(q);
    checkCopies(q);
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
  });
}
