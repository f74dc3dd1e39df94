// Gives the next descriptor of each queue, in turn, to a free executor. A paced command whose credit has not come is passed
// over: it waits in its queue and holds nothing up but that queue.
module pr_dispatch #(
    parameter int QUEUES = 4,
    parameter int QUEUE_BITS = 2,
    parameter int EXECUTORS = 2,
    parameter int SLOT_BITS = 3
) (
    input logic clk,
    input logic rst_n,

    input logic [QUEUES-1:0] ready,  // running, a descriptor is here, the completion ring has room
    input logic [QUEUES-1:0] credit,  // for a paced command
    input logic [QUEUES*SLOT_BITS-1:0] slot,
    input logic [QUEUES*32-1:0] index,
    input logic [QUEUES*32-1:0] sequence_number,
    output logic [QUEUES-1:0] started,  // one clock, together with `start`
    output logic started_paced,

    output logic [QUEUE_BITS-1:0] read_queue,
    output logic [SLOT_BITS-1:0] read_slot,
    input logic [pr::LINE_BITS-1:0] read_line,

    input logic [EXECUTORS-1:0] busy,
    output logic [EXECUTORS-1:0] start,
    output logic [QUEUE_BITS-1:0] start_queue,
    output logic [31:0] start_index,
    output logic [31:0] start_sequence,
    output logic [pr::LINE_BITS-1:0] start_descriptor
);
  logic looked;  // start_descriptor is the head of start_queue
  logic paced, go;
  logic [EXECUTORS-1:0] lowest_free;

  assign read_queue = start_queue;
  assign read_slot = slot[start_queue*SLOT_BITS+:SLOT_BITS];
  assign start_index = index[start_queue*32+:32];
  assign start_sequence = sequence_number[start_queue*32+:32];
  assign paced = start_descriptor[7:0] == pr::OP_SOURCE || start_descriptor[7:0] == pr::OP_SINK;
  assign go = looked && ready[start_queue] && (!paced || credit[start_queue]) && busy != '1;
  assign lowest_free = ~busy & (busy + 1'b1);
  assign start = go ? lowest_free : '0;
  assign started_paced = paced;

  always_comb begin
    for (int i = 0; i < QUEUES; i++) started[i] = go && start_queue == QUEUE_BITS'(i);
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      looked <= 1'b0;
      start_queue <= '0;
      start_descriptor <= '0;
    end else if (!looked && ready[start_queue] && busy != '1) begin
      start_descriptor <= read_line;
      looked <= 1'b1;
    end else if (!looked || go || !ready[start_queue] || (paced && !credit[start_queue])) begin
      looked <= 1'b0;
      start_queue <= start_queue == QUEUE_BITS'(QUEUES - 1) ? '0 : start_queue + 1'b1;
    end
  end
endmodule
