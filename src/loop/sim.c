/* SPDX-License-Identifier: MIT */

/* The life of a world, and what the public interface asks of it directly. */
#include "loop/sim.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_clock.h"
#include "loop/sim_desc.h"
#include "loop/sim_engine.h"
#include "loop/sim_mail.h"
#include "loop/sim_name.h"
#include "loop/sim_sys.h"
#include "loop/sim_trace.h"

#include <thrum/time.h>

#define BUFFER_MAX      (64 * 1024)
#define LATENCY_MIN     (20 * TH_MICROSECOND)
#define LATENCY_MAX     (2 * TH_MILLISECOND)
#define DESCRIPTORS_MAX 65536
#define STEP_LIMIT      10000000

static void fill_in_defaults(th_sim_opts *opts)
{
    if (opts->latency_max == 0 && opts->latency_min == 0) {
        opts->latency_min = LATENCY_MIN;
        opts->latency_max = LATENCY_MAX;
    }
    if (opts->buffer_max == 0)
        opts->buffer_max = BUFFER_MAX;
    if (opts->descriptors == 0)
        opts->descriptors = DESCRIPTORS_MAX;
    if (opts->workers == 0)
        opts->workers = 1;
    if (opts->time_limit == 0)
        opts->time_limit = 24 * TH_HOUR;
    if (opts->step_limit == 0)
        opts->step_limit = STEP_LIMIT;
}

void thi_sim_open(thi_sim *w, const th_sim_opts *opts)
{
    *w = (thi_sim){ .now = THI_SIM_EPOCH, .actor = -1 };
    if (opts)
        w->opts = *opts;
    fill_in_defaults(&w->opts);
    w->result.seed = w->opts.seed;
    w->wall_offset = THI_SIM_WALL - THI_SIM_EPOCH;
    w->fault_end = w->opts.fault_until > 0 ? w->now + w->opts.fault_until : INT64_MAX;
    w->wait = thi_sim_wait_alone;
    thi_random_seed(&w->random, w->opts.seed);
    thi_random_seed(&w->scenario, ~w->opts.seed);
    thi_heap_init(&w->events);
    thi_list_init(&w->bound);
    thi_list_init(&w->letters);
    for (size_t i = 0; i < THI_SIM_PORT_LISTS; i++)
        thi_list_init(&w->by_port[i]);
    thi_list_init(&w->names);
    w->former = thi_sys_table;
    thi_sim_self = w;
    thi_sys_table = &thi_sim_sys;
}

void thi_sim_close(thi_sim *w)
{
    for (size_t i = 0; i < w->desc_room; i++)
        if (w->descs[i])
            thi_sim_desc_close(w, w->descs[i]);
    thi_sim_mail_clear(w);
    thi_free(w->descs);
    thi_sim_name_clear(w);
    thi_sys_table = w->former;
    thi_sim_self = NULL;
}

uint64_t th_sim_random(uint64_t n)
{
    return thi_sim_self ? thi_random_below(&thi_sim_self->scenario, n) : 0;
}

void th_sim_note(const char *text)
{
    if (thi_sim_self && text)
        thi_sim_trace(thi_sim_self, text, 0, 0);
}
