/* SPDX-License-Identifier: MIT */

/*
 * An io_uring: two rings of memory shared with the kernel, one for what it shall do, one for what
 * it has done.
 *
 * A ring belongs to the thread that starts it, which need not be the one that opened it. Requests
 * are filled in with thi_uring_request() and handed over together by the next thi_uring_enter(),
 * usually the one that waits.
 */
#ifndef THI_SYS_URING_H
#define THI_SYS_URING_H

#include <thrum/defs.h>

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct thi_uring_done {
    uint64_t data;  /* user_data of the request */
    int32_t result; /* what the system call would have returned, or -errno */
    uint32_t flags; /* IORING_CQE_F_* */
} thi_uring_done;

typedef struct thi_uring {
    int fd;
    bool started;
    uint64_t able;    /* the opcodes that the kernel has, a bit for each; 0 if it does not tell */
    unsigned sq_size; /* entries; the index of an entry is its counter modulo this power of two */
    unsigned cq_size;
    unsigned filled;   /* counter of requests filled in: the submission tail to come */
    unsigned *sq_head; /* counters in shared memory: kernel's */
    unsigned *sq_tail; /* ours */
    unsigned *sq_flags;
    unsigned *cq_head; /* ours */
    unsigned *cq_tail; /* kernel's */
    struct io_uring_sqe *requests;
    struct io_uring_cqe *completions;
    void *rings; /* the mapping that holds all but the requests */
    size_t rings_size;
} thi_uring;

/*
 * Opens a ring with room for so many requests and completions, powers of two. -ENOSYS when the
 * kernel has none or one that is too old (Linux 5.13 is needed), -EPERM when a sysctl or a sandbox
 * forbids it, -ENOMEM, -EMFILE.
 */
TH_MUST int thi_uring_open(thi_uring *ring, unsigned requests, unsigned completions);

/* Whether the kernel has an opcode. */
static inline bool thi_uring_can(const thi_uring *ring, unsigned opcode)
{
    return opcode < 64 && (ring->able >> opcode & 1);
}

/* Binds the ring to the calling thread; before this nothing is handed over. */
TH_MUST int thi_uring_start(thi_uring *ring);

/* Gives the ring back; requests in progress are cancelled some time later. */
void thi_uring_close(thi_uring *ring);

/*
 * The next free request, zeroed; handed over by the next enter. When none is free, those filled in
 * are handed over at once; NULL if the kernel takes none of them, or the ring is not started.
 */
TH_MUST struct io_uring_sqe *thi_uring_request(thi_uring *ring);

/*
 * Hands over all requests and lets the kernel finish what it can; then, with no completion pending,
 * waits for one, at most timeout ns (0: does not wait; negative: for ever). 0, also when the time
 * has passed; -EINTR; -EBADR when the kernel had to drop completions; -EBUSY, -EAGAIN, -ENOMEM when
 * it is out of room or memory; -EBADFD before the start, -EEXIST from another thread than the
 * ring's. Requests that it did not take stay and go with the next call.
 */
TH_MUST int thi_uring_enter(thi_uring *ring, int64_t timeout);

/*
 * Hands over all requests and lets the kernel work until the request of this number has completed
 * for good, or nothing more completes. Takes no completions. 0 or an error of thi_uring_enter().
 */
TH_MUST int thi_uring_finish(thi_uring *ring, uint64_t data);

/* How many completions can be taken now. */
unsigned thi_uring_pending(const thi_uring *ring);

/* Takes the oldest completion; only while one is pending. */
thi_uring_done thi_uring_take(thi_uring *ring);

#endif
