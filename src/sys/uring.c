/* SPDX-License-Identifier: MIT */

/*
 * A ring on bare system calls, without liburing: what we need of it is small, and a library older
 * than the kernel is dangerous with a layout of the rings that it does not know.
 *
 * Each ring is an array with two free-running counters. The one who puts in moves the tail, the one
 * who takes out moves the head; each reads the other's counter with acquire and writes its own with
 * release. The third array, which maps positions in the submission ring to requests, is filled with
 * the identity once.
 *
 * A head beyond its tail makes the kernel wait in a loop that no signal ends. Both pairs are
 * therefore asserted before each call, and no set-up flag is passed that changes the layout.
 *
 * The ring starts disabled (R_DISABLED), so that it is bound to the thread that runs it and not to
 * the one that sets it up. Of the other flags, DEFER_TASKRUN (Linux 6.1) makes the kernel do its
 * part of completions when we wait instead of interrupting us; it wants SINGLE_ISSUER (6.0).
 * COOP_TASKRUN (5.19) saves the interrupt only. A kernel that does not know a flag says EINVAL, so
 * they are dropped one by one.
 */
#include "sys/uring.h"

#include "base/assert.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <linux/time_types.h>
#include <string.h>
#include <sys/mman.h>

#define FLAGS_5_10 (IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED)
#define FLAGS_5_19 (FLAGS_5_10 | IORING_SETUP_COOP_TASKRUN)
#define FLAGS_6_0  (FLAGS_5_19 | IORING_SETUP_SINGLE_ISSUER)
#define FLAGS_6_1  (FLAGS_6_0 | IORING_SETUP_DEFER_TASKRUN)

static const unsigned ladder[] = { FLAGS_6_1, FLAGS_6_0, FLAGS_5_19, FLAGS_5_10 };

/*
 * What we rely on: one mapping for both rings, completions kept when the ring is full, time-outs as
 * an argument of enter. RSRC_TAGS came with multishot poll in Linux 5.13, which has no bit itself.
 */
#define FEATURES                                                                                   \
    (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS)

static unsigned load(const unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static void store(unsigned *counter, unsigned value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELEASE);
}

/* Goes down the ladder until the kernel takes the flags. */
static int setup(struct io_uring_params *params, unsigned requests, unsigned completions)
{
    int fd = -EINVAL;
    for (size_t i = 0; i < thi_array_len(ladder) && fd == -EINVAL; i++) {
        *params = (struct io_uring_params){ .flags = ladder[i], .cq_entries = completions };
        fd = thi_sys_uring_setup(requests, params);
    }
    return fd;
}

static size_t requests_size(const thi_uring *ring)
{
    return ring->sq_size * sizeof *ring->requests;
}

/* Maps the rings and the requests. */
static int map(thi_uring *ring, const struct io_uring_params *params)
{
    size_t sq_end = params->sq_off.array + params->sq_entries * sizeof(unsigned);
    size_t cq_end = params->cq_off.cqes + params->cq_entries * sizeof *ring->completions;
    const int prot = PROT_READ | PROT_WRITE;
    const int flags = MAP_SHARED | MAP_POPULATE;
    ring->rings_size = thi_max(sq_end, cq_end);
    void *at = NULL;
    int err = thi_sys_mmap(&at, ring->rings_size, prot, flags, ring->fd, IORING_OFF_SQ_RING);
    if (err < 0)
        return err;
    ring->rings = at;
    at = NULL;
    err = thi_sys_mmap(&at, requests_size(ring), prot, flags, ring->fd, IORING_OFF_SQES);
    if (err < 0) {
        thi_sys_munmap(ring->rings, ring->rings_size);
        return err;
    }
    ring->requests = at;
    return 0;
}

/* Finds the counters and arrays in the mapping. */
static void locate(thi_uring *ring, const struct io_uring_params *params)
{
    char *base = ring->rings;
    ring->sq_head = (unsigned *)(void *)(base + params->sq_off.head);
    ring->sq_tail = (unsigned *)(void *)(base + params->sq_off.tail);
    ring->sq_flags = (unsigned *)(void *)(base + params->sq_off.flags);
    ring->cq_head = (unsigned *)(void *)(base + params->cq_off.head);
    ring->cq_tail = (unsigned *)(void *)(base + params->cq_off.tail);
    ring->completions = (struct io_uring_cqe *)(void *)(base + params->cq_off.cqes);
    ring->filled = *ring->sq_tail;
    unsigned *position = (unsigned *)(void *)(base + params->sq_off.array);
    for (unsigned i = 0; i < ring->sq_size; i++)
        position[i] = i;
}

/* Asks which opcodes there are; without an answer none is taken for granted. */
static void probe(thi_uring *ring)
{
    union {
        struct io_uring_probe head;
        char room[sizeof(struct io_uring_probe) + 64 * sizeof(struct io_uring_probe_op)];
    } asked;
    memset(&asked, 0, sizeof asked);
    if (thi_sys_uring_register(ring->fd, IORING_REGISTER_PROBE, &asked, 64) < 0)
        return;
    for (unsigned i = 0; i < asked.head.ops_len && i < 64; i++)
        if (asked.head.ops[i].flags & IO_URING_OP_SUPPORTED)
            ring->able |= UINT64_C(1) << asked.head.ops[i].op;
}

int thi_uring_open(thi_uring *ring, unsigned requests, unsigned completions)
{
    struct io_uring_params params;
    int fd = setup(&params, requests, completions);
    if (fd < 0)
        return fd;
    *ring = (thi_uring){
        .fd = fd,
        .sq_size = params.sq_entries,
        .cq_size = params.cq_entries,
    };
    int err = (params.features & FEATURES) == FEATURES ? map(ring, &params) : -ENOSYS;
    if (err < 0) {
        thi_sys_close(fd);
        return err;
    }
    locate(ring, &params);
    probe(ring);
    return 0;
}

int thi_uring_start(thi_uring *ring)
{
    int err = thi_sys_uring_register(ring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    ring->started = err == 0;
    return err;
}

void thi_uring_close(thi_uring *ring)
{
    thi_sys_munmap(ring->requests, requests_size(ring));
    thi_sys_munmap(ring->rings, ring->rings_size);
    thi_sys_close(ring->fd);
}

/* Requests filled in that the kernel has not taken yet. */
static unsigned waiting(const thi_uring *ring)
{
    return ring->filled - load(ring->sq_head);
}

static int enter(thi_uring *ring, unsigned want, unsigned flags, void *arg, size_t size)
{
    TH_ASSERT(waiting(ring) <= ring->sq_size);
    TH_ASSERT(thi_uring_pending(ring) <= ring->cq_size);
    store(ring->sq_tail, ring->filled);
    return thi_sys_uring_enter(ring->fd, waiting(ring), want, flags, arg, size);
}

struct io_uring_sqe *thi_uring_request(thi_uring *ring)
{
    if (waiting(ring) == ring->sq_size) {
        (void)enter(ring, 0, 0, NULL, 0); /* what it did is seen in the counter */
        if (waiting(ring) == ring->sq_size)
            return NULL;
    }
    struct io_uring_sqe *request = &ring->requests[ring->filled++ & (ring->sq_size - 1)];
    memset(request, 0, sizeof *request);
    return request;
}

unsigned thi_uring_pending(const thi_uring *ring)
{
    return load(ring->cq_tail) - *ring->cq_head;
}

/* Whether there is something to take without waiting, perhaps kept back for lack of room. */
static bool is_ready(const thi_uring *ring)
{
    return thi_uring_pending(ring) > 0 || (load(ring->sq_flags) & IORING_SQ_CQ_OVERFLOW);
}

int thi_uring_enter(thi_uring *ring, int64_t timeout)
{
    struct __kernel_timespec span = { .tv_sec = timeout / 1000000000,
                                      .tv_nsec = timeout % 1000000000 };
    struct io_uring_getevents_arg arg = { .ts = timeout > 0 ? (uint64_t)(uintptr_t)&span : 0 };
    unsigned want = timeout != 0 && !is_ready(ring);
    int got = enter(ring, want, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg);
    return got >= 0 || got == -ETIME ? 0 : got;
}

/* The completion at a counter of the ring. */
static const struct io_uring_cqe *completion(const thi_uring *ring, unsigned at)
{
    return &ring->completions[at & (ring->cq_size - 1)];
}

/* With DEFER_TASKRUN one call lets the kernel do some twenty completions, not all there are. */
int thi_uring_finish(thi_uring *ring, uint64_t data)
{
    unsigned at = load(ring->cq_tail);
    for (;;) {
        int err = thi_uring_enter(ring, 0);
        unsigned tail = load(ring->cq_tail);
        if (err < 0 || at == tail)
            return err;
        for (; at != tail; at++) {
            const struct io_uring_cqe *done = completion(ring, at);
            if (done->user_data == data && !(done->flags & IORING_CQE_F_MORE))
                return 0;
        }
    }
}

thi_uring_done thi_uring_take(thi_uring *ring)
{
    unsigned head = *ring->cq_head;
    const struct io_uring_cqe *from = completion(ring, head);
    thi_uring_done done = { .data = from->user_data, .result = from->res, .flags = from->flags };
    store(ring->cq_head, head + 1);
    return done;
}
