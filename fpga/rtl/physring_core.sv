// The core: AXI4-Lite registers, QUEUES command queues, EXECUTORS executors, one AXI4 master. docs/PROTOCOL.md section 10 is what
// it does, docs/FPGA.md how it is built and how to connect it.
//
//     s_axil ─► pr_axil ─► pr_queue × QUEUES ─► pr_fetch ─► pr_dispatch ─► pr_exec × EXECUTORS ─► pr_complete
//                                                   └────────── pr_axi_read / pr_axi_write ──────────┘ ─► m_axi
//
// One clock, synchronous reset (active low). All bursts are INCR, whole beats, within 4 KiB; no exclusive, no locked access.
module physring_core #(
    parameter int DATA_BITS = 64,  // 64, 128, 256, 512
    parameter int ID_BITS = 4,  // 1 + 3 · EXECUTORS IDs are used
    parameter int QUEUES = 4,  // 1 ... 15
    parameter int EXECUTORS = 2,  // 1 ... 4
    parameter int BURST_BEATS = 16,  // a power of two, at most 256, and at most 4096 bytes
    parameter int READ_BURSTS = 4,  // outstanding, per executor
    parameter int MAX_FILTER_WIDTH = 2048,  // pixels, a power of two
    parameter int CLOCK_HZ = 0,  // for information
    parameter logic [31:0] OPCODES = pr::IMPLEMENTED,  // bit n: opcode n is allowed
    parameter int SPLIT_COMPLETION = 0,
    parameter logic [3:0] AX_CACHE = 4'b0011,  // docs/FPGA.md says what a port wants: 4'b1111 for most coherent ones
    parameter logic [2:0] AX_PROT = 3'b010  // unprivileged, non-secure, data
) (
    input logic clk,
    input logic rst_n,
    output logic [QUEUES-1:0] irq,  // level, active high

    input logic [15:0] s_axil_awaddr,
    input logic s_axil_awvalid,
    output logic s_axil_awready,
    input logic [31:0] s_axil_wdata,
    input logic [3:0] s_axil_wstrb,
    input logic s_axil_wvalid,
    output logic s_axil_wready,
    output logic [1:0] s_axil_bresp,
    output logic s_axil_bvalid,
    input logic s_axil_bready,
    input logic [15:0] s_axil_araddr,
    input logic s_axil_arvalid,
    output logic s_axil_arready,
    output logic [31:0] s_axil_rdata,
    output logic [1:0] s_axil_rresp,
    output logic s_axil_rvalid,
    input logic s_axil_rready,

    output logic [ID_BITS-1:0] m_axi_awid,
    output logic [63:0] m_axi_awaddr,
    output logic [7:0] m_axi_awlen,
    output logic [2:0] m_axi_awsize,
    output logic [1:0] m_axi_awburst,
    output logic [3:0] m_axi_awcache,
    output logic [2:0] m_axi_awprot,
    output logic m_axi_awvalid,
    input logic m_axi_awready,
    output logic [DATA_BITS-1:0] m_axi_wdata,
    output logic [DATA_BITS/8-1:0] m_axi_wstrb,
    output logic m_axi_wlast,
    output logic m_axi_wvalid,
    input logic m_axi_wready,
    input logic [ID_BITS-1:0] m_axi_bid,
    input logic [1:0] m_axi_bresp,
    input logic m_axi_bvalid,
    output logic m_axi_bready,
    output logic [ID_BITS-1:0] m_axi_arid,
    output logic [63:0] m_axi_araddr,
    output logic [7:0] m_axi_arlen,
    output logic [2:0] m_axi_arsize,
    output logic [1:0] m_axi_arburst,
    output logic [3:0] m_axi_arcache,
    output logic [2:0] m_axi_arprot,
    output logic m_axi_arvalid,
    input logic m_axi_arready,
    input logic [ID_BITS-1:0] m_axi_rid,
    input logic [DATA_BITS-1:0] m_axi_rdata,
    input logic [1:0] m_axi_rresp,
    input logic m_axi_rlast,
    input logic m_axi_rvalid,
    output logic m_axi_rready
);
  localparam int QUEUE_BITS = QUEUES > 1 ? $clog2(QUEUES) : 1;
  localparam int FETCH_SLOTS = 8;
  localparam int SLOT_BITS = 3;
  localparam int EVENT_BITS = 3;
  localparam int READERS = 1 + 3 * EXECUTORS;  // fetch; then payload, source list, destination list of each executor
  localparam int WRITERS = EXECUTORS + 1;  // executors; then completions

  // ---- Registers -----------------------------------------------------------------------------------------
  logic write;
  logic [13:0] write_word, read_word;
  logic [31:0] write_data, read_data, global_data;
  logic [QUEUES*32-1:0] queue_data;
  pr_axil axil (
      .clk,
      .rst_n,
      .awaddr(s_axil_awaddr),
      .awvalid(s_axil_awvalid),
      .awready(s_axil_awready),
      .wdata(s_axil_wdata),
      .wstrb(s_axil_wstrb),
      .wvalid(s_axil_wvalid),
      .wready(s_axil_wready),
      .bresp(s_axil_bresp),
      .bvalid(s_axil_bvalid),
      .bready(s_axil_bready),
      .araddr(s_axil_araddr),
      .arvalid(s_axil_arvalid),
      .arready(s_axil_arready),
      .rdata(s_axil_rdata),
      .rresp(s_axil_rresp),
      .rvalid(s_axil_rvalid),
      .rready(s_axil_rready),
      .write,
      .write_word,
      .write_data,
      .read_word,
      .read_data
  );

  always_comb begin
    case (read_word[9:0])
      10'h000: global_data = 32'h57485250;  // PRHW
      10'h001: global_data = 32'd1;
      10'h002: global_data = QUEUES;
      10'h003: global_data = DATA_BITS / 8;
      10'h004: global_data = OPCODES & pr::IMPLEMENTED;
      10'h005: global_data = pr::MAX_CAPACITY_LOG2;
      10'h006: global_data = pr::MAX_LIST_ENTRIES;
      10'h007: global_data = CLOCK_HZ;
      10'h008: global_data = READ_BURSTS;
      10'h009: global_data = EXECUTORS;
      10'h00a: global_data = MAX_FILTER_WIDTH;
      10'h00b: global_data = BURST_BEATS * DATA_BITS / 8;
      default: global_data = 32'd0;
    endcase
    read_data = read_word[13:10] == 4'd0 ? global_data : 32'd0;
    for (int i = 0; i < QUEUES; i++) if (read_word[13:10] == 4'(i + 1)) read_data = queue_data[32*i+:32];
  end

  logic [63:0] cycles;
  always_ff @(posedge clk) cycles <= !rst_n ? '0 : cycles + 1'b1;

  // ---- Between the units: queue q's part of a vector is [q*WIDTH +: WIDTH] ---------------------------------
  logic [QUEUES*pr::CFG_BITS-1:0] config_words;
  logic [QUEUES-1:0] running, stopping, want, fetching, arrived, stale, refused, ready, credit, started;
  logic [QUEUES*64-1:0] want_address, entry_address;
  logic [QUEUES*3-1:0] want_lines;
  logic [QUEUES*SLOT_BITS-1:0] want_slot, start_slot;
  logic [QUEUES*32-1:0] want_validity, entry_validity, sequence_number, next_start;
  logic [QUEUES*EVENT_BITS-1:0] aborted_of, list_fetches_of, read_bursts_of, write_bursts_of, bus_errors_of;
  logic started_paced, fetch_burst, completion_write;
  logic finish, finish_written, finish_refused, finish_failed;
  logic [QUEUE_BITS-1:0] finish_queue;

  logic [EXECUTORS-1:0] exec_start, exec_busy, exec_aborted, exec_list_fetched, exec_read_burst, exec_write_burst;
  logic [EXECUTORS-1:0] exec_bus_error, done_valid, done_ready;
  logic [EXECUTORS*QUEUE_BITS-1:0] exec_queue;
  logic [EXECUTORS*pr::DONE_BITS-1:0] done;
  logic [QUEUE_BITS-1:0] start_queue, read_queue;
  logic [SLOT_BITS-1:0] read_slot;
  logic [31:0] start_index, start_sequence;
  logic [pr::LINE_BITS-1:0] start_descriptor, read_line;

  logic [READERS-1:0] c_arvalid, c_arready, c_rvalid;
  logic [READERS*64-1:0] c_araddr;
  logic [READERS*8-1:0] c_arlen;
  logic [WRITERS-1:0] c_awvalid, c_awready, c_wready, c_bvalid;
  logic [WRITERS*64-1:0] c_awaddr;
  logic [WRITERS*8-1:0] c_awlen;
  logic [WRITERS*DATA_BITS-1:0] c_wdata;
  logic [WRITERS*DATA_BITS/8-1:0] c_wstrb;

  generate
    genvar q;
    for (q = 0; q < QUEUES; q = q + 1) begin : queues
      assign start_slot[q*SLOT_BITS+:SLOT_BITS] = next_start[q*32+:SLOT_BITS];
      pr_queue #(
          .FETCH_SLOTS(FETCH_SLOTS),
          .EVENT_BITS (EVENT_BITS)
      ) queue (
          .clk,
          .rst_n,
          .write(write && write_word[13:10] == 4'(q + 1)),
          .write_word(write_word[9:0]),
          .write_data,
          .read_word(read_word[9:0]),
          .read_data(queue_data[q*32+:32]),
          .irq(irq[q]),
          .config_words(config_words[q*pr::CFG_BITS+:pr::CFG_BITS]),
          .running(running[q]),
          .stopping(stopping[q]),
          .want(want[q]),
          .want_address(want_address[q*64+:64]),
          .want_lines(want_lines[q*3+:3]),
          .want_slot(want_slot[q*SLOT_BITS+:SLOT_BITS]),
          .want_validity(want_validity[q*32+:32]),
          .fetching(fetching[q]),
          .arrived(arrived[q]),
          .stale(stale[q]),
          .refused(refused[q]),
          .ready(ready[q]),
          .credit(credit[q]),
          .sequence_number(sequence_number[q*32+:32]),
          .next_start(next_start[q*32+:32]),
          .started(started[q]),
          .started_paced,
          .entry_address(entry_address[q*64+:64]),
          .entry_validity(entry_validity[q*32+:32]),
          .finish(finish && finish_queue == QUEUE_BITS'(q)),
          .finish_written(finish_written && finish_queue == QUEUE_BITS'(q)),
          .finish_refused(finish_refused && finish_queue == QUEUE_BITS'(q)),
          .finish_failed(finish_failed && finish_queue == QUEUE_BITS'(q)),
          .aborted(aborted_of[q*EVENT_BITS+:EVENT_BITS]),
          .fetch_burst(fetch_burst && fetching[q]),
          .list_fetches(list_fetches_of[q*EVENT_BITS+:EVENT_BITS]),
          .read_bursts(read_bursts_of[q*EVENT_BITS+:EVENT_BITS]),
          .write_bursts(write_bursts_of[q*EVENT_BITS+:EVENT_BITS]),
          .bus_errors(bus_errors_of[q*EVENT_BITS+:EVENT_BITS]),
          .completion_write(completion_write && finish_queue == QUEUE_BITS'(q))
      );
    end
  endgenerate

  // What the executors report in one clock, summed up for each queue.
  always_comb begin
    aborted_of = '0;
    list_fetches_of = '0;
    read_bursts_of = '0;
    write_bursts_of = '0;
    bus_errors_of = '0;
    for (int i = 0; i < QUEUES; i++) begin
      for (int j = 0; j < EXECUTORS; j++) begin
        if (exec_queue[j*QUEUE_BITS+:QUEUE_BITS] == QUEUE_BITS'(i)) begin
          aborted_of[i*EVENT_BITS+:EVENT_BITS] = aborted_of[i*EVENT_BITS+:EVENT_BITS] + EVENT_BITS'(exec_aborted[j]);
          list_fetches_of[i*EVENT_BITS+:EVENT_BITS] = list_fetches_of[i*EVENT_BITS+:EVENT_BITS] + EVENT_BITS'(exec_list_fetched[j]);
          read_bursts_of[i*EVENT_BITS+:EVENT_BITS] = read_bursts_of[i*EVENT_BITS+:EVENT_BITS] + EVENT_BITS'(exec_read_burst[j]);
          write_bursts_of[i*EVENT_BITS+:EVENT_BITS] = write_bursts_of[i*EVENT_BITS+:EVENT_BITS] + EVENT_BITS'(exec_write_burst[j]);
          bus_errors_of[i*EVENT_BITS+:EVENT_BITS] = bus_errors_of[i*EVENT_BITS+:EVENT_BITS] + EVENT_BITS'(exec_bus_error[j]);
        end
      end
    end
  end

  pr_fetch #(
      .DATA_BITS(DATA_BITS),
      .QUEUES(QUEUES),
      .QUEUE_BITS(QUEUE_BITS),
      .FETCH_SLOTS(FETCH_SLOTS)
  ) fetch (
      .clk,
      .rst_n,
      .want,
      .want_address,
      .want_lines,
      .want_slot,
      .validity(want_validity),
      .fetching,
      .arrived,
      .stale,
      .refused,
      .burst(fetch_burst),
      .read_queue,
      .read_slot,
      .read_line,
      .arvalid(c_arvalid[0]),
      .araddr(c_araddr[63:0]),
      .arlen(c_arlen[7:0]),
      .arready(c_arready[0]),
      .rvalid(c_rvalid[0]),
      .rdata(m_axi_rdata),
      .rresp(m_axi_rresp),
      .rlast(m_axi_rlast)
  );

  pr_dispatch #(
      .QUEUES(QUEUES),
      .QUEUE_BITS(QUEUE_BITS),
      .EXECUTORS(EXECUTORS),
      .SLOT_BITS(SLOT_BITS)
  ) dispatch (
      .clk,
      .rst_n,
      .ready,
      .credit,
      .slot(start_slot),
      .index(next_start),
      .sequence_number,
      .started,
      .started_paced,
      .read_queue,
      .read_slot,
      .read_line,
      .busy(exec_busy),
      .start(exec_start),
      .start_queue,
      .start_index,
      .start_sequence,
      .start_descriptor
  );

  generate
    genvar e;
    for (e = 0; e < EXECUTORS; e = e + 1) begin : executors
      logic [QUEUE_BITS-1:0] owner;
      logic [pr::CFG_BITS-1:0] owner_config;
      assign exec_queue[e*QUEUE_BITS+:QUEUE_BITS] = owner;
      // Not config_words[owner*CFG_BITS+:CFG_BITS]: a stride that is no power of two is a shifter, not a multiplexer.
      always_comb begin
        owner_config = '0;
        for (int i = 0; i < QUEUES; i++) begin
          owner_config = owner_config | (config_words[i*pr::CFG_BITS+:pr::CFG_BITS] & {pr::CFG_BITS{owner == QUEUE_BITS'(i)}});
        end
      end
      pr_exec #(
          .DATA_BITS(DATA_BITS),
          .BURST_BEATS(BURST_BEATS),
          .READ_BURSTS(READ_BURSTS),
          .MAX_FILTER_WIDTH(MAX_FILTER_WIDTH),
          .OPCODES(OPCODES & pr::IMPLEMENTED),
          .QUEUE_BITS(QUEUE_BITS)
      ) exec (
          .clk,
          .rst_n,
          .start(exec_start[e]),
          .start_queue,
          .start_index,
          .start_sequence,
          .start_descriptor,
          .busy(exec_busy[e]),
          .owner(owner),
          .config_words(owner_config),
          .give_up(stopping[owner]),
          .done_valid(done_valid[e]),
          .done(done[e*pr::DONE_BITS+:pr::DONE_BITS]),
          .done_ready(done_ready[e]),
          .aborted(exec_aborted[e]),
          .list_fetched(exec_list_fetched[e]),
          .read_burst(exec_read_burst[e]),
          .write_burst(exec_write_burst[e]),
          .bus_error(exec_bus_error[e]),
          .arvalid(c_arvalid[1+3*e+:3]),
          .araddr(c_araddr[64*(1+3*e)+:192]),
          .arlen(c_arlen[8*(1+3*e)+:24]),
          .arready(c_arready[1+3*e+:3]),
          .rvalid(c_rvalid[1+3*e+:3]),
          .rdata(m_axi_rdata),
          .rresp(m_axi_rresp),
          .rlast(m_axi_rlast),
          .awvalid(c_awvalid[e]),
          .awaddr(c_awaddr[64*e+:64]),
          .awlen(c_awlen[8*e+:8]),
          .awready(c_awready[e]),
          .wdata(c_wdata[DATA_BITS*e+:DATA_BITS]),
          .wstrb(c_wstrb[DATA_BITS/8*e+:DATA_BITS/8]),
          .wready(c_wready[e]),
          .bvalid(c_bvalid[e]),
          .bresp(m_axi_bresp)
      );
    end
  endgenerate

  pr_complete #(
      .DATA_BITS(DATA_BITS),
      .EXECUTORS(EXECUTORS),
      .QUEUE_BITS(QUEUE_BITS),
      .SPLIT(SPLIT_COMPLETION)
  ) complete (
      .clk,
      .rst_n,
      .cycles,
      .done_valid,
      .done,
      .done_queue(exec_queue),
      .done_ready,
      .queue(finish_queue),
      .running(running[finish_queue]),
      .entry_address(entry_address[finish_queue*64+:64]),
      .validity(entry_validity[finish_queue*32+:32]),
      .finish,
      .finish_written,
      .finish_refused,
      .finish_failed,
      .write_burst(completion_write),
      .awvalid(c_awvalid[EXECUTORS]),
      .awaddr(c_awaddr[64*EXECUTORS+:64]),
      .awlen(c_awlen[8*EXECUTORS+:8]),
      .awready(c_awready[EXECUTORS]),
      .wdata(c_wdata[DATA_BITS*EXECUTORS+:DATA_BITS]),
      .wstrb(c_wstrb[DATA_BITS/8*EXECUTORS+:DATA_BITS/8]),
      .wready(c_wready[EXECUTORS]),
      .bvalid(c_bvalid[EXECUTORS]),
      .bresp(m_axi_bresp)
  );

  assign {m_axi_awcache, m_axi_awprot} = {AX_CACHE, AX_PROT};
  assign {m_axi_arcache, m_axi_arprot} = {AX_CACHE, AX_PROT};

  // ---- Bus -----------------------------------------------------------------------------------------------
  pr_axi_read #(
      .DATA_BITS(DATA_BITS),
      .ID_BITS(ID_BITS),
      .CLIENTS(READERS)
  ) bus_read (
      .clk,
      .rst_n,
      .c_arvalid,
      .c_araddr,
      .c_arlen,
      .c_arready,
      .c_rvalid,
      .m_arid(m_axi_arid),
      .m_araddr(m_axi_araddr),
      .m_arlen(m_axi_arlen),
      .m_arsize(m_axi_arsize),
      .m_arburst(m_axi_arburst),
      .m_arvalid(m_axi_arvalid),
      .m_arready(m_axi_arready),
      .m_rid(m_axi_rid),
      .m_rvalid(m_axi_rvalid),
      .m_rready(m_axi_rready)
  );

  pr_axi_write #(
      .DATA_BITS(DATA_BITS),
      .ID_BITS(ID_BITS),
      .CLIENTS(WRITERS)
  ) bus_write (
      .clk,
      .rst_n,
      .c_awvalid,
      .c_awaddr,
      .c_awlen,
      .c_awready,
      .c_wdata,
      .c_wstrb,
      .c_wready,
      .c_bvalid,
      .m_awid(m_axi_awid),
      .m_awaddr(m_axi_awaddr),
      .m_awlen(m_axi_awlen),
      .m_awsize(m_axi_awsize),
      .m_awburst(m_axi_awburst),
      .m_awvalid(m_axi_awvalid),
      .m_awready(m_axi_awready),
      .m_wdata(m_axi_wdata),
      .m_wstrb(m_axi_wstrb),
      .m_wlast(m_axi_wlast),
      .m_wvalid(m_axi_wvalid),
      .m_wready(m_axi_wready),
      .m_bid(m_axi_bid),
      .m_bvalid(m_axi_bvalid),
      .m_bready(m_axi_bready)
  );
endmodule
