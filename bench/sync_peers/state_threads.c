/* SPDX-License-Identifier: MIT */

/*
 * State Threads: conditions and mutexes among the threads of one process, which never run at once.
 *
 * There are no queues; a condition and a place beside it stand for one.
 */
#include "fiber_peers/peer.h"

#include <st.h>

static st_cond_t filled[2];
static void *place[2];
static unsigned long rounds;
static st_mutex_t lock;
static int turn;

/* Puts an item into the other's place and waits for one in its own. */
static void *play(void *arg)
{
    int me = arg != NULL;
    for (unsigned long i = 0; i < rounds; i++) {
        while (place[me] == NULL)
            st_cond_wait(filled[me]);
        place[me] = NULL;
        place[1 - me] = &rounds;
        st_cond_signal(filled[1 - me]);
    }
    return NULL;
}

/* The same under a mutex, which a condition does not know of. */
static void *alternate(void *arg)
{
    int me = arg != NULL;
    for (unsigned long i = 0; i < rounds; i++) {
        st_mutex_lock(lock);
        while (turn != me) {
            st_mutex_unlock(lock);
            st_cond_wait(filled[me]);
            st_mutex_lock(lock);
        }
        turn = 1 - me;
        st_cond_signal(filled[turn]);
        st_mutex_unlock(lock);
    }
    return NULL;
}

static int run_two(void *(*fn)(void *), unsigned long count, struct peer_result *r)
{
    st_thread_t two[2];
    rounds = count / 2;
    lock = st_mutex_new();
    for (int i = 0; i < 2; i++)
        filled[i] = st_cond_new();
    place[0] = &rounds;
    double begin = peer_seconds();
    for (int i = 0; i < 2; i++) {
        two[i] = st_thread_create(fn, i > 0 ? &rounds : NULL, 1, PEER_STACK_SIZE);
        if (two[i] == NULL)
            return -1;
    }
    for (int i = 0; i < 2; i++)
        st_thread_join(two[i], NULL);
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return 0;
}

static int run_queue(unsigned long count, struct peer_result *r)
{
    return run_two(play, count, r);
}

static int run_cond(unsigned long count, struct peer_result *r)
{
    return run_two(alternate, count, r);
}

static int run_mutex(unsigned long count, struct peer_result *r)
{
    lock = st_mutex_new();
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count; i++) {
        st_mutex_lock(lock);
        st_mutex_unlock(lock);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct peer_case cases[] = {
        { "queue", run_queue }, { "event", run_queue }, { "cond", run_cond },
        { "mutex", run_mutex }, { NULL, NULL },
    };

    if (st_set_eventsys(ST_EVENTSYS_ALT) != 0 || st_init() != 0) {
        perror("st_init");
        return 1;
    }
    return peer_main(argc, argv, cases);
}
