/* SPDX-License-Identifier: MIT */

/* Origins of connections; between headers as the protocol has them and as users see them. */
#include "net/origin.h"

#include "base/alloc.h"

#include <errno.h>
#include <string.h>

void thi_origin_free(thi_origin *origin)
{
    if (!origin)
        return;
    thi_peer_leave(origin->peer);
    thi_free(origin->proxied);
    thi_free(origin);
}

static void to_addr(const thi_proxy_header *h, const thi_proxy_end *end, th_addr *addr)
{
    static const uint8_t kinds[] = { TH_ADDR_NONE, TH_ADDR_IP4, TH_ADDR_IP6, TH_ADDR_UNIX };
    *addr = (th_addr){ .kind = kinds[h->kind] };
    if (addr->kind == TH_ADDR_IP4 || addr->kind == TH_ADDR_IP6) {
        addr->port = end->port;
        memcpy(addr->ip, end->ip, addr->kind == TH_ADDR_IP4 ? 4 : 16);
    } else if (end->path.len > 0) {
        addr->path_len = (uint16_t)end->path.len;
        memcpy(addr->path, end->path.ptr, end->path.len);
    }
}

/* All but the checksum, which was for the header as it came; their length. */
static size_t copy_tlvs(th_str tlvs, char *to)
{
    const char *at = tlvs.ptr;
    size_t len = 0;
    th_str value;
    uint8_t type;
    while (thi_proxy_tlv_next(&tlvs, &type, &value)) {
        size_t size = 3 + value.len;
        if (type != THI_PROXY_TLV_CRC32C) {
            memcpy(to + len, at, size);
            len += size;
        }
        at += size;
    }
    return len;
}

int thi_origin_keep(thi_origin *origin, const thi_proxy_header *h)
{
    th_proxied *p = thi_alloc(sizeof *p + h->tlvs.len);
    if (!p)
        return -ENOMEM;
    *p = (th_proxied){ .size = sizeof *p,
                       .version = h->version,
                       .local = h->local,
                       .checksum = h->checksum,
                       .tlvs = { (char *)(p + 1), 0 } };
    to_addr(h, &h->source, &p->source);
    to_addr(h, &h->destination, &p->destination);
    p->tlvs.len = copy_tlvs(h->tlvs, (char *)(p + 1));
    thi_free(origin->proxied);
    origin->proxied = p;
    return 0;
}

const th_addr *thi_origin_source(const thi_origin *origin)
{
    const th_proxied *p = origin ? origin->proxied : NULL;
    return p && p->source.kind != TH_ADDR_NONE ? &p->source : NULL;
}
