/* SPDX-License-Identifier: MIT */

/*
 * A crowd at one primitive: eight plain threads, and eight fibers on four workers, two on each, all
 * at it at the same time.
 *
 * Every member runs the same body, with its number. What the crowd is to keep true is checked when
 * all are back. What a primitive guards or hands over is plain data, so that the thread sanitizer
 * sees an order that is missing even where the figures happen to be right.
 *
 * A pass is short; THRUM_STRESS says how many are made of each (1 without it, 5 under the thread
 * sanitizer, which is what these programs are for).
 */
#ifndef THI_TEST_CROWD_H
#define THI_TEST_CROWD_H

#include "sync/parties.h"

#include <sched.h>
#include <stdatomic.h>

enum { CROWD_WORKERS = 4, CROWD_FIBERS = 8, CROWD_THREADS = 8, CROWD = 16 };

/* What a crowd does: the figures are set up, everybody acts, the figures are checked. */
typedef struct crowd {
    void (*begin)(void); /* in the main fiber, alone; may be NULL */
    void (*act)(int me); /* in everybody, 0 to CROWD - 1; the fibers are those below CROWD_FIBERS */
    void (*check)(void); /* in the main fiber, alone again */
} crowd;

typedef struct crowd_member {
    void (*act)(int me);
    int number;
    atomic_bool *gate; /* opened when all are there */
} crowd_member;

static inline int crowd_passes(void)
{
#ifdef __SANITIZE_THREAD__
    int passes = 5;
#else
    int passes = 1;
#endif
    const char *text = getenv("THRUM_STRESS");
    return text && *text ? atoi(text) : passes;
}

/* Lets others go first. */
static inline void crowd_yield(void)
{
    if (th_fiber_self())
        th_yield();
    else
        (void)sched_yield();
}

static inline int crowd_fiber(void *arg)
{
    const crowd_member *member = arg;
    while (!atomic_load(member->gate))
        th_yield();
    member->act(member->number);
    return 0;
}

static inline void *crowd_thread(void *arg)
{
    const crowd_member *member = arg;
    while (!atomic_load(member->gate))
        (void)sched_yield();
    member->act(member->number);
    return NULL;
}

/* Has everybody act, and comes back when all have. */
static inline void crowd_act(void (*act)(int me))
{
    crowd_member members[CROWD];
    pthread_t threads[CROWD_THREADS];
    atomic_bool gate = false;
    th_scope scope;
    for (int i = 0; i < CROWD; i++)
        members[i] = (crowd_member){ act, i, &gate };
    open_scope(&scope);
    for (unsigned i = 0; i < CROWD_FIBERS; i++)
        spawn_on(&scope, i % CROWD_WORKERS, crowd_fiber, &members[i]);
    for (int i = 0; i < CROWD_THREADS; i++)
        threads[i] = start_thread(crowd_thread, &members[CROWD_FIBERS + i]);
    atomic_store(&gate, true);
    close_scope(&scope);
    for (int i = 0; i < CROWD_THREADS; i++)
        join_thread(threads[i]);
}

static inline void crowd_run(const crowd *c)
{
    for (int pass = crowd_passes(); pass > 0; pass--) {
        if (c->begin)
            c->begin();
        crowd_act(c->act);
        c->check();
    }
}

/* A test that is a crowd: CROWD_TEST(name, .begin = ..., .act = ..., .check = ...) */
#define CROWD_TEST(name, ...)                                                                      \
    FIBER_TEST_ON(CROWD_WORKERS, name)                                                             \
    {                                                                                              \
        crowd_run(&(crowd){ __VA_ARGS__ });                                                        \
    }

/*
 * A wait that a fiber breaks off after some microseconds; a plain thread, which has no scope, waits
 * to its end. Gives the result.
 */
#define briefly(micros, call)                                                                      \
    __extension__({                                                                                \
        th_scope scope_;                                                                           \
        bool scoped_ = th_fiber_self() != NULL;                                                    \
        if (scoped_)                                                                               \
            open_scope_for(&scope_, (micros)*TH_MICROSECOND);                                      \
        int result_ = (call);                                                                      \
        ck_assert(scoped_ || result_ != -ETIMEDOUT);                                               \
        if (scoped_)                                                                               \
            close_scope(&scope_);                                                                  \
        result_;                                                                                   \
    })

/* A wait that may not fail. */
#define surely(call) ck_assert_int_eq(call, 0)

/* For the case of a suite; a pass may be slow where every access is looked at. */
static inline TCase *crowd_case(Suite *suite, const char *name)
{
    TCase *tcase = thi_check_case(suite, name);
    tcase_set_timeout(tcase, 60 * crowd_passes());
    return tcase;
}

#endif
