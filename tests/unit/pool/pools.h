/* SPDX-License-Identifier: MIT */

/* What tests of pools share: pools, jobs that count, and jobs that wait at a gate. */
#ifndef THI_TEST_POOLS_H
#define THI_TEST_POOLS_H

#include "sync/parties.h"

#include "pool/crew.h"

#include <thrum/pool.h>

#include <semaphore.h>

static inline th_pool *new_pool(const th_pool_opts *opts)
{
    th_pool *pool = NULL;
    ck_assert_int_eq(th_pool_new(opts, &pool), 0);
    return pool;
}

/* A pool of so many threads at most. */
static inline th_pool *pool_of(unsigned threads)
{
    return new_pool(&(th_pool_opts){ .name = "test", .threads_max = threads });
}

static inline void free_pool(th_pool *pool)
{
    ck_assert_int_eq(th_pool_free(pool), 0);
}

static inline th_future *submit(th_pool *pool, th_work_fn fn, void *arg)
{
    th_future *future = NULL;
    ck_assert_int_eq(th_pool_submit(pool, fn, arg, TH_POOL_NORMAL, &future), 0);
    ck_assert_ptr_nonnull(future);
    return future;
}

/* Submits work whose future nobody wants. */
static inline void throw_in(th_pool *pool, th_work_fn fn, void *arg, int priority)
{
    ck_assert_int_eq(th_pool_submit(pool, fn, arg, priority, NULL), 0);
}

/* Waits, and wants the result. */
static inline void expect_result(th_future *future, int wanted)
{
    int result = 4711;
    ck_assert_int_eq(th_future_wait(future, &result), 0);
    ck_assert_int_eq(result, wanted);
}

static inline th_pool_stats stats_of(th_pool *pool)
{
    th_pool_stats stats;
    ck_assert_int_eq(th_pool_get_stats(pool, &stats), 0);
    return stats;
}

/* How often count() has run. */
static atomic_int counted;

static inline int count(void *arg)
{
    (void)arg;
    return atomic_fetch_add(&counted, 1) + 1;
}

/* A gate that jobs wait at; it says when they have come, and lets each through once. */
typedef struct gate {
    sem_t come;
    sem_t open;
} gate;

static inline void gate_init(gate *g)
{
    ck_assert_int_eq(sem_init(&g->come, 0, 0), 0);
    ck_assert_int_eq(sem_init(&g->open, 0, 0), 0);
}

static inline int wait_at_gate(void *arg)
{
    gate *g = arg;
    sem_post(&g->come);
    while (sem_wait(&g->open) != 0)
        ;
    return 0;
}

static inline void wait_for_arrival(gate *g)
{
    while (sem_wait(&g->come) != 0)
        ;
}

static inline void open_gate(gate *g)
{
    sem_post(&g->open);
}

/* Keeps one thread of the pool busy until open_gate(). */
static inline th_future *occupy(th_pool *pool, gate *g)
{
    gate_init(g);
    th_future *future = submit(pool, wait_at_gate, g);
    wait_for_arrival(g);
    return future;
}

/* Opens the gate and lets go of what occupied the thread. */
static inline void release(th_future *future, gate *g)
{
    open_gate(g);
    expect_result(future, 0);
    th_future_unref(future);
}

#endif
