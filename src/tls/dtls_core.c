/* SPDX-License-Identifier: MIT */

/*
 * DTLS without input and output.
 *
 * Datagrams that OpenSSL does not understand, or that somebody has forged, it passes over, so that
 * nothing but an alert under the right key, or a handshake that comes to nothing, ends a
 * connection.
 */
#include "tls/dtls_core.h"

#include "base/error.h"
#include "base/util.h"
#include "tls/dtls_cookie.h"
#include "tls/ossl.h"
#include "tls/sessions.h"
#include "tls/tally.h"

#include <thrum/time.h>

#include <errno.h>
#include <sys/time.h>

/* ---- beginning and end ---- */

static int equip(thi_dtls_core *core, size_t mtu)
{
    SSL *ssl = core->link.ssl;
    BIO *bio = thi_dtls_wire_bio(&core->wire);
    if (!bio)
        return thi_err_clear(-ENOMEM);
    core->wire.ssl = ssl;
    SSL_set_bio(ssl, bio, bio); /* which takes the reference, one for both */
    /* With encrypt-then-MAC, of CBC only, any forged record is the end for OpenSSL 3.0. */
    SSL_set_options(ssl, SSL_OP_NO_ENCRYPT_THEN_MAC);
    SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU | (core->link.server ? SSL_OP_COOKIE_EXCHANGE : 0));
    int err = core->link.server ? thi_dtls_cookie_set_peer(ssl, &core->peer) : 0;
    return err < 0 ? err : thi_dtls_core_set_mtu(core, mtu);
}

int thi_dtls_core_init(thi_dtls_core *core, thi_tls_config *config, bool server,
                       const thi_tls_link_opts *opts, size_t mtu)
{
    thi_tls_link_opts with = *opts;
    with.dtls = true;
    *core = (thi_dtls_core){ .done = false };
    thi_dtls_wire_init(&core->wire, THI_DTLS_WAITING);
    int err = thi_tls_link_open(&core->link, config, server, &with);
    if (err == 0) {
        thi_ossl_begin();
        err = equip(core, mtu);
    }
    if (err < 0)
        thi_dtls_core_deinit(core);
    return err;
}

void thi_dtls_core_deinit(thi_dtls_core *core)
{
    if (!core->link.ssl)
        return;
    if (core->done && core->failed.code == 0)
        SSL_set_shutdown(core->link.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    thi_tls_link_close(&core->link);
    thi_dtls_wire_deinit(&core->wire);
    thi_err_kept_deinit(&core->failed);
}

/* ---- steps ---- */

static int fail(thi_dtls_core *core, int code)
{
    if (!core->done)
        thi_tls_count_failed(core->link.server);
    if (!core->done && !core->link.server)
        thi_tls_sessions_forget(core->link.ssl);
    return thi_err_keep(&core->failed, code);
}

/* What OpenSSL's answer means; right after it, with the queue as it left it. */
static int judge(thi_dtls_core *core, int answer)
{
    switch (SSL_get_error(core->link.ssl, answer)) {
    case SSL_ERROR_NONE:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return thi_err_clear(-EAGAIN);
    case SSL_ERROR_ZERO_RETURN:
        core->received_close = true;
        return core->done
                   ? thi_err_clear(TH_EOF)
                   : fail(core, thi_err_set(TH_ETLS, "handshake: the peer left before its end"));
    default:
        return fail(core, thi_tls_link_failure(&core->link, core->done ? "DTLS" : "handshake"));
    }
}

int thi_dtls_core_listen(thi_dtls_core *core, const th_addr *peer)
{
    BIO_ADDR *unused = BIO_ADDR_new();
    if (!unused)
        return thi_err_clear(-ENOMEM);
    core->peer = *peer;
    thi_ossl_begin();
    int answer = DTLSv1_listen(core->link.ssl, unused);
    BIO_ADDR_free(unused);
    thi_ossl_begin(); /* what strangers send is no failure of ours */
    return answer > 0 ? 1 : 0;
}

int thi_dtls_core_handshake(thi_dtls_core *core)
{
    if (core->done || core->failed.code < 0)
        return thi_err_again(&core->failed);
    thi_ossl_begin();
    int err = judge(core, SSL_do_handshake(core->link.ssl));
    if (err == 0) {
        core->done = true;
        thi_tls_count_done(core->link.ssl);
    }
    return err;
}

ssize_t thi_dtls_core_read(thi_dtls_core *core, void *buf, size_t size)
{
    size_t n = 0;
    if (core->failed.code < 0)
        return thi_err_again(&core->failed);
    if (core->received_close)
        return thi_err_clear(TH_EOF);
    thi_ossl_begin();
    if (SSL_read_ex(core->link.ssl, buf, size, &n) <= 0)
        return judge(core, 0);
    /* A message is taken as a whole: what has no room is lost, as with UDP. */
    char rest[256];
    for (size_t more; SSL_pending(core->link.ssl) > 0;)
        if (SSL_read_ex(core->link.ssl, rest, sizeof rest, &more) <= 0)
            break;
    thi_ossl_begin();
    return (ssize_t)n;
}

int thi_dtls_core_write(thi_dtls_core *core, const void *data, size_t size)
{
    size_t n = 0;
    if (core->failed.code < 0)
        return thi_err_again(&core->failed);
    if (core->sent_close)
        return thi_err_clear(-EPIPE);
    if (size > thi_dtls_core_payload(core))
        return thi_err_set(-EMSGSIZE, "%zu bytes are more than the %zu of a datagram", size,
                           thi_dtls_core_payload(core));
    thi_ossl_begin();
    return SSL_write_ex(core->link.ssl, data, size, &n) > 0 ? 0 : judge(core, 0);
}

int thi_dtls_core_shutdown(thi_dtls_core *core)
{
    if (core->failed.code < 0 || core->sent_close || !core->done)
        return thi_err_again(&core->failed);
    thi_ossl_begin();
    int answer = SSL_shutdown(core->link.ssl);
    core->sent_close = true;
    return answer >= 0 ? 0 : judge(core, answer);
}

/* ---- time ---- */

int64_t thi_dtls_core_wait(thi_dtls_core *core)
{
    struct timeval left;
    if (!DTLSv1_get_timeout(core->link.ssl, &left))
        return TH_NEVER;
    return (int64_t)left.tv_sec * TH_SECOND + (int64_t)left.tv_usec * TH_MICROSECOND;
}

int thi_dtls_core_late(thi_dtls_core *core)
{
    thi_ossl_begin();
    if (DTLSv1_handle_timeout(core->link.ssl) >= 0)
        return 0;
    thi_ossl_begin();
    return fail(core, thi_err_set(TH_ETLS, "handshake: the peer does not answer"));
}

/* ---- sizes ---- */

size_t thi_dtls_core_payload(thi_dtls_core *core)
{
    size_t most = DTLS_get_data_mtu(core->link.ssl);
    return thi_min(most, (size_t)SSL3_RT_MAX_PLAIN_LENGTH);
}

int thi_dtls_core_set_mtu(thi_dtls_core *core, size_t mtu)
{
    if (mtu < THI_DTLS_MTU_MIN || mtu > THI_DTLS_MTU_MAX)
        return thi_err_set(-EINVAL, "an mtu of %zu is not between %d and %d", mtu, THI_DTLS_MTU_MIN,
                           THI_DTLS_MTU_MAX);
    return SSL_set_mtu(core->link.ssl, (long)mtu) > 0 ? 0 : thi_err_clear(-EINVAL);
}
