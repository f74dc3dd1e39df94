// One queue: its page of registers, its life (10.4), what it wants of the shared units, its interrupt and its counters.
//
//     sqTail ≥ sqHead (fetched) ≥ next_start (started) ≥ … ≥ cqTail (completed) ≥ cqHead - 1
module pr_queue #(
    parameter int FETCH_SLOTS = 8,
    parameter int EVENT_BITS = 3  // enough to count what all executors report in one clock
) (
    input logic clk,
    input logic rst_n,

    input logic write,
    input logic [9:0] write_word,
    input logic [31:0] write_data,
    input logic [9:0] read_word,
    output logic [31:0] read_data,
    output logic irq,

    output logic [pr::CFG_BITS-1:0] config_words,
    output logic running,
    output logic stopping,

    // Fetch unit.
    output logic want,
    output logic [63:0] want_address,
    output logic [2:0] want_lines,
    output logic [$clog2(FETCH_SLOTS)-1:0] want_slot,
    output logic [31:0] want_validity,
    input logic fetching,
    input logic arrived,
    input logic stale,
    input logic refused,

    // Dispatcher.
    output logic ready,
    output logic credit,
    output logic [31:0] sequence_number,
    output logic [31:0] next_start,
    input logic started,
    input logic started_paced,

    // Completion unit, and executors that gave up.
    output logic [63:0] entry_address,
    output logic [31:0] entry_validity,
    input logic finish,
    input logic finish_written,
    input logic finish_refused,
    input logic finish_failed,
    input logic [EVENT_BITS-1:0] aborted,

    // Statistics: how many in this clock.
    input logic fetch_burst,
    input logic [EVENT_BITS-1:0] list_fetches,
    input logic [EVENT_BITS-1:0] read_bursts,
    input logic [EVENT_BITS-1:0] write_bursts,
    input logic [EVENT_BITS-1:0] bus_errors,
    input logic completion_write
);
  localparam int SLOT_BITS = $clog2(FETCH_SLOTS);
  localparam int BURST_LINES = 4;

  logic [31:0] control, capacity_log2, interrupt_count, interrupt_cycles, pace_cycles, pace_policy, sq_tail, cq_head;
  logic [31:0] host_data, device_data;
  pr_host_words host_words (
      .clk,
      .rst_n,
      .write,
      .write_word,
      .write_data,
      .read_word,
      .read_data(host_data),
      .control,
      .capacity_log2,
      .config_words,
      .interrupt_count,
      .interrupt_cycles,
      .pace_cycles,
      .pace_policy,
      .sq_tail,
      .cq_head
  );

  // ---- Life ----------------------------------------------------------------------------------------------
  logic [1:0] state;
  logic [23:0] epoch;
  logic halting;
  logic [2:0] halt_code, halt_cause;
  logic [31:0] sq_head, cq_tail, active;
  logic [3:0] k;
  logic [31:0] capacity, mask, unfetched;
  logic config_good, wanted, start_now;

  assign k = capacity_log2[3:0];
  assign capacity = 32'd1 << k;
  assign mask = capacity - 1'b1;
  assign unfetched = sq_tail - sq_head;
  assign wanted = control[0] && control[31:8] == epoch;
  assign start_now = state == pr::QS_IDLE && control[0];
  assign running = state == pr::QS_RUNNING;
  assign stopping = state == pr::QS_STOPPING;

  // The host writes the configuration before control, so what was judged a clock ago is what counts.
  logic [63:0] sq_base, cq_base, queue_base, queue_limit;
  assign sq_base = config_words[pr::CFG_SQ_BASE+:64];
  assign cq_base = config_words[pr::CFG_CQ_BASE+:64];
  assign queue_base = config_words[pr::CFG_QUEUE_BASE+:64];
  assign queue_limit = config_words[pr::CFG_QUEUE_LIMIT+:64];
  always_ff @(posedge clk) begin
    config_good <= capacity_log2 >= 1 && capacity_log2 <= pr::MAX_CAPACITY_LOG2 && control[31:8] != 0 &&
                   sq_base[5:0] == 0 && cq_base[5:0] == 0 && queue_base <= queue_limit &&
                   config_words[pr::CFG_DATA_BASE+:64] <= config_words[pr::CFG_DATA_LIMIT+:64] &&
                   sq_base >= queue_base && {1'b0, sq_base} + (65'd64 << k) <= {1'b0, queue_limit} &&
                   cq_base >= queue_base && {1'b0, cq_base} + (65'd32 << k) <= {1'b0, queue_limit};
  end

  logic started_too_much;
  assign started_too_much = next_start - cq_head > capacity;  // cqHead from another world: nothing started is that old
  always_comb begin
    halt_cause = pr::HALT_NONE;
    if (started_too_much) halt_cause = pr::HALT_CQ_HEAD;
    if (unfetched > capacity) halt_cause = pr::HALT_SQ_TAIL;
    if (stale) halt_cause = pr::HALT_STALE;
    if (refused) halt_cause = pr::HALT_FETCH;
    if (finish_refused) halt_cause = pr::HALT_COMPLETE;
  end

  logic start_delayed;  // config_good has seen the epoch
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= pr::QS_IDLE;
      epoch <= '0;
      halting <= 1'b0;
      halt_code <= pr::HALT_NONE;
      sq_head <= '0;
      cq_tail <= '0;
      next_start <= '0;
      active <= '0;
      start_delayed <= 1'b0;
    end else begin
      active <= active + 32'(started) - 32'(finish) - 32'(aborted);
      if (finish && finish_written) cq_tail <= cq_tail + 1'b1;
      if (arrived && running) sq_head <= sq_head + 1'b1;
      if (started) next_start <= next_start + 1'b1;
      start_delayed <= start_now && !start_delayed;
      case (state)
        pr::QS_IDLE: begin
          epoch <= control[31:8];
          if (start_now && start_delayed) begin
            sq_head <= '0;
            cq_tail <= '0;
            next_start <= '0;
            halting <= 1'b0;
            halt_code <= config_good ? pr::HALT_NONE : pr::HALT_CONFIG;
            state <= config_good ? pr::QS_RUNNING : pr::QS_HALTED;
          end
        end
        pr::QS_RUNNING:
        if (!wanted) state <= pr::QS_STOPPING;
        else if (halt_cause != pr::HALT_NONE) begin
          halting <= 1'b1;
          halt_code <= halt_cause;
          state <= pr::QS_STOPPING;
        end
        pr::QS_STOPPING: if (active == 0 && !started && !fetching) state <= halting && wanted ? pr::QS_HALTED : pr::QS_IDLE;
        default: if (!wanted) state <= pr::QS_IDLE;
      endcase
    end
  end

  // ---- What it wants of the shared units -----------------------------------------------------------------
  logic [31:0] in_ring, entry_in_ring, lines_to_end, lines_to_page, lines;
  logic [31:0] buffered;
  assign buffered = sq_head - next_start;
  assign in_ring = sq_head & mask;
  assign entry_in_ring = cq_tail & mask;
  assign want_address = sq_base + (64'(in_ring) << 6);
  assign lines_to_end = capacity - in_ring;
  assign lines_to_page = 32'd64 - 32'(want_address[11:6]);
  always_comb begin
    lines = BURST_LINES;
    if (unfetched < lines) lines = unfetched;
    if (lines_to_end < lines) lines = lines_to_end;
    if (lines_to_page < lines) lines = lines_to_page;
  end
  assign want = running && unfetched != 0 && unfetched <= capacity && buffered <= FETCH_SLOTS - BURST_LINES;
  assign want_lines = lines[2:0];
  assign want_slot = sq_head[SLOT_BITS-1:0];
  assign want_validity = validity(sq_head, capacity, epoch);

  assign ready = running && buffered != 0 && next_start - cq_head < capacity;
  assign entry_address = cq_base + (64'(entry_in_ring) << 5);
  assign entry_validity = validity(cq_tail, capacity, epoch);

  // Everything as an argument: a continuous assignment does not watch what a function reads besides.
  function automatic logic [31:0] validity(input logic [31:0] i, input logic [31:0] slots, input logic [23:0] of_epoch);
    validity = {of_epoch, 7'd0, (i & slots) == 0};
  endfunction

  logic [31:0] ticks, missed;
  pr_pace pace (
      .clk,
      .rst_n,
      .restart(start_now),
      .running,
      .cycles(pace_cycles),
      .drop_newest(pace_policy[0]),
      .taken(started && started_paced),
      .credit,
      .sequence_number,
      .ticks,
      .missed
  );

  logic [31:0] interrupt_events;
  pr_interrupt interrupt (
      .clk,
      .rst_n,
      .alive(running || state == pr::QS_HALTED),
      .halted(state == pr::QS_HALTED),
      .count(interrupt_count),
      .cycles(interrupt_cycles),
      .cq_tail,
      .cq_head,
      .line(irq),
      .events(interrupt_events)
  );

  // ---- Statistics and the device's half of the page ------------------------------------------------------
  logic [31:0] count_fetch, count_list, count_read, count_write, count_completion, count_failed, count_bus_errors;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      count_fetch <= '0;
      count_list <= '0;
      count_read <= '0;
      count_write <= '0;
      count_completion <= '0;
      count_failed <= '0;
      count_bus_errors <= '0;
    end else begin
      count_fetch <= count_fetch + 32'(fetch_burst);
      count_list <= count_list + 32'(list_fetches);
      count_read <= count_read + 32'(read_bursts);
      count_write <= count_write + 32'(write_bursts);
      count_completion <= count_completion + 32'(completion_write);
      count_failed <= count_failed + 32'(finish_failed);
      count_bus_errors <= count_bus_errors + 32'(bus_errors) + 32'(refused) + 32'(finish_refused);
    end
  end

  always_comb begin
    case (read_word[5:0])
      6'h00: device_data = {epoch, 6'd0, state};
      6'h01: device_data = {29'd0, halt_code};
      6'h02: device_data = sq_head;
      6'h03: device_data = cq_tail;
      6'h04: device_data = interrupt_events;
      6'h05: device_data = ticks;
      6'h06: device_data = missed;
      6'h10: device_data = count_fetch;
      6'h11: device_data = count_list;
      6'h12: device_data = count_read;
      6'h13: device_data = count_write;
      6'h14: device_data = count_completion;
      6'h15: device_data = count_failed;
      6'h16: device_data = count_bus_errors;
      default: device_data = 32'd0;
    endcase
  end
  assign read_data = read_word[9:6] == 4'd1 ? device_data : host_data;

  logic unused;
  assign unused = &{1'b0, control[7:1], pace_policy[31:1], lines[31:3]};
endmodule
