// Queue memory of a machine that does not keep stores in order (docs/PROTOCOL.md 10.9, "weakly ordered"): two files, words move between them
// in any order until a barrier moves all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "random.h"

class WeakMemory {
 public:
  WeakMemory(uint32_t* host, uint32_t* device, uint64_t bytes, uint64_t seed);

  /** Some clocks have passed: moves a few words. */
  void step(unsigned clocks);
  /** wmb: all that the host stored is with the device. */
  void flushToDevice();
  /** rmb: all that the device wrote is with the host. */
  void flushToHost();
  /** The device wrote [offset, offset + bytes). */
  void deviceWrote(uint64_t offset, unsigned bytes);

 private:
  struct Pending {
    uint32_t word;
    uint64_t due;
  };
  void toDevice(size_t word);
  void toHost(size_t word);

  uint32_t* const host_;
  uint32_t* const device_;
  std::vector<uint32_t> shadow_;  // what both agreed on: the host's word differs from it, so the host stored
  std::vector<Pending> pending_;  // words of the device that the host does not see yet
  Random random_;
  uint64_t now_ = 0;
};
