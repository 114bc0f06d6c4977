/* SPDX-License-Identifier: MIT */

/* The choice of a worker for something new. */
#include "runtime/place.h"

static thi_worker *least_loaded(thi_worker *here)
{
    thi_runtime *rt = here->runtime;
    thi_worker *best = here;
    size_t least = thi_worker_load(here);
    for (unsigned i = 0; i < rt->count; i++) {
        size_t load = thi_worker_load(&rt->workers[i]);
        if (load < least && !thi_worker_is_held_up(&rt->workers[i], here->loop.now)) {
            least = load;
            best = &rt->workers[i];
        }
    }
    return best;
}

/* The next in turn, but none that is held up, unless all are; the caller's own is not. */
static thi_worker *in_turn(thi_worker *here)
{
    thi_runtime *rt = here->runtime;
    for (unsigned i = 0; i < rt->count; i++) {
        thi_worker *next = &rt->workers[atomic_fetch_add(&rt->turn, 1) % rt->count];
        if (next == here || !thi_worker_is_held_up(next, here->loop.now))
            return next;
    }
    return here;
}

thi_worker *thi_worker_place(thi_worker *here, int place)
{
    thi_runtime *rt = here->runtime;
    if (place == TH_PLACE_LEAST)
        return least_loaded(here);
    if (place == TH_PLACE_ROUND)
        return in_turn(here);
    return place == TH_PLACE_HERE ? here : &rt->workers[place - 1];
}
