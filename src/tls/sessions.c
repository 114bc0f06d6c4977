/* SPDX-License-Identifier: MIT */

/*
 * The sessions of a client's connection.
 *
 * A connection that began as thi_tls_sessions_begin() says has a `visit`: where it goes, and where
 * its sessions are kept. OpenSSL hands each session over by a callback, of TLS 1.2 at the end of
 * the handshake, of 1.3 whenever a ticket is read. A copy of it goes to the cache.
 *
 * The name of a destination in the cache is all that decides what a session was verified for and
 * what was agreed upon: the context, the names, the port, the protocols offered.
 */
#include "tls/sessions.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/ossl.h"
#include "tls/session.h"
#include "tls/sessions_cache.h"
#include "tls/slot.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Bytes of a ticket that is kept. It goes into the hello as it came, which has room for 64 KiB in
 * all: a longer one would make the next handshake fail. Sound servers need a few hundred bytes, and
 * a few thousand where the client's certificates are in it. */
#define TICKET_MAX 16384

typedef struct visit {
    th_tls_sessions *sessions; /* a reference, or NULL */
    uint64_t context;
    bool fresh;   /* a session has come on this connection */
    char *name;   /* that is verified; NULL: none */
    size_t len;   /* of the destination */
    char where[]; /* the destination, then the name */
} visit;

static void forget_visit(void *what)
{
    visit *v = what;
    th_tls_sessions_unref(v->sessions);
    thi_free(v);
}

static thi_slot visit_of = { .class = CRYPTO_EX_INDEX_SSL, .forget = forget_visit };
static thi_slot number_of = { .class = CRYPTO_EX_INDEX_SSL_CTX }; /* a number, not a pointer */
static _Atomic uintptr_t last_number;

static th_str where_of(const visit *v)
{
    return th_str_make(v->where, v->len);
}

/* ---- what comes ---- */

static void keep(const visit *v, SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy)
        thi_sessions_put(v->sessions, where_of(v), copy);
}

static bool fits_a_hello(const SSL_SESSION *session)
{
    const unsigned char *ticket;
    size_t len;
    SSL_SESSION_get0_ticket(session, &ticket, &len);
    return len <= TICKET_MAX;
}

/* Does not take the reference that comes with the session. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    visit *v = thi_slot_ssl(&visit_of, ssl);
    if (!v || !fits_a_hello(session))
        return 0;
    v->fresh = true;
    if (v->sessions)
        keep(v, session);
    return 0;
}

int thi_tls_sessions_attach(SSL_CTX *ctx)
{
    uintptr_t number = atomic_fetch_add(&last_number, 1) + 1;
    int err = thi_slot_put_ctx(&number_of, ctx, (void *)number); /* NOLINT: a number */
    if (err < 0)
        return err;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
                                            SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    SSL_CTX_set_timeout(ctx, 7L * 24 * 3600); /* the server says less, or the cache */
    return 0;
}

uint64_t thi_tls_sessions_number(const SSL_CTX *ctx)
{
    return (uint64_t)(uintptr_t)thi_slot_ctx(&number_of, ctx) << 1;
}

/* ---- where to ---- */

static char *add_number(char *at, uint64_t number, int bytes)
{
    for (int i = bytes; i-- > 0;)
        *at++ = (char)(number >> (8 * i));
    return at;
}

/* A part with its length before it, names in lower case: no two destinations read alike. */
static char *add_part(char *at, const void *data, size_t len, bool folded)
{
    const char *from = data;
    at = add_number(at, len, 4);
    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        *at++ = folded && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return at;
}

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

static visit *make_visit(uint64_t context, const thi_tls_destination *to, th_tls_sessions *sessions)
{
    size_t name = length_of(to->name);
    size_t server_name = length_of(to->server_name);
    size_t len = 8 + 2 + 3 * 4 + name + server_name + to->alpn_len;
    visit *v = thi_calloc(1, sizeof *v + len + name + 1);
    if (!v)
        return NULL;
    v->sessions = th_tls_sessions_ref(sessions);
    v->context = context;
    v->len = len;
    char *at = add_number(v->where, context, 8);
    at = add_number(at, to->port, 2);
    at = add_part(at, to->name, name, true);
    at = add_part(at, to->server_name, server_name, true);
    at = add_part(at, to->alpn, to->alpn_len, false);
    if (to->name)
        v->name = memcpy(at, to->name, name + 1);
    return v;
}

/* The session of an earlier connection, the caller's own, or NULL. */
static int choose(const visit *v, th_tls_session *given, SSL_SESSION **session)
{
    if (given) {
        int err = thi_tls_session_fits(given, v->context, v->name);
        if (err < 0)
            return err;
        *session = SSL_SESSION_dup(thi_tls_session_state(given));
        return *session ? 0 : thi_err_clear(-ENOMEM);
    }
    *session = v->sessions ? thi_sessions_get(v->sessions, where_of(v)) : NULL;
    return 0;
}

static int offer(SSL *ssl, const visit *v, th_tls_session *given)
{
    SSL_SESSION *session = NULL;
    int err = choose(v, given, &session);
    if (err < 0 || !session)
        return err;
    thi_ossl_begin();
    if (!SSL_set_session(ssl, session))
        err = thi_ossl_fail(TH_ETLS, "a session");
    SSL_SESSION_free(session);
    return err;
}

int thi_tls_sessions_begin(SSL *ssl, const thi_tls_destination *to, th_tls_sessions *sessions,
                           th_tls_session *session)
{
    uint64_t context = thi_tls_sessions_number(SSL_get_SSL_CTX(ssl));
    if (context == 0 || thi_slot_ssl(&visit_of, ssl))
        return thi_err_clear(-EINVAL);
    /* What was not verified is not for who verifies. */
    visit *v = make_visit(context | to->insecure, to, sessions);
    if (!v)
        return thi_err_clear(-ENOMEM);
    int err = thi_slot_put_ssl(&visit_of, ssl, v);
    if (err < 0) {
        forget_visit(v);
        return err;
    }
    return offer(ssl, v, session);
}

void thi_tls_sessions_forget(SSL *ssl)
{
    visit *v = thi_slot_ssl(&visit_of, ssl);
    if (v && v->sessions)
        thi_sessions_drop(v->sessions, where_of(v));
}

/* Of 1.3, a session that was resumed is used up: only one that has come since counts. */
static bool has_session(SSL *ssl, const visit *v)
{
    const SSL_SESSION *session = SSL_get0_session(ssl);
    if (!session || !SSL_is_init_finished(ssl) || !fits_a_hello(session))
        return false;
    return thi_tls_session_is_once(session) ? v->fresh : SSL_SESSION_is_resumable(session);
}

int thi_tls_session_of(SSL *ssl, th_tls_session **session)
{
    visit *v = thi_slot_ssl(&visit_of, ssl);
    if (!v)
        return thi_err_clear(-EINVAL);
    if (!has_session(ssl, v))
        return thi_err_set(-EAGAIN, "the server has not given a session yet");
    thi_ossl_begin();
    SSL_SESSION *copy = SSL_SESSION_dup(SSL_get0_session(ssl));
    if (!copy)
        return thi_ossl_fail(-ENOMEM, "a session");
    int err = thi_tls_session_new(copy, v->context, v->name, session);
    if (err < 0)
        SSL_SESSION_free(copy);
    return err;
}
