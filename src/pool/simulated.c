/* SPDX-License-Identifier: MIT */

/*
 * A virtual thread is a timer on the loop of the worker that caused its start.
 *
 * Each job takes a time that the seed draws. It is taken from the queue at the beginning of that
 * time and executed, in no time at all, at its end; so it can be found waiting, found running, and
 * be overtaken, as on real threads. Nobody sleeps: a virtual thread without a job is gone.
 *
 * The work runs on the loop, outside of any fiber. It must not wait for others: a call that would
 * have to returns -EPERM.
 */
#include "pool/simulated.h"

#include "base/alloc.h"
#include "loop/sim_choice.h"

#include <thrum/time.h>

#include <errno.h>

#define TIME_MIN TH_MICROSECOND
#define TIME_MAX TH_MILLISECOND

typedef struct virtual_thread {
    thi_server server;
    thi_timer timer;
    thi_list link; /* in the pool's list */
    th_pool *pool;
    thi_job *job; /* that it is at; NULL at first */
} virtual_thread;

static void pass_time(virtual_thread *thread)
{
    thi_loop *loop = &thi_worker_self->loop;
    int64_t time = thi_sim_draw(thi_sim_self, TIME_MIN, TIME_MAX);
    thi_loop_timer(loop, &thread->timer, thi_sim_self->now + time);
}

static void on_time(thi_timer *timer)
{
    virtual_thread *thread = thi_container_of(timer, virtual_thread, timer);
    if (thread->job)
        thi_crew_run(thread->pool, thread->job);
    thi_list_remove(&thread->link); /* the pool may be gone when its last server has left */
    thread->job = thi_crew_next(thread->pool, &thread->server, thread->job);
    if (thread->job) {
        thi_list_push_back(&thread->pool->virtual_threads, &thread->link);
        pass_time(thread);
    } else {
        thi_free(thread);
    }
}

int thi_simulated_start(th_pool *pool)
{
    if (!thi_worker_self)
        return -EPERM;
    virtual_thread *thread = thi_alloc(sizeof *thread);
    if (!thread)
        return -ENOMEM;
    *thread = (virtual_thread){ .server = { .fresh = true }, .pool = pool };
    thi_timer_init(&thread->timer, on_time);
    thi_list_push_back(&pool->virtual_threads, &thread->link);
    pass_time(thread);
    return 0;
}

void thi_simulated_end(th_pool *pool, bool forget)
{
    thi_list *link;
    while ((link = thi_list_pop_front(&pool->virtual_threads))) {
        virtual_thread *thread = thi_list_item(link, virtual_thread, link);
        if (thread->job && !forget)
            thread->job->ops->drop(thread->job, -ECANCELED);
        thi_free(thread);
    }
    if (!forget)
        thi_crew_stop(pool, THI_CREW_ABORTS);
}
