// The directory by which hosts find a board (docs/PROTOCOL.md 10.9): made, locked, filled, and removed however the process ends.
#pragma once

#include <cstdint>
#include <string>

#include "files.h"
#include "physring_fpga.h"

/** Where regions and boards lie: PHYSRING_SHM_DIR or /dev/shm. */
std::string sharedMemoryDirectory();

class BoardDirectory {
 public:
  /** Makes the directory of board `name`; what a dead board of that name left is removed first. Throws UsageError: the name is taken, or no name. */
  explicit BoardDirectory(const std::string& name);
  ~BoardDirectory();
  BoardDirectory(const BoardDirectory&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& file, const std::string& text) const;
  /** Names `registers` as the last thing: from here on hosts find the board. */
  void publish() const;

  /** Registers: a host's word may change at any time, a device's word is ours. */
  uint32_t load(uint32_t offset) const { return loadAcquire(registers_.words() + offset / 4); }
  void store(uint32_t offset, uint32_t value) { storeRelease(registers_.words() + offset / 4, value); }
  int registersFd() const { return registers_.fd(); }
  /** Tells who waits for interrupts of the queue. True: a datagram went out. */
  bool interrupt(unsigned queue, uint32_t events);

 private:
  void startGuardian();

  std::string path_;
  int lock_ = -1, guardian_ = -1, socket_ = -1, guardianProcess_ = -1;
  Mapping registers_;
};
