/* SPDX-License-Identifier: MIT */

/*
 * The table of what the usual kinds of keys cost.
 *
 * To find two primes of 2048 bits takes seconds, so the RSA keys here are made of primes from
 * RFC 2409, RFC 3526 and RFC 7919, which OpenSSL has in store. They are nobody's keys.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <thrum/key_cost.h>

#include "base/error.h"
#include "base/util.h"
#include "pool/blocking.h"
#include "tls/ossl.h"
#include "tls/sign_cost.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <errno.h>

typedef struct usual_kind {
    const char *name;
    const char *type;  /* as OpenSSL calls it */
    const char *curve; /* of EC */
    int bits;          /* of RSA */
} usual_kind;

static const usual_kind usual[TH_KEY_COSTS] = {
    { "P-256", "EC", "P-256", 0 },     { "P-384", "EC", "P-384", 0 },
    { "P-521", "EC", "P-521", 0 },     { "Ed25519", "ED25519", NULL, 0 },
    { "RSA-2048", "RSA", NULL, 2048 }, { "RSA-3072", "RSA", NULL, 3072 },
    { "RSA-4096", "RSA", NULL, 4096 },
};

/* ---- RSA keys without a search for primes ---------------------------------------------------- */

/* Two primes of half the size. For 1536 bits there is but one in store, and one is soon found. */
static bool find_primes(int bits, BIGNUM *p, BIGNUM *q)
{
    DH *dh = bits == 2048 ? DH_get_1024_160() : DH_new_by_nid(NID_ffdhe2048);
    bool found = dh && BN_copy(q, DH_get0_p(dh));
    DH_free(dh);
    switch (bits) {
    case 2048:
        return found && BN_get_rfc2409_prime_1024(p);
    case 3072:
        return BN_get_rfc3526_prime_1536(p) &&
               BN_generate_prime_ex(q, 1536, 0, NULL, NULL, NULL) == 1;
    default:
        return found && BN_get_rfc3526_prime_2048(p);
    }
}

typedef struct rsa_parts {
    BIGNUM *p, *q, *n, *e, *d, *dp, *dq, *qinv, *p1, *q1, *phi;
} rsa_parts;

static bool calculate(int bits, rsa_parts *k, BN_CTX *ctx)
{
    if (!find_primes(bits, k->p, k->q) || !BN_set_word(k->e, RSA_F4) ||
        !BN_mul(k->n, k->p, k->q, ctx) || !BN_sub(k->p1, k->p, BN_value_one()) ||
        !BN_sub(k->q1, k->q, BN_value_one()) || !BN_mul(k->phi, k->p1, k->q1, ctx))
        return false;
    BN_set_flags(k->phi, BN_FLG_CONSTTIME);
    return BN_mod_inverse(k->d, k->e, k->phi, ctx) && BN_mod(k->dp, k->d, k->p1, ctx) &&
           BN_mod(k->dq, k->d, k->q1, ctx) && BN_mod_inverse(k->qinv, k->q, k->p, ctx);
}

static bool push_parts(OSSL_PARAM_BLD *b, const rsa_parts *k)
{
    return OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, k->n) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, k->e) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_D, k->d) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_FACTOR1, k->p) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_FACTOR2, k->q) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_EXPONENT1, k->dp) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_EXPONENT2, k->dq) &&
           OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, k->qinv);
}

static EVP_PKEY *key_of_parts(const rsa_parts *k)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = b && push_parts(b, k) ? OSSL_PARAM_BLD_to_param(b) : NULL;
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL) : NULL;
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)!EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(b);
    return key;
}

static EVP_PKEY *make_rsa(int bits)
{
    EVP_PKEY *key = NULL;
    BN_CTX *ctx = BN_CTX_new();
    if (!ctx)
        return NULL;
    BN_CTX_start(ctx);
    rsa_parts k;
    BIGNUM **parts[] = {
        &k.p, &k.q, &k.n, &k.e, &k.d, &k.dp, &k.dq, &k.qinv, &k.p1, &k.q1, &k.phi
    };
    for (size_t i = 0; i < thi_array_len(parts); i++)
        *parts[i] = BN_CTX_get(ctx);
    if (k.phi && calculate(bits, &k, ctx)) /* the last one is NULL when any is */
        key = key_of_parts(&k);
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return key;
}

/* ---- the table ------------------------------------------------------------------------------- */

static EVP_PKEY *make_key(const usual_kind *kind)
{
    if (kind->bits > 0)
        return make_rsa(kind->bits);
    return kind->curve ? EVP_EC_gen(kind->curve) : EVP_PKEY_Q_keygen(NULL, NULL, kind->type);
}

/* On a thread of the pool, or on the caller's outside of a fiber. */
static int measure_all(void *arg)
{
    th_key_cost *costs = arg;
    for (size_t i = 0; i < TH_KEY_COSTS; i++) {
        thi_ossl_begin();
        EVP_PKEY *key = make_key(&usual[i]);
        if (!key)
            return thi_ossl_fail(TH_ETLS, "no key of kind %s can be made", usual[i].name);
        costs[i] = (th_key_cost){ .kind = usual[i].name, .cost = thi_sign_cost(key) };
        EVP_PKEY_free(key);
    }
    return 0;
}

int th_key_costs(th_key_cost costs[TH_KEY_COSTS], int64_t *handoff)
{
    th_key_cost measured[TH_KEY_COSTS];
    if (!costs || !handoff)
        return thi_err_clear(-EINVAL);
    int err = thi_compute(measure_all, measured);
    if (err < 0)
        return err;
    int64_t way = thi_sign_handoff();
    for (size_t i = 0; i < TH_KEY_COSTS; i++) {
        costs[i] = measured[i];
        /* As thi_signer_wrap() decides, which leaves all but RSA and EC alone. */
        costs[i].pooled =
            thi_sign_cost_is_dear(costs[i].cost) && (usual[i].curve || usual[i].bits > 0);
    }
    *handoff = way;
    return 0;
}
