/* SPDX-License-Identifier: MIT */

/*
 * Looking at what is to be signed.
 *
 * PKCS #1 1.5: a DigestInfo of SHA-256, SHA-384 or SHA-512 (RFC 8017 9.2, note 1), which is padded
 * here. PSS: the padded block comes from the server; that it is one can be seen without the
 * message, for the block's own hash unmasks the rest, which is zeros, a one, and a salt as long as
 * the hash (RFC 8017 9.1.2, RFC 8446 4.2.3). To find a ciphertext that looks so takes 2^100 tries
 * and more.
 */
#include "tls/keyd_check.h"

#include "base/util.h"
#include "tls/signer.h"

#include <openssl/evp.h>

#include <string.h>

/* ---- PKCS #1 1.5 ----------------------------------------------------------------------------- */

#define INFO_HEAD 19 /* bytes before the digest */

/* SEQUENCE { SEQUENCE { OID 2.16.840.1.101.3.4.2.x, NULL }, OCTET STRING } */
static bool is_digest_info(const uint8_t *in, size_t len)
{
    static const struct {
        uint8_t oid;
        uint8_t size;
    } kinds[] = { { 1, 32 }, { 2, 48 }, { 3, 64 } };
    for (size_t i = 0; i < thi_array_len(kinds); i++) {
        uint8_t size = kinds[i].size;
        const uint8_t head[INFO_HEAD] = { 0x30,         (uint8_t)(17 + size),
                                          0x30,         13,
                                          0x06,         9,
                                          0x60,         0x86,
                                          0x48,         0x01,
                                          0x65,         0x03,
                                          0x04,         0x02,
                                          kinds[i].oid, 0x05,
                                          0x00,         0x04,
                                          size };
        if (len == (size_t)INFO_HEAD + size && memcmp(in, head, INFO_HEAD) == 0)
            return true;
    }
    return false;
}

/* ---- PSS ------------------------------------------------------------------------------------- */

/* Applies the mask that MGF1 makes of a hash; false without memory. */
static bool unmask(uint8_t *db, size_t len, const uint8_t *hash, size_t hash_len, const EVP_MD *md)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done = ctx != NULL;
    for (uint32_t counter = 0; done && (size_t)counter * hash_len < len; counter++) {
        const uint8_t count[4] = { (uint8_t)(counter >> 24), (uint8_t)(counter >> 16),
                                   (uint8_t)(counter >> 8), (uint8_t)counter };
        uint8_t block[EVP_MAX_MD_SIZE];
        done = EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
               EVP_DigestUpdate(ctx, hash, hash_len) == 1 &&
               EVP_DigestUpdate(ctx, count, sizeof count) == 1 &&
               EVP_DigestFinal_ex(ctx, block, NULL) == 1;
        size_t from = (size_t)counter * hash_len;
        for (size_t i = 0; done && i < hash_len && from + i < len; i++)
            db[from + i] ^= block[i];
    }
    EVP_MD_CTX_free(ctx);
    return done;
}

/* Whether the encoded message is one with this hash; `spare` bits at its start are not used. */
static bool is_pss_with(const uint8_t *em, size_t len, unsigned spare, const EVP_MD *md)
{
    size_t hash_len = (size_t)EVP_MD_get_size(md);
    uint8_t db[THI_SIGN_MAX];
    if (len < 2 * hash_len + 2)
        return false;
    size_t db_len = len - hash_len - 1;
    memcpy(db, em, db_len);
    if (!unmask(db, db_len, em + db_len, hash_len, md))
        return false;
    db[0] &= (uint8_t)(0xff >> spare);
    size_t zeros = db_len - hash_len - 1;
    uint8_t seen = 0;
    for (size_t i = 0; i < zeros; i++)
        seen |= db[i];
    return seen == 0 && db[zeros] == 1;
}

/* A key of 8k + 1 bits has a message of 8k bits, before which there is a zero. */
static bool is_pss(const uint8_t *in, size_t len, unsigned bits)
{
    if (len != (bits + 7) / 8 || len > THI_SIGN_MAX || bits < 1024)
        return false;
    unsigned used = (bits - 1) % 8; /* bits of the first byte */
    if (used == 0) {
        if (in[0] != 0)
            return false;
        in++;
        len--;
    }
    unsigned spare = used == 0 ? 0 : 8 - used;
    if (in[len - 1] != 0xbc || (spare > 0 && in[0] >> (8 - spare) != 0))
        return false;
    return is_pss_with(in, len, spare, EVP_sha256()) || is_pss_with(in, len, spare, EVP_sha384()) ||
           is_pss_with(in, len, spare, EVP_sha512());
}

bool thi_keyd_may_sign(int op, const uint8_t *in, size_t len, unsigned bits)
{
    switch (op) {
    case THI_SIGN_RSA_PKCS1:
        return is_digest_info(in, len);
    case THI_SIGN_RSA_RAW:
        return is_pss(in, len, bits);
    case THI_SIGN_ECDSA:
        return len == 32 || len == 48 || len == 64;
    default:
        return false;
    }
}
