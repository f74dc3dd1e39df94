// AXI4-Lite slave, 64 KiB: turns bus accesses into one-clock register writes and reads. Word writes only; a write with
// missing strobes is answered OKAY and ignored (10.3). Reads have no side effects.
module pr_axil (
    input logic clk,
    input logic rst_n,

    input logic [15:0] awaddr,
    input logic awvalid,
    output logic awready,
    input logic [31:0] wdata,
    input logic [3:0] wstrb,
    input logic wvalid,
    output logic wready,
    output logic [1:0] bresp,
    output logic bvalid,
    input logic bready,
    input logic [15:0] araddr,
    input logic arvalid,
    output logic arready,
    output logic [31:0] rdata,
    output logic [1:0] rresp,
    output logic rvalid,
    input logic rready,

    output logic write,  // one clock
    output logic [13:0] write_word,  // address / 4
    output logic [31:0] write_data,
    output logic [13:0] read_word,
    input logic [31:0] read_data  // combinational
);
  logic read_pending;

  assign bresp = 2'b00;
  assign rresp = 2'b00;

  // Address and data are taken together, so neither channel needs a buffer.
  logic take;
  assign take = awvalid && wvalid && !bvalid && !awready;

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      awready <= 1'b0;
      wready <= 1'b0;
      bvalid <= 1'b0;
      write <= 1'b0;
      write_word <= '0;
      write_data <= '0;
    end else begin
      awready <= take;
      wready <= take;
      write <= take && wstrb == 4'hf;
      if (take) begin
        write_word <= awaddr[15:2];
        write_data <= wdata;
      end
      if (awready) bvalid <= 1'b1;
      else if (bready) bvalid <= 1'b0;
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      arready <= 1'b0;
      rvalid <= 1'b0;
      rdata <= '0;
      read_word <= '0;
      read_pending <= 1'b0;
    end else begin
      arready <= arvalid && !arready && !read_pending && !rvalid;
      if (arvalid && !arready && !read_pending && !rvalid) read_word <= araddr[15:2];
      read_pending <= arvalid && arready;
      if (read_pending) begin
        rvalid <= 1'b1;
        rdata <= read_data;
      end else if (rready) rvalid <= 1'b0;
    end
  end

  logic unused;
  assign unused = &{1'b0, awaddr[1:0], araddr[1:0]};
endmodule
