/* SPDX-License-Identifier: MIT */

/*
 * URLs.
 *
 * Resolving a path decodes first and looks at segments afterwards, so that "%2e%2e" is as much ".."
 * as the plain form. The result grows at the end of one buffer and shrinks by a segment for each
 * "..": it is never longer than what has been read, which is why it can be the same memory.
 */
#include "proto/url.h"

#include <thrum/error.h>

#include "proto/chars.h"

/* Whether a complete percent-encoding begins at s.ptr[i]. */
static bool is_encoding(th_str s, size_t i)
{
    return s.len - i >= 3 && s.ptr[i] == '%' && thi_char_is(s.ptr[i + 1], THI_CHAR_HEX) &&
           thi_char_is(s.ptr[i + 2], THI_CHAR_HEX);
}

/* The byte that the percent-encoding at s.ptr[i] stands for. */
static char decoded(th_str s, size_t i)
{
    return (char)(thi_char_hex(s.ptr[i + 1]) << 4 | thi_char_hex(s.ptr[i + 2]));
}

ssize_t thi_url_decode(th_str s, bool plus_is_space, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            if (!is_encoding(s, i))
                return TH_EPROTO;
            c = decoded(s, i);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[n++] = c;
    }
    return (ssize_t)n;
}

size_t thi_url_encode_path(th_str s, char *out)
{
    static const char digits[] = "0123456789ABCDEF"; /* RFC 3986, 2.1: upper case */
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (thi_char_is(s.ptr[i], THI_CHAR_TARGET)) {
            out[n++] = s.ptr[i];
        } else {
            out[n++] = '%';
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    return n;
}

/* Reads the byte at *i, decoded, and moves on. Returns it, or -1 if no file's name may have it. */
static int next_byte(th_str path, size_t *i)
{
    char c = path.ptr[*i];
    if (c == '%') {
        if (!is_encoding(path, *i))
            return -1;
        c = decoded(path, *i);
        *i += 2;
        if (c == '/')
            return -1;
    }
    *i += 1;
    if ((unsigned char)c < 0x20 || c == 0x7f || c == '\\')
        return -1;
    return (unsigned char)c;
}

/* Length of out[0..len), which ends with "/", without its last segment; -1 at the root. */
static ssize_t parent(const char *out, size_t len)
{
    if (len == 1)
        return -1;
    len--;
    while (out[len - 1] != '/')
        len--;
    return (ssize_t)len;
}

/*
 * Ends the segment that out[start..len) is; the byte before it is the slash. Returns where the next
 * one begins if that slash is kept, or -1 above the root.
 */
static ssize_t end_segment(const char *out, size_t start, size_t len)
{
    th_str segment = th_str_make(out + start, len - start);
    if (segment.len == 0 || th_str_eq(segment, TH_STR(".")))
        return (ssize_t)start;
    if (th_str_eq(segment, TH_STR("..")))
        return parent(out, start);
    return (ssize_t)len;
}

ssize_t thi_url_path_resolve(th_str path, char *out)
{
    size_t start = 1; /* of the segment at the end of out */
    size_t len = 1;
    ssize_t kept;
    if (path.len > 0 && *path.ptr != '/')
        return TH_EPROTO;
    out[0] = '/';
    for (size_t i = 1; i < path.len;) {
        bool slash = path.ptr[i] == '/';
        int c = next_byte(path, &i);
        if (c < 0)
            return TH_EPROTO;
        if (!slash) {
            out[len++] = (char)c;
            continue;
        }
        kept = end_segment(out, start, len);
        if (kept < 0)
            return TH_EPROTO;
        /* A segment of its own gets its slash; a dropped one leaves that of the one before it. */
        bool own = (size_t)kept == len && len > start;
        len = (size_t)kept;
        if (own)
            out[len++] = '/';
        start = len;
    }
    kept = end_segment(out, start, len);
    return kept < 0 ? TH_EPROTO : kept;
}

bool thi_url_query_next(th_str *rest, th_str *name, th_str *value)
{
    while (rest->len > 0) {
        th_str pair = *rest;
        if (!th_str_split_once(*rest, '&', &pair, rest))
            *rest = th_str_make(NULL, 0);
        if (pair.len == 0)
            continue;
        if (!th_str_split_once(pair, '=', name, value)) {
            *name = pair;
            *value = th_str_make(NULL, 0);
        }
        return true;
    }
    return false;
}

/* Whether all of s are bytes of the class, "?" if allowed, or percent-encodings. */
static bool consists_of(th_str s, bool question_mark)
{
    for (size_t i = 0; i < s.len; i++) {
        if (is_encoding(s, i))
            i += 2;
        else if (!thi_char_is(s.ptr[i], THI_CHAR_TARGET) && !(question_mark && s.ptr[i] == '?'))
            return false;
    }
    return true;
}

/* RFC 3986, 3.1: ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */
static bool is_scheme(th_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = thi_char_lower(s.ptr[i]);
        bool letter = c >= 'a' && c <= 'z';
        bool other = thi_char_is(c, THI_CHAR_DIGIT) || c == '+' || c == '-' || c == '.';
        if (!letter && (i == 0 || !other))
            return false;
    }
    return s.len > 0;
}

int thi_url_parse(th_str text, thi_url *out)
{
    thi_url url = { .has_query = false };
    th_str rest = text;
    if (!th_str_split_once(rest, ':', &url.scheme, &rest) || !is_scheme(url.scheme) ||
        !th_str_has_prefix(rest, TH_STR("//")))
        return TH_EADDRESS;
    rest = th_str_make(rest.ptr + 2, rest.len - 2);
    th_str_split_once(rest, '#', &rest, &url.fragment);
    url.has_query = th_str_split_once(rest, '?', &rest, &url.query);

    size_t host = 0;
    while (host < rest.len && rest.ptr[host] != '/')
        host++;
    url.path = th_str_make(rest.ptr + host, rest.len - host);
    if (thi_authority_parse(th_str_make(rest.ptr, host), &url.authority) < 0 ||
        url.authority.host.len == 0 || !consists_of(url.path, false) ||
        !consists_of(url.query, true) || !consists_of(url.fragment, true))
        return TH_EADDRESS;
    *out = url;
    return 0;
}
