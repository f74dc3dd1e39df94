// THRESHOLD on bytes, and how many reached it. See pr_engines.sv for the interface.
module pr_engine_threshold #(
    parameter int DATA_BITS = 64
) (
    input logic clk,
    input logic rst_n,
    input logic start,
    input logic [31:0] parameter0,

    input logic in_valid,
    input logic [DATA_BITS-1:0] in_data,
    input logic [6:0] in_bytes,
    output logic in_ready,
    output logic out_valid,
    output logic [DATA_BITS-1:0] out_data,
    input logic out_ready,
    output logic [31:0] result,
    output logic done
);
  localparam int BYTES = DATA_BITS / 8;

  logic [6:0] reached;
  always_comb begin
    reached  = '0;
    out_data = '0;
    for (int i = 0; i < BYTES; i++) begin
      if (in_data[8*i+:8] >= parameter0[7:0]) begin
        out_data[8*i+:8] = 8'hff;
        if (7'(i) < in_bytes) reached = reached + 7'd1;
      end
    end
  end

  assign in_ready = out_ready;
  assign out_valid = in_valid;
  assign done = 1'b1;

  always_ff @(posedge clk) begin
    if (!rst_n || start) result <= '0;
    else if (out_valid && out_ready) result <= result + 32'(reached);
  end

  logic unused;
  assign unused = &{1'b0, parameter0[31:8]};
endmodule
