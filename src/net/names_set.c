/* SPDX-License-Identifier: MIT */

/* Sets of records: one block each, with its names behind the records. */
#include "net/names_set.h"

#include "base/alloc.h"
#include "base/util.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <string.h>

#define TTL_LONGEST (24 * TH_HOUR)   /* what a server says is believed for so long */
#define TTL_NOTHING (15 * TH_MINUTE) /* that there is nothing */
#define TTL_FAILED  TH_SECOND        /* that no server can tell: RFC 9520, 3.2 */

static const char no_such_name[] = "there is no such name";
static const char no_records[] = "the name has no records of this kind";
static const char broken[] = "the answer of the name server is broken";
static const char no_sense[] = "the name servers failed";

thi_names_set *thi_names_set_fail(uint16_t type, int status, const char *why)
{
    thi_names_set *set = thi_calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->refs = 1;
    set->type = type;
    set->status = status;
    set->why = why;
    set->ttl = TTL_FAILED;
    return set;
}

void thi_names_set_unref(thi_names_set *set)
{
    if (set && --set->refs == 0)
        thi_free(set);
}

/* A set with room for records and so many bytes of names, which *names leads to. */
static thi_names_set *with_room(uint16_t type, size_t count, size_t bytes, char **names)
{
    size_t records = count * sizeof(thi_names_record);
    thi_names_set *set = thi_calloc(1, sizeof *set + records + bytes);
    if (!set)
        return NULL;
    set->refs = 1;
    set->type = type;
    *names = (char *)set + sizeof *set + records;
    return set;
}

static const char *keep(char **names, const char *name)
{
    size_t size = strlen(name) + 1;
    char *kept = memcpy(*names, name, size);
    *names += size;
    return kept;
}

/* ---- of an answer ---- */

static size_t measure(thi_dns_reply reply, size_t count)
{
    thi_dns_record record = { .name = "" };
    size_t bytes = strlen(reply.canonical) + 1;
    while (count-- > 0 && thi_dns_next(&reply, &record))
        bytes += strlen(record.name) + 1;
    return bytes;
}

static thi_names_set *nothing(const thi_dns_reply *reply)
{
    bool no_name = reply->rcode == THI_DNS_NO_SUCH_NAME;
    thi_names_set *set =
        thi_names_set_fail(reply->type, TH_ENAME, no_name ? no_such_name : no_records);
    if (!set)
        return NULL;
    set->no_name = no_name;
    set->ttl = thi_min(reply->ttl * TH_SECOND, TTL_NOTHING);
    return set;
}

static void fill(thi_names_set *set, thi_dns_reply *reply, size_t most, char *names)
{
    thi_dns_record record = { .name = "" };
    set->canonical = keep(&names, reply->canonical);
    while (set->count < most && thi_dns_next(reply, &record)) {
        thi_names_record *r = &set->records[set->count++];
        memcpy(r->ip, record.ip, sizeof r->ip);
        r->priority = record.priority;
        r->weight = record.weight;
        r->port = record.port;
        r->name = keep(&names, record.name);
    }
}

thi_names_set *thi_names_set_read(const uint8_t *msg, size_t len, const char *name, uint16_t type)
{
    thi_dns_reply reply;
    char *names = NULL;
    if (thi_dns_read(&reply, msg, len, name, type) < 0)
        return thi_names_set_fail(type, TH_ENAMESERVER, broken);
    if (reply.rcode != THI_DNS_OK && reply.rcode != THI_DNS_NO_SUCH_NAME)
        return thi_names_set_fail(type, TH_ENAMESERVER, no_sense);
    size_t most = thi_min(reply.count, (size_t)THI_NAMES_RECORDS_MAX);
    if (most == 0)
        return nothing(&reply);
    thi_names_set *set = with_room(type, most, measure(reply, most), &names);
    if (!set)
        return NULL;
    set->ttl = thi_min(reply.ttl * TH_SECOND, TTL_LONGEST);
    fill(set, &reply, most, names);
    if (set->count > 0)
        return set;
    thi_names_set_unref(set); /* records, but none of them makes sense */
    return thi_names_set_fail(type, TH_ENAMESERVER, broken);
}

/* ---- of addresses ---- */

static bool is_of(const thi_host *host, uint16_t type)
{
    return host->addr.kind == (type == THI_DNS_A ? TH_ADDR_IP4 : TH_ADDR_IP6);
}

thi_names_set *thi_names_set_hosts(uint16_t type, const thi_host *hosts)
{
    char *names = NULL;
    size_t count = 0;
    for (const thi_host *h = hosts; h; h = h->next)
        count += is_of(h, type);
    count = thi_min(count, (size_t)THI_NAMES_RECORDS_MAX);
    if (count == 0)
        return thi_names_set_fail(type, TH_ENAME, no_records);
    thi_names_set *set = with_room(type, count, strlen(hosts->name) + 1, &names);
    if (!set)
        return NULL;
    set->canonical = keep(&names, hosts->name);
    set->expires = TH_NEVER;
    for (; hosts && set->count < count; hosts = hosts->next) {
        if (!is_of(hosts, type))
            continue;
        thi_names_record *r = &set->records[set->count++];
        memcpy(r->ip, hosts->addr.ip, sizeof r->ip);
        r->scope = hosts->addr.scope;
        r->name = "";
    }
    return set;
}

th_addr *thi_names_set_addrs(const thi_names_set *set, uint16_t port, th_addr *addrs)
{
    for (size_t i = 0; i < set->count; i++, addrs++) {
        const thi_names_record *r = &set->records[i];
        *addrs = (th_addr){ .kind = set->type == THI_DNS_A ? TH_ADDR_IP4 : TH_ADDR_IP6,
                            .port = port,
                            .scope = r->scope };
        memcpy(addrs->ip, r->ip, sizeof addrs->ip);
    }
    return addrs;
}
