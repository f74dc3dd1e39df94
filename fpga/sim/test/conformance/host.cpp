#include "host.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>

#include "../../board_directory.h"

void relax() {
  sched_yield();
  usleep(20);
}

double seconds() {
  timespec t = {};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

namespace {
constexpr char kPayloadFile[] = "/payload", kQueueFile[] = "/queues";
}

BoardProcess::BoardProcess(const std::string& program, const std::vector<std::string>& options) {
  static unsigned count = 0;
  name_ = "test-" + std::to_string(getpid()) + "-" + std::to_string(count++);
  scratch_ = sharedMemoryDirectory() + "/physring-board-memory." + name_;
  directory_ = sharedMemoryDirectory() + "/physring-board." + name_;
  if (mkdir(scratch_.c_str(), 0700) != 0) throw std::runtime_error(systemError(scratch_));
  const std::string paths[2] = {scratch_ + kPayloadFile, scratch_ + kQueueFile};
  for (unsigned m = 0; m < 2; m++) memories_[m] = Mapping::create(paths[m], bytes(m));

  std::vector<std::string> arguments = {program, name_, "--memory", paths[0] + ":payload", "--memory", paths[1] + ":queue", "--json", "--with-parent"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error(systemError("pipe"));
  pid_ = fork();
  if (pid_ == 0) {
    dup2(ends[1], 1);
    std::vector<char*> raw;
    for (std::string& a : arguments) raw.push_back(a.data());
    raw.push_back(nullptr);
    execv(program.c_str(), raw.data());
    perror(program.c_str());
    _exit(127);
  }
  close(ends[1]);
  output_ = ends[0];
  const std::string page = readLine();
  size_t at = 0;
  for (uint64_t& base : bases_) {
    at = page.find("\"deviceBase\":\"", at);
    if (at == std::string::npos) removeScratch();
    if (at == std::string::npos) throw std::runtime_error("the board did not start: " + page);
    at += strlen("\"deviceBase\":\"");
    base = strtoull(page.c_str() + at, nullptr, 16);
  }
  registers_ = Mapping::open(directory_ + "/registers", PHYSRING_FPGA_REGISTER_BYTES);
  agent_ = Mapping::open(directory_ + "/agent", 0);
  for (unsigned m = 0; m < 2; m++) {
    const std::string own = directory_ + "/memory." + std::to_string(m);
    deviceMemories_[m] = Mapping::open(access(own.c_str(), F_OK) == 0 ? own : paths[m], 0);
  }
  removeScratch();
}

void BoardProcess::removeScratch() const {
  for (const char* file : {kPayloadFile, kQueueFile}) unlink((scratch_ + file).c_str());
  rmdir(scratch_.c_str());
}

BoardProcess::~BoardProcess() {
  if (running()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (output_ >= 0) close(output_);
}

/** A line of the board's output; empty at its end. */
std::string BoardProcess::readLine() {
  for (;;) {
    const size_t end = buffered_.find('\n');
    if (end != std::string::npos) {
      const std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    char bytes[4096];
    const ssize_t n = ::read(output_, bytes, sizeof bytes);
    if (n <= 0) return "";
    buffered_.append(bytes, static_cast<size_t>(n));
  }
}

bool BoardProcess::running() const { return pid_ > 0 && status < 0 && kill(pid_, 0) == 0; }

void BoardProcess::signal(int number) const { kill(pid_, number); }

std::map<std::string, double> BoardProcess::report() {
  signal(SIGUSR1);
  const std::string line = readLine();
  std::map<std::string, double> numbers;
  for (size_t at = line.find('"'); at != std::string::npos; at = line.find('"', at)) {
    const size_t end = line.find('"', at + 1);
    if (end == std::string::npos) break;
    numbers[line.substr(at + 1, end - at - 1)] = strtod(line.c_str() + end + 2, nullptr);
    at = end + 1;
  }
  return numbers;
}

std::map<std::string, double> BoardProcess::end() {
  std::map<std::string, double> numbers = report();
  signal(SIGTERM);
  int raw = 0;
  waitpid(pid_, &raw, 0);
  status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  return numbers;
}

namespace {
// Words of `agent` (10.9).
constexpr size_t kHold = 32, kMailboxes = 64, kMailboxWords = 64, kReply = 32;
enum Operation : uint32_t { kWmb = 1, kRmb = 2, kSyncForDevice = 3, kSyncForCpu = 4 };
}  // namespace

void BoardProcess::holdBus(bool on) { storeRelease(agent_.words() + kHold, on); }

uint32_t BoardProcess::call(unsigned mailbox, uint32_t operation, uint32_t memory, uint64_t offset, uint64_t bytes, uint32_t direction) {
  uint32_t* box = agent_.words() + kMailboxes + mailbox * kMailboxWords;
  const uint32_t request = box[0] + 1;
  const uint32_t words[] = {operation, memory, direction, static_cast<uint32_t>(offset), static_cast<uint32_t>(offset >> 32), static_cast<uint32_t>(bytes), static_cast<uint32_t>(bytes >> 32)};
  memcpy(box + 1, words, sizeof words);
  storeRelease(box, request);
  if (!eventually([&] { return loadAcquire(box + kReply) == request; })) throw std::runtime_error("the board does not answer its mailbox");
  return box[kReply + 1];
}

void BoardProcess::wmb(unsigned mailbox) {
  if (!omissions.wmb) call(mailbox, kWmb);
}
void BoardProcess::rmb(unsigned mailbox) {
  if (!omissions.rmb) call(mailbox, kRmb);
}
void BoardProcess::syncForDevice(unsigned mailbox, unsigned memory, uint64_t offset, uint64_t bytes) {
  if (call(mailbox, kSyncForDevice, memory, offset, bytes) != 0) throw std::runtime_error("sync for device was refused");
}
void BoardProcess::syncForCpu(unsigned mailbox, unsigned memory, uint64_t offset, uint64_t bytes) {
  if (call(mailbox, kSyncForCpu, memory, offset, bytes) != 0) throw std::runtime_error("sync for CPU was refused");
}

namespace {
constexpr uint64_t kQueueStride = BoardProcess::kQueueBytes / 4;  // of the queue memory, for each of four queues
constexpr uint64_t kGranule = PHYSRING_FPGA_GRANULE_BYTES;
uint64_t padded(uint64_t bytes) { return (bytes + kGranule - 1) / kGranule * kGranule; }
}  // namespace

HostQueue::HostQueue(BoardProcess& board_, unsigned queue_, unsigned capacityLog2_) : board(board_), queue(queue_), capacityLog2(capacityLog2_) {
  sqOffset_ = queue * kQueueStride;
  cqOffset_ = sqOffset_ + padded(uint64_t{PHYSRING_FPGA_DESCRIPTOR_BYTES} << capacityLog2);
  listOffset_ = cqOffset_ + padded(uint64_t{PHYSRING_FPGA_COMPLETION_BYTES} << capacityLog2);
}

void HostQueue::set64(uint32_t offset, uint64_t value) {
  setReg(offset, static_cast<uint32_t>(value));
  setReg(offset + 4, static_cast<uint32_t>(value >> 32));
}

uint32_t HostQueue::start() {
  memset(board.memory(1) + sqOffset_, 0, listOffset_ - sqOffset_);
  submitted = reaped = 0;
  epoch = epoch % PHYSRING_FPGA_MAX_EPOCH + 1;
  setReg(PHYSRING_FPGA_REG_CAPACITY_LOG2, capacityLog2);
  set64(PHYSRING_FPGA_REG_SQ_BASE, sqBase());
  set64(PHYSRING_FPGA_REG_CQ_BASE, cqBase());
  set64(PHYSRING_FPGA_REG_QUEUE_WINDOW_BASE, board.base(1));
  set64(PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT, board.base(1) + board.bytes(1));
  set64(PHYSRING_FPGA_REG_DATA_WINDOW_BASE, board.base(0));
  set64(PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT, board.base(0) + board.bytes(0));
  for (uint32_t reg : {PHYSRING_FPGA_REG_INTERRUPT_COUNT, PHYSRING_FPGA_REG_INTERRUPT_CYCLES, PHYSRING_FPGA_REG_PACE_CYCLES, PHYSRING_FPGA_REG_PACE_POLICY}) setReg(reg, 0);
  for (const auto& [reg, value] : overrides) setReg(reg, value);
  setReg(PHYSRING_FPGA_REG_SQ_TAIL, 0);
  setReg(PHYSRING_FPGA_REG_CQ_HEAD, 0);
  board.wmb(queue);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  setReg(PHYSRING_FPGA_REG_CONTROL, epoch << PHYSRING_FPGA_EPOCH_SHIFT | PHYSRING_FPGA_CONTROL_ENABLE);
  eventually([&] { return state() == stateOf(PHYSRING_FPGA_RUNNING) || state() == stateOf(PHYSRING_FPGA_HALTED); });
  return state();
}

void HostQueue::requestStop() { setReg(PHYSRING_FPGA_REG_CONTROL, epoch << PHYSRING_FPGA_EPOCH_SHIFT); }
bool HostQueue::waitIdle() {
  return eventually([&] { return state() == stateOf(PHYSRING_FPGA_IDLE); });
}

std::optional<uint32_t> HostQueue::stop() {
  requestStop();
  if (!waitIdle()) return std::nullopt;
  return state();
}

uint32_t* HostQueue::descriptor(uint32_t index) const {
  return reinterpret_cast<uint32_t*>(board.memory(1) + sqOffset_ + uint64_t{index & (capacity() - 1)} * PHYSRING_FPGA_DESCRIPTOR_BYTES);
}

uint64_t HostQueue::writeList(unsigned place, unsigned operand, const std::vector<std::pair<uint64_t, uint32_t>>& entries) {
  const uint64_t offset = listOffset_ + (uint64_t{place} * 2 + operand) * kListEntries * PHYSRING_FPGA_LIST_ENTRY_BYTES;
  auto* list = reinterpret_cast<physring_fpga_list_entry*>(board.memory(1) + offset);
  for (size_t i = 0; i < entries.size() && i < kListEntries; i++) {
    list[i].address[0] = static_cast<uint32_t>(entries[i].first);
    list[i].address[1] = static_cast<uint32_t>(entries[i].first >> 32);
    list[i].bytes = entries[i].second;
    list[i].zero = 0;
  }
  return board.base(1) + offset;
}

void HostQueue::submit(physring_fpga_descriptor d) {
  d.validity = physring_fpga_validity(epoch, submitted, capacityLog2);
  uint32_t words[16];
  memcpy(words, &d, sizeof words);
  uint32_t* to = descriptor(submitted++);
  for (unsigned i = 0; i < 16; i++) storeRelease(to + i, words[i]);
}

void HostQueue::ring() {
  board.wmb(queue);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  setReg(PHYSRING_FPGA_REG_CQ_HEAD, reaped);
  setReg(PHYSRING_FPGA_REG_SQ_TAIL, submitted);
}

std::optional<physring_fpga_completion> HostQueue::reap() {
  const auto* entry = reinterpret_cast<const uint32_t*>(board.memory(1) + cqOffset_ + uint64_t{reaped & (capacity() - 1)} * PHYSRING_FPGA_COMPLETION_BYTES);
  if (loadAcquire(entry + 7) != physring_fpga_validity(epoch, reaped, capacityLog2)) return std::nullopt;
  board.rmb(queue);
  physring_fpga_completion c;
  uint32_t words[8];
  for (unsigned i = 0; i < 8; i++) words[i] = loadAcquire(entry + i);
  memcpy(&c, words, sizeof c);
  reaped++;
  return c;
}

std::optional<physring_fpga_completion> HostQueue::wait() {
  std::optional<physring_fpga_completion> c;
  eventually([&] {
    c = reap();
    return c || (state() & PHYSRING_FPGA_STATE_MASK) != PHYSRING_FPGA_RUNNING;
  });
  if (!c) c = reap();
  return c;
}
