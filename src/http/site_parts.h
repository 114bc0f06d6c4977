/* SPDX-License-Identifier: MIT */

/* Several ranges of a file in one reply: multipart/byteranges (RFC 9110, 14.6). */
#ifndef THI_HTTP_SITE_PARTS_H
#define THI_HTTP_SITE_PARTS_H

#include "http/message.h"
#include "http/site_cache.h"
#include "proto/http_range.h"

#define THI_SITE_RANGES_MAX 16 /* in one request */

/* Answers with 206 and a part for each range; Content-Type is added, the other fields are there. */
TH_MUST int thi_site_send_parts(th_http_request *q, th_http_reply *r, const thi_site_file *file,
                                const thi_http_range *ranges, size_t count);

#endif
