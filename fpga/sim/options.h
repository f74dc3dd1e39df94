// Command line of the board and of the stub.
#pragma once

#include <string>
#include <vector>

#include "axi_memory.h"
#include "machine.h"

struct FaultSpec {
  axi::Fault::Kind kind;
  unsigned memory;
  uint64_t offset, bytes;
};

struct Options {
  std::string name;
  std::vector<MemorySpec> memories;
  Coherency coherency = Coherency::kFull;
  uint64_t seed = 0;
  axi::Behaviour bus;
  std::vector<FaultSpec> faults;
  std::string ivshmem;  // socket for a guest; empty: none
  bool fatal = false, json = false, quiet = false, withParent = false, help = false;

  const char* coherencyName() const { return coherency == Coherency::kFull ? "full" : coherency == Coherency::kIo ? "io" : "none"; }
};

/** Throws UsageError. Without --seed the seed is random. */
Options parseOptions(int count, char** arguments);

std::string usage(const char* program);
