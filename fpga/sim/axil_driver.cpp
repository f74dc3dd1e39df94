#include "axil_driver.h"

namespace axi {

void LiteDriver::reset(LiteSignals& s) {
  s.awvalid = s.wvalid = s.arvalid = s.bready = s.rready = false;
  writes_.clear();
  reads_.clear();
  writesDone_ = 0;
  writing_ = reading_ = false;
  previous_ = LiteSignals();
}

void LiteDriver::stable(const LiteSignals& s) {
  const LiteSignals& p = previous_;
  if (p.bvalid && !p.bready && !(s.bvalid && s.bresp == p.bresp)) report_("AXI4-Lite B: withdrawn or changed before BREADY");
  if (p.rvalid && !p.rready && !(s.rvalid && s.rdata == p.rdata && s.rresp == p.rresp)) report_("AXI4-Lite R: withdrawn or changed before RREADY");
  if (s.bvalid && !writing_) report_("AXI4-Lite B: a response that nothing asked for");
  if (s.rvalid && !reading_) report_("AXI4-Lite R: data that nothing asked for");
  if (s.bvalid && s.bresp != 0) report_("AXI4-Lite B: a register write was refused");
  if (s.rvalid && s.rresp != 0) report_("AXI4-Lite R: a register read was refused");
  previous_ = s;
}

void LiteDriver::clock(LiteSignals& s) {
  stable(s);
  if (s.awvalid && s.awready) s.awvalid = false;
  if (s.wvalid && s.wready) s.wvalid = false;
  if (s.bvalid && s.bready && writing_) {
    writing_ = false;
    writesDone_++;
    writes_.pop_front();
  }
  if (s.arvalid && s.arready) s.arvalid = false;
  if (s.rvalid && s.rready && reading_) {
    reading_ = false;
    const auto then = std::move(reads_.front().then);
    reads_.pop_front();
    then(s.rdata);
  }
  if (!writing_ && !writes_.empty() && goes()) {
    writing_ = s.awvalid = s.wvalid = true;
    s.awaddr = writes_.front().address;
    s.wdata = writes_.front().value;
    s.wstrb = 0xf;
  }
  if (!reading_ && !reads_.empty() && writesDone_ >= reads_.front().after && goes()) {
    reading_ = s.arvalid = true;
    s.araddr = reads_.front().address;
  }
  s.bready = goes();
  s.rready = goes();
}

}  // namespace axi
