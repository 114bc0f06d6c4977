/* SPDX-License-Identifier: MIT */

/* URLs: taken apart, decoded, encoded, paths made safe, queries walked (RFC 3986). */
#ifndef THI_PROTO_URL_H
#define THI_PROTO_URL_H

#include "proto/authority.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* An absolute URL as a client is given it. Views into the text. */
typedef struct thi_url {
    th_str scheme; /* in the case that was given */
    thi_authority authority;
    th_str path;  /* with its slash; empty if there is none */
    th_str query; /* without its question mark */
    bool has_query;
    th_str fragment; /* without its hash */
} thi_url;

/*
 * Takes scheme://host:port/path?query#fragment apart and checks every byte of it. User information
 * and an empty host are refused. Returns 0, or TH_EADDRESS.
 */
TH_MUST int thi_url_parse(th_str text, thi_url *out);

/*
 * Replaces percent-encodings by the bytes they stand for, and "+" by a space where plus_is_space
 * (forms). out has room for s.len bytes and may be s.ptr itself. Returns the length, or TH_EPROTO
 * for a "%" without two hexadecimal digits, out then holding rubbish.
 */
TH_MUST ssize_t thi_url_decode(th_str s, bool plus_is_space, char *out);

/*
 * Percent-encodes what may not stand in a path: everything but unreserved bytes, sub-delims, ":",
 * "@" and "/". out has room for 3 * s.len bytes. Returns the length.
 */
size_t thi_url_encode_path(th_str s, char *out);

/*
 * Turns the path of a request into one that can be appended to a directory's name: decoded, without
 * "." and ".." and empty segments, beginning with "/", ending with "/" if it names a directory.
 *
 * Refused, because a file system and a URL mean different things by them: a path that climbs above
 * its root, encoded "/" (%2F), NUL and other control characters, and "\" in either form, which
 * separates names on other systems.
 *
 * out has room for path.len + 1 bytes and may be path.ptr itself if path is not empty. Returns the
 * length, or TH_EPROTO, out then holding rubbish.
 */
TH_MUST ssize_t thi_url_path_resolve(th_str path, char *out);

/*
 * Whether resolving a path would give the very same bytes, as it mostly does. The path is one that
 * the parser of requests let through, and not empty.
 */
static inline bool thi_url_path_is_resolved(th_str path)
{
    if (path.ptr[0] != '/')
        return false;
    for (size_t i = 1; i < path.len; i++) {
        char c = path.ptr[i];
        if (c == '%' || (path.ptr[i - 1] == '/' && (c == '/' || c == '.')))
            return false;
    }
    return true;
}

/*
 * Takes the next "name=value" off the front of a query, still encoded; a pair without "=" has an
 * empty value, empty pairs are skipped. Returns false at the end.
 */
bool thi_url_query_next(th_str *rest, th_str *name, th_str *value);

#endif
