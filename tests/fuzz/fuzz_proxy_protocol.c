/* SPDX-License-Identifier: MIT */

/* The PROXY protocol: what its parser and writer must promise whatever comes in. */
#include "proto/proxy_protocol.h"

#include <thrum/error.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* Parses a copy of exactly the size, so that a sanitizer sees the first byte read too many. */
static ssize_t parse(const uint8_t *data, size_t size, thi_proxy_header *h)
{
    const char *reason = NULL;
    char *copy = malloc(size ? size : 1);
    expect(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    ssize_t n = thi_proxy_parse(copy, size, h, &reason);
    expect(n <= (ssize_t)size);
    expect(n >= 0 || (reason && (n == TH_EPROTO || n == TH_ELIMIT)));
    if (n > 0) {
        th_str rest = h->tlvs;
        th_str value;
        uint8_t type;
        while (thi_proxy_tlv_next(&rest, &type, &value))
            expect(value.ptr >= copy && value.ptr + value.len <= copy + n);
        expect(rest.len == 0);
        expect(h->source.path.len <= THI_PROXY_UNIX_SIZE);
    }
    free(copy);
    return n;
}

static bool same_end(const thi_proxy_end *a, const thi_proxy_end *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->port == b->port &&
           th_str_eq(a->path, b->path);
}

/* What was understood is written, and understood as the same again. */
static void check_again(const uint8_t *data, size_t size)
{
    thi_proxy_header h;
    thi_proxy_header again;
    const char *reason;
    char buf[THI_PROXY_V2_MAX];
    if (thi_proxy_parse((const char *)data, size, &h, &reason) <= 0)
        return;
    h.checksum = false; /* its TLV is among the others already, and is right for these bytes only */
    for (th_str rest = h.tlvs; rest.len > 0;) {
        uint8_t type;
        th_str value;
        if (!thi_proxy_tlv_next(&rest, &type, &value) || type == THI_PROXY_TLV_CRC32C)
            return;
    }
    for (int checksum = 0; checksum < 2; checksum++) {
        h.checksum = checksum && h.version == 2 && !h.local;
        size_t len = thi_proxy_write(&h, buf, sizeof buf);
        if (len == 0) { /* no room for the checksum */
            expect(h.checksum);
            continue;
        }
        expect(thi_proxy_parse(buf, len, &again, &reason) == (ssize_t)len);
        expect(again.version == h.version && again.kind == h.kind && again.local == h.local);
        expect(again.checksum == h.checksum && again.datagrams == h.datagrams);
        expect(same_end(&again.source, &h.source));
        expect(same_end(&again.destination, &h.destination));
        expect(again.tlvs.len == h.tlvs.len + (h.checksum ? 7 : 0));
        expect(thi_proxy_write(&h, buf, len - 1) == 0);
    }
}

/* A header in pieces is understood at the same place, and refused no later than whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    thi_proxy_header h;
    ssize_t whole = parse(data, size, &h);
    size_t tried = size < 300 ? size : 300;
    for (size_t i = 0; i < tried; i++) {
        ssize_t n = parse(data, i, &h);
        if (whole > 0)
            expect(n == (i < (size_t)whole ? 0 : whole));
        else if (whole == 0)
            expect(n == 0);
        else
            expect(n <= 0);
    }
    check_again(data, size);
    return 0;
}
