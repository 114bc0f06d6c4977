/* SPDX-License-Identifier: MIT */

/* Who never has to wait still lets others run: each operation, in reality and in a simulation. */
#include "../runtime/in_fiber.h"

#include <thrum/event.h>
#include <thrum/fd_stream.h>
#include <thrum/mutex.h>
#include <thrum/queue.h>
#include <thrum/rwlock.h>
#include <thrum/select.h>
#include <thrum/sem.h>
#include <thrum/sim.h>
#include <thrum/stream.h>

#include <fcntl.h>
#include <unistd.h>

/* What a greedy fiber does over and over; none of it ever has to wait. */
typedef struct greedy {
    th_mutex mutex;
    th_rwlock rwlock;
    th_sem sem;
    th_event event;
    th_queue *queue;
    th_stream *stream;
    int (*act)(struct greedy *g);
    long acts;
    bool over;
} greedy;

static int lock(greedy *g)
{
    int err = th_mutex_lock(&g->mutex);
    th_mutex_unlock(&g->mutex);
    return err;
}

static int read_lock(greedy *g)
{
    int err = th_rwlock_rdlock(&g->rwlock);
    th_rwlock_rdunlock(&g->rwlock);
    return err;
}

static int write_lock(greedy *g)
{
    int err = th_rwlock_wrlock(&g->rwlock);
    th_rwlock_wrunlock(&g->rwlock);
    return err;
}

static int acquire(greedy *g)
{
    int err = th_sem_acquire(&g->sem);
    th_sem_release(&g->sem, 1);
    return err;
}

static int await_event(greedy *g)
{
    return th_event_wait(&g->event);
}

static int put_and_get(greedy *g)
{
    void *item = NULL;
    int err = th_queue_put(g->queue, g);
    return err < 0 ? err : th_queue_get(g->queue, &item);
}

static int select_one(greedy *g)
{
    th_case cases[] = { TH_CASE_GET(g->queue) };
    int err = th_queue_tryput(g->queue, g);
    err = err < 0 ? err : th_select(cases, 1, 0);
    return err < 0 ? err : cases[0].result;
}

static int read_stream(greedy *g)
{
    char bytes[16];
    return (int)th_stream_read(g->stream, bytes, sizeof bytes);
}

typedef int (*act_fn)(greedy *g);
static const act_fn acts[] = { lock,        read_lock,   write_lock, acquire,
                               await_event, put_and_get, select_one };

static int be_greedy(void *arg)
{
    greedy *g = arg;
    for (g->acts = 0; !g->over && g->acts < 1000000; g->acts++)
        ck_assert_int_ge(g->act(g), 0);
    return 0;
}

/* Somebody who waits for the loop. */
static int end_it_later(void *arg)
{
    int err = th_sleep(TH_MICROSECOND);
    ((greedy *)arg)->over = true;
    return err;
}

/* Somebody who is ready. */
static int note_acts(void *arg)
{
    greedy *g = arg;
    long before = g->acts;
    th_yield();
    ck_assert_int_le(g->acts - before, 20000); /* in a simulation others may be picked often */
    return 0;
}

static void prepare(greedy *g)
{
    *g = (greedy){ .sem = TH_SEM_INIT(1) };
    th_event_set(&g->event);
    ck_assert_int_eq(th_queue_new(NULL, &g->queue), 0);
}

static void starve(greedy *g, act_fn what)
{
    th_scope scope;
    g->act = what;
    g->over = false;
    open_scope(&scope);
    spawn(&scope, end_it_later, g);
    spawn(&scope, be_greedy, g);
    spawn(&scope, note_acts, g);
    close_scope(&scope);
    ck_assert(g->over);
    ck_assert_int_lt(g->acts, 200000); /* a simulation may let any of those that are ready run */
}

static int starve_by_all(void *arg)
{
    static greedy g;
    prepare(&g);
    for (size_t i = 0; i < thi_array_len(acts); i++)
        starve(&g, acts[i]);
    th_queue_free(g.queue);
    (void)arg;
    return 0;
}

START_TEST(a_timer_and_others_are_not_held_up)
{
    run_in_fiber(1, _i, starve_by_all, NULL);
}
END_TEST

START_TEST(nor_are_they_in_a_simulation)
{
    for (unsigned seed = 1; seed <= 10; seed++)
        ck_assert_int_eq(
            th_sim_run(starve_by_all, NULL, &(th_sim_opts){ .seed = seed, .workers = 1 }, NULL), 0);
}
END_TEST

FIBER_TEST(nor_by_a_descriptor_that_is_always_ready)
{
    static greedy g;
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(th_stream_from_fd(fd, 0, &g.stream), 0);
    starve(&g, read_stream);
    th_stream_free(g.stream);
}

static int find_out_that_it_is_over(void *arg)
{
    greedy *g = arg;
    while (th_check() == 0)
        ck_assert_int_ge(g->act(g), 0);
    return 0;
}

FIBER_TEST(a_deadline_is_noticed)
{
    static greedy g;
    th_scope scope;
    prepare(&g);
    g.act = lock;
    open_scope_for(&scope, TH_MILLISECOND);
    spawn(&scope, find_out_that_it_is_over, &g);
    close_scope(&scope);
    th_queue_free(g.queue);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "allowance");
    add_on_engines(tcase, a_timer_and_others_are_not_held_up);
    tcase_add_test(tcase, nor_are_they_in_a_simulation);
    tcase_add_test(tcase, nor_by_a_descriptor_that_is_always_ready);
    tcase_add_test(tcase, a_deadline_is_noticed);
}

int main(void)
{
    return thi_check_run("sync/allowance", fill);
}
