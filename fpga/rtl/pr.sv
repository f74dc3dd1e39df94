// Numbers of the protocol (docs/PROTOCOL.md section 10). Used as pr::NAME: yosys 0.23 knows packages, not imports.
package pr;
  // Words of a descriptor (64 bytes; the host writes them, VALIDITY last).
  localparam int W_OPCODE = 0;
  localparam int W_TAG = 1;
  localparam int W_SOURCE = 2;
  localparam int W_DESTINATION = 4;
  localparam int W_LENGTH = 6;
  localparam int W_LISTS = 7;
  localparam int W_PARAMETER = 8;
  localparam int W_VALIDITY = 15;

  localparam int LINE_BITS = 512;  // a descriptor, and what lists are read in
  localparam int ENTRY_BITS = 256;  // a completion entry
  localparam int BIT_SOURCE_LIST = 8;
  localparam int BIT_DESTINATION_LIST = 9;
  localparam int MAX_LIST_ENTRIES = 1024;
  localparam int MAX_CAPACITY_LOG2 = 12;

  localparam logic [7:0] OP_NOP = 8'd0;
  localparam logic [7:0] OP_COPY = 8'd1;
  localparam logic [7:0] OP_FILL = 8'd2;
  localparam logic [7:0] OP_CRC32 = 8'd3;
  localparam logic [7:0] OP_THRESHOLD = 8'd4;
  localparam logic [7:0] OP_FILTER3X3 = 8'd5;
  localparam logic [7:0] OP_SOURCE = 8'd6;
  localparam logic [7:0] OP_SINK = 8'd7;
  // Bit n: an engine carries out opcode n.
  localparam logic [31:0] IMPLEMENTED = 32'hff;

  // 10.6: status of a completion.
  localparam logic [7:0] ST_OK = 8'd0;
  localparam logic [7:0] ST_OPCODE = 8'd1;
  localparam logic [7:0] ST_FLAGS = 8'd2;
  localparam logic [7:0] ST_LENGTH = 8'd3;
  localparam logic [7:0] ST_PARAMETER = 8'd4;
  localparam logic [7:0] ST_ALIGNMENT = 8'd5;
  localparam logic [7:0] ST_RANGE = 8'd6;
  localparam logic [7:0] ST_LIST = 8'd7;
  localparam logic [7:0] ST_READ_SLVERR = 8'd16;  // + 1: DECERR
  localparam logic [7:0] ST_WRITE_SLVERR = 8'd18;
  localparam logic [7:0] ST_LIST_SLVERR = 8'd20;

  // 10.6: why a queue halted.
  localparam logic [2:0] HALT_NONE = 3'd0;
  localparam logic [2:0] HALT_FETCH = 3'd1;
  localparam logic [2:0] HALT_COMPLETE = 3'd2;
  localparam logic [2:0] HALT_STALE = 3'd3;
  localparam logic [2:0] HALT_SQ_TAIL = 3'd4;
  localparam logic [2:0] HALT_CQ_HEAD = 3'd5;
  localparam logic [2:0] HALT_CONFIG = 3'd6;

  // 10.3: state register.
  localparam logic [1:0] QS_IDLE = 2'd0;
  localparam logic [1:0] QS_RUNNING = 2'd1;
  localparam logic [1:0] QS_STOPPING = 2'd2;
  localparam logic [1:0] QS_HALTED = 2'd3;

  // A queue's configuration as it goes to the shared units: 64-bit fields, lowest first.
  localparam int CFG_SQ_BASE = 0;
  localparam int CFG_CQ_BASE = 64;
  localparam int CFG_QUEUE_BASE = 128;
  localparam int CFG_QUEUE_LIMIT = 192;
  localparam int CFG_DATA_BASE = 256;
  localparam int CFG_DATA_LIMIT = 320;
  localparam int CFG_BITS = 384;

  // What an executor hands to the completion unit, lowest first.
  localparam int DONE_TAG = 0;
  localparam int DONE_STATUS = 32;  // 8 bits, then 8 bits opcode
  localparam int DONE_BYTES = 48;
  localparam int DONE_RESULT = 80;
  localparam int DONE_INDEX = 112;
  localparam int DONE_BITS = 144;
endpackage
