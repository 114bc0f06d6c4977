/* SPDX-License-Identifier: MIT */

/*
 * What a head means.
 *
 * Two servers in a row that disagree about where a body ends let a client hide a request in
 * another's body. The rules below therefore never repair and never guess: a message whose framing
 * could be read in two ways is refused. Each rule names its section; where the RFC leaves a choice,
 * the strict side is taken and the comment says so.
 */
#include "proto/http1_semantics.h"

#include <thrum/error.h>

#include "proto/chars.h"
#include "proto/http_list.h"

/* What the Connection fields ask for (RFC 9110, 7.6.1). */
typedef struct options {
    bool close;
    bool keep_alive;
    bool upgrade;
} options;

/* Refuses because of field i. */
static int refuse(const thi_http1_head *head, uint32_t i, int status, const char *reason,
                  thi_http1_error *err)
{
    size_t offset = i < head->count ? head->fields[i].name.at : 0;
    *err = (thi_http1_error){ status, offset, reason };
    return TH_EPROTO;
}

/* Takes the next member off a list of tokens, where a quote is no more than a wrong byte: it cannot
 * hide what follows it. */
static th_str next_option(th_str *rest)
{
    th_str option = *rest;
    if (!th_str_split_once(*rest, ',', &option, rest))
        *rest = th_str_make(NULL, 0);
    return th_str_trim_ows(option);
}

static options connection_options(const thi_http1_head *head)
{
    options found = { false, false, false };
    uint32_t i = thi_http1_find(head, THI_FIELD_CONNECTION, 0);
    for (; i < head->count; i = thi_http1_find(head, THI_FIELD_CONNECTION, i + 1)) {
        th_str list = thi_http1_value(head, i);
        while (list.len > 0) {
            th_str option = next_option(&list);
            found.close |= th_str_eq_nocase(option, TH_STR("close"));
            found.keep_alive |= th_str_eq_nocase(option, TH_STR("keep-alive"));
            found.upgrade |= th_str_eq_nocase(option, TH_STR("upgrade"));
        }
    }
    return found;
}

/* RFC 9112, 9.3. */
static bool is_persistent(const thi_http1_head *head, options asked)
{
    return !asked.close && (head->minor >= 1 || asked.keep_alive);
}

/*
 * RFC 9112, 6.3 rule 5 and RFC 9110, 8.6: one field with digits only. A repeated or listed length
 * is refused even if all are equal, as 8.6 permits. Lengths from 2^63 on are refused: no offset
 * holds them.
 */
static int content_length(const thi_http1_head *head, thi_http1_meaning *out, thi_http1_error *err)
{
    uint32_t i = thi_http1_find(head, THI_FIELD_CONTENT_LENGTH, 0);
    if (i == head->count)
        return 0;
    uint32_t second = thi_http1_find(head, THI_FIELD_CONTENT_LENGTH, i + 1);
    if (second < head->count)
        return refuse(head, second, 400, "more than one Content-Length", err);
    uint64_t length;
    if (th_str_to_u64(thi_http1_value(head, i), &length) < 0 || length > INT64_MAX)
        return refuse(head, i, 400, "invalid Content-Length", err);
    out->has_length = true;
    out->length = length;
    out->framing = length > 0 ? THI_HTTP1_LENGTH : THI_HTTP1_NO_BODY;
    return 0;
}

/*
 * Why a list of transfer codings that is not simply "chunked" is refused: 501 for a coding that is
 * not known (RFC 9112, 6.1), 400 where chunked is there but repeated, followed by another coding,
 * given parameters or otherwise malformed (6.1, 6.3 rule 4, 7.1).
 */
static int coding_fault(const thi_http1_head *head, uint32_t i)
{
    bool chunked = false, unknown = false;
    for (; i < head->count; i = thi_http1_find(head, THI_FIELD_TRANSFER_ENCODING, i + 1)) {
        th_str list = thi_http1_value(head, i);
        th_str member, params;
        while (thi_http_list_next(&list, &member)) {
            th_str coding = thi_http_param_start(member, &params);
            if (chunked || !thi_http_is_token(coding))
                return 400;
            if (th_str_eq_nocase(coding, TH_STR("chunked")))
                chunked = true;
            else
                unknown = true;
        }
    }
    return unknown ? 501 : 400;
}

/* RFC 9112, 6.1: exactly "chunked", in HTTP/1.1, and without a Content-Length beside it. */
static int transfer_coding(const thi_http1_head *head, thi_http1_meaning *out, thi_http1_error *err)
{
    uint32_t i = thi_http1_find(head, THI_FIELD_TRANSFER_ENCODING, 0);
    if (head->minor == 0)
        return refuse(head, i, 400, "Transfer-Encoding in HTTP/1.0", err);
    if (thi_http1_has(head, THI_FIELD_CONTENT_LENGTH))
        return refuse(head, i, 400, "both Transfer-Encoding and Content-Length", err);
    if (thi_http1_find(head, THI_FIELD_TRANSFER_ENCODING, i + 1) < head->count ||
        !th_str_eq_nocase(thi_http1_value(head, i), TH_STR("chunked")))
        return refuse(head, i, coding_fault(head, i), "transfer coding other than chunked", err);
    out->framing = THI_HTTP1_CHUNKED;
    return 0;
}

/* RFC 9112, 6.3 rules 3 to 5 for requests and responses alike. */
static int framing(const thi_http1_head *head, thi_http1_meaning *out, thi_http1_error *err)
{
    if (thi_http1_has(head, THI_FIELD_TRANSFER_ENCODING))
        return transfer_coding(head, out, err);
    return content_length(head, out, err);
}

/*
 * RFC 9112, 3.2: exactly one valid Host in HTTP/1.1, at most one in HTTP/1.0. 3.2.2: it is checked
 * but not used when the target names the authority. Where it does count, an empty one is refused,
 * since an http URL without a host is invalid (RFC 9110, 4.2.1). A comma, which RFC 3986 lets a
 * name contain, is refused because it is two Host fields that somebody on the way has made one.
 */
static int host(const thi_http1_request *req, thi_http1_meaning *out, thi_http1_error *err)
{
    const thi_http1_head *head = &req->head;
    uint32_t i = thi_http1_find(head, THI_FIELD_HOST, 0);
    if (i == head->count && head->minor >= 1)
        return refuse(head, i, 400, "no Host", err);
    if (i < head->count) {
        uint32_t second = thi_http1_find(head, THI_FIELD_HOST, i + 1);
        if (second < head->count)
            return refuse(head, second, 400, "more than one Host", err);
        th_str value = thi_http1_value(head, i);
        if (thi_authority_parse(value, &out->host) < 0 || memchr(value.ptr, ',', value.len))
            return refuse(head, i, 400, "invalid Host", err);
    }
    if (req->authority.len > 0) {
        if (thi_authority_parse(thi_http1_str(head, req->authority), &out->host) < 0)
            return refuse(head, head->count, 400, "invalid authority in the target", err);
    } else if (head->minor >= 1 && out->host.host.len == 0) {
        return refuse(head, i, 400, "empty Host", err);
    }
    return 0;
}

/*
 * RFC 9110, 10.1.1: 100-continue is the only expectation there is, another one is answered with
 * 417. It is ignored in HTTP/1.0, and moot without a body.
 */
static int expectation(const thi_http1_head *head, thi_http1_meaning *out, thi_http1_error *err)
{
    if (head->minor == 0)
        return 0;
    uint32_t i = thi_http1_find(head, THI_FIELD_EXPECT, 0);
    for (; i < head->count; i = thi_http1_find(head, THI_FIELD_EXPECT, i + 1)) {
        th_str list = thi_http1_value(head, i);
        th_str member;
        while (thi_http_list_next(&list, &member)) {
            if (!th_str_eq_nocase(member, TH_STR("100-continue")))
                return refuse(head, i, 417, "unknown expectation", err);
            out->expect_continue = out->framing != THI_HTTP1_NO_BODY;
        }
    }
    return 0;
}

static thi_http1_meaning no_meaning(void)
{
    return (thi_http1_meaning){ .framing = THI_HTTP1_NO_BODY,
                                .host = { .kind = THI_HOST_NAME, .port = -1 } };
}

/* The fields, besides Host, from which a request's meaning is made. Most requests have none. */
#define MEANING_FIELDS                                                                             \
    (UINT64_C(1) << THI_FIELD_CONTENT_LENGTH | UINT64_C(1) << THI_FIELD_TRANSFER_ENCODING |        \
     UINT64_C(1) << THI_FIELD_EXPECT | UINT64_C(1) << THI_FIELD_CONNECTION)

int thi_http1_request_meaning(const thi_http1_request *req, thi_http1_meaning *out,
                              thi_http1_error *err)
{
    const thi_http1_head *head = &req->head;
    thi_http1_meaning found = no_meaning();
    if (host(req, &found, err) < 0)
        return TH_EPROTO;
    if (TH_LIKELY(!(head->known & MEANING_FIELDS))) {
        found.keep_alive = head->minor >= 1;
        *out = found;
        return 0;
    }
    if (framing(head, &found, err) < 0 || expectation(head, &found, err) < 0)
        return TH_EPROTO;

    options asked = connection_options(head);
    found.keep_alive = is_persistent(head, asked);
    /* RFC 9110, 7.8: ignored in HTTP/1.0; the connection option must go with it. */
    found.upgrade = asked.upgrade && head->minor >= 1 && thi_http1_has(head, THI_FIELD_UPGRADE);
    *out = found;
    return 0;
}

/* RFC 9112, 6.3 rules 1 and 2: whatever the fields say, no body follows. */
static bool never_has_body(int status, thi_http_method method, bool connected)
{
    return method == THI_HTTP_HEAD || status < 200 || status == 204 || status == 304 || connected;
}

int thi_http1_response_meaning(const thi_http1_response *res, thi_http_method method,
                               thi_http1_meaning *out, thi_http1_error *err)
{
    const thi_http1_head *head = &res->head;
    bool connected = method == THI_HTTP_CONNECT && res->status >= 200 && res->status < 300;
    thi_http1_meaning found = no_meaning();
    /* RFC 9110, 9.3.6: framing fields in a successful answer to CONNECT are ignored. */
    if (!connected && framing(head, &found, err) < 0) {
        err->status = 502;
        return TH_EPROTO;
    }
    found.upgrade = res->status == 101 || connected;
    found.keep_alive = is_persistent(head, connection_options(head));
    if (never_has_body(res->status, method, connected)) {
        found.framing = THI_HTTP1_NO_BODY;
    } else if (found.framing == THI_HTTP1_NO_BODY && !found.has_length) {
        found.framing = THI_HTTP1_UNTIL_CLOSE; /* 6.3 rule 8 */
        found.keep_alive = false;
    }
    *out = found;
    return 0;
}
