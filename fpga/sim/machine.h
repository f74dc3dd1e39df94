// The memories of the simulated machine by device address, in one of three kinds of coherency (docs/PROTOCOL.md 10.9).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "axi_memory.h"
#include "cache_memory.h"
#include "files.h"
#include "random.h"
#include "weak_memory.h"

enum class Coherency { kNone, kIo, kFull };

struct MemorySpec {
  std::string path;
  uint64_t bytes = 0;       // 0: all of the file
  bool isQueue = false;     // else payload
  std::optional<uint64_t> deviceBase;  // of choice; else random
};

class Machine : public axi::AddressSpace {
 public:
  /** Maps everything; files that only the device sees are made in `directory`. Throws UsageError. */
  Machine(const std::vector<MemorySpec>& specs, Coherency coherency, const std::string& directory, uint64_t seed);

  bool read(uint64_t address, unsigned bytes, uint8_t* into) override;
  bool write(uint64_t address, unsigned bytes, const uint8_t* from, uint64_t strobes) override;
  bool contains(uint64_t address, unsigned bytes) const override;

  /** Some clocks have passed: caches and write buffers do something. */
  void step(unsigned clocks);
  void wmb();
  void rmb();
  /** Whole cache lines, whatever the range. False: no such memory, or a range that is not in it. */
  bool sync(uint32_t memory, uint64_t offset, uint64_t bytes, bool forCpu);

  struct Memory {
    MemorySpec spec;  // bytes as they are
    uint64_t base = 0;  // device address
    std::string devicePath;
    Mapping host, device;  // device is empty where it is the same file
    std::unique_ptr<WeakMemory> weak;
    std::unique_ptr<CacheMemory> cache;

    uint8_t* deviceBytes() const { return device.data() ? device.data() : host.data(); }
  };
  const std::vector<Memory>& memories() const { return memories_; }

 private:
  Memory* find(uint64_t address, unsigned bytes);
  uint64_t chooseBase(uint64_t bytes, Random& random) const;

  std::vector<Memory> memories_;
};
