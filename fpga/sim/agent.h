// The mailboxes through which hosts ask the simulated machine for barriers and cache syncs (docs/PROTOCOL.md 10.9, `agent`).
#pragma once

#include <cstdint>
#include <string>

#include "files.h"
#include "machine.h"

class Agent {
 public:
  Agent(Machine& machine, const std::string& directory);

  /** Serves what was asked. True if there was anything. */
  bool poll();
  /** Whether a test wants the bus to answer nothing. */
  bool hold() const;

  uint64_t barriers() const { return barriers_; }
  uint64_t syncs() const { return syncs_; }
  uint64_t refused() const { return refused_; }

 private:
  bool serve(const uint32_t* call);

  Machine& machine_;
  Mapping file_;
  uint64_t barriers_ = 0, syncs_ = 0, refused_ = 0;
};
