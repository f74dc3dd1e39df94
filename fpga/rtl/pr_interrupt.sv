// The interrupt line of one queue (10.5): a level computed from two free-running counters and a timer. Nothing to clear.
module pr_interrupt (
    input logic clk,
    input logic rst_n,
    input logic alive,  // running or halted
    input logic halted,
    input logic [31:0] count,  // register interruptCount, 0: off
    input logic [31:0] cycles,  // register interruptCycles, 0: no timer
    input logic [31:0] cq_tail,
    input logic [31:0] cq_head,
    output logic line,
    output logic [31:0] events
);
  logic [31:0] pending, head_before, age;
  logic head_moved, some, wanted;

  // A host may take an entry before its bus response has moved cqTail: the difference is -1 for a moment.
  assign pending = cq_tail - cq_head;
  assign some = pending != 0 && !pending[31];
  assign head_moved = cq_head != head_before;
  assign wanted = alive && count != 0 && (halted || (some && (pending >= count || (cycles != 0 && age >= cycles))));

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      line <= 1'b0;
      events <= '0;
      age <= '0;
      head_before <= '0;
    end else begin
      head_before <= cq_head;
      // Low for a clock after each acknowledgement: edge-triggered controllers see what is left as a new edge.
      line <= wanted && !head_moved;
      if (wanted && !head_moved && !line) events <= events + 1'b1;
      if (!some || head_moved) age <= '0;
      else if (age != '1) age <= age + 1'b1;
    end
  end
endmodule
