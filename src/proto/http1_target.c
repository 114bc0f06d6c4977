/* SPDX-License-Identifier: MIT */

/*
 * The forms of a request target.
 *
 * A target decides where a request goes before any field does, so a form is accepted only with the
 * methods that it is defined for, and an authority only if it is one. User information is refused
 * as RFC 9110, 4.2.4 advises: it serves to disguise the host. Schemes other than http and https are
 * refused: nothing here serves them.
 */
#include "proto/http1_target.h"

#include "proto/authority.h"
#include "proto/chars.h"

/* RFC 9112, 3.2.3: host and port, the port not left out (RFC 9110, 9.3.6). */
static const char *split_authority(thi_http1_request *req)
{
    thi_authority authority;
    if (req->has_query || thi_authority_parse(thi_http1_str(&req->head, req->target), &authority) ||
        authority.host.len == 0 || authority.port <= 0)
        return "CONNECT needs a target of the form host:port";
    req->form = THI_HTTP1_AUTHORITY;
    req->authority = req->target;
    return NULL;
}

/* Length of "http://" or "https://" at the beginning of text, in any case; 0 for anything else. */
static uint32_t scheme_length(th_str text)
{
    static const th_str schemes[] = { { "http://", 7 }, { "https://", 8 } };
    for (unsigned i = 0; i < 2; i++) {
        if (text.len >= schemes[i].len &&
            th_str_eq_nocase(th_str_make(text.ptr, schemes[i].len), schemes[i]))
            return (uint32_t)schemes[i].len;
    }
    return 0;
}

/* RFC 9112, 3.2.2. The path keeps its own checks: brackets belong to the authority alone. */
static const char *split_absolute(thi_http1_request *req)
{
    th_str text = thi_http1_str(&req->head, req->target);
    uint32_t before_query = req->has_query ? req->query.at - 1 - req->target.at : req->target.len;
    uint32_t from = scheme_length(text);
    if (from == 0)
        return "target is neither a path nor a URL that is served here";

    uint32_t to = from;
    while (to < before_query && text.ptr[to] != '/')
        to++;
    thi_authority authority;
    if (to == from || thi_authority_parse(th_str_make(text.ptr + from, to - from), &authority) ||
        authority.host.len == 0)
        return "invalid authority in the target";
    for (uint32_t i = to; i < before_query; i++) {
        if (text.ptr[i] == '[' || text.ptr[i] == ']')
            return "bracket in the path of the target";
    }
    req->form = THI_HTTP1_ABSOLUTE;
    req->scheme = (thi_span){ req->target.at, from - 3 };
    req->authority = (thi_span){ req->target.at + from, to - from };
    req->path = (thi_span){ req->target.at + to, before_query - to };
    return NULL;
}

const char *thi_http1_target_split(thi_http1_request *req)
{
    const char *target = req->head.base + req->target.at;
    if (req->method_id == THI_HTTP_CONNECT)
        return split_authority(req);
    if (TH_LIKELY(*target == '/')) {
        uint32_t query = req->has_query ? req->query.len + 1 : 0;
        req->form = THI_HTTP1_ORIGIN;
        req->path = (thi_span){ req->target.at, req->target.len - query };
        return NULL;
    }
    if (*target == '*' && req->target.len == 1) {
        if (req->method_id != THI_HTTP_OPTIONS)
            return "target * is for OPTIONS only";
        req->form = THI_HTTP1_ASTERISK;
        return NULL;
    }
    return split_absolute(req);
}
