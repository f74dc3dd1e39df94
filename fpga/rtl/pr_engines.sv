// The engines of one executor behind one stream interface. To add yours: docs/FPGA.md, "Another engine".
//
//   start      one clock; opcode, length and parameters are stable from then on. It also ends whatever was going on before:
//              a command that is given up is never finished, the next start comes instead.
//   in_*       the source as beats of DATA_BITS, little-endian; in_last marks the last one, of which in_bytes are valid.
//              An engine takes exactly the beats of `length` bytes, or none if its opcode has no source.
//   out_*      the destination: exactly the beats of `length` bytes, what follows the tail in the last one is not written.
//   result     word 3 of the completion, final when `done` is high and all output was taken.
//   valid must not wait for ready; ready may wait for valid.
module pr_engines #(
    parameter int DATA_BITS = 64,
    parameter int MAX_FILTER_WIDTH = 2048,
    parameter logic [31:0] OPCODES = pr::IMPLEMENTED  // an engine none of whose opcodes is allowed is not built
) (
    input logic clk,
    input logic rst_n,
    input logic start,
    input logic [7:0] opcode,
    input logic [31:0] length,
    input logic [31:0] parameter0,
    input logic [31:0] sequence_number,

    input logic in_valid,
    input logic [DATA_BITS-1:0] in_data,
    input logic in_last,
    input logic [6:0] in_bytes,
    output logic in_ready,
    output logic out_valid,
    output logic [DATA_BITS-1:0] out_data,
    input logic out_ready,
    output logic [31:0] result,
    output logic done
);
  // One select per engine; the others see no valid, no ready and no start.
  logic copy, crc, threshold, filter;
  assign copy = opcode == pr::OP_COPY || opcode == pr::OP_FILL || opcode == pr::OP_SOURCE;
  assign crc = opcode == pr::OP_CRC32 || opcode == pr::OP_SINK;
  assign threshold = opcode == pr::OP_THRESHOLD;
  assign filter = opcode == pr::OP_FILTER3X3;

  logic copy_in_ready, copy_out_valid, copy_done;
  logic [DATA_BITS-1:0] copy_data;
  logic [31:0] copy_result;
  pr_engine_copy #(
      .DATA_BITS(DATA_BITS)
  ) engine_copy (
      .clk,
      .rst_n,
      .start(start && copy),
      .opcode,
      .parameter0,
      .sequence_number,
      .in_valid(in_valid && copy),
      .in_data,
      .in_ready(copy_in_ready),
      .out_valid(copy_out_valid),
      .out_data(copy_data),
      .out_ready(out_ready && copy),
      .result(copy_result),
      .done(copy_done)
  );

  logic crc_in_ready, crc_done;
  logic [31:0] crc_result;
  generate
    if (OPCODES[3] || OPCODES[7]) begin : with_crc32
      pr_engine_crc32 #(
          .DATA_BITS(DATA_BITS)
      ) engine_crc32 (
          .clk,
          .rst_n,
          .start(start && crc),
          .opcode,
          .parameter0,
          .in_valid(in_valid && crc),
          .in_data,
          .in_last,
          .in_bytes,
          .in_ready(crc_in_ready),
          .result(crc_result),
          .done(crc_done)
      );
    end else begin : without_crc32
      assign {crc_in_ready, crc_result, crc_done} = '0;
    end
  endgenerate

  logic threshold_in_ready, threshold_out_valid, threshold_done;
  logic [DATA_BITS-1:0] threshold_data;
  logic [31:0] threshold_result;
  generate
    if (OPCODES[4]) begin : with_threshold
      pr_engine_threshold #(
          .DATA_BITS(DATA_BITS)
      ) engine_threshold (
          .clk,
          .rst_n,
          .start(start && threshold),
          .parameter0,
          .in_valid(in_valid && threshold),
          .in_data,
          .in_bytes,
          .in_ready(threshold_in_ready),
          .out_valid(threshold_out_valid),
          .out_data(threshold_data),
          .out_ready(out_ready && threshold),
          .result(threshold_result),
          .done(threshold_done)
      );
    end else begin : without_threshold
      assign {threshold_in_ready, threshold_out_valid, threshold_data, threshold_result, threshold_done} = '0;
    end
  endgenerate

  logic filter_in_ready, filter_out_valid, filter_done;
  logic [DATA_BITS-1:0] filter_data;
  logic [31:0] filter_result;
  generate
    if (OPCODES[5]) begin : with_filter
      pr_engine_filter #(
          .DATA_BITS(DATA_BITS),
          .MAX_WIDTH(MAX_FILTER_WIDTH)
      ) engine_filter (
          .clk,
          .rst_n,
          .start(start && filter),
          .length,
          .parameter0,
          .in_valid(in_valid && filter),
          .in_data,
          .in_last,
          .in_ready(filter_in_ready),
          .out_valid(filter_out_valid),
          .out_data(filter_data),
          .out_ready(out_ready && filter),
          .result(filter_result),
          .done(filter_done)
      );
    end else begin : without_filter
      assign {filter_in_ready, filter_out_valid, filter_data, filter_result, filter_done} = '0;
    end
  endgenerate

  always_comb begin
    in_ready = copy_in_ready;
    out_valid = copy_out_valid && copy;
    out_data = copy_data;
    result = copy_result;
    done = copy_done;
    if (crc) begin
      in_ready = crc_in_ready;
      result = crc_result;
      done = crc_done;
    end
    if (threshold) begin
      in_ready = threshold_in_ready;
      out_valid = threshold_out_valid;
      out_data = threshold_data;
      result = threshold_result;
      done = threshold_done;
    end
    if (filter) begin
      in_ready = filter_in_ready;
      out_valid = filter_out_valid;
      out_data = filter_data;
      result = filter_result;
      done = filter_done;
    end
  end

  logic unused;
  assign unused = &{1'b0, length, in_last, in_bytes};
endmodule
