/* SPDX-License-Identifier: MIT */

/*
 * The protocol between a server and the process that holds its keys: bytes only.
 *
 * Messages go over a Unix socket, one request and its reply at a time. Numbers are in network
 * order.
 *
 *     length    4 bytes   of all that follows
 *     version   1         1
 *     kind      1         of a request: 1 sign, 2 status; of a reply: what became of it
 *     name      1 + n     of a request to sign: how the key is called, or empty
 *     key       32        of a request to sign: SHA-256 of the public key (SubjectPublicKeyInfo)
 *     operation 1         of a request to sign: thi_sign_op
 *     data      the rest  what to sign; the signature; a text
 *
 * A reply has the data right after its status. What a message may hold is bounded, so that both
 * sides have room for any.
 */
#ifndef THI_TLS_KEYD_WIRE_H
#define THI_TLS_KEYD_WIRE_H

#include "tls/signer.h"

#include <thrum/defs.h>

#include <stddef.h>
#include <stdint.h>

#define THI_KEYD_VERSION  1
#define THI_KEYD_HEAD     4 /* bytes of the length */
#define THI_KEYD_NAME_MAX 63
#define THI_KEYD_ID_SIZE  32
#define THI_KEYD_DATA_MAX THI_SIGN_MAX /* of a request to sign, and of a signature */
#define THI_KEYD_BODY_MAX 8192         /* of any message without its length; a status fills it */
#define THI_KEYD_MAX      (THI_KEYD_HEAD + THI_KEYD_BODY_MAX)

/* What is asked for. */
enum { THI_KEYD_SIGN = 1, THI_KEYD_STATUS = 2 };

/* What becomes of it. All but OK have a text, in words for people. */
enum {
    THI_KEYD_OK = 0,
    THI_KEYD_UNKNOWN = 1,  /* there is no such key, or its name is another one's */
    THI_KEYD_REFUSED = 2,  /* not something that TLS signs */
    THI_KEYD_LIMITED = 3,  /* more requests than are allowed */
    THI_KEYD_FAILED = 4,   /* the key could not be used */
    THI_KEYD_MALFORMED = 5 /* no message of this protocol; the connection ends */
};

/* A request. What it points to is where it was read, or the sender's. */
typedef struct thi_keyd_request {
    int kind;
    const char *name; /* without a NUL */
    size_t name_len;
    uint8_t id[THI_KEYD_ID_SIZE];
    int op;
    const uint8_t *data;
    size_t len;
} thi_keyd_request;

/* Writes a request or a reply with its length; the bytes. out has room for THI_KEYD_MAX; the data
 * of a reply is cut to what fits. */
size_t thi_keyd_put_request(uint8_t *out, const thi_keyd_request *request);
size_t thi_keyd_put_reply(uint8_t *out, int status, const void *data, size_t len);

/* The length of a body from its first bytes; TH_EPROTO for one that is too short or too long. */
TH_MUST int thi_keyd_body(const uint8_t head[THI_KEYD_HEAD]);

/* Reads bodies. 0; TH_EPROTO, with a detail that says why. */
TH_MUST int thi_keyd_get_request(const uint8_t *body, size_t len, thi_keyd_request *request);
TH_MUST int thi_keyd_get_reply(const uint8_t *body, size_t len, int *status, const uint8_t **data,
                               size_t *data_len);

/* By what a key is found: SHA-256 of its public part. 0; TH_ETLS with a detail; -ENOMEM. */
TH_MUST int thi_keyd_id(const EVP_PKEY *key, uint8_t id[THI_KEYD_ID_SIZE]);

/* The same in hexadecimal, with a NUL. */
char *thi_keyd_id_text(const uint8_t id[THI_KEYD_ID_SIZE], char text[2 * THI_KEYD_ID_SIZE + 1]);

#endif
