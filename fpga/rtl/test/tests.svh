// What Icarus runs of tb.sv: the core in a second simulator, with four-state logic, where a forgotten reset or an X shows. The memory is X
// where nobody wrote: nothing of what is read beyond an operand may come out. The full tests are tests.cpp; this simulator would take an
// hour for them.
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

task automatic test_engines(input integer count);
  logic [31:0] length, value, crc, n, width, lines;
  integer sum, x, y;
  start(2, 3);
  for (int i = 0; i < count; i++) begin
    begin_test("FILL, CRC32, THRESHOLD");
    draw_below(150, length);
    length = length + 1;
    draw(value);
    for (int j = 0; j < int'(length) + 64; j++) memory.mem[B+j] = 8'h5a;
    one(2, 2, 0, B, length, 0, value, 0, 0);
    for (int j = 0; j < int'(length); j++) check(memory.mem[B+j] == value[8*(j%4)+:8], "filled");
    for (int j = 0; j < 64; j++) check(memory.mem[B+int'(length)+j] == 8'h5a, "behind the fill");

    fill_random(A, length);
    one(2, 3, A, 0, length, 0, 0, 0, crc_of(A, length, 0));
    crc = got[3];
    if (length > 64) begin
      one(2, 3, A, 0, 64, 0, 0, 0, crc_of(A, 64, 0));
      one(2, 3, A + 64, 0, length - 64, 0, got[3], 0, crc);
    end

    draw_below(256, value);
    n = 0;
    for (int j = 0; j < int'(length); j++) if (memory.mem[A+j] >= value[7:0]) n = n + 1;
    one(2, 4, A, B, length, 0, value, 0, n);
    for (int j = 0; j < int'(length); j++) check(memory.mem[B+j] == (memory.mem[A+j] >= value[7:0] ? 8'hff : 8'h00), "threshold");
    end_test;
  end
  for (int i = 0; i < count / 2; i++) begin
    begin_test("FILTER3X3");
    draw_below(4, width);
    draw_below(6, lines);
    width = i == 0 ? 64 : i == 1 ? 2048 : 64 * (width + 1);
    lines = i < 2 ? 3 : lines + 1;
    fill_random(A, width * lines);
    one(2, 5, A, B, width * lines, 0, width, 0, 0);
    for (y = 0; y < 32'(lines); y = y + 1) begin
      for (x = 0; x < 32'(width); x = x + 1) begin
        sum = 0;
        for (int dy = -1; dy <= 1; dy++)
          for (int dx = -1; dx <= 1; dx++)
            sum = sum + (dx == 0 ? 2 : 1) * (dy == 0 ? 2 : 1) * pixel(32'(width), 32'(lines), x + dx, y + dy);
        check_equal({24'd0, memory.mem[B+y*32'(width)+x]}, sum / 16, "filtered");
      end
    end
    end_test;
  end
  stop(2);
endtask
function automatic integer pixel(input integer width, input integer lines, input integer x, input integer y);
  integer cx, cy;
  cx = x < 0 ? 0 : x >= width ? width - 1 : x;
  cy = y < 0 ? 0 : y >= lines ? lines - 1 : y;
  pixel = 32'(memory.mem[A+cy*width+cx]);
endfunction

// A stop, or a bus error, at any moment, and the same queue again: nothing of the command before is left in the core.
task automatic test_stops(input integer count);
  logic [31:0] length, pick;
  for (int i = 0; i < count; i++) begin
    begin_test("stop in mid-flight");
    start(3, 3);
    draw_below(900, length);
    length = length + 1;
    fill_random(A, 1024);
    for (int j = 0; j < 4; j++) describe(3, j == 3 ? 3 : 1, j, A, B + 1024 * j, length, 0, 0);
    doorbell(3);
    draw_below(400, pick);
    for (int j = 0; j < int'(pick); j++) @(negedge clk);
    stop(3);
    check(memory.outstanding == 0 && irq === 0, "quiet when idle");
    start(3, 3);
    one(3, 3, A, 0, length, 0, 0, 0, crc_of(A, length, 0));
    bad_response = 2 + i % 2;
    bad_kinds = 1 + (i >> 1) % 2;
    bad_from = BASE + (bad_kinds == 1 ? A : B) + 64 * (i % 4);
    bad_to = bad_from + 8;
    one(3, 1, A, B, 1000, 0, 0, (bad_kinds == 1 ? 16 : 18) + i % 2, 0);
    bad_kinds = 0;
    one(3, 4, A, B, 64, 0, 0, 0, 64);
    stop(3);
    end_test;
  end
endtask

// fpga/vectors/commands.hex: geometry, then 16 words of descriptor and 8 of the expected completion per vector (make.ts).
task automatic test_vectors;
  logic [31:0] words[0:4095];
  integer count, at;
  string file;
  if (!$value$plusargs("vectors=%s", file)) begin
    $display("no +vectors=FILE: not checked");
    failed = failed + 1;
  end else begin
    $readmemh(file, words);
    // Header: magic, count, capacityLog2, epoch, then 64-bit sqBase, cqBase, and the two windows, all relative to this memory.
    begin_test("vectors: header");
    check_equal(words[0], 32'h56435250, "magic PRCV");
    count = 32'(words[1]);
    check(count > 0 && count < 160, "count");
    end_test;
    epoch[0] = words[3][23:0] - 1;
    pace[0] = 0;
    configure(0, 32'(words[2]));
    for (int i = 0; i < 6; i++) write_pair(page(0) + 16'h008 + 16'(8 * i), {words[5+2*i], words[4+2*i]});
    // The source area holds the frame of SOURCE with seed 0, sequence 0.
    for (int j = 0; j < 2048; j++) poke(32'(words[16] - BASE[31:0]) + 4 * j, j * 32'h9e3779b1);
    // And the list its entries.
    for (int j = 0; j < int'(words[20]); j++) begin
      at = int'(words[18] - BASE[31:0]) + 16 * j;
      poke_address(at, int'(words[16] - BASE[31:0]) + j * int'(words[21]));
      poke(at + 8, words[22]);
      poke(at + 12, 0);
    end
    write_register(page(0), {epoch[0], 8'd1});
    wait_state(0, 1, "vectors run");
    for (int i = 0; i < count; i++) begin
      begin_test("vectors");
      at = queue_memory(0) + 64 * (i & ((1 << capacity_log2[0]) - 1));
      for (int j = 0; j < 16; j++) poke(at + 4 * j, words[32+24*i+j]);
      check_equal(words[32+24*i+15], validity(0, submitted[0]), "validity word");
      submitted[0] = submitted[0] + 1;
      doorbell(0);
      reap(0);
      acknowledge(0);
      for (int j = 0; j < 8; j++) if (j != 4 && j != 5) check_equal(got[j], words[32+24*i+16+j], "word of the completion");
      if (test_failures != 0) $display("vector %0d", i);
      end_test;
    end
    stop(0);
  end
endtask

initial begin
  integer given;
  if (!$value$plusargs("seed=%d", given)) given = 1;
  seed = given;
  random_state = 32'h9e3779b9 ^ (given * 32'h85ebca6b);
  if (random_state == 0) random_state = 1;
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
  test_engines(6);
  test_stops(12);
  slowness = 0;
  test_vectors;

  begin_test("bus rules and coverage");
  check(memory.violations == 0, "AXI rules");
  check(memory.outstanding == 0, "nothing under way at the end");
  end_test;
  $display("%0d handshakes and their rules looked at", memory.handshakes);
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
