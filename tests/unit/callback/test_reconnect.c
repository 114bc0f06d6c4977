/* SPDX-License-Identifier: MIT */

/* Connecting again: delays, limits, stopping; in virtual time, where an hour takes no time. */
#include "callback/probe.h"

#include "base/alloc.h"
#include "callback/backoff.h"

#include <thrum/dial.h>
#include <thrum/reconnect.h>
#include <thrum/serve.h>
#include <thrum/sim.h>

/* ---- delays ---------------------------------------------------------------------------------- */

START_TEST(delays_grow_to_the_bound_and_begin_anew_when_told_so)
{
    thi_backoff b;
    thi_backoff_init(&b, &(th_reconnect_opts){ .scatter = -1 });
    ck_assert_int_eq(thi_backoff_next(&b), 2718 * TH_MILLISECOND);
    ck_assert_int_eq(thi_backoff_next(&b), INT64_C(7387524000));
    for (int i = 0; i < 100; i++)
        ck_assert_int_le(thi_backoff_next(&b), TH_HOUR);
    ck_assert_int_eq(thi_backoff_next(&b), TH_HOUR);
    thi_backoff_reset(&b);
    ck_assert_int_eq(thi_backoff_next(&b), 2718 * TH_MILLISECOND);
    th_reconnect_opts own = { .first = 10, .most = TH_NEVER, .factor = 1000000, .scatter = -1 };
    thi_backoff_init(&b, &own);
    ck_assert_int_eq(thi_backoff_next(&b), 10000);
    for (int i = 0; i < 100; i++)
        ck_assert_int_gt(thi_backoff_next(&b), 0);
    ck_assert_int_eq(thi_backoff_next(&b), TH_NEVER - 1);
}
END_TEST

/* A tenth of a million draws: mean and standard deviation are where they should be. */
START_TEST(delays_are_scattered_normally)
{
    enum { DRAWS = 100000 };
    thi_backoff b;
    th_reconnect_opts opts = { .first = 1000000, .most = 1000000, .factor = 1000 };
    int64_t sum = 0;
    int64_t squares = 0;
    int within = 0;
    thi_backoff_init(&b, &opts);
    thi_random_seed(&b.random, 1);
    for (int i = 0; i < DRAWS; i++) {
        int64_t off = thi_backoff_next(&b) - 1000000;
        sum += off;
        squares += off * off / 1000;
        within += off > -120000 && off < 120000;
        ck_assert_int_le(off, 720000);
        ck_assert_int_ge(off, -720000);
    }
    ck_assert_int_lt(labs(sum / DRAWS), 2000);
    ck_assert_int_gt(squares / DRAWS, 13900000 - 700000); /* 0.12^2, in thousands */
    ck_assert_int_lt(squares / DRAWS, 14900000 + 700000);
    ck_assert_int_gt(within, DRAWS * 66 / 100); /* 68.3 % within one deviation */
    ck_assert_int_lt(within, DRAWS * 71 / 100);
}
END_TEST

/* ---- clients --------------------------------------------------------------------------------- */

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

typedef struct client {
    th_reconnect *r;
    int made;
    int lost;
    int waits;
    int error; /* the last one told */
    int64_t delay;
    int64_t last; /* when the last attempt was over */
    bool reset;   /* says that all is well whenever there is a connection */
    bool hang_up; /* closes it at once */
    bool stop_in_hook;
    bool free_in_hook;
    bool free_in_factory;
} client;

static int client_made(th_transport *t, void *self)
{
    client *c = self;
    c->made++;
    if (c->reset && th_reconnect_reset(c->r) < 0)
        return -EINVAL;
    if (c->hang_up)
        (void)th_transport_close(t);
    th_event_set(&news);
    return 0;
}

static int client_data(th_transport *t, void *self, th_str data)
{
    (void)t;
    (void)self;
    (void)data;
    return 0;
}

static void client_lost(th_transport *t, void *self, int reason)
{
    client *c = self;
    (void)t;
    (void)reason;
    c->lost++;
    th_event_set(&news);
}

static const th_protocol client_protocol = { .connection_made = client_made,
                                             .data_received = client_data,
                                             .connection_lost = client_lost };

static int make_client(th_transport *t, void *arg)
{
    client *c = arg;
    if (c->free_in_factory) {
        th_reconnect_free(c->r);
        c->r = NULL;
    }
    return th_transport_set_protocol(t, &client_protocol, c);
}

static void on_waits(void *arg, int error, int64_t delay)
{
    client *c = arg;
    c->waits++;
    c->error = error;
    c->delay = delay;
    c->last = th_now();
    if (c->stop_in_hook)
        (void)th_reconnect_stop(c->r);
    if (c->free_in_hook) {
        th_reconnect_free(c->r);
        c->r = NULL;
    }
    th_event_set(&news);
}

static int wait_news(void)
{
    return th_event_wait(&news);
}

#define AWAIT(condition)                                                                           \
    while (!(condition))                                                                           \
    EXPECT(wait_news() == 0)

#define ADDRESS "127.0.0.1:4000"

static int nobody_listens(void *arg)
{
    client c = { 0 };
    th_reconnect_opts opts = { .waits = on_waits, .scatter = -1 };
    int64_t expected = TH_SECOND;
    (void)arg;
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
    EXPECT(c.waits == 0);
    for (int i = 1; i <= 20; i++) {
        int64_t before = c.last + c.delay;
        AWAIT(c.waits == i);
        EXPECT(i == 1 || (c.last >= before && c.last < before + TH_SECOND));
        expected = expected * 2718 / 1000 < TH_HOUR ? expected * 2718 / 1000 : TH_HOUR;
        EXPECT(c.error == -ECONNREFUSED && c.delay == expected);
    }
    EXPECT(th_reconnect_transport(c.r) == NULL);
    th_reconnect_free(c.r);
    return 0;
}

static int it_gives_up(void *arg)
{
    client c = { 0 };
    th_reconnect_opts opts = { .waits = on_waits, .retries = 3 };
    th_scope scope;
    (void)arg;
    EXPECT(th_scope_open(&scope, NULL) == 0);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
    EXPECT(th_scope_close(&scope) == 0); /* which waits until it is over */
    EXPECT(c.waits == 4 && c.delay == -1 && c.error == -ECONNREFUSED);
    EXPECT(th_reconnect_stop(c.r) == 0);
    th_reconnect_free(c.r);
    return 0;
}

static int it_is_stopped_while_it_waits(void *arg)
{
    client c = { 0 };
    th_reconnect_opts opts = { .waits = on_waits };
    th_scope scope;
    (void)arg;
    EXPECT(th_scope_open(&scope, NULL) == 0);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
    AWAIT(c.waits == 1);
    EXPECT(th_reconnect_stop(c.r) == 0);
    EXPECT(th_scope_close(&scope) == 0);
    EXPECT(th_sleep(TH_HOUR) == 0);
    EXPECT(c.waits == 1 && c.made == 0);
    th_reconnect_free(c.r);
    return 0;
}

static int it_is_stopped_in_its_hook(void *arg)
{
    client c = { .stop_in_hook = true };
    client d = { .free_in_hook = true };
    th_reconnect_opts opts = { .waits = on_waits };
    th_scope scope;
    (void)arg;
    EXPECT(th_scope_open(&scope, NULL) == 0);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &d, &opts, &d.r) == 0);
    EXPECT(th_scope_close(&scope) == 0);
    EXPECT(c.waits == 1 && d.waits == 1 && d.r == NULL);
    th_reconnect_free(c.r);
    return 0;
}

/* The scope that is cancelled ends it, whatever it is at. */
static int its_scope_ends(void *arg)
{
    (void)arg;
    for (int64_t when = 0; when < 3 * TH_SECOND; when += 50 * TH_MILLISECOND) {
        client c = { 0 };
        th_reconnect_opts opts = { .waits = on_waits };
        th_scope scope;
        EXPECT(th_scope_open(&scope, NULL) == 0);
        EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
        if (when > 0)
            EXPECT(th_sleep(when) == 0);
        EXPECT(th_scope_cancel(&scope, 0) == 0);
        (void)th_scope_close(&scope);
        EXPECT(c.delay == -1 && c.error == -ECANCELED);
        th_reconnect_free(c.r);
    }
    return 0;
}

/* ---- with a server --------------------------------------------------------------------------- */

static th_scope serving;
static int accepted;

static int hold_or_drop(th_stream *stream, void *arg)
{
    char byte;
    accepted++;
    return *(bool *)arg ? (int)th_stream_read(stream, &byte, 1) : 0;
}

static int server(void *hold)
{
    (void)!th_serve(ADDRESS, hold_or_drop, hold, NULL);
    return 0;
}

static int start_server(bool *hold)
{
    EXPECT(th_scope_open(&serving, NULL) == 0);
    accepted = 0;
    EXPECT(th_spawn(&serving, server, hold) == 0);
    return 0;
}

static void stop_server(void)
{
    (void)th_scope_cancel(&serving, 0);
    (void)th_scope_close(&serving);
}

static int a_lost_connection_is_made_again(void *arg)
{
    client c = { .reset = true };
    th_reconnect_opts opts = { .waits = on_waits, .scatter = -1, .retries = 2 };
    bool hold = true;
    th_scope scope;
    (void)arg;
    EXPECT(th_scope_open(&scope, NULL) == 0);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
    AWAIT(c.waits == 1); /* nobody listens yet */
    for (int round = 1; round <= 5; round++) {
        EXPECT(start_server(&hold) == 0);
        AWAIT(c.made == round);
        EXPECT(th_reconnect_transport(c.r) != NULL);
        stop_server();
        AWAIT(c.lost == round && c.waits >= round + 1);
        EXPECT(c.delay == 2718 * TH_MILLISECOND); /* begun anew each time */
        EXPECT(th_reconnect_transport(c.r) == NULL);
    }
    EXPECT(th_reconnect_stop(c.r) == 0);
    EXPECT(th_scope_close(&scope) == 0);
    th_reconnect_free(c.r);
    return 0;
}

/* Who never says that all is well is held to the limit, though it does get connections. */
static int a_server_that_hangs_up_is_no_success(void *arg)
{
    client c = { 0 };
    th_reconnect_opts opts = { .waits = on_waits, .scatter = -1, .retries = 3 };
    bool hold = false;
    th_scope scope;
    (void)arg;
    EXPECT(start_server(&hold) == 0);
    EXPECT(th_scope_open(&scope, NULL) == 0);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
    EXPECT(th_scope_close(&scope) == 0);
    EXPECT(c.waits >= 4 && c.delay == -1);
    th_reconnect_free(c.r);
    stop_server();
    return 0;
}

static int a_connection_stays_when_it_is_stopped(void *arg)
{
    client c = { 0 };
    client d = { .free_in_factory = true };
    bool hold = true;
    th_scope scope;
    (void)arg;
    EXPECT(start_server(&hold) == 0);
    EXPECT(th_sleep(TH_SECOND) == 0);
    EXPECT(th_scope_open(&scope, NULL) == 0);
    th_reconnect_opts opts = { .waits = on_waits };
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &d, &opts, &d.r) == 0);
    AWAIT(c.made == 1 && d.made == 1);
    EXPECT(d.r == NULL);
    th_transport *t = th_reconnect_transport(c.r);
    th_reconnect_free(c.r);
    EXPECT(th_sleep(TH_MINUTE) == 0);
    EXPECT(c.lost == 0 && d.lost == 0);
    EXPECT(th_transport_close(t) == 0);
    AWAIT(c.lost == 1);
    EXPECT(th_scope_cancel(&scope, 0) == 0);
    (void)th_scope_close(&scope);
    EXPECT(d.lost == 1 && c.waits == 0 && d.waits == 0);
    stop_server();
    return 0;
}

/* At any moment of the attempt. */
static int it_is_freed_while_it_connects(void *arg)
{
    bool hold = true;
    (void)arg;
    EXPECT(start_server(&hold) == 0);
    EXPECT(th_sleep(TH_SECOND) == 0);
    for (int64_t when = 0; when < 5 * TH_MILLISECOND; when += 100 * TH_MICROSECOND) {
        client c = { 0 };
        th_reconnect_opts opts = { .waits = on_waits };
        th_scope scope;
        EXPECT(th_scope_open(&scope, NULL) == 0);
        EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r) == 0);
        if (when > 0)
            EXPECT(th_sleep(when) == 0);
        int made = c.made;
        th_transport *t = th_reconnect_transport(c.r);
        th_reconnect_free(c.r);
        EXPECT(th_sleep(TH_SECOND) == 0);
        EXPECT(c.made == made || t); /* one that there is may be told of being made */
        if (t && c.lost == 0)
            EXPECT(th_transport_abort(t, 0) == 0);
        EXPECT(th_scope_close(&scope) == 0);
        EXPECT(c.made == c.lost && c.waits == 0);
    }
    stop_server();
    return 0;
}

static int misuse(void *arg)
{
    client c = { 0 };
    th_reconnect *r;
    th_reconnect_opts bad[] = { { .factor = 999 }, { .first = -1 }, { .most = -1 },
                                { .scatter = -2 }, { .time = -1 },  { .size = sizeof bad[0] + 1 } };
    (void)arg;
    for (size_t i = 0; i < thi_array_len(bad); i++)
        EXPECT(th_reconnect_start(ADDRESS, make_client, &c, &bad[i], &r) == -EINVAL);
    EXPECT(th_reconnect_start(NULL, make_client, &c, NULL, &r) == -EINVAL);
    EXPECT(th_reconnect_start(ADDRESS, NULL, &c, NULL, &r) == -EINVAL);
    EXPECT(th_reconnect_start(ADDRESS, make_client, &c, NULL, NULL) == -EINVAL);
    EXPECT(th_reconnect_stop(NULL) == -EINVAL);
    EXPECT(th_reconnect_reset(NULL) == -EINVAL);
    EXPECT(th_reconnect_transport(NULL) == NULL);
    th_reconnect_free(NULL);
    return 0;
}

/* Whichever allocation fails, it is told, or the next attempt comes. */
static int memory_runs_out(void *arg)
{
    bool hold = true;
    (void)arg;
    EXPECT(start_server(&hold) == 0);
    EXPECT(th_sleep(TH_SECOND) == 0);
    for (int64_t n = 1;; n++) {
        client c = { .reset = true };
        th_reconnect_opts opts = { .waits = on_waits };
        th_scope scope;
        EXPECT(th_scope_open(&scope, NULL) == 0);
        thi_alloc_fail_at(n);
        int err = th_reconnect_start(ADDRESS, make_client, &c, &opts, &c.r);
        EXPECT(err == 0 || (err == -ENOMEM && !c.r));
        if (err == 0)
            EXPECT(th_sleep(TH_MINUTE) == 0);
        EXPECT(err < 0 || th_reconnect_transport(c.r));
        bool struck = thi_alloc_fail_at(0) == 0;
        th_reconnect_free(c.r);
        EXPECT(th_scope_cancel(&scope, 0) == 0);
        (void)th_scope_close(&scope);
        EXPECT(c.made == c.lost);
        if (!struck)
            break;
    }
    stop_server();
    return 0;
}

/* ---- running them ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*app)(void *arg);
} scenarios[] = {
    { "nobody listens", nobody_listens },
    { "it gives up", it_gives_up },
    { "stopped while it waits", it_is_stopped_while_it_waits },
    { "stopped in its hook", it_is_stopped_in_its_hook },
    { "its scope ends", its_scope_ends },
    { "made again", a_lost_connection_is_made_again },
    { "hangs up", a_server_that_hangs_up_is_no_success },
    { "stays", a_connection_stays_when_it_is_stopped },
    { "freed while it connects", it_is_freed_while_it_connects },
    { "misuse", misuse },
    { "memory runs out", memory_runs_out },
};

static void run_scenario(size_t i)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        th_sim_result seen;
        th_event_clear(&news);
        int err = th_sim_run(scenarios[i].app, NULL, &(th_sim_opts){ .seed = seed }, &seen);
        ck_assert_msg(err == 0, "%s, seed %d: %s %s", scenarios[i].name, (int)seed, th_errname(err),
                      th_err_detail());
        ck_assert_msg(seen.open_descriptors == 0 && seen.live_allocations == 0,
                      "%s, seed %d: %zu descriptors and %d allocations are left", scenarios[i].name,
                      (int)seed, seen.open_descriptors, (int)seen.live_allocations);
    }
}

#define SCENARIO(index, name)                                                                      \
    START_TEST(name)                                                                               \
    {                                                                                              \
        run_scenario(index);                                                                       \
    }                                                                                              \
    END_TEST

SCENARIO(0, each_attempt_comes_after_a_longer_delay)
SCENARIO(1, after_so_many_attempts_it_gives_up)
SCENARIO(2, stopping_cancels_the_attempt_that_waits)
SCENARIO(3, it_may_be_stopped_or_freed_when_it_tells)
SCENARIO(4, the_end_of_its_scope_ends_it_whatever_it_is_at)
SCENARIO(5, a_connection_that_is_lost_is_made_again)
SCENARIO(6, a_connection_alone_does_not_reset_the_count)
SCENARIO(7, stopping_leaves_the_connection_that_is_there)
SCENARIO(8, stopping_cancels_the_attempt_in_progress)
SCENARIO(9, misuse_is_refused)
SCENARIO(10, each_allocation_may_fail)

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "delays");
    tcase_add_test(tcase, delays_grow_to_the_bound_and_begin_anew_when_told_so);
    tcase_add_test(tcase, delays_are_scattered_normally);
    tcase = thi_check_case(suite, "clients");
    tcase_add_test(tcase, each_attempt_comes_after_a_longer_delay);
    tcase_add_test(tcase, after_so_many_attempts_it_gives_up);
    tcase_add_test(tcase, stopping_cancels_the_attempt_that_waits);
    tcase_add_test(tcase, it_may_be_stopped_or_freed_when_it_tells);
    tcase_add_test(tcase, the_end_of_its_scope_ends_it_whatever_it_is_at);
    tcase_add_test(tcase, a_connection_that_is_lost_is_made_again);
    tcase_add_test(tcase, a_connection_alone_does_not_reset_the_count);
    tcase_add_test(tcase, stopping_leaves_the_connection_that_is_there);
    tcase_add_test(tcase, stopping_cancels_the_attempt_in_progress);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, each_allocation_may_fail);
}

int main(void)
{
    return thi_check_run("callback/reconnect", fill_suite);
}
