// Randomness that a seed repeats: splitmix64. Every part of the board has a stream of its own, so that one part's use does not shift another's.
#pragma once

#include <cstdint>

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : state_(seed * 0x9e3779b97f4a7c15u + stream * 0xd1342543de82ef95u + 1) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }

  /** 0 … limit − 1; limit is not 0. */
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>((next() >> 32) * limit >> 32); }

  /** first … last, both possible. */
  uint32_t between(uint32_t first, uint32_t last) { return first + below(last - first + 1); }

  /** True with this probability. */
  bool chance(double probability) { return probability > 0 && static_cast<double>(next() >> 11) < probability * 9007199254740992.0; }

 private:
  uint64_t state_;
};
