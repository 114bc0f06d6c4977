/* SPDX-License-Identifier: MIT */

/*
 * Early data of an engine.
 *
 * A server reads it as soon as it is there, into a buffer that the limit of the context bounds, so
 * that the handshake goes on whether the user reads or not. While it is not over, what is written
 * goes out as well: to whoever has the session, who has not shown to be alive yet.
 *
 * A client keeps what it sends with its hello until the server has said whether it took it. What it
 * did not take goes out right behind the handshake, before anything else.
 */
#include "tls/engine_early.h"

#include "base/alloc.h"
#include "base/util.h"
#include "net/capture.h"
#include "tls/early.h"

#include <errno.h>
#include <string.h>

#define ROOM ((size_t)1024)

static int keep_out(struct thi_tls_engine_early *early, th_str bytes)
{
    early->out = thi_strdup_n(bytes.ptr, bytes.len);
    early->out_size = bytes.len;
    return early->out ? 0 : -ENOMEM;
}

int thi_tls_engine_early_open(thi_tls_engine *e, const th_tls_stream_opts *opts, thi_bufpool *pool)
{
    bool server = e->link.server;
    bool takes = server && opts->early && e->link.config->facts.early_data_max > 0;
    bool sends = !server && opts->first.len > 0;
    if (!takes && !sends)
        return 0;
    e->early = thi_calloc(1, sizeof *e->early);
    if (!e->early)
        return thi_err_clear(-ENOMEM);
    thi_buf_init(&e->early->bytes, pool);
    e->early->open = takes;
    return sends ? (int)thi_err_plain(keep_out(e->early, opts->first)) : 0;
}

void thi_tls_engine_early_close(thi_tls_engine *e)
{
    if (!e->early)
        return;
    thi_buf_clear(&e->early->bytes);
    thi_free(e->early->out);
    thi_free(e->early);
    e->early = NULL;
}

/* ---- a server ---- */

static int do_read_early(SSL *ssl, thi_tls_step *s)
{
    int result = thi_tls_early_read(ssl, s->buf, s->size, &s->done);
    s->early = result == THI_EARLY_OVER;
    return result == THI_EARLY_DATA || result == THI_EARLY_OVER;
}

static int take(thi_tls_engine *e)
{
    struct thi_tls_engine_early *early = e->early;
    while (early->open) {
        thi_tls_step s = { .size = 0 };
        s.buf = thi_buf_reserve(&early->bytes, ROOM, &s.size);
        if (!s.buf)
            return thi_err_clear(-ENOMEM);
        int err = thi_tls_engine_attempt(e, do_read_early, &s);
        if (err < 0) {
            thi_buf_commit(&early->bytes, 0);
            return err;
        }
        thi_buf_commit(&early->bytes, s.done);
        early->ready = early->ready || s.done > 0;
        early->open = !s.early;
        e->records = 0;
    }
    return 0;
}

size_t thi_tls_engine_early_read(thi_tls_engine *e, void *buf, size_t size, bool peek)
{
    if (!e->early)
        return 0;
    size_t n = peek ? thi_buf_peek(&e->early->bytes, buf, size)
                    : thi_buf_read(&e->early->bytes, buf, size);
    if (!peek)
        e->early->last = n > 0;
    return n;
}

/* ---- a client ---- */

static int do_send_early(SSL *ssl, thi_tls_step *s)
{
    int result = thi_tls_early_send(ssl, s->data, s->size, &s->done);
    s->early = result == THI_EARLY_OVER;
    return result == THI_EARLY_DATA || result == THI_EARLY_OVER;
}

/* As much as the session allows, a record at a time. */
static int send_first(thi_tls_engine *e)
{
    struct thi_tls_engine_early *early = e->early;
    const SSL_SESSION *session = SSL_get0_session(e->link.ssl);
    size_t most = session ? SSL_SESSION_get_max_early_data(session) : 0;
    most = e->link.config->facts.early_data_max > 0 ? thi_min(most, early->out_size) : 0;
    int err = 0;
    e->wire.unbounded = true;
    while (early->out_sent < most && err == 0) {
        thi_tls_step s = { .data = early->out + early->out_sent,
                           .size = thi_min(most - early->out_sent, (size_t)e->link.record) };
        err = thi_tls_engine_attempt(e, do_send_early, &s);
        early->out_sent += s.done;
        if (s.early)
            break;
    }
    e->wire.unbounded = false;
    return err;
}

static int send_again(thi_tls_engine *e)
{
    struct thi_tls_engine_early *early = e->early;
    size_t at = thi_tls_early_taken(e->link.ssl) ? early->out_sent : 0;
    while (at < early->out_size) {
        ssize_t n = thi_tls_engine_write_record(e, early->out + at, early->out_size - at);
        if (n < 0)
            return (int)n;
        at += (size_t)n;
    }
    if (TH_UNLIKELY(thi_capture_is_on())) {
        struct iovec all = { early->out, early->out_size };
        thi_capture_inside(e->tap, TH_CAPTURE_SENT, &all, 1, early->out_size);
    }
    thi_free(early->out);
    early->out = NULL;
    return 0;
}

/* ---- both ---- */

int thi_tls_engine_early_step(thi_tls_engine *e)
{
    struct thi_tls_engine_early *early = e->early;
    if (early->out && !early->begun) {
        early->begun = true;
        return send_first(e);
    }
    int err = early->open ? take(e) : 0;
    return err == -EAGAIN && thi_buf_len(&early->bytes) > 0 ? 1 : err;
}

int thi_tls_engine_early_done(thi_tls_engine *e)
{
    if (!e->link.server)
        return send_again(e);
    thi_tls_early_count(e->link.ssl);
    return 0;
}
