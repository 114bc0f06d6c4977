/* SPDX-License-Identifier: MIT */

/* Answering with a file: conditions first, then ranges, then all of it. */
#ifndef THI_HTTP_SITE_SEND_H
#define THI_HTTP_SITE_SEND_H

#include "http/message.h"
#include "http/site_cache.h"

/* Answers a GET or HEAD request with the file, or with what its conditions and ranges demand. */
TH_MUST int thi_site_send(th_http_request *q, th_http_reply *r, const thi_site_file *file);

#endif
