#include "agent.h"

namespace {
constexpr uint64_t kFileBytes = 8192;
constexpr uint32_t kMagic = 0x47415250, kVersion = 1, kMailboxes = 16;
// Words of the file: a line is 32 words.
constexpr size_t kHoldWord = 32, kFirstMailboxWord = 64, kMailboxWords = 64, kReplyWord = 32;
enum CallWord { kRequest, kOperation, kMemory, kDirection, kOffsetLow, kOffsetHigh, kBytesLow, kBytesHigh };
enum Operation { kWmb = 1, kRmb = 2, kSyncForDevice = 3, kSyncForCpu = 4 };
constexpr uint32_t kToDevice = 1;

uint64_t wide(const uint32_t* words) { return words[0] | uint64_t{words[1]} << 32; }
}  // namespace

Agent::Agent(Machine& machine, const std::string& directory) : machine_(machine), file_(Mapping::create(directory + "/agent", kFileBytes)) {
  uint32_t* words = file_.words();
  words[0] = kMagic;
  words[1] = kVersion;
  words[2] = kMailboxes;
  words[3] = CacheMemory::kLineBytes;
}

bool Agent::hold() const { return loadAcquire(file_.words() + kHoldWord) != 0; }

bool Agent::poll() {
  bool any = false;
  for (uint32_t m = 0; m < kMailboxes; m++) {
    uint32_t* mailbox = file_.words() + kFirstMailboxWord + m * kMailboxWords;
    const uint32_t request = loadAcquire(mailbox + kRequest);
    if (request == mailbox[kReplyWord]) continue;
    uint32_t call[8];
    for (unsigned i = 0; i < 8; i++) call[i] = mailbox[i];  // the caller's: read once
    const bool done = serve(call);
    refused_ += !done;
    mailbox[kReplyWord + 1] = !done;
    storeRelease(mailbox + kReplyWord, request);
    any = true;
  }
  return any;
}

bool Agent::serve(const uint32_t* call) {
  switch (call[kOperation]) {
    case kWmb: barriers_++; machine_.wmb(); return true;
    case kRmb: barriers_++; machine_.rmb(); return true;
    case kSyncForDevice: syncs_++; return machine_.sync(call[kMemory], wide(call + kOffsetLow), wide(call + kBytesLow), false);
    case kSyncForCpu: syncs_++; return call[kDirection] == kToDevice || machine_.sync(call[kMemory], wide(call + kOffsetLow), wide(call + kBytesLow), true);
    default: return false;
  }
}
