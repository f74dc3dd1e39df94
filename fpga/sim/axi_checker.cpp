#include "axi_checker.h"

#include <algorithm>
#include <cstdio>

namespace axi {

namespace {
std::string describe(const AddressChannel& a) {
  char text[128];
  snprintf(text, sizeof text, "id %u, address 0x%llx, %u beats of %u bytes", a.id, static_cast<unsigned long long>(a.address), a.beats(), a.beatBytes());
  return text;
}
}  // namespace

void Checker::violation(const char* channel, const std::string& what) {
  violations_++;
  report_("clock " + std::to_string(coverage_.clocks) + ", " + channel + ": " + what);
}

void Checker::observe(const Signals& s, bool inReset) {
  coverage_.clocks++;
  if (inReset || wasReset_) {
    // A synchronous reset needs one edge to take hold; the first edge out of it still shows what was driven during it.
    resetClocks_ = inReset ? resetClocks_ + 1 : 2;
    if (resetClocks_ > 1 && (s.aw.valid || s.w.valid || s.ar.valid)) violation("reset", "the master drives valid during reset");
    if (s.b.valid || s.r.valid) violation("reset", "the memory drives valid during reset");
    addresses_.clear(), bursts_.clear(), unanswered_.clear(), readsOf_.clear(), lastRead_.clear(), lastWrite_.clear();
    reads_ = writes_ = 0;
    inReadBurst_ = false;
    previous_ = Signals();
    wasReset_ = inReset;
    return;
  }
  resetClocks_ = 0;
  stable(s);
  write(s);
  read(s);
  coverage_.stalls[0] += s.aw.valid && !s.aw.ready;
  coverage_.stalls[1] += s.w.valid && !s.w.ready;
  coverage_.stalls[2] += s.b.valid && !s.b.ready;
  coverage_.stalls[3] += s.ar.valid && !s.ar.ready;
  coverage_.stalls[4] += s.r.valid && !s.r.ready;
  previous_ = s;
}

/** What was offered and not taken is still offered, unchanged. */
void Checker::stable(const Signals& s) {
  const Signals& p = previous_;
  if (p.aw.valid && !p.aw.ready && !(s.aw.valid && s.aw.samePayload(p.aw))) violation("AW", "withdrawn or changed before AWREADY: " + describe(p.aw));
  if (p.ar.valid && !p.ar.ready && !(s.ar.valid && s.ar.samePayload(p.ar))) violation("AR", "withdrawn or changed before ARREADY: " + describe(p.ar));
  if (p.w.valid && !p.w.ready && !(s.w.valid && s.w.last == p.w.last && s.w.strobes == p.w.strobes && memcmp(s.w.data, p.w.data, busBytes_) == 0))
    violation("W", "withdrawn or changed before WREADY");
  if (p.b.valid && !p.b.ready && !(s.b.valid && s.b.id == p.b.id && s.b.response == p.b.response)) violation("B", "withdrawn or changed before BREADY");
  if (p.r.valid && !p.r.ready && !(s.r.valid && s.r.id == p.r.id && s.r.response == p.r.response && s.r.last == p.r.last && memcmp(s.r.data, p.r.data, busBytes_) == 0))
    violation("R", "withdrawn or changed before RREADY");
}

void Checker::address(const char* channel, const AddressChannel& a) {
  if (a.burst != kIncrement) violation(channel, "burst type is not INCR: " + describe(a));
  if (a.beatBytes() > busBytes_) violation(channel, "beats are wider than the bus: " + describe(a));
  if (a.address / kBoundaryBytes != (a.end() - 1) / kBoundaryBytes) violation(channel, "burst crosses a 4 KiB boundary: " + describe(a));
  if (idBits_ < 32 && a.id >> idBits_ != 0) violation(channel, "ID has more bits than the port");
}

void Checker::countSplit(const AddressChannel& a, std::map<uint32_t, AddressChannel>& previous, uint64_t& splits) {
  const auto before = previous.find(a.id);
  if (before != previous.end() && before->second.end() == a.address && a.address % kBoundaryBytes == 0) splits++;
  previous[a.id] = a;
}

void Checker::write(const Signals& s) {
  if (s.aw.valid && s.aw.ready) {
    address("AW", s.aw);
    countSplit(s.aw, lastWrite_, coverage_.writeSplits);
    if (addresses_.empty() && !bursts_.empty()) coverage_.writeDataFirst++;
    addresses_.push_back(s.aw);
    coverage_.writeBursts++;
    coverage_.maxWrites = std::max(coverage_.maxWrites, ++writes_);
  }
  // A response answers what was complete at an earlier edge: looked at before the beat of this one.
  if (s.b.valid && !(previous_.b.valid && !previous_.b.ready)) response(s.b);
  if (s.w.valid && s.w.ready) {
    if (bursts_.empty() || bursts_.back().ended) bursts_.emplace_back();
    bursts_.back().strobes.push_back(s.w.strobes);
    bursts_.back().ended = s.w.last;
    coverage_.writeBeats++;
    if (bursts_.back().strobes.size() > 256) violation("W", "more than 256 beats without WLAST"), bursts_.back().ended = true;
  }
  matchBursts();
}

void Checker::matchBursts() {
  while (!addresses_.empty() && !bursts_.empty()) {
    const AddressChannel& a = addresses_.front();
    WriteBurst& w = bursts_.front();
    if (!w.ended && w.strobes.size() < a.beats()) return;
    if (!w.ended) violation("W", "no WLAST at the last beat: " + describe(a)), w.ended = true;
    if (w.strobes.size() != a.beats()) violation("W", "WLAST after " + std::to_string(w.strobes.size()) + " beats: " + describe(a));
    burst(a, w);
    unanswered_[a.id].push_back(writeOrder_++);
    addresses_.pop_front();
    bursts_.pop_front();
  }
}

/** Strobes of a whole burst: only lanes of its addresses. */
void Checker::burst(const AddressChannel& a, const WriteBurst& w) {
  for (unsigned i = 0; i < w.strobes.size() && i < a.beats(); i++) {
    const unsigned first = a.beatAddress(i) % busBytes_;
    const uint64_t lanes = laneMask(first, first + static_cast<unsigned>(a.beatEnd(i) - a.beatAddress(i)));
    if (w.strobes[i] & ~lanes) violation("W", "a strobe outside the beat's bytes: " + describe(a));
    coverage_.emptyBeats += w.strobes[i] == 0;
    coverage_.partialTails += i == a.length && w.strobes[i] != 0 && w.strobes[i] != lanes;
  }
}

void Checker::response(const WriteResponseChannel& b) {
  auto& waiting = unanswered_[b.id];
  if (waiting.empty()) return violation("B", "a response without a complete write: id " + std::to_string(b.id));
  for (const auto& [id, others] : unanswered_) {
    if (id == b.id || others.empty() || others.front() > waiting.front()) continue;
    coverage_.writeReorders++;
    break;
  }
  waiting.pop_front();
  writes_--;
  coverage_.writeErrors += b.response >= kSlaveError;
}

void Checker::read(const Signals& s) {
  // Beats first: a request of this edge cannot have been answered at it.
  if (s.r.valid && !(previous_.r.valid && !previous_.r.ready)) readBeat(s.r);
  if (!(s.ar.valid && s.ar.ready)) return;
  address("AR", s.ar);
  countSplit(s.ar, lastRead_, coverage_.readSplits);
  Read r;
  r.request = s.ar;
  r.order = readOrder_++;
  auto& queue = readsOf_[s.ar.id];
  queue.push_back(r);
  coverage_.readBursts++;
  coverage_.maxReads = std::max(coverage_.maxReads, ++reads_);
  coverage_.maxReadsOfOneId = std::max(coverage_.maxReadsOfOneId, static_cast<unsigned>(queue.size()));
}

void Checker::readBeat(const ReadDataChannel& r) {
  auto& queue = readsOf_[r.id];
  if (queue.empty()) return violation("R", "data that nobody asked for: id " + std::to_string(r.id));
  Read& burst = queue.front();
  if (burst.beats == 0) {
    for (const auto& [id, others] : readsOf_) {
      if (id == r.id || others.empty() || others.front().order > burst.order) continue;
      coverage_.readReorders++;
      break;
    }
  }
  coverage_.readBeats++;
  coverage_.readInterleaves += inReadBurst_ && lastBeatId_ != r.id;
  burst.beats++;
  burst.error |= r.response >= kSlaveError;
  const bool last = burst.beats == burst.request.beats();
  if (r.last != last) violation("R", "RLAST at the wrong beat: " + describe(burst.request));
  inReadBurst_ = !last;
  lastBeatId_ = r.id;
  if (!last) return;
  coverage_.readErrors += burst.error;
  queue.pop_front();
  reads_--;
}

}  // namespace axi
