/* SPDX-License-Identifier: MIT */

/*
 * Connecting: a look-up that brings addresses, and a race among them.
 *
 * Both go on side by side, in the one fiber that dials. The first address of IPv4 waits a moment
 * for one of IPv6, whose answer may come second by chance (RFC 8305, 3); after that every address
 * enters the race as it comes. Those of one family are put in order first, and when both are there
 * before the first attempt, the one with the better address begins (RFC 8305, 4). An address as
 * text is a race of one.
 */
#include "net/dial.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "net/addr.h"
#include "net/addr_rank.h"
#include "net/happy.h"
#include "net/names_lookup.h"
#include "proto/dns.h"

#include <thrum/str.h>
#include <thrum/time.h>

#include <errno.h>
#include <net/if.h>
#include <string.h>

#define ATTEMPT_DELAY     (250 * TH_MILLISECOND) /* RFC 8305, 8 */
#define ATTEMPT_DELAY_MIN (10 * TH_MILLISECOND)
#define RESOLUTION_DELAY  (50 * TH_MILLISECOND)
#define ATTEMPTS_MAX      32

/* Where to: an address, or a name and a port. */
typedef struct target {
    th_addr addr; /* TH_ADDR_NONE: it is the name */
    uint16_t port;
    char host[THI_DNS_NAME];
} target;

typedef struct dialling {
    thi_bell bell;
    thi_race race;
    thi_race_opts opts;
    thi_lookup lookup;
    bool looks_up;    /* more addresses may come */
    int lookup_error; /* why none came; 0: they did, or may */
    bool added[THI_LOOKUP_FAMILIES];
    bool begun;     /* the first attempt may be made, or has been */
    thi_timer hold; /* how long the first address of IPv4 waits */
    int64_t hold_span;
    bool held; /* for long enough */
    uint16_t port;
    bool cannot_begin;      /* there was no look-up */
    char why[THI_RACE_WHY]; /* which option of a socket could not be set */
} dialling;

static const thi_wait_kind waits_for = { "connect", THI_BY_DESCRIPTOR, offsetof(thi_bell, fd) };

/* ---- what is asked for ---- */

/* The unspecified address as a target means this machine: made explicit, since systems differ. */
static void aim_at_loopback(th_addr *addr)
{
    static const uint8_t zero[16];
    if (addr->kind == TH_ADDR_IP4 && memcmp(addr->ip, zero, 4) == 0) {
        addr->ip[0] = 127;
        addr->ip[3] = 1;
    } else if (addr->kind == TH_ADDR_IP6 && memcmp(addr->ip, zero, 16) == 0) {
        addr->ip[15] = 1;
    }
}

/* Reads "tcp://NAME:PORT"; false when it is something else. What is more digits than letters is an
 * address that could not be read. */
static bool read_name(const char *text, target *t)
{
    uint64_t port;
    const char *host = strncmp(text, "tcp://", 6) == 0 ? text + 6 : text;
    const char *colon = strrchr(host, ':');
    size_t len = colon ? (size_t)(colon - host) : 0;
    if (len == 0 || len >= sizeof t->host)
        return false;
    if (th_str_to_u64((th_str){ colon + 1, strlen(colon + 1) }, &port) < 0 || port > 65535)
        return false;
    memcpy(t->host, host, len);
    len -= len > 1 && host[len - 1] == '.';
    t->host[len] = '\0';
    t->port = (uint16_t)port;
    bool is_name = thi_dns_name_ok(t->host, len) && !thi_lookup_is_number(t->host);
    if (host[len] == '.') /* it is not searched for */
        (void)memcpy(t->host + len, ".", 2);
    return is_name;
}

static int read_target(const char *text, target *t)
{
    *t = (target){ .addr.kind = TH_ADDR_NONE };
    int err = th_addr_parse(text, &t->addr);
    return err == 0 || read_name(text, t) ? 0 : err;
}

static int read_source(const char *text, th_addr *source)
{
    if (thi_names_literal(text, source))
        return 0;
    th_addr read;
    int err = th_addr_parse(text, &read);
    if (err == 0 && read.kind == TH_ADDR_UNIX)
        err = thi_err_set(TH_EADDRESS, "'%.100s' is nothing to call from", text);
    if (err == 0)
        *source = read;
    return err;
}

static int check(const th_dial_opts *o)
{
    bool good = o->size <= sizeof *o && o->attempt_delay >= 0 && o->resolution_delay >= 0 &&
                (o->family == 0 || o->family == TH_ADDR_IP4 || o->family == TH_ADDR_IP6) &&
                (!o->device || (*o->device && strlen(o->device) < IF_NAMESIZE));
    return good ? 0 : thi_err_clear(-EINVAL);
}

static int take_opts(dialling *d, const th_dial_opts *o, int *family)
{
    d->opts.device = o->device;
    d->opts.delay =
        o->attempt_delay > 0 ? thi_max(o->attempt_delay, ATTEMPT_DELAY_MIN) : ATTEMPT_DELAY;
    d->opts.attempts_max = o->attempts_max > 0 ? o->attempts_max : ATTEMPTS_MAX;
    d->hold_span = o->resolution_delay > 0 ? o->resolution_delay : RESOLUTION_DELAY;
    *family = o->family;
    if (!o->source)
        return 0;
    int err = read_source(o->source, &d->opts.source);
    if (err < 0)
        return err;
    if (*family != 0 && *family != d->opts.source.kind)
        return thi_err_set(-EINVAL, "'%.100s' is of the other family", o->source);
    *family = d->opts.source.kind;
    return 0;
}

/* ---- addresses ---- */

static int add_set(dialling *d, const thi_names_set *set)
{
    int err = 0;
    th_addr *addrs = thi_alloc(set->count * sizeof *addrs);
    if (!addrs)
        return -ENOMEM;
    (void)thi_names_set_addrs(set, d->port, addrs);
    for (size_t i = 0; i < set->count; i++)
        aim_at_loopback(&addrs[i]);
    thi_addr_sort(addrs, set->count, &d->opts.source, d->opts.device);
    for (size_t i = 0; i < set->count && err == 0; i++)
        err = thi_race_add(&d->race, &addrs[i]);
    thi_free(addrs);
    return err;
}

/* Lets what the look-up has brought enter the race. */
static int take_addresses(dialling *d)
{
    if (!d->looks_up)
        return 0;
    int step = thi_lookup_step(&d->lookup);
    d->looks_up = step == 0;
    d->lookup_error = step < 0 ? step : 0;
    for (int i = 0; i < THI_LOOKUP_FAMILIES; i++) {
        const thi_names_set *set = thi_lookup_set(&d->lookup, i);
        if (!set || d->added[i])
            continue;
        d->added[i] = true;
        int err = add_set(d, set);
        if (err < 0)
            return err;
    }
    return 0;
}

static void on_held(thi_timer *timer)
{
    dialling *d = thi_container_of(timer, dialling, hold);
    d->held = true;
    thi_bell_ring(&d->bell);
}

/* IPv6 begins, unless IPv4 has something better. */
static void choose_beginner(dialling *d)
{
    const th_addr *ip6 = thi_race_next(&d->race, THI_RACE_IP6);
    const th_addr *ip4 = thi_race_next(&d->race, THI_RACE_IP4);
    const thi_race_opts *o = &d->opts;
    if (ip6 && ip4 &&
        thi_addr_rank_here(ip4, &o->source, o->device) >
            thi_addr_rank_here(ip6, &o->source, o->device))
        d->race.turn = THI_RACE_IP4;
}

/* Whether attempts may be made by now. */
static bool may_begin(dialling *d)
{
    thi_loop *loop = &d->bell.fiber->worker->loop;
    if (!d->begun && thi_race_is_on(&d->race)) {
        d->begun = d->held || !d->looks_up || d->added[THI_LOOKUP_IP6] ||
                   !thi_lookup_expects(&d->lookup, THI_LOOKUP_IP6);
        if (d->begun)
            choose_beginner(d);
        else if (!thi_timer_active(&d->hold))
            thi_loop_timer(loop, &d->hold, th_after(d->hold_span));
    }
    return d->begun;
}

/* ---- the course ---- */

/* 1: connected; 0: wait; else it has come to nothing. */
static int step(dialling *d, bool starts)
{
    int err = take_addresses(d);
    if (err < 0)
        return err;
    int result = thi_race_step(&d->race, starts && may_begin(d));
    if (result < 0 && d->looks_up)
        return 0;
    if (result == -EAGAIN && !thi_race_is_on(&d->race))
        return d->lookup_error ? d->lookup_error : -EADDRNOTAVAIL;
    return result;
}

/* What has happened beats the end of the scope: after that there is one more look. */
static int run(dialling *d)
{
    int over = 0;
    for (;;) {
        int result = step(d, over == 0);
        if (result != 0 || over < 0)
            return result != 0 ? result : over;
        over = thi_bell_wait(&d->bell);
        if (over < 0)
            thi_race_rouse(&d->race);
    }
}

static int begin(dialling *d, const target *t, th_resolver *resolver, int family)
{
    thi_bell_init(&d->bell, &waits_for);
    thi_race_init(&d->race, &d->opts, &d->bell);
    thi_timer_init(&d->hold, on_held);
    d->port = t->port;
    if (t->addr.kind == TH_ADDR_NONE) {
        int err = thi_lookup_begin(&d->lookup, &d->bell, resolver, t->host, family);
        d->looks_up = err == 0;
        return err;
    }
    th_addr addr = t->addr;
    aim_at_loopback(&addr);
    d->begun = true;
    if (family != 0 && addr.kind != TH_ADDR_UNIX && addr.kind != family)
        return -EADDRNOTAVAIL;
    return thi_race_add(&d->race, &addr);
}

static void end(dialling *d)
{
    thi_race_end(&d->race);
    thi_timer_cancel(&d->bell.fiber->worker->loop.timers, &d->hold);
}

/* Says what has become of each address of a name, or why there is none. */
static int explain(const dialling *d, const target *t, const char *address, int err)
{
    char tried[THI_ERR_DETAIL_SIZE];
    if (*d->why)
        return thi_err_set(err, "cannot connect to %.100s: %s", address, d->why);
    if (t->addr.kind != TH_ADDR_NONE)
        return thi_err_set(err, "cannot connect to %.100s", address);
    if (!d->cannot_begin && err == d->lookup_error)
        (void)thi_lookup_failed(&d->lookup, err);
    if (d->cannot_begin || err == d->lookup_error)
        return thi_err_set(err, "cannot connect to %.100s%s%s", address,
                           *th_err_detail() ? ": " : "", th_err_detail());
    thi_race_tell(&d->race, tried, sizeof tried);
    return thi_err_set(err, "cannot connect to %.100s%s", address, tried);
}

static int dial(const target *t, const char *address, const th_dial_opts *o, const th_tune *tune,
                th_stream **stream)
{
    dialling d = { .opts = { .source.kind = TH_ADDR_NONE } };
    int family;
    d.opts.tune = tune;
    d.opts.why = d.why;
    int err = take_opts(&d, o, &family);
    if (err < 0)
        return err;
    err = begin(&d, t, o->resolver, family);
    if (err < 0)
        d.cannot_begin = true;
    bool looked_up = d.looks_up;
    if (err == 0)
        err = run(&d);
    if (err > 0)
        *stream = &d.race.winner->base;
    else
        err = explain(&d, t, address, err);
    end(&d);
    if (looked_up)
        thi_lookup_end(&d.lookup);
    return thi_min(err, 0);
}

/* On the heap: few want it, and it would take as much of the stack as all the rest. */
static int read_tune(const char *text, th_tune **out)
{
    th_tune *tune = thi_calloc(1, sizeof *tune);
    if (!tune)
        return thi_err_clear(-ENOMEM);
    *out = tune;
    return th_tune_parse(text, tune);
}

/* Tells the server who the client is, before anything else is said. */
static int introduce(const char *address, const th_proxied *proxied, th_stream *stream)
{
    int err = th_proxied_send(proxied, stream);
    if (err == 0)
        return 0;
    th_stream_free(stream);
    return thi_err_set(err, "cannot tell %.100s of the client", address);
}

int thi_dial(const char *address, const char *shown, const th_dial_opts *opts, th_stream **stream)
{
    th_dial_opts o = opts ? *opts : (th_dial_opts){ 0 };
    th_tune *tune = NULL;
    th_stream *dialled = NULL;
    target t;
    if (!address || !stream)
        return thi_err_clear(-EINVAL);
    if (!thi_sched_self())
        return thi_err_clear(-EPERM);
    int err = check(&o);
    if (err == 0)
        err = read_target(address, &t);
    if (err != 0)
        return err;
    err = thi_sched_may_park();
    if (err < 0)
        return thi_err_set(err, "cannot connect to %.100s", shown);
    if (o.tune)
        err = read_tune(o.tune, &tune);
    if (err == 0)
        err = dial(&t, shown, &o, tune, &dialled);
    thi_free(tune);
    if (err == 0 && o.proxied)
        err = introduce(shown, o.proxied, dialled);
    if (err == 0)
        *stream = dialled;
    return err;
}
