/* SPDX-License-Identifier: MIT */

/*
 * HTTP/1.1 for the layers above, without I/O and without memory of its own.
 *
 *     thi_http1_request_init()      once per message
 *     thi_http1_request_parse()     as bytes arrive, until it returns something other than 0
 *     thi_http1_request_meaning()   framing, persistence, expectation, host
 *     thi_http1_chunked_next()      over the body, if it is chunked
 *
 * Each refusal comes with the status to answer with. The layers above add those that need to know
 * what is served: 404, 405, 408, 411, 413.
 */
#ifndef THI_PROTO_HTTP1_H
#define THI_PROTO_HTTP1_H

#include "proto/http1_chunked.h"
#include "proto/http1_request.h"
#include "proto/http1_response.h"
#include "proto/http1_semantics.h"
#include "proto/http1_write.h"

#endif
