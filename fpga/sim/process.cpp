#include "process.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>

#include "report.h"

namespace process {

volatile sig_atomic_t stop = 0, powerCycle = 0, reportNow = 0;

void handleSignals(bool withParent) {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { (signal == SIGHUP ? powerCycle : signal == SIGUSR1 ? reportNow : stop) = 1; };
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaction(signal, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  if (withParent) {
    const pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    // It may have died just before: then nobody tells.
    if (getppid() != parent || parent == 1) stop = 1;
  }
  prctl(PR_SET_TIMERSLACK, 1000UL);  // short sleeps are short
}

std::string describeBoard(const Options& o, const Machine& machine, unsigned queues) {
  std::string out = "{\"pid\":" + std::to_string(getpid()) + ",\"coherency\":\"" + o.coherencyName() + "\",\"queues\":" + std::to_string(queues) + ",\"seed\":" + std::to_string(o.seed) + ",\"memories\":[";
  for (const Machine::Memory& m : machine.memories()) {
    char base[24];
    snprintf(base, sizeof base, "0x%llx", static_cast<unsigned long long>(m.base));
    if (&m != &machine.memories().front()) out += ",";
    out += "{\"path\":" + quoted(m.spec.path) + ",\"bytes\":" + std::to_string(m.spec.bytes) + ",\"deviceBase\":\"" + base + "\",\"kind\":\"" + (m.spec.isQueue ? "queue" : "payload") + "\",\"devicePath\":" + quoted(m.devicePath) + "}";
  }
  return out + "]}";
}

int guarded(int count, char** arguments, int (*run)(const Options&)) {
  try {
    const Options options = parseOptions(count, arguments);
    if (options.help) {
      fputs(usage(arguments[0]).c_str(), stdout);
      return 0;
    }
    return run(options);
  } catch (const UsageError& error) {
    fprintf(stderr, "%s: %s\n", arguments[0], error.what());
    return 2;
  }
}

}  // namespace process
