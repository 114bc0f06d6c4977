/* SPDX-License-Identifier: MIT */

/* The PROXY protocol as users see it: what was said of a connection, and saying it. */
#include <thrum/proxied.h>

#include "base/error.h"
#include "io/stream.h"
#include "net/origin.h"

#include <errno.h>
#include <string.h>

/* What is sent has to fit a fiber's stack, and should fit the first segment. */
#define HEADER_MAX 1024

int th_stream_proxied(th_stream *stream, th_proxied *proxied)
{
    if (!stream || !proxied)
        return thi_err_clear(-EINVAL);
    const thi_origin *origin = NULL;
    int err = stream->ops->origin ? stream->ops->origin(stream, &origin) : 0;
    if (err < 0)
        return thi_err_clear(err);
    if (!origin || !origin->proxied)
        return thi_err_clear(-ENOENT);
    *proxied = *origin->proxied;
    return 0;
}

int th_proxied_tlv(const th_proxied *proxied, int type, th_str *value)
{
    if (!proxied || !value)
        return thi_err_clear(-EINVAL);
    th_str rest = proxied->tlvs;
    th_str found;
    uint8_t own;
    while (thi_proxy_tlv_next(&rest, &own, &found)) {
        if (own != type)
            continue;
        *value = found;
        return 0;
    }
    return thi_err_clear(-ENOENT);
}

int th_proxied_of(th_stream *client, th_proxied *proxied)
{
    if (!client || !proxied)
        return thi_err_clear(-EINVAL);
    th_proxied p = { .size = sizeof p };
    int err = th_stream_proxied(client, &p);
    if (err == -ENOENT) {
        err = th_stream_peer(client, &p.source);
        if (err == 0)
            err = th_stream_local(client, &p.destination);
    }
    if (err < 0)
        return err;
    if (p.source.kind != p.destination.kind)
        p.source.kind = p.destination.kind = TH_ADDR_NONE;
    p.version = 2;
    *proxied = p;
    return 0;
}

static void to_end(const th_addr *addr, thi_proxy_end *end)
{
    if (addr->kind == TH_ADDR_IP4 || addr->kind == TH_ADDR_IP6) {
        end->port = addr->port;
        memcpy(end->ip, addr->ip, addr->kind == TH_ADDR_IP4 ? 4 : 16);
    } else if (addr->kind == TH_ADDR_UNIX) {
        end->path = th_str_make(addr->path, addr->path_len);
    }
}

/* All of them must be whole, and the checksum is for the writer to add. */
static bool are_tlvs(th_str tlvs)
{
    th_str value;
    uint8_t type;
    while (thi_proxy_tlv_next(&tlvs, &type, &value))
        if (type == THI_PROXY_TLV_CRC32C)
            return false;
    return tlvs.len == 0;
}

int th_proxied_send(const th_proxied *proxied, th_stream *stream)
{
    static const uint8_t kinds[] = { THI_PROXY_NONE, THI_PROXY_IP4, THI_PROXY_IP6, THI_PROXY_UNIX };
    char buf[HEADER_MAX];
    if (!proxied || !stream || proxied->size > sizeof *proxied || proxied->version < 0 ||
        proxied->version > 2 || proxied->source.kind != proxied->destination.kind ||
        proxied->source.kind > TH_ADDR_UNIX || !are_tlvs(proxied->tlvs))
        return thi_err_clear(-EINVAL);
    thi_proxy_header h = { .version = proxied->version == 1 ? 1 : 2,
                           .kind = kinds[proxied->source.kind],
                           .local = proxied->local,
                           .checksum = proxied->checksum,
                           .tlvs = proxied->tlvs };
    to_end(&proxied->source, &h.source);
    to_end(&proxied->destination, &h.destination);
    size_t len = thi_proxy_write(&h, buf, sizeof buf);
    if (len == 0)
        return thi_err_set(TH_ELIMIT, "the PROXY header has more than %d bytes", HEADER_MAX);
    ssize_t n = th_stream_write(stream, buf, len);
    return n < 0 ? (int)n : 0;
}
