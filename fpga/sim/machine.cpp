#include "machine.h"

#include <climits>
#include <cstdlib>
#include <cstring>

namespace {
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLowestBase = uint64_t{1} << 32, kHighestBase = uint64_t{1} << 46;

std::string absolute(const std::string& path) {
  char buffer[PATH_MAX];
  return realpath(path.c_str(), buffer) ? buffer : path;
}
}  // namespace

Machine::Machine(const std::vector<MemorySpec>& specs, Coherency coherency, const std::string& directory, uint64_t seed) {
  Random random(seed, 4);
  memories_.reserve(specs.size());
  for (const MemorySpec& spec : specs) {
    Memory m;
    m.spec = spec;
    m.host = Mapping::open(spec.path, spec.bytes);
    m.spec.bytes = m.host.bytes();
    m.spec.path = m.devicePath = absolute(spec.path);
    if (m.spec.bytes % CacheMemory::kLineBytes != 0) throw UsageError(spec.path + ": the size of a memory is a multiple of 64 bytes");
    m.base = spec.deviceBase ? *spec.deviceBase : chooseBase(m.spec.bytes, random);
    if (coherency == Coherency::kNone || (coherency == Coherency::kIo && spec.isQueue)) {
      m.devicePath = directory + "/memory." + std::to_string(memories_.size());
      m.device = Mapping::create(m.devicePath, m.spec.bytes);
      m.host.copyTo(m.device.data());
      const uint64_t own = seed + memories_.size();
      if (spec.isQueue) m.weak = std::make_unique<WeakMemory>(m.host.words(), m.device.words(), m.spec.bytes, own);
      else m.cache = std::make_unique<CacheMemory>(m.host.data(), m.device.data(), m.spec.bytes, own);
    }
    memories_.push_back(std::move(m));
  }
}

/** A multiple of 4 KiB, above all 32-bit addresses, that overlaps no other memory and leaves a page free beside it. */
uint64_t Machine::chooseBase(uint64_t bytes, Random& random) const {
  for (;;) {
    const uint64_t base = (kLowestBase + random.next() % (kHighestBase - kLowestBase)) & ~(kPageBytes - 1);
    bool apart = true;
    for (const Memory& m : memories_) apart &= base > m.base + m.spec.bytes || m.base > base + bytes;
    if (apart) return base;
  }
}

Machine::Memory* Machine::find(uint64_t address, unsigned bytes) {
  for (Memory& m : memories_) {
    const uint64_t offset = address - m.base;
    if (offset < m.spec.bytes && bytes <= m.spec.bytes - offset) return &m;
  }
  return nullptr;
}

bool Machine::contains(uint64_t address, unsigned bytes) const { return const_cast<Machine*>(this)->find(address, bytes) != nullptr; }

bool Machine::read(uint64_t address, unsigned bytes, uint8_t* into) {
  const Memory* m = find(address, bytes);
  if (!m) return false;
  memcpy(into, m->deviceBytes() + (address - m->base), bytes);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return true;
}

bool Machine::write(uint64_t address, unsigned bytes, const uint8_t* from, uint64_t strobes) {
  Memory* m = find(address, bytes);
  if (!m) return false;
  const uint64_t offset = address - m->base;
  uint8_t* to = m->deviceBytes() + offset;
  // Ascending, whole words at once: a reader that finds the last word finds those before it.
  for (unsigned i = 0; i < bytes;) {
    const uint64_t mask = strobes >> i;
    if ((mask & 0xf) == 0xf && i + 4 <= bytes && (offset + i) % 4 == 0) {
      uint32_t word;
      memcpy(&word, from + i, 4);
      storeRelease(reinterpret_cast<uint32_t*>(to + i), word);
      i += 4;
    } else {
      if (mask & 1) __atomic_store_n(to + i, from[i], __ATOMIC_RELEASE);
      i++;
    }
  }
  if (strobes & axi::laneMask(0, bytes)) {
    if (m->weak) m->weak->deviceWrote(offset, bytes);
    if (m->cache) m->cache->deviceWrote(offset, bytes);
  }
  return true;
}

void Machine::step(unsigned clocks) {
  for (Memory& m : memories_) {
    if (m.weak) m.weak->step(clocks);
    if (m.cache) m.cache->step();
  }
}

void Machine::wmb() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  for (Memory& m : memories_) {
    if (m.weak) m.weak->flushToDevice();
  }
}

void Machine::rmb() {
  for (Memory& m : memories_) {
    if (m.weak) m.weak->flushToHost();
  }
}

bool Machine::sync(uint32_t memory, uint64_t offset, uint64_t bytes, bool forCpu) {
  if (memory >= memories_.size()) return false;
  Memory& m = memories_[memory];
  if (offset > m.spec.bytes || bytes > m.spec.bytes - offset) return false;
  if (!m.cache) return true;
  // Lines are all a cache knows; a memory is a whole number of them.
  constexpr uint64_t kMask = CacheMemory::kLineBytes - 1;
  const uint64_t first = offset & ~kMask, end = (offset + bytes + kMask) & ~kMask;
  if (forCpu) m.cache->syncForCpu(first, end - first);
  else m.cache->syncForDevice(first, end - first);
  return true;
}
