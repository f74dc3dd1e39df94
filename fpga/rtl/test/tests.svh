// What Icarus runs of tb.sv: registers, rings and copies in a second simulator, with four-state logic, where a forgotten reset or an X
// shows. The full tests are tests.cpp; an event-driven simulator would take an hour for them.
// Data areas, offsets from BASE.
localparam int A = 'h20000;
localparam int B = 'h60000;
localparam logic [31:0] ANY = ~32'd0;

task automatic test_registers;
  begin_test("registers");
  expect_register(16'h0000, 32'h57485250, "magic");
  expect_register(16'h0004, 1, "version");
  expect_register(16'h0008, QUEUES, "queueCount");
  expect_register(16'h000c, BUS, "busBytes");
  expect_register(16'h0010, 32'hff, "opcodes");
  expect_register(16'h0014, 12, "maxCapacityLog2");
  expect_register(16'h0018, 1024, "maxListEntries");
  expect_register(16'h001c, 0, "clockHz");
  expect_register(16'h0020, 4, "outstandingReads");
  expect_register(16'h0024, 2, "executors");
  expect_register(16'h0028, 2048, "maxFilterWidth");
  expect_register(16'h002c, 16 * BUS, "maxBurstBytes");
  write_register(16'h0000, 32'h1);
  expect_register(16'h0000, 32'h57485250, "magic is read-only");
  for (int q = 0; q < QUEUES; q++) for (int at = 0; at < 'h180; at += 4) expect_register(page(q) + 16'(at), 0, "0 after reset");
  end_test;
endtask

// Rings of every small capacity, round and round: phase and wrap.
task automatic test_nop_rings;
  logic [31:0] before_fetches, after_fetches, writes;
  for (int k = 1; k <= 2; k++) begin
    begin_test("NOP through rings");
    start(0, k);
    for (int round = 0; round < 5; round++) begin
      for (int i = 0; i < (1 << k); i++) describe(0, 0, 32'h700 + 32'(submitted[0]), 0, 0, 0, 0, 0);
      doorbell(0);
      for (int i = 0; i < (1 << k); i++) begin
        reap(0);
        check_equal(got[0], 32'h700 + got[6], "tag belongs to index");
        check_equal(got[1], 0, "status");
      end
      acknowledge(0);
    end
    expect_register(page(0) + 16'h108, 5 << k, "sqHead");
    expect_register(page(0) + 16'h10c, 5 << k, "cqTail");
    stop(0);
    end_test;
  end
  begin_test("bus accesses per command at batch 32");
  start(0, 6);
  read_register(page(0) + 16'h140, before_fetches);
  read_register(page(0) + 16'h150, writes);
  for (int round = 0; round < 2; round++) begin
    for (int i = 0; i < 32; i++) describe(0, 0, 0, 0, 0, 0, 0, 0);
    doorbell(0);
    for (int i = 0; i < 32; i++) reap(0);
    acknowledge(0);
  end
  read_register(page(0) + 16'h140, after_fetches);
  check(after_fetches - before_fetches <= 70, "at most one descriptor fetch per command");
  $display("%0d descriptor fetches for 64 commands", after_fetches - before_fetches);
  expect_register(page(0) + 16'h150, writes + (SPLIT ? 128 : 64), "one completion write per command");
  stop(0);
  end_test;
endtask

// COPY of every length around the bus width and the burst, from and to every place around a 4 KiB boundary.
task automatic test_copy(input integer count);
  integer source, destination;
  logic [31:0] length, pick;
  start(1, 4);
  for (int i = 0; i < count; i++) begin
    begin_test("COPY");
    draw_below(4, pick);
    length = i + 1;
    if (i >= count / 2) draw_below(400, length);
    length = length == 0 ? 1 : length;
    draw_below(128, pick);
    source = A + 64 * pick;
    draw_below(128, pick);
    destination = B + 64 * pick;
    fill_random(source, length);
    for (int j = -64; j < int'(length) + 64; j++) memory.mem[destination+j] = 8'h5a;
    one(1, 1, source, destination, length, 0, 0, 0, 0);
    for (int j = -64; j < 0; j++) check(memory.mem[destination+j] == 8'h5a, "before the destination");
    for (int j = 0; j < 64; j++) check(memory.mem[destination+int'(length)+j] == 8'h5a, "behind the destination");
    for (int j = 0; j < int'(length); j++) check(memory.mem[destination+j] == memory.mem[source+j], "copied");
    end_test;
  end
  stop(1);
endtask

initial begin
  integer given;
  if (!$value$plusargs("seed=%d", given)) given = 1;
  seed = given;
  random_state = 32'h9e3779b9 ^ (given * 32'h85ebca6b);
  if (random_state == 0) random_state = 1;
  for (int i = 0; i < MEMORY_BYTES; i++) memory.mem[i] = 0;
  for (int q = 0; q < QUEUES; q++) begin
    epoch[q] = 24'h100 * 24'(q + 1);
    pace[q] = 0;
    policy[q] = 0;
    submitted[q] = 0;
    reaped[q] = 0;
  end
  for (int i = 0; i < 10; i++) @(negedge clk);
  rst_n = 1;
  for (int i = 0; i < 10; i++) @(negedge clk);

  test_registers;
  test_nop_rings;
  slowness = 1;
  test_copy(8);

  begin_test("bus rules and coverage");
  check(memory.violations == 0, "AXI rules");
  check(memory.outstanding == 0, "nothing under way at the end");
  end_test;
  $display("DATA_BITS=%0d SPLIT=%0d seed=%0d: %0d checks, %0d clocks", DATA_BITS, SPLIT, given, checks, $time / 10);
  $display("%0d passed, %0d failed", passed, failed);
  if (failed != 0) $fatal(1, "failed");
  $finish;
end

// Nothing here takes this long.
initial begin
  #2000000000;
  $display("FAILED: out of time in %s", test_name);
  $display("%0d passed, %0d failed", passed, failed + 1);
  $fatal(1, "out of time");
end
