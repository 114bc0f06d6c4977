/* SPDX-License-Identifier: MIT */

/*
 * What a complete head means for the connection: how the body is delimited, whether the connection
 * lives on, what the client expects first. Here sits every rule that request smuggling lives on.
 */
#ifndef THI_PROTO_HTTP1_SEMANTICS_H
#define THI_PROTO_HTTP1_SEMANTICS_H

#include "proto/authority.h"
#include "proto/http1_request.h"
#include "proto/http1_response.h"

/* How the end of the body is found (RFC 9112, 6.3). */
typedef enum thi_http1_framing {
    THI_HTTP1_NO_BODY,
    THI_HTTP1_LENGTH,     /* exactly `length` bytes follow; 0 is reported as THI_HTTP1_NO_BODY */
    THI_HTTP1_CHUNKED,    /* see http1_chunked.h */
    THI_HTTP1_UNTIL_CLOSE /* responses only */
} thi_http1_framing;

typedef struct thi_http1_meaning {
    thi_http1_framing framing;
    uint64_t length;      /* the Content-Length, below 2^63; 0 without one */
    bool has_length;      /* a Content-Length was sent, 0 included (a HEAD response's too) */
    bool keep_alive;      /* the sender allows another message on this connection */
    bool expect_continue; /* the client waits for 100 (Continue) before it sends its body */
    bool upgrade;         /* the client offers the protocols of its Upgrade field; in a response:
                             101, or 2xx to CONNECT: what follows is no HTTP */
    thi_authority host;   /* requests: whom the client wants; of the target if that names one, else
                             of the Host field; its host is empty if neither does (HTTP/1.0) */
} thi_http1_meaning;

/*
 * Judges a complete request head. Returns 0, or TH_EPROTO with *err filled: 400, 417 for an
 * expectation other than 100-continue, 501 for a transfer coding other than chunked.
 * The strings in *out point into the head's buffer.
 */
TH_MUST int thi_http1_request_meaning(const thi_http1_request *req, thi_http1_meaning *out,
                                      thi_http1_error *err);

/*
 * Judges a complete response head; the method of the request decides about the body (RFC
 * 9112, 6.3). Returns 0, or TH_EPROTO with *err filled (status 502).
 */
TH_MUST int thi_http1_response_meaning(const thi_http1_response *res, thi_http_method method,
                                       thi_http1_meaning *out, thi_http1_error *err);

#endif
