/* SPDX-License-Identifier: MIT */

/*
 * Thrum's sync objects and pool in the cases of sync_peers/: written against the public headers
 * only.
 *
 * A case whose name ends in "-2w" has two workers and is measured by the wall clock, since workers
 * wait for each other; the others have one and are measured in CPU time.
 */
#include "pool_peers/case.h"

#include <stdbool.h>
#include <thrum.h>

enum { CONTENDERS = 8, BATCH = 64, SELECT_MAX = 20 };

static unsigned long rounds; /* of each fiber */

/* Runs fn in `fibers` fibers, which get their number, on each of `workers` workers in turn. */
static int run_fibers(int (*fn)(void *), unsigned fibers, unsigned workers)
{
    static unsigned numbers[CONTENDERS] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    th_scope scope;
    int rc = th_scope_open(&scope, NULL);
    if (rc < 0)
        return -1;
    for (unsigned i = 0; i < fibers && rc == 0; i++) {
        th_spawn_opts opts = { .place = (int)(1 + i % workers) };
        rc = th_spawn_with(&scope, fn, &numbers[i], &opts, NULL);
    }
    return th_scope_close(&scope) < 0 || rc < 0 ? -1 : 0;
}

/* The same, measured; `count` operations are done by all of them together. */
static int measure(int (*fn)(void *), unsigned fibers, unsigned workers, unsigned long count,
                   struct peer_result *r)
{
    double (*clock)(void) = workers > 1 ? peer_wall : peer_seconds;
    rounds = count / fibers;
    double begin = clock();
    int rc = run_fibers(fn, fibers, workers);
    r->value = (clock() - begin) * 1e9 / (double)(rounds * fibers);
    return rc;
}

/* ---- queues ---- */

static th_queue *queues[SELECT_MAX + 1];

static int open_queues(unsigned n, const th_queue_opts *opts)
{
    int err = 0;
    for (unsigned i = 0; i < n && err == 0; i++)
        err = th_queue_new(opts, &queues[i]);
    return err;
}

static void free_queues(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        th_queue_free(queues[i]);
}

/* Gives an item to and fro; number 0 begins. */
static int play(void *arg)
{
    unsigned me = *(unsigned *)arg;
    void *item = queues;
    int err = me == 0 ? th_queue_put(queues[1], item) : 0;
    for (unsigned long i = 0; i < rounds && err == 0; i++) {
        err = th_queue_get(queues[me], &item);
        if (err == 0 && (me == 1 || i + 1 < rounds))
            err = th_queue_put(queues[1 - me], item);
    }
    return err;
}

static int run_two_queues(unsigned workers, unsigned long count, struct peer_result *r)
{
    if (open_queues(2, NULL) < 0)
        return -1;
    int rc = measure(play, 2, workers, count, r);
    free_queues(2);
    return rc;
}

static int run_queue(unsigned long count, struct peer_result *r)
{
    return run_two_queues(1, count, r);
}

static int run_queue_2w(unsigned long count, struct peer_result *r)
{
    return run_two_queues(2, count, r);
}

static int by_address(const void *a, const void *b, void *arg)
{
    (void)arg;
    return (a > b) - (a < b);
}

/* Fills a queue with some items and empties it; nobody waits. */
static int run_order(int order, unsigned long count, struct peer_result *r)
{
    static char items[BATCH];
    th_queue_opts opts = { .order = order };
    int err = 0;
    if (order == TH_QUEUE_PRIORITY)
        opts.compare = by_address;
    if (open_queues(1, &opts) < 0)
        return -1;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count / BATCH && err == 0; i++) {
        void *item;
        for (int k = 0; k < BATCH && err == 0; k++)
            err = th_queue_put(queues[0], &items[k * 37 % BATCH]);
        for (int k = 0; k < BATCH && err == 0; k++)
            err = th_queue_get(queues[0], &item);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    free_queues(1);
    return err;
}

static int run_fifo(unsigned long count, struct peer_result *r)
{
    return run_order(TH_QUEUE_FIFO, count, r);
}

static int run_lifo(unsigned long count, struct peer_result *r)
{
    return run_order(TH_QUEUE_LIFO, count, r);
}

static int run_priority(unsigned long count, struct peer_result *r)
{
    return run_order(TH_QUEUE_PRIORITY, count, r);
}

/* ---- select ---- */

static unsigned selected; /* from so many queues; the one after them brings the answers */

static int select_or_fill(void *arg)
{
    th_case cases[SELECT_MAX];
    void *item = queues;
    int err = 0;
    bool fills = *(unsigned *)arg == 1;
    for (unsigned i = 0; i < selected; i++)
        cases[i] = (th_case)TH_CASE_GET(queues[i]);
    for (unsigned long i = 0; i < rounds && err >= 0; i++) {
        err = fills ? th_queue_put(queues[i % selected], item) : th_select(cases, selected, 0);
        if (err >= 0)
            err = fills ? th_queue_get(queues[selected], &item)
                        : th_queue_put(queues[selected], item);
    }
    return err;
}

static int run_select(unsigned n, unsigned long count, struct peer_result *r)
{
    selected = n;
    if (open_queues(n + 1, NULL) < 0)
        return -1;
    int rc = measure(select_or_fill, 2, 1, 2 * count, r);
    r->value *= 2; /* of an item and its answer */
    free_queues(n + 1);
    return rc;
}

static int run_select_2(unsigned long count, struct peer_result *r)
{
    return run_select(2, count, r);
}

static int run_select_20(unsigned long count, struct peer_result *r)
{
    return run_select(SELECT_MAX, count, r);
}

/* ---- locks ---- */

static th_mutex lock = TH_MUTEX_INIT;
static th_cond changed[2] = { TH_COND_INIT, TH_COND_INIT };
static th_event events[2] = { TH_EVENT_AUTO_INIT, TH_EVENT_AUTO_INIT };
static unsigned turn;

static int run_mutex(unsigned long count, struct peer_result *r)
{
    int err = 0;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count; i++) {
        err |= th_mutex_lock(&lock);
        err |= th_mutex_unlock(&lock);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return err;
}

static int run_sem(unsigned long count, struct peer_result *r)
{
    th_sem sem = TH_SEM_INIT(1);
    int err = 0;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count; i++) {
        err |= th_sem_acquire(&sem);
        err |= th_sem_release(&sem, 1);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return err;
}

static int contend(void *arg)
{
    int err = 0;
    (void)arg;
    for (unsigned long i = 0; i < rounds && err == 0; i++) {
        err = th_mutex_lock(&lock);
        if (err == 0)
            err = th_yield();
        if (err == 0)
            err = th_mutex_unlock(&lock);
    }
    return err;
}

static int run_contended(unsigned long count, struct peer_result *r)
{
    return measure(contend, CONTENDERS, 1, count, r);
}

static int run_contended_2w(unsigned long count, struct peer_result *r)
{
    return measure(contend, CONTENDERS, 2, count, r);
}

static int alternate(void *arg)
{
    unsigned me = *(unsigned *)arg;
    int err = th_mutex_lock(&lock);
    if (err < 0)
        return err;
    for (unsigned long i = 0; i < rounds && err == 0; i++) {
        while (turn != me && err == 0)
            err = th_cond_wait(&changed[me], &lock);
        turn = 1 - me;
        th_cond_signal(&changed[turn]);
    }
    th_mutex_unlock(&lock);
    return err;
}

static int run_cond(unsigned long count, struct peer_result *r)
{
    return measure(alternate, 2, 1, count, r);
}

static int set_each_other(void *arg)
{
    unsigned me = *(unsigned *)arg;
    int err = me == 0 ? th_event_set(&events[1]) : 0;
    for (unsigned long i = 0; i < rounds && err == 0; i++) {
        err = th_event_wait(&events[me]);
        if (err == 0)
            err = th_event_set(&events[1 - me]);
    }
    return err;
}

static int run_event(unsigned long count, struct peer_result *r)
{
    return measure(set_each_other, 2, 1, count, r);
}

static th_waitgroup group = TH_WAITGROUP_INIT;

static int be_done(void *arg)
{
    (void)arg;
    return th_waitgroup_done(&group);
}

static int run_waitgroup(unsigned long count, struct peer_result *r)
{
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return -1;
    double begin = peer_seconds();
    for (unsigned long i = 0; i < count / CONTENDERS && err == 0; i++) {
        err = th_waitgroup_add(&group, CONTENDERS);
        for (int k = 0; k < CONTENDERS && err == 0; k++)
            err = th_spawn(&scope, be_done, NULL);
        if (err == 0)
            err = th_waitgroup_wait(&group);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return th_scope_close(&scope) < 0 || err < 0 ? -1 : 0;
}

/* ---- pool ---- */

static int run_pool_job(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_thrum, 0, count, r);
}

static int run_pool_future(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_thrum_futures, 0, count, r);
}

static int run_pool_fiber(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_thrum_fibers, 0, count, r);
}

static int run_pool_trip(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_thrum, 1, count, r);
}

static int run_pool_trip_fiber(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_thrum_fibers, 1, count, r);
}

static const struct peer_case cases[] = {
    { "queue", run_queue },
    { "queue-2w", run_queue_2w },
    { "fifo", run_fifo },
    { "lifo", run_lifo },
    { "priority", run_priority },
    { "select-2", run_select_2 },
    { "select-20", run_select_20 },
    { "mutex", run_mutex },
    { "mutex-8", run_contended },
    { "mutex-8-2w", run_contended_2w },
    { "cond", run_cond },
    { "sem", run_sem },
    { "event", run_event },
    { "waitgroup", run_waitgroup },
    { "pool-fiber", run_pool_fiber },
    { "pool-trip-fiber", run_pool_trip_fiber },
    { NULL, NULL },
};

/* From a plain thread, as the other pools are used. */
static const struct peer_case without_fibers[] = {
    { "pool-job", run_pool_job },
    { "pool-future", run_pool_future },
    { "pool-trip", run_pool_trip },
    { NULL, NULL },
};

static int app(int argc, char **argv)
{
    return peer_main(argc, argv, cases);
}

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text);
    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (const struct peer_case *c = without_fibers; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return peer_main(argc, argv, without_fibers);
    return th_main(app, argc, argv, &(th_run_opts){ .workers = ends_in(name, "-2w") ? 2 : 1 });
}
