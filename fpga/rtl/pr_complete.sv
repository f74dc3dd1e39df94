// Writes completion entries, one at a time: the entry, its response, then the queue's cqTail moves (10.4). The completions of a
// queue that is stopping are dropped. Each command that was started ends here or as `aborted`, once.
module pr_complete #(
    parameter int DATA_BITS = 64,
    parameter int EXECUTORS = 2,
    parameter int QUEUE_BITS = 2,
    parameter int SPLIT = 0  // words 0-6, response, then word 7: for memory that shows the beats of a burst in any order
) (
    input logic clk,
    input logic rst_n,
    input logic [63:0] cycles,

    input logic [EXECUTORS-1:0] done_valid,
    input logic [EXECUTORS*pr::DONE_BITS-1:0] done,
    input logic [EXECUTORS*QUEUE_BITS-1:0] done_queue,
    output logic [EXECUTORS-1:0] done_ready,

    output logic [QUEUE_BITS-1:0] queue,  // whose command is being completed
    input logic running,  // of that queue, as the next three
    input logic [63:0] entry_address,
    input logic [31:0] validity,
    output logic finish,  // one clock: the command is over,
    output logic finish_written,  // its entry was written (else dropped or refused),
    output logic finish_refused,  // the bus refused it,
    output logic finish_failed,  // the entry says so
    output logic write_burst,

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
  localparam int BYTES = DATA_BITS / 8;
  localparam int ENTRY_BYTES = pr::ENTRY_BITS / 8;
  localparam int BEATS = ENTRY_BYTES > BYTES ? ENTRY_BYTES / BYTES : 1;
  localparam int WIDE = DATA_BITS > pr::ENTRY_BITS ? DATA_BITS : pr::ENTRY_BITS;
  localparam int EXECUTOR_BITS = EXECUTORS > 1 ? $clog2(EXECUTORS) : 1;

  typedef enum logic [2:0] {
    PICK,
    JUDGE,
    ASK,
    SEND,
    ANSWER
  } state_t;
  state_t state;

  logic [EXECUTOR_BITS-1:0] turn;
  logic [pr::DONE_BITS-1:0] entry;
  logic refused;  // the last response was an error
  logic second;  // SPLIT: word 7 is on its way
  logic [63:0] now;
  logic [WIDE-1:0] data;  // shifts out by beats
  logic [WIDE/8-1:0] strobes;
  logic [pr::ENTRY_BITS-1:0] words;
  logic [ENTRY_BYTES-1:0] word_strobes;
  logic [WIDE-1:0] placed_data;
  logic [WIDE/8-1:0] placed_strobes;

  assign words = {validity, entry[pr::DONE_INDEX+:32], now, entry[pr::DONE_RESULT+:32], entry[pr::DONE_BYTES+:32],
                  16'd0, entry[pr::DONE_STATUS+:16], entry[pr::DONE_TAG+:32]};
  assign word_strobes = SPLIT == 0 ? '1 : second ? {4'hf, {(ENTRY_BYTES-4){1'b0}}} : {4'h0, {(ENTRY_BYTES-4){1'b1}}};
  generate
    if (DATA_BITS > pr::ENTRY_BITS) begin : half_beat
      // Two entries to a beat: the address says which half.
      assign placed_data = {words, words};
      assign placed_strobes = entry_address[5] ? {word_strobes, {ENTRY_BYTES{1'b0}}} : {{ENTRY_BYTES{1'b0}}, word_strobes};
    end else begin : beats
      assign placed_data = words;
      assign placed_strobes = word_strobes;
    end
  endgenerate

  assign awvalid = state == ASK;
  assign awlen = 8'(BEATS - 1);
  assign wdata = data[DATA_BITS-1:0];
  assign wstrb = strobes[BYTES-1:0];
  assign write_burst = awvalid && awready;

  always_comb begin
    for (int i = 0; i < EXECUTORS; i++) done_ready[i] = state == PICK && done_valid[i] && turn == EXECUTOR_BITS'(i);
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= PICK;
      turn <= '0;
      entry <= '0;
      queue <= '0;
      second <= 1'b0;
      now <= '0;
      data <= '0;
      strobes <= '0;
      awaddr <= '0;
      finish <= 1'b0;
      finish_written <= 1'b0;
      finish_refused <= 1'b0;
      finish_failed <= 1'b0;
    end else begin
      finish <= 1'b0;
      finish_written <= 1'b0;
      finish_refused <= 1'b0;
      finish_failed <= 1'b0;
      case (state)
        PICK: begin
          if (done_valid[turn]) begin
            entry <= done[turn*pr::DONE_BITS+:pr::DONE_BITS];
            queue <= done_queue[turn*QUEUE_BITS+:QUEUE_BITS];
            now <= cycles;
            second <= 1'b0;
            state <= JUDGE;
          end
          turn <= turn == EXECUTOR_BITS'(EXECUTORS - 1) ? '0 : turn + 1'b1;
        end
        JUDGE: begin
          data <= placed_data;
          strobes <= placed_strobes;
          awaddr <= DATA_BITS > pr::ENTRY_BITS ? {entry_address[63:6], 6'd0} : entry_address;
          state <= ASK;
          if (!running && !second) begin
            finish <= 1'b1;
            state  <= PICK;
          end
        end
        ASK: if (awready) state <= SEND;
        SEND: begin
          if (wready) begin
            data <= data >> (DATA_BITS > pr::ENTRY_BITS ? 0 : DATA_BITS);
            strobes <= strobes >> (DATA_BITS > pr::ENTRY_BITS ? 0 : BYTES);
          end
          // The response cannot come before the last beat went out.
          if (bvalid) state <= ANSWER;
        end
        ANSWER: begin
          if (SPLIT != 0 && !second && !refused) begin
            second <= 1'b1;
            state  <= JUDGE;
          end else begin
            finish <= 1'b1;
            finish_written <= !refused;
            finish_refused <= refused;
            finish_failed <= !refused && entry[pr::DONE_STATUS+:8] != pr::ST_OK;
            state <= PICK;
          end
        end
        default: state <= PICK;
      endcase
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) refused <= 1'b0;
    else if (bvalid) refused <= bresp[1];
  end

  logic unused;
  assign unused = &{1'b0, bresp[0]};
endmodule
