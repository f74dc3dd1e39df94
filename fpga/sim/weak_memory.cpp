#include "weak_memory.h"

#include <algorithm>
#include <cstring>

namespace {
constexpr unsigned kWordsPerStep = 64;
constexpr uint32_t kUsualDelayClocks = 500, kLongDelayClocks = 6000;
constexpr double kLong = 0.2;  // chance of the long one
}  // namespace

WeakMemory::WeakMemory(uint32_t* host, uint32_t* device, uint64_t bytes, uint64_t seed) : host_(host), device_(device), shadow_(host, host + bytes / 4), random_(seed, 2) {
  memcpy(device, shadow_.data(), bytes);
}

void WeakMemory::toDevice(size_t word) {
  const uint32_t value = __atomic_load_n(&host_[word], __ATOMIC_ACQUIRE);
  if (value == shadow_[word]) return;
  shadow_[word] = value;
  device_[word] = value;
}

void WeakMemory::toHost(size_t word) {
  // A word that the host has stored meanwhile stays the host's.
  uint32_t expected = shadow_[word];
  const uint32_t value = device_[word];
  if (__atomic_compare_exchange_n(&host_[word], &expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) shadow_[word] = value;
}

void WeakMemory::step(unsigned clocks) {
  now_ += clocks;
  const uint32_t words = static_cast<uint32_t>(shadow_.size()), first = random_.below(words);
  for (uint32_t i = first; i < std::min(words, first + kWordsPerStep); i++) {
    if (random_.chance(0.2)) toDevice(i);
  }
  for (size_t i = 0; i < pending_.size();) {
    if (pending_[i].due > now_) {
      i++;
      continue;
    }
    toHost(pending_[i].word);
    pending_[i] = pending_.back();
    pending_.pop_back();
  }
}

void WeakMemory::flushToDevice() {
  for (size_t i = 0; i < shadow_.size(); i++) toDevice(i);
}

void WeakMemory::flushToHost() {
  for (const Pending& p : pending_) toHost(p.word);
  pending_.clear();
}

void WeakMemory::deviceWrote(uint64_t offset, unsigned bytes) {
  for (uint64_t word = offset / 4; word < (offset + bytes + 3) / 4; word++) {
    const uint32_t delay = random_.below(random_.chance(kLong) ? kLongDelayClocks : kUsualDelayClocks);
    pending_.push_back({static_cast<uint32_t>(word), now_ + delay});
  }
}
