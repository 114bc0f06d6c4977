/* SPDX-License-Identifier: MIT */

/*
 * What is known about a name and a type: records, or that there are none, or that nobody can tell.
 *
 * A set is built once and then only read. It belongs to one worker, where the cache and everybody
 * who asked hold references to it.
 */
#ifndef THI_NET_NAMES_SET_H
#define THI_NET_NAMES_SET_H

#include "net/names_conf.h"
#include "proto/dns.h"

/* Records of one answer that are kept; what is more is left out. */
#define THI_NAMES_RECORDS_MAX 64

typedef struct thi_names_record {
    uint8_t ip[16];
    uint32_t scope;
    uint16_t priority, weight, port;
    const char *name;
} thi_names_record;

typedef struct thi_names_set {
    unsigned refs;
    uint16_t type;   /* THI_DNS_* */
    int status;      /* 0: there are records; TH_ENAME: there are none; TH_ENAMESERVER: who knows */
    bool no_name;    /* TH_ENAME: for no other type either */
    const char *why; /* of a failure, static text */
    int64_t ttl;     /* ns for which it may be remembered when it is made; 0: not at all */
    int64_t expires; /* the loop's time at which that ends; TH_NEVER: what no server said */
    const char *canonical; /* the name in the end; NULL with a failure */
    size_t count;
    thi_names_record records[];
} thi_names_set;

/* A failure; NULL without memory. */
thi_names_set *thi_names_set_fail(uint16_t type, int status, const char *why);

/* What a name server's answer to a question says; NULL without memory. */
thi_names_set *thi_names_set_read(const uint8_t *msg, size_t len, const char *name, uint16_t type);

/* Of addresses, those of the type's family; NULL without memory. With none of that family it is a
 * failure. */
thi_names_set *thi_names_set_hosts(uint16_t type, const thi_host *hosts);

static inline thi_names_set *thi_names_set_ref(thi_names_set *set)
{
    set->refs++;
    return set;
}

/* NULL is a no-op. */
void thi_names_set_unref(thi_names_set *set);

/* The addresses among the records, with a port; returns the end of them. */
th_addr *thi_names_set_addrs(const thi_names_set *set, uint16_t port, th_addr *addrs);

#endif
