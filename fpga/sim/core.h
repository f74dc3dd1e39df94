// The one file that knows the ports of the core (fpga/rtl/physring_core.sv): clocks the Verilated model and shows its bus as plain signals.
#pragma once

#include <cstring>
#include <memory>

#include "Vphysring_core.h"
#include "axi.h"
#include "axil_driver.h"
#include "verilated.h"

class Core {
 public:
  explicit Core(uint64_t seed) {
    context_.randReset(2);  // what reset does not set is random
    context_.randSeed(static_cast<int>(seed & 0x7fffffff));
    core_ = std::make_unique<Vphysring_core>(&context_);
    core_->clk = 0;
    core_->rst_n = 0;
  }
  ~Core() { core_->final(); }

  void setReset(bool on) { core_->rst_n = !on; }
  bool inReset() const { return !core_->rst_n; }

  /** The core's half of the signals, as it is before the next edge. */
  void sample(axi::Signals& s, axi::LiteSignals& lite) {
    core_->eval();
    address(s.aw, core_->m_axi_awvalid, core_->m_axi_awid, core_->m_axi_awaddr, core_->m_axi_awlen, core_->m_axi_awsize, core_->m_axi_awburst);
    address(s.ar, core_->m_axi_arvalid, core_->m_axi_arid, core_->m_axi_araddr, core_->m_axi_arlen, core_->m_axi_arsize, core_->m_axi_arburst);
    s.w.valid = core_->m_axi_wvalid;
    s.w.last = core_->m_axi_wlast;
    s.w.strobes = core_->m_axi_wstrb;
    memcpy(s.w.data, &core_->m_axi_wdata, sizeof core_->m_axi_wdata);
    s.b.ready = core_->m_axi_bready;
    s.r.ready = core_->m_axi_rready;
    lite.awready = core_->s_axil_awready;
    lite.wready = core_->s_axil_wready;
    lite.bvalid = core_->s_axil_bvalid;
    lite.bresp = core_->s_axil_bresp;
    lite.arready = core_->s_axil_arready;
    lite.rvalid = core_->s_axil_rvalid;
    lite.rresp = core_->s_axil_rresp;
    lite.rdata = core_->s_axil_rdata;
  }

  /** A rising edge with the inputs as they were; then the other half of the signals. */
  void clock(const axi::Signals& s, const axi::LiteSignals& lite) {
    core_->clk = 1;
    core_->eval();
    core_->m_axi_awready = s.aw.ready;
    core_->m_axi_wready = s.w.ready;
    core_->m_axi_bvalid = s.b.valid;
    core_->m_axi_bid = s.b.id;
    core_->m_axi_bresp = s.b.response;
    core_->m_axi_arready = s.ar.ready;
    core_->m_axi_rvalid = s.r.valid;
    core_->m_axi_rid = s.r.id;
    core_->m_axi_rresp = s.r.response;
    core_->m_axi_rlast = s.r.last;
    memcpy(&core_->m_axi_rdata, s.r.data, sizeof core_->m_axi_rdata);
    core_->s_axil_awvalid = lite.awvalid;
    core_->s_axil_awaddr = lite.awaddr;
    core_->s_axil_wvalid = lite.wvalid;
    core_->s_axil_wdata = lite.wdata;
    core_->s_axil_wstrb = lite.wstrb;
    core_->s_axil_bready = lite.bready;
    core_->s_axil_arvalid = lite.arvalid;
    core_->s_axil_araddr = lite.araddr;
    core_->s_axil_rready = lite.rready;
    core_->clk = 0;
  }

  uint32_t interrupts() const { return core_->irq; }
  static constexpr unsigned busBytes() { return sizeof(decltype(Vphysring_core::m_axi_wdata)) >= 8 ? sizeof(std::remove_reference_t<decltype(Vphysring_core::m_axi_wdata)>) : 8; }
  static constexpr unsigned idBits() { return CORE_ID_BITS; }

 private:
  template <class Id>
  static void address(axi::AddressChannel& a, bool valid, Id id, uint64_t address, uint8_t length, uint8_t size, uint8_t burst) {
    a.valid = valid;
    a.id = id;
    a.address = address;
    a.length = length;
    a.size = size;
    a.burst = burst;
  }

  VerilatedContext context_;
  std::unique_ptr<Vphysring_core> core_;
};
