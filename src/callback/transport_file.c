/* SPDX-License-Identifier: MIT */

/*
 * Sending files.
 *
 * The kernel sends what is in memory, without copying, if the carrier can; whether it is there is
 * found out by reading a byte at either end of the stretch in a way that fails instead of waiting.
 * What is not there, and what the kernel cannot send, is read in pieces, at once or by a thread of
 * the pool "files", and goes out as bytes. So no disk ever holds up the loop.
 *
 * While a thread reads, it borrows the file and the transport stays: its end is told afterwards.
 */
#include "callback/transport.h"

#include "base/alloc.h"
#include "base/util.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/pool.h>

#define STRETCH ((size_t)256 * 1024) /* the kernel sends at once */
#define PIECE   ((size_t)16 * 1024)  /* is read at once */

typedef struct thi_sending sending;

/* One call of th_transport_sendfile(), until its end is told. */
struct thi_sending {
    thi_outfile file;
    th_transport *transport;
    th_transport_sent_fn done;
    void *arg;
    struct thi_sending *next; /* in transport->finished */
    int result;
    bool copies;   /* the kernel cannot send it */
    thi_msg msg;   /* back from the pool */
    char *piece;   /* that a thread has read, */
    ssize_t count; /* so many bytes of it; 0: the end; or an error */
};

static sending *of(thi_outfile *file)
{
    return thi_container_of(file, sending, file);
}

static size_t part_of(const sending *s, size_t most)
{
    return s->file.left < 0 ? most : (size_t)thi_min(s->file.left, (int64_t)most);
}

/* A stretch or piece of it has been dealt with. */
static void advance(sending *s, size_t n)
{
    s->file.at += (int64_t)n;
    if (s->file.left > 0)
        s->file.left -= (int64_t)n;
}

/* The last byte has been taken. */
static ssize_t finish(th_transport *t, sending *s)
{
    thi_outqueue_drop_file(&t->out);
    thi_transport_file_done(t, &s->file, 0);
    thi_transport_later(t);
    return 0;
}

/* ---- pieces ---- */

/* Becomes the queue's, in front of its file. */
static ssize_t put_piece(th_transport *t, sending *s, char *piece, ssize_t n)
{
    int err = n > 0 ? thi_outqueue_put_piece(&t->out, piece, (size_t)n) : 0;
    if (n <= 0 || err < 0)
        thi_free(piece);
    if (n == 0)
        return finish(t, s);
    if (n < 0 || err < 0)
        return n < 0 ? n : err;
    advance(s, (size_t)n);
    return 0;
}

/* On a thread of the pool. */
static int read_piece(void *arg)
{
    sending *s = arg;
    struct iovec iov = { s->piece, part_of(s, PIECE) };
    s->count = thi_sys_preadv2(s->file.fd, &iov, 1, s->file.at, 0);
    thi_worker_post(s->transport->worker, &s->msg);
    return 0;
}

static void on_read(thi_msg *msg)
{
    sending *s = thi_container_of(msg, sending, msg);
    th_transport *t = s->transport;
    char *piece = s->piece;
    t->file_busy = false;
    s->piece = NULL;
    thi_transport_later(t);
    if (t->dead) {
        thi_free(piece);
        return;
    }
    ssize_t err = put_piece(t, s, piece, s->count);
    if (err < 0)
        thi_transport_fail(t, (int)err);
}

static ssize_t send_to_pool(th_transport *t, sending *s, char *piece)
{
    s->piece = piece;
    s->msg.fn = on_read;
    t->file_busy = true;
    int err = th_pool_submit(th_pool_default("files"), read_piece, s, TH_POOL_NORMAL, NULL);
    if (err == 0)
        return -EINPROGRESS;
    t->file_busy = false;
    s->piece = NULL;
    thi_free(piece);
    return err == -EAGAIN ? -ENOBUFS : err;
}

static bool cannot_tell(ssize_t n)
{
    return n == -EAGAIN || n == -EOPNOTSUPP || n == -ENOSYS || n == -EINVAL;
}

static ssize_t copy_step(th_transport *t, sending *s)
{
    struct iovec iov = { thi_alloc(PIECE), part_of(s, PIECE) };
    if (!iov.iov_base)
        return -ENOMEM;
    ssize_t n = thi_sys_preadv2(s->file.fd, &iov, 1, s->file.at, RWF_NOWAIT);
    if (cannot_tell(n))
        return send_to_pool(t, s, iov.iov_base);
    return put_piece(t, s, iov.iov_base, n);
}

/* ---- by the kernel ---- */

static bool is_there(int fd, int64_t at)
{
    char byte;
    struct iovec iov = { &byte, 1 };
    return thi_sys_preadv2(fd, &iov, 1, at, RWF_NOWAIT) >= 0;
}

/* -EOPNOTSUPP: this part has to be copied. */
static ssize_t direct_step(th_transport *t, sending *s)
{
    size_t size = part_of(s, STRETCH);
    if (!is_there(s->file.fd, s->file.at) || !is_there(s->file.fd, s->file.at + (int64_t)size - 1))
        return -EOPNOTSUPP;
    ssize_t n = t->carrier->sendfile(t, s->file.fd, s->file.at, size);
    if (n == -EAGAIN) {
        thi_transport_want(t, THI_WRITE);
        return t->dead ? t->reason : -EAGAIN;
    }
    if (n == -EINVAL || n == -ENOSYS || n == -EOPNOTSUPP || n == -ESPIPE) {
        s->copies = true;
        return -EOPNOTSUPP;
    }
    if (n < 0)
        return n;
    if (n == 0)
        return finish(t, s);
    t->sent += (uint64_t)n;
    s->file.sent += (uint64_t)n;
    advance(s, (size_t)n);
    return n;
}

ssize_t thi_transport_file_step(th_transport *t, thi_outfile *file)
{
    sending *s = of(file);
    ssize_t n = -EOPNOTSUPP;
    if (t->file_busy)
        return -EINPROGRESS;
    if (file->left == 0)
        return finish(t, s);
    if (t->carrier->sendfile && !s->copies)
        n = direct_step(t, s);
    return n == -EOPNOTSUPP ? copy_step(t, s) : n;
}

/* ---- ends ---- */

void thi_transport_file_done(th_transport *t, thi_outfile *file, int result)
{
    sending *s = of(file);
    struct thi_sending **end = &t->finished;
    while (*end)
        end = &(*end)->next;
    s->result = result;
    s->next = NULL;
    *end = s;
}

/* Not while a thread uses one of them. */
void thi_transport_tell_files(th_transport *t)
{
    while (t->finished && !t->file_busy) {
        sending *s = t->finished;
        t->finished = s->next;
        if (s->done)
            s->done(t, s->arg, s->result, s->file.sent);
        thi_free(s);
    }
}

int th_transport_sendfile(th_transport *t, int fd, int64_t offset, int64_t size,
                          th_transport_sent_fn done, void *arg)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (offset < 0 || size < -1 || t->ends || t->carrier->datagrams)
        return -EINVAL;
    if (t->closing || t->dead)
        return -EBADF;
    if (t->upgrade)
        return -EBUSY;
    sending *s = thi_calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->file = (thi_outfile){ .fd = fd, .at = offset, .left = size };
    s->transport = t;
    s->done = done;
    s->arg = arg;
    err = thi_outqueue_add_file(&t->out, &s->file);
    if (err < 0)
        thi_free(s);
    else
        thi_transport_later(t);
    return err;
}
