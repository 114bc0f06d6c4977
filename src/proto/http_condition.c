/* SPDX-License-Identifier: MIT */

/*
 * Conditional requests.
 *
 * A condition that cannot be read is taken the safe way: where it guards a change (If-Match) it
 * fails, where it saves a transfer (the others) it is as if it were not there.
 */
#include "proto/http_condition.h"

#include <thrum/error.h>

#include "proto/chars.h"
#include "proto/http_date.h"

/* Length of the entity tag at the beginning of s, 0 if there is none. There are no escapes in it:
 * a backslash is a byte like others. */
static size_t etag_length(th_str s)
{
    size_t i = s.len >= 2 && s.ptr[0] == 'W' && s.ptr[1] == '/' ? 2 : 0;
    if (i >= s.len || s.ptr[i++] != '"')
        return 0;
    while (i < s.len && thi_char_is(s.ptr[i], THI_CHAR_VALUE) && !thi_char_is_space(s.ptr[i]) &&
           s.ptr[i] != '"')
        i++;
    return i < s.len && s.ptr[i] == '"' ? i + 1 : 0;
}

static bool is_weak(th_str etag)
{
    return etag.len > 0 && etag.ptr[0] == 'W';
}

/* RFC 9110, 8.8.3.2. */
static bool same_etag(th_str a, th_str b, bool strong)
{
    if (strong && (is_weak(a) || is_weak(b)))
        return false;
    size_t skip_a = is_weak(a) ? 2 : 0;
    size_t skip_b = is_weak(b) ? 2 : 0;
    return b.len > 0 && th_str_eq(th_str_make(a.ptr + skip_a, a.len - skip_a),
                                  th_str_make(b.ptr + skip_b, b.len - skip_b));
}

int thi_http_etag_match(th_str list, const thi_http_version *version, bool strong)
{
    int found = 0;
    th_str s = th_str_trim_ows(list);
    if (th_str_eq(s, TH_STR("*")))
        return version->exists;
    while (s.len > 0) {
        if (*s.ptr == ',') {
            s = th_str_trim_ows(th_str_make(s.ptr + 1, s.len - 1));
            continue;
        }
        size_t len = etag_length(s);
        if (len == 0)
            return TH_EPROTO;
        found |= version->exists && same_etag(th_str_make(s.ptr, len), version->etag, strong);
        s = th_str_trim_ows(th_str_make(s.ptr + len, s.len - len));
        if (s.len > 0 && *s.ptr != ',')
            return TH_EPROTO;
    }
    return found;
}

/* Index of the only field line with this id; head->count when there is none, or more than one. */
static uint32_t find_single(const thi_http1_head *head, thi_http_field id)
{
    uint32_t i = thi_http1_find(head, id, 0);
    return i < head->count && thi_http1_find(head, id, i + 1) < head->count ? head->count : i;
}

/* Matches over all field lines with this id: 1, 0 or TH_EPROTO. */
static int match_fields(const thi_http1_head *head, thi_http_field id,
                        const thi_http_version *version, bool strong)
{
    int found = 0;
    uint32_t i = thi_http1_find(head, id, 0);
    for (; i < head->count; i = thi_http1_find(head, id, i + 1)) {
        th_str value = thi_http1_value(head, i);
        int one = thi_http_etag_match(value, version, strong);
        if (one < 0)
            return one;
        /* "*" is no member of a list, and several lines are one list (RFC 9110, 5.2). */
        if (th_str_eq(value, TH_STR("*")) && find_single(head, id) == head->count)
            return TH_EPROTO;
        found |= one;
    }
    return found;
}

/*
 * Whether the field holds a date that can be compared with the version's; sets *date. Two lines of
 * it are a list, and a list is no date (RFC 9110, 13.1.3 and 13.1.4).
 */
static bool date_field(const thi_http1_head *head, thi_http_field id,
                       const thi_http_version *version, int64_t now, int64_t *date)
{
    uint32_t i = find_single(head, id);
    return i < head->count && version->modified >= 0 &&
           thi_http_date_parse(thi_http1_value(head, i), now, date) == 0;
}

int thi_http_condition(const thi_http1_head *head, thi_http_method method,
                       const thi_http_version *version, int64_t now)
{
    bool reads = method == THI_HTTP_GET || method == THI_HTTP_HEAD;
    int64_t date;
    if (thi_http1_has(head, THI_FIELD_IF_MATCH)) {
        if (match_fields(head, THI_FIELD_IF_MATCH, version, true) <= 0)
            return 412;
    } else if (date_field(head, THI_FIELD_IF_UNMODIFIED_SINCE, version, now, &date)) {
        if (version->modified > date)
            return 412;
    }
    if (thi_http1_has(head, THI_FIELD_IF_NONE_MATCH)) {
        if (match_fields(head, THI_FIELD_IF_NONE_MATCH, version, false) > 0)
            return reads ? 304 : 412;
    } else if (reads && date_field(head, THI_FIELD_IF_MODIFIED_SINCE, version, now, &date)) {
        if (version->modified <= date)
            return 304;
    }
    return 0;
}

bool thi_http_if_range(const thi_http1_head *head, const thi_http_version *version, int64_t now)
{
    if (!thi_http1_has(head, THI_FIELD_IF_RANGE))
        return true;
    uint32_t i = find_single(head, THI_FIELD_IF_RANGE);
    if (i == head->count)
        return false;
    th_str value = thi_http1_value(head, i);
    if (etag_length(value) == value.len)
        return value.len > 0 && same_etag(value, version->etag, true);
    /* The date must be the very one: an earlier or later one proves nothing (13.1.5). Neither does
     * one whose second is not over, in which the file may change again (8.8.2.2). */
    int64_t date;
    return date_field(head, THI_FIELD_IF_RANGE, version, now, &date) && version->modified == date &&
           date < now;
}
