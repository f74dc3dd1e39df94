// A host as docs/PROTOCOL.md section 10 wants it, for the bench: registers over AXI4-Lite, rings in the AXI memory.
#pragma once
#include <memory>
#include <string>

#include "../../../include/physring_fpga.h"
#include "Vphysring_core.h"
#include "axi_memory.h"
#include "verilated.h"

constexpr int BusBytes = DATA_BITS / 8;
constexpr int Queues = 4;
constexpr uint64_t Base = 0x123450000;  // device address of the memory
constexpr uint32_t MemoryBytes = 1 << 20;
// Offsets in the memory: queue q's rings and lists in the queue window [0, QueueWindow), payload behind.
constexpr uint32_t QueueStride = 0x4000, CqOffset = 0x1000, ListOffset = 0x2000, QueueWindow = 0x10000;
constexpr uint32_t Data = 0x10000;
constexpr uint32_t Any = ~0u;

using Core = Vphysring_core;
using Memory = AxiMemory<Core, BusBytes>;
using Descriptor = physring_fpga_descriptor;
using Completion = physring_fpga_completion;

struct HostQueue {
  unsigned capacity_log2 = 4;
  uint32_t epoch = 0, submitted = 0, reaped = 0, pace = 0, policy = 0;
};

class Bench {
 public:
  std::unique_ptr<Core> core;
  Memory memory{Base, MemoryBytes};
  Random random;
  HostQueue queues[Queues];
  Completion got = {};  // reaped last
  uint64_t clocks = 0, checks = 0;
  int passed = 0, failed = 0, failures = 0;
  std::string name;

  explicit Bench(uint32_t seed) {
    Verilated::randReset(2);
    Verilated::randSeed(int(seed & 0x7fffffff));
    core.reset(new Core);
    random.state = 0x9e3779b9u ^ seed * 0x85ebca6bu;
    memory.random.state = random.state ^ 0x55555555u;
    for (int q = 0; q < Queues; q++) queues[q].epoch = 0x100 * (q + 1);
    core->s_axil_awvalid = core->s_axil_wvalid = core->s_axil_arvalid = core->s_axil_bready = core->s_axil_rready = 0;
    memory.drive(*core);
    core->clk = core->rst_n = 0;
    tick(10);
    core->rst_n = 1;
    tick(10);
  }

  void tick(unsigned count = 1) {
    for (; count > 0; count--) {
      core->eval();
      if (core->rst_n) memory.sample(*core);
      core->clk = 1;
      core->eval();
      if (core->rst_n) memory.drive(*core);
      core->clk = 0;
      core->eval();
      clocks++;
    }
  }

  // ---- Counting
  void begin(const char* test) { name = test, failures = 0; }
  void end() {
    if (failures != 0) std::printf("FAILED %s: %d checks (clock %llu)\n", name.c_str(), failures, (unsigned long long)clocks);
    failures == 0 ? passed++ : failed++;
  }
  void check(bool holds, const char* what) {
    checks++;
    if (!holds && failures++ < 5) std::printf("FAILED %s: %s\n", name.c_str(), what);
  }
  void equal(uint32_t found, uint32_t expected, const char* what) {
    check(found == expected, what);
    if (found != expected && failures <= 5) std::printf("       found %08x, expected %08x\n", found, expected);
  }

  // ---- Registers
  void write_strobed(uint32_t address, uint32_t value, unsigned strobes) {
    core->s_axil_awaddr = address, core->s_axil_wdata = value, core->s_axil_wstrb = strobes;
    core->s_axil_awvalid = core->s_axil_wvalid = core->s_axil_bready = 1;
    while (!core->s_axil_awready) tick();
    tick();
    core->s_axil_awvalid = core->s_axil_wvalid = 0;
    while (!core->s_axil_bvalid) tick();
    tick();
    core->s_axil_bready = 0;
  }
  void write(uint32_t address, uint32_t value) { write_strobed(address, value, 15); }
  void write64(uint32_t address, uint64_t value) { write(address, uint32_t(value)), write(address + 4, uint32_t(value >> 32)); }
  uint32_t read(uint32_t address) {
    core->s_axil_araddr = address;
    core->s_axil_arvalid = core->s_axil_rready = 1;
    while (!core->s_axil_arready) tick();
    tick();
    core->s_axil_arvalid = 0;
    while (!core->s_axil_rvalid) tick();
    const uint32_t value = core->s_axil_rdata;
    tick();
    core->s_axil_rready = 0;
    return value;
  }
  static uint32_t reg(int q, uint32_t offset) { return physring_fpga_queue_page(q) + offset; }
  void expect(uint32_t address, uint32_t value, const char* what) { equal(read(address), value, what); }

  // ---- Memory
  uint8_t& at(uint32_t offset) { return memory.bytes[offset]; }
  uint32_t peek(uint32_t offset) { return *reinterpret_cast<uint32_t*>(&memory.bytes[offset]); }
  void poke(uint32_t offset, uint32_t value) { *reinterpret_cast<uint32_t*>(&memory.bytes[offset]) = value; }
  void poke64(uint32_t offset, uint64_t value) { poke(offset, uint32_t(value)), poke(offset + 4, uint32_t(value >> 32)); }
  void scramble(uint32_t offset, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) at(offset + i) = uint8_t(random.next() >> 8);
  }
  uint32_t crc(uint32_t offset, uint32_t count, uint32_t earlier = 0) {
    uint32_t value = ~earlier;
    for (uint32_t i = 0; i < count; i++) {
      value ^= at(offset + i);
      for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
    }
    return ~value;
  }

  // ---- Queues
  static uint32_t rings(int q) { return q * QueueStride; }
  void configure(int q, unsigned k) {
    HostQueue& queue = queues[q];
    queue.capacity_log2 = k, queue.epoch++, queue.submitted = queue.reaped = 0;
    std::memset(&at(rings(q)), 0, size_t(64) << k);
    std::memset(&at(rings(q) + CqOffset), 0, size_t(32) << k);
    write(reg(q, PHYSRING_FPGA_REG_CAPACITY_LOG2), k);
    write64(reg(q, PHYSRING_FPGA_REG_SQ_BASE), Base + rings(q));
    write64(reg(q, PHYSRING_FPGA_REG_CQ_BASE), Base + rings(q) + CqOffset);
    write64(reg(q, PHYSRING_FPGA_REG_QUEUE_WINDOW_BASE), Base);
    write64(reg(q, PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT), Base + QueueWindow);
    write64(reg(q, PHYSRING_FPGA_REG_DATA_WINDOW_BASE), Base + Data);
    write64(reg(q, PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT), Base + MemoryBytes);
    write(reg(q, PHYSRING_FPGA_REG_PACE_CYCLES), queue.pace);
    write(reg(q, PHYSRING_FPGA_REG_PACE_POLICY), queue.policy);
    write(reg(q, PHYSRING_FPGA_REG_SQ_TAIL), 0);
    write(reg(q, PHYSRING_FPGA_REG_CQ_HEAD), 0);
  }
  void control(int q, bool enable) { write(reg(q, PHYSRING_FPGA_REG_CONTROL), queues[q].epoch << 8 | enable); }
  void wait_state(int q, uint32_t state, const char* what) {
    const uint32_t expected = queues[q].epoch << 8 | state;
    uint32_t value = 0;
    for (int left = 2000; left > 0 && value != expected; left--) value = read(reg(q, PHYSRING_FPGA_REG_STATE));
    equal(value, expected, what);
  }
  void start(int q, unsigned k) { configure(q, k), control(q, true), wait_state(q, PHYSRING_FPGA_RUNNING, "runs"); }
  void stop(int q) { control(q, false), wait_state(q, PHYSRING_FPGA_IDLE, "idle"); }
  uint32_t validity(int q, uint32_t i) { return physring_fpga_validity(queues[q].epoch, i, queues[q].capacity_log2); }
  uint32_t mask(int q) { return (1u << queues[q].capacity_log2) - 1; }
  uint32_t slot(int q, uint32_t i) { return rings(q) + 64 * (i & mask(q)); }
  uint32_t entry(int q, uint32_t i) { return rings(q) + CqOffset + 32 * (i & mask(q)); }

  // Offsets of data or lists are from Base.
  void describe(int q, uint32_t word0, uint32_t tag, uint32_t source, uint32_t destination, uint32_t length, uint32_t lists = 0,
                uint32_t parameter = 0) {
    const uint32_t i = queues[q].submitted++;
    Descriptor d = {word0, tag, {}, {}, length, lists, {parameter, 0xdeadbeef, 0xdeadbeef}, {1, 2, 3, 4}, validity(q, i)};
    std::memcpy(&at(slot(q, i)), &d, sizeof d);
    poke64(slot(q, i) + 8, Base + source);
    poke64(slot(q, i) + 16, Base + destination);
  }
  void doorbell(int q) { write(reg(q, PHYSRING_FPGA_REG_SQ_TAIL), queues[q].submitted); }
  bool ready(int q) { return peek(entry(q, queues[q].reaped) + 28) == validity(q, queues[q].reaped); }
  bool reap(int q) {
    for (int left = 200000; left > 0 && !ready(q); left--) tick();
    check(ready(q), "a completion comes");
    std::memcpy(&got, &at(entry(q, queues[q].reaped)), sizeof got);
    queues[q].reaped++;
    return true;
  }
  void acknowledge(int q) { write(reg(q, PHYSRING_FPGA_REG_CQ_HEAD), queues[q].reaped); }
  // One command, alone, and what is expected of it.
  void one(int q, uint32_t word0, uint32_t source, uint32_t destination, uint32_t length, uint32_t lists, uint32_t parameter,
           uint32_t status, uint32_t result) {
    const uint32_t tag = random.next(), opcode = word0 & 255;
    describe(q, word0, tag, source, destination, length, lists, parameter);
    doorbell(q), reap(q), acknowledge(q);
    equal(got.tag, tag, "tag");
    equal(got.status_opcode, opcode << 8 | status, "opcode and status");
    equal(got.bytes, status == 0 && opcode != 0 ? length : 0, "bytes");
    if (result != Any) equal(got.result, result, "result");
    equal(got.index, queues[q].submitted - 1, "index");
  }
};
