/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/synchronisation.md. */
#include <thrum.h>

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

/* ---- rwlock.inc ---- */

typedef struct shop {
    th_rwlock lock;
    size_t items;
    int prices[3];
} shop;

#include "rwlock.inc"

static int trade(void)
{
    static shop s = { .lock = TH_RWLOCK_INIT, .items = 3, .prices = { 1, 2, 3 } };
    int price = 0;
    int err = raise_all(&s, 10);
    if (err == 0)
        err = price_of(&s, 2, &price);
    return err == 0 && price != 13 ? TH_EPROTO : err;
}

/* ---- once.inc ---- */

typedef struct store {
    int times;
} store;

static int open_store(void *path);
static int look_into(const store *s);

#include "once.inc"

static int open_store(void *path)
{
    the_store.times++;
    return *(const char *)path == '/' ? th_sleep(TH_MILLISECOND) : TH_ECONFIG;
}

static int look_into(const store *s)
{
    return s->times;
}

static int use_store_in_fiber(void *arg)
{
    return use_store(arg);
}

static int share_store(void)
{
    static char path[] = "/var/lib/store";
    th_scope scope;
    if (use_store("") != TH_ECONFIG)
        return TH_EPROTO;
    int err = th_scope_open(&scope, NULL);
    for (int i = 0; i < 3 && err == 0; i++)
        err = th_spawn(&scope, use_store_in_fiber, path);
    int first = th_scope_close(&scope);
    if (err < 0 || first < 0)
        return err < 0 ? err : first;
    return the_store.times == 2 ? 0 : TH_EPROTO;
}

/* ---- barrier.inc ---- */

#define PARTS  3
#define ROUNDS 4

typedef struct part {
    int value[2];
} part;

static th_barrier all = TH_BARRIER_INIT(PARTS);
static part parts[PARTS] = { { { 1, 0 } }, { { 1, 0 } }, { { 1, 0 } } };

static int step(const part *p, int now)
{
    ptrdiff_t left = (p - parts + PARTS - 1) % PARTS;
    return p->value[now] + parts[left].value[now];
}

#include "barrier.inc"

static int compute_all(void)
{
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 });
    th_spawn_opts opts = { .place = TH_PLACE_ROUND };
    for (int i = 0; i < PARTS && err == 0; i++)
        err = th_spawn_with(&scope, compute, &parts[i], &opts, NULL);
    int first = th_scope_close(&scope);
    for (int i = 0; i < PARTS; i++)
        if (parts[i].value[ROUNDS % 2] != 1 << ROUNDS)
            first = TH_EPROTO;
    return err < 0 ? err : first;
}

/* ---- waitgroup.inc ---- */

typedef struct job {
    pthread_t thread;
    int done;
} job;

static th_waitgroup under_way = TH_WAITGROUP_INIT;

static void *do_job(void *arg)
{
    ((job *)arg)->done = 1;
    th_waitgroup_done(&under_way);
    return NULL;
}

static void to_thread(job *j)
{
    if (pthread_create(&j->thread, NULL, do_job, j) != 0)
        th_waitgroup_done(&under_way);
}

#include "waitgroup.inc"

static int do_jobs(void)
{
    job jobs[3] = { 0 };
    int err = hand_out(jobs, 3);
    if (err == 0)
        err = drain();
    for (int i = 0; i < 3; i++) {
        pthread_join(jobs[i].thread, NULL);
        if (!jobs[i].done)
            err = TH_EPROTO;
    }
    return err;
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int err = trade();
    if (err == 0)
        err = share_store();
    if (err == 0)
        err = compute_all();
    if (err == 0)
        err = do_jobs();
    if (err < 0)
        printf("%s\n", th_errname(err));
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
