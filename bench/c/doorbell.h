/* How a C peer sleeps and is woken: docs/PROTOCOL.md section 3, with one doorbell word for each end. */
#pragma once
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include "common.h"

enum { AWAKE = 0, ASLEEP_FUTEX = 1, ASLEEP_EVENT_LOOP = 2, SPIN_NS = 20000, SPINS_PER_CLOCK_READ = 32 };

typedef struct {
  _Atomic uint32_t *mine, *peers;
  int socket_fd, epoll_fd;
  struct sockaddr_un peer_address;
} doorbell;

static inline struct sockaddr_un socket_address(const char *file, const char *role) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s.%s", file, role);
  return address;
}

static inline doorbell doorbell_open(uint8_t *base, const char *file, int is_ping) {
  doorbell bell = {.mine = (_Atomic uint32_t *)(base + (is_ping ? 128 : 256)), .peers = (_Atomic uint32_t *)(base + (is_ping ? 256 : 128))};
  struct sockaddr_un address = socket_address(file, is_ping ? "ping" : "pong");
  bell.peer_address = socket_address(file, is_ping ? "pong" : "ping");
  bell.socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  unlink(address.sun_path);
  if (bell.socket_fd < 0 || bind(bell.socket_fd, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
  bell.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (bell.epoll_fd < 0 || epoll_ctl(bell.epoll_fd, EPOLL_CTL_ADD, bell.socket_fd, &event) != 0) fail("epoll");
  return bell;
}

/* After publishing. SYNC doorbell: publish, fence, read. */
static inline void doorbell_ring(doorbell *bell) {
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load_explicit(bell->peers, memory_order_relaxed) == AWAKE) return;
  uint32_t mode = atomic_exchange(bell->peers, AWAKE);
  if (mode == ASLEEP_FUTEX) syscall(SYS_futex, bell->peers, FUTEX_WAKE, 1, NULL, NULL, 0);
  if (mode == ASLEEP_EVENT_LOOP) {
    sendto(bell->socket_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&bell->peer_address, sizeof bell->peer_address);
  }
}

/* SYNC doorbell: arm, fence, look. */
#define DOORBELL_ARM(bell, mode) (atomic_store_explicit((bell)->mine, mode, memory_order_release), atomic_thread_fence(memory_order_seq_cst))
#define DOORBELL_DISARM(bell) atomic_store_explicit((bell)->mine, AWAKE, memory_order_release)

static inline void futex_sleep(doorbell *bell) {
  struct timespec slice = {.tv_nsec = 50000000};
  syscall(SYS_futex, bell->mine, FUTEX_WAIT, ASLEEP_FUTEX, &slice, NULL, 0);
}

static inline void event_loop_sleep(doorbell *bell) {
  struct epoll_event event;
  char byte[8];
  if (epoll_wait(bell->epoll_fd, &event, 1, 50) > 0) {
    while (recv(bell->socket_fd, byte, sizeof byte, MSG_DONTWAIT) >= 0) continue;
  }
}
