/* SPDX-License-Identifier: MIT */

/*
 * Host and port.
 *
 * Grammar (RFC 3986, 3.2.2 and 3.2.3):
 *     authority  = host [ ":" port ]          without userinfo
 *     host       = "[" IPv6address / IPvFuture "]" / IPv4address / reg-name
 * Every IPv4address is a reg-name too, and few need it told apart: that is a call of its own. An
 * IPv6 address is checked by our own grammar and not by inet_pton(), because inet_pton() wants a
 * terminated copy; zone identifiers are refused, as they mean nothing to another machine
 * (RFC 9110, 4.2.1 takes its host from RFC 3986, which has none).
 */
#include "proto/authority.h"

#include <thrum/error.h>

#include "proto/scan.h"

/* "1.2.3.4", each part 0 to 255 without a leading zero (dec-octet). */
bool thi_host_is_ipv4(th_str s)
{
    unsigned dots = 0, digits = 0, value = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit <= 9) {
            if (digits > 0 && value == 0)
                return false;
            value = value * 10 + digit;
            digits++;
            if (value > 255)
                return false;
        } else if (s.ptr[i] != '.' || digits == 0 || ++dots > 3) {
            return false;
        } else {
            digits = value = 0;
        }
    }
    return dots == 3 && digits > 0;
}

/*
 * Eight groups of one to four digits; the last two may be an IPv4 address; one run of zero groups
 * (at least one) may be "::".
 */
static bool is_ipv6(th_str s)
{
    const char *p = s.ptr;
    const char *end = s.ptr + s.len;
    int groups = 0;
    bool gap = false;

    if (s.len >= 2 && p[0] == ':' && p[1] == ':') {
        gap = true;
        p += 2;
    }
    while (p < end) {
        const char *first = p;
        while (p < end && thi_char_is(*p, THI_CHAR_HEX))
            p++;
        if (p < end && *p == '.') {
            groups += 2;
            return thi_host_is_ipv4(th_str_make(first, (size_t)(end - first))) &&
                   (gap ? groups < 8 : groups == 8);
        }
        if (p == first || p - first > 4 || ++groups > 8)
            return false;
        if (p == end)
            break;
        if (*p++ != ':' || p == end)
            return false;
        if (*p == ':') {
            if (gap)
                return false;
            gap = true;
            p++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool is_ipvfuture(th_str s)
{
    size_t i = 1;
    if (s.len == 0 || (s.ptr[0] | 0x20) != 'v')
        return false;
    while (i < s.len && thi_char_is(s.ptr[i], THI_CHAR_HEX))
        i++;
    if (i == 1 || i + 1 >= s.len || s.ptr[i] != '.')
        return false;
    for (i++; i < s.len; i++) {
        if (!thi_char_is(s.ptr[i], THI_CHAR_REGNAME) && s.ptr[i] != ':')
            return false;
    }
    return true;
}

/* Length of the reg-name at the beginning of s; stops at the first byte that is none of it. */
static size_t name_length(th_str s)
{
    const char *end = s.ptr + s.len;
    const char *p = s.ptr;
    for (;;) {
        p = thi_scan_table(p, end, THI_CHAR_REGNAME);
        if (end - p < 3 || *p != '%' || !thi_char_is(p[1], THI_CHAR_HEX) ||
            !thi_char_is(p[2], THI_CHAR_HEX))
            return (size_t)(p - s.ptr);
        p += 3;
    }
}

/* Reads [ ":" *DIGIT ] that makes up the whole of s. */
static int parse_port(th_str s, int32_t *port)
{
    int32_t value = s.len > 1 ? 0 : -1;
    if (s.len > 0 && s.ptr[0] != ':')
        return TH_EADDRESS;
    for (size_t i = 1; i < s.len; i++) {
        if (!thi_char_is(s.ptr[i], THI_CHAR_DIGIT))
            return TH_EADDRESS;
        value = value * 10 + (s.ptr[i] - '0');
        if (value > 65535)
            return TH_EADDRESS;
    }
    *port = value;
    return 0;
}

/* Sets the host and its kind, and *rest to what follows it. */
static int parse_host(th_str text, thi_authority *out, th_str *rest)
{
    size_t len;
    if (text.len == 0 || text.ptr[0] != '[') {
        len = name_length(text);
        out->host = th_str_make(text.ptr, len);
        out->kind = THI_HOST_NAME;
    } else {
        const char *close = memchr(text.ptr, ']', text.len);
        if (!close)
            return TH_EADDRESS;
        len = (size_t)(close - text.ptr) + 1;
        out->host = th_str_make(text.ptr + 1, len - 2);
        out->kind = is_ipvfuture(out->host) ? THI_HOST_IPVFUTURE : THI_HOST_IPV6;
        if (out->kind == THI_HOST_IPV6 && !is_ipv6(out->host))
            return TH_EADDRESS;
    }
    *rest = len < text.len ? th_str_make(text.ptr + len, text.len - len) : th_str_make(NULL, 0);
    return 0;
}

int thi_authority_parse(th_str text, thi_authority *out)
{
    thi_authority found;
    th_str port;
    if (parse_host(text, &found, &port) < 0 || parse_port(port, &found.port) < 0)
        return TH_EADDRESS;
    *out = found;
    return 0;
}
