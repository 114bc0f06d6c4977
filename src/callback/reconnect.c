/* SPDX-License-Identifier: MIT */

/*
 * Connecting again and again.
 *
 * At any time one of these holds: an attempt is in progress; a connection is there; a timer runs
 * for the next attempt; or it is over. Until it is over the client has a place in its scope, beside
 * that of its attempt or its connection, so that the scope waits for it and its end is told.
 *
 * What is in progress may outlast the client, which its user can free at any time: an attempt and a
 * connection point to it, and are told when it goes.
 */
#include <thrum/reconnect.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/random.h"
#include "callback/attempt.h"
#include "callback/backoff.h"
#include "callback/carrier.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <string.h>

#define ATTEMPT_TIME (30 * TH_SECOND)

struct th_reconnect {
    thi_worker *worker;
    thi_scope *scope; /* NULL: it is over */
    thi_far_child told;
    thi_deferred later; /* the scope has ended */
    thi_timer timer;
    thi_attempt *attempt;    /* in progress */
    th_transport *transport; /* that is there */
    thi_backoff backoff;
    unsigned retries; /* since the last reset */
    unsigned most;    /* of these; 0: no limit */
    int64_t time;
    const th_dial_opts *dial; /* borrowed; or NULL */
    bool busy;                /* a function of the user is being called: do not free yet */
    bool freed;               /* by the user, meanwhile */
    th_protocol_factory factory;
    void *arg;
    void (*waits)(void *arg, int error, int64_t delay);
    char address[];
};

static int attempt(th_reconnect *r);

/* ---- its end ---- */

/* Gives the place back: nothing comes any more. */
static void be_over(th_reconnect *r)
{
    thi_scope *scope = r->scope;
    if (!scope)
        return;
    r->scope = NULL;
    thi_list_remove(&r->told.link);
    thi_timer_cancel(&r->worker->loop.timers, &r->timer);
    thi_loop_undefer(&r->later);
    if (r->attempt) {
        r->attempt->maker = NULL;
        thi_attempt_cancel(r->attempt);
        r->attempt = NULL;
    }
    thi_scope_child_ended(scope, 0);
}

static void tell(th_reconnect *r, int error, int64_t delay)
{
    r->busy = true;
    if (r->waits)
        r->waits(r->arg, error, delay);
    r->busy = false;
    if (r->freed)
        thi_free(r);
}

static void on_later(thi_deferred *deferred)
{
    th_reconnect *r = thi_container_of(deferred, th_reconnect, later);
    int reason = r->scope->reason;
    thi_loop_stay_awake(&r->worker->loop);
    be_over(r);
    tell(r, reason, -1);
}

/* The scope has ended, and walks the list in which this hangs. */
static void on_told(thi_far_child *child)
{
    th_reconnect *r = thi_container_of(child, th_reconnect, told);
    if (r->scope->status < 0)
        thi_loop_defer(&r->worker->loop, &r->later);
}

/* ---- the next attempt ---- */

/* The attempt or the connection is over: waits for the next one, or gives up. */
static void retry(th_reconnect *r, int error)
{
    if (!r->scope)
        return;
    bool over = r->scope->status < 0 || (r->most > 0 && r->retries >= r->most);
    if (over) {
        be_over(r);
        tell(r, error, -1);
        return;
    }
    r->retries++;
    int64_t delay = thi_backoff_next(&r->backoff);
    thi_loop_timer(&r->worker->loop, &r->timer, th_after(delay));
    tell(r, error, delay);
}

static void on_due(thi_timer *timer)
{
    th_reconnect *r = thi_container_of(timer, th_reconnect, timer);
    int err = attempt(r);
    if (err < 0)
        retry(r, err);
}

/* ---- attempts and connections ---- */

static void on_ended(th_transport *t)
{
    th_reconnect *r = t->maker;
    r->transport = NULL;
    retry(r, t->reason);
}

static int take_over(th_reconnect *r, thi_attempt *a, int fd)
{
    th_transport *t = NULL;
    int err = thi_attempt_carrier(a, fd, &t);
    if (err < 0)
        return err;
    err = thi_transport_start_lent(t, a->scope, a->factory, a->arg);
    if (err < 0)
        return err;
    t->maker = r;
    t->ended = on_ended;
    r->transport = t;
    return 0;
}

/* In the place of the attempt. The factory may stop or free the client. */
static void on_attempt(thi_attempt *a, int result)
{
    th_reconnect *r = a->maker;
    int err = result;
    if (r) {
        r->attempt = NULL;
        r->busy = true;
        err = result < 0 ? result : take_over(r, a, result);
        r->busy = false;
    }
    if (result >= 0 && !(r && err == 0))
        (void)thi_sys_close(result);
    if (!r || err < 0)
        thi_scope_child_ended(a->scope, 0);
    if (!r)
        return;
    if (r->freed) {
        if (r->transport)
            r->transport->ended = NULL;
        thi_free(r);
    } else if (err < 0) {
        retry(r, err);
    }
}

static int attempt(th_reconnect *r)
{
    thi_attempt *a = thi_attempt_new(r->address);
    if (!a)
        return -ENOMEM;
    a->done = on_attempt;
    a->maker = r;
    a->factory = r->factory;
    a->arg = r->arg;
    a->time = r->time;
    a->dial = r->dial;
    int err = thi_attempt_begin(a, r->scope);
    if (err == 0)
        r->attempt = a;
    return err;
}

/* ---- calls ---- */

static bool are_valid(const th_reconnect_opts *opts)
{
    return opts->size <= sizeof *opts && opts->first >= 0 && opts->most >= 0 && opts->time >= 0 &&
           (opts->factor == 0 || opts->factor >= 1000) && opts->scatter >= -1;
}

static th_reconnect *new_client(const char *address, const th_reconnect_opts *opts)
{
    size_t size = strlen(address) + 1;
    th_reconnect *r = thi_calloc(1, sizeof *r + size);
    if (!r)
        return NULL;
    memcpy(r->address, address, size);
    r->worker = thi_worker_self;
    r->most = opts->retries;
    r->time = opts->time ? opts->time : ATTEMPT_TIME;
    r->waits = opts->waits;
    r->dial = opts->dial;
    thi_backoff_init(&r->backoff, opts);
    thi_timer_init(&r->timer, on_due);
    thi_deferred_init(&r->later, on_later);
    return r;
}

int th_reconnect_start(const char *address, th_protocol_factory factory, void *arg,
                       const th_reconnect_opts *opts, th_reconnect **reconnect)
{
    static const th_reconnect_opts defaults;
    thi_scope *scope = NULL;
    opts = opts ? opts : &defaults;
    if (!address || !factory || !reconnect || !are_valid(opts))
        return thi_err_clear(-EINVAL);
    int err = thi_transport_find_scope(&(th_protocol_opts){ .scope = opts->scope }, &scope);
    if (err == 0)
        err = thi_transport_take_place(scope);
    if (err < 0)
        return thi_err_clear(err);
    th_reconnect *r = new_client(address, opts);
    err = r ? 0 : -ENOMEM;
    if (r) {
        r->scope = scope;
        r->factory = factory;
        r->arg = arg;
        err = attempt(r);
    }
    if (err < 0) {
        thi_free(r);
        thi_scope_child_ended(scope, 0);
        return thi_err_clear(err);
    }
    r->told.tell = on_told;
    thi_list_push_back(&scope->far, &r->told.link);
    *reconnect = r;
    return 0;
}

static int check(const th_reconnect *r)
{
    if (!r)
        return -EINVAL;
    return r->worker == thi_worker_self ? 0 : -EPERM;
}

int th_reconnect_reset(th_reconnect *r)
{
    int err = check(r);
    if (err < 0)
        return err;
    thi_backoff_reset(&r->backoff);
    r->retries = 0;
    return 0;
}

int th_reconnect_stop(th_reconnect *r)
{
    int err = check(r);
    if (err == 0)
        be_over(r);
    return err;
}

th_transport *th_reconnect_transport(const th_reconnect *r)
{
    return r ? r->transport : NULL;
}

void th_reconnect_free(th_reconnect *r)
{
    if (!r)
        return;
    be_over(r);
    if (r->transport)
        r->transport->ended = NULL;
    r->transport = NULL;
    if (r->busy)
        r->freed = true;
    else
        thi_free(r);
}
