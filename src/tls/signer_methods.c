/* SPDX-License-Identifier: MIT */

/*
 * Keys whose private operations are a signer's: methods of OpenSSL's RSA and EC keys.
 *
 * All that TLS does with a private key ends in one of three calls: for RSA the bare operation with
 * PKCS #1 1.5 padding (TLS 1.2) or without (PSS, which is padded before; TLS 1.3), for EC the
 * signature. Those are ours here; the rest of a method is OpenSSL's own. docs/adr/0014 tells why
 * this is not a provider, although these interfaces are called deprecated.
 *
 * The signer hangs on the key as extra data, so it lives as long as OpenSSL has the key, whoever
 * holds that: contexts, connections that outlive their context, copies.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls/signer.h"

#include "tls/ossl.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <errno.h>
#include <pthread.h>

/* Made once, and there until the process ends. */
static struct {
    RSA_METHOD *rsa;
    EC_KEY_METHOD *ec;
    int rsa_index;
    int ec_index;
} methods;

/* ---- RSA ------------------------------------------------------------------------------------- */

static int rsa_sign(int len, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    thi_signer *signer = RSA_get_ex_data(rsa, methods.rsa_index);
    if (!signer || (padding != RSA_PKCS1_PADDING && padding != RSA_NO_PADDING))
        return -1;
    const thi_sign_request request = {
        .op = padding == RSA_PKCS1_PADDING ? THI_SIGN_RSA_PKCS1 : THI_SIGN_RSA_RAW,
        .in = from,
        .len = (size_t)len,
        .out = to,
        .room = (size_t)RSA_size(rsa),
    };
    int result = thi_signer_ask(signer, &request);
    return result < 0 ? -1 : result;
}

/* A key with a signer does not decrypt: policy.c leaves out the ciphers that would have it do so,
 * and with their padding OpenSSL 3.0 would not get as far as this. */
static int rsa_decrypt(int len, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    (void)len, (void)from, (void)to, (void)rsa, (void)padding;
    return -1;
}

/* ---- EC -------------------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-function-size): eight parameters, because OpenSSL wants eight */
static int ec_sign(int type, const unsigned char *digest, int len, unsigned char *sig,
                   unsigned int *sig_len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
    (void)type;
    (void)kinv; /* precomputed parts, which TLS has none of */
    (void)r;
    thi_signer *signer = EC_KEY_get_ex_data(ec, methods.ec_index);
    int room = ECDSA_size(ec);
    if (!signer || room <= 0)
        return 0;
    thi_sign_request request = {
        .op = THI_SIGN_ECDSA, .in = digest, .len = (size_t)len, .out = sig, .room = (size_t)room
    };
    int result = thi_signer_ask(signer, &request);
    if (result < 0)
        return 0;
    *sig_len = (unsigned)result;
    return 1;
}

/* ---- the methods ----------------------------------------------------------------------------- */

/* A copy of a key has the same signer. */
static int copy_signer(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from, void **data, int index,
                       long argl, void *argp)
{
    (void)to;
    (void)from;
    (void)index;
    (void)argl;
    (void)argp;
    if (*data)
        thi_signer_ref(*data);
    return 1;
}

static void free_signer(void *parent, void *data, CRYPTO_EX_DATA *all, int index, long argl,
                        void *argp)
{
    (void)parent;
    (void)all;
    (void)index;
    (void)argl;
    (void)argp;
    thi_signer_unref(data);
}

static void make_ec_method(void)
{
    int (*setup)(EC_KEY *, BN_CTX *, BIGNUM **, BIGNUM **);
    ECDSA_SIG *(*sign_sig)(const unsigned char *, int, const BIGNUM *, const BIGNUM *, EC_KEY *);
    methods.ec = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    if (!methods.ec)
        return;
    EC_KEY_METHOD_get_sign(methods.ec, NULL, &setup, &sign_sig);
    EC_KEY_METHOD_set_sign(methods.ec, ec_sign, setup, sign_sig);
}

static void make_methods(void)
{
    methods.rsa_index =
        CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_RSA, 0, NULL, NULL, copy_signer, free_signer);
    methods.ec_index =
        CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_EC_KEY, 0, NULL, NULL, copy_signer, free_signer);
    methods.rsa = RSA_meth_dup(RSA_PKCS1_OpenSSL());
    if (methods.rsa) {
        RSA_meth_set1_name(methods.rsa, "thrum");
        RSA_meth_set_priv_enc(methods.rsa, rsa_sign);
        RSA_meth_set_priv_dec(methods.rsa, rsa_decrypt);
    }
    make_ec_method();
}

/* Whether all is there; without memory it never is. */
static bool have_methods(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_methods);
    return methods.rsa && methods.ec && methods.rsa_index >= 0 && methods.ec_index >= 0;
}

bool thi_signer_has(const EVP_PKEY *key)
{
    if (!have_methods())
        return false;
    /* Only a key with methods of its own is not OpenSSL's to look after. */
    if (EVP_PKEY_get0_provider(key))
        return false;
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
        const RSA *rsa = EVP_PKEY_get0_RSA(key);
        return rsa && RSA_get_ex_data(rsa, methods.rsa_index);
    }
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
        return ec && EC_KEY_get_ex_data(ec, methods.ec_index);
    }
    return false;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static RSA *make_rsa(const RSA *public)
{
    const BIGNUM *n;
    const BIGNUM *e;
    RSA_get0_key(public, &n, &e, NULL);
    BIGNUM *own_n = BN_dup(n);
    BIGNUM *own_e = BN_dup(e);
    RSA *rsa = RSA_new();
    if (rsa && own_n && own_e && RSA_set_method(rsa, methods.rsa) == 1 &&
        RSA_set0_key(rsa, own_n, own_e, NULL) == 1)
        return rsa;
    RSA_free(rsa);
    BN_free(own_n);
    BN_free(own_e);
    return NULL;
}

static EC_KEY *make_ec(const EC_KEY *public)
{
    EC_KEY *ec = EC_KEY_new();
    if (ec && EC_KEY_set_method(ec, methods.ec) == 1 &&
        EC_KEY_set_group(ec, EC_KEY_get0_group(public)) == 1 &&
        EC_KEY_set_public_key(ec, EC_KEY_get0_public_key(public)) == 1)
        return ec;
    EC_KEY_free(ec);
    return NULL;
}

/*
 * Gives an RSA key its signer, and to the key that holds it. On failure nothing has the signer: a
 * key that is freed with one takes it along.
 */
static bool assign_rsa(EVP_PKEY *key, const RSA *public, thi_signer *signer)
{
    RSA *rsa = public ? make_rsa(public) : NULL;
    if (rsa && EVP_PKEY_assign_RSA(key, rsa) == 1)
        return RSA_set_ex_data(rsa, methods.rsa_index, signer) == 1;
    RSA_free(rsa);
    return false;
}

static bool assign_ec(EVP_PKEY *key, const EC_KEY *public, thi_signer *signer)
{
    EC_KEY *ec = public ? make_ec(public) : NULL;
    if (ec && EVP_PKEY_assign_EC_KEY(key, ec) == 1)
        return EC_KEY_set_ex_data(ec, methods.ec_index, signer) == 1;
    EC_KEY_free(ec);
    return false;
}

int thi_signer_key(const EVP_PKEY *public, thi_signer *signer, EVP_PKEY **out)
{
    int kind = EVP_PKEY_get_base_id(public);
    if (kind != EVP_PKEY_RSA && kind != EVP_PKEY_EC)
        return thi_err_set(TH_ETLS, "only RSA and EC keys can be used elsewhere, not %s",
                           EVP_PKEY_get0_type_name(public));
    if (!have_methods())
        return thi_err_clear(-ENOMEM);
    thi_ossl_begin();
    EVP_PKEY *key = EVP_PKEY_new();
    bool done =
        key && (kind == EVP_PKEY_RSA ? assign_rsa(key, EVP_PKEY_get0_RSA(public), signer)
                                     : assign_ec(key, EVP_PKEY_get0_EC_KEY(public), signer));
    if (!done) {
        EVP_PKEY_free(key);
        return thi_ossl_fail(TH_ETLS, "the private key cannot be used");
    }
    *out = key;
    return 0;
}
