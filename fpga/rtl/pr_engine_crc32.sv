// CRC32 and SINK: a whole beat per clock, the bytes of a partial last beat one per clock. See pr_engines.sv for the interface.
module pr_engine_crc32 #(
    parameter int DATA_BITS = 64
) (
    input logic clk,
    input logic rst_n,
    input logic start,
    input logic [7:0] opcode,
    input logic [31:0] parameter0,

    input logic in_valid,
    input logic [DATA_BITS-1:0] in_data,
    input logic in_last,
    input logic [6:0] in_bytes,
    output logic in_ready,
    output logic [31:0] result,
    output logic done
);
  localparam logic [31:0] POLYNOMIAL = 32'hedb88320;
  localparam int BYTES = DATA_BITS / 8;

  // The register after DATA_BITS bits is linear in them (the register itself enters through the first 32): a single one at place
  // k leaves `row` behind, so bit j of the register is the parity of the places whose row has bit j. One XOR tree per bit.
  function automatic logic [DATA_BITS-1:0] places_of(input logic [4:0] j);
    logic [31:0] row;
    row = POLYNOMIAL;
    for (int k = DATA_BITS - 1; k >= 0; k--) begin
      places_of[k] = row[j];
      row = {1'b0, row[31:1]} ^ (row[0] ? POLYNOMIAL : 32'd0);
    end
  endfunction

  logic [31:0] crc, after_beat, after_byte;
  logic [DATA_BITS-1:0] mixed;
  logic [DATA_BITS-1:0] tail;
  logic [6:0] tail_bytes;
  logic complete;

  assign mixed = in_data ^ DATA_BITS'(crc);
  generate
    genvar j;
    for (j = 0; j < 32; j = j + 1) begin : bits
      localparam logic [DATA_BITS-1:0] PLACES = places_of(5'(j));
      assign after_beat[j] = ^(mixed & PLACES);
    end
  endgenerate
  always_comb begin
    after_byte = crc ^ {24'd0, tail[7:0]};
    for (int k = 0; k < 8; k++) after_byte = {1'b0, after_byte[31:1]} ^ (after_byte[0] ? POLYNOMIAL : 32'd0);
  end

  assign in_ready = tail_bytes == 0 && !complete;
  assign result = ~crc;
  assign done = complete && tail_bytes == 0;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      crc <= '1;
      tail <= '0;
      tail_bytes <= '0;
      complete <= 1'b0;
    end else if (start) begin
      crc <= opcode == pr::OP_CRC32 ? ~parameter0 : 32'hffffffff;
      tail_bytes <= '0;
      complete <= 1'b0;
    end else if (tail_bytes != 0) begin
      crc <= after_byte;
      tail <= tail >> 8;
      tail_bytes <= tail_bytes - 1'b1;
    end else if (in_valid && in_ready) begin
      complete <= in_last;
      if (in_bytes == 7'(BYTES)) crc <= after_beat;
      else begin
        tail <= in_data;
        tail_bytes <= in_bytes;
      end
    end
  end
endmodule
