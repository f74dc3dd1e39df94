// An AXI4-Lite master: one write and one read at a time, each with random pauses; checks what the slave answers.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "random.h"

namespace axi {

struct LiteSignals {
  // master
  bool awvalid = false, wvalid = false, bready = false, arvalid = false, rready = false;
  uint32_t awaddr = 0, wdata = 0, araddr = 0;
  uint8_t wstrb = 0xf;
  // slave
  bool awready = false, wready = false, bvalid = false, arready = false, rvalid = false;
  uint8_t bresp = 0, rresp = 0;
  uint32_t rdata = 0;
};

class LiteDriver {
 public:
  using Report = std::function<void(const std::string&)>;
  LiteDriver(double stall, uint64_t seed, Report report) : stall_(stall), random_(seed, 5), report_(std::move(report)) {}

  /** Writes happen in the order in which they were asked for, each after the response to the one before. */
  void write(uint32_t address, uint32_t value) { writes_.push_back({address, value}); }
  /** Reads happen in order; `then` gets the value. Reads and writes pass each other, except that a read waits for the writes asked for before it. */
  void read(uint32_t address, std::function<void(uint32_t)> then) { reads_.push_back({address, writesAsked(), std::move(then)}); }
  bool idle() const { return writes_.empty() && reads_.empty(); }
  size_t readsWaiting() const { return reads_.size(); }

  /** One clock edge: `s` as before it, the master's half becomes what it drives after it. */
  void clock(LiteSignals& s);
  void reset(LiteSignals& s);

 private:
  struct Write {
    uint32_t address, value;
  };
  struct Read {
    uint32_t address;
    uint64_t after;
    std::function<void(uint32_t)> then;
  };
  uint64_t writesAsked() const { return writesDone_ + writes_.size(); }
  void stable(const LiteSignals& s);
  bool goes() { return !random_.chance(stall_); }

  const double stall_;
  Random random_;
  const Report report_;
  std::deque<Write> writes_;
  std::deque<Read> reads_;
  uint64_t writesDone_ = 0;
  bool writing_ = false, reading_ = false;
  LiteSignals previous_;
};

}  // namespace axi
