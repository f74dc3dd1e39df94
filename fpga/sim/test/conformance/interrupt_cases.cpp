// Interrupts: count, timer, acknowledgement by cqHead, one datagram for each rising edge (docs/PROTOCOL.md 10.5, 10.9).
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cases.h"

namespace {

/** The socket of a host that waits for interrupts of a queue. */
class InterruptSocket {
 public:
  InterruptSocket(const BoardProcess& board, unsigned queue) : path_(board.directory() + "/irq." + std::to_string(queue)) {
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un at = {};
    at.sun_family = AF_UNIX;
    memcpy(at.sun_path, path_.c_str(), path_.size() + 1);
    check::that(bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, "cannot bind " + path_);
  }
  ~InterruptSocket() {
    close(fd_);
    unlink(path_.c_str());
  }
  /** interruptEvents of the next datagram, or nothing within the time. */
  std::optional<uint32_t> next(int milliseconds) const {
    pollfd p = {fd_, POLLIN, 0};
    uint32_t events = 0;
    if (poll(&p, 1, milliseconds) != 1 || recv(fd_, &events, sizeof events, 0) != sizeof events) return std::nullopt;
    return events;
  }

 private:
  std::string path_;
  int fd_;
};

constexpr int kSoonMs = 20000, kNotMs = 150;

}  // namespace

void interruptCases(const CaseOptions& o) {
  check::run("interrupts", [&] {
    BoardProcess board(o.board, o.boardOptions("io"));
    HostQueue q(board, 2, 4);
    InterruptSocket socket(board, 2);
    const auto nop = command(PHYSRING_FPGA_NOP, 0, 0, 0, 0);
    const auto submit = [&](unsigned n) {
      for (unsigned i = 0; i < n; i++) q.submit(nop);
      q.ring();
    };
    const auto reapAll = [&](unsigned n) {
      for (unsigned i = 0; i < n; i++) check::that(q.wait().has_value(), "no completion");
    };
    uint32_t events = 0;
    const auto expect = [&](const char* what) {
      const auto e = socket.next(kSoonMs);
      check::that(e.has_value(), std::string("no interrupt: ") + what);
      check::equal(*e, ++events, std::string(what) + ": interruptEvents");
      check::that(eventually([&] { return q.reg(PHYSRING_FPGA_REG_INTERRUPT_EVENTS) == events; }), std::string(what) + ": the register does not follow");
    };
    const auto quiet = [&](const char* what) { check::that(!socket.next(kNotMs).has_value(), std::string("an interrupt: ") + what); };

    startRunning(q);
    submit(3);
    reapAll(3);
    quiet("interruptCount is 0");
    q.ring();  // acknowledges

    q.setReg(PHYSRING_FPGA_REG_INTERRUPT_COUNT, 4);
    submit(3);
    reapAll(3);
    quiet("3 of 4 pending");
    submit(0);  // acknowledges the 3
    for (unsigned i = 0; i < 4; i++) q.submit(nop);
    q.setReg(PHYSRING_FPGA_REG_SQ_TAIL, (board.wmb(2), q.submitted));
    expect("4 pending");
    reapAll(4);
    quiet("not acknowledged yet, the line stays high");
    q.ring();
    quiet("acknowledged");

    // 8 come, 4 are acknowledged: 4 are left, a new edge.
    for (unsigned i = 0; i < 8; i++) q.submit(nop);
    q.ring();
    expect("8 pending");
    reapAll(8);
    while (socket.next(kNotMs)) events++;  // a slow acknowledgement of what came before may have made an edge of its own
    const uint32_t before = events;
    q.setReg(PHYSRING_FPGA_REG_CQ_HEAD, q.reaped - 4);
    expect("4 left after the acknowledgement");
    check::equal(events, before + 1, "edges");
    q.ring();

    q.setReg(PHYSRING_FPGA_REG_INTERRUPT_COUNT, 1000);
    submit(1);
    quiet("1 of 1000 pending, no timer");
    q.setReg(PHYSRING_FPGA_REG_INTERRUPT_CYCLES, 3000);
    expect("the timer ran out");
    reapAll(1);
    q.ring();
    q.setReg(PHYSRING_FPGA_REG_INTERRUPT_CYCLES, 0);

    q.submitted++;  // announced, never written
    q.ring();
    expect("the queue halted");
    check::equal(q.state(), q.stateOf(PHYSRING_FPGA_HALTED), "state");
    check::that(q.stop().has_value(), "the halted queue does not stop");
    check::equal(board.end().at("violations"), 0.0, "violations of AXI");
  });
}
