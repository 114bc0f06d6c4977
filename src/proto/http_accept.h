/* SPDX-License-Identifier: MIT */

/* Which content codings a client takes (RFC 9110, 12.5.3). */
#ifndef THI_PROTO_HTTP_ACCEPT_H
#define THI_PROTO_HTTP_ACCEPT_H

#include "proto/http1_head.h"

typedef enum thi_http_coding {
    THI_CODING_IDENTITY,
    THI_CODING_GZIP,
    THI_CODING_DEFLATE,
    THI_CODING_BROTLI,
    THI_CODING_ZSTD,
    THI_CODING_COUNT
} thi_http_coding;

/* Weight of each coding in thousandths: 0 is "not acceptable". */
typedef struct thi_http_codings {
    int16_t weight[THI_CODING_COUNT];
} thi_http_codings;

/* As Content-Encoding writes it; "" for identity. Static. */
th_str thi_http_coding_name(thi_http_coding coding);

/*
 * Reads all Accept-Encoding fields. What is not mentioned has the weight of "*", or 0 without one;
 * identity 1 then, so that it remains when nothing else does. Malformed members do not count.
 */
thi_http_codings thi_http_accept_encoding(const thi_http1_head *head);

/*
 * The coding to use out of those that are offered (bit i for coding i): the weightiest; of equals
 * the one with the highest number, which compresses best; identity only when nothing else weighs
 * as much. Returns a thi_http_coding, or -1 when not even identity is acceptable.
 */
int thi_http_coding_choose(const thi_http_codings *codings, unsigned offered);

#endif
