/* SPDX-License-Identifier: MIT */

/*
 * A certificate, its chain and its key.
 *
 * Files are read and certificates parsed off the loop. The key is read on the caller's fiber, where
 * a callback for the pass phrase may want to suspend; what computes for long goes to the pool from
 * there.
 */
#include "tls/identity.h"

#include "io/fileway.h"
#include "tls/cert.h"
#include "tls/cert_time.h"
#include "tls/key.h"
#include "tls/keyd_client.h"
#include "tls/ossl.h"
#include "tls/signer.h"
#include "tls/stacks.h"
#include "tls/whole.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

/* ---- reading ---- */

typedef struct reading {
    thi_tls_identity *identity;
    const char *key_what; /* the key in messages */
    thi_whole file;       /* of the certificate, if it is in one */
    th_str text;          /* what is in it, or in memory; a key may be there */
} reading;

static const char *what_of(const char *path, const char *in_memory)
{
    return path ? path : in_memory;
}

static int check(const th_tls_cert *from)
{
    int certs = (from->cert != NULL) + (from->cert_pem.len > 0) + (from->cert_object != NULL);
    int keys = (from->key != NULL) + (from->key_pem.len > 0) + (from->key_object != NULL);
    const char *what = what_of(from->cert, "certificate in memory");
    if (certs != 1)
        return thi_err_set(-EINVAL, certs == 0 ? "a certificate is missing"
                                               : "a certificate is given twice");
    if (keys > 1)
        return thi_err_set(-EINVAL, "%s: the key is given twice", what);
    if (keys == 0 && from->cert_object)
        return thi_err_set(-EINVAL, "a certificate as an object needs its key");
    if (from->cert_object && from->cert_object->count == 0)
        return thi_err_set(-EINVAL, "a certificate is given as an empty list");
    return 0;
}

static int move_certs(STACK_OF(X509) * from, STACK_OF(X509) * to)
{
    int err = 0;
    for (int i = 0; i < sk_X509_num(from) && err == 0; i++) {
        X509 *cert = sk_X509_value(from, i);
        if (sk_X509_push(to, cert) <= 0)
            err = thi_err_clear(-ENOMEM);
        else
            X509_up_ref(cert);
    }
    sk_X509_pop_free(from, X509_free);
    return err;
}

static int read_chain_file(const char *path, STACK_OF(X509) * certs)
{
    thi_whole file;
    STACK_OF(X509) * more;
    int err = thi_whole_read_any(path, THI_STACK_LIMIT, &file);
    if (err < 0)
        return err;
    err = thi_stack_certs(thi_whole_str(&file), path, &more);
    thi_whole_free(&file);
    return err < 0 ? err : move_certs(more, certs);
}

/* Off the loop: all certificates. */
static int read_certs(void *arg)
{
    reading *r = arg;
    thi_tls_identity *identity = r->identity;
    const th_tls_cert *from = identity->from;
    int err = from->cert ? thi_whole_read_any(from->cert, THI_STACK_LIMIT, &r->file) : 0;
    r->text = from->cert ? thi_whole_str(&r->file) : from->cert_pem;
    if (err == 0)
        err = from->cert_object ? thi_certs_stack(from->cert_object, &identity->certs)
                                : thi_stack_certs(r->text, identity->what, &identity->certs);
    for (size_t i = 0; err == 0 && from->chain && from->chain[i]; i++)
        err = read_chain_file(from->chain[i], identity->certs);
    return err;
}

static int parse_key(const reading *r, th_str text, th_key **key)
{
    int err = th_key_parse(text, r->identity->from->phrase, key);
    return err < 0 ? thi_err_set(err, "%s: %s", r->key_what, th_err_detail()) : 0;
}

/* On the caller's fiber: the key, from wherever it is. */
static int read_key(const reading *r, th_key **key)
{
    const th_tls_cert *from = r->identity->from;
    if (from->key_object) {
        *key = th_key_ref((th_key *)(uintptr_t)from->key_object);
        return 0;
    }
    if (from->key)
        return th_key_load(from->key, from->phrase, key);
    if (from->key_pem.len > 0)
        return parse_key(r, from->key_pem, key);
    return parse_key(r, r->text, key);
}

static int use_key(const reading *r, const th_key *key)
{
    thi_tls_identity *identity = r->identity;
    if (!key->info.is_private)
        return thi_err_set(TH_ETLS, "%s: it is a public key, where the private one is wanted",
                           r->key_what);
    thi_ossl_begin();
    if (X509_check_private_key(thi_tls_identity_leaf(identity), key->pkey) != 1)
        return thi_ossl_fail(TH_ETLS, "%s: the key does not belong to the certificate %s",
                             r->key_what, identity->what);
    /* It may get a signer, so that no signature holds up the loop. */
    return thi_signer_wrap(key->pkey, THI_SIGNER_AS_MEASURED, &identity->key);
}

static int get_key(const reading *r)
{
    const th_tls_cert *from = r->identity->from;
    th_key *key;
    if (from->key && thi_keyd_is_spec(from->key)) /* there is nothing to read */
        return thi_keyd_key(from->key, X509_get0_pubkey(thi_tls_identity_leaf(r->identity)),
                            &r->identity->key);
    int err = read_key(r, &key);
    if (err < 0)
        return err;
    err = use_key(r, key);
    th_key_unref(key);
    return err;
}

int thi_tls_identity_load(const th_tls_cert *from, thi_tls_identity *identity)
{
    thi_tls_identity loaded = { .from = from,
                                .what = what_of(from->cert, "certificate in memory") };
    reading r = { .identity = &loaded };
    int err = check(from);
    if (err < 0)
        return err;
    r.key_what = from->key_pem.len > 0 ? "key in memory" : what_of(from->key, loaded.what);
    if (from->key_object)
        r.key_what = "key";
    err = thi_fileway_run(read_certs, &r);
    if (err == 0)
        err = get_key(&r);
    thi_whole_free(&r.file);
    if (err < 0)
        thi_tls_identity_deinit(&loaded);
    else
        *identity = loaded;
    return err;
}

void thi_tls_identity_deinit(thi_tls_identity *identity)
{
    sk_X509_pop_free(identity->certs, X509_free);
    EVP_PKEY_free(identity->key);
    *identity = (thi_tls_identity){ 0 };
}

X509 *thi_tls_identity_leaf(const thi_tls_identity *identity)
{
    return sk_X509_value(identity->certs, 0);
}

/* ---- use ---- */

/* What OpenSSL calls an "ee key" is for nobody who runs a server. */
static int refuse(const thi_tls_identity *identity)
{
    unsigned long first = thi_ossl_peek();
    const char *words = "";
    if (ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) == SSL_R_EE_KEY_TOO_SMALL)
        words = ": its key is too weak for the profile";
    else if (ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) == SSL_R_CA_KEY_TOO_SMALL)
        words = ": a key of its chain is too weak for the profile";
    else if (ERR_GET_LIB(first) == ERR_LIB_SSL && ERR_GET_REASON(first) == SSL_R_CA_MD_TOO_WEAK)
        words = ": a digest that signs its chain is too weak for the profile";
    return thi_ossl_fail(TH_ETLS, "%s%s", identity->what, words);
}

int thi_tls_identity_use(const thi_tls_identity *identity, SSL_CTX *ctx)
{
    thi_ossl_begin();
    STACK_OF(X509) *chain = sk_X509_dup(identity->certs);
    if (!chain)
        return thi_err_clear(-ENOMEM);
    X509 *leaf = sk_X509_shift(chain); /* borrowed, as all in a copy */
    int good = SSL_CTX_use_cert_and_key(ctx, leaf, identity->key, chain, 1);
    sk_X509_free(chain);
    return good == 1 ? 0 : refuse(identity);
}

int64_t thi_tls_identity_end(const thi_tls_identity *identity)
{
    int64_t end = INT64_MIN;
    int err = thi_cert_time_of(X509_get0_notAfter(thi_tls_identity_leaf(identity)), &end);
    return err < 0 ? INT64_MIN : end;
}

/* ---- names ---- */

/* A name of a certificate that cannot be a server's, "My Printer", is no reason to refuse it. */
static int add_if_name(thi_tls_sni *sni, SSL_CTX *ctx, const ASN1_STRING *name)
{
    int err = thi_tls_sni_add(sni, (const char *)ASN1_STRING_get0_data(name),
                              (size_t)ASN1_STRING_length(name), ctx);
    return err == TH_ECONFIG ? 0 : err;
}

static int add_common_name(thi_tls_sni *sni, SSL_CTX *ctx, X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return 0;
    return add_if_name(sni, ctx, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

/* Names of the subject count only where there are no others, as for those who verify. */
static int add_own_names(thi_tls_sni *sni, SSL_CTX *ctx, X509 *cert)
{
    GENERAL_NAMES *alts = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int found = 0;
    int err = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(alts) && err == 0; i++) {
        const GENERAL_NAME *alt = sk_GENERAL_NAME_value(alts, i);
        if (alt->type != GEN_DNS)
            continue;
        found++;
        err = add_if_name(sni, ctx, alt->d.dNSName);
    }
    GENERAL_NAMES_free(alts);
    return found > 0 || err < 0 ? err : add_common_name(sni, ctx, cert);
}

int thi_tls_identity_names(const thi_tls_identity *identity, thi_tls_sni *sni, SSL_CTX *ctx)
{
    const char *const *names = identity->from ? identity->from->names : NULL;
    int err = 0;
    if (!names)
        return add_own_names(sni, ctx, thi_tls_identity_leaf(identity));
    for (size_t i = 0; names[i] && err == 0; i++)
        err = thi_tls_sni_add(sni, names[i], strlen(names[i]), ctx);
    return err;
}

static bool same_lists(const char *const *a, const char *const *b)
{
    if (!a || !b)
        return a == b;
    size_t i = 0;
    while (a[i] && b[i] && strcasecmp(a[i], b[i]) == 0)
        i++;
    return a[i] == b[i]; /* both NULL */
}

/* Whether the alternative names are the same, or, where there are none, the subjects. */
static bool same_own_names(X509 *a, X509 *b)
{
    const ASN1_OBJECT *alt = OBJ_nid2obj(NID_subject_alt_name);
    int at = X509_get_ext_by_OBJ(a, alt, -1);
    int other = X509_get_ext_by_OBJ(b, alt, -1);
    if (at < 0 && other < 0)
        return X509_NAME_cmp(X509_get_subject_name(a), X509_get_subject_name(b)) == 0;
    if (at < 0 || other < 0)
        return false;
    return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_get_ext(a, at)),
                                 X509_EXTENSION_get_data(X509_get_ext(b, other))) == 0;
}

bool thi_tls_identity_pairs(const thi_tls_identity *a, const thi_tls_identity *b)
{
    const char *const *names_a = a->from ? a->from->names : NULL;
    const char *const *names_b = b->from ? b->from->names : NULL;
    if (EVP_PKEY_get_base_id(a->key) == EVP_PKEY_get_base_id(b->key) ||
        !same_lists(names_a, names_b))
        return false;
    return names_a || same_own_names(thi_tls_identity_leaf(a), thi_tls_identity_leaf(b));
}
