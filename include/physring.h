/*
 * physring.h - a peer for physring regions in C11 (or C++11), one header, libc only. MIT licence.
 *
 * docs/PROTOCOL.md is the authority on every offset and on the order of every store; section numbers are its.
 *
 *     physring_region region;                                    // one handle = one participant = one thread
 *     physring_producer tx;
 *     if ((status = physring_region_open(&region, "camera", 1000)) < 0) fail(physring_message(status));
 *     if ((status = physring_join(&region, "my-driver")) < 0) ...
 *     if ((status = physring_producer_attach(&tx, &region, "commands")) < 0) ...
 *     int count = physring_reserve(&tx, 32, &slots);             // up to 32 slots in a row, 0: full
 *     if (count == 0) physring_producer_wait(&tx, 1000);         // spin, then sleep
 *     ... fill `count` slots of tx.ring.slot_bytes at `slots` ...
 *     physring_commit(&tx, count);                               // one index store, wakes the consumer
 *     physring_region_close(&region);                            // detaches and leaves
 *
 * What this version does not do:
 *   - No channels, pools, queues and cells (sections 6, 7, 11, 13): named rings, and records (section 12, physring_records.h).
 *   - No recovery of others (section 8). A ring end or a participant slot whose owner died stays taken until a
 *     TypeScript participant has cleaned up behind it, which any of them does within 50 ms of waiting. Until
 *     then attaching returns PHYSRING_ERR_OWNER_DEAD, and joining skips the slot.
 *   - Backend shm only: no memfd, no /dev/udmabufN.
 *   - It sleeps by futex only; it wakes peers that sleep in a futex and peers that wait in an event loop.
 *
 * Functions return a physring_error (negative), 0, or a count. A handle belongs to one thread; threads open a
 * handle each. While joined, never fork() without exec(): the child would keep the life lock, and the participant
 * would never be seen to die. Whatever peers write into the memory, nothing outside the mapping is touched; a peer
 * that truncates the file, however, ends everybody with SIGBUS. Names that end in `_` are internal.
 */
#ifndef PHYSRING_H
#define PHYSRING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if !defined(F_OFD_SETLK) || !defined(O_TMPFILE)
#error "include physring.h before every system header, or compile with -D_GNU_SOURCE"
#endif
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "physring memory is little-endian"
#endif
#ifdef __cplusplus
#define PHYSRING_ASSERT_(condition) static_assert(condition, #condition)
#else
#define PHYSRING_ASSERT_(condition) _Static_assert(condition, #condition)
#endif
PHYSRING_ASSERT_(sizeof(off_t) == 8 && sizeof(void *) == 8);

/* ---- Errors -------------------------------------------------------------------------------------------- */

#define PHYSRING_ERRORS(X)                                                                              \
  X(SYSTEM, -1, "a system call failed; errno says why")                                                 \
  X(ARGUMENT, -2, "an argument is outside its documented range")                                        \
  X(NAME, -3,                                                                                           \
    "bad name: a region has 1-48 of A-Z a-z 0-9 . _ - (no leading dot, no .ctl or .d), an object 1-63 " \
    "bytes")                                                                                            \
  X(NOT_FOUND, -4, "no such region: is its creator running, with the same PHYSRING_SHM_DIR?")           \
  X(PERMISSION, -5, "no permission to read and write the region's file")                                \
  X(EXISTS, -6, "the name exists: open it, remove it, or choose another")                               \
  X(NO_SPACE, -7, "the file system has no room: remove old regions, or mount it with a larger size=")   \
  X(NOT_A_REGION, -8, "the file holds no physring region")                                              \
  X(VERSION, -9, "the region has another layout version")                                               \
  X(BYTE_ORDER, -10, "the region was made by a machine of the other byte order")                        \
  X(HALF_MADE, -11, "the region is not finished: its creator is at work or died")                       \
  X(TOO_SMALL, -12, "the file is smaller than the region says, or than any region")                     \
  X(CORRUPT, -13,                                                                                       \
    "a number in shared memory contradicts the protocol; nothing was accessed on its strength")         \
  X(UNSUPPORTED, -14, "the region or object is of a kind that this header does not handle")             \
  X(PARTICIPANT_LIMIT, -15, "no participant slot is free: 31 are alive")                                \
  X(OWNER_DEAD, -16, "taken by a dead participant: a TypeScript participant has to recover it first")   \
  X(NOT_JOINED, -17, "call physring_join first")                                                        \
  X(OBJECT_NOT_FOUND, -18, "the region has no object of that name")                                     \
  X(OBJECT_KIND, -19, "the object of that name is of another kind")                                     \
  X(IN_USE, -20, "this end is in use by a live participant")                                            \
  X(DIRECTORY_FULL, -21, "the region has 64 objects already")                                           \
  X(DIRECTORY_NO_ROOM, -22, "no gap of the region is large enough; create a larger region")             \
  X(DIRECTORY_BUSY, -23, "another process has held the directory lock too long; is it stopped?")        \
  X(EVICTED, -24, "this consumer stood still for longer than allowed and was evicted; attach again")

typedef enum physring_error {
#define PHYSRING_X_(name, value, message) PHYSRING_ERR_##name = value,
  PHYSRING_ERRORS(PHYSRING_X_)
#undef PHYSRING_X_
      PHYSRING_OK = 0
} physring_error;

/* What happened and what to do about it, for a return value of any function here. */
static inline const char *physring_message(int status) {
  switch (status) {
#define PHYSRING_X_(name, value, message) \
  case value: return message;
    PHYSRING_ERRORS(PHYSRING_X_)
#undef PHYSRING_X_
  }
  return status >= 0 ? "ok" : "unknown physring error";
}

/* The name of an error without its prefix ("IN_USE"), stable, for logs and programs. */
static inline const char *physring_error_name(int status) {
  switch (status) {
#define PHYSRING_X_(name, value, message) \
  case value: return #name;
    PHYSRING_ERRORS(PHYSRING_X_)
#undef PHYSRING_X_
  }
  return status >= 0 ? "OK" : "UNKNOWN";
}

/* ---- Layout: sections 2-5. 64-bit numbers are two words, low first. ------------------------------------ */

enum {
  PHYSRING_LAYOUT_VERSION = 1,
  PHYSRING_BYTE_ORDER_MARK = 0x01020304,
  PHYSRING_MAGIC_LOW = 0x53594850,  /* "PHYS" */
  PHYSRING_MAGIC_HIGH = 0x474e4952, /* "RING" */
  PHYSRING_CONTROL_MAGIC = 0x4c525443,
  PHYSRING_CONTROL_VERSION = 1,
  PHYSRING_RING_MAGIC = 0x474e4952,
  PHYSRING_RING_VERSION = 1,
  PHYSRING_LINE_BYTES = 128,
  PHYSRING_DIRECTORY_OFFSET = 4096,
  PHYSRING_DIRECTORY_CAPACITY = 64,
  PHYSRING_CONTROL_OFFSET = 12288,
  PHYSRING_HEADER_BYTES = 24576,
  PHYSRING_PARTICIPANTS = 31,
  PHYSRING_OBJECT_ALIGN_BYTES = 4096,
  PHYSRING_RING_MIN_CAPACITY = 2,
  PHYSRING_RING_MAX_CAPACITY = 1 << 24,
  PHYSRING_RING_MIN_SLOT_BYTES = 16,
  PHYSRING_RING_MAX_SLOT_BYTES = 4096,
  PHYSRING_RING_FLAG_DROP_OLDEST = 1,
  PHYSRING_RING_FLAG_SHARED_HEAD = 2,
  PHYSRING_REGION_FLAG_SIDECAR = 1,
  PHYSRING_BACKEND_SHM = 1
};
enum { PHYSRING_REGION_BUILDING = 0, PHYSRING_REGION_READY = 1 };
enum { PHYSRING_ENTRY_FREE = 0, PHYSRING_ENTRY_BUILDING = 1, PHYSRING_ENTRY_READY = 2 };
enum {
  PHYSRING_KIND_RING = 1,
  PHYSRING_KIND_POOL = 2,
  PHYSRING_KIND_CHANNEL = 3,
  PHYSRING_KIND_QUEUE = 4,
  PHYSRING_KIND_RECORDS = 5,
  PHYSRING_KIND_CELL = 6,
  PHYSRING_KIND_SERVICE = 7,
  PHYSRING_KIND_HARDWARE_QUEUE = 8,
  PHYSRING_KIND_HARDWARE_REGISTERS = 9
};
enum { PHYSRING_PHASE_FREE = 0, PHYSRING_PHASE_LIVE = 1, PHYSRING_PHASE_DYING = 2, PHYSRING_PHASE_SWEPT = 3 };
enum {
  PHYSRING_GENERATION_SHIFT = 8,
  PHYSRING_PHASE_MASK = 0xff,
  PHYSRING_DEATH_COUNT_MASK = 0xff,
  PHYSRING_OWNER_MASK = 0xff,
  PHYSRING_OWNER_PARTICIPANT_MASK = 0x7f,
  PHYSRING_OWNER_BUSY = 0x80,
  PHYSRING_OWNER_EVICTING = 0x40 /* lanes of channels; such an owner is nobody to this header */
};
enum {
  PHYSRING_AWAKE = 0,
  PHYSRING_ASLEEP_FUTEX = 1,
  PHYSRING_ASLEEP_EVENT_LOOP = 2, /* low byte; above it the number of the sleep */
  PHYSRING_ASLEEP_MASK = 0xff
};
/* Lock bytes lie at PHYSRING_LOCK_BASE_OFFSET + k, past the end of every file. */
#define PHYSRING_LOCK_BASE_OFFSET ((int64_t)1 << 40)
enum {
  PHYSRING_LOCK_PARTICIPANT = 0,
  PHYSRING_LOCK_CLEANER = 32,
  PHYSRING_LOCK_DIRECTORY = 33,
  PHYSRING_LOCK_CREATION = 34,
  PHYSRING_LOCK_USERS = 35
};

typedef struct physring_superblock {
  uint32_t magic[2], layout_version, byte_order, header_bytes, state, size_bytes[2], instance_id[4];
  uint32_t directory_offset, directory_capacity, control_offset, participant_capacity, flags, backend,
      created_at_ms[2];
  uint32_t reserved[1004];
} physring_superblock;

typedef struct physring_directory_entry {
  uint32_t state, kind, generation, reserved0, offset[2], size_bytes[2], reserved1[8];
  char name[64];
} physring_directory_entry;

typedef struct physring_control_header {
  uint32_t magic, version, participant_capacity, record_bytes, instance_id[4], driver_instance[2], deaths,
      reserved[21];
} physring_control_header;

typedef struct physring_participant {
  uint32_t state, pid, tid, pid_namespace, death, death_pid, reserved0[2];
  char name[32], death_name[32];
  uint32_t death_begun, reserved1[7];
  uint32_t doorbell, reserved2[31];
  uint32_t section, wanted, reserved3[30];
} physring_participant;

typedef struct physring_ring_header {
  uint32_t magic, version, slot_bytes, capacity, slots_offset, flags, reserved0[26];
  uint32_t tail, prepared, reserved1[30];
  uint32_t head, rejected, from_history, reserved2[29];
  uint32_t producer_owner, reserved3[31];
  uint32_t consumer_owner, reserved4[31];
  uint32_t dropped_newest, dropped_oldest, undone, waits, refused, evicted, reserved5[26];
} physring_ring_header;

/* The 16 bytes at the start of a slot; wider slots add user words. */
typedef struct physring_descriptor {
  uint32_t offset_low, offset_high, length, tag;
} physring_descriptor;

PHYSRING_ASSERT_(sizeof(physring_superblock) == 4096);
PHYSRING_ASSERT_(sizeof(physring_directory_entry) == 128);
PHYSRING_ASSERT_(sizeof(physring_control_header) == PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(sizeof(physring_participant) == 3 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(sizeof(physring_ring_header) == 6 * PHYSRING_LINE_BYTES);
PHYSRING_ASSERT_(sizeof(physring_descriptor) == PHYSRING_RING_MIN_SLOT_BYTES);

/* ---- Handles: fields are for reading ------------------------------------------------------------------- */

typedef struct physring_region {
  uint8_t *base;       /* NULL: closed */
  uint64_t size_bytes; /* as checked at opening; never read from memory again */
  int fd;              /* description of our own: mapping, locks, life */
  int participant;     /* -1: not joined */
  uint32_t generation; /* of the participant slot */
  int socket_fd;       /* datagrams to event loops leave from here; -1 until the first */
  int life_fd;         /* our life file, open while we are joined; -1 */
  uint64_t sleeps;     /* futex sleeps of this handle */
  uint64_t woken;      /* those that a peer's doorbell ended, not the time slice */
  uint64_t wakes;      /* sleeping peers that this handle woke */
  uint32_t yield_pause, waits_unyielding; /* see physring_may_yield_ */
  char path[256];
} physring_region;

/* A checked ring. The numbers are private copies: what a peer writes over the header later has no effect. */
typedef struct physring_ring {
  physring_ring_header *header;
  uint8_t *slots;
  uint32_t slot_bytes, capacity;
} physring_ring;

typedef struct physring_producer {
  physring_region *region;
  physring_ring ring;
  uint32_t tail, cached_head, reserved;
} physring_producer;

typedef struct physring_consumer {
  physring_region *region;
  physring_ring ring;
  uint32_t head, cached_tail, peeked;
} physring_consumer;

/* ---- Words (section 1): one read, one writer, stated orders -------------------------------------------- */

static inline uint32_t physring_load_(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}
/* Loads before it are done before loads after it. */
static inline void physring_fence_loads_(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline uint32_t physring_load_acquire_(const uint32_t *word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void physring_store_release_(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
static inline void physring_fence_(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline uint32_t physring_exchange_(uint32_t *word, uint32_t value) {
  return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}
static inline int physring_cas_(uint32_t *word, uint32_t expected, uint32_t value) {
  return __atomic_compare_exchange_n(word, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
static inline uint64_t physring_u64_(const uint32_t pair[2]) {
  return physring_load_(pair) | (uint64_t)physring_load_(pair + 1) << 32;
}
static inline void physring_set_u64_(uint32_t pair[2], uint64_t value) {
  pair[0] = (uint32_t)value;
  pair[1] = (uint32_t)(value >> 32);
}
static inline void physring_pause_(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield" ::: "memory");
#else
  __asm__ __volatile__("" ::: "memory");
#endif
}
static inline int64_t physring_now_ns_(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
/* timeout_ms < 0: no limit. */
static inline int64_t physring_deadline_ns_(int timeout_ms) {
  return timeout_ms < 0 ? INT64_MAX : physring_now_ns_() + (int64_t)timeout_ms * 1000000;
}
static inline void physring_nap_(void) {
  struct timespec nap = {0, 1000000};
  nanosleep(&nap, NULL);
}

/* ---- Locks (section 3): open-file-description locks on single bytes ------------------------------------ */

static inline struct flock physring_flock_(short type, int byte) {
  struct flock lock;
  memset(&lock, 0, sizeof lock);
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = PHYSRING_LOCK_BASE_OFFSET + byte;
  lock.l_len = 1;
  return lock;
}

/* type: F_WRLCK, F_RDLCK or F_UNLCK. 1: done, 0: another description holds it. */
static inline int physring_lock_(const physring_region *region, short type, int byte) {
  struct flock lock = physring_flock_(type, byte);
  if (fcntl(region->fd, F_OFD_SETLK, &lock) == 0) return 1;
  return errno == EAGAIN || errno == EACCES ? 0 : PHYSRING_ERR_SYSTEM;
}

/* 1: another description has a lock on the byte. */
static inline int physring_is_locked_(const physring_region *region, int byte) {
  struct flock lock = physring_flock_(F_WRLCK, byte);
  if (fcntl(region->fd, F_OFD_GETLK, &lock) != 0) return PHYSRING_ERR_SYSTEM;
  return lock.l_type != F_UNLCK;
}

/* ---- Regions (section 2) ------------------------------------------------------------------------------- */

static inline physring_superblock *physring_superblock_(const physring_region *region) {
  return (physring_superblock *)(void *)region->base;
}
static inline physring_control_header *physring_control_(const physring_region *region) {
  return (physring_control_header *)(void *)(region->base + PHYSRING_CONTROL_OFFSET);
}
static inline physring_participant *physring_record_(const physring_region *region, int participant) {
  return (physring_participant *)(void *)(physring_control_(region) + 1) + participant;
}
static inline physring_directory_entry *physring_entry_(const physring_region *region, int index) {
  return (physring_directory_entry *)(void *)(region->base + PHYSRING_DIRECTORY_OFFSET) + index;
}

/* The bytes of a descriptor; NULL when they are not inside the region. The numbers may come from a peer. */
static inline void *physring_bytes(const physring_region *region, uint64_t offset, uint64_t length) {
  if (offset > region->size_bytes || length > region->size_bytes - offset) return NULL;
  return region->base + offset;
}

static inline int physring_path_(char path[256], const char **directory, const char *name) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  size_t length = strlen(name);
  const char *chosen = getenv("PHYSRING_SHM_DIR");
  if (length < 1 || length > 48 || name[0] == '.' || strspn(name, letters) != length)
    return PHYSRING_ERR_NAME;
  if (length >= 2 && strcmp(name + length - 2, ".d") == 0) return PHYSRING_ERR_NAME;
  if (length >= 4 && strcmp(name + length - 4, ".ctl") == 0) return PHYSRING_ERR_NAME;
  *directory = chosen != NULL && chosen[0] != '\0' ? chosen : "/dev/shm";
  /* 32 bytes are left for the names of doorbells beside the region. */
  int written = snprintf(path, 256, "%s/physring.%s", *directory, name);
  return written < 0 || written >= 256 - 32 ? PHYSRING_ERR_NAME : PHYSRING_OK;
}

static inline void physring_clear_(physring_region *region) {
  memset(region, 0, sizeof *region);
  region->fd = region->socket_fd = region->life_fd = region->participant = -1;
}

/* Closes what a failed open or create had got so far; keeps errno. */
static inline int physring_abandon_(physring_region *region, int status) {
  int saved = errno;
  if (region->base != NULL) munmap(region->base, (size_t)region->size_bytes);
  if (region->fd >= 0) close(region->fd);
  physring_clear_(region);
  errno = saved;
  return status;
}

static inline int physring_system_error_(void) {
  switch (errno) {
    case ENOENT: return PHYSRING_ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS: return PHYSRING_ERR_PERMISSION;
    case ENOSPC:
    case EFBIG: return PHYSRING_ERR_NO_SPACE;
    case EEXIST: return PHYSRING_ERR_EXISTS;
    case ELOOP:
    case EISDIR: return PHYSRING_ERR_UNSUPPORTED;
    default: return PHYSRING_ERR_SYSTEM;
  }
}

static inline int physring_map_(physring_region *region) {
  void *base = mmap(NULL, (size_t)region->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd, 0);
  if (base == MAP_FAILED) return PHYSRING_ERR_SYSTEM;
  region->base = (uint8_t *)base;
  return PHYSRING_OK;
}

/* Checks a private copy of the superblock against the file's size. */
static inline int physring_check_superblock_(const physring_superblock *copy, uint64_t file_bytes,
                                             uint64_t *size_bytes) {
  uint64_t size = physring_u64_(copy->size_bytes);
  if (copy->magic[0] != PHYSRING_MAGIC_LOW || copy->magic[1] != PHYSRING_MAGIC_HIGH)
    return PHYSRING_ERR_NOT_A_REGION;
  if (copy->byte_order == 0x04030201) return PHYSRING_ERR_BYTE_ORDER;
  if (copy->layout_version != PHYSRING_LAYOUT_VERSION) return PHYSRING_ERR_VERSION;
  if (copy->state == PHYSRING_REGION_BUILDING) return PHYSRING_ERR_HALF_MADE;
  if (copy->flags & PHYSRING_REGION_FLAG_SIDECAR) return PHYSRING_ERR_UNSUPPORTED;
  if (copy->state != PHYSRING_REGION_READY || copy->byte_order != PHYSRING_BYTE_ORDER_MARK)
    return PHYSRING_ERR_CORRUPT;
  if (copy->header_bytes != PHYSRING_HEADER_BYTES || copy->directory_offset != PHYSRING_DIRECTORY_OFFSET ||
      copy->directory_capacity != PHYSRING_DIRECTORY_CAPACITY ||
      copy->control_offset != PHYSRING_CONTROL_OFFSET || copy->participant_capacity != PHYSRING_PARTICIPANTS)
    return PHYSRING_ERR_CORRUPT;
  if ((copy->instance_id[0] | copy->instance_id[1] | copy->instance_id[2] | copy->instance_id[3]) == 0)
    return PHYSRING_ERR_CORRUPT;
  if (size < PHYSRING_HEADER_BYTES || size > (uint64_t)PTRDIFF_MAX) return PHYSRING_ERR_CORRUPT;
  if (size > file_bytes) return PHYSRING_ERR_TOO_SMALL;
  *size_bytes = size;
  return PHYSRING_OK;
}

static inline int physring_check_control_(const physring_region *region, const physring_superblock *copy) {
  const physring_control_header *control = physring_control_(region);
  if (physring_load_(&control->magic) != PHYSRING_CONTROL_MAGIC ||
      physring_load_(&control->version) != PHYSRING_CONTROL_VERSION ||
      physring_load_(&control->participant_capacity) != PHYSRING_PARTICIPANTS ||
      physring_load_(&control->record_bytes) != sizeof(physring_participant))
    return PHYSRING_ERR_CORRUPT;
  for (int i = 0; i < 4; i++)
    if (physring_load_(&control->instance_id[i]) != copy->instance_id[i]) return PHYSRING_ERR_CORRUPT;
  return PHYSRING_OK;
}

static inline int physring_open_once_(physring_region *region) {
  physring_superblock copy;
  struct stat status;
  int result;
  region->fd = open(region->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (region->fd < 0 || fstat(region->fd, &status) != 0) return physring_system_error_();
  if (!S_ISREG(status.st_mode)) return PHYSRING_ERR_UNSUPPORTED;
  /* Every opener holds it. Who replaces the file takes it for writing, or has unlinked it: look for the successor. */
  if ((result = physring_lock_(region, F_RDLCK, PHYSRING_LOCK_USERS)) < 0) return result;
  if (result == 0 || fstat(region->fd, &status) != 0 || status.st_nlink == 0) return PHYSRING_ERR_NOT_FOUND;
  if (status.st_size < PHYSRING_HEADER_BYTES) return PHYSRING_ERR_TOO_SMALL;
  if (pread(region->fd, &copy, sizeof copy, 0) != (ssize_t)sizeof copy) return PHYSRING_ERR_SYSTEM;
  if ((result = physring_check_superblock_(&copy, (uint64_t)status.st_size, &region->size_bytes)) < 0)
    return result;
  if ((result = physring_map_(region)) < 0) return result;
  /* SYNC region-ready: acquire pairs with the creator's release store of state. */
  if (physring_load_acquire_(&physring_superblock_(region)->state) != PHYSRING_REGION_READY)
    return PHYSRING_ERR_CORRUPT;
  return physring_check_control_(region, &copy);
}

/*
 * Opens the region NAME (file $PHYSRING_SHM_DIR/physring.NAME, by default in /dev/shm) and checks everything in its
 * headers. Waits up to timeout_ms (< 0: no limit) for it to appear. The handle takes no part yet: see physring_join.
 */
static inline int physring_region_open(physring_region *region, const char *name, int timeout_ms) {
  int64_t deadline_ns = physring_deadline_ns_(timeout_ms);
  const char *directory;
  physring_clear_(region);
  for (;;) {
    int status = physring_path_(region->path, &directory, name);
    if (status == PHYSRING_OK) status = physring_open_once_(region);
    if (status == PHYSRING_OK) return PHYSRING_OK;
    physring_abandon_(region, status);
    if (status != PHYSRING_ERR_NOT_FOUND || physring_now_ns_() >= deadline_ns) return status;
    physring_nap_();
  }
}

static inline int physring_format_(physring_region *region) {
  physring_superblock *superblock = physring_superblock_(region);
  physring_control_header *control = physring_control_(region);
  struct timespec now;
  do {
    if (getrandom(superblock->instance_id, 16, 0) != 16) return PHYSRING_ERR_SYSTEM;
  } while (superblock->instance_id[0] == 0);
  clock_gettime(CLOCK_REALTIME, &now);
  superblock->layout_version = PHYSRING_LAYOUT_VERSION;
  superblock->byte_order = PHYSRING_BYTE_ORDER_MARK;
  superblock->header_bytes = PHYSRING_HEADER_BYTES;
  physring_set_u64_(superblock->size_bytes, region->size_bytes);
  superblock->directory_offset = PHYSRING_DIRECTORY_OFFSET;
  superblock->directory_capacity = PHYSRING_DIRECTORY_CAPACITY;
  superblock->control_offset = PHYSRING_CONTROL_OFFSET;
  superblock->participant_capacity = PHYSRING_PARTICIPANTS;
  superblock->backend = PHYSRING_BACKEND_SHM;
  physring_set_u64_(superblock->created_at_ms,
                    (uint64_t)now.tv_sec * 1000 + (uint64_t)(now.tv_nsec / 1000000));
  superblock->magic[0] = PHYSRING_MAGIC_LOW;
  superblock->magic[1] = PHYSRING_MAGIC_HIGH;
  control->magic = PHYSRING_CONTROL_MAGIC;
  control->version = PHYSRING_CONTROL_VERSION;
  control->participant_capacity = PHYSRING_PARTICIPANTS;
  control->record_bytes = sizeof(physring_participant);
  memcpy(control->instance_id, superblock->instance_id, sizeof control->instance_id);
  /* SYNC region-ready: release pairs with an opener's acquire load. */
  physring_store_release_(&superblock->state, PHYSRING_REGION_READY);
  return PHYSRING_OK;
}

static inline int physring_create_file_(physring_region *region, const char *directory, mode_t mode) {
  char link_source[64];
  int status;
  /* Nameless until it is ready; if we die before, it is gone. The new file reads as zero. */
  region->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (region->fd < 0 || fchmod(region->fd, mode) != 0 ||
      ftruncate(region->fd, (off_t)region->size_bytes) != 0)
    return physring_system_error_();
  /* Reserved, so that a full file system is an error now and no SIGBUS later. */
  if ((errno = posix_fallocate(region->fd, 0, (off_t)region->size_bytes)) != 0)
    return physring_system_error_();
  if (physring_lock_(region, F_RDLCK, PHYSRING_LOCK_USERS) != 1) return PHYSRING_ERR_SYSTEM;
  if ((status = physring_map_(region)) < 0 || (status = physring_format_(region)) < 0) return status;
  snprintf(link_source, sizeof link_source, "/proc/self/fd/%d", region->fd);
  if (linkat(AT_FDCWD, link_source, AT_FDCWD, region->path, AT_SYMLINK_FOLLOW) != 0)
    return physring_system_error_();
  return PHYSRING_OK;
}

/*
 * Creates an empty region of size_bytes (at least PHYSRING_HEADER_BYTES) with the file mode given, for example
 * 0600, and opens it. Never replaces one: PHYSRING_ERR_EXISTS.
 */
static inline int physring_region_create(physring_region *region, const char *name, uint64_t size_bytes,
                                         mode_t mode) {
  const char *directory;
  physring_clear_(region);
  if (size_bytes < PHYSRING_HEADER_BYTES || size_bytes > (uint64_t)PTRDIFF_MAX) return PHYSRING_ERR_ARGUMENT;
  int status = physring_path_(region->path, &directory, name);
  region->size_bytes = size_bytes;
  if (status == PHYSRING_OK) status = physring_create_file_(region, directory, mode);
  return status < 0 ? physring_abandon_(region, status) : PHYSRING_OK;
}

/* Takes the name away, and the sockets beside it. Whoever has the region open keeps a nameless one. */
static inline int physring_region_unlink(const char *name) {
  char path[256];
  const char *directory;
  int status = physring_path_(path, &directory, name);
  if (status < 0) return status;
  if (unlink(path) != 0) return physring_system_error_();
  strcat(path, ".d");
  DIR *sockets = opendir(path);
  if (sockets == NULL) return PHYSRING_OK;
  for (struct dirent *entry; (entry = readdir(sockets)) != NULL;)
    if (entry->d_name[0] != '.') unlinkat(dirfd(sockets), entry->d_name, 0);
  closedir(sockets);
  rmdir(path);
  return PHYSRING_OK;
}

/* ---- Doorbells (section 3) ----------------------------------------------------------------------------- */

/* Longest sleep: a waker may die, or be stopped, between disarming the doorbell and waking. */
#ifndef PHYSRING_SLICE_NS
#define PHYSRING_SLICE_NS 50000000
#endif
/* The same where a waker may have left its fence to us and the kernel does not help. */
#ifndef PHYSRING_UNFENCED_SLICE_NS
#define PHYSRING_UNFENCED_SLICE_NS 1000000
#endif
/* How long a wait spins before it sleeps. */
#ifndef PHYSRING_SPIN_NS
#define PHYSRING_SPIN_NS 20000
#endif

static inline void physring_send_byte_(physring_region *region, int participant) {
  struct sockaddr_un address;
  uint32_t generation =
      physring_load_(&physring_record_(region, participant)->state) >> PHYSRING_GENERATION_SHIFT;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  int length = snprintf(address.sun_path, sizeof address.sun_path, "%s.d/%d.%u", region->path, participant,
                        generation);
  if (length < 0 || (size_t)length >= sizeof address.sun_path)
    return; /* no socket can have that path: nobody */
  if (region->socket_fd < 0)
    region->socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length + 1);
  /* EAGAIN: rung already. ENOENT, ECONNREFUSED: nobody. Any other failure costs the sleeper a time slice. */
  (void)!sendto(region->socket_fd, "\1", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)(void *)&address,
                size);
}

/*
 * `armed` is what the doorbell was seen to hold. When it holds something else by now, another waker came first, or the
 * sleeper looked again after we had published. The datagram leaves before the doorbell is disarmed: stopped in between,
 * we have woken the sleeper; stopped before, others still can.
 */
static inline __attribute__((cold)) int physring_wake_(physring_region *region, int participant,
                                                       uint32_t armed) {
  uint32_t *doorbell = &physring_record_(region, participant)->doorbell;
  uint32_t mode = armed & PHYSRING_ASLEEP_MASK;
  if (mode == PHYSRING_ASLEEP_EVENT_LOOP) physring_send_byte_(region, participant);
  if (!physring_cas_(doorbell, armed, PHYSRING_AWAKE)) return 0;
  if (mode == PHYSRING_ASLEEP_FUTEX) syscall(SYS_futex, doorbell, FUTEX_WAKE, 1, NULL, NULL, 0);
  return 1;
}

/* Wakes a participant if it sleeps; a number that is none is nobody. The publication and a fence came before. */
static inline void physring_ring_participant_(physring_region *region, int participant) {
  if (participant < 0 || participant >= PHYSRING_PARTICIPANTS) return;
  uint32_t *doorbell = &physring_record_(region, participant)->doorbell;
  uint32_t armed = physring_load_(doorbell);
  if (__builtin_expect(armed == PHYSRING_AWAKE, 1)) return;
  if (physring_wake_(region, participant, armed)) region->wakes++;
}

/*
 * Wakes the participant named by an owner word if it sleeps. The index store came before (SYNC doorbell: publish,
 * fence, read). The owner is read behind the fence too: an owner that we miss has yet to attach, and will find what
 * we published.
 */
static inline void physring_ring_doorbell_(physring_region *region, const uint32_t *owner_word) {
  physring_fence_();
  physring_ring_participant_(region, (int)(physring_load_(owner_word) & PHYSRING_OWNER_PARTICIPANT_MASK) - 1);
}

/*
 * The sleeper's fence, between arming its doorbell and looking again. On x86-64 a waker may publish with a plain
 * store and no fence; membarrier(2) then runs one on its processor for us. 0: the kernel refuses, and a message of
 * such a waker can go unnoticed until the sleep ends.
 */
static inline int physring_sleepers_fence_(void) {
  physring_fence_();
#if defined(__x86_64__)
  return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
#else
  return 1;
#endif
}

typedef int physring_ready_(void *end); /* > 0 ready, 0 not yet, < 0 error */

/* One futex sleep of at most limit_ns. SYNC doorbell: arm, fence, look; the waker publishes, fences, reads. */
static inline int physring_sleep_(physring_region *region, physring_ready_ *ready, void *end,
                                  int64_t limit_ns) {
  uint32_t *doorbell = &physring_record_(region, region->participant)->doorbell;
  physring_store_release_(doorbell, PHYSRING_ASLEEP_FUTEX);
  if (!physring_sleepers_fence_() && limit_ns > PHYSRING_UNFENCED_SLICE_NS) limit_ns = PHYSRING_UNFENCED_SLICE_NS;
  int result = ready(end);
  if (result == 0) {
    struct timespec limit = {(time_t)(limit_ns / 1000000000), (long)(limit_ns % 1000000000)};
    region->sleeps++;
    long woken = syscall(SYS_futex, doorbell, FUTEX_WAIT, PHYSRING_ASLEEP_FUTEX, &limit, NULL, 0);
    if (woken == 0 || errno == EAGAIN)
      region->woken++;
    else if (errno != ETIMEDOUT && errno != EINTR)
      result = PHYSRING_ERR_SYSTEM;
  }
  physring_store_release_(doorbell, PHYSRING_AWAKE);
  return result;
}

/*
 * A consumer that spins yields its processor to whoever shares it: perhaps the one that it waits for, or the slowest
 * consumer that holds both up. Peers that take turns give it back soon. Beside a process that only computes a yield costs
 * milliseconds: after one that did, the next waits spin without, twice as many each time.
 */
enum { PHYSRING_YIELD_NS = 250000, PHYSRING_FIRST_YIELD_PAUSE = 64, PHYSRING_LONGEST_YIELD_PAUSE = 1 << 16 };

static inline int physring_may_yield_(physring_region *region) {
  if (region->waits_unyielding == 0) return 1;
  region->waits_unyielding--;
  return 0;
}

/* Yields once; returns the time afterwards. */
static inline int64_t physring_yield_(physring_region *region, int64_t before_ns) {
  sched_yield();
  int64_t now_ns = physring_now_ns_();
  uint32_t pause = region->yield_pause * 2;
  if (now_ns - before_ns <= PHYSRING_YIELD_NS) pause = 0;
  else if (pause == 0) pause = PHYSRING_FIRST_YIELD_PAUSE;
  else if (pause > PHYSRING_LONGEST_YIELD_PAUSE) pause = PHYSRING_LONGEST_YIELD_PAUSE;
  region->yield_pause = region->waits_unyielding = pause;
  return now_ns;
}

/* Spins for PHYSRING_SPIN_NS at most. `yielding`: whose processor may be yielded meanwhile, NULL: nobody's. */
static inline int physring_spin_(physring_ready_ *ready, void *end, int64_t deadline_ns, physring_region *yielding) {
  int64_t now_ns = physring_now_ns_(), spin_until_ns = now_ns + PHYSRING_SPIN_NS;
  int yields = yielding != NULL && physring_may_yield_(yielding);
  int result = ready(end);
  while (result == 0 && now_ns < spin_until_ns && now_ns < deadline_ns) {
    for (int i = 0; i < 32 && (result = ready(end)) == 0; i++) physring_pause_();
    now_ns = yields && result == 0 ? physring_yield_(yielding, now_ns) : physring_now_ns_();
  }
  return result;
}

/* Sleeps, in slices. */
static inline int physring_sleep_until_(physring_region *region, physring_ready_ *ready, void *end,
                                        int64_t deadline_ns) {
  int64_t now_ns = physring_now_ns_();
  int result = ready(end);
  while (result == 0 && now_ns < deadline_ns) {
    int64_t left_ns = deadline_ns - now_ns;
    result = physring_sleep_(region, ready, end, left_ns < PHYSRING_SLICE_NS ? left_ns : PHYSRING_SLICE_NS);
    if (result == 0) result = ready(end);
    now_ns = physring_now_ns_();
  }
  return result;
}

/* Spins for a while, then sleeps. timeout_ms < 0: no limit. */
static inline int physring_wait_(physring_region *region, physring_ready_ *ready, void *end, int timeout_ms, int yields) {
  int64_t deadline_ns = physring_deadline_ns_(timeout_ms);
  int result = physring_spin_(ready, end, deadline_ns, yields ? region : NULL);
  return result != 0 ? result : physring_sleep_until_(region, ready, end, deadline_ns);
}

/* ---- Directory (section 4) ----------------------------------------------------------------------------- */

/* Offset and size of an entry, checked against the region. */
static inline int physring_extent_(const physring_region *region, const physring_directory_entry *entry,
                                   uint64_t *offset, uint64_t *size) {
  *offset = physring_u64_(entry->offset);
  *size = physring_u64_(entry->size_bytes);
  if (*offset % PHYSRING_OBJECT_ALIGN_BYTES != 0 || *offset < PHYSRING_HEADER_BYTES ||
      *offset > region->size_bytes)
    return PHYSRING_ERR_CORRUPT;
  return *size == 0 || *size > region->size_bytes - *offset ? PHYSRING_ERR_CORRUPT : PHYSRING_OK;
}

/* A private copy of a ready entry: 1, or 0 when it is not ready. */
static inline int physring_read_entry_(const physring_region *region, int index,
                                       physring_directory_entry *copy) {
  const physring_directory_entry *entry = physring_entry_(region, index);
  for (int attempt = 0; attempt < 1000; attempt++) {
    /* SYNC entry-ready: acquire pairs with the creator's release store of state. */
    if (physring_load_acquire_(&entry->state) != PHYSRING_ENTRY_READY) return 0;
    for (size_t word = 0; word < sizeof *copy / 4; word++)
      ((uint32_t *)(void *)copy)[word] = physring_load_((const uint32_t *)(const void *)entry + word);
    physring_fence_();
    /* Freed and filled again meanwhile: the state or the generation differs. */
    if (physring_load_(&entry->state) == PHYSRING_ENTRY_READY &&
        physring_load_(&entry->generation) == copy->generation)
      return 1;
  }
  return PHYSRING_ERR_CORRUPT;
}

/* Checks a ring at an extent that was checked, and takes private copies of its numbers. */
static inline int physring_read_ring_(const physring_region *region, uint64_t offset, uint64_t size_bytes,
                                      physring_ring *ring) {
  if (size_bytes < sizeof(physring_ring_header)) return PHYSRING_ERR_CORRUPT;
  ring->header = (physring_ring_header *)(void *)(region->base + offset);
  ring->slots = region->base + offset + sizeof(physring_ring_header);
  ring->slot_bytes = physring_load_(&ring->header->slot_bytes);
  ring->capacity = physring_load_(&ring->header->capacity);
  uint32_t flags = physring_load_(&ring->header->flags);
  if (physring_load_(&ring->header->magic) != PHYSRING_RING_MAGIC ||
      physring_load_(&ring->header->version) != PHYSRING_RING_VERSION ||
      physring_load_(&ring->header->slots_offset) != sizeof(physring_ring_header))
    return PHYSRING_ERR_CORRUPT;
  if (ring->slot_bytes < PHYSRING_RING_MIN_SLOT_BYTES || ring->slot_bytes > PHYSRING_RING_MAX_SLOT_BYTES ||
      (ring->slot_bytes & (ring->slot_bytes - 1)) != 0 || ring->capacity < PHYSRING_RING_MIN_CAPACITY ||
      ring->capacity > PHYSRING_RING_MAX_CAPACITY || (ring->capacity & (ring->capacity - 1)) != 0)
    return PHYSRING_ERR_CORRUPT;
  if ((uint64_t)ring->capacity * ring->slot_bytes > size_bytes - sizeof(physring_ring_header))
    return PHYSRING_ERR_CORRUPT;
  return flags != 0 ? PHYSRING_ERR_UNSUPPORTED : PHYSRING_OK;
}

/* The extent of the object NAME, checked against the region. */
static inline int physring_find_object_(const physring_region *region, const char *name, uint32_t kind,
                                        uint64_t *offset, uint64_t *size) {
  physring_directory_entry copy;
  size_t length = strlen(name);
  if (length < 1 || length >= sizeof copy.name) return PHYSRING_ERR_NAME;
  for (int index = 0; index < PHYSRING_DIRECTORY_CAPACITY; index++) {
    int status = physring_read_entry_(region, index, &copy);
    if (status < 0) return status;
    if (status == 0 || memcmp(copy.name, name, length + 1) != 0) continue;
    return copy.kind == kind ? physring_extent_(region, &copy, offset, size) : PHYSRING_ERR_OBJECT_KIND;
  }
  return PHYSRING_ERR_OBJECT_NOT_FOUND;
}

/* Opens the ring NAME and checks its geometry; attaches to nothing. */
static inline int physring_ring_open(const physring_region *region, const char *name, physring_ring *ring) {
  uint64_t offset, size;
  int status = physring_find_object_(region, name, PHYSRING_KIND_RING, &offset, &size);
  return status < 0 ? status : physring_read_ring_(region, offset, size, ring);
}

/* Zeroing a large object takes a second or two; a holder that needs longer is stopped. */
#ifndef PHYSRING_DIRECTORY_LIMIT_MS
#define PHYSRING_DIRECTORY_LIMIT_MS 10000
#endif

/* First gap of size_bytes between the objects, under the directory lock. */
static inline int physring_find_gap_(const physring_region *region, uint64_t size_bytes, uint64_t *gap) {
  uint64_t start = PHYSRING_HEADER_BYTES, offset, size;
  for (int index = 0; index < PHYSRING_DIRECTORY_CAPACITY; index++) {
    const physring_directory_entry *entry = physring_entry_(region, index);
    if (physring_load_(&entry->state) == PHYSRING_ENTRY_FREE) continue;
    if (physring_extent_(region, entry, &offset, &size) < 0) return PHYSRING_ERR_CORRUPT;
    if (offset >= start + size_bytes || offset + size <= start) continue;
    start = (offset + size + PHYSRING_OBJECT_ALIGN_BYTES - 1) & ~(uint64_t)(PHYSRING_OBJECT_ALIGN_BYTES - 1);
    index = -1; /* the start grew past one object and never shrinks: at most 64 rounds */
  }
  if (start > region->size_bytes || size_bytes > region->size_bytes - start)
    return PHYSRING_ERR_DIRECTORY_NO_ROOM;
  *gap = start;
  return PHYSRING_OK;
}

/* Under the directory lock: frees what dead creators left building, refuses a name that exists, finds a free entry. */
static inline int physring_free_entry_(const physring_region *region, const char *name) {
  physring_directory_entry copy;
  int free_index = -1;
  for (int index = PHYSRING_DIRECTORY_CAPACITY - 1; index >= 0; index--) {
    physring_directory_entry *entry = physring_entry_(region, index);
    int status = physring_read_entry_(region, index, &copy);
    if (status < 0) return status;
    if (status > 0 && memcmp(copy.name, name, strlen(name) + 1) == 0) return PHYSRING_ERR_EXISTS;
    if (status > 0) continue;
    if (physring_load_(&entry->state) > PHYSRING_ENTRY_BUILDING) return PHYSRING_ERR_CORRUPT;
    physring_store_release_(&entry->state, PHYSRING_ENTRY_FREE);
    free_index = index;
  }
  return free_index < 0 ? PHYSRING_ERR_DIRECTORY_FULL : free_index;
}

/* Under the directory lock: allocates and zeroes an object, in state building. Returns its index. */
static inline int physring_begin_object_(const physring_region *region, const char *name, uint32_t kind,
                                         uint64_t size, uint64_t *offset) {
  int index = physring_free_entry_(region, name);
  if (index < 0) return index;
  int status = physring_find_gap_(region, size, offset);
  if (status < 0) return status;
  physring_directory_entry *entry = physring_entry_(region, index);
  physring_store_release_(&entry->state, PHYSRING_ENTRY_BUILDING);
  physring_fence_(); /* a reader that copies any word below finds the state changed */
  entry->generation = physring_load_(&entry->generation) + 1;
  entry->kind = kind;
  physring_set_u64_(entry->offset, *offset);
  physring_set_u64_(entry->size_bytes, size);
  memset(entry->name, 0, sizeof entry->name);
  memcpy(entry->name, name, strlen(name));
  memset(region->base + *offset, 0, (size_t)size);
  return index;
}

static inline int physring_lock_directory_(const physring_region *region) {
  int64_t deadline_ns = physring_deadline_ns_(PHYSRING_DIRECTORY_LIMIT_MS);
  int status;
  while ((status = physring_lock_(region, F_WRLCK, PHYSRING_LOCK_DIRECTORY)) == 0) {
    if (physring_now_ns_() >= deadline_ns) return PHYSRING_ERR_DIRECTORY_BUSY;
    physring_nap_();
  }
  return status;
}

/*
 * Creates an empty ring: slot_bytes a power of two from 16 to 4096, capacity one from 2 to 2^24 slots. It stays in
 * the region until somebody removes it. Needs no participant.
 */
static inline int physring_ring_create(physring_region *region, const char *name, uint32_t slot_bytes,
                                       uint32_t capacity) {
  size_t length = strlen(name);
  uint64_t offset = 0, size = sizeof(physring_ring_header) + (uint64_t)slot_bytes * capacity;
  if (length < 1 || length >= sizeof((physring_directory_entry *)0)->name) return PHYSRING_ERR_NAME;
  if (slot_bytes < PHYSRING_RING_MIN_SLOT_BYTES || slot_bytes > PHYSRING_RING_MAX_SLOT_BYTES ||
      (slot_bytes & (slot_bytes - 1)) != 0 || capacity < PHYSRING_RING_MIN_CAPACITY ||
      capacity > PHYSRING_RING_MAX_CAPACITY || (capacity & (capacity - 1)) != 0)
    return PHYSRING_ERR_ARGUMENT;
  int index = physring_lock_directory_(region);
  if (index < 0) return index;
  index = physring_begin_object_(region, name, PHYSRING_KIND_RING, size, &offset);
  if (index >= 0) {
    physring_ring_header *ring = (physring_ring_header *)(void *)(region->base + offset);
    ring->magic = PHYSRING_RING_MAGIC;
    ring->version = PHYSRING_RING_VERSION;
    ring->slot_bytes = slot_bytes;
    ring->capacity = capacity;
    ring->slots_offset = sizeof(physring_ring_header);
    /* SYNC entry-ready: release pairs with a reader's acquire load. */
    physring_store_release_(&physring_entry_(region, index)->state, PHYSRING_ENTRY_READY);
  }
  physring_lock_(region, F_UNLCK, PHYSRING_LOCK_DIRECTORY);
  return index < 0 ? index : PHYSRING_OK;
}

/* ---- Participants (sections 3, 8) ---------------------------------------------------------------------- */

/* 1 when no participant that is live or dying is inside a drop-oldest claim: a swept slot may be used again. */
static inline int physring_quiet_(const physring_region *region, int except) {
  for (int p = 0; p < PHYSRING_PARTICIPANTS; p++) {
    const physring_participant *record = physring_record_(region, p);
    uint32_t phase = physring_load_acquire_(&record->state) & PHYSRING_PHASE_MASK;
    if (p == except || (phase != PHYSRING_PHASE_LIVE && phase != PHYSRING_PHASE_DYING)) continue;
    if (physring_load_acquire_(&record->section) & 1) return 0;
  }
  return 1;
}

/*
 * Opens the life file of the slot whose life byte we hold: the kernel closes it when we end, however we end, and tells
 * whoever watches the directory. Before the state is live.
 */
static inline int physring_open_life_(physring_region *region, int participant, uint32_t generation) {
  char path[sizeof region->path + 32];
  snprintf(path, sizeof path, "%s.d", region->path);
  if (mkdir(path, 0700) != 0 && errno != EEXIST) return physring_system_error_();
  snprintf(path, sizeof path, "%s.d/%d.%u.life", region->path, participant, generation);
  unlink(path);
  region->life_fd = open(path, O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
  return region->life_fd < 0 ? physring_system_error_() : PHYSRING_OK;
}

static inline void physring_close_life_(physring_region *region) {
  char path[sizeof region->path + 32];
  if (region->life_fd < 0) return;
  snprintf(path, sizeof path, "%s.d/%d.%u.life", region->path, region->participant, region->generation);
  unlink(path);
  close(region->life_fd);
  region->life_fd = -1;
}

static inline void physring_fill_record_(physring_participant *record, const char *label) {
  struct stat status;
  record->pid = (uint32_t)getpid();
  record->tid = (uint32_t)syscall(SYS_gettid);
  record->pid_namespace = stat("/proc/self/ns/pid", &status) == 0 ? (uint32_t)status.st_ino : 0;
  record->doorbell = PHYSRING_AWAKE;
  record->section = 0;
  record->wanted = 0;
  memset(record->name, 0, sizeof record->name);
  memcpy(record->name, label, strnlen(label, sizeof record->name - 1));
}

/*
 * Becomes a participant, named `label` (UTF-8, cut at 31 bytes) in listings. Slots of dead participants are skipped:
 * cleaning them takes channels and pools, see the top.
 */
static inline int physring_join(physring_region *region, const char *label) {
  int dead = 0;
  if (region->participant >= 0) return PHYSRING_OK;
  for (int p = 0; p < PHYSRING_PARTICIPANTS; p++) {
    physring_participant *record = physring_record_(region, p);
    int locked = physring_lock_(region, F_WRLCK, PHYSRING_LOCK_PARTICIPANT + p);
    if (locked < 0) return locked;
    if (locked == 0) continue;
    /* We hold the life byte: only we write this state now. */
    uint32_t state = physring_load_acquire_(&record->state), phase = state & PHYSRING_PHASE_MASK;
    if (phase == PHYSRING_PHASE_FREE || (phase == PHYSRING_PHASE_SWEPT && physring_quiet_(region, p))) {
      uint32_t generation = ((state >> PHYSRING_GENERATION_SHIFT) + 1) & 0xffffff;
      region->generation = generation == 0 ? 1 : generation;
      int opened = physring_open_life_(region, p, region->generation);
      if (opened < 0) {
        physring_lock_(region, F_UNLCK, PHYSRING_LOCK_PARTICIPANT + p);
        return opened;
      }
      region->participant = p;
      physring_fill_record_(record, label);
      physring_store_release_(&record->state,
                              region->generation << PHYSRING_GENERATION_SHIFT | PHYSRING_PHASE_LIVE);
      return PHYSRING_OK;
    }
    dead++;
    physring_lock_(region, F_UNLCK, PHYSRING_LOCK_PARTICIPANT + p);
  }
  return dead > 0 ? PHYSRING_ERR_OWNER_DEAD : PHYSRING_ERR_PARTICIPANT_LIMIT;
}

/*
 * CAS (g, me) -> (g + 1, nobody); nothing when the word does not name us. Whoever evicts us meanwhile makes the word busy, once: then again.
 */
static inline void physring_detach_(const physring_region *region, uint32_t *owner_word) {
  for (int attempt = 0; attempt < 4; attempt++) {
    uint32_t owner = physring_load_acquire_(owner_word);
    if ((int)(owner & PHYSRING_OWNER_PARTICIPANT_MASK) != region->participant + 1) return;
    uint32_t vacant = ((owner >> PHYSRING_GENERATION_SHIFT) + 1) << PHYSRING_GENERATION_SHIFT;
    if (physring_cas_(owner_word, owner, vacant)) return;
  }
}

/* Defined in physring_records.h. */
static inline void physring_leave_records_(const physring_region *region, uint64_t offset, uint64_t size);

/*
 * Leaves: recovery of oneself (section 8, steps 3-7). Steps 4-6 come down to rings and records: a participant of this
 * header is in no channel and holds no block. Ends that are still attached are detached; do not use them any more.
 */
static inline void physring_leave(physring_region *region) {
  physring_directory_entry copy;
  physring_ring ring;
  uint64_t offset, size;
  if (region->participant < 0) return;
  physring_participant *record = physring_record_(region, region->participant);
  physring_store_release_(&record->state,
                          region->generation << PHYSRING_GENERATION_SHIFT | PHYSRING_PHASE_DYING);
  for (int index = 0; index < PHYSRING_DIRECTORY_CAPACITY; index++) {
    if (physring_read_entry_(region, index, &copy) != 1) continue;
    if (physring_extent_(region, &copy, &offset, &size) < 0) continue;
    if (copy.kind == PHYSRING_KIND_RECORDS) physring_leave_records_(region, offset, size);
    if (copy.kind != PHYSRING_KIND_RING || physring_read_ring_(region, offset, size, &ring) < 0) continue;
    physring_detach_(region, &ring.header->producer_owner);
    physring_detach_(region, &ring.header->consumer_owner);
  }
  physring_store_release_(&record->section, 0);
  for (int p = 0; p < PHYSRING_PARTICIPANTS; p++) {
    physring_participant *other = physring_record_(region, p);
    if ((physring_load_acquire_(&other->state) & PHYSRING_PHASE_MASK) != PHYSRING_PHASE_LIVE) continue;
    physring_send_byte_(region, p);
    physring_wake_(region, p, physring_load_(&other->doorbell));
    syscall(SYS_futex, &other->doorbell, FUTEX_WAKE, 1, NULL, NULL, 0);
  }
  physring_store_release_(&record->state,
                          region->generation << PHYSRING_GENERATION_SHIFT | PHYSRING_PHASE_SWEPT);
  physring_close_life_(region);
  physring_lock_(region, F_UNLCK, PHYSRING_LOCK_PARTICIPANT + region->participant);
  region->participant = -1;
}

/* Leaves and unmaps. The handle, its rings and their slots must not be used any more. Harmless on a closed handle. */
static inline void physring_region_close(physring_region *region) {
  if (region->base == NULL) return;
  physring_leave(region);
  if (region->socket_fd >= 0) close(region->socket_fd);
  physring_abandon_(region, PHYSRING_OK);
}

typedef enum physring_peer_state {
  PHYSRING_PEER_NONE = 0,
  PHYSRING_PEER_ALIVE = 1,
  PHYSRING_PEER_DEAD = 2
} physring_peer_state;

/* Who is behind an owner word, by the kernel's lock: a physring_peer_state, or an error. */
static inline int physring_owner_state_(const physring_region *region, uint32_t owner) {
  int participant = (int)(owner & PHYSRING_OWNER_PARTICIPANT_MASK) - 1;
  if ((owner & PHYSRING_OWNER_MASK) == 0) return PHYSRING_PEER_NONE;
  if (participant < 0 || participant >= PHYSRING_PARTICIPANTS) return PHYSRING_ERR_CORRUPT;
  if (participant == region->participant) return PHYSRING_PEER_ALIVE; /* GETLK does not report our own lock */
  int locked = physring_is_locked_(region, PHYSRING_LOCK_PARTICIPANT + participant);
  return locked < 0 ? locked : locked ? PHYSRING_PEER_ALIVE : PHYSRING_PEER_DEAD;
}

/* CAS (g, nobody) -> (g + 1, me). */
static inline int physring_attach_(const physring_region *region, uint32_t *owner_word) {
  if (region->participant < 0) return PHYSRING_ERR_NOT_JOINED;
  for (int attempt = 0; attempt < 16; attempt++) {
    uint32_t owner = physring_load_acquire_(owner_word);
    int state = physring_owner_state_(region, owner);
    if (state < 0) return state;
    if (state == PHYSRING_PEER_DEAD) return PHYSRING_ERR_OWNER_DEAD;
    if (state == PHYSRING_PEER_ALIVE) return PHYSRING_ERR_IN_USE;
    uint32_t mine = ((owner >> PHYSRING_GENERATION_SHIFT) + 1) << PHYSRING_GENERATION_SHIFT |
                    (uint32_t)(region->participant + 1);
    if (physring_cas_(owner_word, owner, mine)) return PHYSRING_OK;
  }
  return PHYSRING_ERR_IN_USE;
}

/* ---- Producer (section 5) ------------------------------------------------------------------------------ */

/* Looks at the consumer's index; the number of free slots or PHYSRING_ERR_CORRUPT. */
static inline int physring_refresh_free_(physring_producer *producer) {
  /* SYNC free-slot: acquire pairs with the consumer's release store of head. */
  uint32_t head = physring_load_acquire_(&producer->ring.header->head);
  if ((uint32_t)(producer->tail - head) > producer->ring.capacity) return PHYSRING_ERR_CORRUPT;
  producer->cached_head = head;
  return (int)(producer->ring.capacity - (producer->tail - head));
}

static inline int physring_producer_ready_(void *end) {
  int free_slots = physring_refresh_free_((physring_producer *)end);
  return free_slots < 0 ? free_slots : free_slots > 0;
}

/* Becomes the producer of the ring NAME and continues at its tail. The region must stay open meanwhile. */
static inline int physring_producer_attach(physring_producer *producer, physring_region *region,
                                           const char *name) {
  memset(producer, 0, sizeof *producer);
  int status = physring_ring_open(region, name, &producer->ring);
  if (status < 0 || (status = physring_attach_(region, &producer->ring.header->producer_owner)) < 0)
    return status;
  producer->region = region;
  producer->tail = physring_load_acquire_(&producer->ring.header->tail);
  status = physring_refresh_free_(producer);
  if (status < 0) physring_detach_(region, &producer->ring.header->producer_owner);
  return status < 0 ? status : PHYSRING_OK;
}

static inline void physring_producer_detach(physring_producer *producer) {
  if (producer->region != NULL) physring_detach_(producer->region, &producer->ring.header->producer_owner);
  producer->region = NULL;
}

/*
 * Reserves up to `max` slots that lie in a row, from *slots on, ring.slot_bytes apart. Returns how many: 0 when the
 * ring is full, fewer than free near the wrap. A second call before the commit reserves the same slots.
 */
static inline int physring_reserve(physring_producer *producer, uint32_t max, void **slots) {
  uint32_t capacity = producer->ring.capacity, position = producer->tail & (capacity - 1);
  uint32_t wanted = max < capacity - position ? max : capacity - position;
  uint32_t free_slots = capacity - (producer->tail - producer->cached_head);
  producer->reserved = 0;
  if (free_slots < wanted) {
    int refreshed = physring_refresh_free_(producer);
    if (refreshed < 0) return refreshed;
    free_slots = (uint32_t)refreshed;
  }
  producer->reserved = wanted < free_slots ? wanted : free_slots;
  *slots = producer->ring.slots + (size_t)position * producer->ring.slot_bytes;
  return (int)producer->reserved;
}

/* Publishes the first `count` reserved slots with one store, and wakes the consumer if it sleeps. */
static inline int physring_commit(physring_producer *producer, uint32_t count) {
  if (count > producer->reserved) return PHYSRING_ERR_ARGUMENT;
  producer->reserved = 0;
  if (count == 0) return PHYSRING_OK;
  producer->tail += count;
  /* SYNC publish: release pairs with the consumer's acquire load of tail. Single writer: the producer. */
  physring_store_release_(&producer->ring.header->tail, producer->tail);
  physring_ring_doorbell_(producer->region, &producer->ring.header->consumer_owner);
  return PHYSRING_OK;
}

/* Waits until a slot is free: 1, or 0 after timeout_ms (< 0: no limit). A handle waits for one end at a time. */
static inline int physring_producer_wait(physring_producer *producer, int timeout_ms) {
  return physring_wait_(producer->region, physring_producer_ready_, producer, timeout_ms, 0);
}

/* Whether a live consumer is attached: a physring_peer_state. One system call; for use after a wait ran out. */
static inline int physring_producer_peer(const physring_producer *producer) {
  return physring_owner_state_(producer->region,
                               physring_load_acquire_(&producer->ring.header->consumer_owner));
}

/* ---- Consumer (section 5) ------------------------------------------------------------------------------ */

/* Looks at the producer's index; the number of committed slots or PHYSRING_ERR_CORRUPT. */
static inline int physring_refresh_used_(physring_consumer *consumer) {
  /* SYNC publish: acquire pairs with the producer's release store of tail. */
  uint32_t tail = physring_load_acquire_(&consumer->ring.header->tail);
  if ((uint32_t)(tail - consumer->head) > consumer->ring.capacity) return PHYSRING_ERR_CORRUPT;
  consumer->cached_tail = tail;
  return (int)(tail - consumer->head);
}

static inline int physring_consumer_ready_(void *end) {
  int used = physring_refresh_used_((physring_consumer *)end);
  return used < 0 ? used : used > 0;
}

/* Becomes the consumer of the ring NAME and continues at its head: what was not released is delivered again. */
static inline int physring_consumer_attach(physring_consumer *consumer, physring_region *region,
                                           const char *name) {
  memset(consumer, 0, sizeof *consumer);
  int status = physring_ring_open(region, name, &consumer->ring);
  if (status < 0 || (status = physring_attach_(region, &consumer->ring.header->consumer_owner)) < 0)
    return status;
  consumer->region = region;
  consumer->head = physring_load_acquire_(&consumer->ring.header->head);
  status = physring_refresh_used_(consumer);
  if (status < 0) physring_detach_(region, &consumer->ring.header->consumer_owner);
  return status < 0 ? status : PHYSRING_OK;
}

static inline void physring_consumer_detach(physring_consumer *consumer) {
  if (consumer->region != NULL) physring_detach_(consumer->region, &consumer->ring.header->consumer_owner);
  consumer->region = NULL;
}

/*
 * Up to `max` committed slots that lie in a row, oldest first, from *slots on; 0 when the ring is empty. They are
 * valid until the release, but a hostile producer may change them at any time: copy what you decide on
 * (physring_read_descriptor).
 */
static inline int physring_peek(physring_consumer *consumer, uint32_t max, const void **slots) {
  uint32_t capacity = consumer->ring.capacity, position = consumer->head & (capacity - 1);
  uint32_t available = consumer->cached_tail - consumer->head;
  consumer->peeked = 0;
  if (available == 0) {
    int refreshed = physring_refresh_used_(consumer);
    if (refreshed < 0) return refreshed;
    available = (uint32_t)refreshed;
  }
  if (available > capacity - position) available = capacity - position;
  consumer->peeked = max < available ? max : available;
  *slots = consumer->ring.slots + (size_t)position * consumer->ring.slot_bytes;
  return (int)consumer->peeked;
}

/* Gives the first `count` peeked slots back with one store, and wakes the producer if it sleeps. */
static inline int physring_release(physring_consumer *consumer, uint32_t count) {
  if (count > consumer->peeked) return PHYSRING_ERR_ARGUMENT;
  consumer->peeked = 0;
  if (count == 0) return PHYSRING_OK;
  consumer->head += count;
  /* SYNC free-slot: release pairs with the producer's acquire load of head. Single writer: the consumer. */
  physring_store_release_(&consumer->ring.header->head, consumer->head);
  physring_ring_doorbell_(consumer->region, &consumer->ring.header->producer_owner);
  return PHYSRING_OK;
}

/* Waits until something is committed: 1, or 0 after timeout_ms (< 0: no limit). A handle waits for one end at a time. */
static inline int physring_consumer_wait(physring_consumer *consumer, int timeout_ms) {
  return physring_wait_(consumer->region, physring_consumer_ready_, consumer, timeout_ms, 1);
}

/* Whether a live producer is attached: a physring_peer_state. One system call; for use after a wait ran out. */
static inline int physring_consumer_peer(const physring_consumer *consumer) {
  return physring_owner_state_(consumer->region,
                               physring_load_acquire_(&consumer->ring.header->producer_owner));
}

/* Counts a descriptor that the application refused, for everybody to see. Single writer: the consumer. */
static inline void physring_reject(physring_consumer *consumer) {
  uint32_t *rejected = &consumer->ring.header->rejected;
  physring_store_release_(rejected, physring_load_(rejected) + 1);
}

/* A private copy of the descriptor at the start of a slot, each word read once. */
static inline physring_descriptor physring_read_descriptor(const void *slot) {
  const uint32_t *words = (const uint32_t *)slot;
  physring_descriptor copy = {physring_load_(words), physring_load_(words + 1), physring_load_(words + 2),
                              physring_load_(words + 3)};
  return copy;
}

static inline uint64_t physring_descriptor_offset(const physring_descriptor *descriptor) {
  return descriptor->offset_low | (uint64_t)descriptor->offset_high << 32;
}

#include "physring_records.h"

#endif /* PHYSRING_H */
