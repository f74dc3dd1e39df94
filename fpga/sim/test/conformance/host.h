// A host of hardware queues on a simulated board, as plain as it gets: docs/PROTOCOL.md section 10 and nothing of src/fpga.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../../files.h"
#include "../../random.h"
#include "physring_fpga.h"

/** Calls a host can leave out; the test of the tests. */
struct Omissions {
  bool wmb = false, rmb = false, syncSource = false, syncDestination = false, syncCpu = false;
};

/** A board process with a payload memory (0) and a queue memory (1) of its own; all of it goes with the object. */
class BoardProcess {
 public:
  static constexpr uint64_t kPayloadBytes = 8 << 20, kQueueBytes = 1 << 20;

  /** Starts `program` and waits until it is there. Throws std::runtime_error. */
  BoardProcess(const std::string& program, const std::vector<std::string>& options);
  ~BoardProcess();
  BoardProcess(const BoardProcess&) = delete;

  void signal(int number) const;
  /** SIGTERM, then the numbers it reports; `status` is its exit status. */
  std::map<std::string, double> end();
  /** Numbers so far. */
  std::map<std::string, double> report();
  bool running() const;

  const std::string& directory() const { return directory_; }
  pid_t pid() const { return pid_; }
  uint64_t base(unsigned memory) const { return bases_[memory]; }
  uint64_t bytes(unsigned memory) const { return memory == 0 ? kPayloadBytes : kQueueBytes; }
  uint8_t* memory(unsigned memory) const { return memories_[memory].data(); }
  /** What the device sees. */
  const uint8_t* deviceMemory(unsigned memory) const { return deviceMemories_[memory].data(); }
  int status = -1;

  /** Registers: each call is one access of 32 bits. */
  uint32_t read(uint32_t offset) const { return *reinterpret_cast<const volatile uint32_t*>(registers_.data() + offset); }
  void write(uint32_t offset, uint32_t value) { *reinterpret_cast<volatile uint32_t*>(registers_.data() + offset) = value; }

  void wmb(unsigned mailbox);
  void rmb(unsigned mailbox);
  void syncForDevice(unsigned mailbox, unsigned memory, uint64_t offset, uint64_t bytes);
  void syncForCpu(unsigned mailbox, unsigned memory, uint64_t offset, uint64_t bytes);
  /** The board's answer: 0 done, 1 refused. */
  uint32_t call(unsigned mailbox, uint32_t operation, uint32_t memory = 0, uint64_t offset = 0, uint64_t bytes = 0, uint32_t direction = 0);
  void holdBus(bool on);

  Omissions omissions;

 private:
  std::string readLine();
  void removeScratch() const;

  std::string name_, scratch_, directory_;  // scratch_: where the memories have names until the board has opened them
  pid_t pid_ = -1;
  int output_ = -1;
  std::string buffered_;
  Mapping memories_[2], deviceMemories_[2], registers_, agent_;
  uint64_t bases_[2] = {};
};

/** Waits until `done()` or 30 s have gone; false then. Gives the processor away in between. */
template <class Done>
bool eventually(Done done);

/** One queue: rings and lists in the board's queue memory. */
class HostQueue {
 public:
  HostQueue(BoardProcess& board, unsigned queue, unsigned capacityLog2);

  /** Registers that tests want other than usual. */
  std::map<uint32_t, uint32_t> overrides;

  /** Zeroes the rings and starts with a new epoch. Returns the state word. */
  uint32_t start();
  /** Stops and waits for idle; the state word, or nothing after 30 s. */
  std::optional<uint32_t> stop();
  void requestStop();
  bool waitIdle();

  /** Writes descriptor `submitted`; `ring` publishes. */
  void submit(physring_fpga_descriptor descriptor);
  void ring();
  std::optional<physring_fpga_completion> reap();
  /** Reaps one within 30 s; nothing if none came, or the queue halted. */
  std::optional<physring_fpga_completion> wait();

  /** Writes a list of command `place` (below the capacity, nobody else's until its completion: a slot of the ring is free earlier), operand 0 source,
      1 destination; its device address. */
  uint64_t writeList(unsigned place, unsigned operand, const std::vector<std::pair<uint64_t, uint32_t>>& entries);

  uint32_t reg(uint32_t offset) const { return board.read(physring_fpga_queue_page(queue) + offset); }
  void setReg(uint32_t offset, uint32_t value) { board.write(physring_fpga_queue_page(queue) + offset, value); }
  uint32_t state() const { return reg(PHYSRING_FPGA_REG_STATE); }
  uint32_t stateOf(uint32_t kind) const { return epoch << 8 | kind; }
  uint32_t capacity() const { return 1u << capacityLog2; }
  uint64_t sqBase() const { return board.base(1) + sqOffset_; }
  uint64_t cqBase() const { return board.base(1) + cqOffset_; }
  uint64_t sqOffset() const { return sqOffset_; }
  uint64_t cqOffset() const { return cqOffset_; }

  BoardProcess& board;
  const unsigned queue, capacityLog2;
  uint32_t epoch = 0, submitted = 0, reaped = 0;
  static constexpr unsigned kListEntries = 8;  // of an operand, by writeList

 private:
  void set64(uint32_t offset, uint64_t value);
  uint32_t* descriptor(uint32_t index) const;
  uint64_t sqOffset_, cqOffset_, listOffset_;
};

void relax();
double seconds();

template <class Done>
bool eventually(Done done) {
  constexpr double kLimitSeconds = 30;
  const double start = seconds();
  for (unsigned i = 0; !done(); i++) {
    if (i % 64 == 63) relax();
    if (i % 1024 == 1023 && seconds() - start > kLimitSeconds) return false;
  }
  return true;
}

inline physring_fpga_descriptor command(uint32_t opcode, uint32_t tag, uint64_t source, uint64_t destination, uint32_t bytes, uint32_t parameter = 0) {
  physring_fpga_descriptor d = {};
  d.opcode_flags = opcode;
  d.tag = tag;
  d.source[0] = static_cast<uint32_t>(source);
  d.source[1] = static_cast<uint32_t>(source >> 32);
  d.destination[0] = static_cast<uint32_t>(destination);
  d.destination[1] = static_cast<uint32_t>(destination >> 32);
  d.length_bytes = bytes;
  d.parameter[0] = parameter;
  return d;
}
