/* SPDX-License-Identifier: MIT */

/*
 * Services on datagrams, in worlds from friendly to hostile.
 *
 * A client asks again until it has its answer, which may come twice, late, or to a question of
 * before; at no time may an answer be wrong. Without faults there is one answer for each question,
 * in the order of the questions.
 */
#include "sim_play.h"

#include <thrum/runtime.h>
#include <thrum/udp.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PATIENCE  (500 * TH_MILLISECOND)
#define CLIENTS   5
#define QUESTIONS 10
#define SIZE_MAX_ 1200

/* One run's stage. */
typedef struct stage {
    const char *address;
    sim_play play;
    bool batches;
    th_addr addr;
    bool listening;
    bool stopping;
} stage;

/* ---- the server: every byte one more ---- */

static void add_one(unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i]++;
}

/* A failure of one datagram is no failure of the service. */
static bool is_over(ssize_t result)
{
    return result == TH_EOF || result == -ECANCELED || result == -ETIMEDOUT || result == -EBADF;
}

static int answer_one_by_one(th_udp *udp, void *arg)
{
    unsigned char buf[SIZE_MAX_];
    th_addr from;
    (void)arg;
    for (;;) {
        ssize_t n = th_udp_recv(udp, buf, sizeof buf, &from, NULL);
        if (is_over(n))
            return (int)n;
        if (n < 0)
            continue;
        add_one(buf, (size_t)n);
        n = th_udp_send(udp, buf, (size_t)n, &from);
        if (is_over(n))
            return (int)n;
    }
}

static int answer_batches(th_udp *udp, void *arg)
{
    th_udp_batch *batch;
    th_dgram *d;
    (void)arg;
    int n = th_udp_batch_new(1 + (size_t)th_sim_random(20), SIZE_MAX_, &batch);
    if (n < 0)
        return n;
    while (!is_over(n = th_udp_recv_batch(udp, batch, &d))) {
        for (int i = 0; i < n; i++)
            add_one(d[i].data, d[i].size);
        if (n > 0 && is_over(th_udp_send_batch(udp, d, (size_t)n)))
            break;
    }
    th_udp_batch_free(batch);
    return n < 0 ? n : 0;
}

static void listening(const th_addr *addr, void *arg)
{
    stage *st = arg;
    st->addr = *addr;
    st->listening = true;
}

/* Under faults even the start of a server may fail, and is tried again. */
static int run_server(void *arg)
{
    stage *st = arg;
    th_udp_serve_opts opts = { .listening = listening };
    while (!st->stopping) {
        bool excused = faults_are_on(&st->play);
        char text[TH_ADDR_TEXT];
        const char *at = st->listening ? th_addr_format(&st->addr, text, sizeof text) : st->address;
        int result = th_udp_serve(at, st->batches ? answer_batches : answer_one_by_one, st, &opts);
        if (result == 0 || result == -ECANCELED)
            return 0;
        expect_value(excused, result);
        th_sleep(100 * TH_MILLISECOND);
    }
    return 0;
}

/* ---- the clients ---- */

static unsigned char pattern(uint64_t n, size_t i)
{
    return (unsigned char)(n * 31 + i * 7 + i / 256);
}

/* The answer to this very question; others, which are of before, are passed over. */
static int await_answer(th_udp *udp, uint64_t n, size_t size)
{
    unsigned char got[SIZE_MAX_ + 1];
    for (;;) {
        ssize_t len = th_udp_recv(udp, got, sizeof got, NULL, NULL);
        if (len < 0)
            return (int)len;
        if ((size_t)len != size || (size > 0 && got[0] != (unsigned char)(pattern(n, 0) + 1)))
            continue;
        for (size_t i = 0; i < size; i++)
            expect(got[i] == (unsigned char)(pattern(n, i) + 1));
        return 0;
    }
}

static int ask(th_udp *udp, uint64_t n, size_t size)
{
    unsigned char block[SIZE_MAX_];
    for (size_t i = 0; i < size; i++)
        block[i] = pattern(n, i);
    int err = th_udp_send(udp, block, size, NULL);
    return err < 0 ? err : await_answer(udp, n, size);
}

static bool is_network_error(int error)
{
    static const int errors[] = { -ECONNREFUSED, -ETIMEDOUT, -EMFILE,    -ENFILE, -ENOBUFS,
                                  -ENOMEM,       -EAGAIN,    -ECANCELED, -ENOENT };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (error == errors[i])
            return true;
    return false;
}

static int ask_within(th_udp *udp, uint64_t n, size_t size)
{
    th_scope scope;
    int result = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(PATIENCE) });
    if (result < 0)
        return result;
    result = ask(udp, n, size);
    (void)th_scope_close(&scope);
    return result;
}

/* Dials if need be, and asks. After a failure it is dialled anew: a Unix socket has lost its peer
 * for good when that was closed. */
static int dial_and_ask(stage *st, th_udp **udp, uint64_t n, size_t size)
{
    char text[TH_ADDR_TEXT];
    int result = 0;
    if (!*udp)
        result = th_udp_dial(th_addr_format(&st->addr, text, sizeof text), NULL, udp);
    if (result == 0)
        result = ask_within(*udp, n, size);
    if (result < 0) {
        th_udp_free(*udp);
        *udp = NULL;
    }
    return result;
}

/* Asks until there is an answer. */
static int ask_until(stage *st, th_udp **udp, uint64_t n)
{
    size_t size = (size_t)th_sim_random(SIZE_MAX_);
    for (;;) {
        bool excused = faults_are_on(&st->play);
        int result = dial_and_ask(st, udp, n, size);
        if (result == 0)
            return 0;
        expect_value(excused && is_network_error(result), result);
        if (!excused)
            return result;
        th_sleep((int64_t)th_sim_random(TH_SECOND));
    }
}

static int run_client(void *arg)
{
    stage *st = arg;
    th_udp *udp = NULL;
    int err = 0;
    th_sleep((int64_t)th_sim_random(TH_SECOND));
    for (uint64_t i = 0; i < QUESTIONS && err == 0; i++)
        err = ask_until(st, &udp, th_sim_random(1000) * QUESTIONS + i);
    th_udp_free(udp);
    st->play.done += err == 0;
    return 0;
}

/* ---- the play ---- */

static int play(void *arg)
{
    stage *st = arg;
    th_scope serving;
    play_begin(&st->play);
    st->listening = st->stopping = false;
    expect(th_scope_open(&serving, NULL) == 0);
    until_it_works(&st->play, th_spawn(&serving, run_server, st));
    while (!st->listening)
        th_sleep(TH_MILLISECOND);
    int err = play_clients(&st->play, CLIENTS, run_client, st);
    st->stopping = true;
    expect(th_stop() == 0);
    th_scope_close(&serving);
    return err;
}

/* What networks do to datagrams, and nothing else. */
static void lossy(th_sim_opts *opts)
{
    friendly(opts);
    opts->faults[TH_SIM_LOST].per_million = 200000;
    opts->faults[TH_SIM_TWICE].per_million = 200000;
    opts->faults[TH_SIM_OVERTAKEN].per_million = 200000;
    opts->fault_until = FAULTS_END;
}

START_TEST(every_question_has_its_answer)
{
    stage st = { .address = "127.0.0.1:0" };
    sim_seeds(play, &st, friendly);
}
END_TEST

START_TEST(every_question_has_its_answer_from_batches)
{
    stage st = { .address = "[::]:0", .batches = true };
    sim_seeds(play, &st, friendly);
}
END_TEST

START_TEST(every_question_over_a_unix_socket_has_its_answer)
{
    stage st = { .address = "unix:/thrum-sim-datagrams" };
    sim_seeds(play, &st, friendly);
}
END_TEST

START_TEST(who_asks_again_gets_through_loss_doubling_and_delay)
{
    stage st = { .address = "127.0.0.1:0", .play.faulty = true };
    sim_seeds(play, &st, lossy);
    st.batches = true;
    sim_seeds(play, &st, lossy);
}
END_TEST

START_TEST(a_service_recovers_from_every_fault)
{
    stage st = { .address = "127.0.0.1:0", .play.faulty = true };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(a_service_of_batches_recovers_from_every_fault)
{
    stage st = { .address = "[::1]:0", .play.faulty = true, .batches = true };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(a_service_at_a_unix_socket_recovers_from_every_fault)
{
    stage st = { .address = "unix:/thrum-sim-datagrams", .play.faulty = true };
    sim_seeds(play, &st, hostile);
}
END_TEST

/* ---- what the network does ---- */

enum { SENT = 200 };

/* How often each of those that were sent has arrived, and whether one came after a later one. */
typedef struct arrivals {
    unsigned char times[SENT];
    unsigned count;
    bool disordered;
} arrivals;

static int send_all(void *arg)
{
    th_udp *udp = arg;
    for (unsigned char i = 0; i < SENT; i++) {
        expect(th_udp_send(udp, &i, 1, NULL) == 0);
        if (th_sim_random(4) == 0)
            th_sleep((int64_t)th_sim_random(2 * TH_MILLISECOND));
    }
    return 0;
}

static void receive_all(th_udp *udp, arrivals *seen)
{
    unsigned char got;
    int last = -1;
    th_scope scope;
    expect(th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(TH_MINUTE) }) == 0);
    while (th_udp_recv(udp, &got, 1, NULL, NULL) == 1) {
        expect(got < SENT);
        seen->times[got]++;
        seen->count++;
        seen->disordered = seen->disordered || got < last;
        last = got;
    }
    th_scope_close(&scope);
}

static int count_arrivals(void *arg)
{
    arrivals *seen = arg;
    char text[TH_ADDR_TEXT];
    th_addr addr;
    th_udp *to = NULL;
    th_udp *from = NULL;
    th_scope scope;
    *seen = (arrivals){ .count = 0 };
    expect(th_udp_open("127.0.0.1:0", NULL, &to) == 0);
    expect(th_udp_local(to, &addr) == 0);
    expect(th_udp_dial(th_addr_format(&addr, text, sizeof text), NULL, &from) == 0);
    expect(th_scope_open(&scope, NULL) == 0);
    expect(th_spawn(&scope, send_all, from) == 0);
    receive_all(to, seen);
    th_scope_close(&scope);
    th_udp_free(to);
    th_udp_free(from);
    return 0;
}

static int all_arrive_once_and_in_order(void *arg)
{
    arrivals *seen = arg;
    int err = count_arrivals(seen);
    for (int i = 0; i < SENT; i++)
        expect(seen->times[i] == 1);
    expect(!seen->disordered);
    return err;
}

START_TEST(in_a_friendly_world_all_arrive_once_and_in_order)
{
    arrivals seen;
    sim_seeds(all_arrive_once_and_in_order, &seen, friendly);
}
END_TEST

/* One run with one fault; the odds are such that not to see it would be a wonder. */
static arrivals arrivals_with(enum th_sim_fault fault)
{
    arrivals seen;
    th_sim_opts opts = { .seed = 7 };
    opts.faults[fault].per_million = 300000;
    ck_assert_int_eq(th_sim_run(count_arrivals, &seen, &opts, NULL), 0);
    return seen;
}

START_TEST(each_fault_does_what_it_says_and_nothing_else)
{
    arrivals seen = arrivals_with(TH_SIM_LOST);
    ck_assert_uint_lt(seen.count, SENT);
    ck_assert(!seen.disordered);
    for (int i = 0; i < SENT; i++)
        ck_assert_uint_le(seen.times[i], 1);
    seen = arrivals_with(TH_SIM_TWICE);
    ck_assert_uint_gt(seen.count, SENT);
    for (int i = 0; i < SENT; i++)
        ck_assert(seen.times[i] == 1 || seen.times[i] == 2);
    seen = arrivals_with(TH_SIM_OVERTAKEN);
    ck_assert_uint_eq(seen.count, SENT);
    ck_assert(seen.disordered);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "friendly");
    tcase_add_test(tcase, every_question_has_its_answer);
    tcase_add_test(tcase, every_question_has_its_answer_from_batches);
    tcase_add_test(tcase, every_question_over_a_unix_socket_has_its_answer);
    tcase_add_test(tcase, in_a_friendly_world_all_arrive_once_and_in_order);

    tcase = sim_case(suite, "hostile");
    tcase_add_test(tcase, each_fault_does_what_it_says_and_nothing_else);
    tcase_add_test(tcase, who_asks_again_gets_through_loss_doubling_and_delay);
    tcase_add_test(tcase, a_service_recovers_from_every_fault);
    tcase_add_test(tcase, a_service_of_batches_recovers_from_every_fault);
    tcase_add_test(tcase, a_service_at_a_unix_socket_recovers_from_every_fault);
}

int main(void)
{
    return thi_check_run("sim/datagrams", fill_suite);
}
