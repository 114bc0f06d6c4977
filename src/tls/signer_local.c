/* SPDX-License-Identifier: MIT */

/*
 * A signer whose private key is in this process: a fiber hands the work to the pool "crypto".
 *
 * th_offload() waits for work that has begun even when the fiber is cancelled, so the buffers,
 * which are OpenSSL's, stay valid as long as a thread uses them; that is as long as one signature
 * takes. Work that has not begun is taken back. Where no thread can be had the key is used in
 * place: to hold up the loop once is better than to fail.
 *
 * The key is used from several threads at once. OpenSSL allows that: what it caches in a key, such
 * as the blinding of RSA, it guards itself.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls/signer.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "runtime/sched.h"
#include "tls/ossl.h"

#include <thrum/pool.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <errno.h>

typedef struct local_signer {
    thi_signer base;
    RSA *rsa; /* one of the two */
    EC_KEY *ec;
} local_signer;

static local_signer *of(thi_signer *signer)
{
    return thi_container_of(signer, local_signer, base);
}

/* ---- computing ------------------------------------------------------------------------------- */

static int compute_rsa(RSA *rsa, const thi_sign_request *r)
{
    int len = (int)r->len;
    switch (r->op) {
    case THI_SIGN_RSA_PKCS1:
        return RSA_private_encrypt(len, r->in, r->out, rsa, RSA_PKCS1_PADDING);
    case THI_SIGN_RSA_RAW:
        return RSA_private_encrypt(len, r->in, r->out, rsa, RSA_NO_PADDING);
    default:
        return -1;
    }
}

static int compute_ec(EC_KEY *ec, const thi_sign_request *r)
{
    unsigned len = 0;
    if (r->op != THI_SIGN_ECDSA)
        return -1;
    return ECDSA_sign(0, r->in, (int)r->len, r->out, &len, ec) == 1 ? (int)len : -1;
}

int thi_signer_compute(thi_signer *signer, const thi_sign_request *r)
{
    local_signer *s = of(signer);
    int size = s->rsa ? RSA_size(s->rsa) : ECDSA_size(s->ec);
    if (r->room < (size_t)size || r->len > THI_SIGN_MAX)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    int result = s->rsa ? compute_rsa(s->rsa, r) : compute_ec(s->ec, r);
    return result >= 0 ? result : thi_ossl_fail(TH_ETLS, "the private key could not be used");
}

/* ---- handing over ---------------------------------------------------------------------------- */

typedef struct work {
    thi_signer *signer;
    const thi_sign_request *request;
} work;

static int compute_work(void *arg)
{
    const work *w = arg;
    return thi_signer_compute(w->signer, w->request);
}

static int sign(thi_signer *signer, const thi_sign_request *request)
{
    work w = { signer, request };
    int result = -EAGAIN;
    if (thi_sched_self()) {
        result = th_offload(th_pool_default("crypto"), compute_work, &w);
        if (result >= 0)
            thi_metric_add(THI_M_TLS_SIGNED_POOL, 1);
    }
    /* Nobody to park, no thread to be had, or a pool that the end of the process has stopped. */
    if (result == -EAGAIN || result == -ESHUTDOWN) {
        result = thi_signer_compute(signer, request);
        if (result >= 0)
            thi_metric_add(THI_M_TLS_SIGNED_HERE, 1);
    }
    return result;
}

static void free_local(thi_signer *signer)
{
    local_signer *s = of(signer);
    RSA_free(s->rsa);
    EC_KEY_free(s->ec);
    thi_free(s);
}

static const thi_signer_ops ops = { sign, free_local };

int thi_signer_local(EVP_PKEY *key, thi_signer **signer)
{
    local_signer *s = thi_calloc(1, sizeof *s);
    if (!s)
        return thi_err_clear(-ENOMEM);
    s->base.ops = &ops;
    s->base.refs = 1;
    thi_ossl_begin();
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        s->rsa = EVP_PKEY_get1_RSA(key);
    else if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
        s->ec = EVP_PKEY_get1_EC_KEY(key);
    bool private =
        s->rsa ? RSA_get0_d(s->rsa) != NULL : s->ec && EC_KEY_get0_private_key(s->ec) != NULL;
    if (private) {
        *signer = &s->base;
        return 0;
    }
    int err = s->rsa || s->ec ? thi_err_set(TH_ETLS, "the key has no private part")
                              : thi_ossl_fail(TH_ETLS, "the private key cannot be used");
    free_local(&s->base);
    return err;
}
