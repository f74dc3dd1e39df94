// A memory behind the core's AXI4 master, for the bench: random back-pressure and latency, any order between IDs, beats of
// different IDs interleaved, errors by address; what is written is there when the response is, and no clock before. Every handshake is
// checked against the AXI rules that the core promises.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <vector>

struct Random {
  uint32_t state = 1;
  uint32_t next() {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
  }
  uint32_t below(uint32_t limit) { return (next() >> 4) % limit; }
};

template <class Core, int BusBytes>
class AxiMemory {
 public:
  static constexpr int Ids = 16;
  const uint64_t base;
  std::vector<uint8_t> bytes;
  Random random;
  unsigned slowness = 0;  // 0: everything at once; else each delay takes that many clocks on average
  uint64_t bad_from = 0, bad_to = 0;  // accesses that touch [bad_from, bad_to) get bad_response
  unsigned bad_response = 2;
  bool bad_reads = false, bad_writes = false;
  bool frozen = false;  // answers nothing

  // What the tests read.
  uint64_t checks = 0, violations = 0, splits_at_page = 0, most_reads = 0, partial_beats = 0, interleavings = 0, overtakings = 0;
  uint64_t bad_answers = 0, asked = 0;
  int64_t outstanding = 0;

  AxiMemory(uint64_t base_address, size_t size) : base(base_address), bytes(size) {}

  // Before the rising edge: what is handed over at it.
  void sample(const Core& core) {
    stable(core.m_axi_awvalid, core.m_axi_awready, aw_before_, {core.m_axi_awaddr, core.m_axi_awlen, core.m_axi_awid}, "AW");
    stable(core.m_axi_arvalid, core.m_axi_arready, ar_before_, {core.m_axi_araddr, core.m_axi_arlen, core.m_axi_arid}, "AR");
    Beat beat;
    std::memcpy(beat.data, &core.m_axi_wdata, BusBytes);
    beat.strobes = core.m_axi_wstrb;
    beat.last = core.m_axi_wlast;
    if (w_waiting_)
      rule(core.m_axi_wvalid && beat.strobes == w_before_.strobes && beat.last == w_before_.last &&
               std::memcmp(beat.data, w_before_.data, BusBytes) == 0,
           "W changed while waiting");
    w_waiting_ = core.m_axi_wvalid && !core.m_axi_wready;
    w_before_ = beat;

    if (core.m_axi_arvalid && core.m_axi_arready) {
      Burst burst = {core.m_axi_araddr, core.m_axi_arlen + 1u, asked++, 0};
      request(burst, core.m_axi_arsize, core.m_axi_arburst, read_end_[core.m_axi_arid], "AR");
      rule(burst.address % BusBytes == 0, "AR not aligned to the bus");
      reads_[core.m_axi_arid].push_back(burst);
      if (reads_[core.m_axi_arid].size() > most_reads) most_reads = reads_[core.m_axi_arid].size();
    }
    if (core.m_axi_awvalid && core.m_axi_awready) {
      Burst burst = {core.m_axi_awaddr, core.m_axi_awlen + 1u, asked++, core.m_axi_awid};
      request(burst, core.m_axi_awsize, core.m_axi_awburst, write_end_[core.m_axi_awid], "AW");
      writes_.push_back(burst);
    }
    if (core.m_axi_wvalid && core.m_axi_wready) {
      rule(beat.strobes != 0 || SPLIT, "W without strobes");  // half an entry may leave out whole beats
      if (beat.strobes != All) partial_beats++;
      beats_.push_back(beat);
    }
    while (!writes_.empty() && carry_out()) {
    }
    if (core.m_axi_bvalid && core.m_axi_bready) outstanding--, b_valid_ = false;
    if (core.m_axi_rvalid && core.m_axi_rready) {
      if (core.m_axi_rlast) outstanding--;
      r_valid_ = false;
    }
  }

  // After the edge: what the core sees until the next one.
  void drive(Core& core) {
    clock_++;
    if (!b_valid_ && now()) {
      const int id = pick(answers_, [&](const Written& written) { return written.due <= clock_; });
      if (id >= 0) {
        b_valid_ = true;
        core.m_axi_bid = id;
        core.m_axi_bresp = answers_[id].front().response;
        take_effect(answers_[id].front());
        answers_[id].pop_front();
      }
    }
    core.m_axi_bvalid = b_valid_;
    if (!r_valid_ && now()) read_beat(core);
    core.m_axi_rvalid = r_valid_;
    core.m_axi_awready = now();
    core.m_axi_wready = now();
    core.m_axi_arready = now();
  }

  void rule(bool holds, const char* what) {
    checks++;
    if (holds) return;
    if (violations++ < 10) std::printf("AXI violation: %s\n", what);
  }

 private:
  static constexpr uint64_t All = BusBytes == 64 ? ~0ull : (1ull << BusBytes) - 1;
  struct Burst {
    uint64_t address;
    unsigned beats;
    uint64_t order;
    unsigned id;
  };
  struct Beat {
    uint8_t data[BusBytes];
    uint64_t strobes;
    bool last;
  };
  struct Written {
    Burst burst;
    std::vector<Beat> beats;
    unsigned response;
    uint64_t due;  // not answered before
  };
  struct Offer {
    bool waiting = false;
    uint64_t address = 0;
    unsigned length = 0, id = 0;
  };
  std::deque<Burst> reads_[Ids], writes_;
  std::deque<Beat> beats_;
  std::deque<Written> answers_[Ids];
  uint64_t read_end_[Ids] = {}, write_end_[Ids] = {};
  Offer aw_before_, ar_before_;
  Beat w_before_ = {};
  bool w_waiting_ = false, b_valid_ = false, r_valid_ = false;
  int r_open_ = -1;
  uint64_t clock_ = 0;

  bool now() { return !frozen && (slowness == 0 || random.below(slowness + 1) == 0); }

  void stable(bool valid, bool ready, Offer& offer, std::initializer_list<uint64_t> values, const char*) {
    const uint64_t* v = values.begin();
    if (offer.waiting)
      rule(valid && offer.address == v[0] && offer.length == v[1] && offer.id == v[2], "an address changed while waiting");
    offer = {valid && !ready, v[0], unsigned(v[1]), unsigned(v[2])};
  }
  void request(const Burst& burst, unsigned size, unsigned type, uint64_t& end, const char*) {
    const uint64_t last = burst.address - burst.address % BusBytes + uint64_t(burst.beats) * BusBytes - 1;
    rule((1u << size) == BusBytes && type == 1, "size or burst type");
    rule(burst.address >> 12 == last >> 12, "a burst crosses 4 KiB");
    if (burst.address % 4096 == 0 && end == burst.address) splits_at_page++;
    end = last + 1;
    outstanding++;
  }
  unsigned answer(uint64_t first, uint64_t last, bool writes) {
    unsigned response = 0;
    if (first < base || last >= base + bytes.size()) response = 3;
    else if (last >= bad_from && first < bad_to && (writes ? bad_writes : bad_reads)) response = bad_response;
    if (response != 0) bad_answers++;
    return response;
  }
  // The oldest write, if its beats are here, waits for its response. Beats belong to bursts in order.
  bool carry_out() {
    const Burst burst = writes_.front();
    if (beats_.size() < burst.beats) {
      for (const Beat& beat : beats_) rule(!beat.last, "WLAST too early");
      return false;
    }
    const uint64_t first = first_of(burst);
    Written written = {burst, {}, answer(burst.address, first + uint64_t(burst.beats) * BusBytes - 1, true), clock_};
    // One in eight takes long: what must not overtake it has the time to.
    if (slowness != 0 && random.below(8) == 0) written.due += random.below(150 * slowness);
    for (unsigned i = 0; i < burst.beats; i++) {
      rule(beats_.front().last == (i + 1 == burst.beats), "WLAST at the wrong beat");
      written.beats.push_back(beats_.front());
      beats_.pop_front();
    }
    answers_[burst.id].push_back(written);
    writes_.pop_front();
    return true;
  }
  static uint64_t first_of(const Burst& burst) { return burst.address - burst.address % BusBytes; }
  void take_effect(const Written& written) {
    uint64_t at = first_of(written.burst) - base;
    for (const Beat& beat : written.beats) {
      for (int j = 0; j < BusBytes; j++)
        if (written.response == 0 && beat.strobes >> j & 1) bytes[at + j] = beat.data[j];
      at += BusBytes;
    }
  }
  template <class Queue, class Ready>
  int pick(Queue& queues, Ready ready) {
    const int start = random.below(Ids);
    for (int i = 0; i < Ids; i++)
      if (!queues[(start + i) % Ids].empty() && ready(queues[(start + i) % Ids].front())) return (start + i) % Ids;
    return -1;
  }
  void read_beat(Core& core) {
    const int id = slowness == 0 && r_open_ >= 0 ? r_open_ : pick(reads_, [](const Burst&) { return true; });
    if (id < 0) return;
    Burst& burst = reads_[id].front();
    if (r_open_ >= 0 && r_open_ != id) interleavings++;
    for (int i = 0; i < Ids; i++)
      if (i != id && !reads_[i].empty() && reads_[i].front().order < burst.order) overtakings++;
    const unsigned response = answer(burst.address, burst.address + BusBytes - 1, false);
    uint8_t data[BusBytes];
    std::memset(data, 0xee, BusBytes);
    if (response == 0) std::memcpy(data, &bytes[burst.address - base], BusBytes);
    std::memcpy(&core.m_axi_rdata, data, BusBytes);
    core.m_axi_rid = id;
    core.m_axi_rresp = response;
    core.m_axi_rlast = burst.beats == 1;
    r_valid_ = true;
    r_open_ = burst.beats == 1 ? -1 : id;
    burst.address += BusBytes;
    if (--burst.beats == 0) reads_[id].pop_front();
  }
};
