/* SPDX-License-Identifier: MIT */

/* What a request line says, and the four forms of its target told apart (RFC 9112, 3.2). */
#ifndef THI_PROTO_HTTP1_TARGET_H
#define THI_PROTO_HTTP1_TARGET_H

#include "proto/http1_head.h"

typedef enum thi_http1_form {
    THI_HTTP1_ORIGIN,    /* /path?query */
    THI_HTTP1_ABSOLUTE,  /* http://host:port/path?query */
    THI_HTTP1_AUTHORITY, /* host:port, with CONNECT only */
    THI_HTTP1_ASTERISK   /* *, with OPTIONS only */
} thi_http1_form;

/* A request head; http1_request.h has the calls that fill it. */
typedef struct thi_http1_request {
    thi_http1_head head;
    thi_span method;           /* a token of at most THI_HTTP1_METHOD_MAX bytes */
    thi_http_method method_id; /* THI_HTTP_OTHER for a token that is not in the list */
    thi_http1_form form;       /* of the target */
    thi_span target;           /* as sent */
    thi_span scheme;           /* absolute form: http or https in any case; else empty */
    thi_span authority;        /* absolute and authority form; else empty */
    thi_span path;             /* still percent-encoded; empty when the target has none */
    thi_span query;            /* without its question mark */
    bool has_query;            /* tells "/a?" from "/a" */
} thi_http1_request;

#define THI_HTTP1_METHOD_MAX 32u

/*
 * Sets form, scheme, authority and path from the method and the target, whose bytes have been
 * checked and whose query, if any, has been split off. Returns NULL, or why the target is refused.
 * Static.
 */
const char *thi_http1_target_split(thi_http1_request *req);

#endif
