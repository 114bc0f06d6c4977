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
        if (load < least) {
            least = load;
            best = &rt->workers[i];
        }
    }
    return best;
}

thi_worker *thi_worker_place(thi_worker *here, int place)
{
    thi_runtime *rt = here->runtime;
    if (place == TH_PLACE_LEAST)
        return least_loaded(here);
    if (place == TH_PLACE_ROUND)
        return &rt->workers[atomic_fetch_add(&rt->turn, 1) % rt->count];
    return place == TH_PLACE_HERE ? here : &rt->workers[place - 1];
}
