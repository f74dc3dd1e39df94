// What a board counted, as text or JSON.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

/** Named numbers in order. */
class Report {
 public:
  void add(const std::string& name, uint64_t value) { numbers_.emplace_back(name, static_cast<double>(value)); }
  void addRatio(const std::string& name, double value) { numbers_.emplace_back(name, value); }
  std::string json() const;
  std::string text() const;

 private:
  std::vector<std::pair<std::string, double>> numbers_;
};

/** A JSON string. */
std::string quoted(const std::string& text);
