// Executes one command: check, move and compute, drain, hand over to the completion unit.
//
//     source list ─► segments ─► reader ─► engine ─► writer ◄─ segments ◄─ destination list
//
// Whatever ends a command early (bus error, bad list, stop of its queue) goes through DRAIN: nothing new is asked of the bus,
// what was asked comes in. So nobody ever sees a half burst, and `busy` low means that no access of the command is left.
module pr_exec #(
    parameter int DATA_BITS = 64,
    parameter int BURST_BEATS = 16,
    parameter int READ_BURSTS = 4,
    parameter int MAX_FILTER_WIDTH = 2048,
    parameter logic [31:0] OPCODES = pr::IMPLEMENTED,
    parameter int QUEUE_BITS = 2
) (
    input logic clk,
    input logic rst_n,

    // From the dispatcher.
    input logic start,
    input logic [QUEUE_BITS-1:0] start_queue,
    input logic [31:0] start_index,
    input logic [31:0] start_sequence,
    input logic [pr::LINE_BITS-1:0] start_descriptor,
    output logic busy,
    output logic [QUEUE_BITS-1:0] owner,
    input logic [pr::CFG_BITS-1:0] config_words,  // of `owner`
    input logic give_up,  // `owner` is stopping

    // To the completion unit; or `aborted` for one clock, and there is no completion.
    output logic done_valid,
    output logic [pr::DONE_BITS-1:0] done,
    input logic done_ready,
    output logic aborted,

    output logic list_fetched,  // one clock each, for the statistics of `owner`
    output logic read_burst,
    output logic write_burst,
    output logic bus_error,

    // Bus: read clients 0 payload, 1 source list, 2 destination list.
    output logic [2:0] arvalid,
    output logic [3*64-1:0] araddr,
    output logic [3*8-1:0] arlen,
    input logic [2:0] arready,
    input logic [2:0] rvalid,
    input logic [DATA_BITS-1:0] rdata,
    input logic [1:0] rresp,
    input logic rlast,
    output logic awvalid,
    output logic [63:0] awaddr,
    output logic [7:0] awlen,
    input logic awready,
    output logic [DATA_BITS-1:0] wdata,
    output logic [DATA_BITS/8-1:0] wstrb,
    input logic wready,
    input logic bvalid,
    input logic [1:0] bresp
);
  typedef enum logic [2:0] {
    IDLE,
    CHECK,
    LAUNCH,
    RUN,
    DRAIN,
    HAND_OVER
  } state_t;
  state_t state;

  logic [pr::LINE_BITS-1:0] descriptor;
  logic [31:0] index, sequence_number;
  logic [7:0] status, check_status;
  logic checking, checked, has_source, has_destination, is_nop;
  logic launch, drain, all_quiet, failed, finished;
  logic [7:0] failure;

  logic [31:0] length, lists, parameter0;
  logic [7:0] opcode;
  assign opcode = descriptor[32*pr::W_OPCODE+:8];
  assign length = descriptor[32*pr::W_LENGTH+:32];
  assign lists = descriptor[32*pr::W_LISTS+:32];
  assign parameter0 = descriptor[32*pr::W_PARAMETER+:32];

  pr_check #(
      .MAX_FILTER_WIDTH(MAX_FILTER_WIDTH),
      .OPCODES(OPCODES)
  ) check (
      .clk,
      .rst_n,
      .start(checking),
      .ready(checked),
      .descriptor,
      .config_words,
      .has_source,
      .has_destination,
      .is_nop,
      .status(check_status)
  );

  // Operands: 0 source, 1 destination.
  logic [1:0] list_quiet, list_error, list_fetch, segment_valid, segment_ready;
  logic [2*8-1:0] list_status;
  logic [2*64-1:0] segment_address;
  logic [2*32-1:0] segment_bytes;
  generate
    genvar o;
    for (o = 0; o < 2; o = o + 1) begin : operand
      pr_list #(
          .DATA_BITS(DATA_BITS)
      ) list (
          .clk,
          .rst_n,
          .start(launch),
          .used(o == 0 ? has_source : has_destination),
          .is_list(descriptor[o==0?pr::BIT_SOURCE_LIST : pr::BIT_DESTINATION_LIST]),
          .address(descriptor[32*(o==0?pr::W_SOURCE : pr::W_DESTINATION)+:64]),
          .entries(lists[16*o+:16]),
          .length,
          .window_base(config_words[pr::CFG_DATA_BASE+:64]),
          .window_limit(config_words[pr::CFG_DATA_LIMIT+:64]),
          .drain,
          .quiet(list_quiet[o]),
          .error(list_error[o]),
          .status(list_status[8*o+:8]),
          .fetched(list_fetch[o]),
          .segment_valid(segment_valid[o]),
          .segment_address(segment_address[64*o+:64]),
          .segment_bytes(segment_bytes[32*o+:32]),
          .segment_ready(segment_ready[o]),
          .arvalid(arvalid[1+o]),
          .araddr(araddr[64*(1+o)+:64]),
          .arlen(arlen[8*(1+o)+:8]),
          .arready(arready[1+o]),
          .rvalid(rvalid[1+o]),
          .rdata,
          .rresp,
          .rlast
      );
    end
  endgenerate

  logic read_quiet, read_error, read_valid, read_last, read_ready;
  logic [7:0] read_status;
  logic [DATA_BITS-1:0] read_data;
  logic [6:0] read_bytes;
  pr_reader #(
      .DATA_BITS(DATA_BITS),
      .BURST_BEATS(BURST_BEATS),
      .READ_BURSTS(READ_BURSTS)
  ) reader (
      .clk,
      .rst_n,
      .start(launch),
      .length,
      .drain,
      .quiet(read_quiet),
      .error(read_error),
      .status(read_status),
      .burst(read_burst),
      .segment_valid(segment_valid[0]),
      .segment_address(segment_address[63:0]),
      .segment_bytes(segment_bytes[31:0]),
      .segment_ready(segment_ready[0]),
      .arvalid(arvalid[0]),
      .araddr(araddr[63:0]),
      .arlen(arlen[7:0]),
      .arready(arready[0]),
      .rvalid(rvalid[0]),
      .rdata,
      .rresp,
      .out_valid(read_valid),
      .out_data(read_data),
      .out_last(read_last),
      .out_bytes(read_bytes),
      .out_ready(read_ready)
  );

  logic engine_valid, engine_ready, engine_done;
  logic [DATA_BITS-1:0] engine_data;
  logic [31:0] engine_result;
  pr_engines #(
      .DATA_BITS(DATA_BITS),
      .MAX_FILTER_WIDTH(MAX_FILTER_WIDTH),
      .OPCODES(OPCODES)
  ) engines (
      .clk,
      .rst_n,
      .start(launch),
      .opcode,
      .length,
      .parameter0,
      .sequence_number,
      .in_valid(read_valid),
      .in_data(read_data),
      .in_last(read_last),
      .in_bytes(read_bytes),
      .in_ready(read_ready),
      .out_valid(engine_valid),
      .out_data(engine_data),
      .out_ready(engine_ready),
      .result(engine_result),
      .done(engine_done)
  );

  logic write_quiet, write_done, write_error;
  logic [7:0] write_status;
  pr_writer #(
      .DATA_BITS(DATA_BITS),
      .BURST_BEATS(BURST_BEATS)
  ) writer (
      .clk,
      .rst_n,
      .start(launch),
      .length,
      .drain,
      .quiet(write_quiet),
      .done(write_done),
      .error(write_error),
      .status(write_status),
      .burst(write_burst),
      .segment_valid(segment_valid[1]),
      .segment_address(segment_address[127:64]),
      .segment_bytes(segment_bytes[63:32]),
      .segment_ready(segment_ready[1]),
      .in_valid(engine_valid),
      .in_data(engine_data),
      .in_ready(engine_ready),
      .awvalid,
      .awaddr,
      .awlen,
      .awready,
      .wdata,
      .wstrb,
      .wready,
      .bvalid,
      .bresp
  );

  assign launch = state == LAUNCH;
  assign drain = state == DRAIN;
  assign all_quiet = (&list_quiet) && read_quiet && write_quiet;
  assign failed = (|list_error) || read_error || write_error;
  // Everything was read, and every beat is on the bus. DRAIN waits for the responses, of which one may be an error.
  assign finished = engine_done && (!has_destination || write_done);
  always_comb begin
    failure = write_status;
    if (read_error) failure = read_status;
    if (list_error[1]) failure = list_status[15:8];
    if (list_error[0]) failure = list_status[7:0];
  end

  assign busy = state != IDLE;
  assign done_valid = state == HAND_OVER;
  assign list_fetched = |list_fetch;
  assign done[pr::DONE_TAG+:32] = descriptor[32*pr::W_TAG+:32];
  assign done[pr::DONE_STATUS+:16] = {opcode, status};
  assign done[pr::DONE_BYTES+:32] = status == pr::ST_OK && !is_nop ? length : 32'd0;
  assign done[pr::DONE_RESULT+:32] = status == pr::ST_OK && !is_nop ? engine_result : 32'd0;
  assign done[pr::DONE_INDEX+:32] = index;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= IDLE;
      owner <= '0;
      descriptor <= '0;
      index <= '0;
      sequence_number <= '0;
      status <= pr::ST_OK;
      checking <= 1'b0;
      aborted <= 1'b0;
      bus_error <= 1'b0;
    end else begin
      checking <= 1'b0;
      aborted <= 1'b0;
      bus_error <= 1'b0;
      case (state)
        IDLE:
        if (start) begin
          owner <= start_queue;
          descriptor <= start_descriptor;
          index <= start_index;
          sequence_number <= start_sequence;
          checking <= 1'b1;
          state <= CHECK;
        end
        CHECK:
        if (checked) begin
          status <= check_status;
          state  <= check_status != pr::ST_OK || is_nop ? HAND_OVER : LAUNCH;
        end
        LAUNCH: state <= RUN;
        RUN: if (give_up || failed || finished) state <= DRAIN;
        DRAIN:
        if (all_quiet) begin
          // A queue that stops in this very clock still gets the completion, or the completion unit drops it.
          if (failed) status <= failure;
          bus_error <= failed && failure >= pr::ST_READ_SLVERR;
          state <= HAND_OVER;
          if (give_up) begin
            aborted <= 1'b1;
            state   <= IDLE;
          end
        end
        HAND_OVER: if (done_ready) state <= IDLE;
        default: state <= IDLE;
      endcase
    end
  end

  logic unused;
  assign unused = &{1'b0, descriptor[511:320], descriptor[31:10]};
endmodule
