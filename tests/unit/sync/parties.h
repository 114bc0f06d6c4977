/* SPDX-License-Identifier: MIT */

/* Parties that meet at a primitive: fibers of one worker or several, and plain threads. */
#ifndef THI_TEST_PARTIES_H
#define THI_TEST_PARTIES_H

#include "runtime/in_fiber.h"

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

/* Lets others run until the condition holds; the test's time limit is the patience. */
#define wait_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0)

#endif
