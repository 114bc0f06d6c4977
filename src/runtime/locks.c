/* SPDX-License-Identifier: MIT */

/*
 * Locks that are held across a suspension.
 *
 * A mutex of <pthread.h> belongs to a thread. Who takes one on a fiber and suspends leaves it to
 * all fibers of the worker: the next one that locks it blocks the thread for good, since its holder
 * could only go on there. libthrum-debug-locks.so, where it is loaded, remembers what a thread
 * holds. Nothing is linked to it: it is looked for when a worker opens, and a worker that finds it
 * has no slices, as if waits were counted, so that every fiber that leaves passes here.
 *
 * What was not seen yet has been taken since the fiber went on, by it. It is told once of each call
 * that takes a lock; from then on the record is marked, so that nobody else is blamed for it.
 */
#include "runtime/locks.h"

#include "base/log.h"
#include "base/metrics.h"
#include "base/util.h"
#include "runtime/worker.h"
#include "sys/held.h"
#include "sys/symbolize.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define SITES 256 /* calls that are told of; more are only counted */

static _Atomic(thi_held_fn *) held;
static pthread_mutex_t sites_lock = PTHREAD_MUTEX_INITIALIZER;
static const void *sites[SITES];
static size_t site_count;

static void find(void)
{
    union {
        void *object;
        thi_held_fn *fn;
    } found = { .object = dlsym(RTLD_DEFAULT, THI_HELD_SYMBOL) };
    atomic_store(&held, found.fn);
}

bool thi_locks_are_seen(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, find);
    return atomic_load_explicit(&held, memory_order_relaxed) != NULL;
}

/* Whether this call that takes a lock is a new one. */
static bool is_new(const void *site)
{
    bool new = true;
    pthread_mutex_lock(&sites_lock);
    for (size_t i = 0; i < site_count; i++)
        new = new &&sites[i] != site;
    new = new &&site_count < SITES;
    if (new)
        sites[site_count++] = site;
    pthread_mutex_unlock(&sites_lock);
    return new;
}

/* What a fiber leaves for. */
static const char *what_for(const th_fiber *fiber)
{
    if (fiber->state == THI_FIBER_PARKED)
        return fiber->waits->kind->what;
    return fiber->state == THI_FIBER_READY ? "yield" : "its end";
}

static void tell(const th_fiber *fiber, const thi_held *h)
{
    char taken[THI_SYMBOL_SIZE];
    (void)thi_symbolize((const char *)h->site - 1, taken, sizeof taken);
    const char *name = fiber->state == THI_FIBER_FREE ? NULL : fiber->name;
    const char *place = thi_origin_place(fiber->origin);
    thi_log(TH_LOG_WARNING,
            "fiber '%.100s' #%llu%s%s%s holds a pthread %s, %p, while it is suspended (%s); it was "
            "locked in %s: use th_%s",
            thi_fiber_text(name, fiber->origin), (unsigned long long)fiber->id,
            place[0] ? ", spawned at " : "", place, place[0] ? "," : "", h->what, h->lock,
            what_for(fiber), taken, h->what);
}

void thi_locks_pass(const th_fiber *fiber)
{
    thi_held_fn *fn = atomic_load_explicit(&held, memory_order_relaxed);
    if (!fn)
        return;
    int saved = errno;
    size_t count = 0;
    thi_held *h = fn(&count);
    for (size_t i = 0; i < count; i++) {
        if (h[i].seen)
            continue;
        h[i].seen = true;
        thi_held one = h[i]; /* telling takes locks as well */
        thi_metric_add(THI_M_LOCKS_HELD, 1);
        if (is_new(one.site))
            tell(fiber, &one);
    }
    errno = saved;
}
