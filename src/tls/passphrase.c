/* SPDX-License-Identifier: MIT */

/* Pass phrases: asked for once, never cut, wiped after use; and what they cost to hash. */
#include "tls/passphrase.h"

#include "tls/ossl.h"

#include <errno.h>
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/proverr.h>
#include <string.h>

bool thi_phrase_valid(const th_passphrase *p)
{
    return !p || p->size <= sizeof *p;
}

bool thi_phrase_any(const th_passphrase *p)
{
    return p && (p->text.ptr || p->ask);
}

static int too_long(void)
{
    return thi_err_set(-EINVAL, "the pass phrase is longer than %d bytes", TH_PASSPHRASE_MAX);
}

/* What the one who is asked reports is the result, whatever it is; but not without a word. */
static int ask(const th_passphrase *p, thi_phrase *phrase)
{
    (void)thi_err_clear(0);
    ssize_t n = p->ask(p->arg, phrase->text, TH_PASSPHRASE_MAX);
    if (n < 0 || n > TH_PASSPHRASE_MAX)
        thi_phrase_wipe(phrase); /* there may be a part of one */
    if (n < 0)
        return *th_err_detail() ? (int)n : thi_err_set((int)n, "no pass phrase was given");
    if (n > TH_PASSPHRASE_MAX)
        return too_long();
    phrase->len = (size_t)n;
    phrase->given = true;
    phrase->text[n] = '\0';
    return 0;
}

int thi_phrase_get(const th_passphrase *p, thi_phrase *phrase)
{
    phrase->given = false;
    phrase->len = 0;
    phrase->text[0] = '\0';
    if (!thi_phrase_any(p))
        return 0;
    if (!p->text.ptr)
        return ask(p, phrase);
    if (p->text.len > TH_PASSPHRASE_MAX)
        return too_long();
    memcpy(phrase->text, p->text.ptr, p->text.len);
    phrase->len = p->text.len;
    phrase->text[phrase->len] = '\0';
    phrase->given = true;
    return 0;
}

void thi_phrase_wipe(thi_phrase *phrase)
{
    OPENSSL_cleanse(phrase, sizeof *phrase);
}

/* ---- failures ---- */

/* Reasons that are not the phrase's fault. */
static bool is_lack(unsigned long code)
{
    switch (ERR_GET_LIB(code)) {
    case ERR_LIB_EVP:
        switch (ERR_GET_REASON(code)) {
        case EVP_R_UNKNOWN_PBE_ALGORITHM:
        case EVP_R_UNKNOWN_CIPHER:
        case EVP_R_UNKNOWN_DIGEST:
        case EVP_R_UNSUPPORTED_ALGORITHM:
        case EVP_R_UNSUPPORTED_CIPHER:
        case EVP_R_UNSUPPORTED_PRF:
        case EVP_R_UNSUPPORTED_KEYLENGTH:
        case EVP_R_UNSUPPORTED_KEY_DERIVATION_FUNCTION:
        case ERR_R_UNSUPPORTED:
            return true;
        default:
            return false;
        }
    case ERR_LIB_PKCS12:
        return ERR_GET_REASON(code) == PKCS12_R_UNKNOWN_DIGEST_ALGORITHM;
    default:
        return ERR_GET_REASON(code) == ERR_R_UNSUPPORTED;
    }
}

/* What a wrong phrase leads to: padding that is none, or bytes that mean nothing. Of a MAC that is
 * wrong OpenSSL says nothing at all. */
static bool is_wrong(unsigned long code)
{
    int reason = ERR_GET_REASON(code);
    if (code == 0)
        return true;
    switch (ERR_GET_LIB(code)) {
    case ERR_LIB_ASN1:
        return true;
    case ERR_LIB_PROV:
        return reason == PROV_R_BAD_DECRYPT || reason == PROV_R_WRONG_FINAL_BLOCK_LENGTH;
    case ERR_LIB_EVP:
        return reason == EVP_R_BAD_DECRYPT || reason == EVP_R_WRONG_FINAL_BLOCK_LENGTH;
    case ERR_LIB_PEM:
        return reason == PEM_R_BAD_DECRYPT;
    case ERR_LIB_PKCS12:
        return reason == PKCS12_R_PKCS12_CIPHERFINAL_ERROR || reason == PKCS12_R_DECODE_ERROR;
    default:
        return false;
    }
}

int thi_phrase_fail(const char *what)
{
    unsigned long first = ERR_peek_error(), lack = 0;
    bool memory = false;
    for (unsigned long code; (code = ERR_get_error()) != 0;) {
        memory = memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
        if (lack == 0 && is_lack(code))
            lack = code;
    }
    if (memory)
        return thi_err_clear(-ENOMEM);
    const char *reason = ERR_reason_error_string(lack ? lack : first);
    if (lack != 0)
        return thi_err_set(TH_ETLS,
                           "the %s is encrypted in a way that OpenSSL does not have: %s (old files "
                           "need its \"legacy\" provider)",
                           what, reason ? reason : "unsupported");
    if (is_wrong(first))
        return thi_err_set(-EACCES, "wrong pass phrase for the %s", what);
    return thi_err_set(TH_ETLS, "the %s cannot be decrypted: %s", what,
                       reason ? reason : "for no reason that OpenSSL tells");
}

/* ---- cost ---- */

/* OpenSSL bounds the memory that scrypt takes, but not how often it is filled: that counts as so
 * many hashes each time. */
#define SCRYPT_FILL (THI_ITERATIONS_MAX / 16)

/* A count that is left out is 1. */
static int spend(const ASN1_INTEGER *count, unsigned weight, uint64_t *left)
{
    uint64_t n = 1;
    ERR_set_mark();
    int ok = count ? ASN1_INTEGER_get_uint64(&n, count) : 1;
    ERR_pop_to_mark();
    if (ok != 1 || n > THI_ITERATIONS_MAX / weight)
        return thi_err_set(TH_ELIMIT, "the pass phrase would have to be hashed more than %u times",
                           THI_ITERATIONS_MAX);
    if (n * weight > *left)
        return thi_err_set(TH_ELIMIT,
                           "all in all the pass phrase would have to be hashed too often");
    *left -= n * weight;
    return 0;
}

static int cost_of_pbkdf2(const ASN1_STRING *param, uint64_t *left)
{
    PBKDF2PARAM *kdf = ASN1_item_unpack(param, ASN1_ITEM_rptr(PBKDF2PARAM));
    int err = kdf ? spend(kdf->iter, 1, left) : 0;
    PBKDF2PARAM_free(kdf);
    return err;
}

static int cost_of_scrypt(const ASN1_STRING *param, uint64_t *left)
{
    SCRYPT_PARAMS *kdf = ASN1_item_unpack(param, ASN1_ITEM_rptr(SCRYPT_PARAMS));
    int err = kdf ? spend(kdf->parallelizationParameter, SCRYPT_FILL, left) : 0;
    SCRYPT_PARAMS_free(kdf);
    return err;
}

/* PBES2 says how a key is derived in an algorithm of its own (RFC 8018, A.4). */
static int cost_of_pbes2(const ASN1_STRING *param, uint64_t *left)
{
    int err = 0;
    PBE2PARAM *pbe = ASN1_item_unpack(param, ASN1_ITEM_rptr(PBE2PARAM));
    const ASN1_TYPE *kdf = pbe && pbe->keyfunc ? pbe->keyfunc->parameter : NULL;
    if (kdf && kdf->type == V_ASN1_SEQUENCE) {
        int how = OBJ_obj2nid(pbe->keyfunc->algorithm);
        if (how == NID_id_pbkdf2)
            err = cost_of_pbkdf2(kdf->value.sequence, left);
        else if (how == NID_id_scrypt)
            err = cost_of_scrypt(kdf->value.sequence, left);
    }
    PBE2PARAM_free(pbe);
    return err;
}

int thi_phrase_iterations(const ASN1_INTEGER *count, uint64_t *left)
{
    return spend(count, 1, left);
}

/* What cannot be read here cannot be decrypted either, and OpenSSL will say why. */
int thi_phrase_cost(const X509_ALGOR *how, uint64_t *left)
{
    const ASN1_OBJECT *object;
    const void *param;
    int type;
    X509_ALGOR_get0(&object, &type, &param, how);
    if (type != V_ASN1_SEQUENCE || !param)
        return 0;
    thi_ossl_begin();
    int err = 0;
    if (OBJ_obj2nid(object) == NID_pbes2) {
        err = cost_of_pbes2(param, left);
    } else {
        PBEPARAM *pbe = ASN1_item_unpack(param, ASN1_ITEM_rptr(PBEPARAM));
        err = pbe ? spend(pbe->iter, 1, left) : 0;
        PBEPARAM_free(pbe);
    }
    thi_ossl_begin();
    return err;
}

int thi_phrase_cipher(const char *name, EVP_CIPHER **cipher)
{
    thi_ossl_begin();
    EVP_CIPHER *found = EVP_CIPHER_fetch(NULL, name ? name : "aes-256-cbc", NULL);
    bool memory = thi_ossl_no_memory();
    thi_ossl_begin();
    if (!found && memory)
        return thi_err_clear(-ENOMEM);
    if (!found)
        return thi_err_set(-EINVAL, "unknown cipher %s", name ? name : "aes-256-cbc");
    if (EVP_CIPHER_get_mode(found) != EVP_CIPH_CBC_MODE ||
        (EVP_CIPHER_get_flags(found) & EVP_CIPH_FLAG_AEAD_CIPHER)) {
        EVP_CIPHER_free(found);
        return thi_err_set(-EINVAL, "the cipher %s is not a CBC one", name);
    }
    *cipher = found;
    return 0;
}
