/* SPDX-License-Identifier: MIT */

/* Request heads: bytes in, request line and fields out (RFC 9112, 3 and 5). */
#ifndef THI_PROTO_HTTP1_REQUEST_H
#define THI_PROTO_HTTP1_REQUEST_H

#include "proto/http1_target.h"

/*
 * Makes the request ready for one head. `fields` is borrowed until the caller is done with the
 * request; `limits` may be NULL and is copied.
 */
void thi_http1_request_init(thi_http1_request *req, thi_http1_field *fields, uint32_t capacity,
                            const thi_http1_limits *limits);

/*
 * Reads a request head from buf[0..len). Call it again with the longer buffer (which may have
 * moved) as more bytes arrive: it goes on where it stopped, so that all calls for one head together
 * look at each byte a bounded number of times. The outcome depends on the bytes only, never on how
 * they were cut, and a refusal comes with the first byte that justifies it.
 *
 * Returns the length of the head (> 0) when it is complete, including a skipped empty line before
 * it; 0 when more bytes are needed; TH_EPROTO when the bytes are no request and TH_ELIMIT when it
 * is too large, both with *err filled. After anything but 0 start over with _init.
 * A length above UINT32_MAX is -EINVAL.
 */
TH_MUST ssize_t thi_http1_request_parse(thi_http1_request *req, const char *buf, size_t len,
                                        thi_http1_error *err);

/* The path to look for: "/" where an absolute target has none (RFC 9112, 3.2.1). */
th_str thi_http1_request_path(const thi_http1_request *req);

#endif
