/* SPDX-License-Identifier: MIT */

/* Tests of waits that nobody can end: what was found, and parties that get into such waits. */
#ifndef THI_TEST_FINDINGS_H
#define THI_TEST_FINDINGS_H

#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "runtime/outside.h"
#include "runtime/worker.h"
#include "sys/machine.h"

#include <thrum/cond.h>
#include <thrum/event.h>
#include <thrum/log.h>
#include <thrum/mutex.h>
#include <thrum/once.h>
#include <thrum/pool.h>
#include <thrum/queue.h>
#include <thrum/rwlock.h>
#include <thrum/select.h>
#include <thrum/sim.h>

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define SPAN (20 * TH_MILLISECOND) /* short, for the sake of the tests */

/* ---- what was found -------------------------------------------------------------------------- */

static atomic_int circles;
static atomic_int lost;
static atomic_int sizes[32]; /* circles of so many */
static char text[65536];     /* of the last finding */
static bool stop_when_found;

static inline void found(void *arg, const th_deadlock *d)
{
    (void)arg;
    snprintf(text, sizeof text, "%s", d->text);
    if (d->fibers < thi_array_len(sizes))
        atomic_fetch_add(&sizes[d->fibers], 1);
    atomic_fetch_add(d->kind == TH_DEADLOCK_CIRCLE ? &circles : &lost, 1);
    if (stop_when_found)
        ck_assert_int_eq(th_stop(), 0);
}

static inline void *end_at_once(void *arg)
{
    return arg;
}

/* Learns how many threads a sanitizer has: it starts them when another one is started. */
static inline void allow_tools(void)
{
    int least = INT_MAX;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, end_at_once, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 20; i++) { /* the one that has ended may be seen for a moment yet */
        least = thi_min(least, thi_machine_threads());
        usleep(100);
    }
    ck_assert_int_gt(least, 0);
    thi_outside_tools = (unsigned)least - 1;
}

static inline int run_with(unsigned workers, int64_t span, int (*fn)(void *arg), void *arg)
{
    th_run_opts opts = {
        .workers = workers, .no_signals = 1, .deadlock_after = span, .on_deadlock = found
    };
    allow_tools();
    return th_run(fn, arg, &opts);
}

static inline void expect_text(const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no '%s' in: %s", part, text);
}

/* Lets others run until the condition holds; the test's time limit is the patience. */
#define wait_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_eq(th_sleep(100 * TH_MICROSECOND), 0)

static inline int64_t looks(void)
{
    return thi_metric_read(THI_M_DEADLOCK_LOOKS);
}

static inline int wait_for_event(void *arg)
{
    int err = th_event_wait(arg);
    return err == -ECANCELED ? 0 : err;
}

static inline int join_it(void *arg)
{
    return th_join(arg, NULL);
}

/* Has the workers look at all that has waited for long, twice at least: the wait for the end of a
 * fiber makes them. */
static inline void have_looks(void)
{
    int64_t before = looks();
    th_event event = { 0 };
    th_scope scope;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, wait_for_event, &event);
    spawn(&scope, join_it, fiber);
    wait_until(looks() > before);
    spawn(&scope, join_it, fiber);
    wait_until(looks() > before + 1);
    th_event_set(&event);
    close_scope(&scope);
    th_fiber_unref(fiber);
}

/* On a plain thread. */
static inline void wait_for_look(void)
{
    int64_t before = looks();
    while (looks() == before)
        usleep(1000);
}

/* Waits for the finding, then breaks the circle. */
static inline void expect_circle(th_scope *scope, int size)
{
    wait_until(atomic_load(&circles) == 1);
    ck_assert_int_eq(th_scope_cancel(scope, 0), 0);
    ck_assert_int_eq(atomic_load(&sizes[size]), 1);
}

static inline void close_cancelled(th_scope *scope)
{
    int err = th_scope_close(scope);
    ck_assert_msg(err == 0 || err == -ECANCELED, "%s", th_errname(err));
}

/* As FIBER_TEST_ON, but findings are noted. */
#define WATCHED_TEST_ON(workers, name)                                                             \
    static void name##_body(void);                                                                 \
    static int name##_main(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(run_with(workers, SPAN, name##_main, NULL), 0);                           \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(void)

typedef struct ring {
    th_mutex locks[8];
    int size;
    atomic_int held;
    atomic_int parties;
} ring;

/* Takes a lock, and when all have one, the next. */
static inline int take_two(void *arg)
{
    ring *r = arg;
    int i = atomic_fetch_add(&r->parties, 1);
    int err = th_mutex_lock(&r->locks[i]);
    ck_assert_int_eq(err, 0);
    atomic_fetch_add(&r->held, 1);
    wait_until(atomic_load(&r->held) == r->size);
    err = th_mutex_lock(&r->locks[(i + 1) % r->size]);
    if (err == 0)
        th_mutex_unlock(&r->locks[(i + 1) % r->size]);
    th_mutex_unlock(&r->locks[i]);
    return err == -ECANCELED ? 0 : err;
}

static inline void start_ring(th_scope *scope, ring *r, int size)
{
    r->size = size;
    for (int i = 0; i < size; i++)
        ck_assert_int_eq(th_spawn_with(scope, take_two, r,
                                       &(th_spawn_opts){ .name = "taker", .place = TH_PLACE_ROUND },
                                       NULL),
                         0);
}

static inline int forgive(int err)
{
    return err == -ECANCELED ? 0 : err;
}

static inline int lock_and_unlock(void *arg)
{
    int err = th_mutex_lock(arg);
    if (err == 0)
        th_mutex_unlock(arg);
    return forgive(err);
}

typedef struct closing {
    th_mutex lock;
    unsigned child_on;
    th_event go;
} closing;

static inline int lose(void *arg)
{
    th_event never = { 0 };
    th_scope scope;
    int n = *(int *)arg;
    open_scope(&scope);
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(th_spawn_with(&scope, wait_for_event, &never,
                                       &(th_spawn_opts){ .place = TH_PLACE_ROUND }, NULL),
                         0);
    close_cancelled(&scope);
    return 0;
}

static inline int in_circle_for_ever(void *arg)
{
    static ring r;
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    start_ring(&scope, &r, 2);
    close_cancelled(&scope);
    return 0;
}

#endif
