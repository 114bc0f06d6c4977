/* SPDX-License-Identifier: MIT */

/*
 * The life of a pool's thread: jobs, sleep, and the end.
 *
 * It makes its system calls by the real table, whatever is in force for the one who started it: a
 * test that fails calls does so on its own thread.
 */
#include "pool/threads.h"

#include "base/metrics.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <stdio.h>

static void begin(th_pool *pool)
{
    char name[16]; /* with its NUL, the most that the kernel keeps: pthread_setname_np(3) */
    unsigned number = __atomic_fetch_add(&pool->numbers, 1, __ATOMIC_RELAXED) % 1000;
    snprintf(name, sizeof name, "%.11s-%u", pool->name, number);
    (void)pthread_setname_np(pthread_self(), name);
    if (pool->gives_way > 0)
        (void)!thi_machine_give_way(pool->gives_way); /* it works as well without */
    (void)!thi_metrics_attach(); /* without a block it counts in the shared one */
    thi_metric_add(THI_M_POOL_THREADS, 1);
}

/* The pool may be gone: its last server does not touch it any more. */
static void end(const thi_server *self)
{
    if (self->joins)
        (void)pthread_join(self->earlier, NULL);
    thi_metric_add(THI_M_POOL_THREADS, -1);
    thi_metrics_detach();
}

static void *serve(void *arg)
{
    th_pool *pool = arg;
    thi_server self = { .threaded = true, .stays = true, .fresh = true, .thread = pthread_self() };
    thi_job *job = NULL;
    /* In real time nobody else of the process would run before the queue is empty. Else niceness is
     * enough, and a yield may cost a whole slice of time: Linux 6.18 takes it from the thread. */
    bool yields = pool->gives_way > 0 && thi_machine_is_realtime();
    begin(pool);
    for (;;) {
        job = thi_crew_next(pool, &self, job);
        if (job) {
            thi_crew_run(pool, job);
            if (yields)
                (void)thi_sys_yield();
        } else if (self.left)
            break;
        else
            thi_crew_sleep(pool, &self);
    }
    end(&self);
    return NULL;
}

int thi_threads_start(th_pool *pool)
{
    pthread_t thread;
    return thi_sys_thread(&thread, pool->stack_size, serve, pool);
}
