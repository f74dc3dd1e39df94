// FILTER3X3: weights 1 2 1 / 2 4 2 / 1 2 1 over 8-bit luma, edge pixels repeated. See pr_engines.sv for the interface.
//
//     in: line s ──┬─────────────► c ┐
//                  └► previous ──► b ├─ a + 2b + c, a column ─► left + 2·middle + right, a line ─► out: line s - 1
//                       └► older ─► a ┘
//
// One pass of the column stage per line, and one more for the last line, whose successor is itself.
module pr_engine_filter #(
    parameter int DATA_BITS = 64,
    parameter int MAX_WIDTH = 2048
) (
    input logic clk,
    input logic rst_n,
    input logic start,
    input logic [31:0] length,
    input logic [31:0] parameter0,  // pixels per line

    input logic in_valid,
    input logic [DATA_BITS-1:0] in_data,
    input logic in_last,
    output logic in_ready,
    output logic out_valid,
    output logic [DATA_BITS-1:0] out_data,
    input logic out_ready,
    output logic [31:0] result,
    output logic done
);
  localparam int BYTES = DATA_BITS / 8;
  localparam int SHIFT = $clog2(BYTES);
  localparam int LINE_BEATS = MAX_WIDTH / BYTES;
  localparam int K_BITS = $clog2(LINE_BEATS);
  localparam int SUM_BITS = 10;  // of a column: 4 · 255
  localparam int SUMS = BYTES * SUM_BITS;

  logic [DATA_BITS-1:0] previous[0:LINE_BEATS-1];
  logic [DATA_BITS-1:0] older[0:LINE_BEATS-1];
  logic [DATA_BITS-1:0] b, a_memory, a, c;
  logic memory_read;  // b and a_memory hold what lies at k

  logic [K_BITS-1:0] k, k_next, k_last;
  logic first_pass, second_pass, extra_pass, finished;
  logic advance, push, room;

  assign k_last = K_BITS'((parameter0 >> SHIFT) - 32'd1);
  assign k_next = k == k_last ? '0 : k + 1'b1;
  assign room = !out_valid || out_ready;
  assign advance = !finished && memory_read && room && (extra_pass || in_valid);
  assign in_ready = !finished && memory_read && room && !extra_pass;
  assign push = advance && !first_pass;

  always_ff @(posedge clk) begin
    b <= previous[advance?k_next : k];
    a_memory <= older[advance?k_next : k];
    if (advance) begin
      older[k] <= b;
      previous[k] <= in_data;
    end
  end

  assign a = second_pass ? b : a_memory;
  assign c = extra_pass ? b : in_data;

  logic [SUMS-1:0] sums;
  always_comb begin
    for (int i = 0; i < BYTES; i++)
    sums[SUM_BITS*i+:SUM_BITS] = {2'd0, a[8*i+:8]} + {1'b0, b[8*i+:8], 1'b0} + {2'd0, c[8*i+:8]};
  end

  logic [SUMS-1:0] middle;  // waits for its right neighbour
  logic [SUM_BITS-1:0] left, right;
  logic middle_valid;
  logic [(BYTES+2)*SUM_BITS-1:0] row;
  logic [DATA_BITS-1:0] filtered;

  assign right = (finished || k == 0) ? middle[SUMS-1-:SUM_BITS] : sums[SUM_BITS-1:0];
  assign row = {right, middle, left};
  always_comb begin
    for (int i = 0; i < BYTES; i++) begin
      filtered[8*i+:8] = 8'(({2'd0, row[SUM_BITS*i+:SUM_BITS]} + {1'b0, row[SUM_BITS*(i+1)+:SUM_BITS], 1'b0} +
                             {2'd0, row[SUM_BITS*(i+2)+:SUM_BITS]}) >> 4);
    end
  end

  assign result = 32'd0;
  assign done = finished;

  always_ff @(posedge clk) begin
    if (!rst_n || start) begin
      k <= '0;
      first_pass <= 1'b1;
      second_pass <= 1'b0;
      extra_pass <= 1'b0;
      finished <= !rst_n;
      memory_read <= 1'b0;
      middle_valid <= 1'b0;
      out_valid <= 1'b0;
      out_data <= '0;
      middle <= '0;
      left <= '0;
    end else begin
      // Reading and writing one address in one clock gives the old word: read again then.
      memory_read <= !(advance && k_next == k);
      if (out_ready) out_valid <= 1'b0;
      if (advance) begin
        k <= k_next;
        if (k == k_last) begin
          first_pass  <= 1'b0;
          second_pass <= first_pass;
          extra_pass  <= in_last && !extra_pass;
          finished    <= extra_pass;
        end
      end
      if (push || (finished && middle_valid && room)) begin
        out_valid <= middle_valid;
        out_data <= filtered;
        middle <= sums;
        left <= k == 0 ? sums[SUM_BITS-1:0] : middle[SUMS-1-:SUM_BITS];
        middle_valid <= push;
      end
    end
  end

  logic unused;
  assign unused = &{1'b0, length};
endmodule
