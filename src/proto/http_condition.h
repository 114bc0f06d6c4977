/* SPDX-License-Identifier: MIT */

/* Conditional requests: entity tags and the If-… fields (RFC 9110, 8.8.3 and 13). */
#ifndef THI_PROTO_HTTP_CONDITION_H
#define THI_PROTO_HTTP_CONDITION_H

#include "proto/http1_head.h"

/* What is known about the current version of a resource. */
typedef struct thi_http_version {
    th_str etag;      /* entity tag as it is sent: "x" or W/"x" with its quotes; empty if none */
    int64_t modified; /* Last-Modified in seconds since 1970; negative if not known */
    bool exists;      /* there is a current version at all */
} thi_http_version;

/*
 * Whether a list of entity tags, or "*", matches the version's tag. strong: compare strongly, where
 * a weak tag equals nothing (8.8.3.2). Returns 1, 0, or TH_EPROTO where the list is malformed.
 */
TH_MUST int thi_http_etag_match(th_str list, const thi_http_version *version, bool strong);

/*
 * Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of
 * 13.2.2. Returns 0 to go on, 304 or 412. `now` is needed to read dates with two-digit years.
 */
TH_MUST int thi_http_condition(const thi_http1_head *head, thi_http_method method,
                               const thi_http_version *version, int64_t now);

/* Whether If-Range, if there is one, lets the Range field count (13.1.5). */
bool thi_http_if_range(const thi_http1_head *head, const thi_http_version *version, int64_t now);

#endif
