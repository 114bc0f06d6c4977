/* SPDX-License-Identifier: MIT */

/*
 * Ranks of fibers: who runs first, and how others are not forgotten.
 *
 * Ordinary fibers stand in one queue, from which the running one takes its successor without
 * looking at anything else but the budget. Those of the other ranks have queues of their own. While
 * one of these holds somebody, what is left of the budget is put aside and the budget is 0; so
 * whoever leaves comes here and the plain path stays as short as it is.
 *
 * Here ranks take turns by weight: in each round a rank has as many starts as it weighs, and the
 * highest that has some left and somebody ready is served. So the highest waits for one fiber at
 * most while it keeps to its share, and the lowest gets its share of each round.
 */
#ifndef THI_RUNTIME_RANK_H
#define THI_RUNTIME_RANK_H

#include "runtime/worker.h"

/* Sets the weights; 0 gives the default. */
void thi_rank_init(thi_worker *worker, const th_run_opts *opts);

/* The rank of a priority; negative when there is no such. */
int thi_rank_of(int priority);

/* Puts a fiber that is not of the ordinary rank into its queue. */
void thi_rank_enqueue(thi_worker *worker, th_fiber *fiber);

/* The rank whose turn it is; somebody is ready. */
unsigned thi_rank_choose(thi_worker *worker);

/* One of that rank has been taken out. */
void thi_rank_taken(thi_worker *worker, unsigned rank);

/* Takes the one whose turn it is; somebody is ready. */
th_fiber *thi_rank_take(thi_worker *worker);

/* The same within the budget that was put aside; NULL when that is used up. */
th_fiber *thi_rank_next(thi_worker *worker);

#endif
