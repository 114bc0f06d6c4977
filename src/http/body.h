/* SPDX-License-Identifier: MIT */

/* The body of a request: reading it, and getting rid of what the handler left. */
#ifndef THI_HTTP_BODY_H
#define THI_HTTP_BODY_H

#include "http/conn.h"

/* Prepares the body of a request whose head has been judged. */
void thi_http_body_begin(th_http_request *request);

/*
 * Reads and drops what is left of the body, as far as that is cheaper than a new connection.
 * Whether the next request can follow on this connection.
 */
bool thi_http_body_discard(th_http_request *request);

/*
 * Whether thi_http_body_discard() may succeed after a reply that begins now, as far as that can be
 * seen without waiting: false where the body is too large, or malformed in what has arrived.
 */
bool thi_http_body_discardable(const th_http_request *request);

/*
 * For the library's handlers, which want no body: drops it before they answer, so that a malformed
 * one is refused. Returns 0, with reply->close set if it could not be dropped, or the failure that
 * the handler has to return.
 */
TH_MUST int thi_http_body_skip(th_http_request *request, th_http_reply *reply);

#endif
