/* SPDX-License-Identifier: MIT */

/*
 * One session, as the user holds it.
 *
 * A session says that a server was verified, once, by the demands of a context and for a name; it
 * is not verified again when it is resumed. So it knows both, and is refused elsewhere.
 *
 * As bytes it is: "THS1"; the length of the name, two bytes, high first; the name; the session as
 * OpenSSL's i2d_SSL_SESSION() writes it.
 */
#include "tls/session.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "tls/ossl.h"

#include <thrum/time.h>

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct th_tls_session {
    atomic_uint refs;
    uint64_t context;
    SSL_SESSION *state;
    char name[]; /* empty: verified for none */
};

#define MAGIC      "THS1"
#define MAGIC_SIZE 4
#define HEAD_SIZE  (MAGIC_SIZE + 2)
#define NAME_MAX_  1024

int thi_tls_session_new(SSL_SESSION *state, uint64_t context, const char *name,
                        th_tls_session **out)
{
    size_t len = name ? strlen(name) : 0;
    if (len > NAME_MAX_)
        return thi_err_clear(-EINVAL);
    th_tls_session *session = thi_calloc(1, sizeof *session + len + 1);
    if (!session)
        return thi_err_clear(-ENOMEM);
    atomic_init(&session->refs, 1);
    session->context = context;
    session->state = state;
    if (len > 0)
        memcpy(session->name, name, len);
    *out = session;
    return 0;
}

SSL_SESSION *thi_tls_session_state(const th_tls_session *session)
{
    return session->state;
}

int thi_tls_session_fits(const th_tls_session *session, uint64_t context, const char *name)
{
    if (session->context != context)
        return thi_err_set(-EINVAL, "the session was made with another context");
    if (strcasecmp(session->name, name ? name : "") != 0)
        return thi_err_set(-EINVAL, "the session is of %s, not of %s",
                           session->name[0] ? session->name : "an unnamed server",
                           name ? name : "an unnamed one");
    return 0;
}

/* Seconds until a certificate expires, none of which: for ever. */
static int64_t seconds_of(X509 *cert)
{
    int days;
    int seconds;
    if (!cert || !ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)))
        return INT64_MAX;
    return (int64_t)days * 86400 + seconds;
}

/* A server's hint of 0 means "not at all" in 1.3, and nothing in 1.2. OpenSSL counts by time(). */
/* Not `>=`: the versions of DTLS are counted down from 0xfeff. */
int thi_tls_session_is_once(const SSL_SESSION *state)
{
    return SSL_SESSION_get_protocol_version(state) == TLS1_3_VERSION;
}

int64_t thi_tls_session_left(const SSL_SESSION *state)
{
    int64_t span = (int64_t)SSL_SESSION_get_timeout(state);
    int64_t hint = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(state);
    if (hint > 0 || thi_tls_session_is_once(state))
        span = thi_min(span, hint);
    int64_t left = (int64_t)SSL_SESSION_get_time(state) + span - (int64_t)time(NULL);
    left = thi_min(left, seconds_of(SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)state)));
    return left <= 0 || !SSL_SESSION_is_resumable(state) ? 0 : left * TH_SECOND;
}

int th_tls_session_tell(const th_tls_session *session, size_t size, th_tls_session_facts *facts)
{
    if (!session || !facts || size < sizeof facts->size || size > sizeof *facts)
        return thi_err_clear(-EINVAL);
    int version = SSL_SESSION_get_protocol_version(session->state);
    th_tls_session_facts all = { .size = size,
                                 .version = version,
                                 .once = thi_tls_session_is_once(session->state),
                                 .left = thi_tls_session_left(session->state),
                                 .early = SSL_SESSION_get_max_early_data(session->state),
                                 .name = session->name };
    memcpy(facts, &all, size);
    return 0;
}

th_tls_session *th_tls_session_ref(th_tls_session *session)
{
    if (session)
        atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
    return session;
}

void th_tls_session_unref(th_tls_session *session)
{
    if (!session || atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) > 1)
        return;
    SSL_SESSION_free(session->state);
    thi_free(session);
}

/* ---- as bytes ---- */

static int write_state(const th_tls_session *session, unsigned char *at, int len)
{
    return i2d_SSL_SESSION(session->state, &at) == len ? 0 : -ENOMEM;
}

ssize_t th_tls_session_export(const th_tls_session *session, void *buf, size_t size)
{
    if (!session || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    int len = i2d_SSL_SESSION(session->state, NULL);
    if (len <= 0)
        return thi_ossl_fail(-ENOMEM, "a session");
    size_t name = strlen(session->name);
    size_t need = HEAD_SIZE + name + (size_t)len;
    if (need > size || !buf)
        return (ssize_t)need;
    unsigned char *at = buf;
    memcpy(at, MAGIC, MAGIC_SIZE);
    at[MAGIC_SIZE] = (unsigned char)(name >> 8);
    at[MAGIC_SIZE + 1] = (unsigned char)name;
    memcpy(at + HEAD_SIZE, session->name, name);
    int err = write_state(session, at + HEAD_SIZE + name, len);
    return err < 0 ? thi_ossl_fail(err, "a session") : (ssize_t)need;
}

/* The part behind the name, all of it. */
static SSL_SESSION *read_state(const unsigned char *data, size_t size)
{
    const unsigned char *at = data;
    if (size > LONG_MAX)
        return NULL;
    SSL_SESSION *state = d2i_SSL_SESSION(NULL, &at, (long)size);
    if (!state || at == data + size)
        return state;
    SSL_SESSION_free(state);
    return NULL;
}

int thi_tls_session_read(uint64_t context, const void *data, size_t size, th_tls_session **session)
{
    char name[NAME_MAX_ + 1];
    const unsigned char *at = data;
    size_t len = size >= HEAD_SIZE ? (size_t)at[MAGIC_SIZE] << 8 | at[MAGIC_SIZE + 1] : SIZE_MAX;
    if (size < HEAD_SIZE || memcmp(at, MAGIC, MAGIC_SIZE) != 0 || len > NAME_MAX_ ||
        size - HEAD_SIZE < len || memchr(at + HEAD_SIZE, '\0', len))
        return thi_err_set(TH_ETLS, "these bytes are no session");
    memcpy(name, at + HEAD_SIZE, len);
    name[len] = '\0';
    thi_ossl_begin();
    SSL_SESSION *state = read_state(at + HEAD_SIZE + len, size - HEAD_SIZE - len);
    if (!state)
        return thi_ossl_fail(TH_ETLS, "these bytes are no session");
    int err = thi_tls_session_new(state, context, name, session);
    if (err < 0)
        SSL_SESSION_free(state);
    return err;
}
