#include "cache_memory.h"

#include <cstring>

namespace {
constexpr size_t kRecentLines = 4096;
constexpr unsigned kLinesPerStep = 4;

/** A line of the CPUs' file, 8 bytes at a time: others may be storing to it. */
void loadLine(uint64_t* to, const uint8_t* line) {
  for (unsigned i = 0; i < CacheMemory::kLineBytes / 8; i++) to[i] = __atomic_load_n(reinterpret_cast<const uint64_t*>(line) + i, __ATOMIC_ACQUIRE);
}
}  // namespace

CacheMemory::CacheMemory(uint8_t* cpu, uint8_t* device, uint64_t bytes, uint64_t seed)
    : cpu_(cpu), device_(device), bytes_(bytes & ~uint64_t{kLineBytes - 1}), shadow_(Mapping::anonymous(bytes)), random_(seed, 3) {
  recent_.reserve(kRecentLines);
  // Nothing is cached yet: memory, caches and shadow agree. The caller has filled `device`; pages of zeros stay untouched.
  constexpr uint64_t kPage = 4096;
  static const uint8_t zeros[kPage] = {};
  for (uint64_t at = 0; at + kPage <= bytes; at += kPage) {
    if (memcmp(device + at, zeros, kPage) != 0) memcpy(shadow_.data() + at, device + at, kPage);
  }
}

bool CacheMemory::isDirty(uint64_t offset) const {
  uint64_t line[kLineBytes / 8];
  loadLine(line, cpu_ + offset);
  return memcmp(line, shadow_.data() + offset, kLineBytes) != 0;
}

void CacheMemory::writeBack(uint64_t offset) {
  uint64_t line[kLineBytes / 8];
  loadLine(line, cpu_ + offset);
  memcpy(shadow_.data() + offset, line, kLineBytes);
  memcpy(device_ + offset, line, kLineBytes);
}

/** The line is fetched; where a CPU stored meanwhile its bytes stay. */
void CacheMemory::refresh(uint64_t offset) {
  auto* cpu = reinterpret_cast<uint64_t*>(cpu_ + offset);
  auto* shadow = reinterpret_cast<uint64_t*>(shadow_.data() + offset);
  const auto* device = reinterpret_cast<const uint64_t*>(device_ + offset);
  for (unsigned i = 0; i < kLineBytes / 8; i++) {
    uint64_t expected = shadow[i];
    if (expected == device[i]) continue;
    if (__atomic_compare_exchange_n(&cpu[i], &expected, device[i], false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) shadow[i] = device[i];
  }
}

void CacheMemory::syncForDevice(uint64_t offset, uint64_t bytes) {
  for (uint64_t at = offset; at < offset + bytes; at += kLineBytes) {
    if (isDirty(at)) writeBack(at);
  }
}

void CacheMemory::syncForCpu(uint64_t offset, uint64_t bytes) {
  for (uint64_t at = offset; at < offset + bytes; at += kLineBytes) {
    // A dirty line may have been written back a moment ago. If not, it is dropped.
    if (random_.chance(0.5) && isDirty(at)) writeBack(at);
    auto* cpu = reinterpret_cast<uint64_t*>(cpu_ + at);
    const auto* device = reinterpret_cast<const uint64_t*>(device_ + at);
    memcpy(shadow_.data() + at, device, kLineBytes);
    for (unsigned i = 0; i < kLineBytes / 8; i++) __atomic_store_n(&cpu[i], device[i], __ATOMIC_RELEASE);
  }
}

void CacheMemory::deviceWrote(uint64_t offset, unsigned bytes) {
  for (uint64_t at = offset & ~uint64_t{kLineBytes - 1}; at < offset + bytes; at += kLineBytes) {
    if (recent_.size() < kRecentLines) {
      recent_.push_back(at);
    } else {
      recent_[recentNext_] = at;
      recentNext_ = (recentNext_ + 1) % kRecentLines;
    }
  }
}

void CacheMemory::step() {
  for (unsigned i = 0; i < kLinesPerStep; i++) {
    const bool anywhere = recent_.empty() || random_.chance(0.1);
    const uint64_t lines = bytes_ / kLineBytes;
    const uint64_t offset = anywhere ? random_.next() % lines * kLineBytes : recent_[random_.below(static_cast<uint32_t>(recent_.size()))];
    if (isDirty(offset)) {
      const uint64_t first = offset & ~uint64_t{kGranuleBytes - 1};
      for (uint64_t at = first; at < first + kGranuleBytes && at < bytes_; at += kLineBytes) writeBack(at);
      writebacks_++;
    } else if (random_.chance(0.25) && memcmp(device_ + offset, shadow_.data() + offset, kLineBytes) != 0) {
      refresh(offset);
      prefetches_++;
    }
  }
}
