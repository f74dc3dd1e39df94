/* SPDX-License-Identifier: MIT */
/* The smallest io_uring that can register buffers and read or write once. */
#ifndef URING_H
#define URING_H

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

struct uring {
	int fd;
	struct io_uring_params params;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
};

static inline void uring_open(struct uring *ring)
{
	memset(ring, 0, sizeof(*ring));
	ring->fd = syscall(SYS_io_uring_setup, 4, &ring->params);
	require(ring->fd >= 0);
	ring->sq = mmap(NULL, ring->params.sq_off.array + ring->params.sq_entries * 4,
			PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->cq = mmap(NULL, ring->params.cq_off.cqes +
			ring->params.cq_entries * sizeof(struct io_uring_cqe),
			PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, ring->params.sq_entries * sizeof(struct io_uring_sqe),
			  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	require(ring->sq != MAP_FAILED && ring->cq != MAP_FAILED && ring->sqes != MAP_FAILED);
}

/* Return: bytes, or -errno. */
static inline int uring_transfer(struct uring *ring, int opcode, int fd, void *data, size_t bytes)
{
	uint32_t *tail = (uint32_t *)(ring->sq + ring->params.sq_off.tail);
	uint32_t *array = (uint32_t *)(ring->sq + ring->params.sq_off.array);
	uint32_t mask = *(uint32_t *)(ring->sq + ring->params.sq_off.ring_mask);
	uint32_t *head = (uint32_t *)(ring->cq + ring->params.cq_off.head);
	uint32_t cq_mask = *(uint32_t *)(ring->cq + ring->params.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(ring->cq + ring->params.cq_off.cqes);
	uint32_t slot = *tail & mask;
	int result;

	memset(&ring->sqes[slot], 0, sizeof(ring->sqes[slot]));
	ring->sqes[slot].opcode = opcode;
	ring->sqes[slot].fd = fd;
	ring->sqes[slot].addr = (uintptr_t)data;
	ring->sqes[slot].len = bytes;
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	require(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
	result = cqes[*head & cq_mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Return: 0, or -errno. */
static inline int uring_register(struct uring *ring, void *data, size_t bytes)
{
	struct iovec vector = { data, bytes };

	if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, &vector, 1))
		return -errno;
	return 0;
}

#endif /* URING_H */
