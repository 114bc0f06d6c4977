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

#endif
