// Descriptors that a core refuses, and what the bus refuses: each by its own code (docs/PROTOCOL.md 10.6).
#include <functional>

#include "cases.h"

namespace {

constexpr uint64_t kSource = 0x10000, kDestination = 0x20000;
constexpr uint32_t kBytes = 256;
constexpr uint64_t kOwnList = 0xf0000;  // in the queue memory, where no ring lies

struct Malformed {
  const char* name;
  uint32_t status;
  std::function<void(physring_fpga_descriptor&, BoardProcess&)> change;
};

void set(uint32_t (&words)[2], uint64_t value) {
  words[0] = static_cast<uint32_t>(value);
  words[1] = static_cast<uint32_t>(value >> 32);
}

/** Makes the destination a list of these pieces of the payload memory. */
auto list(std::vector<std::pair<uint64_t, uint32_t>> pieces) {
  return [pieces](physring_fpga_descriptor& d, BoardProcess& b) {
    auto* entries = reinterpret_cast<physring_fpga_list_entry*>(b.memory(1) + kOwnList);
    for (size_t i = 0; i < pieces.size(); i++) {
      entries[i] = {};
      set(entries[i].address, b.base(0) + pieces[i].first);
      entries[i].bytes = pieces[i].second;
    }
    d.opcode_flags |= PHYSRING_FPGA_FLAG_DESTINATION_LIST;
    d.list_entries = static_cast<uint32_t>(pieces.size()) << 16;
    set(d.destination, b.base(1) + kOwnList);
  };
}

std::vector<Malformed> malformed() {
  using D = physring_fpga_descriptor;
  using B = BoardProcess;
  const uint64_t end = BoardProcess::kPayloadBytes;
  return {
      {"opcode 8", PHYSRING_FPGA_ERR_OPCODE, [](D& d, B&) { d.opcode_flags = 8; }},
      {"opcode 255", PHYSRING_FPGA_ERR_OPCODE, [](D& d, B&) { d.opcode_flags = 255; }},
      {"opcode before flags", PHYSRING_FPGA_ERR_OPCODE, [](D& d, B&) { d.opcode_flags = 9 | 1u << 20; }},
      {"flag 10", PHYSRING_FPGA_ERR_FLAGS, [](D& d, B&) { d.opcode_flags |= 1 << 10; }},
      {"flag 31", PHYSRING_FPGA_ERR_FLAGS, [](D& d, B&) { d.opcode_flags |= 1u << 31; }},
      {"flags before length", PHYSRING_FPGA_ERR_FLAGS, [](D& d, B&) { d.opcode_flags |= 1 << 16, d.length_bytes = 0; }},
      {"length 0", PHYSRING_FPGA_ERR_LENGTH, [](D& d, B&) { d.length_bytes = 0; }},
      {"length 2^31 + 1", PHYSRING_FPGA_ERR_LENGTH, [](D& d, B&) { d.length_bytes = PHYSRING_FPGA_MAX_LENGTH_BYTES + 1; }},
      {"length 2^32 - 1", PHYSRING_FPGA_ERR_LENGTH, [](D& d, B&) { d.length_bytes = ~0u; }},
      {"length before parameter", PHYSRING_FPGA_ERR_LENGTH, [](D& d, B&) { d.opcode_flags = PHYSRING_FPGA_THRESHOLD, d.parameter[0] = 256, d.length_bytes = 0; }},
      {"threshold 256", PHYSRING_FPGA_ERR_PARAMETER, [](D& d, B&) { d.opcode_flags = PHYSRING_FPGA_THRESHOLD, d.parameter[0] = 256; }},
      {"filter of 0 pixels", PHYSRING_FPGA_ERR_PARAMETER, [](D& d, B&) { d.opcode_flags = PHYSRING_FPGA_FILTER3X3, d.parameter[0] = 0; }},
      {"filter of 32 pixels", PHYSRING_FPGA_ERR_PARAMETER, [](D& d, B&) { d.opcode_flags = PHYSRING_FPGA_FILTER3X3, d.parameter[0] = 32; }},
      {"filter of 96 pixels", PHYSRING_FPGA_ERR_PARAMETER, [](D& d, B&) { d.opcode_flags = PHYSRING_FPGA_FILTER3X3, d.parameter[0] = 96, d.length_bytes = 192; }},
      {"filter wider than lines", PHYSRING_FPGA_ERR_PARAMETER, [](D& d, B&) { d.opcode_flags = PHYSRING_FPGA_FILTER3X3, d.parameter[0] = 192; }},
      {"filter wider than the core", PHYSRING_FPGA_ERR_PARAMETER, [](D& d, B& b) { d.opcode_flags = PHYSRING_FPGA_FILTER3X3, d.parameter[0] = d.length_bytes = b.read(PHYSRING_FPGA_REG_MAX_FILTER_WIDTH) + 64; }},
      {"parameter before alignment", PHYSRING_FPGA_ERR_PARAMETER, [](D& d, B&) { d.opcode_flags = PHYSRING_FPGA_THRESHOLD, d.parameter[0] = 256, d.source[0] += 4; }},
      {"source + 1", PHYSRING_FPGA_ERR_ALIGNMENT, [](D& d, B&) { d.source[0] += 1; }},
      {"source + 32", PHYSRING_FPGA_ERR_ALIGNMENT, [](D& d, B&) { d.source[0] += 32; }},
      {"destination + 4", PHYSRING_FPGA_ERR_ALIGNMENT, [](D& d, B&) { d.destination[0] += 4; }},
      {"list + 16", PHYSRING_FPGA_ERR_ALIGNMENT, [](D& d, B& b) { list({{kDestination, kBytes}})(d, b), d.destination[0] += 16; }},
      {"alignment before range", PHYSRING_FPGA_ERR_ALIGNMENT, [](D& d, B& b) { set(d.source, b.base(0) - 32); }},
      {"source below the window", PHYSRING_FPGA_ERR_RANGE, [](D& d, B& b) { set(d.source, b.base(0) - 64); }},
      {"source over the end", PHYSRING_FPGA_ERR_RANGE, [end](D& d, B& b) { set(d.source, b.base(0) + end - kBytes + 64); }},
      {"source behind the end", PHYSRING_FPGA_ERR_RANGE, [end](D& d, B& b) { set(d.source, b.base(0) + end); }},
      {"source at 0", PHYSRING_FPGA_ERR_RANGE, [](D& d, B&) { set(d.source, 0); }},
      {"one byte over the end", PHYSRING_FPGA_ERR_RANGE, [end](D& d, B& b) { set(d.destination, b.base(0) + end - 64), d.length_bytes = 65; }},
      {"source + length over 2^64", PHYSRING_FPGA_ERR_RANGE, [](D& d, B&) { set(d.source, ~uint64_t{63}); }},
      {"destination + length over 2^64", PHYSRING_FPGA_ERR_RANGE, [](D& d, B&) { set(d.destination, ~uint64_t{63}); }},
      {"length 2^31", PHYSRING_FPGA_ERR_RANGE, [](D& d, B&) { d.length_bytes = PHYSRING_FPGA_MAX_LENGTH_BYTES; }},
      {"list in payload memory", PHYSRING_FPGA_ERR_RANGE, [](D& d, B& b) { list({{kDestination, kBytes}})(d, b), set(d.destination, b.base(0)); }},
      {"list over the end", PHYSRING_FPGA_ERR_RANGE, [](D& d, B& b) { list({{kDestination, kBytes}})(d, b), d.list_entries = 5 << 16, set(d.destination, b.base(1) + b.bytes(1) - 64); }},
      {"list of 0", PHYSRING_FPGA_ERR_LIST, [](D& d, B& b) { list({{kDestination, kBytes}})(d, b), d.list_entries = 0; }},
      {"list of 1025", PHYSRING_FPGA_ERR_LIST, [](D& d, B& b) { list({{kDestination, kBytes}})(d, b), d.list_entries = 1025u << 16; }},
      {"entry + 32", PHYSRING_FPGA_ERR_LIST, list({{kDestination + 32, kBytes}})},
      {"entry of 0 bytes", PHYSRING_FPGA_ERR_LIST, list({{kDestination, 128}, {kDestination + 1024, 0}, {kDestination + 512, 128}})},
      {"entry of 100 bytes before the last", PHYSRING_FPGA_ERR_LIST, list({{kDestination, 100}, {kDestination + 512, 156}})},
      {"entry outside the window", PHYSRING_FPGA_ERR_LIST, list({{kDestination, 128}, {end, 128}})},
      {"entry over the end", PHYSRING_FPGA_ERR_LIST, list({{kDestination, 192}, {end - 64, 65}})},
      {"list too short", PHYSRING_FPGA_ERR_LIST, list({{kDestination, 128}, {kDestination + 512, 127}})},
      {"list too long", PHYSRING_FPGA_ERR_LIST, list({{kDestination, 128}, {kDestination + 512, 129}})},
      {"list with an entry left", PHYSRING_FPGA_ERR_LIST, list({{kDestination, 128}, {kDestination + 512, 128}, {kDestination + 1024, 64}})},
  };
}

/** A command with one operand where the bus fails: `status`, and a copy that does not touch it still works. */
void busError(HostQueue& q, uint32_t status, uint64_t source, uint64_t destination, uint32_t bytes) {
  const auto c = runOne(q, command(PHYSRING_FPGA_COPY, 77, source, destination, bytes));
  check::equal(statusOf(c), status, "status");
  check::equal(c.bytes, 0u, "bytes");
  check::equal(c.tag, 77u, "tag");
  checkCopies(q);
}

}  // namespace

void malformedCases(const CaseOptions& o) {
  check::run("malformed descriptors", [&] {
    BoardProcess board(o.board, o.boardOptions("full"));
    HostQueue q(board, 1, 4);
    startRunning(q);
    const auto cases = malformed();
    memset(board.memory(0) + kDestination, 0x5a, 4096);
    uint32_t tag = 1000;
    for (const Malformed& m : cases) {
      physring_fpga_descriptor d = command(PHYSRING_FPGA_COPY, tag, board.base(0) + kSource, board.base(0) + kDestination, kBytes);
      m.change(d, board);
      const auto c = runOne(q, d);
      check::equal(statusOf(c), m.status, std::string(m.name) + ": status");
      check::equal(c.tag, tag++, std::string(m.name) + ": tag");
      check::equal(c.bytes, 0u, std::string(m.name) + ": bytes");
      check::equal(c.result, 0u, std::string(m.name) + ": result");
    }
    checkCopies(q);
    // The longest legal ends: the last bytes of the window.
    const auto c = runOne(q, command(PHYSRING_FPGA_COPY, 1, board.base(0) + board.bytes(0) - 64, board.base(0) + kDestination, 64));
    check::equal(statusOf(c), 0u, "the last 64 bytes of the window");
    const auto n = board.end();
    check::equal(n.at("failedCommands"), static_cast<double>(cases.size()), "register failedCommands");
    check::equal(n.at("violations"), 0.0, "violations of AXI");
    printf("        %zu descriptors refused\n", cases.size());
  });

  check::run("bus errors by code", [&] {
    // One line of the payload memory and one of the queue memory for each kind.
    BoardProcess board(o.board, o.boardOptions("none", {"--fault", "slverr:0:0x100740:8", "--fault", "decerr:0:0x110740:8", "--fault", "slverr:1:0xf1000:8", "--fault", "decerr:1:0xf2000:8"}));
    HostQueue q(board, 1, 3);
    q.overrides[PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT] = static_cast<uint32_t>(board.base(0) + board.bytes(0) + 65536);
    q.overrides[PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT + 4] = static_cast<uint32_t>((board.base(0) + board.bytes(0) + 65536) >> 32);
    startRunning(q);
    const uint64_t base = board.base(0), good = base + 0x200000;
    busError(q, PHYSRING_FPGA_ERR_READ_SLVERR, base + 0x100000, good, 8000);
    busError(q, PHYSRING_FPGA_ERR_READ_DECERR, base + 0x110000, good, 8000);
    busError(q, PHYSRING_FPGA_ERR_WRITE_SLVERR, good, base + 0x100000, 8000);
    busError(q, PHYSRING_FPGA_ERR_WRITE_DECERR, good, base + 0x110000, 8000);
    // A window that the host set larger than the memory: the bus refuses what is outside.
    busError(q, PHYSRING_FPGA_ERR_READ_DECERR, base + board.bytes(0) - 4096, good, 8192);
    busError(q, PHYSRING_FPGA_ERR_WRITE_DECERR, good, base + board.bytes(0) - 4096, 8192);
    for (const auto& [offset, status] : {std::pair<uint64_t, uint32_t>{0xf1000, PHYSRING_FPGA_ERR_LIST_SLVERR}, {0xf2000, PHYSRING_FPGA_ERR_LIST_DECERR}}) {
      physring_fpga_descriptor d = command(PHYSRING_FPGA_COPY, 5, board.base(1) + offset, good, 4096);
      d.opcode_flags |= PHYSRING_FPGA_FLAG_SOURCE_LIST;
      d.list_entries = 8;
      check::equal(statusOf(runOne(q, d)), status, "status of a list");
      checkCopies(q);
    }
    check::equal(q.reg(PHYSRING_FPGA_REG_BUS_ERRORS) != 0, true, "busErrors counts");
    const auto n = board.end();
    check::equal(n.at("failedCommands"), 8.0, "register failedCommands");
    check::equal(n.at("violations"), 0.0, "violations of AXI");
    check::that(n.at("burstsOutsideMemory") >= 2, "bursts outside the memory were refused");
  });
}
