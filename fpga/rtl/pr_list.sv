// Turns one operand of a command into segments: itself, or the entries of a scatter list, read a 64-byte line at a time and
// checked one by one (10.1, 10.6 LIST). An error ends the segments; the executor then drains everybody.
module pr_list #(
    parameter int DATA_BITS = 64
) (
    input logic clk,
    input logic rst_n,

    input logic start,  // one clock; a new command. The operands are stable from here to the end of the command
    input logic used,  // the command has this operand
    input logic is_list,
    input logic [63:0] address,
    input logic [15:0] entries,
    input logic [31:0] length,
    input logic [63:0] window_base,  // of data
    input logic [63:0] window_limit,

    input logic drain,  // give up; held until quiet
    output logic quiet,  // no bus access under way, none will come while drained
    output logic error,
    output logic [7:0] status,
    output logic fetched,  // one clock for each bus read

    output logic segment_valid,
    output logic [63:0] segment_address,
    output logic [31:0] segment_bytes,
    input logic segment_ready,

    output logic arvalid,
    output logic [63:0] araddr,
    output logic [7:0] arlen,
    input logic arready,
    input logic rvalid,
    input logic [DATA_BITS-1:0] rdata,
    input logic [1:0] rresp,
    input logic rlast
);
  localparam int LINE_BEATS = pr::LINE_BITS / DATA_BITS;

  typedef enum logic [2:0] {
    OFF,
    ASK,
    READ,
    LOOK,
    JUDGE,
    EMIT
  } state_t;
  state_t state;

  logic [63:0] line_address;
  logic [pr::LINE_BITS-1:0] line;  // shifts in by beats, out by entries
  logic [pr::LINE_BITS-1:0] line_next;
  logic [1:0] entry_in_line;
  logic [15:0] entries_left;
  logic [31:0] bytes_left;
  logic [1:0] refused;
  logic [64:0] segment_end;
  logic last_entry;

  generate
    if (LINE_BEATS == 1) begin : whole
      assign line_next = rdata;
    end else begin : part
      assign line_next = {rdata, line[pr::LINE_BITS-1:DATA_BITS]};
    end
  endgenerate
  assign last_entry = entries_left == 16'd1;
  assign quiet = state != READ;
  assign arvalid = state == ASK && !drain;
  assign araddr = line_address;
  assign arlen = 8'(LINE_BEATS - 1);
  assign fetched = arvalid && arready;
  assign segment_valid = state == EMIT && !drain;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state <= OFF;
      error <= 1'b0;
      status <= pr::ST_OK;
      refused <= 2'b00;
      segment_address <= '0;
      segment_bytes <= '0;
      segment_end <= '0;
      line <= '0;
      line_address <= '0;
      entry_in_line <= '0;
      entries_left <= '0;
      bytes_left <= '0;
    end else begin
      case (state)
        OFF:
        if (start) begin
          error <= 1'b0;
          status <= pr::ST_OK;
          refused <= 2'b00;
          line_address <= address;
          segment_address <= address;
          segment_bytes <= length;
          entry_in_line <= '0;
          entries_left <= is_list ? entries : 16'd1;
          bytes_left <= length;
          state <= !used ? OFF : is_list ? ASK : EMIT;
        end
        ASK: if (drain) state <= OFF; else if (arready) state <= READ;
        READ:
        if (rvalid) begin
          line <= line_next;
          refused <= refused | rresp;
          if (rlast) begin
            line_address <= line_address + 64'd64;
            state <= drain ? OFF : LOOK;
            if ((refused | rresp) >= 2'b10) begin
              error <= 1'b1;
              status <= pr::ST_LIST_SLVERR + 8'((refused | rresp) == 2'b11);
              state <= OFF;
            end
          end
        end
        LOOK: begin
          segment_address <= line[63:0];
          segment_bytes <= line[95:64];
          segment_end <= {1'b0, line[63:0]} + 65'(line[95:64]);
          line <= line >> 128;
          state <= drain ? OFF : JUDGE;
        end
        JUDGE: begin
          state <= EMIT;
          if (segment_address[5:0] != 0 || segment_bytes == 0 || (!last_entry && segment_bytes[5:0] != 0) ||
              segment_address < window_base || segment_end > {1'b0, window_limit} ||
              segment_bytes > bytes_left || (last_entry && segment_bytes != bytes_left)) begin
            error <= 1'b1;
            status <= pr::ST_LIST;
            state <= OFF;
          end
          if (drain) state <= OFF;
        end
        EMIT:
        if (drain) state <= OFF;
        else if (segment_ready) begin
          bytes_left <= bytes_left - segment_bytes;
          entries_left <= entries_left - 1'b1;
          entry_in_line <= entry_in_line + 1'b1;
          state <= last_entry ? OFF : entry_in_line == 2'd3 ? ASK : LOOK;
        end
        default: state <= OFF;
      endcase
    end
  end
endmodule
