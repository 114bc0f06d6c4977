/* SPDX-License-Identifier: MIT */

/*
 * An ordinary OpenSSL client on a thread of its own, over a socket that blocks, and a server of
 * ours at the other end of a TCP connection.
 */
#ifndef THI_TEST_TLS_KERNEL_PEER_H
#define THI_TEST_TLS_KERNEL_PEER_H

#include "streams.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define DATA ((size_t)1000 * 1000)

static char data[DATA];         /* what the server sends is the beginning of it */
static char peer_got[DATA + 1]; /* what has come, and what is too much */

typedef struct peer peer;
struct peer {
    void (*script)(peer *p); /* after the handshake */
    int version;             /* 0: any */
    const char *cipher;      /* NULL: any */
    bool narrow;             /* little room in the sockets */
    int fd, gate;            /* its end; what tell() opens */
    pthread_t thread;
    SSL *ssl;
    size_t size;      /* of peer_got */
    int end;          /* of reading: SSL_ERROR_* */
    int reason;       /* in the queue then */
    bool resumable;   /* the session it has in the end */
    atomic_bool over; /* the script is */
    bool joined;
};

static inline void fill_data(void)
{
    for (size_t i = 0; i < DATA; i++)
        data[i] = (char)(i * 31 + i / 509);
}

/* ---- sockets ---- */

/* By trying; where it is promised, nobody may miss it. */
static inline bool kernel_has_tls(void)
{
    int fds[2];
    if (getenv("THRUM_KTLS"))
        return true;
    connect_both(fds, false);
    bool has = setsockopt(fds[0], IPPROTO_TCP, TCP_ULP, "tls", 3) == 0;
    close(fds[0]);
    close(fds[1]);
    return has;
}

static inline bool kernel_sends(th_stream *stream)
{
    th_tls_info info = { .size = sizeof info };
    ck_assert_int_eq(th_tls_info_get(stream, &info), 0);
    return info.kernel_sends;
}

/* ---- the peer's thread: it asserts nothing, but notes what it found ---- */

static inline void read_to_end(peer *p)
{
    int n = 1;
    ERR_clear_error();
    while (p->size <= DATA && n > 0) {
        n = SSL_read(p->ssl, peer_got + p->size, (int)(DATA + 1 - p->size));
        p->size += n > 0 ? (size_t)n : 0;
    }
    p->end = SSL_get_error(p->ssl, n);
    p->reason = ERR_GET_REASON(ERR_peek_error());
}

static inline void read_when_told(peer *p)
{
    uint64_t n;
    if (read(p->gate, &n, sizeof n) == sizeof n)
        read_to_end(p);
}

static inline void ping_then_read(peer *p)
{
    if (SSL_write(p->ssl, "ping", 4) == 4)
        read_to_end(p);
}

/* Reads 100 bytes, so that nothing of that is on its way, and changes keys between two words. */
static inline void change_key(peer *p, int kind)
{
    while (p->size < 100) {
        int n = SSL_read(p->ssl, peer_got + p->size, (int)(100 - p->size));
        if (n <= 0)
            return;
        p->size += (size_t)n;
    }
    if (SSL_write(p->ssl, "old", 3) == 3 && SSL_key_update(p->ssl, kind) == 1 &&
        SSL_write(p->ssl, "new", 3) == 3 && SSL_write(p->ssl, "more", 4) == 4)
        read_to_end(p);
}

static inline void change_own_key(peer *p)
{
    change_key(p, SSL_KEY_UPDATE_NOT_REQUESTED);
}

static inline void want_new_keys(peer *p)
{
    change_key(p, SSL_KEY_UPDATE_REQUESTED);
}

/* Goes without a word when it is told to: what it has not read resets the connection. */
static inline void go_away(peer *p)
{
    uint64_t n;
    (void)!read(p->gate, &n, sizeof n);
    close(p->fd);
    p->fd = -1;
}

/* A record that no key has made. */
static inline void send_rubbish(peer *p)
{
    unsigned char record[5 + 64] = { SSL3_RT_APPLICATION_DATA, 3, 3, 0, 64 };
    if (write(p->fd, record, sizeof record) == (ssize_t)sizeof record)
        read_to_end(p);
}

static inline void *be_peer(void *arg)
{
    peer *p = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, p->version);
    SSL_CTX_set_max_proto_version(ctx, p->version);
    if (p->cipher && p->version == TLS1_3_VERSION)
        SSL_CTX_set_ciphersuites(ctx, p->cipher);
    else if (p->cipher)
        SSL_CTX_set_cipher_list(ctx, p->cipher);
    p->ssl = SSL_new(ctx);
    SSL_set_fd(p->ssl, p->fd);
    if (SSL_connect(p->ssl) == 1)
        p->script(p);
    SSL_SESSION *session = SSL_get1_session(p->ssl);
    p->resumable = session && SSL_SESSION_is_resumable(session);
    SSL_SESSION_free(session);
    SSL_free(p->ssl);
    SSL_CTX_free(ctx);
    atomic_store(&p->over, true);
    return NULL;
}

static inline void tell(const peer *p)
{
    uint64_t one = 1;
    ck_assert_int_eq(write(p->gate, &one, sizeof one), sizeof one);
}

static inline void join(peer *p)
{
    if (!p->joined)
        ck_assert_int_eq(pthread_join(p->thread, NULL), 0);
    p->joined = true;
}

/* ---- the server ---- */

/* All but the handshake. */
static inline void begin_server(peer *p, th_tls_opts opts)
{
    int fds[2];
    make_contexts(opts, (th_tls_opts){ 0 });
    connect_both(fds, p->narrow);
    p->fd = fds[1];
    p->gate = eventfd(0, EFD_CLOEXEC);
    ck_assert_int_ge(p->gate, 0);
    server_plain = adopt(fds[0]);
    ck_assert_int_eq(pthread_create(&p->thread, NULL, be_peer, p), 0);
}

static inline void open_server(peer *p, th_tls_opts opts)
{
    begin_server(p, opts);
    int err = th_tls_server(server_tls, server_plain, NULL, &server_side);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
}

static inline void close_server(peer *p)
{
    th_stream_free(server_side);
    join(p);
    if (p->fd >= 0)
        close(p->fd);
    close(p->gate);
    free_contexts();
}

static inline void read_ping(void)
{
    read_text(server_side, "ping");
}

static inline void write_data(th_stream *stream, size_t at, size_t size)
{
    ck_assert_uint_le(at + size, DATA);
    ssize_t n = th_stream_write(stream, data + at, size);
    ck_assert_msg(n == (ssize_t)size, "%s: %s", th_errname((int)n), th_err_detail());
}

/* Says the end, which the peer has to understand as one. */
static inline void end_well(peer *p)
{
    int err = th_stream_shutdown(server_side);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    join(p);
    ck_assert_int_eq(p->end, SSL_ERROR_ZERO_RETURN);
}

/* That the peer has got the beginning of data, and no more. */
static inline void expect_data(const peer *p, size_t size)
{
    ck_assert_uint_eq(p->size, size);
    ck_assert_mem_eq(peer_got, data, size);
}

#endif
