/*
 * How a C peer sleeps and is woken: docs/PROTOCOL.md section 3, with one doorbell word for each end. An event loop is epoll on an
 * eventfd here, the cheapest thing that it can wait on; the two ends hand each other theirs through sockets with names.
 */
#pragma once
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include "common.h"

enum { AWAKE = 0, ASLEEP_FUTEX = 1, ASLEEP_EVENT_LOOP = 2, SPIN_NS = 20000, SPINS_PER_CLOCK_READ = 32 };

typedef struct {
  _Atomic uint32_t *mine, *peers;
  int event_fd, peers_event_fd, epoll_fd;
} doorbell;

static inline struct sockaddr_un socket_address(const char *file, const char *role) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s.%s", file, role);
  return address;
}

/* One byte, and room for one descriptor beside it. */
typedef union {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
} descriptor_room;

/* Sends `fd` to the socket of that name, as soon as somebody has bound it. */
static inline void send_descriptor(int socket_fd, struct sockaddr_un *to, int fd) {
  descriptor_room room = {.header = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&room.header), &fd, sizeof fd);
  struct iovec byte = {.iov_base = "", .iov_len = 1};
  struct msghdr message = {.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
  while (sendmsg(socket_fd, &message, MSG_NOSIGNAL) != 1) {
    if (errno != ENOENT && errno != ECONNREFUSED) fail("sendmsg");
    usleep(1000);
  }
}

static inline int receive_descriptor(int socket_fd) {
  descriptor_room room;
  char byte[1];
  struct iovec into = {.iov_base = byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
  struct cmsghdr *header = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) == 1 ? CMSG_FIRSTHDR(&message) : NULL;
  if (header == NULL || header->cmsg_type != SCM_RIGHTS) fail("recvmsg");
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

/* Gives the other end the eventfd that wakes this one, and gets its. */
static inline void exchange_event_fds(doorbell *bell, const char *file, int is_ping) {
  struct sockaddr_un own = socket_address(file, is_ping ? "ping" : "pong"), peers = socket_address(file, is_ping ? "pong" : "ping");
  int socket_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_fd < 0 || bind(socket_fd, (struct sockaddr *)&own, sizeof own) != 0) fail("bind");
  send_descriptor(socket_fd, &peers, bell->event_fd);
  bell->peers_event_fd = receive_descriptor(socket_fd);
  close(socket_fd);
}

static inline doorbell doorbell_open(uint8_t *base, const char *file, int is_ping) {
  doorbell bell = {.mine = (_Atomic uint32_t *)(base + (is_ping ? 128 : 256)), .peers = (_Atomic uint32_t *)(base + (is_ping ? 256 : 128))};
  bell.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  bell.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (bell.event_fd < 0 || bell.epoll_fd < 0 || epoll_ctl(bell.epoll_fd, EPOLL_CTL_ADD, bell.event_fd, &event) != 0) fail("epoll");
  exchange_event_fds(&bell, file, is_ping);
  return bell;
}

/* After publishing. SYNC doorbell: publish, fence, read. */
static inline void doorbell_ring(doorbell *bell) {
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load_explicit(bell->peers, memory_order_relaxed) == AWAKE) return;
  uint32_t mode = atomic_exchange(bell->peers, AWAKE);
  if (mode == ASLEEP_FUTEX) syscall(SYS_futex, bell->peers, FUTEX_WAKE, 1, NULL, NULL, 0);
  uint64_t one = 1;
  if (mode == ASLEEP_EVENT_LOOP && write(bell->peers_event_fd, &one, sizeof one) != sizeof one) fail("write");
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
  uint64_t count;
  if (epoll_wait(bell->epoll_fd, &event, 1, -1) < 0 && errno != EINTR) fail("epoll_wait");
  if (read(bell->event_fd, &count, sizeof count) < 0 && errno != EAGAIN) fail("read");
}
