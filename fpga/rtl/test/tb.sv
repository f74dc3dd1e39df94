// The core under Icarus: a host and a memory in SystemVerilog, the tests of tests.svh. +seed=N, +vectors=FILE, +verbose.
`timescale 1ns / 1ps
module tb;
  parameter int DATA_BITS = 64;
  parameter int SPLIT = 0;
  localparam int QUEUES = 4;
  localparam int BUS = DATA_BITS / 8;
  localparam logic [63:0] BASE = 64'h1_2345_0000;
  localparam int MEMORY_BYTES = 1 << 20;
  // Queue q's memory, within the queue window [BASE, BASE + 0x10000).
  localparam int QUEUE_STRIDE = 'h4000;
  localparam int CQ_OFFSET = 'h1000;
  localparam int LIST_OFFSET = 'h2000;
  localparam int QUEUE_WINDOW = 'h10000;
  localparam int DATA = 'h10000;  // the data window begins here and goes to the end

  logic clk = 0, rst_n = 0;
  always #5 clk = !clk;

  logic [QUEUES-1:0] irq;
  logic [15:0] awaddr = 0, araddr = 0;
  logic awvalid = 0, awready, wvalid = 0, wready, bvalid, bready = 0, arvalid = 0, arready, rvalid, rready = 0;
  logic [31:0] wdata = 0, rdata;
  logic [3:0] wstrb = 0;
  logic [1:0] bresp, rresp;

  logic [3:0] m_awid, m_bid, m_arid, m_rid;
  logic [63:0] m_awaddr, m_araddr;
  logic [7:0] m_awlen, m_arlen;
  logic [2:0] m_awsize, m_arsize;
  logic [1:0] m_awburst, m_bresp, m_arburst, m_rresp;
  logic m_awvalid, m_awready, m_wlast, m_wvalid, m_wready, m_bvalid, m_bready;
  logic m_arvalid, m_arready, m_rlast, m_rvalid, m_rready;
  logic [DATA_BITS-1:0] m_wdata, m_rdata;
  logic [BUS-1:0] m_wstrb;

  logic [31:0] seed = 1;
  logic [7:0] slowness = 0;
  logic [63:0] bad_from = 0, bad_to = 0;
  logic [1:0] bad_response = 0, bad_kinds = 0;

  physring_core #(
      .DATA_BITS(DATA_BITS),
      .QUEUES(QUEUES),
      .SPLIT_COMPLETION(SPLIT)
  ) core (
      .clk,
      .rst_n,
      .irq,
      .s_axil_awaddr(awaddr),
      .s_axil_awvalid(awvalid),
      .s_axil_awready(awready),
      .s_axil_wdata(wdata),
      .s_axil_wstrb(wstrb),
      .s_axil_wvalid(wvalid),
      .s_axil_wready(wready),
      .s_axil_bresp(bresp),
      .s_axil_bvalid(bvalid),
      .s_axil_bready(bready),
      .s_axil_araddr(araddr),
      .s_axil_arvalid(arvalid),
      .s_axil_arready(arready),
      .s_axil_rdata(rdata),
      .s_axil_rresp(rresp),
      .s_axil_rvalid(rvalid),
      .s_axil_rready(rready),
      .m_axi_awid(m_awid),
      .m_axi_awaddr(m_awaddr),
      .m_axi_awlen(m_awlen),
      .m_axi_awsize(m_awsize),
      .m_axi_awburst(m_awburst),
      .m_axi_awvalid(m_awvalid),
      .m_axi_awready(m_awready),
      .m_axi_wdata(m_wdata),
      .m_axi_wstrb(m_wstrb),
      .m_axi_wlast(m_wlast),
      .m_axi_wvalid(m_wvalid),
      .m_axi_wready(m_wready),
      .m_axi_bid(m_bid),
      .m_axi_bresp(m_bresp),
      .m_axi_bvalid(m_bvalid),
      .m_axi_bready(m_bready),
      .m_axi_arid(m_arid),
      .m_axi_araddr(m_araddr),
      .m_axi_arlen(m_arlen),
      .m_axi_arsize(m_arsize),
      .m_axi_arburst(m_arburst),
      .m_axi_arvalid(m_arvalid),
      .m_axi_arready(m_arready),
      .m_axi_rid(m_rid),
      .m_axi_rdata(m_rdata),
      .m_axi_rresp(m_rresp),
      .m_axi_rlast(m_rlast),
      .m_axi_rvalid(m_rvalid),
      .m_axi_rready(m_rready)
  );

  axi_memory #(
      .DATA_BITS(DATA_BITS),
      .BYTES(MEMORY_BYTES),
      .BASE(BASE)
  ) memory (
      .clk,
      .rst_n,
      .seed,
      .slowness,
      .bad_from,
      .bad_to,
      .bad_response,
      .bad_kinds,
      .awid(m_awid),
      .awaddr(m_awaddr),
      .awlen(m_awlen),
      .awsize(m_awsize),
      .awburst(m_awburst),
      .awvalid(m_awvalid),
      .awready(m_awready),
      .wdata(m_wdata),
      .wstrb(m_wstrb),
      .wlast(m_wlast),
      .wvalid(m_wvalid),
      .wready(m_wready),
      .bid(m_bid),
      .bresp(m_bresp),
      .bvalid(m_bvalid),
      .bready(m_bready),
      .arid(m_arid),
      .araddr(m_araddr),
      .arlen(m_arlen),
      .arsize(m_arsize),
      .arburst(m_arburst),
      .arvalid(m_arvalid),
      .arready(m_arready),
      .rid(m_rid),
      .rdata(m_rdata),
      .rresp(m_rresp),
      .rlast(m_rlast),
      .rvalid(m_rvalid),
      .rready(m_rready)
  );

  // ---- Counting --------------------------------------------------------------------------------------------
  integer passed = 0, failed = 0, checks = 0, failures_before;
  string test_name;

  task automatic begin_test(input string name);
    test_name = name;
    failures_before = failed;
  endtask

  integer test_failures = 0;
  task automatic check(input logic holds, input string what);
    checks = checks + 1;
    if (holds !== 1'b1) begin
      test_failures = test_failures + 1;
      if (test_failures < 10) $display("FAILED %s: %s (at %0t)", test_name, what, $time);
    end
  endtask

  task automatic check_equal(input logic [31:0] found, input logic [31:0] expected, input string what);
    check(found === expected, what);
    if (found !== expected && test_failures < 10) $display("       found %08x, expected %08x", found, expected);
  endtask

  task automatic end_test;
    if ($test$plusargs("verbose")) $display("%0d clocks: %s", $time / 10, test_name);
    if (test_failures == 0) passed = passed + 1;
    else begin
      failed = failed + 1;
      $display("FAILED %s: %0d checks", test_name, test_failures);
    end
    test_failures = 0;
  endtask

  logic [31:0] random_state;
  task automatic draw(output logic [31:0] value);
    random_state = random_state ^ (random_state << 13);
    random_state = random_state ^ (random_state >> 17);
    random_state = random_state ^ (random_state << 5);
    value = random_state;
  endtask
  task automatic draw_below(input logic [31:0] limit, output logic [31:0] value);
    draw(value);
    value = (value >> 4) % limit;
  endtask

  // ---- Registers -------------------------------------------------------------------------------------------
  task automatic write_strobed(input logic [15:0] address, input logic [31:0] value, input logic [3:0] strobes);
    @(negedge clk);
    awaddr  = address;
    wdata   = value;
    wstrb   = strobes;
    awvalid = 1;
    wvalid  = 1;
    bready  = 1;
    @(negedge clk);
    while (!awready) @(negedge clk);
    @(negedge clk);  // taken at the edge between
    awvalid = 0;
    wvalid  = 0;
    while (!bvalid) @(negedge clk);
    @(negedge clk);
    bready = 0;
  endtask
  task automatic write_register(input logic [15:0] address, input logic [31:0] value);
    write_strobed(address, value, 4'hf);
  endtask
  task automatic read_register(input logic [15:0] address, output logic [31:0] value);
    @(negedge clk);
    araddr  = address;
    arvalid = 1;
    rready  = 1;
    @(negedge clk);
    while (!arready) @(negedge clk);
    @(negedge clk);
    arvalid = 0;
    while (!rvalid) @(negedge clk);
    value = rdata;
    @(negedge clk);
    rready = 0;
  endtask
  function automatic logic [15:0] page(input integer q);
    page = 16'((q + 1) * 'h1000);
  endfunction
  task automatic expect_register(input logic [15:0] address, input logic [31:0] expected, input string what);
    logic [31:0] value;
    read_register(address, value);
    check_equal(value, expected, what);
  endtask

  // ---- Memory, as the host sees it: offsets from BASE ----------------------------------------------------------
  function automatic logic [31:0] peek(input integer at);
    peek = {memory.mem[at+3], memory.mem[at+2], memory.mem[at+1], memory.mem[at]};
  endfunction
  task automatic poke(input integer at, input logic [31:0] value);
    for (int i = 0; i < 4; i++) memory.mem[at+i] = value[8*i+:8];
  endtask
  task automatic poke_address(input integer at, input integer offset);
    logic [63:0] address;
    address = BASE + 64'(offset);
    poke(at, address[31:0]);
    poke(at + 4, address[63:32]);
  endtask
  task automatic fill_random(input integer at, input integer bytes);
    logic [31:0] value;
    for (int i = 0; i < bytes; i++) begin
      draw(value);
      memory.mem[at+i] = value[15:8];
    end
  endtask
  function automatic logic [31:0] crc_of(input integer at, input integer bytes, input logic [31:0] earlier);
    crc_of = ~earlier;
    for (int i = 0; i < bytes; i++) begin
      crc_of = crc_of ^ {24'd0, memory.mem[at+i]};
      for (int j = 0; j < 8; j++) crc_of = crc_of[0] ? (crc_of >> 1) ^ 32'hedb88320 : crc_of >> 1;
    end
    crc_of = ~crc_of;
  endfunction

  // ---- A host: queue q as the protocol wants it ----------------------------------------------------------------
  integer capacity_log2[0:QUEUES-1];
  logic [23:0] epoch[0:QUEUES-1];
  logic [31:0] submitted[0:QUEUES-1], reaped[0:QUEUES-1];
  integer pace[0:QUEUES-1], policy[0:QUEUES-1];
  logic [31:0] got[0:7];  // the entry that was reaped last

  function automatic integer queue_memory(input integer q);
    queue_memory = q * QUEUE_STRIDE;
  endfunction
  function automatic logic [31:0] validity(input integer q, input logic [31:0] i);
    logic [31:0] pass;
    pass = (i >> capacity_log2[q]) + 1;
    validity = {epoch[q], 7'd0, pass[0]};
  endfunction

  task automatic write_pair(input logic [15:0] address, input logic [63:0] value);
    write_register(address, value[31:0]);
    write_register(address + 4, value[63:32]);
  endtask

  task automatic configure(input integer q, input integer k);
    capacity_log2[q] = k;
    epoch[q] = epoch[q] + 1;
    submitted[q] = 0;
    reaped[q] = 0;
    for (int i = 0; i < (64 << k); i++) memory.mem[queue_memory(q)+i] = 0;
    for (int i = 0; i < (32 << k); i++) memory.mem[queue_memory(q)+CQ_OFFSET+i] = 0;
    write_register(page(q) + 16'h004, k);
    write_pair(page(q) + 16'h008, BASE + 64'(queue_memory(q)));
    write_pair(page(q) + 16'h010, BASE + 64'(queue_memory(q)) + 64'(CQ_OFFSET));
    write_pair(page(q) + 16'h018, BASE);
    write_pair(page(q) + 16'h020, BASE + 64'(QUEUE_WINDOW));
    write_pair(page(q) + 16'h028, BASE + 64'(DATA));
    write_pair(page(q) + 16'h030, BASE + 64'(MEMORY_BYTES));
    write_register(page(q) + 16'h040, pace[q]);
    write_register(page(q) + 16'h044, policy[q]);
    write_register(page(q) + 16'h080, 0);
    write_register(page(q) + 16'h0c0, 0);
  endtask

  task automatic wait_state(input integer q, input logic [7:0] state, input string what);
    logic [31:0] value;
    integer left;
    left  = 500;
    value = ~0;
    while (value != {epoch[q], state} && left > 0) begin
      read_register(page(q) + 16'h100, value);
      left = left - 1;
    end
    check_equal(value, {epoch[q], state}, what);
  endtask
  task automatic start(input integer q, input integer k);
    configure(q, k);
    write_register(page(q), {epoch[q], 8'd1});
    wait_state(q, 8'd1, "runs");
  endtask
  task automatic stop(input integer q);
    write_register(page(q), {epoch[q], 8'd0});
    wait_state(q, 8'd0, "idle");
  endtask

  // Writes a descriptor; offsets of data or lists from BASE.
  task automatic describe(input integer q, input logic [31:0] word0, input logic [31:0] tag, input integer source,
                          input integer destination, input logic [31:0] length, input logic [31:0] lists,
                          input logic [31:0] parameter0);
    integer at;
    at = queue_memory(q) + 64 * (32'(submitted[q]) & ((1 << capacity_log2[q]) - 1));
    poke(at, word0);
    poke(at + 4, tag);
    poke_address(at + 8, source);
    poke_address(at + 16, destination);
    poke(at + 24, length);
    poke(at + 28, lists);
    poke(at + 32, parameter0);
    poke(at + 36, 32'hdeadbeef);
    poke(at + 40, 32'hdeadbeef);
    poke(at + 60, validity(q, submitted[q]));
    submitted[q] = submitted[q] + 1;
  endtask
  task automatic doorbell(input integer q);
    write_register(page(q) + 16'h080, submitted[q]);
  endtask

  function automatic logic entry_ready(input integer q);
    entry_ready = peek(queue_memory(q) + CQ_OFFSET + 32 * (32'(reaped[q]) & ((1 << capacity_log2[q]) - 1)) + 28) ==
        validity(q, reaped[q]);
  endfunction
  task automatic reap(input integer q);  // waits for one entry, leaves it in `got`
    integer at, left;
    at   = queue_memory(q) + CQ_OFFSET + 32 * (32'(reaped[q]) & ((1 << capacity_log2[q]) - 1));
    left = 30000;
    while (!entry_ready(q) && left > 0) begin
      @(negedge clk);
      left = left - 1;
    end
    check(left > 0, "a completion comes");
    for (int i = 0; i < 8; i++) got[i] = peek(at + 4 * i);
    reaped[q] = reaped[q] + 1;
  endtask
  task automatic acknowledge(input integer q);
    write_register(page(q) + 16'h0c0, reaped[q]);
  endtask

  // One command on queue q, alone. An expected result of all ones is not looked at.
  task automatic one(input integer q, input logic [31:0] word0, input integer source, input integer destination,
                     input logic [31:0] length, input logic [31:0] lists, input logic [31:0] parameter0,
                     input logic [7:0] status, input logic [31:0] result);
    logic [31:0] tag;
    draw(tag);
    describe(q, word0, tag, source, destination, length, lists, parameter0);
    doorbell(q);
    reap(q);
    acknowledge(q);
    check_equal(got[0], tag, "tag");
    check_equal(got[1], {16'd0, word0[7:0], status}, "opcode and status");
    check_equal(got[2], status == 0 && word0[7:0] != 0 ? length : 0, "bytes");
    if (result != ~0) check_equal(got[3], result, "result");
    check_equal(got[6], submitted[q] - 1, "index");
  endtask

`include "tests.svh"
endmodule
