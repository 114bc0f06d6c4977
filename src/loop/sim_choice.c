/* SPDX-License-Identifier: MIT */

/* Drawing from the seed, or following a schedule. */
#include "loop/sim_choice.h"

#include "loop/sim_trace.h"

static unsigned follow(thi_sim_schedule *s, unsigned n)
{
    size_t i = s->made++;
    unsigned choice = i < s->given ? s->chosen[i] : 0;
    if (choice >= n)
        choice = n - 1;
    if (i < s->room) {
        s->chosen[i] = (uint16_t)choice;
        s->of[i] = (uint16_t)n;
    }
    return choice;
}

unsigned thi_sim_choose(thi_sim *w, const char *what, size_t n)
{
    if (n <= 1)
        return 0;
    unsigned choice =
        w->schedule ? follow(w->schedule, (unsigned)n) : (unsigned)thi_random_below(&w->random, n);
    thi_sim_trace(w, what, choice, (int64_t)n);
    return choice;
}

int64_t thi_sim_draw(thi_sim *w, int64_t lo, int64_t hi)
{
    if (w->schedule || hi <= lo)
        return lo;
    uint64_t number = thi_random_below(&w->random, (uint64_t)(hi - lo) + 1);
    thi_sim_trace_number(w, number);
    return lo + (int64_t)number;
}

bool thi_sim_happens(thi_sim *w, uint32_t per_million)
{
    return per_million > 0 && !w->schedule &&
           thi_random_below(&w->random, 1000000) < (uint64_t)per_million;
}
