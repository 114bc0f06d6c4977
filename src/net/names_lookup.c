/* SPDX-License-Identifier: MIT */

/*
 * Which names are tried, and when the search is over.
 *
 * resolv.conf(5): a name with at least `ndots` dots is tried as it is before the domains of the
 * search, another one after them. One with a dot at its end is not searched for. The families are
 * tried together, because addresses of two different names must not be mixed: the first name that
 * has any address is the one.
 *
 * When all have failed, that nobody could tell beats that there is nothing: it may be there after
 * all. One family's failure says nothing when the other has addresses.
 */
#include "net/names_lookup.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "proto/chars.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint16_t types[] = { [THI_LOOKUP_IP6] = THI_DNS_AAAA, [THI_LOOKUP_IP4] = THI_DNS_A };

static void on_answer(thi_asker *asker)
{
    thi_bell_ring(thi_container_of(asker, thi_lookup_half, asker)->bell);
}

bool thi_lookup_is_number(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot ? dot + 1 : host;
    if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
        return last[2 + strspn(last + 2, "0123456789abcdefABCDEF")] == '\0';
    return last[strspn(last, "0123456789")] == '\0';
}

/* Takes the name over; RFC 7686 and the forms of inet_aton(3) are refused. */
static int take_host(thi_lookup *l, const char *host, bool *absolute)
{
    size_t len = strlen(host);
    *absolute = len > 1 && host[len - 1] == '.';
    len -= *absolute;
    if (!thi_dns_name_ok(host, len))
        return thi_err_set(TH_EADDRESS, "'%.100s' is neither an address nor a name", host);
    for (size_t i = 0; i < len; i++)
        l->host[i] = thi_char_lower(host[i]);
    l->host[len] = '\0';
    if (thi_lookup_is_number(l->host))
        return thi_err_set(TH_EADDRESS, "'%.100s' is no IPv4 address", host);
    return 0;
}

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);
    return len >= n && strcmp(name + len - n, end) == 0 && (len == n || name[len - n - 1] == '.');
}

/* ---- names of this machine ---- */

static const thi_host loopback4 = { .addr = { .kind = TH_ADDR_IP4, .ip = { 127, 0, 0, 1 } },
                                    .name = "localhost" };
static const thi_host loopback6 = { .addr = { .kind = TH_ADDR_IP6, .ip = { [15] = 1 } },
                                    .name = "localhost" };

/* Fills a family from addresses that are known. */
static int give(thi_lookup *l, int family, const thi_host *hosts)
{
    if (!l->asked[family])
        return 0;
    l->halves[family].asker.set = thi_names_set_hosts(types[family], hosts);
    if (!l->halves[family].asker.set)
        return thi_err_clear(-ENOMEM);
    l->settled |= l->halves[family].asker.set->status == 0;
    return 0;
}

/* Without this, the domains of the search would be asked for what the hosts file has. */
static int look_here(thi_lookup *l)
{
    const thi_host *hosts = thi_names_conf_host(l->conf, l->host);
    bool local = ends_with(l->host, "localhost");
    if (!hosts && !local)
        return 0;
    int err = give(l, THI_LOOKUP_IP6, hosts ? hosts : &loopback6);
    if (err == 0)
        err = give(l, THI_LOOKUP_IP4, hosts ? hosts : &loopback4);
    l->next = UINT32_MAX; /* nothing else is tried */
    return err;
}

/* ---- trying names ---- */

static unsigned count_dots(const char *name)
{
    unsigned dots = 0;
    for (; *name; name++)
        dots += *name == '.';
    return dots;
}

/* Puts the next name to try together; false when there is none. A search that would make it too
 * long is left out. */
static bool next_name(thi_lookup *l)
{
    unsigned searched = l->searches ? l->conf->search_count : 0;
    bool as_it_is_first = count_dots(l->host) >= l->conf->ndots;
    while (l->next <= searched) {
        unsigned n = l->next++;
        if (n == (as_it_is_first ? 0 : searched)) {
            memcpy(l->name, l->host, sizeof l->name);
            return true;
        }
        const char *domain = l->conf->search[as_it_is_first ? n - 1 : n];
        int len = snprintf(l->name, sizeof l->name, "%s.%s", l->host, domain);
        if (thi_dns_name_ok(l->name, thi_min((size_t)len, sizeof l->name)))
            return true;
    }
    return false;
}

/* What nobody can tell is more than that there is nothing. */
static void note_failure(thi_lookup *l, int error, const char *why)
{
    if (l->error == 0 || (l->error == TH_ENAME && error != TH_ENAME) || error == -ENOMEM) {
        l->error = error;
        l->why = why;
    }
}

static int ask(thi_lookup *l)
{
    int err = 0;
    for (int i = 0; i < THI_LOOKUP_FAMILIES && err == 0; i++) {
        thi_names_leave(&l->halves[i].asker);
        if (l->asked[i])
            err = thi_names_ask(l->cache, &l->halves[i].asker, l->name, types[i]);
    }
    return err;
}

/* Whether the present name has failed for good. */
static bool has_failed(thi_lookup *l)
{
    bool failed = true;
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++) {
        const thi_names_set *set = l->halves[i].asker.set;
        failed &= thi_asker_done(&l->halves[i].asker);
        l->settled |= set && set->status == 0;
    }
    return failed && !l->settled;
}

static void note_failures(thi_lookup *l)
{
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++) {
        const thi_names_set *set = l->halves[i].asker.set;
        if (set)
            note_failure(l, set->status, set->why);
        else if (l->asked[i])
            note_failure(l, -ENOMEM, NULL);
    }
}

int thi_lookup_step(thi_lookup *l)
{
    bool fresh = l->next == 0;
    while (fresh || has_failed(l)) {
        if (!fresh)
            note_failures(l);
        fresh = false;
        if (l->error == -ENOMEM || l->next == UINT32_MAX || !next_name(l))
            return l->error ? l->error : TH_ENAME;
        int err = ask(l);
        if (err < 0)
            return err;
    }
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++)
        if (thi_lookup_expects(l, i))
            return 0;
    return 1;
}

/* ---- beginning and end ---- */

int thi_lookup_begin(thi_lookup *l, thi_bell *bell, th_resolver *resolver, const char *host,
                     int family)
{
    bool absolute;
    *l = (thi_lookup){ .cache = NULL };
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++)
        l->halves[i] = (thi_lookup_half){ .asker.fn = on_answer, .bell = bell };
    int err = take_host(l, host, &absolute);
    if (err == 0)
        err = thi_resolver_cache(resolver, &l->cache);
    if (err < 0)
        return err;
    l->conf = thi_names_conf_ref(l->cache->conf);
    l->searches = !absolute;
    l->asked[THI_LOOKUP_IP6] = family != TH_ADDR_IP4;
    l->asked[THI_LOOKUP_IP4] = family != TH_ADDR_IP6;
    err = look_here(l);
    if (err < 0)
        thi_lookup_end(l);
    return err;
}

void thi_lookup_end(thi_lookup *l)
{
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++)
        thi_names_leave(&l->halves[i].asker);
    thi_names_conf_unref(l->conf);
}

int thi_lookup_failed(const thi_lookup *l, int error)
{
    if (error != TH_ENAME && error != TH_ENAMESERVER)
        return thi_err_clear(error);
    return thi_err_set(error, "%.120s: %s", l->host, l->why ? l->why : "there is no such name");
}
