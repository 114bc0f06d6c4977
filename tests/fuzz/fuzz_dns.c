/* SPDX-License-Identifier: MIT */

/* Answers of name servers: nothing in them may be read beyond its end, or given out that is no
 * name. The first byte says which type was asked for. */
#include "proto/dns.h"

#include <thrum/error.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* Names are lower case, short, and free of what a terminal or a shell could take for something. */
static void check_name(const char *name)
{
    expect(memchr(name, '\0', THI_DNS_NAME) != NULL);
    for (; *name; name++)
        expect(*name > ' ' && *name < 127 && !strchr("\\\"'`$;&|<>", *name) &&
               !(*name >= 'A' && *name <= 'Z'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t types[] = { THI_DNS_A, THI_DNS_AAAA, THI_DNS_SRV, THI_DNS_PTR };
    thi_dns_reply reply;
    thi_dns_record record;
    if (size == 0)
        return 0;
    uint16_t type = types[data[0] % 4];
    int err = thi_dns_read(&reply, data + 1, size - 1, "a", type);
    expect(err == 0 || err == TH_EPROTO);
    if (err < 0)
        return 0;
    check_name(reply.canonical);
    size_t count = 0;
    while (thi_dns_next(&reply, &record)) {
        count++;
        if (type == THI_DNS_SRV || type == THI_DNS_PTR)
            check_name(record.name);
    }
    expect(count <= reply.count);
    return 0;
}
