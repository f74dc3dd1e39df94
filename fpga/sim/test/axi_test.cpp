// The checker and the memory model by themselves: a well-behaved master passes, each way to break the standard is counted, and the memory does
// what it promises (order within an ID, any order between IDs, errors where they were asked for).
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "../axi_checker.h"
#include "../axi_memory.h"

namespace {

constexpr unsigned kBusBytes = 16, kIdBits = 4;
constexpr uint64_t kBase = uint64_t{7} << 32, kBytes = 1 << 20;

unsigned passed = 0, failed = 0;

void check(bool condition, const std::string& what) {
  condition ? passed++ : failed++;
  if (!condition) printf("FAILED  %s\n", what.c_str());
}

class Ram : public axi::AddressSpace {
 public:
  Ram() : bytes(kBytes) {}
  bool contains(uint64_t address, unsigned n) const override { return address >= kBase && address + n <= kBase + kBytes - 32; }
  bool read(uint64_t address, unsigned n, uint8_t* into) override {
    if (contains(address, n)) memcpy(into, &bytes[address - kBase], n);
    return contains(address, n);
  }
  bool write(uint64_t address, unsigned n, const uint8_t* from, uint64_t strobes) override {
    for (unsigned i = 0; contains(address, n) && i < n; i++) {
      if (strobes >> i & 1) bytes[address - kBase + i] = from[i];
    }
    return contains(address, n);
  }
  std::vector<uint8_t> bytes;
};

struct Burst {
  axi::AddressChannel request;
  std::vector<uint8_t> data;      // writes
  std::vector<uint64_t> strobes;  // of each beat
};

/** A master that plays a script of bursts, everything as soon as it may. */
class Master {
 public:
  explicit Master(const axi::Behaviour& behaviour, uint64_t seed = 1) : memory(ram, behaviour, kBusBytes, seed), checker(kBusBytes, kIdBits, [this](const std::string& what) { reports.push_back(what); }) {
    for (unsigned i = 0; i < 4; i++) checker.observe(s, i < 2);
  }

  void read(uint32_t id, uint64_t address, unsigned beats) {
    axi::AddressChannel a;
    a.id = id, a.address = address, a.length = static_cast<uint8_t>(beats - 1), a.size = 4;
    reads.push_back(a);
  }
  void write(uint32_t id, uint64_t address, unsigned beats, uint8_t value) {
    Burst b;
    b.request.id = id, b.request.address = address, b.request.length = static_cast<uint8_t>(beats - 1), b.request.size = 4;
    b.data.assign(beats * kBusBytes, value);
    b.strobes.assign(beats, 0xffff);
    writes.push_back(b);
  }

  /** Runs until all is answered, or for `limit` clocks. `disturb` may change what the master drives at a clock. */
  template <class Disturb>
  bool run(unsigned limit, Disturb disturb) {
    size_t nextRead = 0, nextAddress = 0, nextWrite = 0, beat = 0, answers = 0;
    const size_t wanted = reads.size() + writes.size();
    for (unsigned clock = 0; clock < limit; clock++) {
      s.ar.valid = nextRead < reads.size();
      if (s.ar.valid) {
        const bool ready = s.ar.ready;
        s.ar = reads[nextRead];
        s.ar.valid = true, s.ar.ready = ready;
      }
      s.aw.valid = nextAddress < writes.size();
      if (s.aw.valid) {
        const bool ready = s.aw.ready;
        s.aw = writes[nextAddress].request;
        s.aw.valid = true, s.aw.ready = ready;
      }
      s.w.valid = nextWrite < writes.size();
      if (s.w.valid) {
        const Burst& b = writes[nextWrite];
        memcpy(s.w.data, &b.data[beat * kBusBytes], kBusBytes);
        s.w.strobes = b.strobes[beat];
        s.w.last = beat == b.request.length;
      }
      s.b.ready = s.r.ready = true;
      disturb(clock, s);
      checker.observe(s, false);
      if (s.ar.valid && s.ar.ready) nextRead++;
      if (s.aw.valid && s.aw.ready) nextAddress++;
      if (s.w.valid && s.w.ready && ++beat > writes[nextWrite].request.length) nextWrite++, beat = 0;
      if (s.r.valid && s.r.ready) {
        responses[s.r.id].push_back(s.r.response);
        data[s.r.id].insert(data[s.r.id].end(), s.r.data, s.r.data + kBusBytes);
        answers += s.r.last;
      }
      if (s.b.valid && s.b.ready) writeResponses.push_back({s.b.id, s.b.response}), answers++;
      memory.clock(s);
      if (answers == wanted) return true;
    }
    return false;
  }
  bool run() {
    return run(200000, [](unsigned, axi::Signals&) {});
  }

  Ram ram;
  axi::Memory memory;
  axi::Checker checker;
  axi::Signals s;
  std::vector<std::string> reports;
  std::vector<axi::AddressChannel> reads;
  std::vector<Burst> writes;
  std::map<uint32_t, std::vector<uint8_t>> responses, data;
  std::vector<std::pair<uint32_t, uint8_t>> writeResponses;
};

/** Plays a good script with one disturbance; the report must speak of `word`. */
template <class Disturb>
void violates(const std::string& what, const std::string& word, Disturb disturb) {
  axi::Behaviour behaviour;
  behaviour.stall = 0.6;
  Master m(behaviour);
  for (unsigned i = 0; i < 20; i++) m.read(i % 3, kBase + i * 256, 4), m.write(i % 3, kBase + 0x10000 + i * 256, 4, static_cast<uint8_t>(i));
  m.run(3000, disturb);
  bool found = false;
  for (const std::string& r : m.reports) found |= r.find(word) != std::string::npos;
  check(found, what + ": not noticed" + (m.reports.empty() ? "" : ", but: " + m.reports[0]));
}

void wellBehaved() {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    Master m(axi::Behaviour(), seed);
    Random random(seed);
    std::vector<uint8_t> want(kBytes);
    for (unsigned i = 0; i < 200; i++) {
      const uint64_t at = i * 1024;
      m.write(random.below(4), kBase + at, i % 2 ? 2 : 64, static_cast<uint8_t>(i + 1));
      Burst& b = m.writes.back();
      for (uint64_t& strobes : b.strobes) strobes = random.below(1 << 16);
      for (unsigned k = 0; k < b.data.size(); k++) {
        if (b.strobes[k / kBusBytes] >> k % kBusBytes & 1) want[at + k] = b.data[k];
      }
    }
    check(m.run(), "writes are all answered");
    check(m.ram.bytes == want, "writes take effect under their strobes");
    check(m.checker.violations() == 0, "no violation by writes: " + (m.reports.empty() ? "" : m.reports[0]));
    check(m.checker.coverage().writeReorders > 10, "responses of different IDs come in any order");
    m.writes.clear(), m.writeResponses.clear();
    for (unsigned i = 0; i < 200; i++) m.read(i % 4, kBase + i * 1024, 64);
    check(m.run(), "reads are all answered");
    bool same = true;
    for (uint32_t id = 0; id < 4; id++) {
      std::vector<uint8_t> expected;
      for (unsigned i = id; i < 200; i += 4) expected.insert(expected.end(), &want[i * 1024], &want[i * 1024] + 1024);
      same &= m.data[id] == expected;
    }
    check(same, "reads of one ID come in order, with the bytes written");
    check(m.checker.violations() == 0, "no violation by reads: " + (m.reports.empty() ? "" : m.reports[0]));
    check(m.checker.coverage().readReorders > 10 && m.checker.coverage().readInterleaves > 100, "answers to different IDs come in any order, interleaved");
    check(m.checker.coverage().maxReads > 8, "many reads are outstanding");
  }
}

void faults() {
  axi::Behaviour behaviour;
  behaviour.faults.push_back({axi::Fault::kSlaveErrorFault, kBase + 0x1020, kBase + 0x1030});
  behaviour.faults.push_back({axi::Fault::kHang, kBase + 0x2fff, kBase + 0x3000});
  Master m(behaviour);
  m.read(1, kBase + 0x1000, 4);
  m.read(2, kBase + kBytes - 64, 4);
  m.write(3, kBase + 0x1000, 4, 9);
  m.write(4, kBase + 0x2000, 4, 9);
  m.write(5, kBase - 64, 2, 9);
  check(m.run(), "all answered");
  check(m.responses[1] == std::vector<uint8_t>({0, 0, axi::kSlaveError, 0}), "SLVERR at the beat of the range");
  check(m.responses[2] == std::vector<uint8_t>({0, 0, axi::kDecodeError, axi::kDecodeError}), "DECERR outside the memory");
  std::map<uint32_t, uint8_t> responses(m.writeResponses.begin(), m.writeResponses.end());
  check(responses[3] == axi::kSlaveError && responses[4] == axi::kOkay && responses[5] == axi::kDecodeError, "write responses");
  check(m.memory.refusedBursts() == 2, "bursts outside are counted");
  m.writes.clear(), m.reads.clear();
  m.read(6, kBase + 0x2fe0, 2);
  check(!m.run(5000, [](unsigned, axi::Signals&) {}), "a range that hangs is not answered");
  check(m.checker.violations() == 0, "no violation by faults");

  behaviour = axi::Behaviour();
  behaviour.errorRate = 0.5;
  Master r(behaviour);
  for (unsigned i = 0; i < 100; i++) r.read(i % 2, kBase + i * 64, 4), r.write(2, kBase + i * 64, 4, 1);
  check(r.run(), "all answered");
  check(r.checker.coverage().readErrors > 25 && r.checker.coverage().readErrors < 75, "errors at the rate asked for");
  check(r.memory.injectedErrors() == r.checker.coverage().readErrors + r.checker.coverage().writeErrors, "each injected error is answered as one");
}

void violations() {
  using S = axi::Signals;
  violates("AR withdrawn", "AR: withdrawn", [](unsigned c, S& s) { s.ar.valid &= s.ar.ready || c % 2 == 0; });
  violates("AR changed", "AR: withdrawn", [](unsigned c, S& s) { if (!s.ar.ready) s.ar.address += 16 * (c % 2); });
  violates("AW changed", "AW: withdrawn", [](unsigned c, S& s) { if (!s.aw.ready) s.aw.id ^= c % 2; });
  violates("W changed", "W: withdrawn", [](unsigned c, S& s) { if (!s.w.ready) s.w.data[3] = static_cast<uint8_t>(c); });
  violates("WSTRB changed", "W: withdrawn", [](unsigned c, S& s) { if (!s.w.ready) s.w.strobes ^= c % 2; });
  violates("WLAST early", "WLAST after", [](unsigned c, S& s) { s.w.last |= c > 20; });
  violates("no WLAST", "no WLAST", [](unsigned, S& s) { s.w.last = false; });
  violates("4 KiB crossed by a read", "crosses a 4 KiB", [](unsigned, S& s) { s.ar.address += 4096 - 32; });
  violates("4 KiB crossed by a write", "crosses a 4 KiB", [](unsigned, S& s) { s.aw.address += 4096 - 32; });
  violates("WRAP burst", "not INCR", [](unsigned, S& s) { s.ar.burst = axi::kWrap; });
  violates("beats wider than the bus", "wider than the bus", [](unsigned, S& s) { s.ar.size = 5; });
  violates("ID too wide", "more bits", [](unsigned, S& s) { s.aw.id = 16; });
  violates("strobe outside the beat", "outside the beat", [](unsigned, S& s) { s.aw.address += 4; });
  violates("response without a write", "B: a response", [](unsigned c, S& s) { if (c == 3) s.b.valid = true, s.b.id = 9; });
  violates("data without a request", "R: data", [](unsigned c, S& s) { if (c == 3) s.r.valid = true, s.r.id = 9; });
  violates("RLAST wrong", "RLAST", [](unsigned, S& s) { s.r.last = !s.r.last; });
  violates("RDATA changed", "R: withdrawn", [](unsigned c, S& s) { s.r.ready = c % 3 == 0; s.r.data[0] = static_cast<uint8_t>(c); });
  violates("BRESP changed", "B: withdrawn", [](unsigned c, S& s) { s.b.ready = c % 3 == 0; s.b.response = c & 1 ? 2 : 0; });

  axi::Checker checker(kBusBytes, kIdBits, [](const std::string&) {});
  axi::Signals s;
  s.ar.valid = true;
  checker.observe(s, true);
  check(checker.violations() == 0, "the first edge of a reset");
  checker.observe(s, true);
  check(checker.violations() == 1, "valid during reset: not noticed");
}

}  // namespace

int main() {
  wellBehaved();
  faults();
  violations();
  printf("%u passed, %u failed, 0 skipped\n", passed, failed);
  return failed != 0;
}
