// AXI4 read channels shared by CLIENTS readers, in turn. The client's number is its AXI ID, so the bus may answer different
// clients in any order. Every reader reserves room for all beats before it asks: RREADY is always high.
// A client may withdraw a request that was not taken (arready low): what is on the bus is latched here and stays stable.
module pr_axi_read #(
    parameter int DATA_BITS = 64,
    parameter int ID_BITS = 4,
    parameter int CLIENTS = 1
) (
    input logic clk,
    input logic rst_n,

    input logic [CLIENTS-1:0] c_arvalid,
    input logic [CLIENTS*64-1:0] c_araddr,
    input logic [CLIENTS*8-1:0] c_arlen,
    output logic [CLIENTS-1:0] c_arready,  // taken in this clock
    output logic [CLIENTS-1:0] c_rvalid,  // data, response and last go to all straight from the bus

    output logic [ID_BITS-1:0] m_arid,
    output logic [63:0] m_araddr,
    output logic [7:0] m_arlen,
    output logic [2:0] m_arsize,
    output logic [1:0] m_arburst,
    output logic m_arvalid,
    input logic m_arready,
    input logic [ID_BITS-1:0] m_rid,
    input logic m_rvalid,
    output logic m_rready
);
  assign m_arsize = 3'($clog2(DATA_BITS / 8));
  assign m_arburst = 2'b01;
  assign m_rready = 1'b1;

  logic [ID_BITS-1:0] turn;  // looked at first
  logic [ID_BITS-1:0] chosen;
  logic found;
  logic free;
  assign free = !m_arvalid || m_arready;

  // The first from `turn` on, else the first of all.
  assign found = c_arvalid != '0;
  always_comb begin
    chosen = '0;
    for (int i = CLIENTS - 1; i >= 0; i--) if (c_arvalid[i]) chosen = ID_BITS'(i);
    for (int i = CLIENTS - 1; i >= 0; i--) if (c_arvalid[i] && ID_BITS'(i) >= turn) chosen = ID_BITS'(i);
  end

  always_comb begin
    for (int i = 0; i < CLIENTS; i++) begin
      c_arready[i] = free && found && chosen == ID_BITS'(i);
      c_rvalid[i]  = m_rvalid && m_rid == ID_BITS'(i);
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      m_arvalid <= 1'b0;
      m_arid <= '0;
      m_araddr <= '0;
      m_arlen <= '0;
      turn <= '0;
    end else if (free) begin
      m_arvalid <= found;
      if (found) begin
        m_arid <= chosen;
        m_araddr <= c_araddr[chosen*64+:64];
        m_arlen <= c_arlen[chosen*8+:8];
        turn <= chosen == ID_BITS'(CLIENTS - 1) ? '0 : chosen + 1'b1;
      end
    end
  end
endmodule
