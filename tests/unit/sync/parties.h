/* SPDX-License-Identifier: MIT */

/* Parties that meet at a primitive: fibers of one worker or several, and plain threads. */
#ifndef THI_TEST_PARTIES_H
#define THI_TEST_PARTIES_H

#include "runtime/in_fiber.h"
#include "runtime/waiter.h"

#include "runtime/worker.h"

#include <pthread.h>

/* Runs bodies as plain threads; they must be joined. */
static inline pthread_t start_thread(void *(*body)(void *arg), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
    return thread;
}

/* From a fiber: lets its worker run until the thread has ended. */
static inline void join_thread(pthread_t thread)
{
    while (pthread_tryjoin_np(thread, NULL) != 0)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
}

/* Those who are in a queue of waiters. */
static inline int count_waiters(thi_waitq *queue)
{
    int count = 0;
    thi_waitq_lock(queue);
    for (const thi_waiter *w = queue->first; w; w = w->next)
        count++;
    thi_waitq_unlock(queue);
    return count;
}

/* Lets others run until the condition holds; the test's time limit is the patience. */
#define wait_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0)

/* A function that a worker's loop is to call. */
typedef struct loop_call {
    thi_msg msg;
    void (*fn)(void);
    bool done;
} loop_call;

static inline void run_loop_call(thi_msg *msg)
{
    loop_call *call = thi_container_of(msg, loop_call, msg);
    call->fn();
    call->done = true;
}

/* From a fiber: has its worker call the function outside of any fiber, where nothing may wait. */
static inline void call_in_loop(void (*fn)(void))
{
    loop_call call = { .msg.fn = run_loop_call, .fn = fn };
    thi_loop_post(&thi_worker_self->loop, &call.msg);
    wait_until(call.done);
}

#endif
