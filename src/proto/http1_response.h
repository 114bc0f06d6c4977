/* SPDX-License-Identifier: MIT */

/* Response heads as a client reads them: status line and fields (RFC 9112, 4 and 5). */
#ifndef THI_PROTO_HTTP1_RESPONSE_H
#define THI_PROTO_HTTP1_RESPONSE_H

#include "proto/http1_head.h"

typedef struct thi_http1_response {
    thi_http1_head head;
    int status;      /* 100 to 999 */
    thi_span reason; /* may be empty */
} thi_http1_response;

/* See thi_http1_request_init(). */
void thi_http1_response_init(thi_http1_response *res, thi_http1_field *fields, uint32_t capacity,
                             const thi_http1_limits *limits);

/* See thi_http1_request_parse(); an error carries the status 502, which a gateway answers with. */
TH_MUST ssize_t thi_http1_response_parse(thi_http1_response *res, const char *buf, size_t len,
                                         thi_http1_error *err);

#endif
