// AXI4 write channels shared by CLIENTS writers, a burst at a time, in turn. A client asks only when it has all beats of the
// burst, so a burst that was begun always ends, whatever happens to the command behind it. The client's number is its ID.
module pr_axi_write #(
    parameter int DATA_BITS = 64,
    parameter int ID_BITS = 4,
    parameter int CLIENTS = 1
) (
    input logic clk,
    input logic rst_n,

    input logic [CLIENTS-1:0] c_awvalid,
    input logic [CLIENTS*64-1:0] c_awaddr,
    input logic [CLIENTS*8-1:0] c_awlen,
    output logic [CLIENTS-1:0] c_awready,  // taken in this clock; the beats follow
    input logic [CLIENTS*DATA_BITS-1:0] c_wdata,  // valid whenever wready may come: after awready
    input logic [CLIENTS*DATA_BITS/8-1:0] c_wstrb,
    output logic [CLIENTS-1:0] c_wready,  // one beat taken in this clock
    output logic [CLIENTS-1:0] c_bvalid,

    output logic [ID_BITS-1:0] m_awid,
    output logic [63:0] m_awaddr,
    output logic [7:0] m_awlen,
    output logic [2:0] m_awsize,
    output logic [1:0] m_awburst,
    output logic m_awvalid,
    input logic m_awready,
    output logic [DATA_BITS-1:0] m_wdata,
    output logic [DATA_BITS/8-1:0] m_wstrb,
    output logic m_wlast,
    output logic m_wvalid,
    input logic m_wready,
    input logic [ID_BITS-1:0] m_bid,
    input logic m_bvalid,
    output logic m_bready
);
  localparam int BYTES = DATA_BITS / 8;

  assign m_awsize = 3'($clog2(BYTES));
  assign m_awburst = 2'b01;
  assign m_bready = 1'b1;

  logic [ID_BITS-1:0] turn, chosen;
  logic found;
  logic sending;  // beats of client m_awid are on their way
  logic [7:0] beats_left;  // after the present one

  // The first from `turn` on, else the first of all.
  assign found = c_awvalid != '0;
  always_comb begin
    chosen = '0;
    for (int i = CLIENTS - 1; i >= 0; i--) if (c_awvalid[i]) chosen = ID_BITS'(i);
    for (int i = CLIENTS - 1; i >= 0; i--) if (c_awvalid[i] && ID_BITS'(i) >= turn) chosen = ID_BITS'(i);
  end

  logic grant;
  assign grant = found && !sending && !m_awvalid;

  assign m_wvalid = sending;
  assign m_wlast = beats_left == 0;
  assign m_wdata = c_wdata[m_awid*DATA_BITS+:DATA_BITS];
  assign m_wstrb = c_wstrb[m_awid*BYTES+:BYTES];

  always_comb begin
    for (int i = 0; i < CLIENTS; i++) begin
      c_awready[i] = grant && chosen == ID_BITS'(i);
      c_wready[i]  = sending && m_wready && m_awid == ID_BITS'(i);
      c_bvalid[i]  = m_bvalid && m_bid == ID_BITS'(i);
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      m_awvalid <= 1'b0;
      m_awid <= '0;
      m_awaddr <= '0;
      m_awlen <= '0;
      sending <= 1'b0;
      beats_left <= '0;
      turn <= '0;
    end else if (grant) begin
      m_awvalid <= 1'b1;
      m_awid <= chosen;
      m_awaddr <= c_awaddr[chosen*64+:64];
      m_awlen <= c_awlen[chosen*8+:8];
      sending <= 1'b1;
      beats_left <= c_awlen[chosen*8+:8];
      turn <= chosen == ID_BITS'(CLIENTS - 1) ? '0 : chosen + 1'b1;
    end else begin
      if (m_awready) m_awvalid <= 1'b0;
      if (sending && m_wready) begin
        sending <= !m_wlast;
        beats_left <= beats_left - 1'b1;
      end
    end
  end
endmodule
