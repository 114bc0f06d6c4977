/* SPDX-License-Identifier: MIT */

/*
 * Early data of TLS 1.3.
 *
 * OpenSSL protects against replays by tickets that it keeps in its own session cache, each used
 * once. That would make tickets stateful and take a lock for every connection, early data or not.
 * So it is off, and early data is taken once per hello instead (early_once.h).
 */
#include "tls/early.h"

#include "base/error.h"
#include "base/metrics.h"
#include "sys/sys.h"
#include "tls/early_once.h"
#include "tls/ossl.h"
#include "tls/slot.h"

#include <errno.h>
#include <limits.h>

static void forget(void *hellos)
{
    thi_early_once_unref(hellos);
}

static thi_slot slot = { .class = CRYPTO_EX_INDEX_SSL_CTX, .forget = forget };

/* Asked when all else speaks for taking it. */
static int on_offer(SSL *ssl, void *arg)
{
    unsigned char random[SSL3_RANDOM_SIZE];
    size_t size = SSL_get_client_random(ssl, random, sizeof random);
    bool fresh = thi_early_once_note(arg, random, size, thi_sys_clock());
    return fresh ? 1 : 0;
}

int thi_tls_early_attach(SSL_CTX *ctx, uint32_t max, thi_early_once *hellos)
{
    thi_ossl_begin();
    if (!SSL_CTX_set_max_early_data(ctx, max) || !SSL_CTX_set_recv_max_early_data(ctx, max))
        return thi_ossl_fail(-ENOMEM, "early data");
    int err = thi_slot_put_ctx(&slot, ctx, thi_early_once_ref(hellos));
    if (err < 0) {
        thi_early_once_unref(hellos);
        return err;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY);
    SSL_CTX_set_allow_early_data_cb(ctx, on_offer, hellos);
    return 0;
}

bool thi_tls_early_adopt(SSL *ssl, const SSL_CTX *ctx)
{
    thi_early_once *hellos = thi_slot_ctx(&slot, ctx);
    uint32_t max = hellos ? SSL_CTX_get_max_early_data(ctx) : 0;
    SSL_set_options(ssl, SSL_OP_NO_ANTI_REPLAY);
    SSL_set_allow_early_data_cb(ssl, hellos ? on_offer : NULL, hellos);
    return SSL_set_max_early_data(ssl, max) == 1 && SSL_set_recv_max_early_data(ssl, max) == 1;
}

/* ---- a server ---- */

static int retry_or_fail(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? THI_EARLY_MORE
                                                                         : THI_EARLY_FAILED;
}

int thi_tls_early_read(SSL *ssl, void *buf, size_t size, size_t *got)
{
    size_t n = 0;
    thi_ossl_begin();
    switch (SSL_read_early_data(ssl, buf, size, &n)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        *got = n;
        return THI_EARLY_DATA;
    case SSL_READ_EARLY_DATA_FINISH: /* also when what is behind the end was fatal */
        return thi_ossl_peek() == 0 ? THI_EARLY_OVER : THI_EARLY_FAILED;
    default:
        return retry_or_fail(ssl, 0);
    }
}

int thi_tls_early_write(SSL *ssl, const void *buf, size_t size, size_t *put)
{
    thi_ossl_begin();
    return SSL_write_early_data(ssl, buf, size, put) > 0 ? THI_EARLY_DATA : retry_or_fail(ssl, 0);
}

/* ---- a client ---- */

int thi_tls_early_send(SSL *ssl, const void *buf, size_t size, size_t *put)
{
    const SSL_SESSION *session = SSL_get0_session(ssl);
    uint32_t max = session ? SSL_SESSION_get_max_early_data(session) : 0;
    if (max == 0 || size == 0)
        return THI_EARLY_OVER;
    thi_ossl_begin();
    if (SSL_write_early_data(ssl, buf, size < max ? size : max, put) > 0)
        return THI_EARLY_DATA;
    return retry_or_fail(ssl, 0);
}

bool thi_tls_early_taken(SSL *ssl)
{
    return SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED;
}

void thi_tls_early_count(SSL *ssl)
{
    int status = SSL_get_early_data_status(ssl);
    if (status == SSL_EARLY_DATA_ACCEPTED)
        thi_metric_add(THI_M_TLS_EARLY_TAKEN, 1);
    else if (status == SSL_EARLY_DATA_REJECTED)
        thi_metric_add(THI_M_TLS_EARLY_REFUSED, 1);
}
