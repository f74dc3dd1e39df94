// First-word-fall-through FIFO. Writers look at `space` (or know that there is room), readers at `valid`.
module pr_fifo #(
    parameter int WIDTH = 64,
    parameter int DEPTH = 16  // a power of two
) (
    input logic clk,
    input logic rst_n,
    input logic clear,  // forget everything
    input logic push,
    input logic [WIDTH-1:0] push_data,
    output logic space,
    output logic valid,
    output logic [WIDTH-1:0] data,
    input logic pop,
    output logic [$clog2(DEPTH):0] count
);
  localparam int INDEX_BITS = $clog2(DEPTH);

  logic [WIDTH-1:0] memory[0:DEPTH-1];
  logic [INDEX_BITS:0] tail, head;

  assign count = tail - head;
  assign valid = count != 0;
  assign space = count != (INDEX_BITS + 1)'(DEPTH);
  assign data = memory[head[INDEX_BITS-1:0]];

  always_ff @(posedge clk) begin
    if (push && space) memory[tail[INDEX_BITS-1:0]] <= push_data;
  end

  always_ff @(posedge clk) begin
    if (!rst_n || clear) begin
      tail <= '0;
      head <= '0;
    end else begin
      if (push && space) tail <= tail + 1'b1;
      if (pop && valid) head <= head + 1'b1;
    end
  end
endmodule
