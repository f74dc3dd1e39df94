// Writes one stream of beats to segments. A burst is begun only when all its beats are here (pr_axi_write relies on it), the
// last beat carries strobes for what is left; `done` says that all beats are on the bus, `quiet` that every response has come.
module pr_writer #(
    parameter int DATA_BITS = 64,
    parameter int BURST_BEATS = 16
) (
    input logic clk,
    input logic rst_n,

    input logic start,
    input logic [31:0] length,
    input logic drain,
    output logic quiet,
    output logic done,
    output logic error,
    output logic [7:0] status,
    output logic burst,  // one clock for each burst

    input logic segment_valid,
    input logic [63:0] segment_address,
    input logic [31:0] segment_bytes,
    output logic segment_ready,

    input logic in_valid,
    input logic [DATA_BITS-1:0] in_data,
    output logic in_ready,

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
  localparam int SHIFT = $clog2(BYTES);
  localparam int DEPTH = 2 * BURST_BEATS;

  logic burst_valid;
  logic [8:0] burst_beats;
  logic [8:0] sending;  // beats of the burst under way that the bus has not taken
  logic [15:0] unanswered;
  logic [32:0] beats_left;  // not yet on the bus
  logic [SHIFT-1:0] tail;  // bytes in the last beat, 0: all
  logic [$clog2(DEPTH):0] waiting;
  logic begun;
  logic fifo_valid;

  assign begun = awvalid && awready;
  assign burst = begun;
  assign awvalid = burst_valid && sending == 0 && 32'(waiting) >= 32'(burst_beats) && unanswered != 16'hffff && !drain;
  assign awlen = 8'(burst_beats - 9'd1);
  assign quiet = sending == 0 && unanswered == 0;
  assign done = beats_left == 0;
  assign wstrb = (beats_left == 33'd1 && tail != 0) ? ~({BYTES{1'b1}} << tail) : {BYTES{1'b1}};

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
      .burst_address(awaddr),
      .burst_beats,
      .burst_ready(begun)
  );

  // Draining keeps the beats of a burst that was begun; `start` of the next command forgets the rest.
  pr_fifo #(
      .WIDTH(DATA_BITS),
      .DEPTH(DEPTH)
  ) beats (
      .clk,
      .rst_n,
      .clear(start),
      .push(in_valid),
      .push_data(in_data),
      .space(in_ready),
      .valid(fifo_valid),
      .data(wdata),
      .pop(wready),
      .count(waiting)
  );

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      sending <= '0;
      unanswered <= '0;
      beats_left <= '0;
      tail <= '0;
      error <= 1'b0;
      status <= pr::ST_OK;
    end else begin
      if (begun) sending <= burst_beats;
      else if (wready) sending <= sending - 1'b1;
      if (wready) beats_left <= beats_left - 1'b1;
      unanswered <= unanswered + 16'(begun) - 16'(bvalid);
      if (bvalid && bresp[1] && !error) begin
        error  <= 1'b1;
        status <= pr::ST_WRITE_SLVERR + 8'(bresp[0]);
      end
      if (start) begin
        beats_left <= ({1'b0, length} + 33'(BYTES - 1)) >> SHIFT;
        tail <= length[SHIFT-1:0];
        error <= 1'b0;
        status <= pr::ST_OK;
      end
    end
  end

  logic unused;
  assign unused = fifo_valid;
endmodule
