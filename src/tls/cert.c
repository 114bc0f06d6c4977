/* SPDX-License-Identifier: MIT */

/* Certificates: in and out, compared, checked one by one; and several of them. */
#include "tls/cert.h"

#include "base/alloc.h"
#include "tls/digest.h"
#include "tls/key.h"
#include "tls/load.h"
#include "tls/ossl.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SEVERAL_LIMIT ((size_t)16 << 20)

const thi_pem_kind thi_cert_kind = { "certificate",
                                     { PEM_STRING_X509, PEM_STRING_X509_OLD },
                                     X509_it };

/* ---- the object ---- */

/* Looks at the extensions once, which OpenSSL would do at a time of its own. */
int thi_cert_wrap(X509 *x509, th_cert **cert)
{
    th_cert *made = thi_calloc(1, sizeof *made);
    if (!made) {
        X509_free(x509);
        return thi_err_clear(-ENOMEM);
    }
    thi_ossl_begin();
    (void)X509_check_purpose(x509, -1, 0);
    thi_ossl_begin();
    atomic_init(&made->refs, 1);
    made->x509 = x509;
    *cert = made;
    return 0;
}

th_cert *th_cert_ref(th_cert *cert)
{
    atomic_fetch_add_explicit(&cert->refs, 1, memory_order_relaxed);
    return cert;
}

void th_cert_unref(th_cert *cert)
{
    if (!cert || atomic_fetch_sub_explicit(&cert->refs, 1, memory_order_acq_rel) > 1)
        return;
    X509_free(cert->x509);
    thi_free(cert);
}

int th_cert_parse(th_str data, th_cert **cert)
{
    void *x509 = NULL;
    if (!cert || (!data.ptr && data.len > 0))
        return thi_err_clear(-EINVAL);
    int err = thi_pem_read(&thi_cert_kind, data, THI_PEM_LIMIT, &x509);
    return err == 0 ? thi_cert_wrap(x509, cert) : err;
}

static int parse_one(th_str data, void *out)
{
    return th_cert_parse(data, out);
}

int th_cert_load(const char *path, th_cert **cert)
{
    if (!path || !cert)
        return thi_err_clear(-EINVAL);
    return thi_load(path, THI_PEM_LIMIT, parse_one, cert);
}

int th_cert_pem(const th_cert *cert, th_arena *arena, th_str *pem)
{
    if (!cert || !arena || !pem)
        return thi_err_clear(-EINVAL);
    return thi_pem_write_object(&thi_cert_kind, cert->x509, arena, pem);
}

int th_cert_der(const th_cert *cert, th_arena *arena, th_str *der)
{
    if (!cert || !arena || !der)
        return thi_err_clear(-EINVAL);
    return thi_der_write(X509_it(), cert->x509, arena, der);
}

int th_cert_fingerprint(const th_cert *cert, const char *digest, th_arena *arena, th_str *text)
{
    th_str der = { 0 };
    if (!text)
        return thi_err_clear(-EINVAL);
    int err = th_cert_der(cert, arena, &der);
    return err == 0 ? thi_fingerprint(der, digest, arena, text) : err;
}

int th_cert_equal(const th_cert *a, const th_cert *b)
{
    return a && b && X509_cmp(a->x509, b->x509) == 0;
}

/* ---- its key ---- */

int th_cert_key(const th_cert *cert, th_key **key)
{
    if (!cert || !key)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    EVP_PKEY *pkey = X509_get_pubkey(cert->x509);
    if (!pkey)
        return thi_ossl_fail(TH_ETLS, "the public key of the certificate cannot be read");
    return thi_key_wrap(pkey, false, key);
}

int th_cert_has_key(const th_cert *cert, const th_key *key)
{
    if (!cert || !key)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    const EVP_PKEY *own = X509_get0_pubkey(cert->x509);
    int same = own && EVP_PKEY_eq(own, key->pkey) == 1;
    thi_ossl_begin();
    return same;
}

int th_cert_verify(const th_cert *cert, const th_key *key)
{
    if (!cert || !key)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    if (X509_verify(cert->x509, key->pkey) == 1)
        return 0;
    return thi_ossl_fail(TH_ETLS, "the certificate was not signed by this key");
}

/* ---- whom it is for ---- */

#define HOST_MAX 253 /* RFC 1035, 2.3.4, without the dot at the end */

int th_cert_is_for(const th_cert *cert, th_str host)
{
    char name[HOST_MAX + 1];
    if (!cert || host.len == 0 || memchr(host.ptr, '\0', host.len))
        return thi_err_clear(-EINVAL);
    /* OpenSSL takes a dot in front for a question about everything below. */
    if (host.len > HOST_MAX || host.ptr[0] == '.')
        return 0;
    memcpy(name, host.ptr, host.len);
    name[host.len] = '\0';
    thi_ossl_begin();
    /* -2: it is no address at all. */
    int is = X509_check_ip_asc(cert->x509, name, 0);
    if (is == -2)
        is =
            X509_check_host(cert->x509, name, host.len, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL);
    thi_ossl_begin();
    return is < 0 ? thi_err_clear(is == -1 ? -ENOMEM : -EINVAL) : is;
}

/* ---- several ---- */

int th_certs_add(th_certs *certs, th_cert *cert)
{
    if (!certs || !cert)
        return thi_err_clear(-EINVAL);
    th_cert **more = thi_realloc_array(certs->at, certs->count + 1, sizeof *more);
    if (!more)
        return thi_err_clear(-ENOMEM);
    certs->at = more;
    certs->at[certs->count++] = th_cert_ref(cert);
    return 0;
}

/* Back to so many. Who had none before needs no th_certs_clear() after a failure. */
static void cut(th_certs *certs, size_t count)
{
    while (certs->count > count)
        th_cert_unref(certs->at[--certs->count]);
    if (count == 0) {
        thi_free(certs->at);
        certs->at = NULL;
    }
}

void th_certs_clear(th_certs *certs)
{
    if (!certs)
        return;
    cut(certs, 0);
}

/* Takes the certificate over. */
static int add_new(void *arg, void *x509)
{
    th_cert *cert = NULL;
    int err = thi_cert_wrap(x509, &cert);
    if (err < 0)
        return err;
    err = th_certs_add(arg, cert);
    th_cert_unref(cert);
    return err;
}

int th_certs_parse(th_str data, th_certs *certs)
{
    if (!certs || (!data.ptr && data.len > 0))
        return thi_err_clear(-EINVAL);
    size_t before = certs->count;
    int count = thi_pem_each(&thi_cert_kind, data, SEVERAL_LIMIT, add_new, certs);
    if (count < 0)
        cut(certs, before);
    return count;
}

static int parse_all(th_str data, void *out)
{
    return th_certs_parse(data, out);
}

int th_certs_load(const char *path, th_certs *certs)
{
    if (!path || !certs)
        return thi_err_clear(-EINVAL);
    return thi_load(path, SEVERAL_LIMIT, parse_all, certs);
}

int th_certs_pem(const th_certs *certs, th_arena *arena, th_str *pem)
{
    if (!certs || !arena || !pem)
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    BIO *bio = BIO_new(BIO_s_mem());
    int err = bio ? 0 : thi_ossl_fail(-ENOMEM, "writing PEM");
    for (size_t i = 0; i < certs->count && err == 0; i++)
        if (PEM_write_bio_X509(bio, certs->at[i]->x509) != 1)
            err = thi_ossl_fail(TH_ETLS, "the certificate cannot be written");
    if (err == 0)
        err = thi_bio_copy(bio, arena, pem);
    BIO_free(bio);
    return err;
}

int thi_certs_stack(const th_certs *certs, STACK_OF(X509) * *stack)
{
    STACK_OF(X509) *made = sk_X509_new_null();
    for (size_t i = 0; made && certs && i < certs->count; i++)
        if (!X509_add_cert(made, certs->at[i]->x509, X509_ADD_FLAG_UP_REF)) {
            sk_X509_pop_free(made, X509_free);
            made = NULL;
        }
    if (!made)
        return thi_err_clear(-ENOMEM);
    *stack = made;
    return 0;
}

int thi_certs_add_stack(th_certs *certs, const STACK_OF(X509) * stack, int from)
{
    size_t before = certs->count;
    int err = 0;
    for (int i = from; i < sk_X509_num(stack) && err == 0; i++) {
        X509 *x509 = sk_X509_value(stack, i);
        X509_up_ref(x509);
        err = add_new(certs, x509);
    }
    if (err < 0)
        cut(certs, before);
    return err;
}
