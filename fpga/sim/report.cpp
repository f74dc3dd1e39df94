#include "report.h"

#include <cmath>
#include <cstdio>

static std::string decimal(double value) {
  char text[40];
  snprintf(text, sizeof text, value == std::floor(value) ? "%.0f" : "%.3f", value);
  return text;
}

std::string Report::json() const {
  std::string out = "{";
  for (const auto& [name, value] : numbers_) out += (out.size() > 1 ? "," : "") + quoted(name) + ":" + decimal(value);
  return out + "}";
}

std::string Report::text() const {
  std::string out;
  for (const auto& [name, value] : numbers_) out += "  " + name + std::string(name.size() < 30 ? 30 - name.size() : 1, ' ') + decimal(value) + "\n";
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    char escape[8];
    if (c == '"' || c == '\\') out += '\\', out += c;
    else if (static_cast<unsigned char>(c) < 0x20) snprintf(escape, sizeof escape, "\\u%04x", c), out += escape;
    else out += c;
  }
  return out + "\"";
}
