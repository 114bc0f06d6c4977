/* SPDX-License-Identifier: MIT */

/* Whether a process that was forked off may begin anew with threads; for SKIP_UNLESS(). */
#ifndef THI_TEST_ANEW_H
#define THI_TEST_ANEW_H

#include "runtime/capture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#define NO_THREADS_ANEW "no threads in the child of a process with threads"

static inline void *anew_end_at_once(void *arg)
{
    return arg;
}

static inline int anew_start_a_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, anew_end_at_once, NULL) != 0)
        return 1;
    return pthread_join(thread, NULL);
}

static inline void *anew_end_when_told(void *arg)
{
    while (sem_wait(arg) != 0)
        continue;
    return NULL;
}

/*
 * Whether the child of a process with threads may have one itself. POSIX promises nothing of it,
 * Linux does it; the thread sanitizer forbids it, and an emulator may lose count.
 */
static inline bool may_begin_anew(void)
{
    pthread_t thread;
    sem_t end;
    ck_assert_int_eq(sem_init(&end, 0, 0), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, anew_end_when_told, &end), 0);
    capture c = run_captured(anew_start_a_thread);
    sem_post(&end);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    sem_destroy(&end);
    return WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0;
}

#endif
