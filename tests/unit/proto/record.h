/* SPDX-License-Identifier: MIT */

/* Assertions on what feed.h records; each runs its stream cut in every way. */
#ifndef THI_TEST_RECORD_H
#define THI_TEST_RECORD_H

#include "feed.h"

#include <check.h>

/* A string literal as bytes, NUL included if written. */
#define BYTES(literal) TH_STR(literal)

/* The record of a stream; fails the test if it depends on how the stream is cut. */
static inline char *record(const feed *how, bool (*message)(feed *f))
{
    char *other;
    char *whole = feed_all(how, message, &other);
    if (other)
        ck_abort_msg("cut differently:\n%s\nwhole:\n%s", other, whole);
    return whole;
}

static inline void record_has(char *text, const char *part)
{
    if (!strstr(text, part))
        ck_abort_msg("no \"%s\" in:\n%s", part, text);
}

/* The stream of requests is refused with this status, and its record contains `part`. */
static inline void expect_request(th_str bytes, const char *part)
{
    feed f = { .data = bytes.ptr, .len = bytes.len };
    char *text = record(&f, feed_request);
    record_has(text, part);
    free(text);
}

static inline void expect_refused(th_str bytes, int status)
{
    char part[32];
    snprintf(part, sizeof part, "refused %d ", status);
    expect_request(bytes, part);
}

/* The stream of requests is fine and complete. */
static inline void expect_accepted(th_str bytes)
{
    feed f = { .data = bytes.ptr, .len = bytes.len };
    char *text = record(&f, feed_request);
    if (strstr(text, "refused") || strstr(text, "more\n"))
        ck_abort_msg("not accepted:\n%s", text);
    free(text);
}

static inline void expect_response(th_str bytes, thi_http_method method, const char *part)
{
    feed f = { .data = bytes.ptr, .len = bytes.len, .method = method };
    char *text = record(&f, feed_response);
    record_has(text, part);
    free(text);
}

#endif
