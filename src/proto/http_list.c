/* SPDX-License-Identifier: MIT */

/*
 * Field values.
 *
 * All functions walk over views and copy nothing. Lists are read as RFC 9110, 5.6.1.2 tells a
 * recipient to: empty members are passed over. What must not be read with that leniency, because
 * another server might not, compares the whole value instead (see http1_semantics.c).
 */
#include "proto/http_list.h"

#include <thrum/error.h>

#include "proto/chars.h"

static th_str drop_front(th_str s, size_t n)
{
    return n < s.len ? th_str_make(s.ptr + n, s.len - n) : th_str_make(NULL, 0);
}

static size_t span_of(th_str s, unsigned classes)
{
    size_t i = 0;
    while (i < s.len && thi_char_is(s.ptr[i], classes))
        i++;
    return i;
}

static th_str skip_space(th_str s)
{
    while (s.len > 0 && thi_char_is_space(*s.ptr))
        s = drop_front(s, 1);
    return s;
}

/* Length of the quoted string at the beginning of s with both quotes; 0 if there is none. */
static size_t quoted_length(th_str s)
{
    if (s.len == 0 || s.ptr[0] != '"')
        return 0;
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '"')
            return i + 1;
        if (s.ptr[i] == '\\' && (++i == s.len || !thi_char_is(s.ptr[i], THI_CHAR_VALUE)))
            return 0;
        if (!thi_char_is(s.ptr[i], THI_CHAR_VALUE))
            return 0;
    }
    return 0;
}

/* Bytes before the first `separator` that is outside of quotes; an open quote ends nowhere. */
static size_t length_before(th_str s, char separator)
{
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (s.ptr[i] == separator && !quoted)
            return i;
    }
    return s.len;
}

bool thi_http_is_token(th_str s)
{
    return s.len > 0 && span_of(s, THI_CHAR_TOKEN) == s.len;
}

bool thi_http_list_next(th_str *rest, th_str *member)
{
    while (rest->len > 0) {
        size_t len = length_before(*rest, ',');
        th_str found = th_str_trim_ows(th_str_make(rest->ptr, len));
        *rest = drop_front(*rest, len < rest->len ? len + 1 : len);
        if (found.len > 0) {
            *member = found;
            return true;
        }
    }
    return false;
}

bool thi_http_list_has(th_str list, th_str token)
{
    th_str member;
    while (thi_http_list_next(&list, &member)) {
        if (th_str_eq_nocase(member, token))
            return true;
    }
    return false;
}

th_str thi_http_param_start(th_str member, th_str *params)
{
    size_t len = length_before(member, ';');
    *params = drop_front(member, len);
    return th_str_trim_ows(th_str_make(member.ptr, len));
}

int thi_http_param_next(th_str *params, th_str *name, th_str *value)
{
    th_str s = skip_space(*params);
    while (s.len > 0 && s.ptr[0] == ';')
        s = skip_space(drop_front(s, 1)); /* parameters = *( OWS ";" OWS [ parameter ] ) */
    if (s.len == 0) {
        *params = s;
        return 0;
    }
    size_t name_len = span_of(s, THI_CHAR_TOKEN);
    if (name_len == 0 || name_len == s.len || s.ptr[name_len] != '=')
        return TH_EPROTO;
    th_str after = drop_front(s, name_len + 1);
    size_t value_len = quoted_length(after);
    if (value_len == 0)
        value_len = span_of(after, THI_CHAR_TOKEN);
    th_str rest = skip_space(drop_front(after, value_len));
    if (value_len == 0 || (rest.len > 0 && rest.ptr[0] != ';'))
        return TH_EPROTO;
    *name = th_str_make(s.ptr, name_len);
    *value = th_str_make(after.ptr, value_len);
    *params = rest;
    return 1;
}

size_t thi_http_unquote(th_str value, char *out)
{
    bool quoted = value.len >= 2 && value.ptr[0] == '"';
    size_t from = quoted ? 1 : 0;
    size_t to = quoted ? value.len - 1 : value.len;
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        if (quoted && value.ptr[i] == '\\' && i + 1 < to)
            i++;
        out[n++] = value.ptr[i];
    }
    return n;
}

int thi_http_weight(th_str value)
{
    if (value.len == 0 || value.len > 5 || (value.ptr[0] != '0' && value.ptr[0] != '1') ||
        (value.len > 1 && value.ptr[1] != '.'))
        return -1;
    int weight = (value.ptr[0] - '0') * 1000;
    int unit = 100;
    for (size_t i = 2; i < value.len; i++, unit /= 10) {
        if (!thi_char_is(value.ptr[i], THI_CHAR_DIGIT))
            return -1;
        weight += (value.ptr[i] - '0') * unit;
    }
    return weight <= 1000 ? weight : -1;
}

int thi_http_media_parse(th_str value, thi_http_media *out)
{
    thi_http_media media;
    th_str essence = thi_http_param_start(value, &media.params);
    if (!th_str_split_once(essence, '/', &media.type, &media.subtype) ||
        !thi_http_is_token(media.type) || !thi_http_is_token(media.subtype))
        return TH_EPROTO;
    th_str rest = media.params, name, param;
    int more;
    while ((more = thi_http_param_next(&rest, &name, &param)) > 0)
        ;
    if (more < 0)
        return more;
    *out = media;
    return 0;
}
