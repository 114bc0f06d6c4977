/* SPDX-License-Identifier: MIT */

/*
 * From one stream to another, and both ways at once.
 *
 * Small pieces are read and written: that takes two system calls, and whoever waits holds no
 * memory. When piece after piece fills the buffer, bytes go through a pipe instead (splice(2)): the
 * kernel then moves references to its own pages, and no byte is copied. That needs a pipe, which is
 * made for those who move much and given back when they do not any more.
 *
 * The pipe is empty whenever something is put in. So that there is nothing to put in means that
 * the stream has nothing, and never that the pipe is full. Wherever one of the two cannot be
 * spliced, which shows when it is tried, what is in the pipe already is read from it, and from then
 * on bytes are copied.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "io/stream.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/fiber.h>
#include <thrum/relay.h>
#include <thrum/scope.h>
#include <thrum/time.h>

#include <limits.h>

#define BUFFER      ((size_t)16 * 1024)
#define SMALL       ((size_t)1024)
#define SPLICE_STEP ((size_t)512 * 1024)
#define FULL_READS  2 /* in a row, then it is worth a pipe */
#define SMALL_MOVES 8 /* in a row of less than a buffer, then it is not any more */

/* One direction. */
typedef struct pump {
    th_stream *from;
    th_stream *to;
    uint64_t limit; /* bytes to move at most */
    uint64_t done;  /* bytes that have been written */
    int pipe[2];    /* to read from, to write to; -1: none */
    unsigned streak;
    bool large;      /* the last piece was */
    bool copies;     /* it cannot be spliced */
    th_scope *timed; /* its deadline moves with each piece; NULL: none */
    int64_t idle;
    int64_t moved; /* when the deadline was moved, as far as the loop knew */
} pump;

static void drop_pipe(pump *p)
{
    for (int i = 0; i < 2; i++) {
        if (p->pipe[i] >= 0)
            (void)thi_sys_close(p->pipe[i]);
        p->pipe[i] = -1;
    }
    p->streak = 0;
}

/* Something has moved: the time of idleness begins anew, once in a turn of the loop. */
static int note_life(pump *p)
{
    int64_t now = thi_worker_self->loop.now;
    if (!p->timed || p->moved == now)
        return 0;
    p->moved = now;
    int err = th_scope_set_deadline(p->timed, th_after(p->idle));
    return err == -EINVAL ? 0 : err;
}

static int write_all(pump *p, const char *buf, size_t size)
{
    size_t at = 0;
    while (at < size) {
        struct iovec iov = { .iov_base = (void *)(uintptr_t)(buf + at), .iov_len = size - at };
        ssize_t n = p->to->ops->writev(p->to, &iov, 1);
        if (n < 0)
            return (int)n;
        at += (size_t)n;
        p->done += (uint64_t)n;
    }
    return note_life(p);
}

/* ---- copying --------------------------------------------------------------------------------- */

/* While pieces are small, the stack has room for them. */
static int copy_small(pump *p, size_t size)
{
    char buf[SMALL];
    ssize_t n = p->from->ops->read(p->from, buf, thi_min(size, sizeof buf));
    p->large = n == (ssize_t)sizeof buf;
    return n < 0 ? (int)n : write_all(p, buf, (size_t)n);
}

static int copy_large(pump *p, size_t size)
{
    int err = p->from->ops->wait ? p->from->ops->wait(p->from) : 0;
    if (err < 0)
        return err;
    char *buf = thi_alloc(BUFFER);
    if (!buf)
        return thi_err_clear(-ENOMEM);
    ssize_t n = p->from->ops->read(p->from, buf, thi_min(size, BUFFER));
    if (n > 0)
        err = write_all(p, buf, (size_t)n);
    thi_free(buf);
    p->large = n >= (ssize_t)SMALL;
    p->streak = n == (ssize_t)BUFFER ? p->streak + 1 : 0;
    return n < 0 ? (int)n : err;
}

static int copy_piece(pump *p, size_t size)
{
    return p->large ? copy_large(p, size) : copy_small(p, size);
}

/* ---- through the pipe ------------------------------------------------------------------------ */

static bool is_worth_a_pipe(const pump *p)
{
    return !p->copies && p->streak >= FULL_READS && p->from->ops->splice_in &&
           p->to->ops->splice_out;
}

/* Without a pipe it goes on as before, and tries again later. */
static void make_pipe(pump *p)
{
    int fds[2];
    p->streak = 0;
    if (thi_sys_pipe(fds) < 0)
        return;
    p->pipe[0] = fds[0];
    p->pipe[1] = fds[1];
}

/* The pipe leads nowhere: what is in it is copied from there. */
static int empty_by_copying(pump *p, size_t left)
{
    int err = 0;
    char *buf = thi_alloc(BUFFER);
    if (!buf)
        return thi_err_clear(-ENOMEM);
    while (err == 0 && left > 0) {
        ssize_t n = thi_sys_read(p->pipe[0], buf, thi_min(left, BUFFER));
        err = n > 0 ? write_all(p, buf, (size_t)n) : n < 0 ? thi_err_clear((int)n) : -EIO;
        left -= n > 0 ? (size_t)n : 0;
    }
    thi_free(buf);
    return err;
}

static int empty_pipe(pump *p, size_t left)
{
    while (left > 0) {
        ssize_t n = p->to->ops->splice_out(p->to, p->pipe[0], left);
        if (n == -EOPNOTSUPP) {
            p->copies = true;
            return empty_by_copying(p, left);
        }
        if (n < 0)
            return (int)n;
        left -= (size_t)n;
        p->done += (uint64_t)n;
        int err = note_life(p);
        if (err < 0)
            return err;
    }
    return 0;
}

static int splice_piece(pump *p, size_t size)
{
    ssize_t n = p->from->ops->splice_in(p->from, p->pipe[1], thi_min(size, SPLICE_STEP));
    if (n == -EOPNOTSUPP) { /* something stands in the way that can be read */
        drop_pipe(p);
        return copy_piece(p, size);
    }
    if (n < 0)
        return (int)n;
    p->streak = (size_t)n < BUFFER ? p->streak + 1 : 0;
    int err = empty_pipe(p, (size_t)n);
    if (p->copies || p->streak >= SMALL_MOVES)
        drop_pipe(p);
    return err;
}

/* ---- one direction --------------------------------------------------------------------------- */

/* Until the end, which is 0, or an error. */
static int run_pump(pump *p)
{
    int err = 0;
    while (err == 0 && p->done < p->limit) {
        size_t size = (size_t)thi_min(p->limit - p->done, (uint64_t)SSIZE_MAX);
        if (p->pipe[0] < 0 && is_worth_a_pipe(p))
            make_pipe(p);
        err = p->pipe[0] >= 0 ? splice_piece(p, size) : copy_piece(p, size);
    }
    drop_pipe(p);
    return err == TH_EOF ? 0 : err;
}

#define PUMP(from_, to_)                                                                           \
    {                                                                                              \
        .from = (from_), .to = (to_), .limit = UINT64_MAX, .pipe = { -1, -1 }                      \
    }

int th_stream_copy(th_stream *from, th_stream *to, uint64_t limit, uint64_t *copied)
{
    pump p = PUMP(from, to);
    if (!from || !to || from == to)
        return thi_err_clear(-EINVAL);
    if (limit > 0)
        p.limit = limit;
    int err = run_pump(&p);
    if (copied)
        *copied = p.done;
    return err;
}

/* ---- both directions ------------------------------------------------------------------------- */

/* And then the other side hears of the end. One that cannot be told, or is gone, need not be. */
static int pump_and_end(void *arg)
{
    pump *p = arg;
    int err = run_pump(p);
    if (err < 0)
        return err;
    err = th_stream_shutdown(p->to);
    return err == -ENOTCONN || err == -EOPNOTSUPP ? 0 : err;
}

/* What the first one to fail has said; the other was cancelled because of that. */
static int verdict(int own, int other)
{
    if (own < 0 && own != -ECANCELED)
        return own;
    return other < 0 ? other : own;
}

static int relay(pump *there, pump *back, int64_t idle)
{
    th_scope scope;
    th_scope_opts how = { .deadline = idle > 0 ? th_after(idle) : 0, .cancel_rest = 1 };
    int err = th_scope_open(&scope, &how);
    if (err < 0)
        return err;
    there->timed = back->timed = idle > 0 ? &scope : NULL;
    there->idle = back->idle = idle;
    int own = th_spawn(&scope, pump_and_end, back);
    if (own == 0)
        own = pump_and_end(there);
    if (own < 0)
        (void)th_scope_cancel(&scope, own);
    int other = th_scope_close(&scope);
    there->timed = back->timed = NULL;
    return verdict(own, other);
}

int th_stream_relay(th_stream *a, th_stream *b, const th_relay_opts *opts, th_relayed *moved)
{
    pump there = PUMP(a, b);
    pump back = PUMP(b, a);
    if (!a || !b || a == b || (opts && (opts->size > sizeof *opts || opts->idle < 0)))
        return thi_err_clear(-EINVAL);
    int err = thi_sched_self() ? relay(&there, &back, opts ? opts->idle : 0) : -EPERM;
    if (moved)
        *moved = (th_relayed){ .there = there.done, .back = back.done };
    return (int)thi_err_plain(err);
}
