/* SPDX-License-Identifier: MIT */

/*
 * State Threads: fibers with a scheduler, a timer heap and condition variables, as Thrum has them.
 *
 * The library has no call that only yields; two threads that signal each other's condition and wait
 * make one switch per signal, which is how its users switch.
 */
#include "fiber_peers/peer.h"

#include <st.h>

enum { RING = 1000 };

/* The ring: each thread waits for its own condition and signals the next one's. */
static st_cond_t conditions[RING];
static st_thread_t threads[RING];
static unsigned threads_used;
static unsigned long left;

/* Parked threads: how many wait, how many have ended, and what they wait for. */
static st_cond_t gate;
static unsigned long ended;

static void *hand_over(void *mine)
{
    st_cond_t *my = mine;
    st_cond_t next = my + 1 == conditions + threads_used ? conditions[0] : my[1];

    while (left > 0) {
        left--;
        st_cond_signal(next);
        st_cond_wait(*my);
    }
    st_cond_signal(next);
    return NULL;
}

static int run_ring_of(unsigned wanted, unsigned long count, struct peer_result *r)
{
    left = 0;
    threads_used = wanted;
    for (unsigned i = 0; i < wanted; i++) {
        conditions[i] = st_cond_new();
        threads[i] = st_thread_create(hand_over, &conditions[i], 1, PEER_STACK_SIZE);
        if (conditions[i] == NULL || threads[i] == NULL)
            return -1;
    }
    left = count;
    double begin = peer_seconds();
    for (unsigned i = 0; i < wanted; i++)
        st_thread_join(threads[i], NULL);
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return 0;
}

static int run_switch(unsigned long count, struct peer_result *r)
{
    return run_ring_of(2, count, r);
}

static int run_ring(unsigned long count, struct peer_result *r)
{
    return run_ring_of(RING, count, r);
}

static void *nothing(void *arg)
{
    return arg;
}

static int run_spawn(unsigned long count, struct peer_result *r)
{
    double begin = peer_seconds();

    for (unsigned long i = 0; i < count; i++) {
        st_thread_t one = st_thread_create(nothing, NULL, 1, PEER_STACK_SIZE);
        if (one == NULL || st_thread_join(one, NULL) != 0)
            return -1;
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return 0;
}

static void *wait_at_gate(void *arg)
{
    st_cond_wait(gate);
    ended++;
    return arg;
}

/* Starts `count` threads that wait, wakes each once, and so ends them. The number that did. */
static unsigned long park(unsigned long count, struct peer_result *r)
{
    double before = peer_memory();
    double begin = peer_seconds();
    unsigned long started = 0;

    gate = st_cond_new();
    while (started < count && st_thread_create(wait_at_gate, NULL, 0, PEER_STACK_SIZE) != NULL)
        started++;
    st_usleep(0); /* they run for the first time, and wait */
    double parked = peer_seconds();
    r->bytes = started > 0 ? (peer_memory() - before) / (double)started : 0;
    double woken = peer_seconds();
    st_cond_broadcast(gate);
    while (ended < started)
        st_usleep(0);
    r->seconds = peer_seconds() - woken + parked - begin;
    return ended;
}

static int run_parked(unsigned long count, struct peer_result *r)
{
    unsigned long done = park(count, r);

    r->value = r->bytes;
    return done == count ? 0 : -1;
}

static int run_million(unsigned long count, struct peer_result *r)
{
    unsigned long done = park(count, r);

    r->value = (double)done;
    return done == count ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const struct peer_case cases[] = { { "switch", run_switch },   { "ring", run_ring },
                                              { "spawn", run_spawn },     { "parked", run_parked },
                                              { "million", run_million }, { NULL, NULL } };

    if (st_set_eventsys(ST_EVENTSYS_ALT) != 0 || st_init() != 0) {
        perror("st_init");
        return 1;
    }
    return peer_main(argc, argv, cases);
}
