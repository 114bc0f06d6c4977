/* SPDX-License-Identifier: MIT */

/*
 * The wait group.
 *
 * The word is the count, and WAITED in its lowest bit: somebody waits, or has waited and was
 * cancelled. It changes by one atomic operation, except where it would become zero with WAITED set:
 * that is done under the queue's lock, and everybody is taken out of the queue before it is
 * released. WAITED is set under that lock as well, so nobody enters the queue of a group that is at
 * zero.
 *
 * Whoever has waited may free the group while the one that let it go is still in here. So what
 * makes the word zero is the last that is done to the group; and where that was done under the
 * lock, one that finds zero passes only once the lock is free.
 */
#include "runtime/waiter.h"

#include <thrum/waitgroup.h>

#include <limits.h>

typedef struct thi_waitgroup {
    _Atomic(uint32_t) word;
    thi_waitq queue;
} thi_waitgroup;

#define WAITED 1u
#define ONE    2u

_Static_assert(sizeof(thi_waitgroup) <= sizeof(th_waitgroup),
               "th_waitgroup has no room for a thi_waitgroup");
_Static_assert(INT_MAX == INT32_MAX, "the count and a flag fit 32 bits");

static thi_waitgroup *group_of(th_waitgroup *group)
{
    return (thi_waitgroup *)(void *)group;
}

/*
 * Changes the count. 1 when that makes it zero and waiters are to be let go: without the lock this
 * is not done yet, with it, it is.
 */
static int change(thi_waitgroup *g, int n, bool locked)
{
    uint32_t word = atomic_load_explicit(&g->word, memory_order_relaxed);
    for (;;) {
        int64_t count = (int64_t)(word / ONE) + n;
        if (count < 0)
            return -EINVAL;
        if (count > INT_MAX)
            return -EOVERFLOW;
        uint32_t next = count == 0 ? 0 : (uint32_t)count * ONE | (word & WAITED);
        bool last = next == 0 && (word & WAITED);
        if (last && !locked)
            return 1;
        if (TH_LIKELY(atomic_compare_exchange_weak_explicit(
                &g->word, &word, next, memory_order_acq_rel, memory_order_relaxed)))
            return last;
    }
}

/* As it stands, this change makes the count zero; others may have changed it meanwhile. */
static int change_and_release(thi_waitgroup *g, int n)
{
    thi_waiter *chain = NULL;
    thi_waitq_lock(&g->queue);
    int result = change(g, n, true);
    if (result == 1)
        chain = thi_waitq_pop_all(&g->queue);
    thi_waitq_unlock(&g->queue);
    thi_waiter_wake_all(chain);
    return result == 1 ? 0 : result;
}

int th_waitgroup_add(th_waitgroup *group, int n)
{
    thi_waitgroup *g = group_of(group);
    if (TH_UNLIKELY(!g))
        return -EINVAL;
    int result = change(g, n, false);
    return TH_LIKELY(result <= 0) ? result : change_and_release(g, n);
}

int th_waitgroup_done(th_waitgroup *group)
{
    return th_waitgroup_add(group, -1);
}

/* Whether the count is zero and whoever made it so has left. */
static bool is_over(thi_waitgroup *g)
{
    return atomic_load_explicit(&g->word, memory_order_acquire) == 0 &&
           atomic_load_explicit(&g->queue.lock, memory_order_acquire) == 0;
}

/* Under the lock: whether there is something to wait for; then the last one will look here. */
static bool announce(thi_waitgroup *g)
{
    uint32_t word = atomic_load_explicit(&g->word, memory_order_acquire);
    while (word != 0 && !(word & WAITED))
        if (atomic_compare_exchange_weak_explicit(&g->word, &word, word | WAITED,
                                                  memory_order_acquire, memory_order_acquire))
            break;
    return word != 0;
}

static const thi_wait_kind finishing = { "wait group", THI_BY_ANYBODY, 0 };

int th_waitgroup_wait(th_waitgroup *group)
{
    thi_waitgroup *g = group_of(group);
    if (TH_UNLIKELY(!g))
        return -EINVAL;
    if (is_over(g))
        return 0;
    thi_waiter w;
    int may_wait = thi_waiter_init(&w, &g->queue, &finishing, g);
    thi_waitq_lock(&g->queue);
    bool waits = announce(g);
    if (waits && may_wait == 0)
        thi_waitq_push(&g->queue, &w);
    thi_waitq_unlock(&g->queue);
    if (!waits)
        return 0;
    return may_wait == 0 ? thi_waiter_sleep(&w) : may_wait;
}
