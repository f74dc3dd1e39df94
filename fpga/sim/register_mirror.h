// Carries register words between the file that hosts map and the core's AXI4-Lite port (docs/PROTOCOL.md 10.9), and its interrupt lines to
// datagrams.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "axil_driver.h"
#include "board_directory.h"
#include "physring_fpga.h"

class RegisterMirror {
 public:
  /** Tells of an interrupt; false: nobody waits for it. */
  using Interrupt = std::function<bool(unsigned queue, uint32_t events)>;

  /** `beforeState` runs before a queue is shown idle or halted. */
  RegisterMirror(BoardDirectory& directory, axi::LiteDriver& bus, std::function<void()> beforeState, Interrupt interrupt)
      : directory_(directory), bus_(bus), beforeState_(std::move(beforeState)), interrupt_(std::move(interrupt)) {}

  /** Reads the constant page into the file; `step` runs the clock. False: no core answered with the magic within the limit. */
  bool begin(const std::function<void()>& step);
  unsigned queues() const { return static_cast<unsigned>(queues_.size()); }

  /** A round: forwards what hosts changed, asks for what the core changed. True if a host changed anything. */
  bool poll();
  /** Interrupt lines after a clock edge, bit q. */
  void lines(uint32_t levels);
  /** The core was reset: it knows nothing any more of what hosts wrote. */
  void powerCycled();

  /** Whether time matters although nothing happens: a pace or an interrupt timer runs. */
  bool timed() const;
  /** Device words as last published. */
  uint32_t published(unsigned queue, uint32_t reg) const { return queues_[queue].device[(reg - kDeviceFirst) / 4]; }
  uint64_t interruptsSent() const { return sent_; }
  uint64_t interruptsUnheard() const { return unheard_; }

 private:
  static constexpr uint32_t kHostWords = 64, kDeviceFirst = 0x100, kDeviceWords = 64;
  struct Queue {
    uint32_t host[kHostWords] = {};      // as forwarded
    uint32_t device[kDeviceWords] = {};  // as published
    bool line = false, edge = false, busy = false;
    unsigned next = 0;  // device register that is read next
  };
  uint32_t at(unsigned queue, uint32_t reg) const { return physring_fpga_queue_page(queue) + reg; }
  bool forward(unsigned q);
  void forwardWord(unsigned q, uint32_t reg, uint32_t value);
  void publish(unsigned q, uint32_t reg, uint32_t value);
  void refresh(unsigned q);
  void refreshAll(unsigned q, uint32_t state);
  void announce(unsigned q);
  bool unused(unsigned q) const;

  BoardDirectory& directory_;
  axi::LiteDriver& bus_;
  const std::function<void()> beforeState_;
  const Interrupt interrupt_;
  std::vector<Queue> queues_;
  unsigned rounds_ = 0;
  unsigned turn_ = 0;  // queue whose registers are read next
  uint64_t sent_ = 0, unheard_ = 0;
};
