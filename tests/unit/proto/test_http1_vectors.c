/* SPDX-License-Identifier: MIT */

/* The other half of test_http1_plain.c: what the library's own parsers record. */
#include "feed.h"

char *vector_record(const char *data, size_t len, bool response);

char *vector_record(const char *data, size_t len, bool response)
{
    feed f = { .data = data, .len = len, .method = THI_HTTP_GET };
    return feed_run(&f, response ? feed_response : feed_request);
}
