/* SPDX-License-Identifier: MIT */

/* Asking a signer from inside of OpenSSL, and what is wrapped at all. */
#include "tls/signer.h"

#include "base/metrics.h"
#include "tls/ossl.h"
#include "tls/ossl_aside.h"
#include "tls/sign_cost.h"

#include <openssl/evp.h>

int thi_signer_ask(thi_signer *signer, const thi_sign_request *request)
{
    thi_ossl_aside aside;
    thi_ossl_put_aside(&aside);
    int result = signer->ops->sign(signer, request);
    thi_ossl_take_back(&aside);
    if (TH_UNLIKELY(result < 0)) {
        thi_metric_add(THI_M_TLS_SIGN_ERRORS, 1);
        thi_ossl_raise(result);
    }
    return result;
}

static bool can_be_wrapped(const EVP_PKEY *key)
{
    int kind = EVP_PKEY_get_base_id(key);
    return (kind == EVP_PKEY_RSA || kind == EVP_PKEY_EC) &&
           EVP_PKEY_get_size(key) <= THI_SIGN_MAX && !thi_signer_has(key);
}

int thi_signer_wrap(EVP_PKEY *key, thi_signer_where where, EVP_PKEY **wrapped)
{
    thi_signer *signer = NULL;
    bool wraps = can_be_wrapped(key);
    if (wraps && where == THI_SIGNER_AS_MEASURED)
        wraps = thi_sign_is_dear(key);
    if (!wraps) {
        EVP_PKEY_up_ref(key);
        *wrapped = key;
        return 0;
    }
    int err = thi_signer_local(key, &signer);
    if (err == 0)
        err = thi_signer_key(key, signer, wrapped);
    if (err < 0)
        thi_signer_unref(signer);
    return err;
}
