#include "check.h"

#include <cstdio>
#include <stdexcept>

#include "host.h"

namespace check {

unsigned passed = 0, failed = 0;
std::string only;
bool stopAtFailure = false;

void fail(const std::string& what) { throw std::runtime_error(what); }

void run(const std::string& name, const std::function<void()>& body) {
  if (!only.empty() && name.find(only) == std::string::npos) return;
  if (stopAtFailure && failed != 0) return;
  const double start = seconds();
  try {
    body();
    passed++;
    printf("ok      %-60s %5.1f s\n", name.c_str(), seconds() - start);
  } catch (const std::exception& error) {
    failed++;
    printf("FAILED  %-60s %5.1f s\n        %s\n", name.c_str(), seconds() - start, error.what());
  }
  fflush(stdout);
}

}  // namespace check
