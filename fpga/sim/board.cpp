// The simulated board: clocks the core, and is its memory, its register bus and its interrupt controller (docs/PROTOCOL.md 10.9).
//
//   hosts ── registers, agent, irq.<q> ── RegisterMirror, Agent ── AXI4-Lite ── Core ── AXI4 ── axi::Memory ── Machine ── files that hosts map
//                                                                                  axi::Checker looks on
#include <unistd.h>

#include <cstdio>

#include "agent.h"
#include "axi_checker.h"
#include "axi_memory.h"
#include "axil_driver.h"
#include "board_directory.h"
#include "core.h"
#include "ivshmem.h"
#include "machine.h"
#include "options.h"
#include "process.h"
#include "register_mirror.h"
#include "report.h"

namespace {

constexpr unsigned kResetClocks = 16;
constexpr unsigned kRoundClocks = 16;        // between looks at what hosts wrote
constexpr unsigned kRoundsUntilTired = 4096;  // without anything to do; then the clock runs slower, in favour of others
constexpr unsigned kNapMicroseconds = 50;
constexpr uint64_t kMaxPrintedViolations = 20;

class Board {
 public:
  explicit Board(const Options& options)
      : options_(options),
        directory_(options.name),
        machine_(options.memories, options.coherency, directory_.path(), options.seed),
        agent_(machine_, directory_.path()),
        core_(options.seed),
        memory_(machine_, behaviour(), Core::busBytes(), options.seed),
        checker_(Core::busBytes(), Core::idBits(), [this](const std::string& what) { violation(what); }),
        lite_(options.bus.stall, options.seed, [this](const std::string& what) { liteViolations_++, violation(what); }),
        mirror_(directory_, lite_, [this] { machine_.rmb(); }, [this](unsigned queue, uint32_t events) { return interrupt(queue, events); }) {}

  int run() {
    process::handleSignals(options_.withParent);
    reset();
    if (!mirror_.begin([this] { clock(); })) {
      fprintf(stderr, "board: the core's registers do not answer as docs/PROTOCOL.md 10.3 says\n");
      return 1;
    }
    directory_.write("board.json", process::describeBoard(options_, machine_, mirror_.queues()) + "\n");
    directory_.publish();
    if (!options_.ivshmem.empty()) guest_ = std::make_unique<IvshmemServer>(options_.ivshmem, directory_.registersFd(), mirror_.queues());
    announce();
    unsigned quiet = 0;
    while (!process::stop && !failed_) {
      quiet = round() ? 0 : quiet + 1;
      if (quiet < kRoundsUntilTired) continue;
      quiet = kRoundsUntilTired;
      if (!mirror_.timed()) usleep(kNapMicroseconds);
    }
    print();
    return failed_ ? 3 : checker_.violations() + liteViolations_ != 0;
  }

 private:
  axi::Behaviour behaviour() const {
    axi::Behaviour b = options_.bus;
    for (const FaultSpec& f : options_.faults) {
      const uint64_t first = machine_.memories()[f.memory].base + f.offset;
      b.faults.push_back({f.kind, first, first + f.bytes});
    }
    return b;
  }

  bool interrupt(unsigned queue, uint32_t events) {
    if (guest_) guest_->interrupt(queue);
    return directory_.interrupt(queue, events) || guest_;
  }

  /** Some clocks, then whatever hosts and agents want. True if there was anything to do. */
  bool round() {
    memory_.hold(agent_.hold());
    for (unsigned i = 0; i < kRoundClocks; i++) clock();
    machine_.step(kRoundClocks);
    if (process::powerCycle) {
      process::powerCycle = 0;
      reset();
    }
    if (process::reportNow) {
      process::reportNow = 0;
      print();
    }
    if (guest_) guest_->poll();
    const bool asked = agent_.poll();
    return mirror_.poll() || asked || memory_.busy() || checker_.outstanding() != 0;
  }

  void clock() {
    core_.sample(bus_, liteBus_);
    checker_.observe(bus_, core_.inReset());
    mirror_.lines(core_.interrupts());
    if (!core_.inReset()) {
      memory_.clock(bus_);
      lite_.clock(liteBus_);
    }
    core_.clock(bus_, liteBus_);
  }

  void reset() {
    memory_.reset(bus_);
    lite_.reset(liteBus_);
    core_.setReset(true);
    core_.clock(bus_, liteBus_);  // power goes: no edge with the old half of the bus is looked at
    for (unsigned i = 0; i < kResetClocks; i++) clock();
    core_.setReset(false);
    mirror_.powerCycled();
    resets_++;
  }

  void violation(const std::string& what) {
    if (++printedViolations_ <= kMaxPrintedViolations) fprintf(stderr, "board: AXI violation, %s\n", what.c_str());
    failed_ |= options_.fatal;
  }

  void announce() const {
    if (options_.quiet) return;
    const std::string page = process::describeBoard(options_, machine_, mirror_.queues());
    if (options_.json) printf("%s\n", page.c_str());
    else {
      printf("board %s is ready: %s, coherency %s, %u queues, bus of %u bytes, seed %llu\n", options_.name.c_str(), directory_.path().c_str(), options_.coherencyName(), mirror_.queues(), Core::busBytes(),
             static_cast<unsigned long long>(options_.seed));
      for (const Machine::Memory& m : machine_.memories()) {
        printf("  %s: %llu bytes of %s at device address 0x%llx\n", m.spec.path.c_str(), static_cast<unsigned long long>(m.spec.bytes), m.spec.isQueue ? "queue memory" : "payload",
               static_cast<unsigned long long>(m.base));
      }
    }
    fflush(stdout);
  }

  void print() const {
    if (options_.quiet) return;
    fputs(options_.json ? (report().json() + "\n").c_str() : report().text().c_str(), stdout);
    fflush(stdout);
  }

  uint64_t sum(uint32_t reg) const {
    uint64_t total = 0;
    for (unsigned q = 0; q < mirror_.queues(); q++) total += mirror_.published(q, reg);
    return total;
  }

  Report report() const {
    const axi::Coverage& c = checker_.coverage();
    const uint64_t commands = sum(PHYSRING_FPGA_REG_COMPLETION_WRITES);  // unless the core splits them
    const auto each = [commands](uint64_t bursts) { return commands ? static_cast<double>(bursts) / static_cast<double>(commands) : 0; };
    Report r;
    r.add("violations", checker_.violations() + liteViolations_);
    r.add("clocks", c.clocks);
    r.add("powerCycles", resets_ - 1);
    r.add("completionWrites", commands);
    r.add("failedCommands", sum(PHYSRING_FPGA_REG_FAILED_COMMANDS));
    r.add("readBursts", c.readBursts);
    r.add("writeBursts", c.writeBursts);
    r.add("readBeats", c.readBeats);
    r.add("writeBeats", c.writeBeats);
    r.addRatio("transactionsPerCommand", each(c.readBursts + c.writeBursts));
    r.addRatio("descriptorFetchesPerCommand", each(sum(PHYSRING_FPGA_REG_DESCRIPTOR_FETCHES)));
    r.add("burstsSplitAt4KiB", c.readSplits + c.writeSplits);
    r.add("readSplits", c.readSplits);
    r.add("writeSplits", c.writeSplits);
    r.add("partialTails", c.partialTails);
    r.add("beatsWithoutStrobe", c.emptyBeats);
    r.add("maxOutstandingReads", c.maxReads);
    r.add("maxOutstandingReadsOfOneId", c.maxReadsOfOneId);
    r.add("maxOutstandingWrites", c.maxWrites);
    r.add("readsOutOfOrder", c.readReorders);
    r.add("readBeatsInterleaved", c.readInterleaves);
    r.add("writesOutOfOrder", c.writeReorders);
    r.add("writeDataBeforeAddress", c.writeDataFirst);
    r.add("readBurstsFailed", c.readErrors);
    r.add("writeBurstsFailed", c.writeErrors);
    r.add("errorsInjected", memory_.injectedErrors());
    r.add("burstsOutsideMemory", memory_.refusedBursts());
    static const char* const kChannels[] = {"stallsAW", "stallsW", "stallsB", "stallsAR", "stallsR"};
    for (unsigned i = 0; i < 5; i++) r.add(kChannels[i], c.stalls[i]);
    r.add("interruptsSent", mirror_.interruptsSent());
    r.add("interruptsUnheard", mirror_.interruptsUnheard());
    r.add("barriers", agent_.barriers());
    r.add("syncs", agent_.syncs());
    r.add("syncsRefused", agent_.refused());
    uint64_t writebacks = 0, prefetches = 0;
    for (const Machine::Memory& m : machine_.memories()) {
      if (!m.cache) continue;
      writebacks += m.cache->writebacks();
      prefetches += m.cache->prefetches();
    }
    r.add("randomWritebacks", writebacks);
    r.add("randomPrefetches", prefetches);
    return r;
  }

  const Options options_;
  BoardDirectory directory_;
  Machine machine_;
  Agent agent_;
  Core core_;
  axi::Memory memory_;
  axi::Checker checker_;
  axi::LiteDriver lite_;
  RegisterMirror mirror_;
  std::unique_ptr<IvshmemServer> guest_;
  axi::Signals bus_;
  axi::LiteSignals liteBus_;
  bool failed_ = false;
  uint64_t printedViolations_ = 0, liteViolations_ = 0, resets_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  return process::guarded(count, arguments, [](const Options& options) { return Board(options).run(); });
}
