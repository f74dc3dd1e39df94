// Checks of a descriptor that need no bus (10.6, in this order). `ready` comes 2 clocks after start, 34 for the filter, whose
// length must be whole lines: a division, a bit per clock.
module pr_check #(
    parameter int MAX_FILTER_WIDTH = 2048,
    parameter logic [31:0] OPCODES = pr::IMPLEMENTED
) (
    input logic clk,
    input logic rst_n,
    input logic start,  // one clock; the descriptor is stable from then on
    output logic ready,
    input logic [pr::LINE_BITS-1:0] descriptor,
    input logic [pr::CFG_BITS-1:0] config_words,
    output logic has_source,
    output logic has_destination,
    output logic is_nop,
    output logic [7:0] status
);
  logic [31:0] word0, length, lists, parameter0;
  logic [63:0] source, destination;
  logic [7:0] opcode;
  logic source_list, destination_list;
  assign word0 = descriptor[32*pr::W_OPCODE+:32];
  assign length = descriptor[32*pr::W_LENGTH+:32];
  assign lists = descriptor[32*pr::W_LISTS+:32];
  assign parameter0 = descriptor[32*pr::W_PARAMETER+:32];
  assign source = descriptor[32*pr::W_SOURCE+:64];
  assign destination = descriptor[32*pr::W_DESTINATION+:64];
  assign opcode = word0[7:0];
  assign source_list = word0[pr::BIT_SOURCE_LIST];
  assign destination_list = word0[pr::BIT_DESTINATION_LIST];

  assign is_nop = opcode == pr::OP_NOP;
  assign has_source = opcode == pr::OP_COPY || opcode == pr::OP_CRC32 || opcode == pr::OP_THRESHOLD ||
                      opcode == pr::OP_FILTER3X3 || opcode == pr::OP_SINK;
  assign has_destination = opcode == pr::OP_COPY || opcode == pr::OP_FILL || opcode == pr::OP_THRESHOLD ||
                           opcode == pr::OP_FILTER3X3 || opcode == pr::OP_SOURCE;

  logic [5:0] steps_left;
  logic [31:0] dividend;
  logic [31:0] remainder, doubled;
  logic busy;
  assign doubled = {remainder[30:0], dividend[31]};  // the remainder stays below MAX_FILTER_WIDTH, or the parameter is refused
  assign ready = busy && steps_left == 0;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      busy <= 1'b0;
      steps_left <= '0;
      dividend <= '0;
      remainder <= '0;
    end else if (start) begin
      busy <= 1'b1;
      steps_left <= opcode == pr::OP_FILTER3X3 ? 6'd32 : 6'd1;
      dividend <= length;
      remainder <= '0;
    end else if (steps_left != 0) begin
      steps_left <= steps_left - 1'b1;
      dividend <= dividend << 1;
      remainder <= doubled >= parameter0 ? doubled - parameter0 : doubled;
    end else busy <= 1'b0;
  end

  logic [63:0] queue_base, queue_limit, data_base, data_limit;
  assign queue_base  = config_words[pr::CFG_QUEUE_BASE+:64];
  assign queue_limit = config_words[pr::CFG_QUEUE_LIMIT+:64];
  assign data_base   = config_words[pr::CFG_DATA_BASE+:64];
  assign data_limit  = config_words[pr::CFG_DATA_LIMIT+:64];

  logic source_out, destination_out;
  always_ff @(posedge clk) begin
    source_out <= outside(source, source_list ? {12'd0, lists[15:0], 4'd0} : length, source_list ? queue_base : data_base,
                          source_list ? queue_limit : data_limit);
    destination_out <= outside(destination, destination_list ? {12'd0, lists[31:16], 4'd0} : length,
                               destination_list ? queue_base : data_base, destination_list ? queue_limit : data_limit);
  end

  function automatic logic outside(input logic [63:0] address, input logic [31:0] bytes, input logic [63:0] base,
                                   input logic [63:0] limit);
    outside = address < base || {1'b0, address} + 65'(bytes) > {1'b0, limit};
  endfunction

  function automatic logic bad_count(input logic [15:0] entries);
    bad_count = entries == 0 || entries > 16'(pr::MAX_LIST_ENTRIES);
  endfunction

  logic bad_parameter;
  always_comb begin
    bad_parameter = 1'b0;
    if (opcode == pr::OP_THRESHOLD) bad_parameter = parameter0 > 32'd255;
    if (opcode == pr::OP_FILTER3X3) begin
      bad_parameter = parameter0 == 0 || parameter0[5:0] != 0 || parameter0 > MAX_FILTER_WIDTH || remainder != 0;
    end
  end

  always_comb begin
    status = pr::ST_OK;
    if (opcode >= 8'd32 || !OPCODES[opcode[4:0]]) status = pr::ST_OPCODE;
    else if (word0[31:10] != 0) status = pr::ST_FLAGS;
    else if (!is_nop) begin
      if (length == 0 || length > 32'h80000000) status = pr::ST_LENGTH;
      else if (bad_parameter) status = pr::ST_PARAMETER;
      else if ((has_source && source[5:0] != 0) || (has_destination && destination[5:0] != 0)) status = pr::ST_ALIGNMENT;
      else if ((has_source && source_out) || (has_destination && destination_out)) status = pr::ST_RANGE;
      else if ((has_source && source_list && bad_count(lists[15:0])) ||
               (has_destination && destination_list && bad_count(lists[31:16]))) status = pr::ST_LIST;
    end
  end

  logic unused;
  assign unused = &{1'b0, descriptor[511:288], descriptor[63:32], config_words[127:0]};
endmodule
