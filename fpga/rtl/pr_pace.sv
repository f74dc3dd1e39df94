// Ticks of a stream (10.7): a credit for each frame, at most one unused.
module pr_pace (
    input logic clk,
    input logic rst_n,
    input logic restart,  // the queue starts
    input logic running,
    input logic [31:0] cycles,  // between ticks, 0: not paced
    input logic drop_newest,  // else: the clock stands still while a credit is unused
    input logic taken,  // a paced command started
    output logic credit,
    output logic [31:0] sequence_number,  // of the frame that the credit is for
    output logic [31:0] ticks,
    output logic [31:0] missed
);
  logic [31:0] left;
  logic waiting, paced, tick;
  logic [31:0] waiting_sequence;

  assign paced = cycles != 0;
  assign credit = !paced || waiting;
  assign sequence_number = paced ? waiting_sequence : ticks;
  assign tick = running && paced && left == 0 && (drop_newest || !waiting);

  always_ff @(posedge clk) begin
    if (!rst_n || restart) begin
      left <= cycles - 1'b1;
      waiting <= 1'b0;
      waiting_sequence <= '0;
      ticks <= '0;
      missed <= '0;
    end else begin
      if (tick) left <= cycles - 1'b1;
      else if (left != 0 && (drop_newest || !waiting)) left <= left - 1'b1;
      if (paced) begin
        if (taken) waiting <= 1'b0;
        if (tick) begin
          ticks <= ticks + 1'b1;
          if (waiting && !taken) missed <= missed + 1'b1;
          else begin
            waiting <= 1'b1;
            waiting_sequence <= ticks;
          end
        end
      end else if (taken) ticks <= ticks + 1'b1;
    end
  end
endmodule
