// Watches an AXI4 port at every clock edge: counts what breaks the standard, on either side, and what was covered.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "axi.h"

namespace axi {

struct Coverage {
  uint64_t clocks = 0;
  uint64_t readBursts = 0, writeBursts = 0, readBeats = 0, writeBeats = 0;
  uint64_t readSplits = 0, writeSplits = 0;  // bursts that begin at a 4 KiB boundary where the previous one of the same ID had to stop
  uint64_t partialTails = 0;                 // last beats with some strobes set, not all
  uint64_t emptyBeats = 0;                   // beats without a strobe
  uint64_t writeDataFirst = 0;               // bursts whose data came before their address
  uint64_t readReorders = 0, writeReorders = 0, readInterleaves = 0;  // answers out of the order of the requests; beats of another ID in mid-burst
  uint64_t readErrors = 0, writeErrors = 0;  // bursts answered with an error
  uint64_t stalls[5] = {};                   // clocks with valid and no ready: AW, W, B, AR, R
  unsigned maxReads = 0, maxWrites = 0;      // outstanding bursts
  unsigned maxReadsOfOneId = 0;
};

class Checker {
 public:
  /** `report` is called for each violation. */
  Checker(unsigned busBytes, unsigned idBits, std::function<void(const std::string&)> report) : busBytes_(busBytes), idBits_(idBits), report_(std::move(report)) {}

  /** Signals as they were at a rising edge. */
  void observe(const Signals& signals, bool inReset);

  const Coverage& coverage() const { return coverage_; }
  uint64_t violations() const { return violations_; }
  unsigned outstanding() const { return reads_ + writes_; }

 private:
  struct Read {
    AddressChannel request;
    unsigned beats = 0;
    uint64_t order = 0;
    bool error = false;
  };
  struct WriteBurst {
    std::vector<uint64_t> strobes;
    bool ended = false;
  };

  void violation(const char* channel, const std::string& what);
  void stable(const Signals& s);
  void address(const char* channel, const AddressChannel& a);
  void countSplit(const AddressChannel& a, std::map<uint32_t, AddressChannel>& previous, uint64_t& splits);
  void write(const Signals& s);
  void matchBursts();
  void burst(const AddressChannel& a, const WriteBurst& w);
  void response(const WriteResponseChannel& b);
  void read(const Signals& s);
  void readBeat(const ReadDataChannel& r);

  const unsigned busBytes_, idBits_;
  const std::function<void(const std::string&)> report_;
  Coverage coverage_;
  uint64_t violations_ = 0;
  Signals previous_;
  bool wasReset_ = true;
  unsigned resetClocks_ = 0;

  std::deque<AddressChannel> addresses_;  // writes whose data has not ended
  std::deque<WriteBurst> bursts_;         // data in order of arrival
  std::map<uint32_t, std::deque<uint64_t>> unanswered_;  // by ID: order of the writes that are complete
  std::map<uint32_t, std::deque<Read>> readsOf_;
  std::map<uint32_t, AddressChannel> lastRead_, lastWrite_;
  unsigned reads_ = 0, writes_ = 0;
  uint64_t readOrder_ = 0, writeOrder_ = 0;
  uint32_t lastBeatId_ = 0;
  bool inReadBurst_ = false;
};

}  // namespace axi
