/* SPDX-License-Identifier: MIT */

/*
 * Queues, events, semaphores and select in the simulation: hand-overs against cancellations under
 * every schedule, and producers and consumers on several workers under many seeds.
 */
#include "sim_schedules.h"

#include "sys/sys.h"

#include <thrum/event.h>
#include <thrum/queue.h>
#include <thrum/select.h>
#include <thrum/sem.h>

#include <errno.h>
#include <stdbool.h>

static th_queue *queues[3];
static th_event token;
static th_sem sem;
static int got; /* by whatever way */

static void spawn_at(th_scope *scope, int worker, th_fiber_fn fn, void *arg)
{
    th_spawn_opts opts = { .place = 1 + worker };
    expect(th_spawn_with(scope, fn, arg, &opts, NULL) == 0);
}

static int cancel_it(void *arg)
{
    (void)th_yield();
    return th_scope_cancel(arg, 0);
}

/* ---- under every schedule ---- */

static int get_one(void *arg)
{
    void *item;
    (void)arg;
    int err = th_queue_get(queues[0], &item);
    expect_value(err == 0 || err == -ECANCELED || err == TH_EOF, err);
    got += err == 0;
    return 0;
}

static int put_one(void *arg)
{
    expect(th_queue_put(queues[0], arg) == 0);
    return 0;
}

/* Two who get, one item, and a cancellation of one of them. */
static int item_against_cancel(void *arg)
{
    th_scope s, cancelled;
    void *item;
    (void)arg;
    got = 0;
    expect(th_queue_new(NULL, &queues[0]) == 0);
    expect(th_scope_open(&s, NULL) == 0);
    expect(th_scope_open(&cancelled, NULL) == 0);
    expect(th_spawn(&cancelled, get_one, NULL) == 0);
    expect(th_spawn(&s, get_one, NULL) == 0);
    expect(th_spawn(&s, put_one, NULL) == 0);
    (void)cancel_it(&cancelled);
    (void)th_scope_close(&cancelled);
    (void)th_sleep(TH_MILLISECOND);
    got += th_queue_tryget(queues[0], &item) == 0;
    expect_value(got == 1, got);
    expect(th_queue_close(queues[0]) == 0);
    (void)th_scope_close(&s);
    expect_value(got == 1, got);
    th_queue_free(queues[0]);
    return verdict();
}

START_TEST(an_item_is_got_once_whoever_is_cancelled)
{
    explore(item_against_cancel, 1, 12);
}
END_TEST

static int select_two(void *arg)
{
    th_case cases[] = { TH_CASE_GET(queues[0]), TH_CASE_GET(queues[1]), TH_CASE_EVENT(&token) };
    (void)arg;
    int index = th_select(cases, 3, 0);
    expect_value(index == -ECANCELED || (index >= 0 && index < 3), index);
    got += index >= 0;
    return 0;
}

static int put_and_set(void *arg)
{
    (void)arg;
    expect(th_queue_put(queues[1], NULL) == 0);
    expect(th_event_set(&token) == 0);
    return 0;
}

static int count_what_is_left(void)
{
    th_case cases[] = { TH_CASE_GET(queues[0]), TH_CASE_GET(queues[1]), TH_CASE_EVENT(&token),
                        TH_CASE_TIME(0) };
    int left = 0;
    while (th_select(cases, 4, 0) != 3)
        left++;
    return left;
}

/* Two selects on different workers, three things to be had, and a cancellation of one of them. */
static int select_against_cancel(void *arg)
{
    th_scope s, cancelled;
    (void)arg;
    got = 0;
    token = (th_event)TH_EVENT_AUTO_INIT;
    expect(th_queue_new(NULL, &queues[0]) == 0);
    expect(th_queue_new(NULL, &queues[1]) == 0);
    expect(th_scope_open(&s, NULL) == 0);
    expect(th_scope_open(&cancelled, NULL) == 0);
    spawn_at(&cancelled, 1, select_two, NULL);
    spawn_at(&s, 0, select_two, NULL);
    spawn_at(&s, 1, put_and_set, NULL);
    expect(th_queue_put(queues[0], NULL) == 0);
    (void)cancel_it(&cancelled);
    (void)th_scope_close(&cancelled);
    (void)th_scope_close(&s);
    int left = count_what_is_left();
    expect_value(got + left == 3, got * 10 + left);
    th_queue_free(queues[0]);
    th_queue_free(queues[1]);
    return verdict();
}

START_TEST(a_select_takes_one_thing_or_none_whoever_is_cancelled)
{
    explore(select_against_cancel, 2, 10);
}
END_TEST

/* ---- under many seeds ---- */

#define WORKERS   3
#define PRODUCERS 6
#define EACH      40

static int put_done;
static unsigned char seen[PRODUCERS * EACH];

static void sleep_a_little(void)
{
    (void)th_sleep((int64_t)th_sim_random(300) * TH_MICROSECOND);
}

static int produce(void *arg)
{
    intptr_t number = (intptr_t)arg;
    for (intptr_t i = 0; i < EACH; i++) {
        void *item = (void *)(number * EACH + i);
        th_case cases[] = { TH_CASE_PUT(queues[0], item), TH_CASE_PUT(queues[1], item),
                            TH_CASE_PUT(queues[2], item) };
        expect(th_select(cases, 3, 0) >= 0);
        if (th_sim_random(4) == 0)
            sleep_a_little();
    }
    if (++put_done == PRODUCERS)
        for (int q = 0; q < 3; q++)
            expect(th_queue_close(queues[q]) == 0);
    return 0;
}

/* Takes items until all three are closed, with time-outs of every kind. */
static int consume(void *arg)
{
    th_case cases[] = { TH_CASE_GET(queues[0]), TH_CASE_GET(queues[1]), TH_CASE_GET(queues[2]),
                        TH_CASE_TIME(0) };
    (void)arg;
    for (int open = 3; open > 0;) {
        th_scope moment;
        int64_t span = (int64_t)th_sim_random(200) * TH_MICROSECOND;
        expect(th_scope_open(&moment, &(th_scope_opts){ .deadline = th_after(span) }) == 0);
        cases[3].time = th_after((int64_t)th_sim_random(200) * TH_MICROSECOND);
        int index = th_select(cases, 4, 0);
        (void)th_scope_close(&moment);
        if (index < 0 || index == 3) {
            expect_value(index == 3 || index == -ETIMEDOUT, index);
        } else if (cases[index].result == TH_EOF) {
            cases[index].kind = TH_CASE_NONE;
            open--;
        } else {
            seen[(intptr_t)cases[index].item]++;
        }
    }
    return 0;
}

static int produce_and_consume(void *arg)
{
    th_scope s;
    (void)arg;
    put_done = 0;
    memset(seen, 0, sizeof seen);
    for (size_t q = 0; q < 3; q++)
        expect(th_queue_new(&(th_queue_opts){ .capacity = q * 2 }, &queues[q]) == 0);
    expect(th_scope_open(&s, NULL) == 0);
    for (int i = 0; i < PRODUCERS; i++) {
        spawn_at(&s, i % WORKERS, produce, (void *)(intptr_t)i);
        spawn_at(&s, (i + 1) % WORKERS, consume, NULL);
    }
    expect(th_scope_close(&s) == 0);
    for (size_t i = 0; i < sizeof seen; i++)
        expect_value(seen[i] == 1, i);
    for (int q = 0; q < 3; q++)
        th_queue_free(queues[q]);
    return 0;
}

static void configure(th_sim_opts *opts)
{
    opts->workers = WORKERS;
}

START_TEST(every_item_is_got_exactly_once_under_every_seed)
{
    sim_seeds(produce_and_consume, NULL, configure);
}
END_TEST

static int fds[2];
static bool stop;

static int send_bytes(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        while (thi_sys_send(fds[1], "x", 1, 0) != 1) /* buffers may be tiny */
            sleep_a_little();
        sleep_a_little();
    }
    stop = true;
    return th_event_set(&token);
}

static int release_units(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++) {
        expect(th_sem_release(&sem, 1) == 0);
        sleep_a_little();
    }
    return 0;
}

/* Bytes of a simulated socket and units from another worker, until both have ended. */
static int select_bytes_and_units(void *arg)
{
    th_scope s;
    char byte;
    int bytes = 0;
    int units = 0;
    (void)arg;
    stop = false;
    token = (th_event)TH_EVENT_AUTO_INIT;
    sem = (th_sem)TH_SEM_INIT(0);
    expect(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds) == 0);
    expect(th_scope_open(&s, NULL) == 0);
    spawn_at(&s, 0, send_bytes, NULL);
    spawn_at(&s, 1, release_units, NULL);
    th_case cases[] = { TH_CASE_READABLE(fds[0]), TH_CASE_SEM(&sem), TH_CASE_EVENT(&token) };
    while (!stop || bytes < EACH || units < EACH) {
        int index = th_select(cases, 3, 0);
        expect_value(index >= 0, index);
        if (index == 0)
            bytes += thi_sys_recv(fds[0], &byte, 1, 0) == 1;
        units += index == 1;
    }
    expect(th_scope_close(&s) == 0);
    expect_value(bytes == EACH && units == EACH, bytes * 1000 + units);
    expect(thi_sys_close(fds[0]) == 0);
    expect(thi_sys_close(fds[1]) == 0);
    return 0;
}

START_TEST(descriptors_and_units_are_selected_under_every_seed)
{
    sim_seeds(select_bytes_and_units, NULL, configure);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "schedules");
    tcase_add_test(tcase, an_item_is_got_once_whoever_is_cancelled);
    tcase_add_test(tcase, a_select_takes_one_thing_or_none_whoever_is_cancelled);

    tcase = sim_case(suite, "seeds");
    tcase_add_test(tcase, every_item_is_got_exactly_once_under_every_seed);
    tcase_add_test(tcase, descriptors_and_units_are_selected_under_every_seed);
}

int main(void)
{
    return thi_check_run("sim/sync", fill_suite);
}
