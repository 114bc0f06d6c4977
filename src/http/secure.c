/* SPDX-License-Identifier: MIT */

/*
 * HTTP over TLS (RFC 9110, 4.2.2).
 *
 * A connection of such a server has no stream until its first bytes have come: a client that says
 * nothing costs no more than on a plain port. Then its fiber agrees on TLS, with the time that a
 * head may take, and the stream over the socket takes the place of the socket's own. All the rest
 * of the server uses conn->stream and does not know which of them it is.
 *
 * The exception is waiting without a fiber. Of a plain socket one knows by the bits of its watch
 * that nothing is there to be read. Over TLS bytes may lie in the record layer, and what arrives
 * may be no bytes of HTTP at all (a ticket, a new key), so there it is tried: what comes is in the
 * input, and -EAGAIN means that the next event of the socket brings something new.
 */
#include "http/secure.h"

#include "base/buf.h"
#include "base/log.h"
#include "tls/kernel.h"
#include "tls/stream.h"

#include <stdio.h>
#include <string.h>

#define PIECES 4

int thi_http_secure_look(thi_http_conn *conn)
{
    th_stream *below = &conn->socket.base;
    unsigned char first;
    ssize_t n = below->ops->peek(below, &first, 1);
    if (n < 0)
        return (int)n;
    return !((first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z'));
}

static void tell_failure(thi_http_conn *conn, int err)
{
    char text[TH_ADDR_TEXT] = "?";
    char why[200];
    th_addr peer;
    (void)snprintf(why, sizeof why, "%s", th_err_detail());
    if (th_stream_peer(&conn->socket.base, &peer) == 0)
        th_addr_format(&peer, text, sizeof text);
    thi_log(TH_LOG_DEBUG, "no TLS with %s: %s%s%s", text, why, *why ? ": " : "", th_strerror(err));
}

int thi_http_secure_begin(thi_http_conn *conn)
{
    th_tls_stream_opts how = { .size = sizeof how, .keep_below = 1, .early = 1 };
    th_stream *stream = NULL;
    int err = th_tls_server(conn->tls, &conn->socket.base, &how, &stream);
    if (err < 0) {
        tell_failure(conn, err);
        return err;
    }
    conn->stream = stream;
    conn->secure = true;
    return 0;
}

bool thi_http_secure_has_arrival(thi_http_conn *conn)
{
    bool nothing = thi_tls_engine_is_hungry(thi_tls_stream_engine(conn->stream)) &&
                   !thi_socket_has_arrival(&conn->socket);
    return !nothing && thi_http_secure_look_again(conn);
}

bool thi_http_secure_look_again(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    ssize_t n = conn->stream->ops->try_read(conn->stream, work->in, work->in_size);
    work->in_at = 0;
    work->in_end = n > 0 ? (size_t)n : 0;
    conn->early = n > 0 && th_tls_was_early(conn->stream) == 1;
    return n != -EAGAIN;
}

void thi_http_secure_note_read(thi_http_conn *conn)
{
    conn->early |= th_tls_was_early(conn->stream) == 1;
}

int thi_http_secure_complete(thi_http_conn *conn)
{
    int err = th_tls_handshake(conn->stream);
    if (err < 0)
        tell_failure(conn, err);
    else
        conn->early = false;
    return err;
}

bool thi_http_secure_is_early(const thi_http_conn *conn)
{
    return conn->early && !thi_tls_stream_engine(conn->stream)->done;
}

void thi_http_secure_tell(const thi_http_conn *conn, th_http_record *record)
{
    const SSL *ssl = thi_tls_stream_engine(conn->stream)->link.ssl;
    record->tls_version = th_str_of(SSL_get_version(ssl));
    record->tls_cipher = th_str_of(SSL_get_cipher_name(ssl));
}

bool thi_http_secure_seal(thi_http_conn *conn)
{
    thi_http_work *work = conn->work;
    thi_tls_engine *engine = thi_tls_stream_engine(conn->stream);
    thi_buf *out = &engine->wire.out;
    struct iovec gathered = { work->out, work->out_len };
    if (!engine->done || thi_buf_len(out) > 0)
        return false;
    if (engine->wire.kernel.sends) { /* then the socket does it */
        conn->sealed = thi_tls_engine_may_write(engine) == 0;
        return conn->sealed;
    }
    ssize_t n = thi_tls_engine_writev(engine, &gathered, 1, work->out_len);
    if (n < 0)
        conn->broken = (int)n;
    if (n > 0) {
        work->out_len -= (size_t)n;
        memmove(work->out, work->out + n, work->out_len);
    }
    if (n < 0 || work->out_len > 0 || thi_buf_len(out) > THI_HTTP_SEALED)
        return false; /* what was made is sent by the next flush */
    work->out_len = thi_buf_read(out, work->out, THI_HTTP_OUT);
    conn->sealed = true;
    return true;
}

int thi_http_secure_flush(thi_http_conn *conn)
{
    thi_tls_wire *wire = &thi_tls_stream_engine(conn->stream)->wire;
    th_stream *below = &conn->socket.base;
    struct iovec iov[PIECES];
    while (conn->broken == 0 && thi_buf_len(&wire->out) > 0) {
        ssize_t n;
        if (wire->kernel.sends) {
            n = thi_tls_kernel_send(wire, below);
        } else {
            n = below->ops->writev(below, iov, thi_buf_iov(&wire->out, iov, PIECES));
            if (n > 0)
                thi_buf_consume(&wire->out, (size_t)n);
        }
        if (n <= 0)
            conn->broken = (int)n;
    }
    return conn->broken;
}

void thi_http_secure_end(thi_http_conn *conn)
{
    if (conn->broken == 0 && th_stream_shutdown(conn->stream) == 0)
        (void)!thi_http_secure_flush(conn);
}

void thi_http_secure_free(thi_http_conn *conn)
{
    if (!conn->secure)
        return;
    th_stream_free(conn->stream);
    conn->stream = NULL;
}
