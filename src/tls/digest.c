/* SPDX-License-Identifier: MIT */

/* Digests by name, and what is made of them: fingerprints. */
#include "tls/digest.h"

#include "tls/ossl.h"

#include <errno.h>
#include <openssl/evp.h>

int thi_digest_fetch(const char *name, EVP_MD **digest)
{
    thi_ossl_begin();
    EVP_MD *found = EVP_MD_fetch(NULL, name, NULL);
    bool memory = thi_ossl_no_memory();
    thi_ossl_begin();
    if (found && !(EVP_MD_get_flags(found) & EVP_MD_FLAG_XOF)) {
        *digest = found;
        return 0;
    }
    EVP_MD_free(found);
    return memory ? thi_err_clear(-ENOMEM) : thi_err_set(-EINVAL, "unknown digest %s", name);
}

int thi_hex_write(th_str bytes, char between, th_arena *arena, th_str *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *start = th_arena_alloc(arena, bytes.len * 3 + 1);
    if (!start)
        return thi_err_clear(-ENOMEM);
    char *at = start;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        if (i > 0 && between)
            *at++ = between;
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    *at = '\0';
    *text = th_str_make(start, (size_t)(at - start));
    return 0;
}

int thi_fingerprint(th_str bytes, const char *digest, th_arena *arena, th_str *text)
{
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD *md = NULL;
    int err = thi_digest_fetch(digest ? digest : "sha256", &md);
    if (err < 0)
        return err;
    int ok = EVP_Digest(bytes.ptr, bytes.len, value, &len, md, NULL);
    EVP_MD_free(md);
    if (ok != 1)
        return thi_ossl_fail(TH_ETLS, "the digest %s", digest ? digest : "sha256");
    return thi_hex_write(th_str_make((const char *)value, len), ':', arena, text);
}
