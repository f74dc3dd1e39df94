// Paced commands: SOURCE and SINK (docs/PROTOCOL.md 10.7).
#include "cases.h"
#include "models.h"

namespace {

constexpr uint32_t kPace = 20000;  // clocks
constexpr uint32_t kFrame = 5000, kSeed = 0x1234567;
constexpr uint64_t kBlock = 8192;

/** A block for each frame: they complete in any order, so the ring's slots say nothing about blocks. */
uint64_t blockOf(uint32_t index) { return index % 32 * kBlock; }

void submitFrame(HostQueue& q) {
  const uint64_t at = blockOf(q.submitted);
  q.board.syncForDevice(q.queue, 0, at, kBlock);
  q.submit(command(PHYSRING_FPGA_SOURCE, q.submitted, 0, q.board.base(0) + at, kFrame, kSeed));
}

/** Waits for the next frame and compares its bytes; its sequence. */
uint32_t takeFrame(HostQueue& q) {
  const auto c = q.wait();
  check::that(c.has_value(), "no frame");
  check::equal(statusOf(*c), 0u, "status");
  const uint64_t at = blockOf(c->index);
  q.board.syncForCpu(q.queue, 0, at, kBlock);
  const Bytes want = sourceFrame(kSeed, c->result, kFrame);
  check::that(memcmp(q.board.memory(0) + at, want.data(), kFrame) == 0, "bytes of frame " + std::to_string(c->result));
  return c->result;
}

}  // namespace

void streamCases(const CaseOptions& o) {
  check::run("frame source, not paced", [&] {
    BoardProcess board(o.board, o.boardOptions("none"));
    HostQueue q(board, 1, 2);
    startRunning(q);
    for (unsigned i = 0; i < 4; i++) submitFrame(q);
    q.ring();
    std::vector<bool> seen(20);
    for (unsigned i = 0; i < 20; i++) {
      const uint32_t sequence = takeFrame(q);
      check::that(sequence < 20 && !seen[sequence], "sequence " + std::to_string(sequence));
      seen[sequence] = true;
      if (q.submitted < 20) submitFrame(q);
      q.ring();
    }
    check::equal(q.reg(PHYSRING_FPGA_REG_MISSED), 0u, "missed");
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
  });

  check::run("frame source, paced", [&] {
    BoardProcess board(o.board, o.boardOptions("full"));
    for (const uint32_t policy : {PHYSRING_FPGA_PACE_WAIT, PHYSRING_FPGA_PACE_DROP_NEWEST}) {
      HostQueue q(board, policy, 2);
      q.overrides[PHYSRING_FPGA_REG_PACE_CYCLES] = kPace;
      q.overrides[PHYSRING_FPGA_REG_PACE_POLICY] = policy;
      startRunning(q);
      uint32_t last = 0, frames = 0;
      for (unsigned round = 0; round < 6; round++) {
        // Nobody gives blocks for several ticks in the middle.
        if (round == 3) {
          const uint32_t missed = q.reg(PHYSRING_FPGA_REG_MISSED);
          if (policy == PHYSRING_FPGA_PACE_WAIT) {
            check::that(eventually([&] { return q.reg(PHYSRING_FPGA_REG_TICKS) == frames + 1; }), "no tick for the next frame");
            const double clocks = board.report().at("clocks");
            check::that(eventually([&] { return board.report().at("clocks") > clocks + 3 * kPace; }), "no clock");
            check::equal(q.reg(PHYSRING_FPGA_REG_TICKS), frames + 1, "ticks while a credit is unused");
          } else {
            check::that(eventually([&] { return q.reg(PHYSRING_FPGA_REG_MISSED) - missed >= 3; }), "no tick is missed");
          }
        }
        for (unsigned i = 0; i < 2; i++) submitFrame(q);
        q.ring();
        for (unsigned i = 0; i < 2; i++) {
          const uint32_t sequence = takeFrame(q);
          if (frames++ != 0) check::that(sequence > last, "sequences do not ascend");
          last = sequence;
        }
        q.ring();
      }
      const uint32_t missed = q.reg(PHYSRING_FPGA_REG_MISSED);
      if (policy == PHYSRING_FPGA_PACE_WAIT) {
        check::equal(missed, 0u, "missed");
        check::equal(last, frames - 1, "sequence of the last frame");
      } else {
        check::that(last >= frames + 2, "gaps: sequence " + std::to_string(last) + " after " + std::to_string(frames) + " frames");
        check::that(missed >= last + 1 - frames, "missed " + std::to_string(missed) + ", gaps " + std::to_string(last + 1 - frames));
      }
      check::that(q.stop().has_value(), "the stream does not stop");
    }
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
  });

  check::run("frame sink", [&] {
    BoardProcess board(o.board, o.boardOptions("none"));
    HostQueue q(board, 3, 3);
    q.overrides[PHYSRING_FPGA_REG_PACE_CYCLES] = 2000;
    startRunning(q);
    for (unsigned i = 0; i < 12; i++) {
      const Bytes frame = sourceFrame(i, i, kFrame);
      memcpy(board.memory(0) + i * kBlock, frame.data(), kFrame);
      board.syncForDevice(3, 0, i * kBlock, kBlock);
      const auto c = runOne(q, command(PHYSRING_FPGA_SINK, i, board.base(0) + i * kBlock, 0, kFrame));
      check::equal(statusOf(c), 0u, "status");
      check::equal(c.bytes, kFrame, "bytes");
      check::equal(c.result, crc32(frame.data(), kFrame), "CRC");
    }
    check::that(eventually([&] { return q.reg(PHYSRING_FPGA_REG_TICKS) >= 12; }), "a command for each tick");
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
  });
}
