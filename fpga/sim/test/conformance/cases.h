// The cases by topic; each file of cases holds one of these functions.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "host.h"

struct CaseOptions {
  std::string board;
  uint64_t seed = 1;
  unsigned commands = 800;   // of random traffic, for each coherency mode

  /** Options of a board in this mode, with this run's seed. */
  std::vector<std::string> boardOptions(const std::string& coherency, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> options = {"--coherency", coherency, "--seed", std::to_string(seed)};
    options.insert(options.end(), more.begin(), more.end());
    return options;
  }
};

void trafficCases(const CaseOptions& options);
void omissionCases(const CaseOptions& options);
void malformedCases(const CaseOptions& options);
void haltCases(const CaseOptions& options);
void resetCases(const CaseOptions& options);
void interruptCases(const CaseOptions& options);
void streamCases(const CaseOptions& options);
void lifeCases(const CaseOptions& options);

inline void startRunning(HostQueue& q) {
  const uint32_t state = q.start();
  check::equal(state, q.stateOf(PHYSRING_FPGA_RUNNING), "state after start (halt code " + std::to_string(q.reg(PHYSRING_FPGA_REG_HALT_CODE)) + ")");
}

/** Submits one command and waits for its completion. */
inline physring_fpga_completion runOne(HostQueue& q, const physring_fpga_descriptor& d) {
  q.submit(d);
  q.ring();
  const auto c = q.wait();
  if (!c) check::fail("no completion; state " + std::to_string(q.state()) + ", halt code " + std::to_string(q.reg(PHYSRING_FPGA_REG_HALT_CODE)));
  return *c;
}

inline uint32_t statusOf(const physring_fpga_completion& c) { return c.status_opcode & 0xff; }

/** The queue still copies. */
inline void checkCopies(HostQueue& q) {
  BoardProcess& b = q.board;
  for (unsigned i = 0; i < 200; i++) b.memory(0)[i] = static_cast<uint8_t>(i * 7 + q.submitted);
  b.memory(0)[4096] ^= 1;
  b.syncForDevice(q.queue, 0, 0, 256);
  b.syncForDevice(q.queue, 0, 4096, 256);
  check::equal(statusOf(runOne(q, command(PHYSRING_FPGA_COPY, 1, b.base(0), b.base(0) + 4096, 200))), 0u, "status of a plain copy");
  b.syncForCpu(q.queue, 0, 4096, 256);
  check::that(memcmp(b.memory(0), b.memory(0) + 4096, 200) == 0, "a plain copy is not exact");
}
