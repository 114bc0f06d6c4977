/* SPDX-License-Identifier: MIT */

/*
 * What POSIX has: threads in the place of fibers, and the pool that everybody writes first.
 *
 * Where fibers of one worker are compared, the threads share one CPU.
 */
#include "pool_peers/case.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

enum { CONTENDERS = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed[2] = { PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER };
static unsigned long counter;
static unsigned long limit;
static int turn;

static int run_mutex(unsigned long count, struct peer_result *r)
{
    double begin = peer_seconds();

    for (unsigned long i = 0; i < count; i++) {
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return 0;
}

static int run_sem(unsigned long count, struct peer_result *r)
{
    sem_t sem;
    sem_init(&sem, 0, 1);
    double begin = peer_seconds();

    for (unsigned long i = 0; i < count; i++) {
        sem_wait(&sem);
        sem_post(&sem);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return 0;
}

/* Runs as many threads as there are arguments, and measures their time by `clock`. */
static int run_threads(void *(*fn)(void *), int threads, double (*clock)(void),
                       struct peer_result *r)
{
    static const int numbers[CONTENDERS] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    pthread_t all[CONTENDERS];
    int started = 0;
    double begin = clock();

    while (started < threads &&
           pthread_create(&all[started], NULL, fn, (void *)(size_t)&numbers[started]) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(all[i], NULL);
    r->value = (clock() - begin) * 1e9 / (double)limit;
    return started == threads && counter >= limit ? 0 : -1;
}

static void *contend(void *arg)
{
    for (unsigned long i = 0; i < limit / CONTENDERS; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        sched_yield();
        pthread_mutex_unlock(&lock);
    }
    return arg;
}

static int run_contended(unsigned long count, struct peer_result *r)
{
    limit = count / CONTENDERS * CONTENDERS;
    return run_threads(contend, CONTENDERS, peer_wall, r);
}

static void *alternate(void *arg)
{
    int me = *(const int *)arg;
    pthread_mutex_lock(&lock);
    for (unsigned long i = 0; i < limit / 2; i++) {
        while (turn != me)
            pthread_cond_wait(&changed[me], &lock);
        turn = 1 - me;
        counter++;
        pthread_cond_signal(&changed[turn]);
    }
    pthread_mutex_unlock(&lock);
    return arg;
}

static int run_cond(unsigned long count, struct peer_result *r)
{
    limit = count / 2 * 2;
    return run_threads(alternate, 2, peer_wall, r);
}

static int run_pool_job(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_cond, 0, count, r);
}

static int run_pool_trip(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_cond, 1, count, r);
}

int main(int argc, char **argv)
{
    static const struct peer_case cases[] = {
        { "mutex", run_mutex },
        { "sem", run_sem },
        { "mutex-8", run_contended },
        { "mutex-8-2w", run_contended },
        { "cond", run_cond },
        { "queue-2w", run_cond }, /* two threads that hand an item to each other are just that */
        { "pool-job", run_pool_job },
        { "pool-future", run_pool_job }, /* there is but one way, without an answer to each job */
        { "pool-trip", run_pool_trip },
        { "pool-trip-fiber", run_pool_trip },
        { NULL, NULL },
    };

    return peer_main(argc, argv, cases);
}
