/* SPDX-License-Identifier: MIT */

/*
 * Random programs that are right: no wait in them may be reported as one without an end.
 *
 * What is held and waited for has an order: a fiber waits only for what comes after all that it
 * holds, and whoever it waits for, be it a child or the function of a once, takes only what comes
 * after that. Attempts that do not wait may take anything. A wait against the order has a deadline,
 * and then makes circles that end. Waits last for longer than it takes until they are looked at,
 * which is a millisecond here, so that as many as possible are looked at while they change.
 *
 * THRUM_SOAK_SECONDS says for how long (2 without it), THRUM_SOAK_SEED where to begin.
 */
#include "runtime/in_fiber.h"

#include "base/metrics.h"
#include "base/random.h"

#include <thrum/cond.h>
#include <thrum/event.h>
#include <thrum/mutex.h>
#include <thrum/once.h>
#include <thrum/pool.h>
#include <thrum/queue.h>
#include <thrum/rwlock.h>
#include <thrum/sem.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define SPAN    TH_MILLISECOND
#define THINGS  24
#define DEPTH   4  /* of scopes and joins inside each other */
#define FIBERS  60 /* that a program starts at once, besides children */
#define ROUNDS  12 /* of each of them */
#define THREADS 2

enum { MUTEX, RECURSIVE, WRITE, READ, SEM, KINDS };

/* What can be held, in several ways that have nothing to do with each other. */
typedef struct thing {
    th_mutex mutex;
    th_mutex recursive;
    th_rwlock rwlock;
    th_sem sem;
} thing;

typedef struct program {
    thing things[THINGS];
    th_once onces[THINGS];
    th_mutex cond_mutex;
    th_cond cond;
    th_queue *queue;
    th_event threads_done;
    atomic_int threads; /* that have not */
    uint64_t seed;
} program;

/* What one fiber holds, and its part in the order: it waits for things from `next` on. */
typedef struct actor {
    program *p;
    thi_random random;
    int next;
    int depth;
} actor;

static atomic_int findings;
static char finding[65536];

static void found(void *arg, const th_deadlock *d)
{
    (void)arg;
    if (atomic_fetch_add(&findings, 1) == 0)
        snprintf(finding, sizeof finding, "%s", d->text);
}

static int draw(actor *a, int n)
{
    return (int)thi_random_below(&a->random, (uint64_t)n);
}

/* ---- holding --------------------------------------------------------------------------------- */

static int take(thing *t, int kind)
{
    switch (kind) {
    case MUTEX:
        return th_mutex_lock(&t->mutex);
    case RECURSIVE:
        return th_mutex_lock(&t->recursive);
    case WRITE:
        return th_rwlock_wrlock(&t->rwlock);
    case READ:
        return th_rwlock_rdlock(&t->rwlock);
    default:
        return th_sem_acquire(&t->sem);
    }
}

static int try_take(thing *t, int kind)
{
    switch (kind) {
    case MUTEX:
        return th_mutex_trylock(&t->mutex);
    case RECURSIVE:
        return th_mutex_trylock(&t->recursive);
    case WRITE:
        return th_rwlock_trywrlock(&t->rwlock);
    case READ:
        return th_rwlock_tryrdlock(&t->rwlock);
    default:
        return th_sem_tryacquire(&t->sem);
    }
}

static void give(thing *t, int kind)
{
    int err = 0;
    if (kind == MUTEX)
        err = th_mutex_unlock(&t->mutex);
    else if (kind == RECURSIVE)
        err = th_mutex_unlock(&t->recursive);
    else if (kind == WRITE)
        err = th_rwlock_wrunlock(&t->rwlock);
    else if (kind == READ)
        err = th_rwlock_rdunlock(&t->rwlock);
    else
        err = th_sem_release(&t->sem, 1);
    ck_assert_int_eq(err, 0);
}

/* Lets time pass, or only others run. */
static void dawdle(actor *a)
{
    int kind = draw(a, 10);
    if (kind == 0)
        (void)!th_sleep(draw(a, 3000) * TH_MICROSECOND);
    else if (kind < 6)
        (void)!th_yield();
}

static void act(actor *a);

/* Holds one more thing while it does something else. */
static void hold(actor *a)
{
    int former = a->next;
    int i = former + draw(a, THINGS - former);
    int kind = draw(a, KINDS);
    if (take(&a->p->things[i], kind) < 0)
        return;
    a->next = i + 1;
    dawdle(a);
    act(a);
    a->next = former;
    give(&a->p->things[i], kind);
}

static void hold_if_free(actor *a)
{
    int former = a->next;
    int i = draw(a, THINGS);
    int kind = draw(a, KINDS);
    if (try_take(&a->p->things[i], kind) < 0)
        return;
    a->next = thi_max(former, i + 1);
    dawdle(a);
    act(a);
    a->next = former;
    give(&a->p->things[i], kind);
}

/* Against the order, but for a limited time. */
static void hold_in_time(actor *a)
{
    th_scope scope;
    int i = draw(a, THINGS);
    int kind = draw(a, KINDS);
    open_scope_for(&scope, (1 + draw(a, 5000)) * TH_MICROSECOND);
    if (take(&a->p->things[i], kind) == 0) {
        dawdle(a);
        give(&a->p->things[i], kind);
    }
    (void)th_scope_close(&scope);
}

/* ---- children -------------------------------------------------------------------------------- */

typedef struct child {
    program *p;
    uint64_t seed;
    int next;
    int depth;
} child;

static int be_child(void *arg)
{
    child c = *(child *)arg;
    actor a = { .p = c.p, .next = c.next, .depth = c.depth };
    thi_random_seed(&a.random, c.seed);
    act(&a);
    return 0;
}

static child child_of(actor *a)
{
    return (child){ a->p, thi_random_next(&a->random), a->next, a->depth };
}

/* Waits for children in one of three ways, and cancels them now and then. */
static void have_children(actor *a)
{
    th_scope scope;
    child children[4];
    int n = 1 + draw(a, 4);
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = (uint32_t)draw(a, 3) }), 0);
    for (int i = 0; i < n; i++) {
        children[i] = child_of(a);
        (void)!th_spawn_with(
            &scope, be_child, &children[i],
            &(th_spawn_opts){ .place = draw(a, 2) ? TH_PLACE_ROUND : TH_PLACE_HERE }, NULL);
    }
    if (draw(a, 4) == 0)
        (void)th_scope_cancel(&scope, 0);
    if (draw(a, 2) == 0)
        (void)!th_scope_wait(&scope);
    (void)th_scope_close(&scope);
}

static void join_child(actor *a)
{
    th_scope scope;
    th_fiber *fiber = NULL;
    child c = child_of(a);
    open_scope(&scope);
    if (th_spawn_with(&scope, be_child, &c, NULL, &fiber) == 0)
        (void)!th_join(fiber, NULL);
    (void)th_scope_close(&scope);
    th_fiber_unref(fiber);
}

/* Fails every other time, so that others have their turn. */
static int be_child_once(void *arg)
{
    (void)be_child(arg);
    return ((child *)arg)->seed % 2 ? -EAGAIN : 0;
}

/* The function takes what comes after its once, which counts as a thing itself. */
static void do_once(actor *a)
{
    int former = a->next;
    int i = former + draw(a, THINGS - former);
    a->next = i + 1;
    child c = child_of(a);
    (void)!th_once_call(&a->p->onces[i], be_child_once, &c);
    a->next = former;
}

/* ---- what names nobody ----------------------------------------------------------------------- */

static int idle_along(void *arg)
{
    usleep((unsigned)*(int *)arg);
    return 0;
}

static void be_away(actor *a)
{
    int us = draw(a, 2000);
    (void)!th_offload(NULL, idle_along, &us);
}

/* Nobody is sure to answer, so all of these have an end. */
static void exchange(actor *a)
{
    th_scope scope;
    void *item;
    open_scope_for(&scope, (1 + draw(a, 3000)) * TH_MICROSECOND);
    if (draw(a, 2) == 0)
        (void)!th_queue_put(a->p->queue, a);
    else
        (void)!th_queue_get(a->p->queue, &item);
    (void)th_scope_close(&scope);
}

/* The mutex comes after all things. Waiting may take it again after the deadline. */
static void use_condition(actor *a)
{
    th_scope scope;
    open_scope_for(&scope, (1 + draw(a, 3000)) * TH_MICROSECOND);
    if (th_mutex_lock(&a->p->cond_mutex) == 0) {
        if (draw(a, 2) == 0)
            (void)!th_cond_wait(&a->p->cond, &a->p->cond_mutex);
        else
            (void)(draw(a, 2) ? th_cond_signal : th_cond_broadcast)(&a->p->cond);
        dawdle(a);
        th_mutex_unlock(&a->p->cond_mutex);
    }
    (void)th_scope_close(&scope);
}

static void act(actor *a)
{
    static void (*const deeds[])(
        actor * a) = { hold,    hold,    hold_if_free, hold_in_time,  join_child, have_children,
                       do_once, be_away, exchange,     use_condition, dawdle };
    if (a->depth == DEPTH || a->next == THINGS) {
        dawdle(a);
        return;
    }
    a->depth++;
    deeds[draw(a, (int)thi_array_len(deeds))](a);
    a->depth--;
}

/* ---- a program ------------------------------------------------------------------------------- */

static int be_fiber(void *arg)
{
    child c = *(child *)arg;
    actor a = { .p = c.p };
    thi_random_seed(&a.random, c.seed);
    for (int i = 0; i < ROUNDS; i++)
        act(&a);
    return 0;
}

/* A plain thread takes things in their order as well. */
static void *be_thread(void *arg)
{
    child c = *(child *)arg;
    actor a = { .p = c.p };
    thi_random_seed(&a.random, c.seed);
    for (int i = 0; i < 5 * ROUNDS; i++) {
        int low = draw(&a, THINGS - 1);
        int high = low + 1 + draw(&a, THINGS - 1 - low);
        int kinds[] = { draw(&a, KINDS), draw(&a, KINDS) };
        ck_assert_int_eq(take(&a.p->things[low], kinds[0]), 0);
        ck_assert_int_eq(take(&a.p->things[high], kinds[1]), 0);
        usleep((unsigned)draw(&a, 500));
        give(&a.p->things[high], kinds[1]);
        give(&a.p->things[low], kinds[0]);
        (void)!th_queue_tryput(a.p->queue, arg);
    }
    if (atomic_fetch_sub(&a.p->threads, 1) == 1)
        th_event_set(&a.p->threads_done);
    return NULL;
}

/* At its end only threads are left that could wake it. */
static int run_program(void *arg)
{
    static child children[FIBERS];
    static child threads[THREADS];
    pthread_t ids[THREADS];
    program *p = arg;
    actor main = { .p = p };
    th_scope scope;
    thi_random_seed(&main.random, p->seed);
    open_scope(&scope);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = child_of(&main);
        ck_assert_int_eq(pthread_create(&ids[i], NULL, be_thread, &threads[i]), 0);
    }
    for (int i = 0; i < FIBERS; i++) {
        children[i] = child_of(&main);
        ck_assert_int_eq(th_spawn_with(&scope, be_fiber, &children[i],
                                       &(th_spawn_opts){ .place = TH_PLACE_ROUND }, NULL),
                         0);
    }
    (void)th_scope_close(&scope);
    ck_assert_int_eq(th_event_wait(&p->threads_done), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(ids[i], NULL), 0);
    return 0;
}

static void run_seed(uint64_t seed)
{
    static program p;
    static const thing fresh = { .recursive = TH_MUTEX_RECURSIVE_INIT, .sem = TH_SEM_INIT(1) };
    th_run_opts opts = { .workers = 1 + (unsigned)(seed % 4),
                         .backend = engine_names[seed / 4 % thi_array_len(engine_names)],
                         .no_signals = 1,
                         .deadlock_after = SPAN,
                         .on_deadlock = found };
    p = (program){ .seed = seed, .threads = THREADS };
    for (int i = 0; i < THINGS; i++)
        p.things[i] = fresh;
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .capacity = 2 }, &p.queue), 0);
    ck_assert_int_eq(th_run(run_program, &p, &opts), 0);
    th_queue_free(p.queue);
    ck_assert_msg(atomic_load(&findings) == 0, "seed %llu: %s", (unsigned long long)seed, finding);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

START_TEST(programs_that_are_right_are_not_reported)
{
    int64_t end = th_now() + (int64_t)from_env("THRUM_SOAK_SECONDS", 2) * TH_SECOND;
    uint64_t first = from_env("THRUM_SOAK_SEED", 1);
    uint64_t seed = first;
    do
        run_seed(seed++);
    while (th_now() < end);
    fprintf(stderr, "%llu programs, looks at waits: %lld, nothing reported\n",
            (unsigned long long)(seed - first), (long long)thi_metric_read(THI_M_DEADLOCK_LOOKS));
    ck_assert_int_gt(thi_metric_read(THI_M_DEADLOCK_LOOKS), 0);
}
END_TEST

/* ---- a program that is wrong ----------------------------------------------------------------- */

static int take_both(program *p, int first, int second)
{
    ck_assert_int_eq(th_mutex_lock(&p->things[first].mutex), 0);
    atomic_fetch_add(&p->threads, 1);
    while (atomic_load(&p->threads) < 2)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    return th_mutex_lock(&p->things[second].mutex);
}

static int take_up(void *arg)
{
    (void)take_both(arg, 0, 1);
    return 0;
}

static int take_down(void *arg)
{
    (void)take_both(arg, 1, 0);
    return 0;
}

static int run_wrong(void *arg)
{
    th_scope scope;
    open_scope(&scope);
    spawn_on(&scope, 0, take_up, arg);
    spawn_on(&scope, 1, take_down, arg);
    while (atomic_load(&findings) == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_scope_close(&scope);
    return 0;
}

/* Else the other test would prove nothing. */
START_TEST(program_that_is_wrong_is_reported)
{
    static program p;
    th_run_opts opts = {
        .workers = 2, .no_signals = 1, .deadlock_after = SPAN, .on_deadlock = found
    };
    ck_assert_int_eq(th_run(run_wrong, &p, &opts), 0);
    ck_assert_int_eq(atomic_load(&findings), 1);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "programs");
    tcase_set_timeout(tcase, 60 + (double)from_env("THRUM_SOAK_SECONDS", 2));
    tcase_add_test(tcase, program_that_is_wrong_is_reported);
    tcase_add_test(tcase, programs_that_are_right_are_not_reported);
}

int main(void)
{
    return thi_check_run("soak/deadlock", fill);
}
