// A memory behind the core's AXI4 master, for the testbench: random back-pressure and latency, any order between IDs, beats of
// different IDs interleaved, errors by address. Every handshake is checked against the AXI rules that the core promises.
module axi_memory #(
    parameter int DATA_BITS = 64,
    parameter int ID_BITS = 4,
    parameter int BYTES = 1 << 20,
    parameter logic [63:0] BASE = 64'h1_2345_0000
) (
    input logic clk,
    input logic rst_n,
    input logic [31:0] seed,
    input logic [7:0] slowness,  // 0: everything at once; else on average that many clocks of each delay
    input logic [63:0] bad_from,  // accesses that touch [bad_from, bad_to) are answered bad_response
    input logic [63:0] bad_to,
    input logic [1:0] bad_response,
    input logic [1:0] bad_kinds,  // bit 0 reads, bit 1 writes

    input logic [ID_BITS-1:0] awid,
    input logic [63:0] awaddr,
    input logic [7:0] awlen,
    input logic [2:0] awsize,
    input logic [1:0] awburst,
    input logic awvalid,
    output logic awready,
    input logic [DATA_BITS-1:0] wdata,
    input logic [DATA_BITS/8-1:0] wstrb,
    input logic wlast,
    input logic wvalid,
    output logic wready,
    output logic [ID_BITS-1:0] bid,
    output logic [1:0] bresp,
    output logic bvalid,
    input logic bready,
    input logic [ID_BITS-1:0] arid,
    input logic [63:0] araddr,
    input logic [7:0] arlen,
    input logic [2:0] arsize,
    input logic [1:0] arburst,
    input logic arvalid,
    output logic arready,
    output logic [ID_BITS-1:0] rid,
    output logic [DATA_BITS-1:0] rdata,
    output logic [1:0] rresp,
    output logic rlast,
    output logic rvalid,
    input logic rready
);
  localparam int BUS = DATA_BITS / 8;
  localparam int IDS = 1 << ID_BITS;
  localparam int DEPTH = 64;  // bursts per ID

  logic [7:0] mem[0:BYTES-1];

  // What the tests read.
  integer violations = 0;
  integer handshakes = 0;
  integer splits_at_page = 0;  // bursts that end exactly at a 4 KiB boundary, and a next one that begins there
  integer most_outstanding = 0;  // read bursts of one ID
  integer partial_beats = 0;
  integer interleavings = 0;
  integer overtakings = 0;  // a burst answered before one of another ID that was asked for earlier
  integer outstanding = 0;  // bursts of any kind
  integer bad_answers = 0;
  integer reads_waiting, answers_waiting;
  integer asked = 0;  // bursts of any kind, ever

  logic [31:0] random;
  function automatic logic [31:0] next_random(input logic [31:0] x);
    next_random = x ^ (x << 13);
    next_random = next_random ^ (next_random >> 17);
    next_random = next_random ^ (next_random << 5);
  endfunction
  function automatic logic now(input logic [7:0] bits);  // true with probability 1 / (1 + slowness)
    now = slowness == 0 || (32'(bits) * (32'(slowness) + 1)) < 256;
  endfunction

  task automatic rule(input logic holds, input [40*8-1:0] what);
    handshakes = handshakes + 1;
    if (holds !== 1'b1) begin  // an X is no yes
      violations = violations + 1;
      if (violations <= 10) $display("AXI violation at %0t: %0s", $time, what);
    end
  endtask

  function automatic logic [1:0] answer(input logic [63:0] first, input logic [63:0] last, input logic writes);
    answer = 2'b00;
    if (first < BASE || last >= BASE + BYTES) answer = 2'b11;
    else if (last >= bad_from && first < bad_to && bad_kinds[writes]) answer = bad_response;
  endfunction

  // Pending bursts: a FIFO for each ID.
  logic [63:0] r_address[0:IDS*DEPTH-1];
  logic [8:0] r_beats[0:IDS*DEPTH-1];
  logic [8:0] r_full[0:IDS*DEPTH-1];  // beats it had at first
  integer r_order[0:IDS*DEPTH-1];
  integer r_head[0:IDS-1], r_tail[0:IDS-1];
  integer r_open;  // ID whose beats came last, -1
  logic [1:0] b_response[0:IDS*DEPTH-1];
  integer b_head[0:IDS-1], b_tail[0:IDS-1];
  // Writes: addresses and beats in order.
  logic [63:0] aw_address[0:DEPTH-1];
  logic [8:0] aw_beats[0:DEPTH-1];
  logic [ID_BITS-1:0] aw_id[0:DEPTH-1];
  integer aw_head, aw_tail;
  logic [DATA_BITS-1:0] w_data[0:1023];
  logic [BUS-1:0] w_strobes[0:1023];
  integer w_size[0:DEPTH-1];  // beats up to each WLAST
  integer w_head, w_tail, w_beats, size_head, size_tail;

  logic [63:0] last_ar_end[0:IDS-1], last_aw_end[0:IDS-1];
  logic awvalid_before, wvalid_before, arvalid_before;
  logic [63:0] awaddr_before, araddr_before;
  logic [7:0] awlen_before, arlen_before;
  logic [ID_BITS-1:0] awid_before, arid_before;
  logic [DATA_BITS-1:0] wdata_before;
  logic [BUS-1:0] wstrb_before;
  logic wlast_before;

  integer i, j, chosen, start_id, at;
  logic [63:0] address;
  logic [1:0] response;

  always @(posedge clk) begin
    if (!rst_n) begin
      random <= seed == 0 ? 32'h1234567 : seed;
      awready <= 0;
      wready <= 0;
      arready <= 0;
      bvalid <= 0;
      rvalid <= 0;
      rlast <= 0;
      bid <= 0;
      rid <= 0;
      bresp <= 0;
      rresp <= 0;
      rdata <= 0;
      r_open <= -1;
      for (i = 0; i < IDS; i = i + 1) begin
        r_head[i] = 0;
        r_tail[i] = 0;
        b_head[i] = 0;
        b_tail[i] = 0;
        last_ar_end[i] = 0;
        last_aw_end[i] = 0;
      end
      aw_head = 0;
      aw_tail = 0;
      w_head = 0;
      w_tail = 0;
      w_beats = 0;
      size_head = 0;
      size_tail = 0;
      outstanding = 0;
      reads_waiting = 0;
      answers_waiting = 0;
      awvalid_before <= 0;
      wvalid_before <= 0;
      arvalid_before <= 0;
    end else begin
      random <= next_random(random);

      rule(^{arvalid, awvalid, wvalid, rready, bready} !== 1'bx, "X on a handshake");
      if (arvalid) rule(^{arid, araddr, arlen, arsize, arburst} !== 1'bx, "X on AR");
      if (awvalid) rule(^{awid, awaddr, awlen, awsize, awburst} !== 1'bx, "X on AW");
      if (wvalid) begin
        rule(^{wstrb, wlast} !== 1'bx, "X on W");
        for (j = 0; j < BUS; j = j + 1) if (wstrb[j]) rule(^wdata[8*j+:8] !== 1'bx, "X in a byte that is written");
      end
      // What was offered and not taken stays as it is.
      if (awvalid_before)
        rule(awvalid && awaddr == awaddr_before && awlen == awlen_before && awid == awid_before, "AW changed while waiting");
      if (wvalid_before)
        rule(wvalid && wdata === wdata_before && wstrb == wstrb_before && wlast == wlast_before, "W changed while waiting");
      if (arvalid_before)
        rule(arvalid && araddr == araddr_before && arlen == arlen_before && arid == arid_before, "AR changed while waiting");

      // Requests.
      if (arvalid && arready) begin
        rule(arsize == $clog2(BUS) && arburst == 2'b01, "AR size or burst type");
        rule(araddr % BUS == 0, "AR not aligned to the bus");
        rule((araddr >> 12) == ((araddr + (64'(arlen) + 1) * BUS - 1) >> 12), "AR crosses 4 KiB");
        if (araddr[11:0] == 0 && last_ar_end[arid] == araddr) splits_at_page = splits_at_page + 1;
        last_ar_end[arid] = araddr + (64'(arlen) + 1) * BUS;
        at = arid * DEPTH + r_tail[arid] % DEPTH;
        r_address[at] = araddr;
        r_beats[at] = 9'(arlen) + 1;
        r_full[at] = 9'(arlen) + 1;
        r_order[at] = asked;
        r_tail[arid] = r_tail[arid] + 1;
        reads_waiting = reads_waiting + 1;
        rule(r_tail[arid] - r_head[arid] < DEPTH, "too many reads");
        if (r_tail[arid] - r_head[arid] > most_outstanding) most_outstanding = r_tail[arid] - r_head[arid];
        outstanding = outstanding + 1;
        asked = asked + 1;
      end
      if (awvalid && awready) begin
        rule(awsize == $clog2(BUS) && awburst == 2'b01, "AW size or burst type");
        rule(awaddr % BUS == 0 || awlen == 0 || awaddr % 32 == 0, "AW not aligned");
        rule((awaddr >> 12) == ((awaddr + (64'(awlen) + 1) * BUS - 1) >> 12), "AW crosses 4 KiB");
        if (awaddr[11:0] == 0 && last_aw_end[awid] == awaddr) splits_at_page = splits_at_page + 1;
        last_aw_end[awid] = awaddr + (64'(awlen) + 1) * BUS;
        aw_address[aw_tail%DEPTH] = awaddr;
        aw_beats[aw_tail%DEPTH] = 9'(awlen) + 1;
        aw_id[aw_tail%DEPTH] = awid;
        aw_tail = aw_tail + 1;
        outstanding = outstanding + 1;
        asked = asked + 1;
      end
      if (wvalid && wready) begin
        w_data[w_tail%1024] = wdata;
        w_strobes[w_tail%1024] = wstrb;
        w_tail = w_tail + 1;
        rule(wstrb != 0 && w_tail - w_head < 1024, "W without strobes");
        if (wstrb != {BUS{1'b1}}) partial_beats = partial_beats + 1;
        w_beats = w_beats + 1;
        if (wlast) begin
          w_size[size_tail%DEPTH] = w_beats;
          size_tail = size_tail + 1;
          w_beats = 0;
        end
      end

      // A burst whose beats are all here is carried out, beat by beat in ascending order.
      if (size_head != size_tail && aw_head != aw_tail) begin
        address = aw_address[aw_head%DEPTH];
        i = 32'(aw_beats[aw_head%DEPTH]);
        rule(w_size[size_head%DEPTH] == i, "WLAST at the wrong beat");
        size_head = size_head + 1;
        response = answer(address, address + 64'(i) * BUS - 1, 1'b1);
        if (response != 0) bad_answers = bad_answers + 1;
        while (i > 0) begin
          if (response == 0)
            for (j = 0; j < BUS; j = j + 1)
              if (w_strobes[w_head%1024][j]) mem[32'(address-BASE)+j] = w_data[w_head%1024][8*j+:8];
          address = address + BUS;
          w_head = w_head + 1;
          i = i - 1;
        end
        at = aw_id[aw_head%DEPTH];
        b_response[at*DEPTH+b_tail[at]%DEPTH] = response;
        b_tail[at] = b_tail[at] + 1;
        answers_waiting = answers_waiting + 1;
        aw_head = aw_head + 1;
      end

      // Responses: any ID that has something, from a random place on.
      if (bvalid && bready) outstanding = outstanding - 1;
      if (!bvalid || bready) begin
        bvalid <= 0;
        chosen = -1;
        start_id = 32'(random[11:8]) % IDS;
        if (answers_waiting != 0 && now(random[31:24]))
          for (i = 0; i < IDS; i = i + 1)
            if (chosen < 0 && b_head[(start_id+i)%IDS] != b_tail[(start_id+i)%IDS]) chosen = (start_id + i) % IDS;
        if (chosen >= 0) begin
          bvalid <= 1;
          bid <= chosen[ID_BITS-1:0];
          bresp <= b_response[chosen*DEPTH+b_head[chosen]%DEPTH];
          b_head[chosen] = b_head[chosen] + 1;
          answers_waiting = answers_waiting - 1;
        end
      end
      if (rvalid && rready && rlast) outstanding = outstanding - 1;
      if (!rvalid || rready) begin
        rvalid <= 0;
        rlast <= 0;
        chosen = -1;
        start_id = slowness == 0 && r_open >= 0 ? r_open : 32'(random[15:12]) % IDS;
        if (reads_waiting != 0 && now(random[23:16]))
          for (i = 0; i < IDS; i = i + 1)
            if (chosen < 0 && r_head[(start_id+i)%IDS] != r_tail[(start_id+i)%IDS]) chosen = (start_id + i) % IDS;
        if (chosen >= 0) begin
          at = chosen * DEPTH + r_head[chosen] % DEPTH;
          address = r_address[at];
          response = answer(address, address + BUS - 1, 1'b0);
          rvalid <= 1;
          rid <= chosen[ID_BITS-1:0];
          rresp <= response;
          rlast <= r_beats[at] == 1;
          if (response != 0) bad_answers = bad_answers + 1;
          for (j = 0; j < BUS; j = j + 1)
            rdata[8*j+:8] <= response == 0 ? mem[32'(address-BASE)+j] : 8'hee;
          if (r_open >= 0 && r_open != chosen) interleavings = interleavings + 1;
          if (r_beats[at] == r_full[at])
            for (i = 0; i < IDS; i = i + 1)
              if (i != chosen && r_head[i] != r_tail[i] && r_order[i*DEPTH+r_head[i]%DEPTH] < r_order[at]) overtakings = overtakings + 1;
          if (r_beats[at] == 1) begin
            r_head[chosen] = r_head[chosen] + 1;
            reads_waiting = reads_waiting - 1;
            r_open <= -1;
          end else begin
            r_address[at] = address + BUS;
            r_beats[at] = r_beats[at] - 1;
            r_open <= chosen;
          end
        end
      end

      awready <= now(random[7:0]);
      wready <= now(random[31:24] ^ random[7:0]);
      arready <= now(random[19:12]);
      awvalid_before <= awvalid && !(awvalid && awready);
      wvalid_before <= wvalid && !(wvalid && wready);
      arvalid_before <= arvalid && !(arvalid && arready);
      awaddr_before <= awaddr;
      awlen_before <= awlen;
      awid_before <= awid;
      araddr_before <= araddr;
      arlen_before <= arlen;
      arid_before <= arid;
      wdata_before <= wdata;
      wstrb_before <= wstrb;
      wlast_before <= wlast;
    end
  end
endmodule
