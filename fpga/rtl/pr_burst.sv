// Cuts segments into AXI bursts: at most BURST_BEATS beats, never across a 4 KiB boundary. One burst is offered at a time.
module pr_burst #(
    parameter int DATA_BITS = 64,
    parameter int BURST_BEATS = 16
) (
    input logic clk,
    input logic rst_n,
    input logic clear,

    input logic segment_valid,
    input logic [63:0] segment_address,
    input logic [31:0] segment_bytes,
    output logic segment_ready,

    output logic burst_valid,
    output logic [63:0] burst_address,
    output logic [8:0] burst_beats,  // 1 ... BURST_BEATS
    input logic burst_ready
);
  localparam int BYTES = DATA_BITS / 8;
  localparam int SHIFT = $clog2(BYTES);

  logic [63:0] address;
  logic [32:0] beats_left;  // of the segment
  logic [12:0] beats_to_page;
  logic [8:0] beats;

  assign segment_ready = !burst_valid && beats_left == 0;
  assign beats_to_page = (13'h1000 - {1'b0, address[11:0]}) >> SHIFT;

  always_comb begin
    beats = 9'(BURST_BEATS);
    if (beats_to_page < 13'(BURST_BEATS)) beats = beats_to_page[8:0];
    if (beats_left < 33'(beats)) beats = beats_left[8:0];
  end

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      burst_valid <= 1'b0;
      burst_address <= '0;
      burst_beats <= '0;
      address <= '0;
      beats_left <= '0;
    end else if (burst_valid) begin
      if (burst_ready) burst_valid <= 1'b0;
    end else if (beats_left != 0) begin
      burst_valid <= 1'b1;
      burst_address <= address;
      burst_beats <= beats;
      address <= address + (64'(beats) << SHIFT);
      beats_left <= beats_left - 33'(beats);
    end else if (segment_valid) begin
      address <= segment_address;
      beats_left <= ({1'b0, segment_bytes} + 33'(BYTES - 1)) >> SHIFT;
    end
  end
endmodule
