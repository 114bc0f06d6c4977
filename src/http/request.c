/* SPDX-License-Identifier: MIT */

/* Questions to a request: what the head said, what the route made of it. */
#include "base/error.h"
#include "http/secure.h"

#include <string.h>

th_str th_http_request_method(const th_http_request *q)
{
    return thi_http1_str(&q->head.head, q->head.method);
}

th_str th_http_request_target(const th_http_request *q)
{
    return thi_http1_str(&q->head.head, q->head.target);
}

th_str th_http_request_path(const th_http_request *q)
{
    return q->path;
}

th_str th_http_request_query(const th_http_request *q)
{
    return thi_http1_str(&q->head.head, q->head.query);
}

th_str th_http_request_host(const th_http_request *q)
{
    return q->meaning.host.host;
}

th_str th_http_request_header(const th_http_request *q, const char *name)
{
    const thi_http1_head *head = &q->head.head;
    if (!name)
        return (th_str){ NULL, 0 };
    uint32_t i = thi_http1_find_name(head, (th_str){ name, strlen(name) }, 0);
    return i < head->count ? thi_http1_value(head, i) : (th_str){ NULL, 0 };
}

int th_http_request_header_at(const th_http_request *q, size_t index, th_str *name, th_str *value)
{
    if (index >= q->head.head.count)
        return -ENOENT;
    *name = thi_http1_name(&q->head.head, (uint32_t)index);
    *value = thi_http1_value(&q->head.head, (uint32_t)index);
    return 0;
}

th_str th_http_request_param(const th_http_request *q, const char *name)
{
    for (size_t i = 0; name && i < q->param_count; i++)
        if (th_str_eq(q->params[i].name, (th_str){ name, strlen(name) }))
            return q->params[i].value;
    return (th_str){ NULL, 0 };
}

th_arena *th_http_request_arena(th_http_request *q)
{
    return &q->arena;
}

th_str th_http_request_scheme(const th_http_request *q)
{
    return q->conn->secure ? TH_STR("https") : TH_STR("http");
}

int th_http_request_tls(const th_http_request *q, th_tls_info *info)
{
    return q->conn->secure ? th_tls_info_get(q->conn->stream, info) : thi_err_clear(-ENOTCONN);
}

int th_http_request_early(const th_http_request *q)
{
    return thi_http1_has(&q->head.head, THI_FIELD_EARLY_DATA) || thi_http_secure_is_early(q->conn);
}

ssize_t th_http_request_cert(const th_http_request *q, size_t at, void *buf, size_t size)
{
    if (!q->conn->secure)
        return thi_err_clear(-ENOENT);
    return th_tls_cert_get(q->conn->stream, TH_TLS_CERTS_SENT, at, buf, size);
}

int th_http_request_peer(const th_http_request *q, th_addr *addr)
{
    return th_stream_peer(&q->conn->socket.base, addr);
}

int64_t th_http_request_length(const th_http_request *q)
{
    return q->meaning.framing == THI_HTTP1_CHUNKED ? -1 : (int64_t)q->meaning.length;
}
