/* SPDX-License-Identifier: MIT */

/* The queues of the ranks and their turns. */
#include "runtime/rank.h"

#include "base/assert.h"

#include <errno.h>

static const uint8_t by_height[THI_RANKS] = { THI_RANK_HIGH, THI_RANK_NORMAL, THI_RANK_LOW };

void thi_rank_init(thi_worker *worker, const th_run_opts *opts)
{
    worker->weights[THI_RANK_HIGH] = opts->weight_high ? opts->weight_high : 16;
    worker->weights[THI_RANK_NORMAL] = opts->weight_normal ? opts->weight_normal : 4;
    worker->weights[THI_RANK_LOW] = opts->weight_low ? opts->weight_low : 1;
}

int thi_rank_of(int priority)
{
    switch (priority) {
    case TH_PRIO_HIGH:
        return THI_RANK_HIGH;
    case TH_PRIO_NORMAL:
        return THI_RANK_NORMAL;
    case TH_PRIO_LOW:
        return THI_RANK_LOW;
    default:
        return -EINVAL;
    }
}

void thi_rank_enqueue(thi_worker *worker, th_fiber *fiber)
{
    thi_run_queue *queue = &worker->ready[fiber->rank];
    if (queue->first)
        queue->last->next = fiber;
    else
        queue->first = fiber;
    queue->last = fiber;
    if (worker->ranked++ == 0) {
        worker->aside = worker->budget;
        worker->budget = 0;
    }
}

/* At most two looks: after the first all have their shares again, and somebody is ready. */
unsigned thi_rank_choose(thi_worker *worker)
{
    for (int look = 0; look < 2; look++) {
        for (unsigned i = 0; i < THI_RANKS; i++) {
            unsigned rank = by_height[i];
            if (worker->ready[rank].first && worker->shares[rank] > 0) {
                worker->shares[rank]--;
                return rank;
            }
        }
        for (unsigned rank = 0; rank < THI_RANKS; rank++)
            worker->shares[rank] = worker->weights[rank];
    }
    thi_assert_fail(__FILE__, __LINE__, "somebody is ready");
}

void thi_rank_taken(thi_worker *worker, unsigned rank)
{
    if (rank == THI_RANK_NORMAL || --worker->ranked > 0)
        return;
    worker->budget = worker->aside;
    worker->aside = 0;
}

th_fiber *thi_rank_take(thi_worker *worker)
{
    unsigned rank = thi_rank_choose(worker);
    thi_run_queue *queue = &worker->ready[rank];
    th_fiber *fiber = queue->first;
    queue->first = fiber->next;
    thi_rank_taken(worker, rank);
    return fiber;
}

th_fiber *thi_rank_next(thi_worker *worker)
{
    if (worker->aside <= 0)
        return NULL;
    worker->aside--;
    return thi_rank_take(worker);
}
