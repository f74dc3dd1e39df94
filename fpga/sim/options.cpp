#include "options.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "board_directory.h"

std::string usage(const char* program) {
  return std::string("usage: ") + program + R"( NAME --region NAME | --memory PATH[:BYTES][:payload|queue][@BASE] … [options]

A simulated board NAME: the core of fpga/rtl, clocked, with registers and interrupts under
/dev/shm/physring-board.NAME (or in PHYSRING_SHM_DIR). Ctrl-C ends it and removes that.

  --region NAME        a region as the device's payload memory
  --memory PATH        a file (or device) as memory; BYTES as 4096, 64K, 16M, 1G (default: all of it);
                       a queue memory holds descriptor rings only. BASE: its device address (default: random)
  --coherency MODE     full (default), io: queue memory is weakly ordered, none: payload is behind a cache as well
  --seed N             repeats a run's random choices (default: random, printed)
  --stall P            chance per clock that a bus channel pauses (default 0.2)
  --latency MIN:MAX    clocks to the first answer of a burst (default 4:40)
  --in-order           answers in the order of the requests
  --error-rate P       chance per burst of SLVERR or DECERR at one of its beats
  --fault KIND:MEMORY:OFFSET:BYTES   slverr, decerr or hang (never answered) for a range of memory 0, 1 …
  --fatal              end with status 3 at the first violation of the AXI protocol
  --ivshmem SOCKET     serve registers and interrupts to a QEMU guest (-device ivshmem-doorbell)
  --with-parent        end when the parent process ends
  --json               print the report at the end as JSON
  --quiet              print nothing but errors
Signals: SIGTERM, SIGINT end; SIGHUP power-cycles the core; SIGUSR1 prints the report so far.
)";
}

namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  size_t from = 0;
  for (size_t to; (to = text.find(at, from)) != std::string::npos; from = to + 1) parts.push_back(text.substr(from, to - from));
  parts.push_back(text.substr(from));
  return parts;
}

bool isNumber(const std::string& text) { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

/** Decimal or 0x…, with K, M or G behind it. */
uint64_t number(const std::string& text, const std::string& option) {
  char* end = nullptr;
  errno = 0;
  uint64_t value = strtoull(text.c_str(), &end, 0);
  const std::string unit = end;
  const unsigned shift = unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : 0;
  if (!isNumber(text) || errno != 0 || (shift == 0 && !unit.empty()) || value << shift >> shift != value) throw UsageError(option + ": '" + text + "' is no number (4096, 64K, 0x1000)");
  return value << shift;
}

double probability(const std::string& text, const std::string& option) {
  char* end = nullptr;
  const double value = strtod(text.c_str(), &end);
  if (end == text.c_str() || *end || !(value >= 0 && value <= 0.99)) throw UsageError(option + ": '" + text + "' is no chance between 0 and 0.99");
  return value;
}

MemorySpec memory(const std::string& text) {
  MemorySpec spec;
  std::string rest = text;
  const size_t base = rest.rfind('@');
  if (base != std::string::npos && isNumber(rest.substr(base + 1))) {
    spec.deviceBase = number(rest.substr(base + 1), "--memory");
    if (*spec.deviceBase % 4096 != 0) throw UsageError("--memory " + text + ": a device address is a multiple of 4096");
    rest.resize(base);
  }
  const std::vector<std::string> parts = split(rest, ':');
  spec.path = parts[0];
  for (size_t i = 1; i < parts.size(); i++) {
    if (parts[i] == "queue") spec.isQueue = true;
    else if (parts[i] != "payload") spec.bytes = number(parts[i], "--memory");
  }
  return spec;
}

FaultSpec fault(const std::string& text) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() != 4) throw UsageError("--fault " + text + ": say KIND:MEMORY:OFFSET:BYTES, as slverr:0:65536:64");
  FaultSpec f = {};
  if (parts[0] == "slverr") f.kind = axi::Fault::kSlaveErrorFault;
  else if (parts[0] == "decerr") f.kind = axi::Fault::kDecodeErrorFault;
  else if (parts[0] == "hang") f.kind = axi::Fault::kHang;
  else throw UsageError("--fault " + text + ": kinds are slverr, decerr and hang");
  f.memory = static_cast<unsigned>(number(parts[1], "--fault"));
  f.offset = number(parts[2], "--fault");
  f.bytes = number(parts[3], "--fault");
  return f;
}

}  // namespace

Options parseOptions(int count, char** arguments) {
  Options o;
  std::random_device device;
  o.seed = device() & 0x7fffffff;
  int i = 1;
  const auto value = [&](const std::string& option) -> std::string {
    if (++i >= count) throw UsageError(option + " wants a value (--help)");
    return arguments[i];
  };
  for (; i < count; i++) {
    const std::string a = arguments[i];
    if (a == "--help" || a == "-h") o.help = true;
    else if (a == "--region") {
      MemorySpec spec;
      spec.path = sharedMemoryDirectory() + "/physring." + value(a);
      o.memories.push_back(spec);
    } else if (a == "--memory") o.memories.push_back(memory(value(a)));
    else if (a == "--coherency") {
      const std::string mode = value(a);
      if (mode == "full") o.coherency = Coherency::kFull;
      else if (mode == "io") o.coherency = Coherency::kIo;
      else if (mode == "none") o.coherency = Coherency::kNone;
      else throw UsageError("--coherency " + mode + ": modes are full, io and none");
    } else if (a == "--seed") o.seed = number(value(a), a);
    else if (a == "--stall") o.bus.stall = probability(value(a), a);
    else if (a == "--latency") {
      const std::vector<std::string> parts = split(value(a), ':');
      o.bus.latencyMin = static_cast<unsigned>(number(parts[0], a));
      o.bus.latencyMax = static_cast<unsigned>(number(parts.back(), a));
      if (o.bus.latencyMin > o.bus.latencyMax || o.bus.latencyMax > 1000000) throw UsageError("--latency wants MIN:MAX with MIN <= MAX <= 1000000");
    } else if (a == "--in-order") o.bus.reorder = false;
    else if (a == "--error-rate") o.bus.errorRate = probability(value(a), a);
    else if (a == "--fault") o.faults.push_back(fault(value(a)));
    else if (a == "--ivshmem") o.ivshmem = value(a);
    else if (a == "--fatal") o.fatal = true;
    else if (a == "--with-parent") o.withParent = true;
    else if (a == "--json") o.json = true;
    else if (a == "--quiet") o.quiet = true;
    else if (!a.empty() && a[0] == '-') throw UsageError("unknown option " + a + " (--help)");
    else if (o.name.empty()) o.name = a;
    else throw UsageError("one name only: " + o.name + ", not also " + a);
  }
  if (o.help) return o;
  if (o.name.empty()) throw UsageError("name the board (--help)");
  if (o.memories.empty()) throw UsageError("a board needs memory: --region NAME or --memory PATH (--help)");
  for (const FaultSpec& f : o.faults) {
    if (f.memory >= o.memories.size()) throw UsageError("--fault names memory " + std::to_string(f.memory) + ", there are " + std::to_string(o.memories.size()));
  }
  return o;
}
