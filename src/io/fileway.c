/* SPDX-License-Identifier: MIT */

/*
 * How a call on a file is made without holding up a worker.
 *
 * Nothing that may wait for a disk, or for a server behind a network file system, is done on the
 * thread of a loop. But most files that are read are in memory already, and then to go through a
 * queue would cost ten times as much as the call itself. So a read and an opening are first tried
 * in a form of the call that fails instead of waiting (RWF_NOWAIT, Linux 4.14; RESOLVE_CACHED,
 * Linux 5.12). What is left goes to the engine, if it makes calls by itself (io_uring), or else to
 * a thread of the pool `files`.
 *
 * A call under way writes to memory that its caller lends. So a cancellation never abandons it:
 *
 * - in the engine, it is asked to end, and its end is awaited: most often at once, since what waits
 *   in a queue of the kernel can be taken out of it;
 * - in the pool, it is taken out of the queue, or, if it runs, its end is awaited.
 *
 * Whether it was the scope that ended it is told by the result: a call that has done something says
 * what, the next one tells of the scope.
 *
 * One that succeeds at once does not suspend. Every 32nd in a row therefore yields first, or a
 * fiber that reads a large file in memory would let nobody else run.
 */
#include "io/fileway.h"

#include "base/alloc.h"
#include "base/util.h"
#include "pool/blocking.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/fiber.h>
#include <thrum/pool.h>
#include <thrum/scope.h>

#include <fcntl.h>
#include <linux/openat2.h>

#define STREAK    32
#define PAGE      4096 /* at least */
#define WARM_STEP ((size_t)64 * 1024)

atomic_uint thi_fileways = THI_FILEWAY_ALL;

static bool takes(unsigned way)
{
    return atomic_load_explicit(&thi_fileways, memory_order_relaxed) & way;
}

/* ---- at once ---- */

static ssize_t read_at_once(const thi_filecall *call)
{
    return thi_sys_preadv2(call->fd, call->iov, call->count, call->at, call->flags | RWF_NOWAIT);
}

/*
 * What opens without changing anything can be done by names that are in memory. openat2(2) knows
 * fewer flags than openat(2), and sandboxes may not know it: what it refuses is asked again.
 */
static int64_t open_at_once(const thi_filecall *call)
{
    if (call->flags & (O_CREAT | O_TRUNC | __O_TMPFILE | O_WRONLY | O_RDWR))
        return -EAGAIN;
    int fd = thi_sys_openat2(call->fd, call->path, call->flags, RESOLVE_CACHED);
    return fd == -EINVAL || fd == -EPERM || fd == -E2BIG ? -EAGAIN : fd;
}

/* -EAGAIN: it has to wait. */
static int64_t make_at_once(const thi_filecall *call, thi_filefacts *facts)
{
    if (atomic_load_explicit(&facts->hopeless, memory_order_relaxed) || !takes(THI_FILEWAY_TRY))
        return -EAGAIN;
    int64_t result = call->kind == THI_FILE_OPEN ? open_at_once(call) : read_at_once(call);
    if (result != -EOPNOTSUPP && result != -ENOSYS)
        return result;
    atomic_store_explicit(&facts->hopeless, true, memory_order_relaxed);
    return -EAGAIN;
}

/* Calls in a row that did not suspend. */
static _Thread_local unsigned streak;

/* Lets others run now and then; what the scope says. */
static int pace(void)
{
    if (TH_LIKELY(++streak < STREAK))
        return 0;
    streak = 0;
    return th_yield();
}

/* ---- by the engine ---- */

typedef struct engine_wait {
    thi_wait wait;
    thi_op op;
    th_fiber *fiber;
    int why; /* it was asked to end */
} engine_wait;

static void on_done(thi_op *op)
{
    engine_wait *w = thi_container_of(op, engine_wait, op);
    thi_sched_ready(w->fiber, 0);
}

static const thi_wait_kind waits_for = { "file", THI_BY_DESCRIPTOR, offsetof(thi_filecall, fd) };

/* The fiber goes on when the call has ended. */
static void ask_to_end(thi_wait *wait, int result)
{
    engine_wait *w = thi_container_of(wait, engine_wait, wait);
    if (w->why == 0)
        thi_loop_cancel(&w->fiber->worker->loop, &w->op);
    w->why = result;
}

/* Whether it does not wait for anybody but a disk. */
static bool is_on_disk(int fd, thi_filefacts *facts)
{
    unsigned char endpoint = atomic_load_explicit(&facts->endpoint, memory_order_relaxed);
    struct stat st;
    if (endpoint == THI_ENDPOINT_UNKNOWN && thi_sys_fstat(fd, &st) == 0) {
        bool disk = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
        endpoint = disk ? THI_ENDPOINT_DISK : THI_ENDPOINT_OTHER;
        atomic_store_explicit(&facts->endpoint, endpoint, memory_order_relaxed);
    }
    return endpoint == THI_ENDPOINT_DISK;
}

static bool is_for_engine(const thi_filecall *call, thi_filefacts *facts)
{
    if (!takes(THI_FILEWAY_ENGINE))
        return false;
    return (call->kind != THI_FILE_READ && call->kind != THI_FILE_WRITE) ||
           is_on_disk(call->fd, facts);
}

/*
 * -EAGAIN: the engine does not make it. An interrupted call has done nothing, but for close(2),
 * which is not to be tried again. A call that ends without having been asked to is made anew; so is
 * one that the ring gives back because the file was opened not to wait.
 */
static int64_t make_by_engine(const thi_filecall *call, th_fiber *self)
{
    engine_wait w = {
        .wait = { .kind = &waits_for, .object = call, .abort = ask_to_end },
        .op = { .call = call, .fn = on_done },
        .fiber = self,
    };
    if (thi_loop_submit(&self->worker->loop, &w.op) < 0)
        return -EAGAIN;
    (void)!thi_sched_park(&w.wait);
    int64_t result = w.op.result;
    if (result != -ECANCELED && (result != -EINTR || call->kind == THI_FILE_CLOSE))
        return result;
    return w.why < 0 ? w.why : -EAGAIN;
}

/* ---- by the pool ---- */

typedef struct pooled_call {
    const thi_filecall *call;
    int64_t result;
} pooled_call;

static int make_pooled(void *arg)
{
    pooled_call *p = arg;
    p->result = thi_filecall_make(p->call);
    return 0;
}

static int64_t make_by_pool(const thi_filecall *call)
{
    pooled_call p = { .call = call };
    int err = thi_fileway_run(make_pooled, &p);
    return err < 0 ? err : p.result;
}

/* ---- all together ---- */

static int64_t make_and_wait(const thi_filecall *call, thi_filefacts *facts, th_fiber *self)
{
    streak = 0;
    int64_t result = -EAGAIN;
    if (self->worker->loop.engine->submit && is_for_engine(call, facts))
        result = make_by_engine(call, self);
    return result == -EAGAIN ? make_by_pool(call) : result;
}

int64_t thi_fileway_make(const thi_filecall *call, thi_filefacts *facts)
{
    th_fiber *self = thi_sched_self();
    if (!self)
        return thi_may_block() ? thi_filecall_make(call) : -EPERM;
    int err = thi_sched_may_park_as(self);
    if (err < 0)
        return err;
    if (facts && (call->kind == THI_FILE_READ || call->kind == THI_FILE_OPEN)) {
        err = pace();
        if (err < 0)
            return err;
        int64_t result = make_at_once(call, facts);
        if (result != -EAGAIN)
            return result;
    }
    return make_and_wait(call, facts, self);
}

ssize_t thi_fileway_pread(int fd, void *buf, size_t size, int64_t at, thi_filefacts *facts)
{
    struct iovec piece = { buf, size };
    thi_filecall call = { .kind = THI_FILE_READ, .fd = fd, .iov = &piece, .count = 1, .at = at };
    return (ssize_t)thi_fileway_make(&call, facts);
}

int64_t thi_fileway_make_shielded(const thi_filecall *call)
{
    th_fiber *self = thi_sched_self();
    th_scope scope;
    if (!self || th_scope_open(&scope, &(th_scope_opts){ .shield = 1 }) < 0)
        return thi_filecall_make(call);
    int64_t result = make_and_wait(call, NULL, self);
    (void)th_scope_close(&scope);
    return result;
}

int thi_fileway_run(int (*work)(void *arg), void *arg)
{
    return thi_blocking_run("files", work, arg);
}

/* ---- warming ---- */

typedef struct stretch {
    int fd;
    int64_t at;
    size_t size;
} stretch;

/* Reads it, into nowhere. */
static int read_stretch(void *arg)
{
    const stretch *s = arg;
    char *nowhere = thi_alloc(WARM_STEP);
    if (!nowhere)
        return 0;
    size_t done = 0;
    ssize_t n = 1;
    while (done < s->size && n > 0) {
        struct iovec piece = { nowhere, thi_min(s->size - done, WARM_STEP) };
        n = thi_sys_preadv2(s->fd, &piece, 1, s->at + (int64_t)done, 0);
        done += n > 0 ? (size_t)n : 0;
    }
    thi_free(nowhere);
    return 0;
}

/*
 * A file system that knows no RWF_NOWAIT does not tell. Most often that is an overlay in a
 * container, on a disk that does: to read everything twice there would be the greater evil.
 */
static bool is_cold(int fd, int64_t at)
{
    char byte;
    struct iovec piece = { &byte, 1 };
    return thi_sys_preadv2(fd, &piece, 1, at, RWF_NOWAIT) == -EAGAIN;
}

int thi_fileway_warm(int fd, int64_t at, size_t size)
{
    stretch s = { .fd = fd, .at = at, .size = size };
    int64_t last = at + (int64_t)size - 1;
    bool one_page = (at ^ last) < PAGE;
    if (!is_cold(fd, last) && (one_page || !is_cold(fd, at)))
        return 0;
    int err = thi_fileway_run(read_stretch, &s);
    return err == -ECANCELED || err == -ETIMEDOUT ? err : 0;
}
