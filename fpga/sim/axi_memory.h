// A memory on an AXI4 port that is as awkward as the standard allows, by seed: back-pressure on every channel, latency, answers to different
// IDs in any order, read beats of different IDs interleaved, writes that take effect any time before their response, errors in mid-burst.
// It knows an address space and the port, and nothing of who is at the other end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "axi.h"
#include "random.h"

namespace axi {

/** Bytes by bus address. */
class AddressSpace {
 public:
  virtual ~AddressSpace() = default;
  /** Reads within one beat. False: nothing answers at this address (DECERR). */
  virtual bool read(uint64_t address, unsigned bytes, uint8_t* into) = 0;
  /** Writes the bytes whose strobe bit (bit 0: the first) is set, in ascending order. False: DECERR. */
  virtual bool write(uint64_t address, unsigned bytes, const uint8_t* from, uint64_t strobes) = 0;
  /** True: the range is there. Touches nothing. */
  virtual bool contains(uint64_t address, unsigned bytes) const = 0;
};

/** Accesses of [first, end) are answered thus. */
struct Fault {
  enum Kind : uint8_t { kSlaveErrorFault, kDecodeErrorFault, kHang } kind;
  uint64_t first, end;
};

struct Behaviour {
  double stall = 0.2;              // chance per clock that a channel makes no progress
  unsigned latencyMin = 4, latencyMax = 40;  // clocks from the request (writes: from its last beat) to the first answer
  bool reorder = true;             // between IDs
  double errorRate = 0;            // chance per burst of an SLVERR or DECERR at one of its beats, and maybe those after it
  std::vector<Fault> faults;
};

class Memory {
 public:
  Memory(AddressSpace& space, const Behaviour& behaviour, unsigned busBytes, uint64_t seed) : space_(space), behaviour_(behaviour), busBytes_(busBytes), random_(seed, 1) {}

  /** One clock edge: `signals` as both sides had them before it; on return the memory's half is what it drives after it. */
  void clock(Signals& signals);

  /** Power-on: forgets what is under way. */
  void reset(Signals& signals);

  /** While set nothing new is answered or taken. */
  void hold(bool on) { hold_ = on; }

  bool busy() const { return readsWaiting_ != 0 || !writeQueue_.empty() || !dataQueue_.empty() || responsesWaiting_ != 0; }

  uint64_t injectedErrors() const { return injectedErrors_; }
  uint64_t refusedBursts() const { return refusedBursts_; }

 private:
  struct Transaction {
    AddressChannel request;
    uint64_t readyAt = 0;
    unsigned beat = 0;
    unsigned errorFrom = ~0u, errorEnd = ~0u;  // injected: beats [from, end)
    Response error = kOkay;
    bool hangs = false, refused = false;
  };
  struct Beat {
    uint64_t strobes;
    uint8_t data[kMaxBusBytes];
  };
  struct Write : Transaction {
    std::vector<Beat> beats;
    uint64_t commitAt = 0;
    bool committed = false;
    Response worst = kOkay;
  };
  template <class T>
  using ById = std::map<uint32_t, std::deque<T>>;

  void takeRequests(const Signals& s);
  void matchWrites();
  void commitWrites();
  void driveRead(Signals& s);
  void driveResponse(Signals& s);
  void prepare(Transaction& t);
  Response faultAt(const Transaction& t, unsigned beat) const;
  void commit(Write& w);
  template <class T, class Ready>
  std::deque<T>* choose(ById<T>& byId, Ready ready);
  bool stalls() { return hold_ || random_.chance(behaviour_.stall); }

  AddressSpace& space_;
  const Behaviour behaviour_;
  const unsigned busBytes_;
  Random random_;
  bool hold_ = false;
  uint64_t now_ = 0;
  ById<Transaction> reads_;
  size_t readsWaiting_ = 0, responsesWaiting_ = 0;
  std::deque<Write> writeQueue_;                // requests whose beats have not all come, in order
  std::deque<std::pair<Beat, bool>> dataQueue_;  // beats (and WLAST) that are ahead of their request or wait to be matched
  ById<Write> responses_;                       // complete writes
  uint64_t injectedErrors_ = 0, refusedBursts_ = 0;
};

}  // namespace axi
