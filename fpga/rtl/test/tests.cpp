// Tests of physring_core against docs/PROTOCOL.md section 10, directed and random.
//
//     bench SEED VECTORS       VECTORS: fpga/vectors/commands.hex. The last line counts what passed
#include <fstream>
#include <sstream>

#include "host.h"

namespace {
constexpr uint32_t A = 0x20000, B = 0x60000;  // data areas of 256 KiB
constexpr uint32_t FromList = PHYSRING_FPGA_FLAG_SOURCE_LIST, ToList = PHYSRING_FPGA_FLAG_DESTINATION_LIST;
uint64_t out_of_order = 0;

void registers(Bench& b) {
  b.begin("registers");
  const uint32_t constants[] = {PHYSRING_FPGA_MAGIC, 1, Queues, BusBytes, 0xff, 12, 1024, 0, 4, 2, 2048, 16 * BusBytes, 0};
  for (uint32_t i = 0; i < 13; i++) b.expect(4 * i, constants[i], "global block");
  b.write(0, 1);
  b.expect(0, PHYSRING_FPGA_MAGIC, "magic is read-only");
  const auto host = [](uint32_t at) { return at <= 0x44 || at == 0x80 || at == 0xc0; };
  for (int q = 0; q < Queues; q++) {
    for (uint32_t at = 0; at < 0x200; at += 4) b.expect(b.reg(q, at), 0, "0 after reset");
    for (uint32_t at = 4; at < 0x200; at += 4) b.write(b.reg(q, at), 0x1000 * q + at);
  }
  for (int q = 0; q < Queues; q++)
    for (uint32_t at = 4; at < 0x200; at += 4)
      b.expect(b.reg(q, at), host(at) ? 0x1000 * q + at : 0, "host words hold, others ignore");
  b.write_strobed(b.reg(0, 0x80), Any, 7);
  b.expect(b.reg(0, 0x80), 0x80, "a narrow write is ignored");
  b.write(b.reg(Queues, 4), 7);
  b.expect(b.reg(Queues, 4), 0, "no such queue");
  for (int q = 0; q < Queues; q++)
    for (uint32_t at = 4; at < 0x200; at += 4) b.write(b.reg(q, at), 0);
  b.end();
}

void nop_rings(Bench& b) {
  for (unsigned k = 1; k <= 6; k++) {
    b.begin("NOP through rings");
    b.start(0, k);
    for (int round = 0; round < 5; round++) {
      for (unsigned i = 0; i < 1u << k; i++) b.describe(0, 0, 0x700 + b.queues[0].submitted, 0, 0, 0);
      b.doorbell(0);
      for (unsigned i = 0; i < 1u << k; i++) {
        b.reap(0);
        b.equal(b.got.tag, 0x700 + b.got.index, "tag belongs to index");
        b.equal(b.got.status_opcode, 0, "status");
      }
      b.acknowledge(0);
    }
    b.expect(b.reg(0, PHYSRING_FPGA_REG_SQ_HEAD), 5u << k, "sqHead");
    b.expect(b.reg(0, PHYSRING_FPGA_REG_CQ_TAIL), 5u << k, "cqTail");
    b.stop(0);
    b.end();
  }
  b.begin("bus accesses per command at batch 32");
  b.start(0, 6);
  const uint32_t fetches = b.read(b.reg(0, PHYSRING_FPGA_REG_DESCRIPTOR_FETCHES));
  const uint32_t writes = b.read(b.reg(0, PHYSRING_FPGA_REG_COMPLETION_WRITES));
  const uint64_t clocks = b.clocks;
  for (int round = 0; round < 32; round++) {
    for (int i = 0; i < 32; i++) b.describe(0, 0, 0, 0, 0, 0);
    b.doorbell(0);
    for (int i = 0; i < 32; i++) b.reap(0);
    b.acknowledge(0);
  }
  const double f = (b.read(b.reg(0, PHYSRING_FPGA_REG_DESCRIPTOR_FETCHES)) - fetches) / 1024.0;
  const double w = (b.read(b.reg(0, PHYSRING_FPGA_REG_COMPLETION_WRITES)) - writes) / 1024.0;
  b.check(f <= 1.1 && w == (SPLIT ? 2 : 1), "at most 1.1 fetches and 1 completion write");
  std::printf("batch of 32 NOP: %.2f descriptor fetches, %.2f completion writes, %.1f clocks per command\n", f, w,
              double(b.clocks - clocks) / 1024);
  b.stop(0);
  b.end();
}

void copies(Bench& b, int count) {
  b.start(1, 4);
  for (int i = 0; i < count; i++) {
    b.begin("COPY");
    const uint32_t length = i < 140 ? i + 1 : 1 + b.random.below(9000);
    const uint32_t source = A + 64 * b.random.below(128), destination = B + 64 * b.random.below(128);
    b.scramble(source, length);
    std::memset(&b.at(destination - 64), 0x5a, length + 128);
    b.one(1, PHYSRING_FPGA_COPY, source, destination, length, 0, 0, 0, 0);
    for (uint32_t j = 0; j < 64; j++)
      b.check(b.at(destination - 64 + j) == 0x5a && b.at(destination + length + j) == 0x5a, "nothing around the destination");
    b.check(std::memcmp(&b.at(destination), &b.at(source), length) == 0, "copied");
    b.end();
  }
  b.stop(1);
}

uint32_t pixel(Bench& b, int width, int lines, int x, int y) {
  x = x < 0 ? 0 : x >= width ? width - 1 : x;
  y = y < 0 ? 0 : y >= lines ? lines - 1 : y;
  return b.at(A + y * width + x);
}

void engines(Bench& b) {
  b.start(2, 3);
  for (int i = 0; i < 100; i++) {
    b.begin("FILL, CRC32, THRESHOLD");
    const uint32_t length = 1 + b.random.below(i < 70 ? 200 : 5000);
    uint32_t value = b.random.next();
    std::memset(&b.at(B), 0x5a, length + 64);
    b.one(2, PHYSRING_FPGA_FILL, 0, B, length, 0, value, 0, 0);
    for (uint32_t j = 0; j < length; j++) b.check(b.at(B + j) == uint8_t(value >> 8 * (j % 4)), "filled");
    for (uint32_t j = 0; j < 64; j++) b.check(b.at(B + length + j) == 0x5a, "nothing behind the fill");
    b.scramble(A, length);
    b.one(2, PHYSRING_FPGA_CRC32, A, 0, length, 0, 0, 0, b.crc(A, length));
    if (length > 64) {
      const uint32_t whole = b.got.result;
      b.one(2, PHYSRING_FPGA_CRC32, A, 0, 64, 0, 0, 0, b.crc(A, 64));
      b.one(2, PHYSRING_FPGA_CRC32, A + 64, 0, length - 64, 0, b.got.result, 0, whole);
    }
    value = b.random.below(256);
    uint32_t reached = 0;
    for (uint32_t j = 0; j < length; j++) reached += b.at(A + j) >= value;
    b.one(2, PHYSRING_FPGA_THRESHOLD, A, B, length, 0, value, 0, reached);
    for (uint32_t j = 0; j < length; j++) b.check(b.at(B + j) == (b.at(A + j) >= value ? 255 : 0), "threshold");
    b.end();
  }
  for (int i = 0; i < 40; i++) {
    b.begin("FILTER3X3");
    const int width = i == 1 ? 2048 : 64 * (i == 0 ? 1 : 1 + b.random.below(6)), lines = 1 + b.random.below(8);
    b.scramble(A, width * lines);
    b.one(2, PHYSRING_FPGA_FILTER3X3, A, B, width * lines, 0, width, 0, 0);
    for (int y = 0; y < lines; y++) {
      for (int x = 0; x < width; x++) {
        uint32_t sum = 0;
        for (int dy = -1; dy <= 1; dy++)
          for (int dx = -1; dx <= 1; dx++) sum += (dx ? 1 : 2) * (dy ? 1 : 2) * pixel(b, width, lines, x + dx, y + dy);
        b.check(b.at(B + y * width + x) == sum / 16, "filtered");
      }
    }
    b.end();
  }
  b.stop(2);
}

void list_entry(Bench& b, uint32_t at, uint64_t address, uint32_t bytes) {
  b.poke64(at, address), b.poke(at + 8, bytes), b.poke(at + 12, 0);
}
// Cuts `length` into pieces spread over `area`; `places` gets the offset of every byte.
uint32_t make_list(Bench& b, uint32_t list, uint32_t area, uint32_t length, std::vector<uint32_t>& places) {
  uint32_t entries = 0;
  places.clear();
  while (length > 0) {
    uint32_t piece = 64 * (1 + b.random.below(6));
    if (piece >= length || entries == 30) piece = length;
    area += 64 * b.random.below(3);
    list_entry(b, list + 16 * entries++, Base + area, piece);
    for (uint32_t i = 0; i < piece; i++) places.push_back(area + i);
    area += (piece + 63) / 64 * 64;
    length -= piece;
  }
  return entries;
}

void lists(Bench& b) {
  const uint32_t from = b.rings(3) + ListOffset, to = from + 0x400;
  std::vector<uint32_t> sources, destinations;
  b.start(3, 3);
  for (int i = 0; i < 100; i++) {
    b.begin("lists");
    const uint32_t length = 1 + b.random.below(i < 20 ? 64 : 3000);
    const bool from_list = i % 3 != 1, to_list = i % 3 != 2;
    b.scramble(A, 0x4000);
    std::memset(&b.at(B), 0x5a, 0x4000);
    const uint32_t n = make_list(b, from, A, length, sources), m = make_list(b, to, B, length, destinations);
    b.one(3, PHYSRING_FPGA_COPY | (from_list ? FromList : 0) | (to_list ? ToList : 0), from_list ? from : A, to_list ? to : B, length,
          n | m << 16, 0, 0, 0);
    for (uint32_t j = 0; j < length; j++) {
      uint8_t& byte = b.at(to_list ? destinations[j] : B + j);
      b.check(byte == b.at(from_list ? sources[j] : A + j), "copied through lists");
      byte = 0x5a;
    }
    for (uint32_t j = 0; j < 0x4000; j++) b.check(b.at(B + j) == 0x5a, "nothing but the listed bytes");
    b.end();
  }
  b.begin("bad lists");
  const uint32_t op = PHYSRING_FPGA_CRC32 | FromList, bad = PHYSRING_FPGA_ERR_LIST;
  const auto both = [&](uint64_t second, uint32_t first_bytes) {
    list_entry(b, from, Base + A, first_bytes), list_entry(b, from + 16, second, 128);
  };
  both(Base + A + 0x1000, 128);
  b.one(3, op, from, 0, 256, 2, 0, 0, Any);
  b.one(3, op, from, 0, 255, 2, 0, bad, 0);
  b.one(3, op, from, 0, 257, 2, 0, bad, 0);
  b.one(3, op, from, 0, 256, 1, 0, bad, 0);
  b.one(3, op, from, 0, 256, 3, 0, bad, 0);
  b.one(3, op, from, 0, 256, 0, 0, bad, 0);
  b.one(3, op, b.rings(0), 0, 256, 1025, 0, bad, 0);
  b.one(3, op, b.rings(3) + 0x3fc0, 0, 256, 5, 0, PHYSRING_FPGA_ERR_RANGE, 0);
  both(Base + A + 0x1000, 0);
  b.one(3, op, from, 0, 128, 2, 0, bad, 0);
  both(Base + A + 0x1000, 100);
  b.one(3, op, from, 0, 228, 2, 0, bad, 0);
  for (uint64_t second : {Base + A + 0x1020, Base, uint64_t(~0x3full), Base + MemoryBytes - 64}) {
    both(second, 128);
    b.one(3, op, from, 0, 256, 2, 0, bad, 0);
  }
  b.one(3, op, A, 0, 256, 2, 0, PHYSRING_FPGA_ERR_RANGE, 0);
  b.one(3, PHYSRING_FPGA_FILL | ToList, 0, from, 256, 2 << 16, 0, bad, 0);
  b.one(3, PHYSRING_FPGA_COPY, A, B, 100, 0, 0, 0, 0);
  b.end();
  b.stop(3);
}

void rejections(Bench& b) {
  b.begin("rejections");
  b.start(0, 4);
  const struct {
    uint32_t word0, source, destination, length, parameter, status;
  } cases[] = {
      {8, A, B, 64, 0, 1}, {255, A, B, 64, 0, 1}, {1 | 0x400, A, B, 64, 0, 2}, {0x80000000, A, B, 64, 0, 2}, {1, A, B, 0, 0, 3},
      {1, A, B, 0x80000001, 0, 3}, {1, A, B, 0x80000000, 0, 6}, {4, A, B, 64, 256, 4}, {5, A, B, 64, 0, 4}, {5, A, B, 65, 64, 4},
      {5, A, B, 64, 128, 4}, {5, A, B, 4160, 4160, 4}, {5, A, B, 96, 96, 4}, {5, A, B, 2112, 2112, 4}, {1, A + 32, B, 64, 0, 5},
      {1, A, B + 1, 64, 0, 5}, {3, A, B + 1, 64, 0, 0}, {2, A + 1, B, 64, 0, 0}, {1, Data - 64, B, 64, 0, 6},
      {1, A, Data - 64, 128, 0, 6}, {1, MemoryBytes - 64, B, 65, 0, 6}, {1, MemoryBytes - 64, B, 64, 0, 0}, {2, 0, MemoryBytes, 1, 0, 6},
      {2, 0, uint32_t(-Base), 1, 0, 6},
  };
  for (const auto& c : cases) b.one(0, c.word0, c.source, c.destination, c.length, 0, c.parameter, c.status, Any);
  b.describe(0, PHYSRING_FPGA_FILL, 1, 0, 0, 128);
  b.poke64(b.slot(0, b.queues[0].submitted - 1) + 16, ~0x3full);
  b.doorbell(0), b.reap(0), b.acknowledge(0);
  b.equal(b.got.status_opcode, PHYSRING_FPGA_FILL << 8 | PHYSRING_FPGA_ERR_RANGE, "wraps past 2^64");
  b.stop(0);
  b.end();
}

void halted(Bench& b, int q, uint32_t code, const char* what) {
  b.wait_state(q, PHYSRING_FPGA_HALTED, what);
  b.expect(b.reg(q, PHYSRING_FPGA_REG_HALT_CODE), code, what);
  b.check(b.memory.outstanding == 0, "nothing under way when halted");
  b.stop(q);
}

void bus_errors(Bench& b) {
  const auto bad = [&](uint32_t from, uint32_t bytes, bool reads, bool writes) {
    b.memory.bad_from = Base + from, b.memory.bad_to = Base + from + bytes, b.memory.bad_reads = reads, b.memory.bad_writes = writes;
  };
  for (uint32_t kind = 0; kind < 2; kind++) {
    b.begin("bus errors");
    b.memory.bad_response = 2 + kind;
    b.start(0, 4);
    const uint32_t errors = b.read(b.reg(0, PHYSRING_FPGA_REG_BUS_ERRORS)), list = b.rings(0) + ListOffset;
    bad(A + 0x600, 64, true, false);
    b.one(0, PHYSRING_FPGA_CRC32, A, 0, 4096, 0, 0, PHYSRING_FPGA_ERR_READ_SLVERR + kind, 0);
    b.one(0, PHYSRING_FPGA_COPY, A, B, 4096, 0, 0, PHYSRING_FPGA_ERR_READ_SLVERR + kind, 0);
    b.one(0, PHYSRING_FPGA_CRC32, A, 0, 0x600, 0, 0, 0, b.crc(A, 0x600));
    bad(B + 0x600, 1, false, true);
    b.one(0, PHYSRING_FPGA_COPY, A, B, 4096, 0, 0, PHYSRING_FPGA_ERR_WRITE_SLVERR + kind, 0);
    b.one(0, PHYSRING_FPGA_FILL, A, B + 0x640, 4096, 0, 0, 0, 0);
    bad(list, 1, true, false);
    b.one(0, PHYSRING_FPGA_CRC32 | FromList, list, 0, 64, 1, 0, PHYSRING_FPGA_ERR_LIST_SLVERR + kind, 0);
    b.one(0, PHYSRING_FPGA_FILL | ToList, 0, list, 64, 1 << 16, 0, PHYSRING_FPGA_ERR_LIST_SLVERR + kind, 0);
    bad(0, 0, false, false);
    b.one(0, PHYSRING_FPGA_COPY, A, B, 4096, 0, 0, 0, 0);
    b.expect(b.reg(0, PHYSRING_FPGA_REG_BUS_ERRORS), errors + 5, "busErrors");
    bad(b.rings(0), 0x1000, true, false);
    b.describe(0, 0, 1, 0, 0, 0), b.doorbell(0);
    halted(b, 0, PHYSRING_FPGA_HALT_FETCH, "FETCH");
    b.start(0, 4);
    bad(b.rings(0) + CqOffset, 0x1000, false, true);
    b.describe(0, 0, 1, 0, 0, 0), b.doorbell(0);
    halted(b, 0, PHYSRING_FPGA_HALT_COMPLETE, "COMPLETE");
    b.expect(b.reg(0, PHYSRING_FPGA_REG_CQ_TAIL), 0, "cqTail");
    bad(0, 0, false, false);
    b.start(0, 4);
    b.expect(b.reg(0, PHYSRING_FPGA_REG_HALT_CODE), 0, "haltCode of a new start");
    b.one(0, PHYSRING_FPGA_COPY, A, B, 300, 0, 0, 0, 0);
    b.stop(0);
    b.end();
  }
}

void halts(Bench& b) {
  b.begin("halts");
  b.start(1, 2);
  b.describe(1, 0, 1, 0, 0, 0), b.poke(b.slot(1, 0) + 60, b.validity(1, 4)), b.doorbell(1);
  halted(b, 1, PHYSRING_FPGA_HALT_STALE, "STALE: phase of the next pass");
  b.start(1, 2);
  b.describe(1, 0, 1, 0, 0, 0), b.poke(b.slot(1, 0) + 60, b.validity(1, 0) - 256), b.doorbell(1);
  halted(b, 1, PHYSRING_FPGA_HALT_STALE, "STALE: an earlier epoch");
  for (uint32_t tail : {5u, ~0u}) {
    b.start(1, 2);
    b.write(b.reg(1, PHYSRING_FPGA_REG_SQ_TAIL), tail);
    halted(b, 1, PHYSRING_FPGA_HALT_SQ_TAIL, "SQ_TAIL");
  }
  b.start(1, 2);
  b.write(b.reg(1, PHYSRING_FPGA_REG_CQ_HEAD), 1);
  halted(b, 1, PHYSRING_FPGA_HALT_CQ_HEAD, "CQ_HEAD");
  const struct {
    uint32_t at, value;
  } cases[] = {{PHYSRING_FPGA_REG_CAPACITY_LOG2, 0}, {PHYSRING_FPGA_REG_CAPACITY_LOG2, 13}, {PHYSRING_FPGA_REG_CAPACITY_LOG2, 0x102},
               {PHYSRING_FPGA_REG_SQ_BASE, uint32_t(Base) + 32}, {PHYSRING_FPGA_REG_CQ_BASE, uint32_t(Base) + 32},
               {PHYSRING_FPGA_REG_SQ_BASE, uint32_t(Base) + QueueWindow - 128}, {PHYSRING_FPGA_REG_CQ_BASE, uint32_t(Base) + QueueWindow - 64},
               {PHYSRING_FPGA_REG_CQ_BASE + 4, 0}, {PHYSRING_FPGA_REG_DATA_WINDOW_BASE + 4, Any}, {PHYSRING_FPGA_REG_QUEUE_WINDOW_BASE + 4, 2}};
  for (const auto& c : cases) {
    b.configure(1, 2);
    b.write(b.reg(1, c.at), c.value);
    b.control(1, true);
    halted(b, 1, PHYSRING_FPGA_HALT_CONFIG, "CONFIG");
  }
  b.configure(1, 2);
  b.queues[1].epoch = 0;
  b.control(1, true);
  halted(b, 1, PHYSRING_FPGA_HALT_CONFIG, "epoch 0");
  b.queues[1].epoch = 0x1000;
  b.start(1, 2);
  b.one(1, PHYSRING_FPGA_COPY, A, B, 300, 0, 0, 0, 0);
  b.stop(1);
  b.end();
}

// A stop at any moment: after idle nothing moves, and what is valid in the ring happened, once.
void stops(Bench& b) {
  for (int i = 0; i < 400; i++) {
    b.begin("stop in mid-flight");
    b.memory.slowness = i % 5;
    b.start(0, 4);
    b.start(1, 4);  // a neighbour that goes on
    const uint32_t n = 1 + b.random.below(10);
    b.scramble(A, 0x8000);
    std::memset(&b.at(B), 0x5a, 0x10000);
    std::vector<uint32_t> lengths;
    for (uint32_t j = 0; j < n; j++) {
      lengths.push_back(1 + b.random.below(2000));
      b.describe(0, j % 3 == 2 ? PHYSRING_FPGA_CRC32 : PHYSRING_FPGA_COPY, j, A + 2048 * j, B + 2048 * j, lengths[j]);
    }
    for (uint32_t j = 0; j < 4; j++) b.describe(1, PHYSRING_FPGA_COPY, j, A + 2048 * j, B + 0x8000 + 2048 * j, 1500);
    b.doorbell(0), b.doorbell(1);
    b.tick(b.random.below(i < 200 ? 300 : 4000));
    b.stop(0);
    const std::vector<uint8_t> after(b.memory.bytes.begin() + B, b.memory.bytes.begin() + B + 0x8000);
    uint32_t completed = 0;
    for (; completed < n && b.ready(0); completed++) {
      b.reap(0);
      b.check(b.got.tag == b.got.index && (b.got.status_opcode & 255) == 0, "completed well");
      const uint32_t t = b.got.tag;
      if (t < n && t % 3 != 2) b.check(std::memcmp(&b.at(B + 2048 * t), &b.at(A + 2048 * t), lengths[t]) == 0, "copied whole");
    }
    for (uint32_t j = 0; j < 4; j++) {
      b.reap(1);
      b.check(std::memcmp(&b.at(B + 0x8000 + 2048 * b.got.tag), &b.at(A + 2048 * b.got.tag), 1500) == 0, "the neighbour's copy");
    }
    b.acknowledge(1);
    b.tick(300);
    b.check(std::memcmp(after.data(), &b.at(B), 0x8000) == 0, "no byte changes after idle");
    b.check(completed == n || !b.ready(0), "no late completion");
    b.check(b.memory.outstanding == 0 && (b.core->irq & 1) == 0, "quiet");
    b.stop(1);
    b.end();
  }
  b.memory.slowness = 0;
}

// A bus that does not answer: no idle until it does.
void frozen_bus(Bench& b) {
  b.begin("a bus that does not answer");
  b.start(0, 4);
  b.describe(0, PHYSRING_FPGA_COPY, 1, A, B, 4000), b.doorbell(0);
  b.tick(60);
  b.memory.frozen = true;
  b.control(0, false);
  b.tick(5000);
  b.expect(b.reg(0, PHYSRING_FPGA_REG_STATE), b.queues[0].epoch << 8 | PHYSRING_FPGA_STOPPING, "stopping, not idle");
  b.memory.frozen = false;
  b.wait_state(0, PHYSRING_FPGA_IDLE, "idle at last");
  b.end();

  b.begin("a fetch that is not answered");
  b.start(0, 4);
  b.memory.frozen = true;
  b.describe(0, 0, 1, 0, 0, 0), b.doorbell(0);
  b.tick(60);
  b.control(0, false);
  b.tick(1000);
  b.expect(b.reg(0, PHYSRING_FPGA_REG_STATE), b.queues[0].epoch << 8 | PHYSRING_FPGA_STOPPING, "stopping, not idle");
  b.memory.frozen = false;
  b.wait_state(0, PHYSRING_FPGA_IDLE, "idle at last");
  b.check(!b.ready(0), "what was fetched for nothing did not run");
  b.end();

  b.begin("no completion is begun after the stop");
  b.start(0, 4);
  for (int i = 0; i < 8; i++) b.describe(0, 0, i, 0, 0, 0);
  b.doorbell(0);
  while (!b.core->m_axi_awvalid) b.tick();
  b.memory.frozen = true;  // one completion is on the bus, other commands wait behind it
  b.tick(100);
  b.control(0, false);
  b.tick(100);
  b.memory.frozen = false;
  b.wait_state(0, PHYSRING_FPGA_IDLE, "idle");
  b.reap(0);
  b.check(!b.ready(0), "the one that was on the bus, and no other");
  b.expect(b.reg(0, PHYSRING_FPGA_REG_CQ_TAIL), 1, "cqTail");
  b.end();
}

void interrupts(Bench& b) {
  b.begin("interrupts");
  const auto line = [&] { return (b.core->irq >> 2 & 1) != 0; };
  const auto comes = [&](int limit) {
    for (; limit > 0 && !line(); limit--) b.tick();
    return line();
  };
  const auto nop = [&](int n) {
    for (int i = 0; i < n; i++) b.describe(2, 0, 1, 0, 0, 0);
    b.doorbell(2);
    for (int i = 0; i < n; i++) b.reap(2);
  };
  const auto events = [&] { return b.read(b.reg(2, PHYSRING_FPGA_REG_INTERRUPT_EVENTS)); };
  b.start(2, 4);
  nop(1);
  b.check(!comes(300), "off after reset");
  b.acknowledge(2);
  b.write(b.reg(2, PHYSRING_FPGA_REG_INTERRUPT_COUNT), 2);
  nop(1);
  b.check(!comes(300), "one of two: quiet");
  uint32_t seen = events();
  nop(1);
  b.check(comes(300), "two of two");
  b.equal(events(), seen + 1, "one event");
  b.acknowledge(2);
  b.check(!line(), "acknowledged by cqHead");
  b.write(b.reg(2, PHYSRING_FPGA_REG_INTERRUPT_COUNT), 8);
  b.write(b.reg(2, PHYSRING_FPGA_REG_INTERRUPT_CYCLES), 300);
  nop(1);
  b.check(!line(), "not at once");
  b.check(comes(400), "after the timer");
  b.acknowledge(2);
  b.check(!comes(500), "acknowledged");
  b.write(b.reg(2, PHYSRING_FPGA_REG_INTERRUPT_COUNT), 1);
  nop(3);
  b.check(comes(300), "pending");
  seen = events();
  b.write(b.reg(2, PHYSRING_FPGA_REG_CQ_HEAD), b.queues[2].reaped - 1);
  b.check(comes(20), "still one");
  b.equal(events(), seen + 1, "a new edge for what is left");
  b.acknowledge(2);
  b.check(!comes(300), "all taken");
  b.write(b.reg(2, PHYSRING_FPGA_REG_SQ_TAIL), b.queues[2].submitted + 100);
  b.check(comes(300), "halting interrupts");
  b.stop(2);
  b.check(!line(), "quiet when stopped");
  b.write(b.reg(2, PHYSRING_FPGA_REG_INTERRUPT_COUNT), 0);
  b.write(b.reg(2, PHYSRING_FPGA_REG_INTERRUPT_CYCLES), 0);
  b.end();
}

void windows(Bench& b) {
  b.begin("each queue has windows of its own");
  b.start(0, 3);
  b.configure(1, 3);
  b.write64(b.reg(1, PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT), Base + B);
  b.control(1, true);
  b.wait_state(1, PHYSRING_FPGA_RUNNING, "runs");
  for (int i = 0; i < 4; i++) {
    b.one(0, PHYSRING_FPGA_FILL, 0, B, 64, 0, 7, 0, 0);
    b.one(1, PHYSRING_FPGA_FILL, 0, B, 64, 0, 7, PHYSRING_FPGA_ERR_RANGE, 0);
  }
  b.stop(0), b.stop(1);
  b.end();
}

// Whatever the registers hold at power-on, after the reset the core is quiet and works.
void power_on(Bench& b, uint32_t seed) {
  b.begin("power-on");
  for (uint32_t i = 0; i < 24; i++) {
    Bench other(seed * 24 + i);
    b.check(other.core->irq == 0 && other.memory.asked == 0, "quiet after reset");
    other.start(3, 2);
    other.one(3, 0, 0, 0, 0, 0, 0, 0, 0);
    other.one(3, PHYSRING_FPGA_CRC32, A, 0, 100, 0, 0, 0, other.crc(A, 100));
    other.one(3, PHYSRING_FPGA_FILL, 0, B, 100, 0, 7, 0, 0);
    other.stop(3);
    const uint64_t asked = 3 + 1 + 1 + (SPLIT ? 6 : 3);  // descriptors, a read, a write, completions
    b.check(other.failures == 0 && other.memory.violations == 0 && other.memory.asked == asked, "works, and nothing else is on the bus");
  }
  b.end();
}

void back_pressure(Bench& b) {
  b.begin("back-pressure");
  b.start(3, 1);
  for (int i = 0; i < 2; i++) b.describe(3, 0, i, 0, 0, 0);
  b.doorbell(3), b.reap(3), b.reap(3);  // taken, but cqHead does not say so
  for (int i = 2; i < 4; i++) b.describe(3, 0, i, 0, 0, 0);
  b.doorbell(3);
  b.tick(1000);
  b.check(!b.ready(3), "waits for cqHead");
  b.expect(b.reg(3, PHYSRING_FPGA_REG_CQ_TAIL), 2, "cqTail");
  b.acknowledge(3), b.reap(3), b.reap(3), b.acknowledge(3);
  b.stop(3);
  b.end();
}

void streams(Bench& b) {
  HostQueue& queue = b.queues[0];
  b.begin("source, waiting");
  queue.pace = 800, queue.policy = PHYSRING_FPGA_PACE_WAIT;
  b.start(0, 3);
  for (uint32_t i = 0; i < 4; i++) b.describe(0, PHYSRING_FPGA_SOURCE, i, 0, A + 1024 * i, 1000, 0, 0x11110000);
  b.doorbell(0);
  b.start(1, 3);
  b.one(1, PHYSRING_FPGA_COPY, A + 0x8000, B, 64, 0, 0, 0, 0);
  b.check(!b.ready(0), "the frame waits for its tick, the other queue does not");
  b.stop(1);
  for (uint32_t i = 0; i < 4; i++) {
    b.reap(0);
    b.equal(b.got.result, i, "sequence");
    for (uint32_t j = 0; j < 250; j++)
      b.equal(b.peek(A + 1024 * b.got.index + 4 * j), physring_fpga_source_word(0x11110000, b.got.result, j), "pattern");
  }
  b.acknowledge(0);
  b.tick(6000);
  b.expect(b.reg(0, PHYSRING_FPGA_REG_TICKS), 5, "the clock stands still");
  b.expect(b.reg(0, PHYSRING_FPGA_REG_MISSED), 0, "nothing missed");
  b.stop(0);
  b.end();

  b.begin("source, drop-newest");
  queue.policy = PHYSRING_FPGA_PACE_DROP_NEWEST;
  b.start(0, 3);
  b.tick(8000);
  for (uint32_t i = 0; i < 4; i++) b.describe(0, PHYSRING_FPGA_SOURCE, i, 0, A, 64);
  b.doorbell(0), b.reap(0);
  b.equal(b.got.result, 0, "the oldest frame waited");
  for (uint32_t i = 0, before = 9; i < 3; i++, before = b.got.result) {
    b.reap(0);
    b.check(i == 0 ? b.got.result >= before : b.got.result == before + 1, "a gap for what was lost, then one by one");
  }
  const uint32_t missed = b.read(b.reg(0, PHYSRING_FPGA_REG_MISSED)), ticks = b.read(b.reg(0, PHYSRING_FPGA_REG_TICKS));
  b.check(missed >= 9 && ticks - missed >= 4 && ticks - missed <= 5, "every tick is a frame, a loss or the credit");
  b.stop(0);
  b.end();

  b.begin("sink");
  queue.policy = PHYSRING_FPGA_PACE_WAIT;
  b.start(0, 3);
  b.scramble(A, 3000);
  const uint64_t clocks = b.clocks;
  for (uint32_t i = 0; i < 3; i++) b.describe(0, PHYSRING_FPGA_SINK, i, A + 64 * i, 0, 1000 + i, 0, 77);
  b.doorbell(0);
  for (uint32_t i = 0; i < 3; i++) {
    b.reap(0);
    b.equal(b.got.result, b.crc(A + 64 * b.got.index, 1000 + b.got.index), "the sink saw the frame");
  }
  b.check(b.clocks - clocks >= 2 * 800, "at its pace");
  b.acknowledge(0);
  b.stop(0);
  b.end();

  b.begin("source, not paced");
  queue.pace = 0;
  b.start(0, 3);
  for (uint32_t i = 0; i < 5; i++) b.one(0, PHYSRING_FPGA_SOURCE, 0, A, 100, 0, 0, 0, i);
  b.stop(0);
  b.end();
}

// All queues at once, random commands, random bus: every command once, every byte right.
void mixed(Bench& b, int rounds, unsigned k) {
  constexpr int Batch = 8;
  struct Command {
    uint32_t opcode, length, source, destination, expected;
    bool done;
  } commands[Queues * Batch];
  for (int q = 0; q < Queues; q++) b.start(q, k);
  for (int round = 0; round < rounds; round++) {
    b.begin("four queues, random commands");
    const unsigned slow = b.random.below(4);
    b.memory.slowness = slow * slow;
    for (int s = 0; s < Queues * Batch; s++) {
      Command& c = commands[s];
      c = {1 + b.random.below(4), 1 + b.random.below(2000), Data + s * 2048u, Data + 0x80000 + s * 2048u, 0, false};
      b.scramble(c.source, c.length);
      if (c.opcode == PHYSRING_FPGA_CRC32) c.expected = b.crc(c.source, c.length);
      for (uint32_t j = 0; c.opcode == PHYSRING_FPGA_THRESHOLD && j < c.length; j++) c.expected += b.at(c.source + j) >= 77;
      b.describe(s / Batch, c.opcode, s, c.source, c.destination, c.length, 0, c.opcode == PHYSRING_FPGA_CRC32 ? 0 : 77);
    }
    for (int q = 0; q < Queues; q++) b.doorbell(q);
    for (int i = 0; i < Queues * Batch; i++) {
      const int q = i % Queues;
      b.reap(q);
      const uint32_t s = b.got.tag;
      b.check(s / Batch == uint32_t(q) && s < Queues * Batch && !commands[s].done, "each tag once");
      if (s >= Queues * Batch) continue;
      Command& c = commands[s];
      c.done = true;
      if (int(b.got.index % Batch) != i / Queues) out_of_order++;
      b.equal(b.got.status_opcode, c.opcode << 8, "status");
      b.equal(b.got.result, c.expected, "result");
      for (uint32_t j = 0; j < c.length && c.opcode != PHYSRING_FPGA_CRC32; j++) {
        const uint8_t in = b.at(c.source + j), out = b.at(c.destination + j);
        b.check(out == (c.opcode == PHYSRING_FPGA_COPY ? in : c.opcode == PHYSRING_FPGA_FILL ? (j % 4 ? 0 : 77) : in >= 77 ? 255 : 0), "bytes");
      }
    }
    for (int q = 0; q < Queues; q++) b.acknowledge(q);
    b.end();
  }
  b.memory.slowness = 0;
  for (int q = 0; q < Queues; q++) b.stop(q);
}

// fpga/vectors/commands.hex: its header says what the words are.
void vectors(Bench& b, const char* path) {
  b.begin("vectors: file");
  std::ifstream file(path);
  std::vector<uint32_t> words;
  for (std::string line, word; std::getline(file, line);) {
    std::istringstream rest(line.substr(0, line.find("//")));
    while (rest >> word) words.push_back(uint32_t(std::strtoul(word.c_str(), nullptr, 16)));
  }
  const bool good = words.size() > 32 && words[0] == 0x56435250 && words.size() == 32 + 24 * words[1];
  b.check(good, "the file has a header and as many vectors as it says");
  b.end();
  if (!good) return;
  b.queues[0].epoch = words[3] - 1;
  b.configure(0, words[2]);
  for (int i = 0; i < 12; i++) b.write(b.reg(0, PHYSRING_FPGA_REG_SQ_BASE + 4 * i), words[4 + i]);
  const uint32_t source = words[16] - uint32_t(Base), list = words[18] - uint32_t(Base);
  for (uint32_t j = 0; j < 2048; j++) b.poke(source + 4 * j, physring_fpga_source_word(0, 0, j));
  for (uint32_t k = 0; k < words[20]; k++) list_entry(b, list + 16 * k, Base + source + words[21] * k, words[22]);
  b.control(0, true);
  b.wait_state(0, PHYSRING_FPGA_RUNNING, "runs");
  for (uint32_t i = 0; i < words[1]; i++) {
    b.begin("vectors");
    const uint32_t* w = &words[32 + 24 * i];
    std::memcpy(&b.at(b.slot(0, i)), w, 64);
    b.queues[0].submitted++;
    b.doorbell(0), b.reap(0), b.acknowledge(0);
    const uint32_t* found = reinterpret_cast<const uint32_t*>(&b.got);
    for (int j = 0; j < 8; j++)
      if (j != 4 && j != 5) b.equal(found[j], w[16 + j], ("vector " + std::to_string(i) + ", word " + std::to_string(j)).c_str());
    b.end();
  }
  b.stop(0);
}

void coverage(Bench& b) {
  const Memory& m = b.memory;
  b.begin("bus rules and coverage");
  b.check(m.violations == 0, "AXI rules");
  b.check(m.outstanding == 0, "nothing under way at the end");
  b.check(m.splits_at_page > 0, "bursts split at 4 KiB");
  b.check(m.most_reads >= 4, "four reads of one executor outstanding");
  b.check(m.partial_beats > 0, "tails by strobes");
  b.check(m.interleavings > 0 && m.overtakings > 0, "answers out of order");
  b.check(m.bad_answers > 0, "errors injected");
  b.check(out_of_order > 0, "completions out of order");
  b.end();
  std::printf("%llu bus checks, %llu splits at 4 KiB, %llu reads outstanding, %llu partial beats, %llu interleaved beats, %llu overtakings, "
              "%llu bad answers, %llu completions out of order\n",
              (unsigned long long)m.checks, (unsigned long long)m.splits_at_page, (unsigned long long)m.most_reads,
              (unsigned long long)m.partial_beats, (unsigned long long)m.interleavings, (unsigned long long)m.overtakings,
              (unsigned long long)m.bad_answers, (unsigned long long)out_of_order);
}
}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // who waits for the first failure sees it at once
  const uint32_t seed = argc > 1 ? uint32_t(std::strtoul(argv[1], nullptr, 0)) : 1;
  Bench b(seed);
  power_on(b, seed);
  registers(b);
  nop_rings(b);
  copies(b, 200);
  b.memory.slowness = 2;
  copies(b, 200);
  engines(b);
  lists(b);
  b.memory.slowness = 0;
  engines(b);
  lists(b);
  rejections(b);
  bus_errors(b);
  halts(b);
  frozen_bus(b);
  stops(b);
  interrupts(b);
  back_pressure(b);
  windows(b);
  streams(b);
  mixed(b, 100, 3);
  mixed(b, 50, 6);
  vectors(b, argc > 2 ? argv[2] : "");
  coverage(b);
  std::printf("DATA_BITS=%d SPLIT=%d seed=%u: %llu checks, %llu clocks\n", DATA_BITS, SPLIT, seed, (unsigned long long)b.checks,
              (unsigned long long)b.clocks);
  std::printf("%d passed, %d failed\n", b.passed, b.failed);
  return b.failed != 0;
}
