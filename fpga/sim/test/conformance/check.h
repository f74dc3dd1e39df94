// Counts checks. A case is a function that throws or fails checks.
#pragma once

#include <functional>
#include <string>

namespace check {

extern unsigned passed, failed;

/** Runs a case and prints it when it fails. With a filter only names that contain it. */
void run(const std::string& name, const std::function<void()>& body);
/** Only cases whose name contains it run. */
extern std::string only;
/** Nothing runs after the first failure. */
extern bool stopAtFailure;

[[noreturn]] void fail(const std::string& what);

template <class A, class B>
void equal(const A& got, const B& want, const std::string& what) {
  if (!(got == static_cast<A>(want))) fail(what + ": got " + std::to_string(got) + ", not " + std::to_string(want));
}

inline void that(bool condition, const std::string& what) {
  if (!condition) fail(what);
}

}  // namespace check
