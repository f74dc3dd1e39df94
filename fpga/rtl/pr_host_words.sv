// The host's half of a queue's page (10.3): twenty words that only the host writes.
module pr_host_words (
    input logic clk,
    input logic rst_n,
    input logic write,
    input logic [9:0] write_word,  // byte offset in the page / 4
    input logic [31:0] write_data,
    input logic [9:0] read_word,
    output logic [31:0] read_data,

    output logic [31:0] control,
    output logic [31:0] capacity_log2,
    output logic [pr::CFG_BITS-1:0] config_words,
    output logic [31:0] interrupt_count,
    output logic [31:0] interrupt_cycles,
    output logic [31:0] pace_cycles,
    output logic [31:0] pace_policy,
    output logic [31:0] sq_tail,
    output logic [31:0] cq_head
);
  localparam int WORDS = 20;
  localparam logic [4:0] NONE = 5'd31;

  // Words 0x000 ... 0x044 are slots 0 ... 17; the two that change with every batch have lines of their own.
  function automatic logic [4:0] slot_of(input logic [9:0] word);
    slot_of = NONE;
    if (word < 10'd18) slot_of = word[4:0];
    if (word == 10'h020) slot_of = 5'd18;
    if (word == 10'h030) slot_of = 5'd19;
  endfunction

  logic [WORDS*32-1:0] words;
  logic [4:0] write_slot, read_slot;
  assign write_slot = slot_of(write_word);
  assign read_slot = slot_of(read_word);
  always_comb begin
    read_data = 32'd0;
    for (int i = 0; i < WORDS; i++) read_data = read_data | (words[i*32+:32] & {32{read_slot == 5'(i)}});
  end

  assign control = words[0*32+:32];
  assign capacity_log2 = words[1*32+:32];
  assign config_words = words[2*32+:pr::CFG_BITS];
  assign interrupt_count = words[14*32+:32];
  assign interrupt_cycles = words[15*32+:32];
  assign pace_cycles = words[16*32+:32];
  assign pace_policy = words[17*32+:32];
  assign sq_tail = words[18*32+:32];
  assign cq_head = words[19*32+:32];

  // An enable for each word: `words[write_slot*32+:32] <=` would be two shifters of 640 bits.
  always_ff @(posedge clk) begin
    if (!rst_n) words <= '0;
    else if (write) begin
      for (int i = 0; i < WORDS; i++) if (write_slot == 5'(i)) words[i*32+:32] <= write_data;
    end
  end
endmodule
