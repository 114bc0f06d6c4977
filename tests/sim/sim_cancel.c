/* SPDX-License-Identifier: MIT */

/*
 * Services that are cancelled at each of their waits, one run for each.
 *
 * Whatever is cancelled, nobody waits for ever, nothing is left open or allocated, locks are free
 * and units are back, and what a peer got until then is right. Some seeds differ in who runs first,
 * so the n-th wait is another one in each.
 */
#include "sim_seeds.h"

#include "base/util.h"

#include <thrum/addr.h>
#include <thrum/cond.h>
#include <thrum/dial.h>
#include <thrum/event.h>
#include <thrum/future.h>
#include <thrum/group.h>
#include <thrum/http.h>
#include <thrum/mutex.h>
#include <thrum/pool.h>
#include <thrum/queue.h>
#include <thrum/rwlock.h>
#include <thrum/select.h>
#include <thrum/sem.h>
#include <thrum/serve.h>
#include <thrum/stream.h>

#include <errno.h>
#include <stdbool.h>

/* ---- at every wait --------------------------------------------------------------------------- */

static bool cancelled; /* in the run at hand something may be */

/* One run; how many waits it had. */
static uint64_t run_at(int (*app)(void *arg), uint64_t seed, uint64_t n)
{
    th_sim_opts opts = { .seed = seed, .workers = 1 + (unsigned)(seed % 3), .cancel_at = n };
    th_sim_result seen;
    unsigned long long s = seed;
    unsigned long long at = n;
    sim_failure[0] = '\0';
    cancelled = n > 0;
    if (sim_env("THRUM_SIM_TRACE", 0))
        opts.trace = sim_print;
    int err = th_sim_run(app, NULL, &opts, &seen);
    if (seen.verdict < 0)
        ck_abort_msg("seed %llu, wait %llu: %s: %s", s, at, th_errname(err), th_err_detail());
    if (sim_failure[0])
        ck_abort_msg("seed %llu, wait %llu: %s", s, at, sim_failure);
    if (seen.open_descriptors != 0 || seen.live_allocations != 0)
        ck_abort_msg("seed %llu, wait %llu: %zu descriptors and %lld allocations are left", s, at,
                     seen.open_descriptors, (long long)seen.live_allocations);
    if (err < 0 && (n == 0 || n > seen.waits))
        ck_abort_msg("seed %llu, wait %llu: untouched, and yet %s", s, at, th_errname(err));
    return seen.waits;
}

#define ONE_BY_ONE 200 /* waits; those beyond are tried more and more thinly */

/* All runs of a scenario, `least` waits being too few to show anything. */
static void at_every_wait(int (*app)(void *arg), uint64_t least)
{
    uint64_t seeds = 1 + sim_count() / 50;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        uint64_t waits = run_at(app, seed, 0);
        ck_assert_uint_ge(waits, least);
        for (uint64_t n = 1; n <= waits; n += n < ONE_BY_ONE ? 1 : n / 32)
            ck_assert_uint_ge(run_at(app, seed, n), n);
        ck_assert_uint_eq(run_at(app, seed, waits + 1), waits);
    }
}

/* A result that a cancellation may have had, here or at the peer. */
static bool is_excused(ssize_t result)
{
    return result >= 0 ||
           (cancelled && (result == -ECANCELED || result == TH_EOF || result == TH_ETRUNCATED ||
                          result == TH_ECLOSED || result == -ECONNRESET ||
                          result == -ECONNREFUSED || result == -EPIPE || result == -ENOENT));
}

static void spawn_round(th_scope *scope, th_fiber_fn fn, void *arg)
{
    th_spawn_opts opts = { .place = TH_PLACE_ROUND };
    expect(is_excused(th_spawn_with(scope, fn, arg, &opts, NULL)));
}

/* ---- streams --------------------------------------------------------------------------------- */

#define CLIENTS 3
#define SIZE    1500

static th_listener *listener;
static char dial_at[TH_ADDR_TEXT];
static th_http_router *router;

static int echo(th_stream *stream, void *arg)
{
    char buf[256];
    ssize_t n;
    (void)arg;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static char pattern(size_t i)
{
    return (char)('a' + i * 7 % 26);
}

static int write_pattern(void *arg)
{
    char data[SIZE];
    for (size_t i = 0; i < SIZE; i++)
        data[i] = pattern(i);
    ssize_t n = th_stream_write(arg, data, SIZE);
    expect_value(is_excused(n), n);
    int err = n < 0 ? (int)n : th_stream_shutdown(arg);
    return thi_min(err, 0);
}

/* Sends and receives at the same time. What comes back is a beginning of what was sent. */
static int talk(void *arg)
{
    th_stream *stream;
    th_scope scope;
    char buf[100];
    size_t got = 0;
    ssize_t n;
    (void)arg;
    int err = th_dial(dial_at, NULL, &stream);
    expect_value(is_excused(err), err);
    if (err < 0)
        return 0;
    expect(th_scope_open(&scope, NULL) == 0);
    expect(is_excused(th_spawn(&scope, write_pattern, stream)));
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++)
            expect(buf[i] == pattern(got++));
    expect_value(n == TH_EOF || is_excused(n), n);
    expect(got == SIZE || cancelled);
    (void)th_scope_close(&scope); /* the writer has ended, or is told by the peer that has */
    th_stream_free(stream);
    return 0;
}

/* Whoever has connected and is not served any more must hear of it. */
static void stop_listening(void)
{
    th_listener_close(listener);
    listener = NULL;
}

static int serve_echo(void *arg)
{
    (void)arg;
    int err = th_serve_on(&listener, 1, echo, NULL, NULL);
    stop_listening();
    expect_value(err == 0 || err == -ECANCELED, err);
    return 0;
}

static int serve_http(void *arg)
{
    (void)arg;
    int err = th_http_serve_on(&listener, 1, th_http_router_handle, router, NULL);
    stop_listening();
    expect_value(err == 0 || err == -ECANCELED, err);
    return 0;
}

/* A server, and clients that go on until all have ended. */
static int run_service(const char *address, th_fiber_fn serve, th_fiber_fn client)
{
    th_scope serving;
    th_scope clients;
    th_addr addr;
    int err = th_listen(address, NULL, &listener);
    expect_value(err == 0, err);
    if (err < 0)
        return err;
    th_listener_addr(listener, &addr);
    (void)th_addr_format(&addr, dial_at, sizeof dial_at);
    expect(th_scope_open(&serving, NULL) == 0);
    expect(is_excused(th_spawn(&serving, serve, NULL)));
    expect(th_scope_open(&clients, NULL) == 0);
    for (int i = 0; i < CLIENTS; i++)
        spawn_round(&clients, client, NULL);
    err = th_scope_close(&clients);
    (void)th_scope_cancel(&serving, 0);
    (void)th_scope_close(&serving);
    stop_listening(); /* it may never have been served */
    return err;
}

static int echo_service(void *arg)
{
    (void)arg;
    return run_service("127.0.0.1:0", serve_echo, talk);
}

START_TEST(streams_are_cancelled_at_every_wait)
{
    at_every_wait(echo_service, 20);
}
END_TEST

static int echo_service_unix(void *arg)
{
    (void)arg;
    return run_service("unix:/run/echo", serve_echo, talk);
}

START_TEST(streams_of_a_unix_socket_are_cancelled_at_every_wait)
{
    at_every_wait(echo_service_unix, 20);
}
END_TEST

/* ---- HTTP ------------------------------------------------------------------------------------ */

static int on_slow(th_http_request *request, th_http_reply *reply, void *arg)
{
    th_str body;
    (void)arg;
    int err = th_http_request_read_all(request, SIZE, &body);
    if (err == 0)
        err = th_http_reply_begin(reply, 200, -1);
    for (size_t at = 0; at < body.len && err == 0; at += 500) {
        err = th_http_reply_write(reply, body.ptr + at, thi_min(body.len - at, (size_t)500));
        if (err == 0)
            err = th_http_reply_flush(reply);
        if (err == 0)
            err = th_sleep(TH_MICROSECOND);
    }
    return err;
}

static int post(th_stream *stream)
{
    char head[128];
    int n = snprintf(head, sizeof head,
                     "POST /slow HTTP/1.1\r\nHost: sim\r\nContent-Length: %d\r\n"
                     "Connection: close\r\n\r\n",
                     SIZE);
    ssize_t sent = th_stream_write(stream, head, (size_t)n);
    return sent < 0 ? (int)sent : write_pattern(stream);
}

/* The body of an answer in chunks is a beginning of the pattern; only a whole one has an end. */
static void check_answer(char *answer, size_t size)
{
    static const char start[] = "HTTP/1.1 200 OK\r\n";
    answer[size] = '\0';
    expect(strncmp(answer, start, thi_min(size, sizeof start - 1)) == 0);
    char *at = strstr(answer, "\r\n\r\n");
    size_t got = 0;
    bool whole = false;
    for (at = at ? at + 4 : NULL; at && *at && !whole;) {
        char *end;
        size_t part = strtoul(at, &end, 16);
        if (end[0] != '\r' || end[1] != '\n')
            break;
        whole = part == 0;
        at = end + 2;
        for (size_t i = 0; i < part && *at; i++)
            expect(*at++ == pattern(got++));
        at += strncmp(at, "\r\n", 2) == 0 ? 2 : 0;
    }
    expect_value(got == SIZE || !whole, got);
    expect(whole || cancelled);
}

static int ask(void *arg)
{
    static _Thread_local char answers[CLIENTS + 1][8192];
    static _Thread_local unsigned turn;
    char *answer = answers[turn++ % (CLIENTS + 1)];
    th_stream *stream;
    size_t got = 0;
    ssize_t n = 0;
    (void)arg;
    int err = th_dial(dial_at, NULL, &stream);
    expect_value(is_excused(err), err);
    if (err < 0)
        return 0;
    err = post(stream);
    expect_value(is_excused(err), err);
    while (err == 0 && got < 8000 && (n = th_stream_read(stream, answer + got, 8000 - got)) > 0)
        got += (size_t)n;
    expect_value(n == TH_EOF || is_excused(n), n);
    if (err == 0)
        check_answer(answer, got);
    th_stream_free(stream);
    return 0;
}

static int http_service(void *arg)
{
    (void)arg;
    int err = th_http_router_new(&router);
    if (err == 0)
        err = th_http_router_add(router, "POST", "/slow", on_slow, NULL);
    if (err == 0)
        err = run_service("127.0.0.1:0", serve_http, ask);
    th_http_router_free(router);
    return err;
}

START_TEST(an_http_server_is_cancelled_at_every_wait)
{
    at_every_wait(http_service, 20);
}
END_TEST

/* ---- locks and queues ------------------------------------------------------------------------ */

static th_mutex mutex;
static th_cond cond;
static th_rwlock rwlock;
static th_sem units;
static th_queue *queue;
static int inside, level;

static int use_locks(void *arg)
{
    (void)arg;
    int err = th_sem_acquire(&units);
    if (err < 0)
        return err;
    err = th_rwlock_wrlock(&rwlock);
    if (err == 0) {
        expect(inside++ == 0);
        err = th_sleep(TH_MICROSECOND);
        inside--;
        expect(th_rwlock_wrunlock(&rwlock) == 0);
    }
    if (err == 0)
        err = th_rwlock_rdlock(&rwlock);
    if (err == 0) {
        err = th_sleep(TH_MICROSECOND);
        expect(th_rwlock_rdunlock(&rwlock) == 0);
    }
    expect(th_sem_release(&units, 1) == 0);
    return err;
}

/* Two of these bring each other on: each step waits for the other one's. */
static int step_in_turn(void *arg)
{
    int parity = *(const int *)arg;
    int err = th_mutex_lock(&mutex);
    if (err < 0)
        return err;
    for (int i = 0; i < 5 && err == 0; i++) {
        while (level % 2 != parity && err == 0)
            err = th_cond_wait(&cond, &mutex);
        if (err == 0) {
            level++;
            expect(th_cond_broadcast(&cond) == 0);
        }
    }
    expect(th_mutex_unlock(&mutex) == 0);
    return err;
}

static int locks(void *arg)
{
    static const int even = 0, odd = 1;
    th_scope scope;
    (void)arg;
    mutex = (th_mutex)TH_MUTEX_INIT;
    cond = (th_cond)TH_COND_INIT;
    rwlock = (th_rwlock)TH_RWLOCK_INIT;
    units = (th_sem)TH_SEM_INIT(2);
    inside = level = 0;
    expect(th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 }) == 0);
    for (int i = 0; i < 4; i++)
        spawn_round(&scope, use_locks, NULL);
    spawn_round(&scope, step_in_turn, (void *)(uintptr_t)&even);
    spawn_round(&scope, step_in_turn, (void *)(uintptr_t)&odd);
    int err = th_scope_close(&scope);
    expect_value(is_excused(err), err);
    expect(err < 0 || level == 10);
    expect(th_mutex_trylock(&mutex) == 0 && th_mutex_unlock(&mutex) == 0);
    expect(th_rwlock_trywrlock(&rwlock) == 0 && th_rwlock_wrunlock(&rwlock) == 0);
    expect(th_sem_tryacquire(&units) == 0 && th_sem_tryacquire(&units) == 0);
    expect(th_sem_tryacquire(&units) == -EAGAIN);
    return err;
}

START_TEST(locks_are_free_whichever_wait_is_cancelled)
{
    at_every_wait(locks, 10);
}
END_TEST

static int put_in, taken_out, joined;

static int produce(void *arg)
{
    int err = 0;
    for (int i = 0; i < 8 && err == 0; i++) {
        err = th_queue_put(queue, arg);
        put_in += err == 0;
    }
    return err;
}

static int consume(void *arg)
{
    void *item;
    int err;
    (void)arg;
    for (;;) {
        th_case cases[] = { TH_CASE_GET(queue), TH_CASE_TIME(th_after(TH_SECOND)) };
        int which = th_select(cases, 2, 0);
        err = which == 0 ? cases[0].result : which < 0 ? which : th_queue_get(queue, &item);
        if (err < 0)
            return err == TH_EOF ? 0 : err;
        taken_out++;
        err = th_sleep(TH_MICROSECOND);
        expect(th_queue_task_done(queue) == 0);
        if (err < 0)
            return err;
    }
}

static int close_when_done(void *arg)
{
    int err = th_scope_wait(arg);
    if (err == 0)
        err = th_queue_join(queue);
    joined += err == 0;
    (void)th_queue_close(queue);
    return err;
}

static int pipeline(void *arg)
{
    th_scope consumers;
    th_scope producers;
    void *item;
    (void)arg;
    put_in = taken_out = joined = 0;
    expect(th_queue_new(&(th_queue_opts){ .capacity = 2 }, &queue) == 0);
    expect(th_scope_open(&consumers, &(th_scope_opts){ .cancel_rest = 1 }) == 0);
    for (int i = 0; i < 2; i++)
        spawn_round(&consumers, consume, NULL);
    expect(th_scope_open(&producers, &(th_scope_opts){ .cancel_rest = 1 }) == 0);
    for (int i = 0; i < 2; i++)
        spawn_round(&producers, produce, &put_in);
    int err = close_when_done(&producers);
    (void)th_scope_close(&producers);
    (void)th_scope_close(&consumers);
    while (th_queue_tryget(queue, &item) == 0)
        taken_out++;
    expect_value(taken_out == put_in, taken_out * 100 + put_in); /* nothing is lost or doubled */
    expect(cancelled || (joined == 1 && put_in == 16));
    th_queue_free(queue);
    return err;
}

START_TEST(no_item_is_lost_whichever_wait_is_cancelled)
{
    at_every_wait(pipeline, 10);
}
END_TEST

/* ---- groups and pools ------------------------------------------------------------------------ */

static int next_number(void **item, void *arg)
{
    int *given = arg;
    int err = th_sleep(TH_MICROSECOND);
    if (err < 0 || *given == 12)
        return err < 0 ? err : TH_EOF;
    *item = (void *)(intptr_t)++ * given;
    return 0;
}

static int work_outside(void *arg)
{
    return (int)(intptr_t)arg * 2;
}

static int work_on(void *item, void *arg)
{
    (void)arg;
    return th_offload(NULL, work_outside, item);
}

static int told;

static int tell(void *item, int result, void *arg)
{
    (void)arg;
    expect((int)(intptr_t)item == ++told);
    expect_value(result == told * 2 || (cancelled && result == -ECANCELED), result);
    return 0;
}

static int clean_up(void *arg)
{
    (void)arg;
    expect(th_sleep(TH_MICROSECOND) == 0); /* shielded */
    return 0;
}

static int sleep_and_clean_up(void *arg)
{
    int err = th_sleep(*(const int64_t *)arg);
    int cleaned = th_shielded(TH_SECOND, clean_up, NULL);
    expect(cleaned == 0);
    return err;
}

static int take_all(th_group *group)
{
    int index;
    int result;
    int given = 0;
    while ((index = th_group_next(group, &result)) >= 0) {
        expect_value(result == 0 || (cancelled && result == -ECANCELED), result);
        given++;
    }
    expect_value(index == TH_EOF, index);
    return given;
}

static int groups(void *arg)
{
    static const int64_t spans[] = { 3000, 1000, 2000, 1000, 5000 };
    int given = 0;
    th_map_stream stream = { .next = next_number, .each = work_on, .done = tell, .arg = &given };
    th_group_opts opts = { .limit = 3, .place = TH_PLACE_ROUND };
    th_group *group;
    (void)arg;
    told = 0;
    int mapped = th_map_ordered(&stream, &opts);
    expect_value(is_excused(mapped), mapped);
    expect(told == given && (cancelled || given == 12));
    int begun = 0;
    expect(th_group_open(&opts, &group) == 0);
    for (size_t i = 0; i < thi_array_len(spans); i++)
        begun += th_group_spawn(group, sleep_and_clean_up, (void *)(uintptr_t)&spans[i]) >= 0;
    given = take_all(group);
    expect(given == begun && (cancelled || begun == 5));
    int err = th_group_close(group);
    expect_value(is_excused(err), err);
    return mapped < 0 ? mapped : err;
}

START_TEST(groups_and_pools_are_cancelled_at_every_wait)
{
    at_every_wait(groups, 10);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = sim_case(suite, "cancel");
    tcase_add_test(tcase, streams_are_cancelled_at_every_wait);
    tcase_add_test(tcase, streams_of_a_unix_socket_are_cancelled_at_every_wait);
    tcase_add_test(tcase, an_http_server_is_cancelled_at_every_wait);
    tcase_add_test(tcase, locks_are_free_whichever_wait_is_cancelled);
    tcase_add_test(tcase, no_item_is_lost_whichever_wait_is_cancelled);
    tcase_add_test(tcase, groups_and_pools_are_cancelled_at_every_wait);
}

int main(void)
{
    return thi_check_run("sim/cancel", fill);
}
