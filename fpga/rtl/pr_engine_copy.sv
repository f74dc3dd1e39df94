// COPY, FILL and SOURCE: what comes in goes out, or a pattern does. See pr_engines.sv for the interface.
module pr_engine_copy #(
    parameter int DATA_BITS = 64
) (
    input logic clk,
    input logic rst_n,
    input logic start,
    input logic [7:0] opcode,
    input logic [31:0] parameter0,
    input logic [31:0] sequence_number,

    input logic in_valid,
    input logic [DATA_BITS-1:0] in_data,
    output logic in_ready,
    output logic out_valid,
    output logic [DATA_BITS-1:0] out_data,
    input logic out_ready,
    output logic [31:0] result,
    output logic done
);
  localparam int WORDS = DATA_BITS / 32;
  localparam logic [31:0] STEP = 32'h9e3779b1;

  logic [31:0] first_word;  // of the next beat of the source's pattern
  logic copying;
  assign copying = opcode == pr::OP_COPY;

  assign in_ready = copying && out_ready;
  assign out_valid = !copying || in_valid;
  assign result = opcode == pr::OP_SOURCE ? sequence_number : 32'd0;
  assign done = 1'b1;

  always_comb begin
    out_data = in_data;
    for (int i = 0; i < WORDS; i++) begin
      if (opcode == pr::OP_FILL) out_data[32*i+:32] = parameter0;
      if (opcode == pr::OP_SOURCE) out_data[32*i+:32] = first_word + 32'(i) * STEP;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) first_word <= '0;
    else if (start) first_word <= parameter0 + {sequence_number[15:0], sequence_number[31:16]};
    else if (out_valid && out_ready) first_word <= first_word + 32'(WORDS) * STEP;
  end
endmodule
