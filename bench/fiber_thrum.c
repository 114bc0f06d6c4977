/* SPDX-License-Identifier: MIT */

/*
 * Thrum's fibers in the cases of fiber_peers/: written against the public headers only, with one
 * worker, as a program would be written that wants one core.
 *
 * A switch here includes what makes it safe to use: the run queue, the look at cancellation and
 * deadline, the regular look at descriptors and timers. A parked fiber sleeps without an end in a
 * scope and is woken by the cancellation of that scope.
 */
#include "fiber_peers/peer.h"

#include <thrum/fiber.h>
#include <thrum/runtime.h>
#include <thrum/scope.h>
#include <thrum/time.h>

enum { RING = 1000 };

static unsigned long left;
static unsigned long parked;
static unsigned long ended;

static int hand_over(void *arg)
{
    (void)arg;
    while (left > 0) {
        left--;
        th_yield();
    }
    return 0;
}

/* `fibers` fibers that yield to each other in turn. */
static int run_ring_of(unsigned fibers, unsigned long count, struct peer_result *r)
{
    th_scope scope;
    int rc = th_scope_open(&scope, NULL);

    if (rc < 0)
        return -1;
    left = count;
    for (unsigned i = 0; i < fibers && rc == 0; i++)
        rc = th_spawn(&scope, hand_over, NULL);
    double begin = peer_seconds();
    int closed = th_scope_close(&scope);
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return rc < 0 || closed < 0 ? -1 : 0;
}

static int run_switch(unsigned long count, struct peer_result *r)
{
    return run_ring_of(2, count, r);
}

static int run_ring(unsigned long count, struct peer_result *r)
{
    return run_ring_of(RING, count, r);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* A fiber is started in a scope and the scope waited for: the ordinary way to join. */
static int run_spawn(unsigned long count, struct peer_result *r)
{
    th_scope scope;
    int rc = th_scope_open(&scope, NULL);

    if (rc < 0)
        return -1;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count && rc == 0; i++) {
        rc = th_spawn(&scope, nothing, NULL);
        if (rc == 0)
            rc = th_scope_wait(&scope);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return th_scope_close(&scope) < 0 || rc < 0 ? -1 : 0;
}

/* The same by a handle, which also brings the fiber's result. */
static int run_join(unsigned long count, struct peer_result *r)
{
    th_fiber *fiber;
    th_scope scope;
    int rc = th_scope_open(&scope, NULL);

    if (rc < 0)
        return -1;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count && rc == 0; i++) {
        rc = th_spawn_with(&scope, nothing, NULL, NULL, &fiber);
        if (rc < 0)
            break;
        rc = th_join(fiber, NULL);
        th_fiber_unref(fiber);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return th_scope_close(&scope) < 0 || rc < 0 ? -1 : 0;
}

static int wait_for_the_end(void *arg)
{
    (void)arg;
    parked++;
    th_sleep(TH_NEVER);
    ended++;
    return 0;
}

/* Starts `count` fibers that park, wakes each once, and so ends them. */
static int park(unsigned long count, struct peer_result *r)
{
    th_scope scope;
    double before = peer_memory();
    double begin = peer_seconds();
    unsigned long started = 0;

    parked = ended = 0;
    if (th_scope_open(&scope, NULL) < 0)
        return -1;
    while (started < count && th_spawn(&scope, wait_for_the_end, NULL) == 0)
        started++;
    while (parked < started)
        th_yield();
    double all_parked = peer_seconds();
    r->bytes = started > 0 ? (peer_memory() - before) / (double)started : 0;
    double woken = peer_seconds();
    th_scope_cancel(&scope, 0);
    th_scope_close(&scope);
    r->seconds = peer_seconds() - woken + all_parked - begin;
    return ended == count ? 0 : -1;
}

static int run_parked(unsigned long count, struct peer_result *r)
{
    int rc = park(count, r);

    r->value = r->bytes;
    return rc;
}

static int run_million(unsigned long count, struct peer_result *r)
{
    int rc = park(count, r);

    r->value = (double)ended;
    return rc;
}

static int app(int argc, char **argv)
{
    static const struct peer_case cases[] = {
        { "switch", run_switch }, { "ring", run_ring },     { "spawn", run_spawn },
        { "join", run_join },     { "parked", run_parked }, { "million", run_million },
        { NULL, NULL },
    };

    return peer_main(argc, argv, cases);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
