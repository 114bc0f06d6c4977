/* SPDX-License-Identifier: MIT */

/* Datagrams while each system call, and each allocation, fails in turn. */
#include "torture.h"

#include "net/udp_sockets.h"

#define PATIENCE (50 * TH_MILLISECOND)
#define ATTEMPTS 4

static const char ping[] = "There and back again.";

/* ---- a service and its client ---- */

typedef struct service {
    char address[TH_ADDR_TEXT];
    bool listening;
    bool over;
    int served; /* results */
    int called;
} service;

static int echo(th_udp *udp, void *arg)
{
    th_udp_batch *batch;
    th_dgram *dgrams;
    (void)arg;
    int n = th_udp_batch_new(4, 100, &batch);
    if (n < 0)
        return n;
    while ((n = th_udp_recv_batch(udp, batch, &dgrams)) > 0 || n == -ECONNREFUSED)
        if (n > 0)
            (void)th_udp_send_batch(udp, dgrams, (size_t)n);
    th_udp_batch_free(batch);
    return n;
}

static void listening(const th_addr *addr, void *arg)
{
    service *s = arg;
    th_addr_format(addr, s->address, sizeof s->address);
    s->listening = true;
}

static int serve(void *arg)
{
    service *s = arg;
    th_udp_opts udp = { .tell = TH_UDP_TELL_LOCAL, .errors = 1 };
    th_udp_serve_opts opts = { .udp = &udp, .listening = listening };
    s->served = th_udp_serve("127.0.0.1:0", echo, s, &opts);
    s->over = true;
    return 0;
}

/* One question; its answer, which must be right, or a failure. */
static int ask(th_udp *udp)
{
    char pong[sizeof ping] = "";
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(PATIENCE) });
    if (err < 0)
        return err;
    ssize_t n = th_udp_send(udp, ping, sizeof ping, NULL);
    if (n == 0)
        n = th_udp_recv(udp, pong, sizeof pong, NULL, NULL);
    (void)th_scope_close(&scope);
    if (n < 0)
        return (int)n;
    ck_assert_str_eq(pong, ping);
    return 0;
}

/* What is lost is asked again. */
static int call(service *s)
{
    th_udp *udp = NULL;
    int err = th_udp_dial(s->address, NULL, &udp);
    if (err < 0) {
        ck_assert_ptr_null(udp);
        ck_assert_ptr_nonnull(strstr(th_err_detail(), s->address));
        return err;
    }
    err = -ETIMEDOUT;
    for (int i = 0; i < ATTEMPTS && err == -ETIMEDOUT && !s->over; i++)
        err = ask(udp);
    if (err == 0)
        err = ask(udp);
    ck_assert_int_eq(th_udp_close(udp), 0);
    th_udp_free(udp);
    return err;
}

static int serve_and_call(void *arg)
{
    service *s = arg;
    th_scope scope;
    open_scope(&scope);
    int err = th_spawn(&scope, serve, s);
    while (err == 0 && !s->listening && !s->over)
        ck_assert_int_eq(th_yield(), 0);
    if (s->listening)
        s->called = call(s);
    ck_assert_int_eq(th_stop(), 0);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    return err;
}

/* What a client may get: of a server that has ended, nothing. */
static bool is_good_call(const run *r, const service *s)
{
    bool lost = s->called == -ECONNREFUSED || s->called == -ETIMEDOUT;
    return is_as_ordered(r, s->called) || (r->hit && s->served < 0 && lost) ||
           (r->hit && lost && r->torment->error == ECONNREFUSED);
}

static int serving(void *arg)
{
    run *r = arg;
    service s = { .listening = false };
    int result = torment_body(r, serve_and_call, &s);
    ck_assert_msg(is_as_ordered(r, result) || (r->hit && result == -ENOMEM), "%s%s: start: %s",
                  torture_now, hit_of(r), th_errname(result));
    ck_assert_msg(is_as_ordered(r, s.served) || (r->hit && s.served == -ENOMEM), "%s%s: server: %s",
                  torture_now, hit_of(r), th_errname(s.served));
    ck_assert_msg(is_good_call(r, &s), "%s%s: client: %s", torture_now, hit_of(r),
                  th_errname(s.called));
    return 0;
}

START_TEST(a_service_lives_through_what_its_system_calls_do)
{
    torture(1, _i, serving);
}
END_TEST

START_TEST(a_service_of_two_workers_lives_through_it_as_well)
{
    torture(2, _i, serving);
}
END_TEST

/* ---- memory ---- */

/* Everything that allocates, once; 0, or the failure, and then nothing is left. */
static int use_all(void *arg)
{
    (void)arg;
    th_udp *a = NULL;
    th_udp *b = NULL;
    th_udp_batch *batch = NULL;
    th_dgram *got;
    char bytes[4] = "warp";
    th_dgram d[2] = { { .data = bytes, .size = 4 }, { .data = bytes, .size = 4 } };
    char text[TH_ADDR_TEXT];
    th_addr addr;
    int err = th_udp_open("127.0.0.1:0", NULL, &a);
    if (err == 0)
        err = th_udp_local(a, &addr);
    if (err == 0)
        err = th_udp_dial(th_addr_format(&addr, text, sizeof text), NULL, &b);
    if (err == 0)
        err = th_udp_batch_new(4, 100, &batch);
    if (err == 0)
        err = th_udp_send_batch(b, d, 2);
    if (err == 2)
        err = th_udp_recv_batch(a, batch, &got);
    if (err > 0)
        err = th_udp_send(b, "x", 1, NULL);
    th_udp_batch_free(batch);
    th_udp_free(a);
    th_udp_free(b);
    return err;
}

START_TEST(without_memory_each_call_fails_and_leaves_nothing)
{
    th_run_opts opts = { .workers = 1, .no_signals = 1, .watchdog = TH_NEVER };
    int64_t left = 0;
    ck_assert_int_eq(th_run(use_all, NULL, &opts), 0);
    int open = count_open();
    int64_t live = thi_alloc_live();
    for (int64_t n = 1; left == 0; n++) {
        (void)thi_alloc_fail_at(n);
        int result = th_run(use_all, NULL, &opts);
        left = thi_alloc_fail_at(0);
        ck_assert_msg(result == (left > 0 ? 0 : -ENOMEM) || (left == 0 && result == 0), "%ld: %s",
                      (long)n, th_errname(result));
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_eq(count_open(), open);
    }
}
END_TEST

START_TEST(without_memory_a_service_fails_and_leaves_nothing)
{
    th_run_opts opts = { .workers = 2, .no_signals = 1, .watchdog = TH_NEVER };
    int64_t left = 0;
    service s = { .listening = false };
    ck_assert_int_eq(th_run(serve_and_call, &s, &opts), 0);
    int open = count_open();
    int64_t live = thi_alloc_live();
    for (int64_t n = 1; left == 0; n++) {
        s = (service){ .listening = false };
        (void)thi_alloc_fail_at(n);
        int result = th_run(serve_and_call, &s, &opts);
        left = thi_alloc_fail_at(0);
        ck_assert_msg(result == 0 || (left == 0 && result == -ENOMEM), "%ld: %s", (long)n,
                      th_errname(result));
        ck_assert_msg(s.served == 0 || (left == 0 && s.served == -ENOMEM), "%ld: %s", (long)n,
                      th_errname(s.served));
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_eq(count_open(), open);
    }
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "system calls");
    tcase_set_timeout(tcase, 60);
    add_on_engines(tcase, a_service_lives_through_what_its_system_calls_do);
    add_on_engines(tcase, a_service_of_two_workers_lives_through_it_as_well);
    tcase = thi_check_case(suite, "memory");
    tcase_add_test(tcase, without_memory_each_call_fails_and_leaves_nothing);
    tcase_add_test(tcase, without_memory_a_service_fails_and_leaves_nothing);
}

int main(void)
{
    return thi_check_run("net/udp_torture", fill_suite);
}
