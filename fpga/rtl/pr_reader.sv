// Reads segments from the bus as one stream of beats. Up to READ_BURSTS full bursts are outstanding: the room for a burst is
// reserved before it is asked for. Segments are multiples of 64 bytes except the last, so the stream has no gaps.
module pr_reader #(
    parameter int DATA_BITS = 64,
    parameter int BURST_BEATS = 16,
    parameter int READ_BURSTS = 4
) (
    input logic clk,
    input logic rst_n,

    input logic start,
    input logic [31:0] length,
    input logic drain,
    output logic quiet,
    output logic error,
    output logic [7:0] status,
    output logic burst,  // one clock for each burst

    input logic segment_valid,
    input logic [63:0] segment_address,
    input logic [31:0] segment_bytes,
    output logic segment_ready,

    output logic arvalid,
    output logic [63:0] araddr,
    output logic [7:0] arlen,
    input logic arready,
    input logic rvalid,
    input logic [DATA_BITS-1:0] rdata,
    input logic [1:0] rresp,

    output logic out_valid,
    output logic [DATA_BITS-1:0] out_data,
    output logic out_last,
    output logic [6:0] out_bytes,  // valid bytes of the beat
    input logic out_ready
);
  localparam int BYTES = DATA_BITS / 8;
  localparam int SHIFT = $clog2(BYTES);
  localparam int DEPTH = BURST_BEATS * READ_BURSTS;
  localparam int COUNT_BITS = $clog2(DEPTH) + 1;

  logic burst_valid;
  logic [8:0] burst_beats;
  logic [COUNT_BITS-1:0] reserved;  // beats asked for and not yet taken by the engine
  logic [COUNT_BITS-1:0] on_the_way;  // beats asked for and not yet arrived
  logic [32:0] beats_left;  // not yet taken by the engine
  logic [6:0] tail_bytes;
  logic fits, asked, popped;

  assign fits = 32'(reserved) + 32'(burst_beats) <= DEPTH;
  assign arvalid = burst_valid && fits && !drain;
  assign arlen = 8'(burst_beats - 9'd1);
  assign asked = arvalid && arready;
  assign burst = asked;
  assign popped = out_valid && out_ready;
  assign quiet = on_the_way == 0;

  pr_burst #(
      .DATA_BITS(DATA_BITS),
      .BURST_BEATS(BURST_BEATS)
  ) cut (
      .clk,
      .rst_n,
      .clear(start || drain),
      .segment_valid(segment_valid && !drain),
      .segment_address,
      .segment_bytes,
      .segment_ready,
      .burst_valid,
      .burst_address(araddr),
      .burst_beats,
      .burst_ready(asked)
  );

  logic fifo_space;
  logic [$clog2(DEPTH):0] fifo_count;
  pr_fifo #(
      .WIDTH(DATA_BITS),
      .DEPTH(DEPTH)
  ) beats (
      .clk,
      .rst_n,
      .clear(start || drain),
      .push(rvalid && !drain),
      .push_data(rdata),
      .space(fifo_space),
      .valid(out_valid),
      .data(out_data),
      .pop(out_ready),
      .count(fifo_count)
  );
  assign out_last  = beats_left == 33'd1;
  assign out_bytes = out_last ? tail_bytes : 7'(BYTES);

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      reserved <= '0;
      on_the_way <= '0;
      beats_left <= '0;
      tail_bytes <= '0;
      error <= 1'b0;
      status <= pr::ST_OK;
    end else begin
      on_the_way <= on_the_way + (asked ? COUNT_BITS'(burst_beats) : '0) - COUNT_BITS'(rvalid);
      reserved   <= reserved + (asked ? COUNT_BITS'(burst_beats) : '0) - COUNT_BITS'(popped);
      if (popped) beats_left <= beats_left - 1'b1;
      if (rvalid && rresp[1] && !error) begin
        error  <= 1'b1;
        status <= pr::ST_READ_SLVERR + 8'(rresp[0]);
      end
      if (start) begin
        reserved <= '0;
        beats_left <= ({1'b0, length} + 33'(BYTES - 1)) >> SHIFT;
        tail_bytes <= length[SHIFT-1:0] == 0 ? 7'(BYTES) : 7'(length[SHIFT-1:0]);
        error <= 1'b0;
        status <= pr::ST_OK;
      end
    end
  end

  logic unused;
  assign unused = &{1'b0, fifo_space, fifo_count};
endmodule
