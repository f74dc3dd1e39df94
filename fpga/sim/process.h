// What the board and the stub have in common as processes: signals, the parent's death, the page that describes the board.
#pragma once

#include <csignal>
#include <string>

#include "machine.h"
#include "options.h"

namespace process {

extern volatile sig_atomic_t stop, powerCycle, reportNow;

/** SIGINT and SIGTERM set `stop`, SIGHUP `powerCycle`, SIGUSR1 `reportNow`. With `withParent` the parent's end is a SIGTERM. */
void handleSignals(bool withParent);

/** board.json of docs/PROTOCOL.md 10.9. */
std::string describeBoard(const Options& options, const Machine& machine, unsigned queues);

/** Runs `run` with the parsed command line; prints UsageErrors and returns the exit status: 2 for them. */
int guarded(int count, char** arguments, int (*run)(const Options&));

}  // namespace process
