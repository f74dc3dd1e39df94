/* The limit: src/ring/spsc.ts in C. The same layout (docs/PROTOCOL.md section 5), cached indices, contiguous runs and
 * look-ahead; acquire loads and release stores instead of the stronger ones JavaScript has. */
#pragma once
#include <stdatomic.h>
#include "common.h"

enum { TAIL_OFFSET = 128, HEAD_OFFSET = 256, SLOTS_OFFSET = 768, CACHE_LINE_BYTES = 64, LINES_AHEAD = 8 };

typedef struct {
  _Atomic uint32_t *tail;
  _Atomic uint32_t *head;
  uint8_t *slots;
  uint32_t slot_bytes, capacity, mask;
  uint32_t mine, cached;   /* own index; last seen index of the other end */
  uint32_t touched, ahead; /* producer: end of the lines asked for; slots to ask for at once */
  uint32_t *at;            /* first slot of the current run */
} ring_end;

static inline ring_end ring_open(uint8_t *ring, uint32_t slot_bytes, uint32_t capacity) {
  uint32_t ahead = LINES_AHEAD * CACHE_LINE_BYTES / slot_bytes;
  ring_end end = {.tail = (_Atomic uint32_t *)(ring + TAIL_OFFSET),
                  .head = (_Atomic uint32_t *)(ring + HEAD_OFFSET),
                  .slots = ring + SLOTS_OFFSET,
                  .slot_bytes = slot_bytes,
                  .capacity = capacity,
                  .mask = capacity - 1,
                  .ahead = ahead > 0 ? ahead : 1};
  return end;
}

/* Takes ownership of the lines about to be written, all at once (see SpscProducer.touch). Not for bursts of 16-byte slots: a slot is one vector
 * store here, and those get ahead by themselves (measured 10 % faster without, and 1.3 to 2.8 x slower without it everywhere else). */
static inline int ring_touches(const ring_end *end, uint32_t count) { return count == 1 || end->slot_bytes >= CACHE_LINE_BYTES; }

static inline void ring_touch(ring_end *end, uint32_t count, uint32_t limit) {
  uint32_t ahead = count < end->ahead ? end->ahead : count;
  if (ahead > limit) ahead = limit;
  uint32_t step = end->slot_bytes > CACHE_LINE_BYTES ? end->slot_bytes : CACHE_LINE_BYTES;
  uint8_t *line = (uint8_t *)end->at, *stop = line + (size_t)ahead * end->slot_bytes;
  for (; line < stop; line += step) *(volatile uint32_t *)line = 0;
  end->touched = end->mine + ahead;
}

static inline uint32_t ring_reserve(ring_end *end, uint32_t max) {
  uint32_t position = end->mine & end->mask, room = end->capacity - position;
  uint32_t wanted = max < room ? max : room;
  uint32_t free_slots = end->capacity - (end->mine - end->cached);
  if (free_slots < wanted) {
    end->cached = atomic_load_explicit(end->head, memory_order_acquire); /* SYNC free-slot */
    free_slots = end->capacity - (end->mine - end->cached);
    if (free_slots == 0) {
      SPIN_HINT();
      return 0;
    }
  }
  uint32_t count = wanted < free_slots ? wanted : free_slots;
  end->at = (uint32_t *)(end->slots + (size_t)position * end->slot_bytes);
  if (ring_touches(end, count) && (int32_t)(end->mine + count - end->touched) > 0) ring_touch(end, count, free_slots < room ? free_slots : room);
  return count;
}

static inline void ring_commit(ring_end *end, uint32_t count) {
  end->mine += count;
  atomic_store_explicit(end->tail, end->mine, memory_order_release); /* SYNC publish */
}

static inline uint32_t ring_peek(ring_end *end, uint32_t max) {
  uint32_t available = end->cached - end->mine;
  if (available == 0) {
    end->cached = atomic_load_explicit(end->tail, memory_order_acquire); /* SYNC publish */
    available = end->cached - end->mine;
    if (available == 0) {
      SPIN_HINT();
      return 0;
    }
  }
  uint32_t position = end->mine & end->mask, room = end->capacity - position;
  if (available > room) available = room;
  end->at = (uint32_t *)(end->slots + (size_t)position * end->slot_bytes);
  return available < max ? available : max;
}

static inline void ring_release(ring_end *end, uint32_t count) {
  end->mine += count;
  atomic_store_explicit(end->head, end->mine, memory_order_release); /* SYNC free-slot */
}
