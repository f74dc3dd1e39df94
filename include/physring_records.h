/*
 * physring_records.h - records and broadcast (docs/PROTOCOL.md section 12). Part of physring.h: include that. MIT licence.
 *
 *     physring_record_producer tx;                               // one producer
 *     physring_record_producer_attach(&tx, &region, "log");
 *     if (physring_record_reserve(&tx, 64, &payload) == 1) {     // 0: full (reliable only)
 *       ... write up to 64 bytes at `payload` ...
 *       physring_record_commit(&tx, 64);                         // or several times _finish, then _publish
 *     }
 *
 *     physring_record_consumer rx;                               // reliable or lossy, as the records are
 *     physring_record_consumer_attach(&rx, &region, "log", 0);
 *     while ((status = physring_record_next(&rx, &payload, &length)) == 1) {
 *       ... read `length` bytes at `payload` ...
 *       if (physring_record_intact(&rx) != 1) continue;          // lossy: overwritten while it was read
 *     }
 *     physring_record_release(&rx);                              // reliable: gives all of them back with one store
 *
 * Not here: policies and stall timeouts (the caller decides what to do when reserve returns 0; physring_record_evict_gating
 * is the step), and lossy reading of regions that may not be written.
 */
#ifndef PHYSRING_RECORDS_H
#define PHYSRING_RECORDS_H
#include "physring.h"

/* ---- Layout ----------------------------------------------------------------------------------------------- */

enum {
  PHYSRING_RECORDS_MAGIC = 0x53434552, /* "RECS" */
  PHYSRING_RECORDS_VERSION = 1,
  PHYSRING_RECORDS_MIN_CAPACITY_BYTES = 4096,
  PHYSRING_RECORDS_MAX_CAPACITY_BYTES = 1 << 30,
  PHYSRING_RECORDS_MAX_CURSORS = 31,
  PHYSRING_RECORDS_MAX_HISTORY = 1 << 15,
  PHYSRING_RECORDS_MAX_INDEX = 1 << 16,
  PHYSRING_RECORDS_MIN_LOSSY_INDEX = 64,
  PHYSRING_RECORDS_MAX_ANNOTATION_BYTES = 65536,
  PHYSRING_RECORDS_LOSSY_CLAIM_SHIFT = 4,
  PHYSRING_RECORD_HEADER_BYTES = 8
};
#define PHYSRING_RECORD_PADDING 0x80000000u
enum { PHYSRING_STALL_NONE = 0, PHYSRING_STALL_EVICT = 1, PHYSRING_STALL_ERROR = 2 };
enum { PHYSRING_RECORDS_RELIABLE = 0, PHYSRING_RECORDS_LOSSY = 1 };
enum { PHYSRING_POLICY_BLOCK = 0, PHYSRING_POLICY_FAIL = 1, PHYSRING_POLICY_DROP_NEWEST = 2, PHYSRING_POLICY_DROP_OLDEST = 3 };
typedef enum physring_stream_end { PHYSRING_STREAM_OPEN = 0, PHYSRING_STREAM_ENDED = 1, PHYSRING_STREAM_DIED = 2 } physring_stream_end;

typedef struct physring_record_mark {
  uint32_t tail, sequence;
} physring_record_mark;

typedef struct physring_records_header {
  uint32_t magic, version, capacity_bytes, cursor_count, mode, policy, history_count, index_count, index_offset,
      records_offset, stall_timeout_ms, stall_action, annotation_offset, annotation_bytes, reserved0[18];
  uint32_t tail, reserved1;
  physring_record_mark marks[2];
  uint32_t reserved2[26];
  uint32_t claim, epoch, reserved3[30];
  uint32_t producer_owner, reserved4[31];
  uint32_t ended, dropped_newest, failed, blocked, evicted, reserved5[27];
  uint32_t sleepers, reserved6[31];
} physring_records_header;

typedef struct physring_record_cursor {
  uint32_t owner, reserved0[31];
  uint32_t position, reserved1[31];
} physring_record_cursor;

PHYSRING_ASSERT_(sizeof(physring_records_header) == 6 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(offsetof(physring_records_header, tail) == 1 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(offsetof(physring_records_header, claim) == 2 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(offsetof(physring_records_header, producer_owner) == 3 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(offsetof(physring_records_header, ended) == 4 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(offsetof(physring_records_header, sleepers) == 5 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(sizeof(physring_record_cursor) == 2 * PHYSRING_LINE_BYTES);

/* ---- Handles: fields are for reading ---------------------------------------------------------------------- */

/* Checked records. The numbers are private copies: what a peer writes over the header later has no effect. */
typedef struct physring_records {
  physring_records_header *header;
  physring_record_cursor *cursors;
  uint32_t *index;
  uint8_t *data;
  uint32_t capacity, cursor_count, history, index_count, max_bytes;
  int lossy;
} physring_records;

/* What records are created with. history: how many of the last records a new consumer may start with. */
typedef struct physring_records_shape {
  uint32_t capacity_bytes, cursor_count, mode, policy, history;
} physring_records_shape;

typedef struct physring_record_producer {
  physring_region *region;
  physring_records records;
  uint32_t tail, written, next, published_next, limit, claim, epoch, mark;
  uint32_t reserved, padding, wanted;
  int has_reservation;
  int gating_cursor; /* after a reservation that failed: who gates, -1: nobody */
  uint32_t gating_owner;
} physring_record_producer;

typedef struct physring_record_consumer {
  physring_region *region;
  physring_records records;
  int cursor; /* -1: lossy */
  uint32_t owner, at, size, epoch, expected, cached_tail, released;
  uint32_t sequence; /* of the current record */
  uint64_t missed;   /* records that a lossy reader did not get */
} physring_record_consumer;

/* ---- Opening and creating --------------------------------------------------------------------------------- */

static inline int physring_is_power_of_two_(uint32_t value) { return value != 0 && (value & (value - 1)) == 0; }

static inline int physring_records_shape_ok_(const physring_records_shape *shape) {
  int lossy = shape->mode == PHYSRING_RECORDS_LOSSY;
  if (!physring_is_power_of_two_(shape->capacity_bytes) || shape->capacity_bytes < PHYSRING_RECORDS_MIN_CAPACITY_BYTES ||
      shape->capacity_bytes > PHYSRING_RECORDS_MAX_CAPACITY_BYTES || shape->history > PHYSRING_RECORDS_MAX_HISTORY ||
      shape->mode > PHYSRING_RECORDS_LOSSY || shape->policy > PHYSRING_POLICY_DROP_OLDEST)
    return 0;
  if ((shape->policy == PHYSRING_POLICY_DROP_OLDEST) != lossy) return 0;
  return lossy ? shape->cursor_count == 0
               : shape->cursor_count >= 1 && shape->cursor_count <= PHYSRING_RECORDS_MAX_CURSORS;
}

/* Checks records at an extent that was checked, and takes private copies of their numbers. */
static inline int physring_read_records_(const physring_region *region, uint64_t offset, uint64_t size_bytes,
                                         physring_records *records) {
  if (size_bytes < sizeof(physring_records_header)) return PHYSRING_ERR_CORRUPT;
  physring_records_header *header = (physring_records_header *)(void *)(region->base + offset);
  physring_records_shape shape = {physring_load_(&header->capacity_bytes), physring_load_(&header->cursor_count),
                                  physring_load_(&header->mode), physring_load_(&header->policy),
                                  physring_load_(&header->history_count)};
  uint32_t index_count = physring_load_(&header->index_count), index_offset = physring_load_(&header->index_offset);
  uint32_t records_offset = physring_load_(&header->records_offset);
  uint32_t least_index = 2 * shape.history;
  if (physring_load_(&header->magic) != PHYSRING_RECORDS_MAGIC ||
      physring_load_(&header->version) != PHYSRING_RECORDS_VERSION || !physring_records_shape_ok_(&shape))
    return PHYSRING_ERR_CORRUPT;
  if (shape.mode == PHYSRING_RECORDS_LOSSY && least_index < PHYSRING_RECORDS_MIN_LOSSY_INDEX)
    least_index = PHYSRING_RECORDS_MIN_LOSSY_INDEX;
  if (index_count < least_index || index_count > PHYSRING_RECORDS_MAX_INDEX || (index_count & (index_count - 1)) != 0 ||
      index_offset % PHYSRING_LINE_BYTES != 0 ||
      index_offset < sizeof *header + (uint64_t)shape.cursor_count * sizeof(physring_record_cursor) ||
      records_offset % PHYSRING_LINE_BYTES != 0 || records_offset < (uint64_t)index_offset + 4 * (uint64_t)index_count ||
      (uint64_t)records_offset + shape.capacity_bytes > size_bytes)
    return PHYSRING_ERR_CORRUPT;
  records->header = header;
  records->cursors = (physring_record_cursor *)(void *)(header + 1);
  records->index = (uint32_t *)(void *)(region->base + offset + index_offset);
  records->data = region->base + offset + records_offset;
  records->capacity = shape.capacity_bytes;
  records->cursor_count = shape.cursor_count;
  records->history = shape.history;
  records->index_count = index_count;
  records->max_bytes = shape.capacity_bytes / 2 - PHYSRING_RECORD_HEADER_BYTES;
  records->lossy = shape.mode == PHYSRING_RECORDS_LOSSY;
  return PHYSRING_OK;
}

/* Opens the records NAME and checks their geometry; attaches to nothing. */
static inline int physring_records_open(const physring_region *region, const char *name, physring_records *records) {
  uint64_t offset, size;
  int status = physring_find_object_(region, name, PHYSRING_KIND_RECORDS, &offset, &size);
  return status < 0 ? status : physring_read_records_(region, offset, size, records);
}

/* Creates empty records. They stay in the region until somebody removes them. Needs no participant. */
static inline int physring_records_create(physring_region *region, const char *name, const physring_records_shape *shape) {
  uint32_t least = 2 * shape->history, index_count = 0;
  size_t length = strlen(name);
  if (length < 1 || length >= sizeof((physring_directory_entry *)0)->name) return PHYSRING_ERR_NAME;
  if (!physring_records_shape_ok_(shape)) return PHYSRING_ERR_ARGUMENT;
  if (shape->mode == PHYSRING_RECORDS_LOSSY && least < shape->capacity_bytes / 512) least = shape->capacity_bytes / 512;
  if (shape->mode == PHYSRING_RECORDS_LOSSY && least > 4096 && least > 2 * shape->history) least = 4096;
  if (shape->mode == PHYSRING_RECORDS_LOSSY && least < PHYSRING_RECORDS_MIN_LOSSY_INDEX)
    least = PHYSRING_RECORDS_MIN_LOSSY_INDEX;
  if (least > 0)
    for (index_count = 1; index_count < least;) index_count *= 2;
  uint32_t index_offset =
      (uint32_t)(sizeof(physring_records_header) + shape->cursor_count * sizeof(physring_record_cursor));
  uint32_t records_offset =
      (index_offset + 4 * index_count + PHYSRING_LINE_BYTES - 1) / PHYSRING_LINE_BYTES * PHYSRING_LINE_BYTES;
  uint64_t offset = 0;
  int index = physring_lock_directory_(region);
  if (index < 0) return index;
  index = physring_begin_object_(region, name, PHYSRING_KIND_RECORDS, (uint64_t)records_offset + shape->capacity_bytes,
                                 &offset);
  if (index >= 0) {
    physring_records_header *header = (physring_records_header *)(void *)(region->base + offset);
    header->magic = PHYSRING_RECORDS_MAGIC;
    header->version = PHYSRING_RECORDS_VERSION;
    header->capacity_bytes = shape->capacity_bytes;
    header->cursor_count = shape->cursor_count;
    header->mode = shape->mode;
    header->policy = shape->policy;
    header->history_count = shape->history;
    header->index_count = index_count;
    header->index_offset = index_offset;
    header->records_offset = records_offset;
    /* SYNC entry-ready: release pairs with a reader's acquire load. */
    physring_store_release_(&physring_entry_(region, index)->state, PHYSRING_ENTRY_READY);
  }
  physring_lock_(region, F_UNLCK, PHYSRING_LOCK_DIRECTORY);
  return index < 0 ? index : PHYSRING_OK;
}

/* Section 12.5 for oneself; physring_leave wakes everybody afterwards. */
static inline void physring_leave_records_(const physring_region *region, uint64_t offset, uint64_t size) {
  physring_records records;
  if (physring_read_records_(region, offset, size, &records) < 0) return;
  uint32_t producer = physring_load_acquire_(&records.header->producer_owner);
  if ((int)(producer & PHYSRING_OWNER_PARTICIPANT_MASK) == region->participant + 1) {
    if (physring_load_acquire_(&records.header->ended) != PHYSRING_STREAM_ENDED)
      physring_store_release_(&records.header->ended, PHYSRING_STREAM_DIED);
    physring_detach_(region, &records.header->producer_owner);
  }
  for (uint32_t k = 0; k < records.cursor_count; k++) physring_detach_(region, &records.cursors[k].owner);
}

/* ---- Producer (section 12.1) ------------------------------------------------------------------------------ */

static inline uint32_t *physring_record_word_(const physring_records *records, uint32_t position) {
  return (uint32_t *)(void *)(records->data + (position & (records->capacity - 1)));
}

/* The participant attached by an owner word, -1: nobody, or it is busy or evicted. */
static inline int physring_receiver_(uint32_t owner) {
  int participant = (int)(owner & PHYSRING_OWNER_PARTICIPANT_MASK) - 1;
  return (owner & PHYSRING_OWNER_BUSY) || participant >= PHYSRING_PARTICIPANTS ? -1 : participant;
}

/* Becomes the producer of the records NAME and continues where the last one stopped. */
static inline int physring_record_producer_attach(physring_record_producer *producer, physring_region *region,
                                                  const char *name) {
  memset(producer, 0, sizeof *producer);
  int status = physring_records_open(region, name, &producer->records);
  physring_records_header *header = producer->records.header;
  if (status < 0 || (status = physring_attach_(region, &header->producer_owner)) < 0) return status;
  producer->region = region;
  producer->tail = producer->written = producer->limit = physring_load_acquire_(&header->tail);
  producer->claim = physring_load_acquire_(&header->claim);
  producer->epoch = physring_load_acquire_(&header->epoch);
  /* Died between the stores of epoch and claim: the epoch is one ahead. */
  if ((producer->epoch ^ producer->claim >> 31) & 1) producer->epoch--;
  uint32_t mark = physring_load_acquire_(&header->marks[0].tail) == producer->tail ? 0 : 1;
  producer->mark = 1 - mark;
  producer->next = producer->published_next = physring_load_acquire_(&header->marks[mark].sequence);
  producer->gating_cursor = -1;
  if (physring_load_acquire_(&header->marks[mark].tail) != producer->tail || producer->tail % 8 != 0 ||
      producer->claim - producer->tail > producer->records.capacity) {
    physring_detach_(region, &header->producer_owner);
    producer->region = NULL;
    return PHYSRING_ERR_CORRUPT;
  }
  physring_store_release_(&header->ended, PHYSRING_STREAM_OPEN);
  return PHYSRING_OK;
}

static inline __attribute__((cold)) void physring_wake_sleepers_(physring_region *region, uint32_t *word) {
  for (uint32_t sleepers = physring_exchange_(word, 0); sleepers != 0; sleepers &= sleepers - 1)
    physring_ring_participant_(region, __builtin_ctz(sleepers));
}

/* Shows consumers every finished record with one store, and wakes those that sleep. */
static inline void physring_record_publish(physring_record_producer *producer) {
  physring_records_header *header = producer->records.header;
  if (producer->written == producer->tail) return;
  physring_record_mark *mark = &header->marks[producer->mark];
  /* A release: whoever reads this mark's old tail and the new sequence finds that tail has moved on. */
  physring_store_release_(&mark->sequence, producer->next);
  __atomic_store_n(&mark->tail, producer->written, __ATOMIC_RELAXED);
  /* SYNC publish: release pairs with the readers' acquire load of tail. Single writer: the producer. */
  physring_store_release_(&header->tail, producer->written);
  producer->mark = 1 - producer->mark;
  producer->tail = producer->written;
  producer->published_next = producer->next;
  physring_fence_();
  if (__builtin_expect(physring_load_(&header->sleepers) != 0, 0))
    physring_wake_sleepers_(producer->region, &header->sleepers);
}

/* Announces, before any byte of it is touched, that bytes up to `claim` may be written. */
static inline void physring_record_claim_(physring_record_producer *producer, uint32_t claim) {
  physring_records_header *header = producer->records.header;
  if ((claim ^ producer->claim) >> 31) physring_store_release_(&header->epoch, ++producer->epoch);
  producer->claim = claim;
  physring_store_release_(&header->claim, claim);
  physring_fence_();
}

/* Position of the oldest cursor that counts; the tail if there is none. */
static inline uint32_t physring_record_scan_(physring_record_producer *producer) {
  uint32_t oldest = 0;
  producer->gating_cursor = -1;
  for (uint32_t k = 0; k < producer->records.cursor_count; k++) {
    const physring_record_cursor *cursor = &producer->records.cursors[k];
    uint32_t owner = physring_load_acquire_(&cursor->owner);
    if (physring_receiver_(owner) < 0) continue;
    /* SYNC free: acquire pairs with the consumer's release store of its cursor. */
    uint32_t distance = producer->tail - physring_load_acquire_(&cursor->position);
    /* A joiner's that will notice, or nonsense: it holds nobody back. */
    if (distance > producer->records.capacity || distance < oldest) continue;
    oldest = distance;
    producer->gating_cursor = (int)k;
    producer->gating_owner = owner;
  }
  return producer->tail - oldest;
}

/* The last records of the history are a gate too, as far as they fit half the capacity, and while nobody waits for it. */
static inline uint32_t physring_record_keep_history_(const physring_record_producer *producer, uint32_t gate, uint32_t need) {
  const physring_records *records = &producer->records;
  uint32_t oldest = producer->tail -
                    physring_load_(&records->index[(producer->next - records->history) & (records->index_count - 1)]);
  uint32_t half = records->capacity / 2;
  uint32_t goal = producer->tail + records->capacity - (oldest < half ? oldest : half);
  if ((int32_t)(gate - goal) <= 0) return gate;
  if (goal - producer->written >= need) return goal;
  return gate - producer->written >= need ? producer->written + need : gate;
}

static inline __attribute__((cold)) int physring_record_refresh_(physring_record_producer *producer, uint32_t need) {
  const physring_records *records = &producer->records;
  physring_record_publish(producer);
  if (records->lossy) {
    uint32_t wanted = need + (records->capacity >> PHYSRING_RECORDS_LOSSY_CLAIM_SHIFT);
    producer->limit = producer->tail + (wanted < records->capacity ? wanted : records->capacity);
    if ((int32_t)(producer->limit - producer->claim) > 0) physring_record_claim_(producer, producer->limit);
    return 1;
  }
  uint32_t gate = physring_record_scan_(producer) + records->capacity, bound = gate;
  uint32_t goal = records->history == 0 ? gate : physring_record_keep_history_(producer, gate, need);
  if ((int32_t)(goal - producer->claim) > 0) {
    physring_record_claim_(producer, goal);
    /* SYNC join: whoever joined without seeing this claim is seen here. */
    bound = physring_record_scan_(producer) + records->capacity;
  }
  producer->limit = (int32_t)(bound - goal) < 0 ? bound : goal;
  return producer->limit - producer->written >= need;
}

/*
 * Reserves room for a record of up to max_bytes (at most records.max_bytes) at *payload, which is aligned to 8.
 * 1, 0: there is none (everything finished is published), or PHYSRING_ERR_ARGUMENT. Calling again reserves afresh.
 */
static inline int physring_record_reserve(physring_record_producer *producer, uint32_t max_bytes, void **payload) {
  const physring_records *records = &producer->records;
  producer->has_reservation = 0;
  if (max_bytes > records->max_bytes) return PHYSRING_ERR_ARGUMENT;
  uint32_t size = (max_bytes + PHYSRING_RECORD_HEADER_BYTES + 7) & ~7u;
  uint32_t position = producer->written & (records->capacity - 1), rest = records->capacity - position;
  uint32_t padding = size <= rest ? 0 : rest, need = padding + size;
  if (producer->limit - producer->written < need && !physring_record_refresh_(producer, need)) {
    producer->wanted = max_bytes;
    return 0;
  }
  producer->padding = padding;
  producer->reserved = max_bytes;
  producer->has_reservation = 1;
  *payload = records->data + (padding == 0 ? position : 0) + PHYSRING_RECORD_HEADER_BYTES;
  return 1;
}

/* Ends the reserved record with `length` bytes of payload. Not visible before physring_record_publish. */
static inline int physring_record_finish(physring_record_producer *producer, uint32_t length) {
  const physring_records *records = &producer->records;
  if (!producer->has_reservation || length > producer->reserved) return PHYSRING_ERR_ARGUMENT;
  producer->has_reservation = 0;
  if (producer->padding != 0) {
    uint32_t *header = physring_record_word_(records, producer->written);
    header[0] = PHYSRING_RECORD_PADDING | (producer->padding - PHYSRING_RECORD_HEADER_BYTES);
    header[1] = producer->next;
    producer->written += producer->padding;
  }
  uint32_t *header = physring_record_word_(records, producer->written);
  header[0] = length;
  header[1] = producer->next;
  if (records->index_count > 0)
    __atomic_store_n(&records->index[producer->next & (records->index_count - 1)], producer->written, __ATOMIC_RELAXED);
  producer->written += (length + PHYSRING_RECORD_HEADER_BYTES + 7) & ~7u;
  producer->next++;
  /* The index holds the last records: not more unpublished ones than half of it, or readers would find none. */
  if (records->index_count > 0 && producer->next - producer->published_next >= records->index_count / 2)
    physring_record_publish(producer);
  return PHYSRING_OK;
}

/* Finish, then publish. */
static inline int physring_record_commit(physring_record_producer *producer, uint32_t length) {
  int status = physring_record_finish(producer, length);
  if (status == PHYSRING_OK) physring_record_publish(producer);
  return status;
}

static inline int physring_record_room_(void *end) {
  physring_record_producer *producer = (physring_record_producer *)end;
  void *payload;
  return physring_record_reserve(producer, producer->wanted, &payload);
}

/* Waits until the reservation that failed last would succeed: 1, or 0 after timeout_ms (< 0: no limit). */
static inline int physring_record_producer_wait(physring_record_producer *producer, int timeout_ms) {
  return physring_wait_(producer->region, physring_record_room_, producer, timeout_ms, 0);
}

/* Takes the place of the consumer that gated the reservation that failed last: 1, or 0 when it has moved or nobody gates. */
static inline int physring_record_evict_gating(physring_record_producer *producer) {
  physring_records *records = &producer->records;
  if (producer->gating_cursor < 0) return 0;
  uint32_t *owner = &records->cursors[producer->gating_cursor].owner;
  if (!physring_cas_(owner, producer->gating_owner, producer->gating_owner | PHYSRING_OWNER_BUSY)) return 0;
  physring_store_release_(&records->header->evicted, physring_load_(&records->header->evicted) + 1);
  physring_ring_participant_(producer->region, physring_receiver_(producer->gating_owner));
  return 1;
}

/* Publishes what is finished, ends the stream and gives the producer's end back. */
static inline void physring_record_producer_detach(physring_record_producer *producer) {
  physring_records_header *header = producer->records.header;
  if (producer->region == NULL) return;
  physring_record_publish(producer);
  physring_store_release_(&header->ended, PHYSRING_STREAM_ENDED);
  physring_detach_(producer->region, &header->producer_owner);
  physring_wake_sleepers_(producer->region, &header->sleepers);
  producer->region = NULL;
}

/* ---- Consumer (sections 12.2 - 12.4) ---------------------------------------------------------------------- */

/*
 * 1: what was read of the current record is what was sent. 0: lossy, it was overwritten. PHYSRING_ERR_EVICTED:
 * reliable, the producer took our place. Ask after the reads.
 */
static inline int physring_record_intact(physring_record_consumer *consumer) {
  const physring_records *records = &consumer->records;
  physring_fence_loads_();
  if (consumer->cursor >= 0) {
    uint32_t *owner = &records->cursors[consumer->cursor].owner;
    if (__builtin_expect(physring_load_(owner) == consumer->owner, 1)) return 1;
    if (physring_load_(owner) == (consumer->owner | PHYSRING_OWNER_BUSY)) physring_detach_(consumer->region, owner);
    return PHYSRING_ERR_EVICTED;
  }
  uint32_t claim = physring_load_(&records->header->claim);
  physring_fence_loads_();
  uint32_t epoch = physring_load_(&records->header->epoch);
  return claim - consumer->at <= records->capacity && epoch - consumer->epoch <= 1;
}

/* Section 12.3: to the record `count` records back, or the oldest after it not more than most_behind bytes behind the claim. */
static inline int physring_record_locate_(physring_record_consumer *consumer, uint32_t count, uint32_t most_behind) {
  const physring_records *records = &consumer->records;
  const physring_records_header *header = records->header;
  for (int attempt = 0; attempt < 1 << 16; attempt++) {
    uint32_t epoch = physring_load_acquire_(&header->epoch), tail = physring_load_acquire_(&header->tail);
    int mark = physring_load_(&header->marks[0].tail) == tail ? 0 : physring_load_(&header->marks[1].tail) == tail ? 1 : -1;
    uint32_t sequence = physring_load_(&header->marks[mark == 1].sequence);
    physring_fence_loads_();
    if (mark >= 0 && physring_load_acquire_(&header->tail) == tail) {
      uint32_t claim = physring_load_acquire_(&header->claim), at = tail, back = 0;
      while (back < count && back < records->index_count) {
        uint32_t position = physring_load_(&records->index[(sequence - back - 1) & (records->index_count - 1)]);
        uint32_t size = at - position;
        /* Not a record before this one: there was none yet, or the entry is a later record's already. */
        if (size < PHYSRING_RECORD_HEADER_BYTES || size > records->capacity || position % 8 != 0) break;
        if (claim - position > most_behind) break;
        at = position;
        back++;
      }
      physring_fence_loads_();
      if (physring_load_acquire_(&header->epoch) == epoch) {
        consumer->at = at;
        consumer->size = 0;
        consumer->expected = sequence - back;
        consumer->epoch = (at >> 31 ^ epoch) & 1 ? epoch - 1 : epoch;
        consumer->cached_tail = tail;
        return PHYSRING_OK;
      }
    }
    physring_pause_();
  }
  return PHYSRING_ERR_CORRUPT;
}

/* Section 12.2 "Join" at a cursor that is ours and busy. */
static inline int physring_record_join_(physring_record_consumer *consumer, uint32_t history) {
  const physring_records *records = &consumer->records;
  physring_record_cursor *cursor = &records->cursors[consumer->cursor];
  for (int attempt = 0; attempt < 1 << 16; attempt++) {
    int status = physring_record_locate_(consumer, attempt < 16 ? history : 0,
                                         attempt < 8 ? records->capacity : records->capacity / 2);
    if (status < 0) return status;
    physring_store_release_(&cursor->position, consumer->at);
    if (attempt == 0) physring_store_release_(&cursor->owner, consumer->owner);
    /* SYNC join: the producer sees our cursor, or we see its claim. */
    physring_fence_();
    consumer->released = consumer->at;
    uint32_t claim = physring_load_acquire_(&records->header->claim), epoch = physring_load_acquire_(&records->header->epoch);
    if (claim - consumer->at <= records->capacity && epoch - consumer->epoch <= 1) return PHYSRING_OK;
  }
  return PHYSRING_ERR_CORRUPT;
}

/* Takes a free cursor, or one of a dead one's that was cleaned; busy until it is right. */
static inline int physring_record_take_cursor_(physring_record_consumer *consumer, const physring_region *region) {
  int dead = 0;
  for (uint32_t k = 0; k < consumer->records.cursor_count; k++) {
    uint32_t *word = &consumer->records.cursors[k].owner, owner = physring_load_acquire_(word);
    int state = physring_owner_state_(region, owner);
    if (state < 0) return state;
    if (state == PHYSRING_PEER_DEAD) dead++;
    if (state != PHYSRING_PEER_NONE) continue;
    uint32_t mine = ((owner >> PHYSRING_GENERATION_SHIFT) + 1) << PHYSRING_GENERATION_SHIFT |
                    (uint32_t)(region->participant + 1);
    if (!physring_cas_(word, owner, mine | PHYSRING_OWNER_BUSY)) continue;
    consumer->cursor = (int)k;
    consumer->owner = mine;
    return PHYSRING_OK;
  }
  return dead > 0 ? PHYSRING_ERR_OWNER_DEAD : PHYSRING_ERR_IN_USE;
}

/*
 * Becomes a consumer of the records NAME, starting `history` records back as far as they are there. Reliable: takes a
 * cursor, needs a participant. Lossy: writes nothing, needs a participant only to wait.
 */
static inline int physring_record_consumer_attach(physring_record_consumer *consumer, physring_region *region,
                                                  const char *name, uint32_t history) {
  memset(consumer, 0, sizeof *consumer);
  consumer->cursor = -1;
  int status = physring_records_open(region, name, &consumer->records);
  const physring_records *records = &consumer->records;
  if (status < 0) return status;
  if (records->lossy) {
    status = physring_record_locate_(consumer, history, records->capacity - records->capacity / 4);
  } else {
    if (region->participant < 0) return PHYSRING_ERR_NOT_JOINED;
    if ((status = physring_record_take_cursor_(consumer, region)) < 0) return status;
    status = physring_record_join_(consumer, history);
    if (status < 0) physring_detach_(region, &records->cursors[consumer->cursor].owner);
    /* It waits for consumers, or may have met an earlier position of ours. */
    physring_ring_doorbell_(region, &records->header->producer_owner);
  }
  if (status == PHYSRING_OK) consumer->region = region;
  return status;
}

static inline void physring_record_step_(physring_record_consumer *consumer, uint32_t size) {
  uint32_t next = consumer->at + size;
  consumer->epoch += (next ^ consumer->at) >> 31;
  consumer->at = next;
  consumer->size = 0;
}

/*
 * Goes to the next record: 1 and *payload, *length; 0 when none is published; PHYSRING_ERR_EVICTED or
 * PHYSRING_ERR_CORRUPT. A lossy reader that was lapped goes on with the oldest record it has time for and counts `missed`.
 */
static inline int physring_record_next(physring_record_consumer *consumer, const void **payload, uint32_t *length) {
  const physring_records *records = &consumer->records;
  physring_record_step_(consumer, consumer->size);
  for (int laps = 0;;) {
    uint32_t available = consumer->cached_tail - consumer->at;
    if (available == 0) {
      /* SYNC publish: acquire pairs with the producer's release store of tail. */
      consumer->cached_tail = physring_load_acquire_(&records->header->tail);
      available = consumer->cached_tail - consumer->at;
      if (available == 0) return consumer->cursor < 0 || physring_record_intact(consumer) == 1 ? 0 : PHYSRING_ERR_EVICTED;
    }
    uint32_t position = consumer->at & (records->capacity - 1);
    const uint32_t *word = (const uint32_t *)(const void *)(records->data + position);
    uint32_t header = physring_load_(word), sequence = physring_load_(word + 1);
    int intact = physring_record_intact(consumer);
    if (intact < 0) return intact;
    if (intact == 0) {
      uint32_t expected = consumer->expected;
      int status = physring_record_locate_(consumer, ++laps < 4 ? records->index_count : 0,
                                           records->capacity - records->capacity / 4);
      if (status < 0) return status;
      consumer->expected = expected;
      continue;
    }
    if (available > records->capacity) return PHYSRING_ERR_CORRUPT;
    if (header & PHYSRING_RECORD_PADDING) {
      uint32_t size = (header & ~PHYSRING_RECORD_PADDING) + PHYSRING_RECORD_HEADER_BYTES;
      if (size != records->capacity - position || size > records->max_bytes || size > available) return PHYSRING_ERR_CORRUPT;
      physring_record_step_(consumer, size);
      continue;
    }
    uint32_t size = (header + PHYSRING_RECORD_HEADER_BYTES + 7) & ~7u;
    if (header > records->max_bytes || size > available || position + size > records->capacity ||
        (consumer->cursor >= 0 && sequence != consumer->expected))
      return PHYSRING_ERR_CORRUPT;
    consumer->missed += sequence - consumer->expected;
    consumer->expected = sequence + 1;
    consumer->sequence = sequence;
    consumer->size = size;
    *payload = word + 2;
    *length = header;
    return 1;
  }
}

/* Gives back every record up to and including the current one, with one store. Lossy: nothing to do. */
static inline int physring_record_release(physring_record_consumer *consumer) {
  uint32_t end = consumer->at + consumer->size;
  if (consumer->cursor < 0 || end == consumer->released) return PHYSRING_OK;
  int status = physring_record_intact(consumer);
  if (status < 0) return status;
  consumer->released = end;
  /* SYNC free: release pairs with the producer's acquire load of the cursor. Single writer: the consumer. */
  physring_store_release_(&consumer->records.cursors[consumer->cursor].position, end);
  physring_ring_doorbell_(consumer->region, &consumer->records.header->producer_owner);
  return PHYSRING_OK;
}

/* Whether everything published was read and nothing more will come: a physring_stream_end. */
static inline int physring_record_stream_end(const physring_record_consumer *consumer) {
  const physring_records_header *header = consumer->records.header;
  uint32_t ended = physring_load_acquire_(&header->ended);
  if (ended == PHYSRING_STREAM_OPEN || physring_load_acquire_(&header->tail) != consumer->at + consumer->size)
    return PHYSRING_STREAM_OPEN;
  return ended == PHYSRING_STREAM_ENDED ? PHYSRING_STREAM_ENDED : PHYSRING_STREAM_DIED;
}

static inline int physring_record_news_(const physring_record_consumer *consumer) {
  const physring_records *records = &consumer->records;
  if (physring_load_acquire_(&records->header->tail) != consumer->at + consumer->size) return 1;
  if (physring_load_(&records->header->ended) != PHYSRING_STREAM_OPEN) return 1;
  return consumer->cursor >= 0 && physring_load_(&records->cursors[consumer->cursor].owner) != consumer->owner;
}

static inline int physring_record_ready_(void *end) { return physring_record_news_((physring_record_consumer *)end); }

/* Not ready: asks to be woken at the next publication. SYNC doorbell: ask, fence, look. */
static inline int physring_record_ready_or_ask_(void *end) {
  physring_record_consumer *consumer = (physring_record_consumer *)end;
  uint32_t *sleepers = &consumer->records.header->sleepers, bit = 1u << consumer->region->participant;
  if (physring_record_news_(consumer)) return 1;
  if (physring_load_(sleepers) & bit) return 0;
  __atomic_fetch_or(sleepers, bit, __ATOMIC_SEQ_CST);
  physring_sleepers_fence_();
  return physring_record_news_(consumer);
}

/* Asks to be woken; the doorbell is armed, fenced and looked at again after this. */
static inline void physring_record_ask_(const physring_record_consumer *consumer) {
  uint32_t *sleepers = &consumer->records.header->sleepers, bit = 1u << consumer->region->participant;
  if (!(physring_load_(sleepers) & bit)) __atomic_fetch_or(sleepers, bit, __ATOMIC_SEQ_CST);
}

/*
 * Waits until next has something to say (a record, an error) or the stream is over: 1, or 0 after timeout_ms (< 0: no
 * limit). Spins for a while without asking to be woken. Needs a participant.
 */
static inline int physring_record_consumer_wait(physring_record_consumer *consumer, int timeout_ms) {
  if (consumer->region->participant < 0) return PHYSRING_ERR_NOT_JOINED;
  int64_t deadline_ns = physring_deadline_ns_(timeout_ms);
  int result = physring_spin_(physring_record_ready_, consumer, deadline_ns, consumer->region);
  if (result != 0) return result;
  physring_record_ask_(consumer);
  return physring_sleep_until_(consumer->region, physring_record_ready_or_ask_, consumer, deadline_ns);
}

/* Gives the cursor back: the producer waits for this consumer no longer. */
static inline void physring_record_consumer_detach(physring_record_consumer *consumer) {
  if (consumer->region == NULL) return;
  if (consumer->cursor >= 0) {
    uint32_t *owner = &consumer->records.cursors[consumer->cursor].owner;
    uint32_t now = physring_load_acquire_(owner);
    if ((now | PHYSRING_OWNER_BUSY) == (consumer->owner | PHYSRING_OWNER_BUSY)) physring_detach_(consumer->region, owner);
    physring_ring_doorbell_(consumer->region, &consumer->records.header->producer_owner);
  }
  consumer->region = NULL;
}

#endif /* PHYSRING_RECORDS_H */
