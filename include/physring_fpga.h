/*
 * physring_fpga.h - the hardware side of physring in C11 (or C++11): constants, layouts and one-line rules. MIT licence.
 *
 * docs/PROTOCOL.md section 10 is the authority; section numbers are its. Nothing here touches memory or registers: how a
 * register is read (once, 32 bits, volatile) and which barrier a board needs is the caller's. fpga/vectors holds the same
 * bytes as text, checked against this header, the TypeScript host and the RTL.
 */
#ifndef PHYSRING_FPGA_H
#define PHYSRING_FPGA_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "physring memory is little-endian"
#endif
#ifdef __cplusplus
#define PHYSRING_FPGA_ASSERT_(condition) static_assert(condition, #condition)
#else
#define PHYSRING_FPGA_ASSERT_(condition) _Static_assert(condition, #condition)
#endif

/* ---- Queue memory (10.1) ------------------------------------------------------------------------------- */

enum {
  PHYSRING_FPGA_DESCRIPTOR_BYTES = 64,
  PHYSRING_FPGA_COMPLETION_BYTES = 32,
  PHYSRING_FPGA_LIST_ENTRY_BYTES = 16,
  PHYSRING_FPGA_ALIGN_BYTES = 64,
  PHYSRING_FPGA_GRANULE_BYTES = 128, /* at least; the CPU's cache writeback granule if that is larger */
  PHYSRING_FPGA_MIN_CAPACITY_LOG2 = 1,
  PHYSRING_FPGA_MAX_CAPACITY_LOG2 = 12,
  PHYSRING_FPGA_MAX_LIST_ENTRIES = 1024,
  PHYSRING_FPGA_MAX_EPOCH = 0xffffff
};
#define PHYSRING_FPGA_MAX_LENGTH_BYTES 0x80000000u

enum { PHYSRING_FPGA_FLAG_SOURCE_LIST = 1 << 8, PHYSRING_FPGA_FLAG_DESTINATION_LIST = 1 << 9 }; /* of word 0 */

typedef struct physring_fpga_descriptor { /* host writes, `validity` last; core reads */
  uint32_t opcode_flags, tag, source[2], destination[2], length_bytes, list_entries, parameter[3], host[4], validity;
} physring_fpga_descriptor;

typedef struct physring_fpga_completion { /* core writes, `validity` last; host reads */
  uint32_t tag, status_opcode, bytes, result, cycles[2], index, validity;
} physring_fpga_completion;

typedef struct physring_fpga_list_entry { /* host writes, core reads */
  uint32_t address[2], bytes, zero;
} physring_fpga_list_entry;

PHYSRING_FPGA_ASSERT_(sizeof(physring_fpga_descriptor) == PHYSRING_FPGA_DESCRIPTOR_BYTES);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_descriptor, source) == 8);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_descriptor, destination) == 16);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_descriptor, length_bytes) == 24);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_descriptor, list_entries) == 28);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_descriptor, parameter) == 32);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_descriptor, validity) == 60);
PHYSRING_FPGA_ASSERT_(sizeof(physring_fpga_completion) == PHYSRING_FPGA_COMPLETION_BYTES);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_completion, cycles) == 16);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_completion, index) == 24);
PHYSRING_FPGA_ASSERT_(offsetof(physring_fpga_completion, validity) == 28);
PHYSRING_FPGA_ASSERT_(sizeof(physring_fpga_list_entry) == PHYSRING_FPGA_LIST_ENTRY_BYTES);

/* The word that makes entry or descriptor `index` of a ring with 2^capacity_log2 slots valid. */
static inline uint32_t physring_fpga_validity(uint32_t epoch, uint32_t index, unsigned capacity_log2) {
  return epoch << 8 | (((index >> capacity_log2) + 1) & 1);
}

/* ---- Opcodes (10.2) ------------------------------------------------------------------------------------ */

enum physring_fpga_opcode {
  PHYSRING_FPGA_NOP = 0,
  PHYSRING_FPGA_COPY = 1,
  PHYSRING_FPGA_FILL = 2,
  PHYSRING_FPGA_CRC32 = 3,
  PHYSRING_FPGA_THRESHOLD = 4,
  PHYSRING_FPGA_FILTER3X3 = 5,
  PHYSRING_FPGA_SOURCE = 6,
  PHYSRING_FPGA_SINK = 7,
  PHYSRING_FPGA_OPCODES = 8
};
#define PHYSRING_FPGA_SOURCE_STEP 0x9e3779b1u

/* Word `j` of frame `sequence` as SOURCE writes it. */
static inline uint32_t physring_fpga_source_word(uint32_t seed, uint32_t sequence, uint32_t j) {
  return seed + (sequence << 16 | sequence >> 16) + j * PHYSRING_FPGA_SOURCE_STEP;
}

/* ---- Registers (10.3): byte offsets -------------------------------------------------------------------- */

enum {
  PHYSRING_FPGA_REGISTER_BYTES = 65536,
  PHYSRING_FPGA_PAGE_BYTES = 4096, /* page 0 global, page 1 + q queue q */
  PHYSRING_FPGA_MAX_QUEUES = 15
};
#define PHYSRING_FPGA_MAGIC 0x57485250u /* "PRHW" */
#define PHYSRING_FPGA_VERSION 1u

enum physring_fpga_global_register { /* device writes, constant */
  PHYSRING_FPGA_REG_MAGIC = 0x000,
  PHYSRING_FPGA_REG_VERSION = 0x004,
  PHYSRING_FPGA_REG_QUEUE_COUNT = 0x008,
  PHYSRING_FPGA_REG_BUS_BYTES = 0x00c,
  PHYSRING_FPGA_REG_OPCODES = 0x010,
  PHYSRING_FPGA_REG_MAX_CAPACITY_LOG2 = 0x014,
  PHYSRING_FPGA_REG_MAX_LIST_ENTRIES = 0x018,
  PHYSRING_FPGA_REG_CLOCK_HZ = 0x01c,
  PHYSRING_FPGA_REG_OUTSTANDING_READS = 0x020,
  PHYSRING_FPGA_REG_EXECUTORS = 0x024,
  PHYSRING_FPGA_REG_MAX_FILTER_WIDTH = 0x028,
  PHYSRING_FPGA_REG_MAX_BURST_BYTES = 0x02c
};

enum physring_fpga_host_register { /* offsets in a queue's page; host writes */
  PHYSRING_FPGA_REG_CONTROL = 0x000,
  PHYSRING_FPGA_REG_CAPACITY_LOG2 = 0x004,
  PHYSRING_FPGA_REG_SQ_BASE = 0x008, /* 64-bit numbers: low word here, high word 4 further */
  PHYSRING_FPGA_REG_CQ_BASE = 0x010,
  PHYSRING_FPGA_REG_QUEUE_WINDOW_BASE = 0x018,
  PHYSRING_FPGA_REG_QUEUE_WINDOW_LIMIT = 0x020,
  PHYSRING_FPGA_REG_DATA_WINDOW_BASE = 0x028,
  PHYSRING_FPGA_REG_DATA_WINDOW_LIMIT = 0x030,
  PHYSRING_FPGA_REG_INTERRUPT_COUNT = 0x038,
  PHYSRING_FPGA_REG_INTERRUPT_CYCLES = 0x03c,
  PHYSRING_FPGA_REG_PACE_CYCLES = 0x040,
  PHYSRING_FPGA_REG_PACE_POLICY = 0x044,
  PHYSRING_FPGA_REG_SQ_TAIL = 0x080,
  PHYSRING_FPGA_REG_CQ_HEAD = 0x0c0
};

enum physring_fpga_device_register { /* offsets in a queue's page; device writes */
  PHYSRING_FPGA_REG_STATE = 0x100,
  PHYSRING_FPGA_REG_HALT_CODE = 0x104,
  PHYSRING_FPGA_REG_SQ_HEAD = 0x108,
  PHYSRING_FPGA_REG_CQ_TAIL = 0x10c,
  PHYSRING_FPGA_REG_INTERRUPT_EVENTS = 0x110,
  PHYSRING_FPGA_REG_TICKS = 0x114,
  PHYSRING_FPGA_REG_MISSED = 0x118,
  PHYSRING_FPGA_REG_DESCRIPTOR_FETCHES = 0x140,
  PHYSRING_FPGA_REG_LIST_FETCHES = 0x144,
  PHYSRING_FPGA_REG_READ_BURSTS = 0x148,
  PHYSRING_FPGA_REG_WRITE_BURSTS = 0x14c,
  PHYSRING_FPGA_REG_COMPLETION_WRITES = 0x150,
  PHYSRING_FPGA_REG_FAILED_COMMANDS = 0x154,
  PHYSRING_FPGA_REG_BUS_ERRORS = 0x158
};

enum { PHYSRING_FPGA_CONTROL_ENABLE = 1, PHYSRING_FPGA_EPOCH_SHIFT = 8, PHYSRING_FPGA_STATE_MASK = 0xff };
enum physring_fpga_state {
  PHYSRING_FPGA_IDLE = 0,
  PHYSRING_FPGA_RUNNING = 1,
  PHYSRING_FPGA_STOPPING = 2,
  PHYSRING_FPGA_HALTED = 3
};
enum { PHYSRING_FPGA_PACE_WAIT = 0, PHYSRING_FPGA_PACE_DROP_NEWEST = 1 };

static inline uint32_t physring_fpga_queue_page(unsigned queue) {
  return (1 + queue) * (uint32_t)PHYSRING_FPGA_PAGE_BYTES;
}

/* ---- Codes (10.6) -------------------------------------------------------------------------------------- */

enum physring_fpga_status {
  PHYSRING_FPGA_OK = 0,
  PHYSRING_FPGA_ERR_OPCODE = 1,
  PHYSRING_FPGA_ERR_FLAGS = 2,
  PHYSRING_FPGA_ERR_LENGTH = 3,
  PHYSRING_FPGA_ERR_PARAMETER = 4,
  PHYSRING_FPGA_ERR_ALIGNMENT = 5,
  PHYSRING_FPGA_ERR_RANGE = 6,
  PHYSRING_FPGA_ERR_LIST = 7,
  PHYSRING_FPGA_ERR_READ_SLVERR = 16,
  PHYSRING_FPGA_ERR_READ_DECERR = 17,
  PHYSRING_FPGA_ERR_WRITE_SLVERR = 18,
  PHYSRING_FPGA_ERR_WRITE_DECERR = 19,
  PHYSRING_FPGA_ERR_LIST_SLVERR = 20,
  PHYSRING_FPGA_ERR_LIST_DECERR = 21
};

enum physring_fpga_halt {
  PHYSRING_FPGA_HALT_NONE = 0,
  PHYSRING_FPGA_HALT_FETCH = 1,
  PHYSRING_FPGA_HALT_COMPLETE = 2,
  PHYSRING_FPGA_HALT_STALE = 3,
  PHYSRING_FPGA_HALT_SQ_TAIL = 4,
  PHYSRING_FPGA_HALT_CQ_HEAD = 5,
  PHYSRING_FPGA_HALT_CONFIG = 6
};

#endif
