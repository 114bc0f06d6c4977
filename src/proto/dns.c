/* SPDX-License-Identifier: MIT */

/*
 * Reading answers.
 *
 * A name may end in a pointer to an earlier place of the message. Each pointer must lead to before
 * the place where the present piece began, so that no circle is possible. A label may hold any
 * byte; a name with one that is no part of host names reads as "", which nobody has asked for,
 * instead of reaching a terminal or a log.
 *
 * Aliases may come in any order, though mostly they do not: the chain is found by searching for
 * each of its links.
 */
#include "proto/dns.h"

#include "proto/chars.h"

#include <thrum/error.h>

#include <stdio.h>
#include <string.h>

#define HEADER    12
#define CHAIN_MAX 16
#define CLASS_IN  1
#define LABEL_MAX 63
#define TEXT_MAX  253 /* bytes of a name as text: RFC 1035, 2.3.4 */
#define TTL_MAX   INT32_MAX

/* A record as it stands in the message. */
typedef struct raw {
    char owner[THI_DNS_NAME];
    uint16_t type;
    uint16_t class;
    uint32_t ttl;
    size_t at; /* of its data */
    size_t len;
} raw;

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* Hyphen, underscore, the slash of RFC 2317, the asterisk of wildcards. */
static bool is_plain(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '/' || c == '*';
}

/* Appends a label; false when the name is too long for one. */
static bool append(char *name, size_t *len, const uint8_t *label, size_t n, bool *odd)
{
    if (*len + n + 1 > TEXT_MAX)
        return false;
    if (*len > 0)
        name[(*len)++] = '.';
    for (size_t i = 0; i < n; i++) {
        *odd |= !is_plain(label[i]);
        name[(*len)++] = thi_char_lower((char)label[i]);
    }
    return true;
}

/* Reads the name at `at` and returns where it ends; 0 when it is broken. */
static size_t read_name(const thi_dns_reply *r, size_t at, char name[THI_DNS_NAME])
{
    size_t end = 0, len = 0, before = at;
    bool odd = false;
    for (;;) {
        if (at >= r->len)
            return 0;
        unsigned n = r->msg[at++];
        if (n == 0)
            break;
        if (n > LABEL_MAX) {
            if (n < 0xc0 || at >= r->len)
                return 0;
            size_t to = (n & 0x3fu) << 8 | r->msg[at++];
            if (end == 0)
                end = at;
            if (to >= before)
                return 0;
            at = before = to;
            continue;
        }
        if (at + n > r->len || !append(name, &len, r->msg + at, n, &odd))
            return 0;
        at += n;
    }
    name[odd ? 0 : len] = '\0';
    return end ? end : at;
}

/* Reads the record at *at and moves on behind it; false when it is broken. */
static bool read_record(const thi_dns_reply *r, size_t *at, raw *record)
{
    size_t from = read_name(r, *at, record->owner);
    if (from == 0 || from + 10 > r->len)
        return false;
    const uint8_t *head = r->msg + from;
    record->type = (uint16_t)get16(head);
    record->class = (uint16_t)get16(head + 2);
    record->ttl = get32(head + 4);
    if (record->ttl > TTL_MAX) /* RFC 2181, 8 */
        record->ttl = 0;
    record->len = get16(head + 8);
    record->at = from + 10;
    *at = record->at + record->len;
    return *at <= r->len;
}

static bool is_about(const thi_dns_reply *r, const raw *record, uint16_t type)
{
    return record->type == type && record->class == CLASS_IN &&
           strcmp(record->owner, r->canonical) == 0;
}

static void bound(uint32_t *ttl, uint32_t by)
{
    if (by < *ttl)
        *ttl = by;
}

/* Goes one link along the chain: 1, or 0 at its end, or TH_EPROTO. */
static int follow(thi_dns_reply *r)
{
    raw record;
    size_t at = r->answers_at;
    for (unsigned i = 0; i < r->answers; i++) {
        if (!read_record(r, &at, &record))
            return TH_EPROTO;
        if (!is_about(r, &record, THI_DNS_CNAME))
            continue;
        bound(&r->ttl, record.ttl);
        return read_name(r, record.at, r->canonical) ? 1 : TH_EPROTO;
    }
    return 0;
}

/* Counts the records at the end of the chain, and finds where the section ends. */
static int count_answers(thi_dns_reply *r, size_t *end)
{
    raw record;
    *end = r->answers_at;
    for (unsigned i = 0; i < r->answers; i++) {
        if (!read_record(r, end, &record))
            return TH_EPROTO;
        if (!is_about(r, &record, r->type))
            continue;
        bound(&r->ttl, record.ttl);
        r->count++;
    }
    return 0;
}

/* For how long it may be remembered that there is nothing: RFC 2308, 5. */
static uint32_t ttl_of_nothing(const thi_dns_reply *r, size_t at, unsigned authorities)
{
    raw record;
    char name[THI_DNS_NAME];
    for (unsigned i = 0; i < authorities && read_record(r, &at, &record); i++) {
        if (record.type != THI_DNS_SOA || record.class != CLASS_IN)
            continue;
        size_t from = read_name(r, record.at, name);
        from = from ? read_name(r, from, name) : 0;
        if (from == 0 || from + 20 > record.at + record.len)
            return 0;
        bound(&record.ttl, get32(r->msg + from + 16));
        return record.ttl;
    }
    return 0;
}

static size_t skip_questions(const thi_dns_reply *r, unsigned count)
{
    char name[THI_DNS_NAME];
    size_t at = HEADER;
    for (; count > 0 && at > 0; count--) {
        at = read_name(r, at, name);
        at = at > 0 && at + 4 <= r->len ? at + 4 : 0;
    }
    return at;
}

static void lower(char name[THI_DNS_NAME], const char *from)
{
    size_t i = 0;
    for (; from[i] && i < THI_DNS_NAME - 1; i++)
        name[i] = thi_char_lower(from[i]);
    name[i] = '\0';
}

int thi_dns_read(thi_dns_reply *r, const uint8_t *msg, size_t len, const char *name, uint16_t type)
{
    if (len < HEADER)
        return TH_EPROTO;
    *r = (thi_dns_reply){ .msg = msg, .len = len, .type = type, .ttl = TTL_MAX };
    r->rcode = msg[3] & 15;
    r->answers = get16(msg + 6);
    r->answers_at = skip_questions(r, get16(msg + 4));
    if (r->answers_at == 0)
        return TH_EPROTO;
    lower(r->canonical, name);
    int link = 1;
    for (int i = 0; link > 0; i++) {
        if (i > CHAIN_MAX)
            return TH_EPROTO;
        link = follow(r);
    }
    size_t end = 0;
    if (link == 0)
        link = count_answers(r, &end);
    if (link < 0)
        return link;
    if (r->count == 0)
        bound(&r->ttl, ttl_of_nothing(r, end, get16(msg + 8)));
    r->next_at = r->answers_at;
    return 0;
}

static bool read_target(const thi_dns_reply *r, const raw *from, thi_dns_record *record)
{
    const uint8_t *data = r->msg + from->at;
    size_t at = from->at;
    if (r->type == THI_DNS_SRV) {
        if (from->len < 7)
            return false;
        record->priority = (uint16_t)get16(data);
        record->weight = (uint16_t)get16(data + 2);
        record->port = (uint16_t)get16(data + 4);
        at += 6;
    }
    /* A name of other bytes reads as that of the root, which it is not. */
    bool root = r->msg[at] == 0;
    return read_name(r, at, record->name) > 0 && (root || record->name[0] != '\0');
}

static bool read_data(const thi_dns_reply *r, const raw *from, thi_dns_record *record)
{
    const uint8_t *data = r->msg + from->at;
    switch (r->type) {
    case THI_DNS_A:
        memcpy(record->ip, data, from->len == 4 ? 4 : 0);
        return from->len == 4;
    case THI_DNS_AAAA:
        memcpy(record->ip, data, from->len == 16 ? 16 : 0);
        return from->len == 16;
    default:
        return from->len > 0 && read_target(r, from, record);
    }
}

bool thi_dns_next(thi_dns_reply *r, thi_dns_record *record)
{
    raw from;
    while (r->next < r->answers && read_record(r, &r->next_at, &from)) {
        r->next++;
        if (is_about(r, &from, r->type) && read_data(r, &from, record))
            return true;
    }
    return false;
}

bool thi_dns_name_ok(const char *name, size_t len)
{
    size_t label = 0;
    if (len == 0 || len > TEXT_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.' && label == 0)
            return false;
        if (name[i] != '.' && (!is_plain((uint8_t)name[i]) || name[i] == '/' || name[i] == '*'))
            return false;
        label = name[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return label > 0;
}

void thi_dns_reverse(const uint8_t *ip, size_t size, char name[THI_DNS_NAME])
{
    if (size == 4) {
        (void)snprintf(name, THI_DNS_NAME, "%u.%u.%u.%u.in-addr.arpa", ip[3], ip[2], ip[1], ip[0]);
        return;
    }
    char *at = name;
    for (size_t i = 16; i-- > 0;) {
        *at++ = "0123456789abcdef"[ip[i] & 15];
        *at++ = '.';
        *at++ = "0123456789abcdef"[ip[i] >> 4];
        *at++ = '.';
    }
    memcpy(at, "ip6.arpa", sizeof "ip6.arpa");
}
