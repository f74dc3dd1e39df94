// Payload of a machine whose device does not snoop (docs/PROTOCOL.md 10.9, "behind a cache"): one file shows what the CPUs' caches show, the
// other is the memory that the device sees. Lines move by sync calls, and at random as caches write back and prefetch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "files.h"
#include "random.h"

class CacheMemory {
 public:
  static constexpr unsigned kLineBytes = 64;
  static constexpr unsigned kGranuleBytes = 128;  // what may go to memory when one dirty line of it does: the least that hosts reckon with

  CacheMemory(uint8_t* cpu, uint8_t* device, uint64_t bytes, uint64_t seed);

  void step();
  /** Writes dirty lines of the range back. Offset and length are whole lines. */
  void syncForDevice(uint64_t offset, uint64_t bytes);
  /** Drops the lines of the range and reads them anew. */
  void syncForCpu(uint64_t offset, uint64_t bytes);
  void deviceWrote(uint64_t offset, unsigned bytes);

  uint64_t writebacks() const { return writebacks_; }
  uint64_t prefetches() const { return prefetches_; }

 private:
  bool isDirty(uint64_t offset) const;
  void writeBack(uint64_t offset);
  void refresh(uint64_t offset);

  uint8_t* const cpu_;
  uint8_t* const device_;
  const uint64_t bytes_;
  Mapping shadow_;  // each line as last read or written back; the CPUs' bytes differ from it: dirty
  Random random_;
  std::vector<uint64_t> recent_;  // lines that the device wrote lately, a ring
  size_t recentNext_ = 0;
  uint64_t writebacks_ = 0, prefetches_ = 0;  // at random
};
