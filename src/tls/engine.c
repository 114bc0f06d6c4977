/* SPDX-License-Identifier: MIT */

/*
 * TLS without input and output.
 *
 * One step of OpenSSL is one call of thi_tls_engine_attempt(): the thread's queue of errors is
 * emptied, the engine is marked as busy, OpenSSL is called, and what it says is made into a result
 * of ours, all without a suspension of our own in between. What OpenSSL calls fatal is kept, with
 * its words, and is what every later call returns: OpenSSL itself would say something else the
 * second time.
 *
 * "Wants to read" means that wire.in is empty, so it is -EAGAIN, unless nothing will ever come:
 * then the stream was cut. "Wants to write" means that wire.out is full: -ENOBUFS.
 *
 * A peer may send records that carry nothing for the user, as many as it likes: empty ones, updates
 * of keys, tickets. OpenSSL limits some of them, and a callback for each record counts the rest. It
 * cannot stop OpenSSL, but what is in wire.in is little, and after it the connection is ended.
 */
#include "tls/engine.h"

#include "base/util.h"
#include "net/capture.h"
#include "tls/early.h"
#include "tls/engine_early.h"
#include "tls/engine_step.h"
#include "tls/kernel.h"
#include "tls/ossl.h"
#include "tls/sessions.h"
#include "tls/tally.h"

#include <errno.h>
#include <string.h>

/* Records between two that carry something; of a handshake, where a chain of certificates of
 * 100 KiB may come in records of any size. */
#define FLOOD           64
#define FLOOD_HANDSHAKE 4096

/* Room for bytes of the peer that is asked for: what makes the pool give its large segments, and
 * what is enough behind bytes that are still there. */
#define ROOM      THI_SEG_LARGE_ROOM
#define ROOM_MORE ((size_t)1024)

/* ---- beginning and end ---- */

/* NOLINTNEXTLINE(readability-function-size): seven parameters, because OpenSSL wants seven */
static void on_message(int sent, int version, int type, const void *buf, size_t size, SSL *ssl,
                       void *arg)
{
    thi_tls_engine *e = arg;
    (void)version;
    (void)ssl;
    if (!sent && type == SSL3_RT_HANDSHAKE)
        thi_tls_kernel_look(&e->wire, buf, size);
    if (sent || type != SSL3_RT_HEADER)
        return;
    e->records++;
    if (e->records > (e->done ? FLOOD : FLOOD_HANDSHAKE))
        e->flooded = true;
}

int thi_tls_engine_check(const th_tls_stream_opts *opts)
{
    if (!opts)
        return 0;
    if (opts->size > sizeof *opts)
        return thi_err_set(-EINVAL, "th_tls_stream_opts of a later version");
    if (opts->record != 0 && (opts->record < 512 || opts->record > THI_TLS_RECORD_MAX))
        return thi_err_set(-EINVAL, "record is %zu, not 512 to 16384", opts->record);
    if (opts->handshake_time < 0)
        return thi_err_set(-EINVAL, "handshake_time is negative");
    if (opts->verify < TH_TLS_VERIFY_AS_CONTEXT || opts->verify > TH_TLS_VERIFY_REQUIRED)
        return thi_err_set(-EINVAL, "verify is %d, which means nothing", opts->verify);
    if ((!opts->ahead.ptr && opts->ahead.len > 0) || (!opts->first.ptr && opts->first.len > 0))
        return thi_err_set(-EINVAL, "ahead or first has a length and no bytes");
    if (opts->first.len > THI_TLS_FIRST_MAX)
        return thi_err_set(-EINVAL, "first has more than %zu bytes", THI_TLS_FIRST_MAX);
    return 0;
}

static int open_link(thi_tls_engine *e, thi_tls_config *config, bool server,
                     const th_tls_stream_opts *opts)
{
    thi_tls_link_opts link_opts = { .name = opts->name,
                                    .sent_name = opts->sent_name,
                                    .alpn = opts->alpn,
                                    .verify = opts->verify,
                                    .record = (uint16_t)opts->record,
                                    .port = opts->port,
                                    .session = opts->session,
                                    .user = opts->user };
    return thi_tls_link_open(&e->link, config, server, &link_opts);
}

static int equip(thi_tls_engine *e, const th_tls_stream_opts *opts)
{
    SSL *ssl = e->link.ssl;
    BIO *bio = thi_tls_bio_new(&e->wire);
    if (!bio)
        return thi_err_clear(-ENOMEM);
    SSL_set_bio(ssl, bio, bio); /* which takes the reference, one for both */
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_set_read_ahead(ssl, 0); /* see bio.c */
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, e);
    return opts->ahead.len > 0 ? thi_tls_engine_feed(e, opts->ahead.ptr, opts->ahead.len) : 0;
}

int thi_tls_engine_init(thi_tls_engine *e, thi_tls_config *config, bool server,
                        const th_tls_stream_opts *opts, thi_bufpool *pool)
{
    static const th_tls_stream_opts defaults;
    opts = opts ? opts : &defaults;
    *e = (thi_tls_engine){ .done = false };
    e->wire.out_limit = 4 * THI_TLS_RECORD_MAX;
    thi_buf_init(&e->wire.in, pool);
    thi_buf_init(&e->wire.out, pool);
    int err = open_link(e, config, server, opts);
    if (err == 0) {
        thi_ossl_begin();
        err = equip(e, opts);
    }
    if (err == 0)
        err = thi_tls_engine_early_open(e, opts, pool);
    if (err < 0)
        thi_tls_engine_deinit(e);
    return err;
}

/* OpenSSL gives up the session of a connection that did not end in order; but what the user has
 * had of it was right, and whether it has ended the user knows. */
void thi_tls_engine_deinit(thi_tls_engine *e)
{
    thi_capture_uncover(&e->tap);
    if (e->done && e->failed.code == 0)
        SSL_set_shutdown(e->link.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    if (e->link.ssl && !e->done && !SSL_in_before(e->link.ssl))
        thi_tls_count_failed(e->link.server);
    thi_tls_engine_early_close(e);
    thi_tls_link_close(&e->link);
    thi_buf_clear(&e->wire.in);
    thi_buf_clear(&e->wire.out);
    thi_err_kept_deinit(&e->failed);
}

void thi_tls_engine_cover(thi_tls_engine *e, thi_tap **tap, int fd)
{
    thi_capture_uncover(&e->tap);
    e->tap = tap ? thi_capture_cover(tap, fd) : NULL;
}

/* ---- bytes of the peer ---- */

char *thi_tls_engine_room(thi_tls_engine *e, size_t *size)
{
    size_t want = thi_buf_len(&e->wire.in) > 0 ? ROOM_MORE : ROOM;
    return thi_buf_reserve(&e->wire.in, want, size);
}

void thi_tls_engine_fed(thi_tls_engine *e, size_t size)
{
    thi_buf_commit(&e->wire.in, size);
}

int thi_tls_engine_feed(thi_tls_engine *e, const void *buf, size_t size)
{
    return thi_buf_append(&e->wire.in, buf, size) < 0 ? thi_err_clear(-ENOMEM) : 0;
}

/* Whether the peer has to send more before anything can be read. */
static bool is_empty(const thi_tls_engine *e)
{
    return thi_buf_len(&e->wire.in) == 0 && SSL_pending(e->link.ssl) == 0;
}

bool thi_tls_engine_is_hungry(const thi_tls_engine *e)
{
    return e->done && e->failed.code == 0 && !e->received_close && !e->ended && is_empty(e);
}

bool thi_tls_engine_speaks_plainly(const thi_tls_engine *e)
{
    static const char *const words[] = { "GET ",  "POST ", "HEAD ", "PUT ",  "HTTP/", "OPTIO",
                                         "DELET", "PATCH", "CONNE", "TRACE", "PRI *" };
    for (size_t i = 0; i < thi_array_len(words); i++) {
        size_t len = strlen(words[i]);
        if (e->wire.seen_count >= len && memcmp(e->wire.seen, words[i], len) == 0)
            return true;
    }
    return false;
}

/* ---- failures ---- */

static int cut(thi_tls_engine *e)
{
    if (e->done)
        thi_err_set(0, "the connection ended without the end that TLS has");
    else if (e->wire.seen_count == 0)
        thi_err_set(0, "the peer left before it said anything");
    else
        thi_err_set(0, "the peer left in the middle of the handshake");
    return thi_err_keep(&e->failed, TH_ETRUNCATED);
}

static int left_early(void)
{
    return thi_err_set(TH_EOF, "the peer left before the handshake was complete");
}

/* Whether all that came is an alert; a server of OpenSSL does not look into what is no hello. */
static bool begins_with_alert(const thi_tls_engine *e)
{
    const unsigned char *seen = e->wire.seen;
    return e->link.server && e->wire.seen_count == sizeof e->wire.seen &&
           seen[0] == SSL3_RT_ALERT && seen[3] == 0 && seen[4] == 2;
}

/* OpenSSL knows plain HTTP only at a server, and not every word of it. */
static int explain(thi_tls_engine *e)
{
    const char *doing = e->done ? "TLS" : "handshake";
    int err = thi_tls_link_failure(&e->link, doing);
    if (err != TH_ETLS || e->done)
        return err;
    if (thi_tls_engine_speaks_plainly(e))
        return thi_err_set(err, "%s: the peer speaks HTTP, not TLS", doing);
    if (begins_with_alert(e))
        return thi_err_set(err, "%s: the peer sent the alert '%s' and no hello", doing,
                           thi_tls_alert_name(e->wire.seen[6]));
    return err;
}

/* What OpenSSL's last answer means; right after it, with the queue as it left it. */
static int judge(thi_tls_engine *e, int answer)
{
    int error = SSL_get_error(e->link.ssl, answer);
    if (e->wire.no_memory)
        return thi_ossl_begin(), thi_err_keep(&e->failed, thi_err_clear(-ENOMEM));
    if (e->flooded)
        return thi_ossl_begin(),
               thi_err_keep(
                   &e->failed,
                   thi_err_set(TH_ELIMIT, "the peer sends records without anything in them"));
    switch (error) {
    case SSL_ERROR_WANT_READ:
        return e->ended ? cut(e) : thi_err_clear(-EAGAIN);
    case SSL_ERROR_WANT_WRITE:
        return thi_err_clear(-ENOBUFS);
    case SSL_ERROR_ZERO_RETURN:
        e->received_close = true;
        return e->done ? thi_err_clear(TH_EOF) : left_early();
    case SSL_ERROR_SSL:
        return thi_err_keep(&e->failed, explain(e));
    default:
        return thi_err_keep(&e->failed,
                            thi_ossl_fail(TH_ETLS, "OpenSSL stopped with error %d", error));
    }
}

/* ---- steps ---- */

int thi_tls_engine_attempt(thi_tls_engine *e, thi_tls_step_fn *fn, thi_tls_step *s)
{
    if (e->busy)
        return thi_err_clear(-EBUSY);
    thi_ossl_begin();
    e->busy = true;
    int answer = fn(e->link.ssl, s);
    int result = answer > 0 && !e->flooded ? 0 : judge(e, answer);
    e->busy = false;
    return result;
}

static int do_handshake(SSL *ssl, thi_tls_step *s)
{
    (void)s;
    return SSL_do_handshake(ssl);
}

static int finish_handshake(thi_tls_engine *e)
{
    e->done = true;
    e->records = 0;
    thi_tls_count_done(e->link.ssl);
    return e->early ? thi_tls_engine_early_done(e) : 0;
}

/* A step of the handshake: 0: it is complete; 1: it is not, but there is early data. */
static int shake(thi_tls_engine *e)
{
    int err = thi_err_again(&e->failed);
    if (err == 0 && e->received_close)
        err = left_early();
    if (err == 0 && e->early)
        err = thi_tls_engine_early_step(e);
    if (err != 0)
        return err;
    err = thi_tls_engine_attempt(e, do_handshake, NULL);
    if (err == 0)
        return finish_handshake(e);
    if (e->failed.code < 0 && !e->link.server)
        thi_tls_sessions_forget(e->link.ssl);
    return err;
}

int thi_tls_engine_handshake(thi_tls_engine *e)
{
    int err = TH_LIKELY(e->done) ? 0 : shake(e);
    return err > 0 ? 0 : err;
}

int thi_tls_engine_complete(thi_tls_engine *e)
{
    int err = e->done ? 0 : shake(e);
    return err > 0 ? thi_err_clear(-EAGAIN) : err;
}

bool thi_tls_engine_is_open(const thi_tls_engine *e)
{
    return e->done || thi_tls_engine_early_ready(e);
}

static int do_read(SSL *ssl, thi_tls_step *s)
{
    return SSL_read_ex(ssl, s->buf, s->size, &s->done);
}

static int do_peek(SSL *ssl, thi_tls_step *s)
{
    return SSL_peek_ex(ssl, s->buf, s->size, &s->done);
}

/* Why nothing can be read: 0 when something may be. */
static int may_read(thi_tls_engine *e)
{
    int err = e->done ? 0 : thi_tls_engine_handshake(e);
    if (err < 0)
        return err;
    if (e->failed.code < 0)
        return thi_err_again(&e->failed);
    return e->received_close ? thi_err_clear(TH_EOF) : 0;
}

/* As many records as there are and as fit. A failure behind them is for the next call to tell. */
static ssize_t read_records(thi_tls_engine *e, void *buf, size_t size)
{
    size_t done = 0;
    int err = 0;
    while (err == 0 && done < size) {
        thi_tls_step s = { .buf = (char *)buf + done, .size = size - done };
        err = thi_tls_engine_attempt(e, do_read, &s);
        if (err < 0)
            break;
        e->records = 0;
        done += s.done;
        if (is_empty(e))
            break;
    }
    if (is_empty(e)) /* OpenSSL keeps its buffer behind a record of its own: a ticket */
        (void)SSL_free_buffers(e->link.ssl);
    return done > 0 ? (ssize_t)done : err;
}

/* What came early comes first. Not done, and nothing the matter: some has come just now. */
static ssize_t begin_read(thi_tls_engine *e, void *buf, size_t size, bool peek)
{
    size_t n = thi_tls_engine_early_read(e, buf, size, peek);
    int err = n > 0 ? 0 : may_read(e);
    if (n == 0 && err == 0 && !e->done)
        n = thi_tls_engine_early_read(e, buf, size, peek);
    return n > 0 ? (ssize_t)n : err;
}

ssize_t thi_tls_engine_read(thi_tls_engine *e, void *buf, size_t size)
{
    ssize_t n = begin_read(e, buf, size, false);
    if (n == 0)
        n = read_records(e, buf, size);
    if (TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_inside_received(e->tap, buf, n);
    return n;
}

ssize_t thi_tls_engine_peek(thi_tls_engine *e, void *buf, size_t size)
{
    thi_tls_step s = { .buf = buf, .size = size };
    ssize_t early = begin_read(e, buf, size, true);
    int err = (int)early;
    if (early > 0)
        return early;
    if (err == 0)
        err = thi_tls_engine_attempt(e, do_peek, &s);
    return err < 0 ? err : (ssize_t)s.done;
}

/* ---- writing ---- */

static int do_write(SSL *ssl, thi_tls_step *s)
{
    if (TH_UNLIKELY(s->early))
        return thi_tls_early_write(ssl, s->data, s->size, &s->done) == THI_EARLY_DATA;
    return SSL_write_ex(ssl, s->data, s->size, &s->done);
}

/* Once OpenSSL has begun a record it has to be taken: see bio.c. */
ssize_t thi_tls_engine_write_record(thi_tls_engine *e, const void *data, size_t size)
{
    if (TH_UNLIKELY(e->wire.kernel.sends))
        return thi_tls_kernel_write(&e->wire, data, thi_min(size, (size_t)e->link.record));
    thi_tls_step s = { .data = data,
                       .size = thi_min(size, (size_t)e->link.record),
                       .early = !e->done };
    e->wire.unbounded = true;
    int err = thi_tls_engine_attempt(e, do_write, &s);
    e->wire.unbounded = false;
    return err < 0 ? err : (ssize_t)s.done;
}

/* Where a write is in its pieces. */
typedef struct cursor {
    const struct iovec *iov;
    int count;
    size_t skip; /* bytes of the first piece that are done */
} cursor;

/* Moves on by so many bytes, and past empty pieces. */
static void advance(cursor *c, size_t n)
{
    c->skip += n;
    while (c->count > 0 && c->skip >= c->iov->iov_len) {
        c->skip -= c->iov->iov_len;
        c->iov++;
        c->count--;
    }
}

/* Copies the next bytes without moving on; returns how many. */
static size_t gather(const cursor *c, char *to, size_t size)
{
    size_t done = 0;
    size_t skip = c->skip;
    for (int i = 0; i < c->count && done < size; i++) {
        size_t n = thi_min(c->iov[i].iov_len - skip, size - done);
        if (n > 0)
            memcpy(to + done, (const char *)c->iov[i].iov_base + skip, n);
        done += n;
        skip = 0;
    }
    return done;
}

/* Several small pieces, in one record. */
static ssize_t write_gathered(thi_tls_engine *e, const cursor *c, size_t most)
{
    thi_bufpool *pool = e->wire.out.pool;
    thi_seg *seg = thi_bufpool_get(pool, THI_SEG_LARGE_ROOM);
    if (!seg)
        return thi_err_clear(-ENOMEM);
    size_t room = thi_min(THI_SEG_LARGE_ROOM, (size_t)e->link.record);
    ssize_t n =
        thi_tls_engine_write_record(e, seg->base, gather(c, seg->base, thi_min(room, most)));
    thi_bufpool_put(pool, seg);
    return n;
}

static ssize_t write_next(thi_tls_engine *e, const cursor *c, size_t most)
{
    size_t here = c->iov->iov_len - c->skip;
    if (c->count > 1 && here < e->link.record && here < most)
        return write_gathered(e, c, most);
    return thi_tls_engine_write_record(e, (const char *)c->iov->iov_base + c->skip,
                                       thi_min(here, most));
}

int thi_tls_engine_may_write(thi_tls_engine *e)
{
    int err = thi_tls_engine_is_open(e) ? 0 : thi_tls_engine_handshake(e);
    if (err == 0)
        err = thi_err_again(&e->failed);
    if (err == 0 && e->sent_close)
        err = thi_err_clear(-EPIPE);
    return err < 0 ? err : thi_tls_kernel_refuses(&e->wire);
}

ssize_t thi_tls_engine_writev(thi_tls_engine *e, const struct iovec *iov, int count, size_t most)
{
    cursor c = { .iov = iov, .count = count };
    size_t done = 0;
    ssize_t n = thi_tls_engine_may_write(e);
    if (n < 0)
        return n;
    advance(&c, 0);
    while (c.count > 0 && done < most) {
        bool full = thi_buf_len(&e->wire.out) >= e->wire.out_limit;
        n = full ? thi_err_clear(-ENOBUFS) : write_next(e, &c, most - done);
        if (n < 0)
            break;
        done += (size_t)n;
        advance(&c, (size_t)n);
    }
    if (TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_inside(e->tap, TH_CAPTURE_SENT, iov, count, done);
    return done > 0 ? (ssize_t)done : n;
}

/* ---- the end ---- */

static int do_shutdown(SSL *ssl, thi_tls_step *s)
{
    (void)s;
    int answer = SSL_shutdown(ssl);
    return answer == 0 ? 1 : answer; /* "sent, and the peer's has not come" is no failure */
}

/* Whether the peer's end is what comes next. */
static int look_for_end(thi_tls_engine *e)
{
    char byte;
    ssize_t n = thi_tls_engine_peek(e, &byte, 1);
    if (n == TH_EOF)
        return 0;
    return n > 0 ? thi_err_clear(-EAGAIN) : (int)n;
}

int thi_tls_engine_shutdown(thi_tls_engine *e)
{
    int err = thi_err_again(&e->failed);
    if (err == 0 && !e->done)
        err = thi_err_clear(-ENOTCONN);
    if (err < 0)
        return err;
    if (!e->sent_close) {
        e->wire.unbounded = true;
        err = thi_tls_engine_attempt(e, do_shutdown, NULL);
        e->wire.unbounded = false;
        if (err < 0)
            return err;
        e->sent_close = true;
        if (TH_UNLIKELY(thi_capture_is_on()))
            thi_capture_inside_end(e->tap, TH_CAPTURE_SHUT);
    }
    return e->received_close ? 0 : look_for_end(e);
}

void thi_tls_engine_set_closed(thi_tls_engine *e, bool sent, bool received)
{
    int state = SSL_get_shutdown(e->link.ssl);
    state |= (sent ? SSL_SENT_SHUTDOWN : 0) | (received ? SSL_RECEIVED_SHUTDOWN : 0);
    SSL_set_shutdown(e->link.ssl, state);
    e->sent_close = e->sent_close || sent;
    e->received_close = e->received_close || received;
}
