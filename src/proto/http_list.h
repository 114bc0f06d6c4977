/* SPDX-License-Identifier: MIT */

/* What field values are made of: lists, tokens, quoted strings, parameters, weights. */
#ifndef THI_PROTO_HTTP_LIST_H
#define THI_PROTO_HTTP_LIST_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include <stdbool.h>
#include <stddef.h>

/* Whether s is a token (RFC 9110, 5.6.2). */
bool thi_http_is_token(th_str s);

/*
 * Takes the next member off the front of a comma-separated list (RFC 9110, 5.6.1.2): without the
 * white space around it, never empty (empty members are skipped), commas in quoted strings do not
 * count. Returns false at the end. Start with *rest as the field's value.
 */
bool thi_http_list_next(th_str *rest, th_str *member);

/* Whether one of the list's members is this token, compared without regard to case. */
bool thi_http_list_has(th_str list, th_str token);

/*
 * Cuts what stands before the first ";" outside of quotes, white space trimmed, off the front of a
 * list member; the parameters are left in *params for thi_http_param_next().
 */
th_str thi_http_param_start(th_str member, th_str *params);

/*
 * Takes the next parameter off the front of *params (RFC 9110, 5.6.6). A quoted value comes with
 * its quotes (see thi_http_unquote()). Returns 1, 0 at the end, or TH_EPROTO where it is malformed.
 */
TH_MUST int thi_http_param_next(th_str *params, th_str *name, th_str *value);

/*
 * The text of a value that may be a quoted string: quotes and backslashes of quoted pairs removed.
 * out has room for value.len bytes and may be value.ptr itself. Returns the length.
 */
size_t thi_http_unquote(th_str value, char *out);

/* Reads a weight (RFC 9110, 12.4.2), "0" to "1" with up to three decimals, as thousandths; -1 if it
 * is none. */
int thi_http_weight(th_str value);

/* A media type such as text/html;charset=utf-8 (RFC 9110, 8.3.1), cut into views. */
typedef struct thi_http_media {
    th_str type;
    th_str subtype;
    th_str params; /* for thi_http_param_next() */
} thi_http_media;

/* Returns 0, or TH_EPROTO where it is malformed, its parameters included. */
TH_MUST int thi_http_media_parse(th_str value, thi_http_media *out);

#endif
