/* SPDX-License-Identifier: MIT */

/*
 * Sending.
 *
 * A write tries the carrier at once if nothing waits before it; what is not taken is copied and
 * sent when the carrier is ready again. So small answers cost one system call and no memory, the
 * order is that of the calls, and the caller's memory is free when the call returns.
 *
 * A failure is returned to the call that meets it. What else follows from it the loop does.
 */
#include "callback/transport.h"

#include "base/log.h"
#include "base/metrics.h"
#include "base/util.h"

#include <limits.h>

#define PIECES       16
#define FLUSH_BUDGET ((size_t)1024 * 1024) /* bytes of one look; then others get their turn */
#define DROPS_TOLD   5                     /* so many writes after the end are worth a word */

/* What the carrier takes now; 0 when it has to be waited for. */
static ssize_t send_now(th_transport *t, const struct iovec *iov, int count)
{
    if (!(t->watch.ready & THI_WRITE))
        return 0;
    ssize_t n = t->carrier->writev(t, iov, count);
    if (n == -EAGAIN) {
        thi_transport_want(t, THI_WRITE);
        return t->dead ? t->reason : 0;
    }
    if (n > 0)
        t->sent += (uint64_t)n;
    return n;
}

/* ---- what waits ---- */

void thi_transport_settle(th_transport *t)
{
    if (t->out.bytes > t->high)
        t->over = true;
    else if (t->out.bytes <= t->low)
        t->over = false;
    bool empty = thi_transport_is_idle(t);
    if (empty && t->ends && !t->end_sent && !t->dead) {
        int err = t->carrier->shutdown(t);
        t->end_sent = true;
        if (err < 0 && err != -ENOTCONN) /* the peer is gone: reading tells */
            thi_transport_fail(t, err);
        thi_transport_later(t);
    }
    if (!empty)
        t->primed = false;
    if (t->over != t->over_told || t->producer || (empty && t->closing))
        thi_transport_later(t);
}

void thi_transport_drop_waiting(th_transport *t)
{
    if (t->carrier->datagrams)
        t->carrier->drop_datagrams(t);
    thi_outfile *file = thi_outqueue_clear(&t->out);
    while (file) {
        thi_outfile *next = file->next;
        thi_transport_file_done(t, file, t->reason);
        file = next;
    }
    t->over = false;
}

static ssize_t flush_bytes(th_transport *t)
{
    struct iovec iov[PIECES];
    int count = thi_outqueue_iov(&t->out, iov, PIECES);
    ssize_t n = send_now(t, iov, count);
    if (n > 0)
        thi_outqueue_drop(&t->out, (size_t)n);
    return n == 0 ? -EAGAIN : n;
}

/* Sends until nothing waits, or the carrier takes no more; whether something has happened. */
static bool flush_some(th_transport *t)
{
    size_t done = 0;
    bool any = false;
    while (!t->dead && !thi_outqueue_empty(&t->out) && (t->watch.ready & THI_WRITE)) {
        thi_outfile *file = thi_outqueue_file(&t->out);
        ssize_t n = file ? thi_transport_file_step(t, file) : flush_bytes(t);
        if (n == -EAGAIN || n == -EINPROGRESS)
            break;
        any = true;
        if (n < 0) {
            thi_transport_fail(t, (int)n);
            break;
        }
        done += (size_t)n;
        if (done >= FLUSH_BUDGET) {
            thi_transport_later(t);
            break;
        }
    }
    return any;
}

/* What the carrier has itself goes first; whether that has gone. */
static bool catch_up(th_transport *t)
{
    int err = t->carrier->flush(t);
    if (err < 0 && err != -EAGAIN)
        thi_transport_fail(t, err);
    return err == 0;
}

void thi_transport_flush(th_transport *t)
{
    bool caught_up = TH_UNLIKELY(t->behind) && !t->dead && catch_up(t);
    if (TH_UNLIKELY(t->carrier->datagrams))
        t->carrier->flush_datagrams(t);
    else if (flush_some(t) || caught_up)
        thi_transport_settle(t);
}

/* ---- calls ---- */

void thi_transport_count_drop(th_transport *t)
{
    if (++t->dropped == DROPS_TOLD)
        thi_log(TH_LOG_WARNING, "a connection that has ended is still written to");
}

/* Whether a write is to be made: 1; 0 when it is dropped; an error. */
static int may_write(th_transport *t)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (t->carrier->datagrams)
        return -EINVAL;
    if (t->dead || (t->closing && !t->producer)) {
        thi_transport_count_drop(t);
        return 0;
    }
    if (TH_UNLIKELY(t->upgrade != NULL))
        return -EBUSY;
    return t->ends ? -EINVAL : 1;
}

/* Keeps what was not taken. Once a part has left, the rest cannot be given up alone. */
static int keep(th_transport *t, const struct iovec *iov, int count, size_t taken)
{
    int err = thi_outqueue_add(&t->out, iov, count, taken);
    if (err < 0 && taken > 0)
        thi_transport_fail(t, err);
    return err;
}

static int write_all(th_transport *t, const struct iovec *iov, int count, size_t size)
{
    t->primed = false;
    ssize_t n = thi_outqueue_empty(&t->out) ? send_now(t, iov, count) : 0;
    if (TH_LIKELY(n == (ssize_t)size)) {
        if (TH_UNLIKELY(t->producer))
            thi_transport_settle(t);
        return 0;
    }
    if (n < 0) {
        thi_transport_fail(t, (int)n);
        return (int)n;
    }
    int err = keep(t, iov, count, (size_t)n);
    if (err < 0)
        return err;
    thi_transport_settle(t);
    if (t->watch.ready & THI_WRITE) /* it took a part only, and may take more */
        thi_transport_later(t);
    t->promised = t->over;
    return t->over;
}

int th_transport_write(th_transport *t, const void *buf, size_t size)
{
    struct iovec whole = { (void *)(uintptr_t)buf, size };
    int go = may_write(t);
    if (go <= 0 || size == 0)
        return go < 0 ? go : 0;
    return buf ? write_all(t, &whole, 1, size) : -EINVAL;
}

int th_transport_writev(th_transport *t, const struct iovec *iov, int count)
{
    size_t size = 0;
    if (!iov || count < 1 || count > IOV_MAX)
        return -EINVAL;
    for (int i = 0; i < count; i++)
        size += iov[i].iov_len;
    int go = may_write(t);
    if (go <= 0 || size == 0)
        return go < 0 ? go : 0;
    return write_all(t, iov, count, size);
}

ssize_t th_transport_try_write(th_transport *t, const void *buf, size_t size)
{
    struct iovec whole = { (void *)(uintptr_t)buf, size };
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (t->closing || t->dead)
        return -EBADF;
    if (TH_UNLIKELY(t->upgrade != NULL))
        return -EBUSY;
    if (t->ends || t->carrier->datagrams || (!buf && size > 0))
        return -EINVAL;
    if (size == 0)
        return 0;
    ssize_t n = thi_outqueue_empty(&t->out) ? send_now(t, &whole, 1) : 0;
    if (n < 0)
        thi_transport_fail(t, (int)n);
    return n == 0 ? -EAGAIN : n;
}

int th_transport_write_eof(th_transport *t)
{
    int err = thi_transport_check(t);
    if (err == 0 && t->carrier->datagrams)
        err = -EINVAL;
    if (err < 0 || t->ends || t->closing || t->dead)
        return err;
    if (TH_UNLIKELY(t->upgrade != NULL))
        return -EBUSY;
    t->ends = true;
    thi_transport_settle(t);
    return 0;
}
