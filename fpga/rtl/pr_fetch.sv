// Reads descriptors for all queues, a burst at a time, in turn, into one memory of FETCH_SLOTS lines per queue.
module pr_fetch #(
    parameter int DATA_BITS = 64,
    parameter int QUEUES = 4,
    parameter int QUEUE_BITS = 2,
    parameter int FETCH_SLOTS = 8  // a power of two
) (
    input logic clk,
    input logic rst_n,

    input logic [QUEUES-1:0] want,
    input logic [QUEUES*64-1:0] want_address,
    input logic [QUEUES*3-1:0] want_lines,  // 1 ... 4
    input logic [QUEUES*$clog2(FETCH_SLOTS)-1:0] want_slot,  // of the first line
    input logic [QUEUES*32-1:0] validity,  // expected of the next line of each queue
    output logic [QUEUES-1:0] fetching,  // under way for that queue, to the last beat
    output logic [QUEUES-1:0] arrived,  // one clock: a good line is in the memory
    output logic [QUEUES-1:0] stale,  // one clock: a line has another validity word
    output logic [QUEUES-1:0] refused,  // one clock: bus error
    output logic burst,

    // The dispatcher's view: the line at (queue, slot).
    input logic [QUEUE_BITS-1:0] read_queue,
    input logic [$clog2(FETCH_SLOTS)-1:0] read_slot,
    output logic [pr::LINE_BITS-1:0] read_line,

    output logic arvalid,
    output logic [63:0] araddr,
    output logic [7:0] arlen,
    input logic arready,
    input logic rvalid,
    input logic [DATA_BITS-1:0] rdata,
    input logic [1:0] rresp,
    input logic rlast
);
  localparam int SLOT_BITS = $clog2(FETCH_SLOTS);
  localparam int LINE_BEATS = pr::LINE_BITS / DATA_BITS;
  localparam int BEAT_BITS = LINE_BEATS > 1 ? $clog2(LINE_BEATS) : 1;

  // The host's own words and the validity word stay behind.
  localparam int KEPT_BITS = 352;
  logic [KEPT_BITS-1:0] lines[0:(1<<QUEUE_BITS)*FETCH_SLOTS-1];
  assign read_line = {160'd0, lines[{read_queue, read_slot}]};

  typedef enum logic [1:0] {
    PICK,
    ASK,
    READ
  } state_t;
  state_t state;

  logic [QUEUE_BITS-1:0] queue;
  logic [SLOT_BITS-1:0] slot;
  logic [BEAT_BITS-1:0] beat;
  logic [pr::LINE_BITS-1:0] line, line_next;
  logic line_refused, bad;  // bad: what follows in this burst is not looked at
  logic line_ends;
  generate
    if (LINE_BEATS == 1) begin : whole
      assign line_next = rdata;
    end else begin : part
      assign line_next = {rdata, line[pr::LINE_BITS-1:DATA_BITS]};
    end
  endgenerate
  assign line_ends = rvalid && (LINE_BEATS == 1 || beat == BEAT_BITS'(LINE_BEATS - 1));

  assign arvalid = state == ASK;
  assign burst = arvalid && arready;

  logic line_good;
  assign line_good = line_ends && !bad && !line_refused && !rresp[1] &&
                     line_next[32*pr::W_VALIDITY+:32] == validity[queue*32+:32];

  always_ff @(posedge clk) begin
    if (line_good) lines[{queue, slot}] <= line_next[KEPT_BITS-1:0];
  end

  always_comb begin
    for (int i = 0; i < QUEUES; i++) begin
      fetching[i] = state != PICK && queue == QUEUE_BITS'(i);
      arrived[i] = line_good && queue == QUEUE_BITS'(i);
      refused[i] = line_ends && !bad && (line_refused || rresp[1]) && queue == QUEUE_BITS'(i);
      stale[i] = line_ends && !bad && !line_refused && !rresp[1] && !line_good && queue == QUEUE_BITS'(i);
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= PICK;
      queue <= '0;
      slot <= '0;
      beat <= '0;
      line <= '0;
      line_refused <= 1'b0;
      bad <= 1'b0;
      araddr <= '0;
      arlen <= '0;
    end else begin
      case (state)
        PICK:
        if (want[queue]) begin
          araddr <= want_address[queue*64+:64];
          arlen <= 8'(32'(want_lines[queue*3+:3]) * LINE_BEATS - 1);
          slot <= want_slot[queue*SLOT_BITS+:SLOT_BITS];
          beat <= '0;
          line_refused <= 1'b0;
          bad <= 1'b0;
          state <= ASK;
        end else queue <= queue == QUEUE_BITS'(QUEUES - 1) ? '0 : queue + 1'b1;
        ASK: if (arready) state <= READ;
        READ:
        if (rvalid) begin
          line <= line_next;
          line_refused <= line_refused || rresp[1];
          beat <= line_ends ? '0 : beat + 1'b1;
          if (line_ends) begin
            line_refused <= 1'b0;
            bad <= bad || !line_good;
            slot <= slot + 1'b1;
          end
          if (rlast) begin
            state <= PICK;
            queue <= queue == QUEUE_BITS'(QUEUES - 1) ? '0 : queue + 1'b1;
          end
        end
        default: state <= PICK;
      endcase
    end
  end

  logic unused;
  assign unused = &{1'b0, rresp[0], line[DATA_BITS-1:0]};
endmodule
