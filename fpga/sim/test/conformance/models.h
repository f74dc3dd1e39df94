// What the engines compute, in software (docs/PROTOCOL.md 10.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

using Bytes = std::vector<uint8_t>;

uint32_t crc32(const uint8_t* data, size_t bytes, uint32_t before = 0);
Bytes fill(uint32_t word, size_t bytes);
Bytes threshold(const Bytes& in, uint32_t level, uint32_t& count);
Bytes filter3x3(const Bytes& in, uint32_t width);
Bytes sourceFrame(uint32_t seed, uint32_t sequence, size_t bytes);
