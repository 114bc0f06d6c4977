/* SPDX-License-Identifier: MIT */

/*
 * Clients that ask for a stapled response.
 *
 * OpenSSL calls back when the server's certificate is verified, whether a response came or not; in
 * TLS 1.3 also when a session is resumed, where there is neither a certificate nor a response, and
 * what was found the first time stands.
 */
#include "tls/ocsp_client.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sys/sys.h"
#include "tls/ossl.h"
#include "tls/slot.h"

#include <thrum/time.h>

#include <errno.h>
#include <openssl/x509v3.h>

static thi_slot slot = { .class = CRYPTO_EX_INDEX_SSL_CTX, .forget = thi_free };

static th_str response_of(SSL *ssl)
{
    const char *der = NULL;
    long size = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    return size > 0 ? th_str_make(der, (size_t)size) : th_str_make("", 0);
}

/*
 * In the chain that was verified, the one above the peer's own. That chain is one certificate when
 * it signs itself, and when it is trusted without its issuer, which then nobody knows (th_tls_trust
 * has `partial` for that): NULL.
 */
static X509 *issuer_of(SSL *ssl, X509 *cert)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    if (sk_X509_num(chain) > 1)
        return sk_X509_value(chain, 1);
    return X509_check_issued(cert, cert) == X509_V_OK ? cert : NULL;
}

static int judge(SSL *ssl, const thi_ocsp_client *client, th_str response)
{
    char words[160];
    thi_ocsp_findings f;
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (!cert)
        return 0;
    X509 *issuer = issuer_of(ssl, cert);
    bool there = response.len > 0 && issuer; /* what nobody can have signed says nothing */
    if (!there && !client->required && !thi_ocsp_is_demanded(cert))
        return 0;
    if (!issuer)
        return thi_err_set(TH_ETLS, "the OCSP response of the server cannot be judged: the "
                                    "issuer of its certificate was not sent");
    thi_ocsp_judge(response, cert, issuer, thi_sys_wall() / TH_SECOND, &f);
    if (f.verdict == THI_OCSP_GOOD)
        return 0;
    return thi_err_set(f.verdict == THI_OCSP_UNJUDGED ? -ENOMEM : TH_ETLS,
                       "the OCSP response of the server %s",
                       thi_ocsp_words(&f, words, sizeof words));
}

/* 1: go on; 0: alert "bad certificate status response". */
static int on_response(SSL *ssl, void *arg)
{
    const thi_ocsp_client *client = arg;
    if (SSL_session_reused(ssl))
        return 1;
    th_str response = response_of(ssl);
    bool unjudged = client->unjudged && client->unjudged(ssl, client->arg);
    int err = unjudged ? 0 : judge(ssl, client, response);
    if (err >= 0 && client->check)
        err = client->check(ssl, response, client->arg);
    thi_ossl_begin();
    if (err < 0 && client->failed)
        client->failed(ssl, err, client->arg);
    return err < 0 ? 0 : 1;
}

int thi_ocsp_client_attach(SSL_CTX *ctx, const thi_ocsp_client *client)
{
    thi_ocsp_client *copy = thi_alloc(sizeof *copy);
    if (!copy)
        return thi_err_clear(-ENOMEM);
    *copy = *client;
    thi_ossl_begin();
    int err = thi_slot_put_ctx(&slot, ctx, copy);
    if (err < 0) {
        thi_free(copy);
        return err;
    }
    SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
    SSL_CTX_set_tlsext_status_cb(ctx, on_response);
    SSL_CTX_set_tlsext_status_arg(ctx, copy);
    return 0;
}
