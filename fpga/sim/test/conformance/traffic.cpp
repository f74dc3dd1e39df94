#include "traffic.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "check.h"

namespace {

// A command has two blocks of its own: source and destination. Small ones mostly, a few that cross many 4 KiB boundaries.
constexpr uint64_t kSmallBytes = 8192, kLargeBytes = 128 << 10;
constexpr unsigned kSmallBlocks = 256, kLargeBlocks = 16;
constexpr uint64_t kLine = 64;
constexpr uint32_t kFilterWidths[] = {64, 128, 192, 320};

struct Block {
  uint64_t offset, bytes;
};

struct UnderWay {
  bool active = false;
  uint32_t index = 0, opcode = 0, tag = 0;
  Block source{}, destination{};
  Bytes before;    // all of the destination block
  Bytes expected;  // all of it afterwards
  uint32_t result = 0, lengthBytes = 0;
  uint64_t writtenFrom = 0, writtenBytes = 0;  // in the destination block
};

class Traffic {
 public:
  Traffic(BoardProcess& board, const TrafficPlan& plan) : board_(board), plan_(plan), random_(plan.seed, 9) {
    for (unsigned i = 0; i < kSmallBlocks; i++) small_.push_back({i * kSmallBytes, kSmallBytes});
    for (unsigned i = 0; i < kLargeBlocks; i++) large_.push_back({kSmallBlocks * kSmallBytes + i * kLargeBytes, kLargeBytes});
    for (unsigned q = 0; q < plan.queues; q++) {
      queues_.push_back(std::make_unique<HostQueue>(board, q, 1 + (q * 2 + static_cast<unsigned>(plan.seed)) % 6));
      underWay_.emplace_back(queues_[q]->capacity());
    }
  }

  TrafficResult run() {
    for (auto& q : queues_) start(*q);
    while (issued_ < plan_.commands || result_.completed + result_.failed + result_.lost < issued_) {
      bool any = false;
      for (auto& q : queues_) any |= turn(*q);
      if (any) lastProgress_ = seconds();
      else relax();
      if (seconds() - lastProgress_ > 30) check::fail("no completion for 30 s: " + describe());
    }
    for (auto& q : queues_) check::that(q->stop().has_value(), "queue " + std::to_string(q->queue) + " does not become idle");
    return result_;
  }

 private:
  void start(HostQueue& q) {
    const uint32_t state = q.start();
    check::equal(state, q.stateOf(PHYSRING_FPGA_RUNNING), "state after start, halt code " + std::to_string(q.reg(PHYSRING_FPGA_REG_HALT_CODE)));
  }

  std::string describe() const {
    std::string text;
    for (const auto& q : queues_) text += "[queue " + std::to_string(q->queue) + " state " + std::to_string(q->state()) + " halt " + std::to_string(q->reg(PHYSRING_FPGA_REG_HALT_CODE)) + " submitted " + std::to_string(q->submitted) + " reaped " + std::to_string(q->reaped) + " sqHead " + std::to_string(q->reg(PHYSRING_FPGA_REG_SQ_HEAD)) + " cqTail " + std::to_string(q->reg(PHYSRING_FPGA_REG_CQ_TAIL)) + "]";
    return text;
  }

  bool turn(HostQueue& q) {
    bool any = false;
    const uint32_t batch = random_.between(1, q.capacity());
    uint32_t submitted = 0;
    while (issued_ < plan_.commands && submitted < batch && q.submitted - q.reaped < q.capacity() && issue(q)) submitted++;
    if (submitted) q.ring(), any = true;
    if (plan_.resets && random_.chance(0.25)) {
      reset(q);
      return true;
    }
    while (const auto completion = q.reap()) finish(q, *completion), any = true;
    if ((q.state() & PHYSRING_FPGA_STATE_MASK) == PHYSRING_FPGA_HALTED) {
      // Only a refused fetch or completion write is the bus's doing.
      const uint32_t code = q.reg(PHYSRING_FPGA_REG_HALT_CODE);
      check::that(plan_.errors && (code == PHYSRING_FPGA_HALT_FETCH || code == PHYSRING_FPGA_HALT_COMPLETE), "queue " + std::to_string(q.queue) + " halted with code " + std::to_string(code));
      result_.halts++;
      restart(q);
      any = true;
    }
    return any;
  }

  void reset(HostQueue& q) {
    result_.resets++;
    restart(q);
  }

  /** Stop, take what completed, give up the rest, start anew. */
  void restart(HostQueue& q) {
    q.requestStop();
    check::that(q.waitIdle(), "queue " + std::to_string(q.queue) + " does not become idle");
    while (const auto completion = q.reap()) finish(q, *completion);
    for (UnderWay& u : underWay_[q.queue]) {
      if (!u.active) continue;
      // Idle: whatever part was written, nothing more comes; the block is reused at once, and checked when its next user is done.
      verifyOutside(u);
      result_.lost++;
      give(u);
    }
    start(q);
  }

  Block take(std::vector<Block>& from) {
    const size_t i = random_.below(static_cast<uint32_t>(from.size()));
    std::swap(from[i], from.back());
    const Block b = from.back();
    from.pop_back();
    return b;
  }

  void give(UnderWay& u) {
    for (const Block& b : {u.source, u.destination}) (b.bytes == kSmallBytes ? small_ : large_).push_back(b);
    u.active = false;
  }

  /** Pieces of the range, in order, as a list; or the range itself. The last one takes the rest. */
  uint64_t operand(HostQueue& q, physring_fpga_descriptor& d, unsigned place, unsigned which, uint64_t address, uint32_t bytes) {
    if (!random_.chance(plan_.lists)) return address;
    std::vector<std::pair<uint64_t, uint32_t>> entries;
    const uint32_t count = random_.between(1, HostQueue::kListEntries);
    uint32_t done = 0;
    while (entries.size() + 1 < count && bytes - done > kLine) {
      const uint32_t piece = static_cast<uint32_t>(random_.between(1, (bytes - done - 1) / kLine) * kLine);
      entries.emplace_back(address + done, piece);
      done += piece;
    }
    entries.emplace_back(address + done, bytes - done);
    d.opcode_flags |= which == 0 ? PHYSRING_FPGA_FLAG_SOURCE_LIST : PHYSRING_FPGA_FLAG_DESTINATION_LIST;
    d.list_entries |= static_cast<uint32_t>(entries.size()) << (which * 16);
    return q.writeList(place, which, entries);
  }

  bool issue(HostQueue& q) {
    const bool isLarge = random_.chance(0.02);
    std::vector<Block>& pool = isLarge ? large_ : small_;
    if (pool.size() < 2) return false;
    UnderWay& u = *std::find_if(underWay_[q.queue].begin(), underWay_[q.queue].end(), [](const UnderWay& x) { return !x.active; });
    u.active = true;
    u.source = take(pool);
    u.destination = take(pool);
    u.opcode = random_.below(PHYSRING_FPGA_SOURCE);  // NOP … FILTER3X3; streams have tests of their own
    u.tag = static_cast<uint32_t>(random_.next());
    u.index = q.submitted;
    const uint64_t room = u.source.bytes - 2 * kLine;
    const uint64_t at = random_.below(static_cast<uint32_t>(u.source.bytes / 2 / kLine)) * kLine, to = random_.below(static_cast<uint32_t>(u.source.bytes / 2 / kLine)) * kLine;
    uint32_t bytes = random_.between(1, random_.chance(0.5) ? 300 : static_cast<uint32_t>(room / 2)), width = 0;
    if (u.opcode == PHYSRING_FPGA_FILTER3X3) {
      width = kFilterWidths[random_.below(4)];
      bytes = std::max(1u, std::min(bytes, static_cast<uint32_t>(room / 2)) / width) * width;
    }
    u.lengthBytes = u.opcode == PHYSRING_FPGA_NOP ? 0 : bytes;

    uint8_t* source = board_.memory(0) + u.source.offset;
    uint8_t* destination = board_.memory(0) + u.destination.offset;
    for (uint64_t i = at / 8; i < (at + bytes + 7) / 8; i++) {
      const uint64_t word = random_.next();
      memcpy(source + i * 8, &word, 8);
    }
    for (uint64_t i = 0; i < u.destination.bytes; i += 8) {
      const uint64_t word = random_.next() & 0x7f7f7f7f7f7f7f7f;
      memcpy(destination + i, &word, 8);
    }
    u.before.assign(destination, destination + u.destination.bytes);
    u.expected = u.before;
    const Bytes in(source + at, source + at + bytes);
    uint32_t parameter = static_cast<uint32_t>(random_.next());
    Bytes out;
    u.result = 0;
    switch (u.opcode) {
      case PHYSRING_FPGA_COPY: out = in; break;
      case PHYSRING_FPGA_FILL: out = fill(parameter, bytes); break;
      case PHYSRING_FPGA_CRC32: u.result = crc32(in.data(), bytes, parameter); break;
      case PHYSRING_FPGA_THRESHOLD: parameter &= 255, out = threshold(in, parameter, u.result); break;
      case PHYSRING_FPGA_FILTER3X3: parameter = width, out = filter3x3(in, width); break;
    }
    std::copy(out.begin(), out.end(), u.expected.begin() + static_cast<long>(to));
    if (!board_.omissions.syncSource) board_.syncForDevice(q.queue, 0, u.source.offset, u.source.bytes);
    if (!board_.omissions.syncDestination) board_.syncForDevice(q.queue, 0, u.destination.offset, u.destination.bytes);

    physring_fpga_descriptor d = command(u.opcode, u.tag, 0, 0, bytes, parameter);
    const unsigned place = static_cast<unsigned>(&u - underWay_[q.queue].data());
    const uint64_t s = operand(q, d, place, 0, board_.base(0) + u.source.offset + at, bytes), t = operand(q, d, place, 1, board_.base(0) + u.destination.offset + to, bytes);
    if (u.opcode == PHYSRING_FPGA_NOP) d.opcode_flags = PHYSRING_FPGA_NOP, d.list_entries = 0;
    d.source[0] = static_cast<uint32_t>(s), d.source[1] = static_cast<uint32_t>(s >> 32);
    d.destination[0] = static_cast<uint32_t>(t), d.destination[1] = static_cast<uint32_t>(t >> 32);
    u.writtenFrom = out.empty() ? 0 : to;
    u.writtenBytes = out.size();
    q.submit(d);
    issued_++;
    return true;
  }

  /** Bytes of the block outside what the command may write. */
  void verifyOutside(const UnderWay& u) {
    if (!board_.omissions.syncCpu) board_.syncForCpu(0, 0, u.destination.offset, u.destination.bytes);
    const uint8_t* now = board_.memory(0) + u.destination.offset;
    for (uint64_t i = 0; i < u.destination.bytes; i++) {
      if (i >= u.writtenFrom && i < u.writtenFrom + u.writtenBytes) continue;
      if (now[i] != u.before[i]) check::fail(name(u) + ": wrote byte " + std::to_string(i) + " of the block, outside its destination");
    }
  }

  std::string name(const UnderWay& u) const { return "opcode " + std::to_string(u.opcode) + ", index " + std::to_string(u.index) + ", " + std::to_string(u.lengthBytes) + " bytes to " + std::to_string(u.writtenFrom); }

  void finish(HostQueue& q, const physring_fpga_completion& c) {
    auto& all = underWay_[q.queue];
    const auto found = std::find_if(all.begin(), all.end(), [&](const UnderWay& x) { return x.active && x.index == c.index; });
    if (found == all.end()) check::fail("queue " + std::to_string(q.queue) + ": a completion of index " + std::to_string(c.index) + ", which is not under way");
    UnderWay& u = *found;
    check::equal(c.tag, u.tag, name(u) + ": tag");
    check::equal(c.status_opcode >> 8, u.opcode, name(u) + ": opcode");
    const uint32_t status = c.status_opcode & 0xff;
    if (plan_.errors && status >= PHYSRING_FPGA_ERR_READ_SLVERR && status <= PHYSRING_FPGA_ERR_LIST_DECERR) {
      check::equal(c.bytes, 0u, name(u) + ": bytes after an error");
      check::equal(c.result, 0u, name(u) + ": result after an error");
      verifyOutside(u);
      result_.failed++;
      return give(u);
    }
    check::equal(status, 0u, name(u) + ": status");
    check::equal(c.bytes, u.lengthBytes, name(u) + ": bytes");
    check::equal(c.result, u.result, name(u) + ": result");
    verifyOutside(u);
    const uint8_t* now = board_.memory(0) + u.destination.offset;
    for (uint64_t i = 0; i < u.destination.bytes; i++) {
      if (now[i] != u.expected[i]) check::fail(name(u) + ": byte " + std::to_string(i - u.writtenFrom) + " is " + std::to_string(now[i]) + ", not " + std::to_string(u.expected[i]));
    }
    result_.completed++;
    give(u);
  }

  BoardProcess& board_;
  const TrafficPlan plan_;
  Random random_;
  std::vector<std::unique_ptr<HostQueue>> queues_;
  std::vector<std::vector<UnderWay>> underWay_;
  std::vector<Block> small_, large_;
  unsigned issued_ = 0;
  double lastProgress_ = seconds();
  TrafficResult result_;
};

}  // namespace

TrafficResult runTraffic(BoardProcess& board, const TrafficPlan& plan) { return Traffic(board, plan).run(); }
