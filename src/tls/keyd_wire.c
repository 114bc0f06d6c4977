/* SPDX-License-Identifier: MIT */

/* Writing and reading the messages of the key process. */
#include "tls/keyd_wire.h"

#include "base/util.h"
#include "tls/ossl.h"

#include <thrum/str.h>

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <errno.h>
#include <string.h>

/* ---- writing --------------------------------------------------------------------------------- */

static size_t put_length(uint8_t *out, size_t total)
{
    size_t len = total - THI_KEYD_HEAD;
    out[0] = (uint8_t)(len >> 24);
    out[1] = (uint8_t)(len >> 16);
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    return total;
}

size_t thi_keyd_put_request(uint8_t *out, const thi_keyd_request *r)
{
    uint8_t *at = out + THI_KEYD_HEAD;
    *at++ = THI_KEYD_VERSION;
    *at++ = (uint8_t)r->kind;
    if (r->kind == THI_KEYD_SIGN) {
        *at++ = (uint8_t)r->name_len;
        memcpy(at, r->name, r->name_len);
        at += r->name_len;
        memcpy(at, r->id, sizeof r->id);
        at += sizeof r->id;
        *at++ = (uint8_t)r->op;
        memcpy(at, r->data, r->len);
        at += r->len;
    }
    return put_length(out, (size_t)(at - out));
}

size_t thi_keyd_put_reply(uint8_t *out, int status, const void *data, size_t len)
{
    len = thi_min(len, (size_t)THI_KEYD_BODY_MAX - 2);
    out[THI_KEYD_HEAD] = THI_KEYD_VERSION;
    out[THI_KEYD_HEAD + 1] = (uint8_t)status;
    if (len > 0)
        memcpy(out + THI_KEYD_HEAD + 2, data, len);
    return put_length(out, THI_KEYD_HEAD + 2 + len);
}

/* ---- reading --------------------------------------------------------------------------------- */

int thi_keyd_body(const uint8_t head[THI_KEYD_HEAD])
{
    uint32_t len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 |
                   (uint32_t)head[3];
    if (len < 2 || len > THI_KEYD_BODY_MAX)
        return thi_err_set(TH_EPROTO, "a message of the key process has %u bytes", len);
    return (int)len;
}

/* Version and kind, or status, of a body with at least two bytes. */
static int get_start(const uint8_t *body, size_t len)
{
    if (len < 2)
        return thi_err_set(TH_EPROTO, "a message of the key process is too short");
    if (body[0] != THI_KEYD_VERSION)
        return thi_err_set(TH_EPROTO, "the key process's protocol has version %d here, %d there",
                           THI_KEYD_VERSION, body[0]);
    return body[1];
}

/* The name, the key, the operation, and at least one byte of data. */
static int get_sign(const uint8_t *at, const uint8_t *end, thi_keyd_request *r)
{
    size_t name_len = at < end ? *at++ : SIZE_MAX;
    if (name_len > THI_KEYD_NAME_MAX || (size_t)(end - at) < name_len + THI_KEYD_ID_SIZE + 2)
        return thi_err_set(TH_EPROTO, "a request to sign is too short");
    r->name = (const char *)at;
    r->name_len = name_len;
    at += name_len;
    memcpy(r->id, at, sizeof r->id);
    at += sizeof r->id;
    r->op = *at++;
    r->data = at;
    r->len = (size_t)(end - at);
    return r->len <= THI_KEYD_DATA_MAX ? 0 : thi_err_set(TH_EPROTO, "too much to sign");
}

int thi_keyd_get_request(const uint8_t *body, size_t len, thi_keyd_request *r)
{
    int kind = get_start(body, len);
    if (kind < 0)
        return kind;
    *r = (thi_keyd_request){ .kind = kind };
    if (kind == THI_KEYD_SIGN)
        return get_sign(body + 2, body + len, r);
    if (kind != THI_KEYD_STATUS)
        return thi_err_set(TH_EPROTO, "there is no request of kind %d", kind);
    return len == 2 ? 0 : thi_err_set(TH_EPROTO, "a request is too long");
}

int thi_keyd_get_reply(const uint8_t *body, size_t len, int *status, const uint8_t **data,
                       size_t *data_len)
{
    int start = get_start(body, len);
    if (start < 0)
        return start;
    *status = start;
    *data = body + 2;
    *data_len = len - 2;
    return 0;
}

/* ---- names of keys --------------------------------------------------------------------------- */

int thi_keyd_id(const EVP_PKEY *key, uint8_t id[THI_KEYD_ID_SIZE])
{
    unsigned char *der = NULL;
    thi_ossl_begin();
    int len = i2d_PUBKEY(key, &der);
    if (len <= 0)
        return thi_ossl_fail(TH_ETLS, "the public key cannot be written");
    (void)SHA256(der, (size_t)len, id);
    OPENSSL_free(der);
    return 0;
}

char *thi_keyd_id_text(const uint8_t id[THI_KEYD_ID_SIZE], char text[2 * THI_KEYD_ID_SIZE + 1])
{
    th_str_hex_encode(th_str_make((const char *)id, THI_KEYD_ID_SIZE), text);
    text[2 * THI_KEYD_ID_SIZE] = '\0';
    return text;
}
