// The board as a process: constants, errors of the command line, and that nothing is left behind however it ends.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "../../board_directory.h"
#include "cases.h"

namespace {

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

/** Exit status of the board with these arguments; what it printed in `output`. */
int runBoard(const std::vector<std::string>& words, std::string& output) {
  std::string line;
  for (const std::string& w : words) line += "'" + w + "' ";
  FILE* pipe = popen(("timeout 10 " + line + "2>&1").c_str(), "r");
  char text[512];
  output.clear();
  while (fgets(text, sizeof text, pipe)) output += text;
  const int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

void lifeCases(const CaseOptions& o) {
  check::run("registers that never change", [&] {
    BoardProcess b(o.board, o.boardOptions("full"));
    check::equal(b.read(PHYSRING_FPGA_REG_MAGIC), PHYSRING_FPGA_MAGIC, "magic");
    check::equal(b.read(PHYSRING_FPGA_REG_VERSION), PHYSRING_FPGA_VERSION, "version");
    check::equal(b.read(PHYSRING_FPGA_REG_OPCODES), 0xffu, "opcodes");
    check::equal(b.read(PHYSRING_FPGA_REG_MAX_CAPACITY_LOG2), 12u, "maxCapacityLog2");
    check::equal(b.read(PHYSRING_FPGA_REG_MAX_LIST_ENTRIES), 1024u, "maxListEntries");
    check::that(b.read(PHYSRING_FPGA_REG_QUEUE_COUNT) >= 4, "queueCount");
    check::that(b.read(PHYSRING_FPGA_REG_OUTSTANDING_READS) >= 4, "outstandingReads");
    for (uint32_t q = 0; q < 4; q++) {
      for (uint32_t reg = 0; reg < 0x200; reg += 4) check::equal(b.read(physring_fpga_queue_page(q) + reg), 0u, "register " + std::to_string(reg) + " of a queue that nobody used");
    }
    // Above 4 GiB, on pages, and new each time: host code cannot confuse it with anything else.
    check::that(b.base(0) >> 32 != 0 && b.base(0) % 4096 == 0, "device base");
    BoardProcess another(o.board, {});
    check::that(b.base(0) != another.base(0), "two boards with one device base");
  });

  check::run("mailboxes refuse nonsense", [&] {
    BoardProcess b(o.board, o.boardOptions("none"));
    check::equal(b.call(0, 99), 1u, "unknown operation");
    check::equal(b.call(0, 3, 7, 0, 64), 1u, "unknown memory");
    check::equal(b.call(0, 3, 0, b.bytes(0), 64), 1u, "behind the memory");
    check::equal(b.call(0, 4, 0, ~uint64_t{63}, 128), 1u, "offset + bytes over 2^64");
    check::equal(b.call(15, 4, 0, b.bytes(0) - 64, 64), 0u, "the last line");
    check::equal(b.end().at("syncsRefused"), 4.0, "refused");
  });

  check::run("nothing is left, however it ends", [&] {
    for (const int signal : {SIGTERM, SIGINT, SIGKILL}) {
      BoardProcess b(o.board, o.boardOptions("none"));
      const std::string directory = b.directory();
      check::that(exists(directory + "/registers"), "the directory is not there");
      b.signal(signal);
      check::that(eventually([&] { return !exists(directory); }), "the directory stays after signal " + std::to_string(signal));
    }
    // A parent that dies without a word.
    int ends[2];
    check::that(pipe(ends) == 0, "pipe");
    const pid_t child = fork();
    if (child == 0) {
      BoardProcess* b = new BoardProcess(o.board, {});
      const pid_t pid = b->pid();
      (void)!write(ends[1], &pid, sizeof pid);
      raise(SIGKILL);
    }
    pid_t board = 0;
    check::that(read(ends[0], &board, sizeof board) == sizeof board, "the child's board did not start");
    waitpid(child, nullptr, 0);
    check::that(eventually([&] { return kill(board, 0) != 0; }), "the board outlives its parent");
    close(ends[0]), close(ends[1]);
  });

  check::run("errors say what to do", [&] {
    BoardProcess b(o.board, {});
    std::string text;
    const std::string taken = b.directory().substr(b.directory().rfind("board.") + 6);
    char memory[] = "/tmp/physring-board-test.XXXXXX";
    const int file = mkstemp(memory);
    check::that(file >= 0 && ftruncate(file, 65536) == 0, "no temporary file");
    const struct {
      std::vector<std::string> words;
      const char* says;
    } cases[] = {
        {{o.board}, "--help"},
        {{o.board, "x"}, "--region NAME or --memory"},
        {{o.board, "x", "--region", "no-such-region"}, "create the region"},
        {{o.board, "x", "--memory", std::string(memory) + ":1G"}, "at most its size"},
        {{o.board, "x", "--memory", std::string(memory) + "@0x100"}, "multiple of 4096"},
        {{o.board, taken, "--memory", memory}, "is running: stop it"},
        {{o.board, "../x", "--memory", memory}, "no name of a board"},
        {{o.board, "x", "--memory", memory, "--coherency", "some"}, "full, io and none"},
        {{o.board, "x", "--memory", memory, "--fault", "slverr:9:0:64"}, "names memory 9"},
        {{o.board, "x", "--memory", memory, "--stall", "2"}, "between 0 and 0.99"},
        {{o.board, "x", "--memroy", memory}, "unknown option"},
    };
    for (const auto& c : cases) {
      check::equal(runBoard(c.words, text), 2, std::string(c.says) + ": exit status");
      check::that(text.find(c.says) != std::string::npos, std::string("no '") + c.says + "' in: " + text);
    }
    check::equal(runBoard({o.board, "--help"}, text), 0, "--help");
    close(file);
    unlink(memory);
  });
}
