// One AXI4 port as plain numbers: what the memory model and the checker see at a clock edge. Nothing here knows who the master is.
//
//   master drives   aw.*  w.*  ar.*  b.ready  r.ready      (except the ready of aw, w, ar)
//   memory drives   b.*   r.*  aw.ready  w.ready  ar.ready (except the ready of b, r)
#pragma once

#include <cstdint>
#include <cstring>

namespace axi {

constexpr unsigned kMaxBusBytes = 64;
constexpr unsigned kBoundaryBytes = 4096;  // no burst crosses a multiple of it

enum Response : uint8_t { kOkay = 0, kExclusiveOkay = 1, kSlaveError = 2, kDecodeError = 3 };
enum Burst : uint8_t { kFixed = 0, kIncrement = 1, kWrap = 2 };

struct AddressChannel {
  bool valid = false, ready = false;
  uint32_t id = 0;
  uint64_t address = 0;
  uint8_t length = 0;  // beats − 1
  uint8_t size = 0;    // log2 of the bytes of a beat
  uint8_t burst = kIncrement;

  unsigned beats() const { return length + 1u; }
  unsigned beatBytes() const { return 1u << size; }
  /** Address of the first byte of beat i. */
  uint64_t beatAddress(unsigned i) const { return i == 0 ? address : (address & ~uint64_t{beatBytes() - 1}) + uint64_t{i} * beatBytes(); }
  /** Address after the last byte of beat i. */
  uint64_t beatEnd(unsigned i) const { return (beatAddress(i) & ~uint64_t{beatBytes() - 1}) + beatBytes(); }
  uint64_t end() const { return beatEnd(length); }
  bool samePayload(const AddressChannel& o) const { return id == o.id && address == o.address && length == o.length && size == o.size && burst == o.burst; }
};

struct WriteDataChannel {
  bool valid = false, ready = false, last = false;
  uint64_t strobes = 0;  // bit n: byte lane n
  uint8_t data[kMaxBusBytes] = {};
};

struct WriteResponseChannel {
  bool valid = false, ready = false;
  uint32_t id = 0;
  uint8_t response = kOkay;
};

struct ReadDataChannel {
  bool valid = false, ready = false, last = false;
  uint32_t id = 0;
  uint8_t response = kOkay;
  uint8_t data[kMaxBusBytes] = {};
};

struct Signals {
  AddressChannel aw, ar;
  WriteDataChannel w;
  WriteResponseChannel b;
  ReadDataChannel r;
};

inline uint64_t laneMask(unsigned first, unsigned end) { return (end >= 64 ? ~uint64_t{0} : (uint64_t{1} << end) - 1) & ~((uint64_t{1} << first) - 1); }

}  // namespace axi
