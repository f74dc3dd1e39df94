// Stops in mid-burst, power cycles, and a bus that does not answer: idle means that nothing moves any more (docs/PROTOCOL.md 10.4).
#include <csignal>

#include "cases.h"
#include "models.h"

namespace {

constexpr uint32_t kCopyBytes = 40000;
constexpr uint64_t kBlock = 65536;

uint64_t sourceOf(unsigned i) { return i * kBlock; }
uint64_t destinationOf(unsigned i) { return (16 + i) * kBlock; }

/** Bytes of block i as the device wrote them so far. */
size_t differing(const BoardProcess& b, unsigned i, uint8_t blank) {
  size_t n = 0;
  for (uint32_t k = 0; k < kCopyBytes; k++) n += b.deviceMemory(0)[destinationOf(i) + k] != blank;
  return n;
}

void fillCopies(HostQueue& q, uint8_t blank) {
  for (unsigned i = 0; i < q.capacity(); i++) {
    memset(q.board.memory(0) + sourceOf(i), 0x80 | i, kCopyBytes);
    memset(q.board.memory(0) + destinationOf(i), blank, kBlock);
    q.board.syncForDevice(q.queue, 0, sourceOf(i), kBlock);
    q.board.syncForDevice(q.queue, 0, destinationOf(i), kBlock);
    q.submit(command(PHYSRING_FPGA_COPY, i, q.board.base(0) + sourceOf(i), q.board.base(0) + destinationOf(i), kCopyBytes));
  }
  q.ring();
}

/** Time passes on the board: another queue works. */
void passTime(HostQueue& other) {
  for (unsigned i = 0; i < 10; i++) check::equal(statusOf(runOne(other, command(PHYSRING_FPGA_CRC32, i, other.board.base(0) + 0x300000, 0, 4096))), 0u, "status of the other queue");
}

}  // namespace

void resetCases(const CaseOptions& o) {
  for (const char* coherency : {"full", "none"}) {
    check::run(std::string("stops in mid-burst, ") + coherency, [&] {
      BoardProcess board(o.board, o.boardOptions(coherency));
      Random random(o.seed, 11);
      HostQueue q(board, 0, 2), other(board, 3, 3);
      startRunning(other);
      unsigned lost = 0, torn = 0, completed = 0;
      for (unsigned round = 0; round < 15; round++) {
        const uint8_t blank = static_cast<uint8_t>(round);
        startRunning(q);
        fillCopies(q, blank);
        // Somewhere in the work: when this block has begun to change.
        const unsigned until = random.below(q.capacity());
        check::that(eventually([&] { return board.deviceMemory(0)[destinationOf(until) + 256 * random.below(100)] != blank; }), "no progress");
        q.requestStop();
        check::that(q.waitIdle(), "the queue does not become idle");
        const Bytes before(board.deviceMemory(0) + destinationOf(0), board.deviceMemory(0) + destinationOf(q.capacity()));
        const Bytes rings(board.deviceMemory(1) + q.cqOffset(), board.deviceMemory(1) + q.cqOffset() + q.capacity() * 32);
        passTime(other);
        check::that(memcmp(before.data(), board.deviceMemory(0) + destinationOf(0), before.size()) == 0, "payload was written after idle");
        check::that(memcmp(rings.data(), board.deviceMemory(1) + q.cqOffset(), rings.size()) == 0, "completions were written after idle");
        while (const auto c = q.reap()) {
          check::equal(statusOf(*c), 0u, "status");
          check::equal(differing(board, c->tag, 0x80 | static_cast<uint8_t>(c->tag)), size_t{0}, "bytes missing in a completed copy");
          completed++;
        }
        for (unsigned i = 0; i < q.capacity(); i++) {
          const size_t written = differing(board, i, blank);
          torn += written > 0 && written < kCopyBytes;
          for (uint32_t k = kCopyBytes; k < kBlock; k++) check::that(board.deviceMemory(0)[destinationOf(i) + k] == blank, "wrote behind the destination");
        }
        lost += q.submitted - q.reaped;
      }
      check::that(torn >= 5, "only " + std::to_string(torn) + " copies were stopped in the middle");
      check::that(lost >= 15, "only " + std::to_string(lost) + " commands were cut off");
      startRunning(q);
      checkCopies(q);
      check::equal(board.end().at("violations"), 0.0, "violations of AXI");
      printf("        %u completed, %u cut off, %u of them in the middle\n", completed, lost, torn);
    });
  }

  check::run("power cycle in mid-burst", [&] {
    BoardProcess board(o.board, o.boardOptions("full"));
    HostQueue q(board, 2, 2);
    for (unsigned round = 0; round < 3; round++) {
      startRunning(q);
      fillCopies(q, 0x11);
      check::that(eventually([&] { return differing(board, 0, 0x11) > 1000; }), "no progress");
      board.signal(SIGHUP);
      check::that(eventually([&] { return q.state() == PHYSRING_FPGA_IDLE; }), "no idle after power-on, state " + std::to_string(q.state()));
      const Bytes before(board.deviceMemory(0) + destinationOf(0), board.deviceMemory(0) + destinationOf(q.capacity()));
      HostQueue other(board, 1, 3);
      other.epoch = 100 + round;
      startRunning(other);
      passTime(other);
      check::that(memcmp(before.data(), board.deviceMemory(0) + destinationOf(0), before.size()) == 0, "payload was written after the power cycle");
    }
    startRunning(q);
    checkCopies(q);
    const auto n = board.end();
    check::equal(n.at("powerCycles"), 3.0, "power cycles");
    check::equal(n.at("violations"), 0.0, "violations of AXI");
  });

  check::run("a bus that does not answer", [&] {
    BoardProcess board(o.board, o.boardOptions("full", {"--fault", "hang:0:0x100000:64"}));
    if (board.read(PHYSRING_FPGA_REG_EXECUTORS) < 2) return;  // the only executor hangs: nobody else goes on
    HostQueue q(board, 0, 3), other(board, 1, 3);
    startRunning(q);
    startRunning(other);
    q.submit(command(PHYSRING_FPGA_COPY, 1, board.base(0) + 0x100000, board.base(0) + 0x200000, 4096));
    q.ring();
    passTime(other);
    q.requestStop();
    passTime(other);
    check::equal(q.state(), q.stateOf(PHYSRING_FPGA_STOPPING), "state while a burst is under way");
    check::that(!q.reap().has_value(), "a completion came");
    // Everything held, then let go.
    board.holdBus(true);
    other.submit(command(PHYSRING_FPGA_NOP, 3, 0, 0, 0));
    other.ring();
    const double until = seconds() + 0.1;
    while (seconds() < until) relax();
    check::that(!other.reap().has_value(), "a completion although the bus is held");
    board.holdBus(false);
    check::that(other.wait().has_value(), "no completion after the bus was let go");
    board.signal(SIGHUP);
    check::that(eventually([&] { return q.state() == PHYSRING_FPGA_IDLE; }), "no idle after power-on");
    startRunning(q);
    checkCopies(q);
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
  });
}
