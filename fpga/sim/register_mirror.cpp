#include "register_mirror.h"

namespace {

constexpr uint32_t kGlobal[] = {PHYSRING_FPGA_REG_MAGIC, PHYSRING_FPGA_REG_VERSION, PHYSRING_FPGA_REG_QUEUE_COUNT, PHYSRING_FPGA_REG_BUS_BYTES,
                                PHYSRING_FPGA_REG_OPCODES, PHYSRING_FPGA_REG_MAX_CAPACITY_LOG2, PHYSRING_FPGA_REG_MAX_LIST_ENTRIES, PHYSRING_FPGA_REG_CLOCK_HZ,
                                PHYSRING_FPGA_REG_OUTSTANDING_READS, PHYSRING_FPGA_REG_EXECUTORS, PHYSRING_FPGA_REG_MAX_FILTER_WIDTH, PHYSRING_FPGA_REG_MAX_BURST_BYTES};

// Everything a host writes except the three that order matters for: control, cqHead, sqTail.
constexpr uint32_t kConfiguration[] = {PHYSRING_FPGA_REG_CAPACITY_LOG2, PHYSRING_FPGA_REG_SQ_BASE, PHYSRING_FPGA_REG_SQ_BASE + 4, PHYSRING_FPGA_REG_CQ_BASE,
                                       PHYSRING_FPGA_REG_CQ_BASE + 4, PHYSRING_FPGA_REG_QUEUE_WINDOW_BASE, PHYSRING_FPGA_REG_QUEUE_WINDOW_BASE + 4,
                                       PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT, PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT + 4, PHYSRING_FPGA_REG_DATA_WINDOW_BASE,
                                       PHYSRING_FPGA_REG_DATA_WINDOW_BASE + 4, PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT, PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT + 4,
                                       PHYSRING_FPGA_REG_INTERRUPT_COUNT, PHYSRING_FPGA_REG_INTERRUPT_CYCLES, PHYSRING_FPGA_REG_PACE_CYCLES, PHYSRING_FPGA_REG_PACE_POLICY};

// Every device register but state, which is published after them.
constexpr uint32_t kDevice[] = {PHYSRING_FPGA_REG_HALT_CODE, PHYSRING_FPGA_REG_SQ_HEAD, PHYSRING_FPGA_REG_CQ_TAIL, PHYSRING_FPGA_REG_INTERRUPT_EVENTS, PHYSRING_FPGA_REG_TICKS,
                                PHYSRING_FPGA_REG_MISSED, PHYSRING_FPGA_REG_DESCRIPTOR_FETCHES, PHYSRING_FPGA_REG_LIST_FETCHES, PHYSRING_FPGA_REG_READ_BURSTS,
                                PHYSRING_FPGA_REG_WRITE_BURSTS, PHYSRING_FPGA_REG_COMPLETION_WRITES, PHYSRING_FPGA_REG_FAILED_COMMANDS, PHYSRING_FPGA_REG_BUS_ERRORS};
constexpr unsigned kDeviceCount = sizeof kDevice / sizeof kDevice[0];

constexpr unsigned kBeginClocks = 10000;
constexpr unsigned kIdleRounds = 64;
constexpr size_t kMaxReadsWaiting = 8;  // more would only make what is urgent wait

}  // namespace

bool RegisterMirror::begin(const std::function<void()>& step) {
  for (uint32_t reg : kGlobal) bus_.read(reg, [this, reg](uint32_t value) { directory_.store(reg, value); });
  for (unsigned i = 0; i < kBeginClocks && !bus_.idle(); i++) step();
  const uint32_t count = directory_.load(PHYSRING_FPGA_REG_QUEUE_COUNT);
  if (!bus_.idle() || directory_.load(PHYSRING_FPGA_REG_MAGIC) != PHYSRING_FPGA_MAGIC || count < 1 || count > PHYSRING_FPGA_MAX_QUEUES) return false;
  queues_.resize(count);
  return true;
}

void RegisterMirror::forwardWord(unsigned q, uint32_t reg, uint32_t value) {
  queues_[q].host[reg / 4] = value;
  bus_.write(at(q, reg), value);
}

bool RegisterMirror::forward(unsigned q) {
  uint32_t(&old)[kHostWords] = queues_[q].host;
  const auto load = [&](uint32_t reg) { return directory_.load(at(q, reg)); };
  uint32_t sqTail = load(PHYSRING_FPGA_REG_SQ_TAIL), cqHead = load(PHYSRING_FPGA_REG_CQ_HEAD);
  const uint32_t control = load(PHYSRING_FPGA_REG_CONTROL);
  const bool controlled = control != old[PHYSRING_FPGA_REG_CONTROL / 4];
  if (controlled) {
    // The host may have zeroed both between the loads above: after an acquire of control they are at least as new as it.
    cqHead = load(PHYSRING_FPGA_REG_CQ_HEAD);
    sqTail = load(PHYSRING_FPGA_REG_SQ_TAIL);
  }
  bool any = controlled;
  for (uint32_t reg : kConfiguration) {
    const uint32_t value = load(reg);
    if (value == old[reg / 4] && !controlled) continue;
    forwardWord(q, reg, value);
    any = true;
  }
  const auto indices = [&] {
    if (controlled || cqHead != old[PHYSRING_FPGA_REG_CQ_HEAD / 4]) forwardWord(q, PHYSRING_FPGA_REG_CQ_HEAD, cqHead), any = true;
    if (controlled || sqTail != old[PHYSRING_FPGA_REG_SQ_TAIL / 4]) forwardWord(q, PHYSRING_FPGA_REG_SQ_TAIL, sqTail), any = true;
  };
  indices();
  if (controlled) forwardWord(q, PHYSRING_FPGA_REG_CONTROL, control);
  return any;
}

void RegisterMirror::publish(unsigned q, uint32_t reg, uint32_t value) {
  uint32_t& last = queues_[q].device[(reg - kDeviceFirst) / 4];
  if (last == value) return;
  last = value;
  directory_.store(at(q, reg), value);
}

/** All other words first, so that who sees the state sees them as they were at it, or later. */
void RegisterMirror::refreshAll(unsigned q, uint32_t state) {
  queues_[q].busy = true;
  for (uint32_t reg : kDevice) bus_.read(at(q, reg), [this, q, reg](uint32_t value) { publish(q, reg, value); });
  bus_.read(at(q, PHYSRING_FPGA_REG_HALT_CODE), [this, q, state](uint32_t value) {
    publish(q, PHYSRING_FPGA_REG_HALT_CODE, value);
    const uint32_t kind = state & PHYSRING_FPGA_STATE_MASK;
    if (kind == PHYSRING_FPGA_IDLE || kind == PHYSRING_FPGA_HALTED) beforeState_();
    publish(q, PHYSRING_FPGA_REG_STATE, state);
    queues_[q].busy = false;
  });
}

void RegisterMirror::refresh(unsigned q) {
  Queue& queue = queues_[q];
  if (queue.busy) return;
  queue.busy = true;
  bus_.read(at(q, PHYSRING_FPGA_REG_STATE), [this, q](uint32_t state) {
    queues_[q].busy = false;
    if (state != published(q, PHYSRING_FPGA_REG_STATE)) refreshAll(q, state);
  });
  const uint32_t reg = kDevice[queue.next];
  queue.next = (queue.next + 1) % kDeviceCount;
  bus_.read(at(q, reg), [this, q, reg](uint32_t value) { publish(q, reg, value); });
}

/** The registers that say why, then the datagram. */
void RegisterMirror::announce(unsigned q) {
  queues_[q].edge = false;
  bus_.read(at(q, PHYSRING_FPGA_REG_STATE), [this, q](uint32_t state) {
    if (state != published(q, PHYSRING_FPGA_REG_STATE)) refreshAll(q, state);
    for (uint32_t reg : {PHYSRING_FPGA_REG_CQ_TAIL, PHYSRING_FPGA_REG_INTERRUPT_EVENTS}) {
      bus_.read(at(q, reg), [this, q, reg](uint32_t value) {
        publish(q, reg, value);
        if (reg != PHYSRING_FPGA_REG_INTERRUPT_EVENTS) return;
        if (interrupt_(q, value)) sent_++;
        else unheard_++;
      });
    }
  });
}

bool RegisterMirror::unused(unsigned q) const {
  return !(queues_[q].host[PHYSRING_FPGA_REG_CONTROL / 4] & PHYSRING_FPGA_CONTROL_ENABLE) && (published(q, PHYSRING_FPGA_REG_STATE) & PHYSRING_FPGA_STATE_MASK) == PHYSRING_FPGA_IDLE;
}

bool RegisterMirror::poll() {
  bool any = false;
  rounds_++;
  for (unsigned q = 0; q < queues(); q++) {
    any |= forward(q);
    if (queues_[q].edge) announce(q);
  }
  for (unsigned i = 0; i < queues() && bus_.readsWaiting() < kMaxReadsWaiting; i++) {
    // A queue that nobody uses does not slow the others down.
    if (rounds_ % kIdleRounds == 0 || !unused(turn_)) refresh(turn_);
    turn_ = (turn_ + 1) % queues();
  }
  return any;
}

void RegisterMirror::lines(uint32_t levels) {
  for (unsigned q = 0; q < queues(); q++) {
    const bool level = levels >> q & 1;
    queues_[q].edge |= level && !queues_[q].line;
    queues_[q].line = level;
  }
}

void RegisterMirror::powerCycled() {
  for (unsigned q = 0; q < queues(); q++) {
    Queue& queue = queues_[q];
    queue.line = queue.edge = queue.busy = false;
    // What a host wrote before is gone. It counts as forwarded, so the core sees what hosts write from now on; with control comes all the rest.
    for (uint32_t i = 0; i < kHostWords; i++) queue.host[i] = directory_.load(at(q, i * 4));
  }
}

bool RegisterMirror::timed() const {
  for (unsigned q = 0; q < queues(); q++) {
    const uint32_t* host = queues_[q].host;
    if (!(host[PHYSRING_FPGA_REG_CONTROL / 4] & PHYSRING_FPGA_CONTROL_ENABLE)) continue;
    const bool pending = published(q, PHYSRING_FPGA_REG_CQ_TAIL) != host[PHYSRING_FPGA_REG_CQ_HEAD / 4];
    if (host[PHYSRING_FPGA_REG_PACE_CYCLES / 4] != 0 || (host[PHYSRING_FPGA_REG_INTERRUPT_CYCLES / 4] != 0 && pending)) return true;
  }
  return false;
}
