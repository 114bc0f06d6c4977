/* SPDX-License-Identifier: MIT */

/* The pool that everybody writes first: a list, a mutex, a condition; and one pair for answers. */
#include "pool_peers/peers.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 64

typedef struct job {
    struct job *next;
    void (*fn)(struct job *job);
} job;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static job *first;
static job **end = &first;
static size_t left; /* jobs that have not been done */
static bool ends;
static pthread_t threads[THREADS_MAX];
static unsigned count;

static void nothing(job *j)
{
    (void)j;
}

static void *serve(void *arg)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!first && !ends)
            pthread_cond_wait(&wanted, &lock);
        job *j = first;
        if (!j)
            break;
        first = j->next;
        if (!first)
            end = &first;
        pthread_mutex_unlock(&lock);
        j->fn(j);
        free(j);
        pthread_mutex_lock(&lock);
        if (--left == 0)
            pthread_cond_signal(&answered);
    }
    pthread_mutex_unlock(&lock);
    return arg;
}

static bool start(unsigned n)
{
    for (count = 0; count < n && count < THREADS_MAX; count++)
        if (pthread_create(&threads[count], NULL, serve, NULL) != 0)
            abort();
    return true;
}

static void submit(void)
{
    job *j = malloc(sizeof *j);
    if (!j)
        abort();
    *j = (job){ .fn = nothing };
    pthread_mutex_lock(&lock);
    *end = j;
    end = &j->next;
    left++;
    pthread_cond_signal(&wanted);
    pthread_mutex_unlock(&lock);
}

static void wait_for_all(void)
{
    pthread_mutex_lock(&lock);
    while (left > 0)
        pthread_cond_wait(&answered, &lock);
    pthread_mutex_unlock(&lock);
}

static void burst(size_t n)
{
    for (size_t i = 0; i < n; i++)
        submit();
    wait_for_all();
}

static void round_trip(void)
{
    submit();
    wait_for_all();
}

static void stop(void)
{
    pthread_mutex_lock(&lock);
    ends = true;
    pthread_cond_broadcast(&wanted);
    pthread_mutex_unlock(&lock);
    while (count > 0)
        pthread_join(threads[--count], NULL);
}

const pool_peer pool_peer_cond = { start, burst, round_trip, stop };
