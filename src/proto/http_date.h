/* SPDX-License-Identifier: MIT */

/* Dates as HTTP writes them (RFC 9110, 5.6.7). Seconds count from 1970-01-01 00:00:00 UTC. */
#ifndef THI_PROTO_HTTP_DATE_H
#define THI_PROTO_HTTP_DATE_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include <stdint.h>

#define THI_HTTP_DATE_LEN 29u /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Writes THI_HTTP_DATE_LEN bytes, no NUL. Returns 0, or -ERANGE outside the years 0 to 9999. */
TH_MUST int thi_http_date_write(char *out, int64_t seconds);

/*
 * Reads any of the three forms: IMF-fixdate, and the obsolete ones of RFC 850 and of asctime().
 * `now` places the two-digit year of RFC 850: at most 50 years ahead. Returns 0, or -EINVAL for
 * everything that is not exactly such a date, a wrong day of the week included.
 */
TH_MUST int thi_http_date_parse(th_str text, int64_t now, int64_t *seconds);

#endif
