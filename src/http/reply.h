/* SPDX-License-Identifier: MIT */

/* Replies: their beginning and end as the server sees them. */
#ifndef THI_HTTP_REPLY_H
#define THI_HTTP_REPLY_H

#include "http/conn.h"

/* Prepares the reply to a request whose head has been judged. */
void thi_http_reply_prepare(th_http_reply *reply);

/* Completes a reply that has begun. TH_ETRUNCATED when the handler wrote less than it announced. */
TH_MUST int thi_http_reply_end(th_http_reply *reply);

/*
 * Answers with an error and a line of text that says why, in place of the handler. The connection
 * ends after it if `close`.
 */
TH_MUST int thi_http_reply_error(th_http_reply *reply, int status, const char *reason, bool close);

#endif
