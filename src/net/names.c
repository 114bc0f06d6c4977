/* SPDX-License-Identifier: MIT */

/*
 * Looking up names, as users see it: a fiber asks, waits for the answers, and gets one block with
 * all that they say.
 */
#include <thrum/names.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "net/addr_rank.h"
#include "net/names_lookup.h"

#include <thrum/str.h>
#include <thrum/time.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const thi_wait_kind waits_for = { "name", THI_BY_DESCRIPTOR, offsetof(thi_bell, fd) };

static int check(const th_resolve_opts *o)
{
    bool good = o->size <= sizeof *o &&
                (o->family == 0 || o->family == TH_ADDR_IP4 || o->family == TH_ADDR_IP6);
    return good ? 0 : thi_err_clear(-EINVAL);
}

/* ---- answers ---- */

/* The answer and its addresses, and room for its name. */
static th_answer *make_answer(size_t count, const char *canonical, th_addr **addrs)
{
    size_t size = strlen(canonical) + 1;
    th_answer *made = thi_alloc(sizeof *made + count * sizeof **addrs + size);
    if (!made)
        return NULL;
    *addrs = (th_addr *)(void *)(made + 1);
    char *name = (char *)(*addrs + count);
    memcpy(name, canonical, size);
    *made = (th_answer){ .count = count, .addrs = *addrs, .canonical = name, .ttl = TH_NEVER };
    return made;
}

void th_answer_free(th_answer *answer)
{
    thi_free(answer);
}

/* For how long a set is still to be remembered. */
static int64_t ttl_of(const thi_names_set *set, const thi_loop *loop)
{
    if (set->expires == TH_NEVER)
        return TH_NEVER;
    return thi_max(set->expires - loop->now, INT64_C(0));
}

static int answer_from(const thi_lookup *l, uint16_t port, bool as_told, th_answer **answer)
{
    static const th_addr any = { .kind = TH_ADDR_NONE };
    size_t count = 0;
    const char *canonical = l->host;
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++) {
        const thi_names_set *set = thi_lookup_set(l, i);
        count += set ? set->count : 0;
        if (set)
            canonical = set->canonical;
    }
    th_addr *at = NULL;
    th_answer *made = make_answer(count, canonical, &at);
    if (!made)
        return thi_err_clear(-ENOMEM);
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++) {
        const thi_names_set *set = thi_lookup_set(l, i);
        if (!set)
            continue;
        at = thi_names_set_addrs(set, port, at);
        made->ttl = thi_min(made->ttl, ttl_of(set, l->cache->loop));
    }
    if (!as_told)
        thi_addr_sort(at - count, count, &any, NULL);
    *answer = made;
    return 0;
}

/* Without a host: this machine. */
static int answer_for_none(const th_resolve_opts *o, uint16_t port, th_answer **answer)
{
    th_addr addrs[2] = { { .kind = TH_ADDR_IP6 }, { .kind = TH_ADDR_IP4 } };
    if (!o->passive) {
        addrs[0].ip[15] = 1;
        addrs[1].ip[0] = 127;
        addrs[1].ip[3] = 1;
    }
    th_addr *at = NULL;
    th_answer *made = make_answer(o->family == 0 ? 2 : 1, o->passive ? "" : "localhost", &at);
    if (!made)
        return thi_err_clear(-ENOMEM);
    for (size_t i = 0; i < thi_array_len(addrs); i++)
        if (o->family == 0 || o->family == addrs[i].kind) {
            addrs[i].port = port;
            *at++ = addrs[i];
        }
    *answer = made;
    return 0;
}

static int answer_for_literal(const char *host, const th_addr *addr, const th_resolve_opts *o,
                              th_answer **answer)
{
    if (o->family != 0 && o->family != addr->kind)
        return thi_err_set(TH_ENAME, "'%.100s' is an address of the other family", host);
    th_addr *at = NULL;
    th_answer *made = make_answer(1, host, &at);
    if (!made)
        return thi_err_clear(-ENOMEM);
    *at = *addr;
    *answer = made;
    return 0;
}

/* ---- ports ---- */

static int find_port(const char *service, const th_resolve_opts *o, uint16_t *port)
{
    uint64_t n;
    if (!service || !*service)
        return 0;
    if (th_str_to_u64((th_str){ service, strlen(service) }, &n) == 0 && n < 65536) {
        *port = (uint16_t)n;
        return 0;
    }
    if (o->numeric || (*service >= '0' && *service <= '9'))
        return thi_err_set(TH_EADDRESS, "'%.60s' is no port", service);
    int err = thi_sched_may_park();
    return err < 0 ? thi_err_clear(err) : thi_resolver_service(service, port);
}

/* ---- hosts ---- */

static int wait_for_all(thi_lookup *l, thi_bell *bell)
{
    for (;;) {
        int step = thi_lookup_step(l);
        if (step < 0)
            return thi_lookup_failed(l, step);
        if (step > 0)
            return 0;
        int err = thi_bell_wait(bell);
        if (err < 0)
            return thi_err_set(err, "%.120s: still being looked up", l->host);
    }
}

static int resolve_host(const char *host, uint16_t port, const th_resolve_opts *o,
                        th_answer **answer)
{
    thi_bell bell;
    thi_lookup lookup;
    if (!thi_sched_self())
        return thi_err_clear(-EPERM);
    thi_bell_init(&bell, &waits_for);
    int err = thi_lookup_begin(&lookup, &bell, o->resolver, host, o->family);
    if (err < 0)
        return err;
    err = wait_for_all(&lookup, &bell);
    if (err == 0)
        err = answer_from(&lookup, port, o->as_told, answer);
    thi_lookup_end(&lookup);
    return err;
}

int th_resolve(const char *host, const char *service, const th_resolve_opts *opts,
               th_answer **answer)
{
    th_resolve_opts o = opts ? *opts : (th_resolve_opts){ 0 };
    th_addr addr;
    uint16_t port = 0;
    if (!answer)
        return thi_err_clear(-EINVAL);
    int err = check(&o);
    if (err == 0)
        err = find_port(service, &o, &port);
    if (err < 0)
        return err;
    if (!host || !*host)
        return answer_for_none(&o, port, answer);
    if (thi_names_literal(host, &addr)) {
        addr.port = port;
        return answer_for_literal(host, &addr, &o, answer);
    }
    if (o.numeric)
        return thi_err_set(TH_EADDRESS, "'%.100s' is no address", host);
    return resolve_host(host, port, &o, answer);
}

/* ---- records of other kinds ---- */

/* One question of a fiber that waits for its answer. */
typedef struct question {
    thi_asker asker;
    thi_bell bell;
    thi_names_cache *cache;
} question;

static void on_answer(thi_asker *asker)
{
    thi_bell_ring(&thi_container_of(asker, question, asker)->bell);
}

/* 0, with records in q->asker.set, which the caller gives back by thi_names_leave() however this
 * ends. */
static int ask_and_wait(question *q, const char *name, uint16_t type)
{
    int err = thi_names_ask(q->cache, &q->asker, name, type);
    while (err == 0 && !thi_asker_done(&q->asker)) {
        err = thi_bell_wait(&q->bell);
        if (err < 0)
            return thi_err_set(err, "%.120s: still being looked up", name);
    }
    if (err < 0)
        return thi_err_clear(err);
    const thi_names_set *set = q->asker.set;
    if (!set)
        return thi_err_clear(-ENOMEM);
    return set->status == 0 ? 0 : thi_err_set(set->status, "%.120s: %s", name, set->why);
}

static int begin_question(question *q, const th_resolve_opts *o)
{
    if (!thi_sched_self()) {
        (void)thi_err_clear(-EPERM);
        return -EPERM;
    }
    *q = (question){ .asker.fn = on_answer };
    thi_bell_init(&q->bell, &waits_for);
    return thi_resolver_cache(o->resolver, &q->cache);
}

/* ---- services ---- */

static int by_priority(const void *a, const void *b)
{
    const th_srv *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return (x->weight > 0) - (y->weight > 0); /* those of weight 0 first: RFC 2782 */
}

/* RFC 2782: of those that are left, each comes next with the chance that its weight says. */
static void draw(th_srv *at, size_t count, thi_random *random)
{
    for (; count > 1; at++, count--) {
        uint64_t sum = 0, i = 0;
        for (size_t k = 0; k < count; k++)
            sum += at[k].weight;
        uint64_t pick = thi_random_below(random, sum + 1);
        for (sum = at[0].weight; sum < pick; sum += at[i].weight)
            i++;
        th_srv chosen = at[i];
        memmove(at + 1, at, i * sizeof *at); /* the others keep their order */
        at[0] = chosen;
    }
}

static void put_in_order(th_srv *at, size_t count, thi_random *random)
{
    qsort(at, count, sizeof *at, by_priority);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && at[to].priority == at[from].priority;)
            to++;
        draw(at + from, to - from, random);
    }
}

static size_t bytes_of_names(const thi_names_set *set)
{
    size_t bytes = 0;
    for (size_t i = 0; i < set->count; i++)
        bytes += strlen(set->records[i].name) + 1;
    return bytes;
}

static int services_from(const question *q, th_services **services)
{
    const thi_names_set *set = q->asker.set;
    size_t size = set->count * sizeof(th_srv);
    th_services *made = thi_alloc(sizeof *made + size + bytes_of_names(set));
    if (!made)
        return thi_err_clear(-ENOMEM);
    th_srv *at = (th_srv *)(void *)(made + 1);
    char *name = (char *)at + size;
    for (size_t i = 0; i < set->count; i++) {
        const thi_names_record *r = &set->records[i];
        at[i] = (th_srv){ name, r->port, r->priority, r->weight };
        name = stpcpy(name, r->name) + 1;
    }
    *made = (th_services){ set->count, at, ttl_of(set, q->cache->loop) };
    put_in_order(at, set->count, &q->cache->random);
    *services = made;
    return 0;
}

/* A single record with the root as host: the service is not to be had there. */
static bool is_not_offered(const thi_names_set *set)
{
    return set->count == 1 && set->records[0].name[0] == '\0';
}

/* Without a dot at its end, in lower case. */
static int take_name(const char *name, char taken[THI_DNS_NAME])
{
    size_t len = strlen(name);
    len -= len > 1 && name[len - 1] == '.';
    if (!thi_dns_name_ok(name, len))
        return thi_err_set(TH_EADDRESS, "'%.100s' is no name", name);
    for (size_t i = 0; i < len; i++)
        taken[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
    taken[len] = '\0';
    return 0;
}

int th_resolve_srv(const char *name, const th_resolve_opts *opts, th_services **services)
{
    th_resolve_opts o = opts ? *opts : (th_resolve_opts){ 0 };
    char taken[THI_DNS_NAME];
    question q;
    if (!name || !services)
        return thi_err_clear(-EINVAL);
    int err = check(&o);
    if (err == 0)
        err = take_name(name, taken);
    if (err == 0)
        err = begin_question(&q, &o);
    if (err != 0)
        return err;
    err = ask_and_wait(&q, taken, THI_DNS_SRV);
    if (err == 0 && is_not_offered(q.asker.set))
        err = thi_err_set(TH_ENAME, "%.120s: the service is not offered there", taken);
    if (err == 0)
        err = services_from(&q, services);
    thi_names_leave(&q.asker);
    return err;
}

void th_services_free(th_services *services)
{
    thi_free(services);
}

/* ---- names of addresses ---- */

static int give_name(const char *found, char *name, size_t size)
{
    size_t len = strlen(found);
    if (len >= size)
        return thi_err_set(TH_ELIMIT, "a name of %zu bytes has no room in %zu", len, size);
    memcpy(name, found, len + 1);
    return (int)len;
}

/* What whoever owns the address says may be no name at all. */
static int find_name(question *q, const th_addr *addr, char *name, size_t size)
{
    char reverse[THI_DNS_NAME];
    const char *here = thi_names_conf_name(q->cache->conf, addr);
    if (here)
        return give_name(here, name, size);
    thi_dns_reverse(addr->ip, addr->kind == TH_ADDR_IP4 ? 4 : 16, reverse);
    int err = ask_and_wait(q, reverse, THI_DNS_PTR);
    if (err < 0)
        return err;
    const char *found = q->asker.set->records[0].name;
    if (!thi_dns_name_ok(found, strlen(found)))
        return thi_err_set(TH_ENAME, "%.120s: what it is said to be called is no name", reverse);
    return give_name(found, name, size);
}

int th_resolve_name(const th_addr *addr, const th_resolve_opts *opts, char *name, size_t size)
{
    th_resolve_opts o = opts ? *opts : (th_resolve_opts){ 0 };
    question q;
    if (!addr || !name || (addr->kind != TH_ADDR_IP4 && addr->kind != TH_ADDR_IP6))
        return thi_err_clear(-EINVAL);
    int err = check(&o);
    if (err == 0)
        err = begin_question(&q, &o);
    if (err != 0)
        return err;
    err = find_name(&q, addr, name, size);
    thi_names_leave(&q.asker);
    return err;
}
