/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/queues.md. */
#include <thrum.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#define CLIENTS 5

static int talking;
static int talked;

/* Never more than two at a time. */
static int talk_to_server(void *arg)
{
    (void)arg;
    if (++talking > 2)
        return -EBUSY;
    int err = th_sleep(TH_MILLISECOND);
    talking--;
    talked++;
    return err;
}

#include "units.inc"

static int units(void)
{
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    for (int i = 0; i < CLIENTS && err == 0; i++)
        err = th_spawn(&scope, ask, NULL);
    if (err == 0)
        err = th_yield();
    if (err == 0 && talking > 0)
        err = -EPROTO; /* before the event was set */
    th_event_set(&ready);
    int closed = th_scope_close(&scope);
    if (err == 0)
        err = closed < 0 ? closed : th_sem_release(&connections, 1) == -EOVERFLOW ? 0 : -EPROTO;
    return err == 0 && talked != CLIENTS ? -EPROTO : err;
}

static th_queue *jobs;
static th_event stop = TH_EVENT_INIT;
static int worked;
static int reported;

static void work_on(void *item)
{
    worked += *(int *)item;
}

static void report(void)
{
    reported++;
}

static int consume(void *arg)
{
    (void)arg;
#include "select.inc"
}

static int selected(bool by_event)
{
    int one = 1;
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_queue_new(NULL, &jobs);
    if (err == 0)
        err = th_spawn(&scope, consume, NULL);
    if (err == 0)
        err = th_queue_put(jobs, &one);
    if (err == 0)
        err = th_sleep(120 * TH_MILLISECOND);
    if (by_event)
        th_event_set(&stop);
    else
        th_queue_close(jobs);
    int closed = th_scope_close(&scope);
    th_queue_free(jobs);
    return err < 0 ? err : closed;
}

static int app(void *arg)
{
    (void)arg;
    int err = units();
    if (err == 0)
        err = selected(false);
    if (err == 0)
        err = selected(true);
    if (err == 0 && (worked != 2 || reported != 4))
        err = -EPROTO;
    return err;
}

int main(void)
{
    int err = th_sim_run(app, NULL, &(th_sim_opts){ .seed = 1 }, NULL);
    if (err < 0)
        printf("%s %s\n", th_errname(err), th_err_detail());
    return err < 0;
}
