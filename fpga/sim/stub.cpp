// Hardware that completes at once: speaks the registers and rings of docs/PROTOCOL.md section 10 and moves no data. What a host pays for a
// command is what is left. No core, no clock, no faults; every opcode succeeds.
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "agent.h"
#include "board_directory.h"
#include "machine.h"
#include "options.h"
#include "physring_fpga.h"
#include "process.h"

namespace {

constexpr unsigned kQueues = 4;
constexpr unsigned kRoundsUntilTired = 200000;
constexpr unsigned kNapMicroseconds = 50;

class Stub {
 public:
  explicit Stub(const Options& options) : options_(options), directory_(options.name), machine_(options.memories, options.coherency, directory_.path(), options.seed), agent_(machine_, directory_.path()) {}

  int run() {
    process::handleSignals(options_.withParent);
    const uint32_t global[][2] = {{PHYSRING_FPGA_REG_MAGIC, PHYSRING_FPGA_MAGIC}, {PHYSRING_FPGA_REG_VERSION, PHYSRING_FPGA_VERSION}, {PHYSRING_FPGA_REG_QUEUE_COUNT, kQueues}, {PHYSRING_FPGA_REG_BUS_BYTES, 8},
                                  {PHYSRING_FPGA_REG_OPCODES, (1u << PHYSRING_FPGA_OPCODES) - 1}, {PHYSRING_FPGA_REG_MAX_CAPACITY_LOG2, PHYSRING_FPGA_MAX_CAPACITY_LOG2},
                                  {PHYSRING_FPGA_REG_MAX_LIST_ENTRIES, PHYSRING_FPGA_MAX_LIST_ENTRIES}, {PHYSRING_FPGA_REG_OUTSTANDING_READS, 4}, {PHYSRING_FPGA_REG_EXECUTORS, 1},
                                  {PHYSRING_FPGA_REG_MAX_FILTER_WIDTH, 2048}, {PHYSRING_FPGA_REG_MAX_BURST_BYTES, 128}};
    for (const auto& [reg, value] : global) directory_.store(reg, value);
    directory_.write("board.json", process::describeBoard(options_, machine_, kQueues) + "\n");
    directory_.publish();
    if (!options_.quiet) {
      printf("stub %s is ready: %s\n", options_.name.c_str(), directory_.path().c_str());
      fflush(stdout);
    }
    unsigned quiet = 0;
    while (!process::stop) {
      bool any = agent_.poll();
      for (unsigned q = 0; q < kQueues; q++) any |= serve(q);
      if (any) quiet = 0;
      else if (++quiet < kRoundsUntilTired) relax();
      else usleep(kNapMicroseconds);
    }
    return 0;
  }

 private:
  static void relax() {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }

  struct Queue {
    uint32_t control = 0, capacityLog2 = 0, head = 0, events = 0;
    uint8_t* submissions = nullptr;
    uint8_t* completions = nullptr;
  };

  uint32_t load(unsigned q, uint32_t reg) const { return directory_.load(physring_fpga_queue_page(q) + reg); }
  uint64_t load64(unsigned q, uint32_t reg) const { return load(q, reg) | uint64_t{load(q, reg + 4)} << 32; }
  void store(unsigned q, uint32_t reg, uint32_t value) { directory_.store(physring_fpga_queue_page(q) + reg, value); }

  uint8_t* find(uint64_t address, uint64_t bytes) const {
    for (const Machine::Memory& m : machine_.memories()) {
      const uint64_t offset = address - m.base;
      if (offset < m.spec.bytes && bytes <= m.spec.bytes - offset && address % PHYSRING_FPGA_ALIGN_BYTES == 0) return m.deviceBytes() + offset;
    }
    return nullptr;
  }

  void halt(unsigned q, uint32_t code) {
    store(q, PHYSRING_FPGA_REG_HALT_CODE, code);
    store(q, PHYSRING_FPGA_REG_STATE, (queues_[q].control & ~PHYSRING_FPGA_STATE_MASK) | PHYSRING_FPGA_HALTED);
    queues_[q].submissions = nullptr;
  }

  void control(unsigned q, uint32_t value) {
    Queue& queue = queues_[q];
    queue.control = value;
    queue.submissions = nullptr;
    const uint32_t epoch = value & ~uint32_t{PHYSRING_FPGA_STATE_MASK};
    if (!(value & PHYSRING_FPGA_CONTROL_ENABLE)) return store(q, PHYSRING_FPGA_REG_STATE, epoch | PHYSRING_FPGA_IDLE);
    queue.head = 0;
    queue.capacityLog2 = load(q, PHYSRING_FPGA_REG_CAPACITY_LOG2);
    for (uint32_t reg : {PHYSRING_FPGA_REG_SQ_HEAD, PHYSRING_FPGA_REG_CQ_TAIL, PHYSRING_FPGA_REG_HALT_CODE}) store(q, reg, 0);
    if (queue.capacityLog2 < PHYSRING_FPGA_MIN_CAPACITY_LOG2 || queue.capacityLog2 > PHYSRING_FPGA_MAX_CAPACITY_LOG2 || epoch == 0) return halt(q, PHYSRING_FPGA_HALT_CONFIG);
    queue.submissions = find(load64(q, PHYSRING_FPGA_REG_SQ_BASE), uint64_t{PHYSRING_FPGA_DESCRIPTOR_BYTES} << queue.capacityLog2);
    queue.completions = find(load64(q, PHYSRING_FPGA_REG_CQ_BASE), uint64_t{PHYSRING_FPGA_COMPLETION_BYTES} << queue.capacityLog2);
    if (!queue.submissions || !queue.completions) return halt(q, PHYSRING_FPGA_HALT_CONFIG);
    store(q, PHYSRING_FPGA_REG_STATE, epoch | PHYSRING_FPGA_RUNNING);
  }

  bool serve(unsigned q) {
    Queue& queue = queues_[q];
    const uint32_t tail = load(q, PHYSRING_FPGA_REG_SQ_TAIL), value = load(q, PHYSRING_FPGA_REG_CONTROL);
    if (value != queue.control) {
      control(q, value);
      return true;
    }
    if (!queue.submissions || tail == queue.head) return false;
    if (tail - queue.head > 1u << queue.capacityLog2) {
      halt(q, PHYSRING_FPGA_HALT_SQ_TAIL);
      return true;
    }
    for (; queue.head != tail; queue.head++) {
      if (!complete(queue)) {
        halt(q, PHYSRING_FPGA_HALT_STALE);
        return true;
      }
    }
    machine_.rmb();
    store(q, PHYSRING_FPGA_REG_SQ_HEAD, queue.head);
    store(q, PHYSRING_FPGA_REG_CQ_TAIL, queue.head);
    if (load(q, PHYSRING_FPGA_REG_INTERRUPT_COUNT) != 0) {
      store(q, PHYSRING_FPGA_REG_INTERRUPT_EVENTS, ++queue.events);
      directory_.interrupt(q, queue.events);
    }
    return true;
  }

  /** The host never has more than `capacity` under way, so there is room. */
  static bool complete(const Queue& queue) {
    const uint32_t slot = queue.head & ((1u << queue.capacityLog2) - 1), validity = physring_fpga_validity(queue.control >> PHYSRING_FPGA_EPOCH_SHIFT, queue.head, queue.capacityLog2);
    const auto* d = reinterpret_cast<const physring_fpga_descriptor*>(queue.submissions + uint64_t{slot} * PHYSRING_FPGA_DESCRIPTOR_BYTES);
    if (loadAcquire(&d->validity) != validity) return false;
    auto* c = reinterpret_cast<physring_fpga_completion*>(queue.completions + uint64_t{slot} * PHYSRING_FPGA_COMPLETION_BYTES);
    const uint32_t opcode = d->opcode_flags & 0xff;
    c->tag = d->tag;
    c->status_opcode = PHYSRING_FPGA_OK | opcode << 8;
    c->bytes = opcode == PHYSRING_FPGA_NOP ? 0 : d->length_bytes;
    c->result = c->cycles[0] = c->cycles[1] = 0;
    c->index = queue.head;
    storeRelease(&c->validity, validity);
    return true;
  }

  const Options options_;
  BoardDirectory directory_;
  Machine machine_;
  Agent agent_;
  Queue queues_[kQueues];
};

}  // namespace

int main(int count, char** arguments) {
  return process::guarded(count, arguments, [](const Options& options) { return Stub(options).run(); });
}
