#include "models.h"

#include <algorithm>

#include "physring_fpga.h"

uint32_t crc32(const uint8_t* data, size_t bytes, uint32_t before) {
  uint32_t crc = ~before;
  for (size_t i = 0; i < bytes; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static Bytes words(size_t bytes, uint32_t first, uint32_t step) {
  Bytes out(bytes);
  for (size_t i = 0; i < bytes; i++) out[i] = static_cast<uint8_t>((first + static_cast<uint32_t>(i / 4) * step) >> i % 4 * 8);
  return out;
}

Bytes fill(uint32_t word, size_t bytes) { return words(bytes, word, 0); }

Bytes sourceFrame(uint32_t seed, uint32_t sequence, size_t bytes) { return words(bytes, physring_fpga_source_word(seed, sequence, 0), PHYSRING_FPGA_SOURCE_STEP); }

Bytes threshold(const Bytes& in, uint32_t level, uint32_t& count) {
  Bytes out(in.size());
  count = 0;
  for (size_t i = 0; i < in.size(); i++) {
    out[i] = in[i] >= level ? 255 : 0;
    count += in[i] >= level;
  }
  return out;
}

Bytes filter3x3(const Bytes& in, uint32_t width) {
  static const uint32_t kWeight[3] = {1, 2, 1};
  const int lines = static_cast<int>(in.size() / width), last = static_cast<int>(width) - 1;
  Bytes out(in.size());
  for (int y = 0; y < lines; y++) {
    for (int x = 0; x <= last; x++) {
      uint32_t sum = 0;
      for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
          const int line = std::clamp(y + dy, 0, lines - 1), pixel = std::clamp(x + dx, 0, last);
          sum += kWeight[dy + 1] * kWeight[dx + 1] * in[static_cast<size_t>(line) * width + static_cast<size_t>(pixel)];
        }
      }
      out[static_cast<size_t>(y) * width + static_cast<size_t>(x)] = static_cast<uint8_t>(sum / 16);
    }
  }
  return out;
}
