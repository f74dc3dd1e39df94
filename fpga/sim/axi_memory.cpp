#include "axi_memory.h"

#include <algorithm>

namespace axi {

namespace {
constexpr size_t kMaxWaiting = 64;      // requests of a kind that are accepted before the channel closes
constexpr size_t kMaxBeatsAhead = 512;  // write beats before their request, or of requests not yet complete
constexpr double kGoOn = 0.5;           // chance that the beats after an injected error fail as well
}  // namespace

void Memory::reset(Signals& s) {
  reads_.clear();
  responses_.clear();
  writeQueue_.clear();
  dataQueue_.clear();
  readsWaiting_ = responsesWaiting_ = 0;
  s.aw.ready = s.w.ready = s.ar.ready = false;
  s.b.valid = s.r.valid = false;
}

void Memory::clock(Signals& s) {
  now_++;
  takeRequests(s);
  matchWrites();
  commitWrites();
  driveRead(s);
  driveResponse(s);
  // Ready may come and go without regard to valid; what is valid stays until it was taken.
  s.ar.ready = readsWaiting_ < kMaxWaiting && !stalls();
  s.aw.ready = writeQueue_.size() + responsesWaiting_ < kMaxWaiting && !stalls();
  s.w.ready = dataQueue_.size() < kMaxBeatsAhead && !stalls();
}

void Memory::prepare(Transaction& t) {
  t.readyAt = now_ + random_.between(behaviour_.latencyMin, behaviour_.latencyMax);
  if (random_.chance(behaviour_.errorRate)) {
    t.errorFrom = random_.below(t.request.beats());
    t.errorEnd = random_.chance(kGoOn) ? t.request.beats() : t.errorFrom + 1;
    t.error = random_.chance(0.5) ? kSlaveError : kDecodeError;
    injectedErrors_++;
  }
  for (const Fault& f : behaviour_.faults) t.hangs |= f.kind == Fault::kHang && t.request.address < f.end && f.first < t.request.end();
}

void Memory::takeRequests(const Signals& s) {
  if (s.ar.valid && s.ar.ready) {
    Transaction t;
    t.request = s.ar;
    prepare(t);
    reads_[s.ar.id].push_back(t);
    readsWaiting_++;
  }
  if (s.aw.valid && s.aw.ready) {
    Write w;
    w.request = s.aw;
    prepare(w);
    writeQueue_.push_back(std::move(w));
  }
  if (s.w.valid && s.w.ready) {
    Beat b;
    b.strobes = s.w.strobes;
    memcpy(b.data, s.w.data, busBytes_);
    dataQueue_.emplace_back(b, s.w.last);
  }
}

void Memory::matchWrites() {
  while (!writeQueue_.empty() && !dataQueue_.empty()) {
    Write& w = writeQueue_.front();
    const bool last = dataQueue_.front().second;
    w.beats.push_back(dataQueue_.front().first);
    dataQueue_.pop_front();
    // A burst ends where its request says, or at WLAST; the checker reports when they differ.
    if (w.beats.size() < w.request.beats() && !last) continue;
    const uint64_t latency = random_.between(behaviour_.latencyMin, behaviour_.latencyMax);
    w.readyAt = now_ + latency;
    w.commitAt = now_ + random_.below(static_cast<uint32_t>(latency) + 1);
    responses_[w.request.id].push_back(std::move(w));
    responsesWaiting_++;
    writeQueue_.pop_front();
  }
}

Response Memory::faultAt(const Transaction& t, unsigned beat) const {
  if (beat >= t.errorFrom && beat < t.errorEnd) return t.error;
  for (const Fault& f : behaviour_.faults) {
    if (f.kind == Fault::kHang || t.request.beatAddress(beat) >= f.end || f.first >= t.request.beatEnd(beat)) continue;
    return f.kind == Fault::kSlaveErrorFault ? kSlaveError : kDecodeError;
  }
  return kOkay;
}

void Memory::commit(Write& w) {
  for (unsigned i = 0; i < w.beats.size() && i < w.request.beats(); i++) {
    const uint64_t address = w.request.beatAddress(i);
    const unsigned bytes = static_cast<unsigned>(w.request.beatEnd(i) - address), lane = address % busBytes_;
    Response response = faultAt(w, i);
    // The first beat that fails may have been written all the same; nothing behind it is.
    if (w.worst == kOkay && (response == kOkay || random_.chance(0.5))) {
      if (!space_.write(address, bytes, w.beats[i].data + lane, w.beats[i].strobes >> lane)) response = kDecodeError, w.refused = true;
    }
    w.worst = std::max(w.worst, response);
  }
  refusedBursts_ += w.refused;
  w.committed = true;
  w.beats.clear();
}

void Memory::commitWrites() {
  for (auto& [id, queue] : responses_) {
    for (Write& w : queue) {  // in order within an ID
      if (w.committed) continue;
      if (w.commitAt > now_ || w.hangs || hold_) break;
      commit(w);
    }
  }
}

/** One of the queues whose front is ready, at random (or the oldest when answers keep their order). */
template <class T, class Ready>
std::deque<T>* Memory::choose(ById<T>& byId, Ready ready) {
  std::deque<T>* chosen = nullptr;
  unsigned candidates = 0;
  for (auto& [id, queue] : byId) {
    if (queue.empty() || !ready(queue.front())) continue;
    candidates++;
    const bool better = !chosen || (behaviour_.reorder ? random_.below(candidates) == 0 : queue.front().readyAt < chosen->front().readyAt);
    if (better) chosen = &queue;
  }
  return chosen;
}

void Memory::driveRead(Signals& s) {
  if (s.r.valid && !s.r.ready) return;
  s.r.valid = false;
  if (readsWaiting_ == 0 || stalls()) return;
  std::deque<Transaction>* queue = choose(reads_, [this](const Transaction& t) { return t.readyAt <= now_ && !t.hangs; });
  if (!queue) return;
  Transaction& t = queue->front();
  const uint64_t address = t.request.beatAddress(t.beat);
  const unsigned bytes = static_cast<unsigned>(t.request.beatEnd(t.beat) - address), lane = address % busBytes_;
  // Lanes that carry nothing, and beats that fail, carry rubbish.
  for (unsigned i = 0; i < busBytes_; i += 8) {
    const uint64_t rubbish = random_.next();
    memcpy(s.r.data + i, &rubbish, 8);
  }
  Response response = faultAt(t, t.beat);
  if (response == kOkay && !space_.read(address, bytes, s.r.data + lane)) response = kDecodeError, t.refused = true;
  s.r.valid = true;
  s.r.id = t.request.id;
  s.r.response = response;
  s.r.last = t.beat == t.request.length;
  t.beat++;
  if (!s.r.last) return;
  refusedBursts_ += t.refused;
  queue->pop_front();
  readsWaiting_--;
}

void Memory::driveResponse(Signals& s) {
  if (s.b.valid && !s.b.ready) return;
  s.b.valid = false;
  if (responsesWaiting_ == 0 || stalls()) return;
  std::deque<Write>* queue = choose(responses_, [this](const Write& w) { return w.readyAt <= now_ && w.committed; });
  if (!queue) return;
  s.b.valid = true;
  s.b.id = queue->front().request.id;
  s.b.response = queue->front().worst;
  queue->pop_front();
  responsesWaiting_--;
}

}  // namespace axi
