/* SPDX-License-Identifier: MIT */

/* The dice of failure. */
#include "loop/sim_fault.h"

#include "base/alloc.h"
#include "loop/sim_choice.h"
#include "loop/sim_trace.h"

#include <thrum/time.h>

#define SPIKE_MIN   (10 * TH_MILLISECOND)
#define SPIKE_MAX   (3 * TH_SECOND)
#define MEMORY_NEXT 4 /* one of so many of the next allocations fails */

static const char *const names[TH_SIM_FAULTS] = {
#define FAULT_NAME(name, text) text,
    TH_SIM_FAULT_LIST(FAULT_NAME)
#undef FAULT_NAME
};

const char *th_sim_fault_name(int fault)
{
    return fault >= 0 && fault < TH_SIM_FAULTS ? names[fault] : "?";
}

void th_sim_set_faults(th_sim_opts *opts, uint32_t per_million)
{
    for (int i = 0; i < TH_SIM_FAULTS; i++)
        opts->faults[i].per_million = per_million;
}

bool thi_sim_fault(thi_sim *w, enum th_sim_fault kind)
{
    const th_sim_odds *odds = &w->opts.faults[kind];
    if ((odds->per_million == 0 && odds->at == 0) || !thi_sim_faults_on(w))
        return false;
    if (++w->chances[kind] != odds->at && !thi_sim_happens(w, odds->per_million))
        return false;
    w->result.faults[kind]++;
    thi_sim_trace(w, names[kind], 0, 0);
    return true;
}

/* Takes the order back; an order of which nothing is left has struck. */
static void settle(thi_sim *w)
{
    if (!w->memory_armed)
        return;
    w->memory_armed = false;
    if (thi_alloc_fail_at(0) == 0)
        w->result.faults[TH_SIM_NO_MEMORY]++;
}

static void order(thi_sim *w, int64_t n)
{
    settle(w);
    w->memory_armed = true;
    thi_sim_trace(w, "memory", n, 0);
    (void)thi_alloc_fail_at(n);
}

void thi_sim_memory_begin(thi_sim *w)
{
    if (w->opts.faults[TH_SIM_NO_MEMORY].at > 0)
        order(w, w->opts.faults[TH_SIM_NO_MEMORY].at);
}

void thi_sim_memory_step(thi_sim *w)
{
    if (!thi_sim_faults_on(w))
        settle(w);
    else if (thi_sim_happens(w, w->opts.faults[TH_SIM_NO_MEMORY].per_million))
        order(w, thi_sim_draw(w, 1, MEMORY_NEXT));
}

void thi_sim_memory_end(thi_sim *w)
{
    settle(w);
}

int64_t thi_sim_latency(thi_sim *w)
{
    int64_t took = thi_sim_draw(w, w->opts.latency_min, w->opts.latency_max);
    if (thi_sim_fault(w, TH_SIM_DELAY))
        took += thi_sim_draw(w, SPIKE_MIN, SPIKE_MAX);
    return took;
}
