/* SPDX-License-Identifier: MIT */

/* Serving: limits, balance, orderly and other ends, and a kernel that refuses. */
#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "net/listener.h"
#include "runtime/worker.h"
#include "sys/sys.h"

#include <thrum/dial.h>
#include <thrum/serve.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS_MAX 4

/* ---- a server, and clients that are bare descriptors ------------------------------------------
 */

typedef struct server {
    th_listener *listener;
    th_scope scope;
    th_serve_fn fn;
    th_serve_opts opts;
    th_fiber *fiber;
    int result;
} server;

static atomic_int open_now;
static atomic_int open_most;
static atomic_int served;
static atomic_int cancelled;
static atomic_int on_worker[WORKERS_MAX];

static int run_server(void *arg)
{
    server *s = arg;
    s->result = th_serve_on(&s->listener, 1, s->fn, s, &s->opts);
    return 0;
}

static void start_server(server *s)
{
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &s->listener), 0);
    open_scope(&s->scope);
    s->result = 77;
    spawn(&s->scope, run_server, s);
}

static void wait_for_server(server *s)
{
    th_scope_close(&s->scope);
    th_listener_close(s->listener);
}

/* Cancels the server and waits for it. */
static void cancel_server(server *s)
{
    ck_assert_int_eq(th_scope_cancel(&s->scope, 0), 0);
    wait_for_server(s);
    ck_assert_int_eq(s->result, -ECANCELED);
}

static int client_of(const server *s)
{
    th_addr addr;
    th_listener_addr(s->listener, &addr);
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(addr.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

/* Lets the loop turn until the condition holds; the test's time limit is the patience. */
#define wait_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0)

/* Whether the server has ended this connection. */
static bool is_ended(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void arrive(void)
{
    int now = atomic_fetch_add(&open_now, 1) + 1;
    int most = atomic_load(&open_most);
    while (now > most && !atomic_compare_exchange_weak(&open_most, &most, now))
        continue;
    atomic_fetch_add(&on_worker[thi_worker_self->index], 1);
}

/* Serves until the client ends, answering each byte. */
static int echo(th_stream *stream, void *arg)
{
    char byte;
    ssize_t n;
    (void)arg;
    arrive();
    while ((n = th_stream_read(stream, &byte, 1)) == 1)
        n = th_stream_write(stream, &byte, 1);
    if (n == -ECANCELED)
        atomic_fetch_add(&cancelled, 1);
    atomic_fetch_sub(&open_now, 1);
    atomic_fetch_add(&served, 1);
    return (int)n;
}

static void echoes(int fd)
{
    char byte = 'e';
    ck_assert_int_eq(send(fd, &byte, 1, 0), 1);
    byte = 0;
    ssize_t n;
    wait_until((n = recv(fd, &byte, 1, MSG_DONTWAIT)) >= 0);
    ck_assert_int_eq(n, 1);
    ck_assert_int_eq(byte, 'e');
}

/* ---- serving --------------------------------------------------------------------------------- */

FIBER_TEST_ON(2, connections_are_served_until_the_server_is_cancelled)
{
    int clients[20];
    server s = { .fn = echo };
    start_server(&s);
    for (size_t i = 0; i < thi_array_len(clients); i++)
        clients[i] = client_of(&s);
    for (size_t i = 0; i < thi_array_len(clients); i++)
        echoes(clients[i]);
    ck_assert_int_eq(atomic_load(&open_now), 20);
    close(clients[0]);
    wait_until(atomic_load(&served) == 1);
    cancel_server(&s);
    ck_assert_int_eq(atomic_load(&cancelled), 19);
    ck_assert_int_eq(atomic_load(&open_now), 0);
    for (size_t i = 1; i < thi_array_len(clients); i++) {
        ck_assert(is_ended(clients[i]));
        close(clients[i]);
    }
}

static int fail_at_once(th_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    atomic_fetch_add(&served, 1);
    return -EIO;
}

FIBER_TEST(a_connection_that_fails_hurts_nobody_else)
{
    server s = { .fn = fail_at_once };
    start_server(&s);
    for (int i = 1; i <= 10; i++) {
        int fd = client_of(&s);
        wait_until(is_ended(fd));
        ck_assert_int_eq(atomic_load(&served), i);
        close(fd);
    }
    cancel_server(&s);
}

static th_addr heard;

static void hear(const th_addr *addr, void *arg)
{
    ck_assert_str_eq(arg, "the argument");
    heard = *addr;
}

static int expect_argument(th_stream *stream, void *arg)
{
    (void)stream;
    ck_assert_str_eq(arg, "the argument");
    ck_assert_int_eq(th_stop(), 0);
    return 0;
}

/* Connects to what was heard. */
static int call_heard(void *arg)
{
    char text[TH_ADDR_TEXT];
    th_stream *stream = NULL;
    (void)arg;
    wait_until(heard.kind != TH_ADDR_NONE);
    ck_assert_int_eq(th_dial(th_addr_format(&heard, text, sizeof text), NULL, &stream), 0);
    th_stream_free(stream);
    return 0;
}

FIBER_TEST(an_address_is_served_and_told)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, call_heard, NULL);
    th_serve_opts opts = { .listening = hear };
    ck_assert_int_eq(th_serve("127.0.0.1:0", expect_argument, "the argument", &opts), 0);
    close_scope(&scope);
}

FIBER_TEST(several_listeners_are_served_at_once)
{
    th_listener *listeners[3];
    th_scope scope;
    server s[3] = { { .fn = echo } };
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &listeners[i]), 0);
        s[i].listener = listeners[i];
    }
    int fds[3];
    for (size_t i = 0; i < 3; i++)
        fds[i] = client_of(&s[i]);
    open_scope_for(&scope, 50 * TH_MILLISECOND);
    ck_assert_int_eq(th_serve_on(listeners, 3, echo, NULL, NULL), -ETIMEDOUT);
    th_scope_close(&scope);
    ck_assert_int_eq(atomic_load(&served), 3);
    for (size_t i = 0; i < 3; i++) {
        close(fds[i]);
        th_listener_close(listeners[i]);
    }
}

FIBER_TEST(misuse_is_refused)
{
    static th_listener *many[65];
    th_listener *l;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &l), 0);
    ck_assert_int_eq(th_serve_on(NULL, 1, echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_serve_on(&l, 0, echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_serve_on(many, 65, echo, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_serve_on(&l, 1, NULL, NULL, NULL), -EINVAL);
    th_serve_opts wrong = { .size = sizeof(th_serve_opts) + 1 };
    ck_assert_int_eq(th_serve_on(&l, 1, echo, NULL, &wrong), -EINVAL);
    wrong = (th_serve_opts){ .stack_size = (size_t)1 << 40 };
    ck_assert_int_eq(th_serve_on(&l, 1, echo, NULL, &wrong), -EINVAL);
    ck_assert_int_eq(th_serve("nonsense", echo, NULL, NULL), TH_EADDRESS);
    th_listener_close(l);
}

START_TEST(there_is_no_serving_outside_of_fibers)
{
    th_listener *l;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &l), 0);
    ck_assert_int_eq(th_serve_on(&l, 1, echo, NULL, NULL), -EPERM);
    ck_assert_int_eq(th_serve("127.0.0.1:0", echo, NULL, NULL), -EPERM);
    th_listener_close(l);
}
END_TEST

/* ---- the limit ------------------------------------------------------------------------------- */

FIBER_TEST_ON(2, no_more_connections_are_open_than_the_limit_says)
{
    int clients[30];
    server s = { .fn = echo, .opts.max_connections = 3 };
    start_server(&s);
    for (size_t i = 0; i < thi_array_len(clients); i++)
        clients[i] = client_of(&s);
    for (size_t i = 0; i < thi_array_len(clients); i++) { /* in the order of the queue, roughly */
        wait_until(atomic_load(&open_now) == 3 || atomic_load(&served) + 3 > 30);
        ck_assert_int_le(atomic_load(&open_most), 3);
        shutdown(clients[i], SHUT_WR);
    }
    wait_until(atomic_load(&served) == 30);
    ck_assert_int_eq(atomic_load(&open_most), 3);
    for (size_t i = 0; i < thi_array_len(clients); i++)
        close(clients[i]);
    cancel_server(&s);
}

FIBER_TEST_ON(2, a_full_server_can_be_stopped)
{
    int clients[5];
    server s = { .fn = echo, .opts.max_connections = 1 };
    start_server(&s);
    for (size_t i = 0; i < thi_array_len(clients); i++)
        clients[i] = client_of(&s);
    wait_until(atomic_load(&open_now) == 1);
    cancel_server(&s);
    ck_assert_int_eq(atomic_load(&open_most), 1);
    for (size_t i = 0; i < thi_array_len(clients); i++)
        close(clients[i]);
}

/* ---- balance --------------------------------------------------------------------------------- */

/* Connections that stay, on so many workers; the fullest has at most a fifth more than another. */
static void spread(int workers)
{
    int clients[400];
    int least = 400;
    int most = 0;
    server s = { .fn = echo };
    start_server(&s);
    for (int i = 0; i < 400; i++) {
        clients[i] = client_of(&s);
        if (i % 8 == 0) /* they come a few at a time, and meet workers that all have started */
            wait_until(atomic_load(&open_now) == i + 1);
    }
    wait_until(atomic_load(&open_now) == 400);
    for (int i = 0; i < workers; i++) {
        least = thi_min(least, atomic_load(&on_worker[i]));
        most = thi_max(most, atomic_load(&on_worker[i]));
    }
    ck_assert_msg(most * 5 <= least * 6, "most %d, least %d", most, least);
    for (size_t i = 0; i < thi_array_len(clients); i++)
        close(clients[i]);
    cancel_server(&s);
}

FIBER_TEST_ON(2, two_workers_share_connections_evenly)
{
    spread(2);
}

FIBER_TEST_ON(4, four_workers_share_connections_evenly)
{
    spread(4);
}

/* ---- the end --------------------------------------------------------------------------------- */

FIBER_TEST_ON(2, a_stop_lets_connections_finish)
{
    server s = { .fn = echo };
    start_server(&s);
    int a = client_of(&s);
    int b = client_of(&s);
    echoes(a);
    echoes(b);
    ck_assert_int_eq(th_stop(), 0);
    echoes(a);
    close(a);
    wait_until(atomic_load(&served) == 1);
    ck_assert_int_eq(s.result, 77);
    echoes(b);
    close(b);
    wait_for_server(&s);
    ck_assert_int_eq(s.result, 0);
    ck_assert_int_eq(atomic_load(&cancelled), 0);
}

/* Whether a client that comes now is refused. */
static bool is_refused(const struct sockaddr_in *in)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    bool refused = connect(fd, (const struct sockaddr *)in, sizeof *in) < 0;
    ck_assert(!refused || errno == ECONNREFUSED);
    close(fd);
    return refused;
}

FIBER_TEST_ON(2, clients_that_come_after_a_stop_are_refused)
{
    server s = { .fn = echo };
    start_server(&s);
    int fd = client_of(&s);
    echoes(fd);
    th_addr addr;
    th_listener_addr(s.listener, &addr);
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(addr.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ck_assert(!is_refused(&in));
    ck_assert_int_eq(th_stop(), 0);
    wait_until(is_refused(&in));
    echoes(fd); /* who was there is served on */
    close(fd);
    wait_for_server(&s);
    ck_assert_int_eq(s.result, 0);
}

FIBER_TEST_ON(2, a_stop_of_an_idle_server_ends_it)
{
    server s = { .fn = echo };
    start_server(&s);
    ck_assert_int_eq(th_stop(), 0);
    wait_for_server(&s);
    ck_assert_int_eq(s.result, 0);
}

static int hold_on(void *arg)
{
    server *s = arg;
    start_server(s);
    int fd = client_of(s);
    echoes(fd);
    ck_assert_int_eq(th_stop(), 0);
    wait_for_server(s);
    close(fd);
    return 0;
}

START_TEST(what_is_left_after_the_time_of_grace_is_cancelled)
{
    server s = { .fn = echo };
    th_run_opts opts = {
        .workers = 2, .backend = engine_names[_i], .no_signals = 1, .grace = 50 * TH_MILLISECOND
    };
    int result = th_run(hold_on, &s, &opts);
    ck_assert_msg(result == 0 || result == -ECANCELED, "%s", th_errname(result));
    ck_assert_int_eq(atomic_load(&cancelled), 1);
}
END_TEST

/* ---- a kernel that refuses --------------------------------------------------------------------
 */

/* Lowers the limit of descriptors to the number of the lowest free one. */
static rlim_t allow_no_more_descriptors(void)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    int free_one = dup(0);
    ck_assert_int_ge(free_one, 0);
    close(free_one);
    limit.rlim_cur = (rlim_t)free_one;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

FIBER_TEST(without_descriptors_accepting_pauses_and_goes_on_later)
{
    int64_t errors = thi_metric_read(THI_M_ACCEPT_ERRORS);
    server s = { .fn = echo };
    start_server(&s);
    int first = client_of(&s);
    echoes(first);
    int second = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof in;
    ck_assert_int_eq(getpeername(first, (struct sockaddr *)&in, &len), 0);
    rlim_t before = allow_no_more_descriptors();
    ck_assert_int_eq(connect(second, (struct sockaddr *)&in, len), 0);
    wait_until(thi_metric_read(THI_M_ACCEPT_ERRORS) > errors);
    echoes(first); /* who is in is served as ever */
    int64_t turns = thi_metric_read(THI_M_ACCEPT_ERRORS);
    ck_assert_int_eq(th_sleep(50 * TH_MILLISECOND), 0);
    ck_assert_int_le(thi_metric_read(THI_M_ACCEPT_ERRORS), turns + 1); /* it does not spin */
    allow_descriptors(before);
    echoes(second);
    close(first);
    close(second);
    cancel_server(&s);
}

/* An accept(2) that fails as the peer's fault some times, and then works. */
static int accept_failures;

static int accept_after_failures(int fd, struct sockaddr *sa, socklen_t *len)
{
    static const int errors[] = { ECONNABORTED, EPROTO, EHOSTUNREACH };
    if (accept_failures < 3)
        return -errors[accept_failures++];
    return thi_sys_real.accept(fd, sa, len);
}

/* Time stands still, so a pause would never end. */
static int64_t still;

static int64_t stand_still(void)
{
    return still;
}

FIBER_TEST(an_error_of_one_connection_is_skipped)
{
    static thi_sys sys;
    const thi_sys *before = thi_sys_table;
    server s = { .fn = echo };
    char byte = 'e';
    sys = *before;
    sys.accept = accept_after_failures;
    sys.clock = stand_still;
    still = thi_sys_clock();
    thi_sys_table = &sys;
    start_server(&s);
    int fd = client_of(&s);
    ck_assert_int_eq(send(fd, &byte, 1, 0), 1);
    while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(accept_failures, 3);
    close(fd);
    cancel_server(&s);
    thi_sys_table = before;
}

/* ---- torture --------------------------------------------------------------------------------- */

static int call_and_end(void *arg)
{
    server *s = arg;
    char text[TH_ADDR_TEXT];
    char byte = 'x';
    th_stream *stream;
    int err = th_dial(th_addr_format(&s->listener->addr, text, sizeof text), NULL, &stream);
    if (err < 0)
        return err;
    ssize_t n = th_stream_write(stream, &byte, 1);
    if (n == 1)
        n = th_stream_read(stream, &byte, 1);
    th_stream_free(stream);
    return n == 1 ? -EINTR : (int)n; /* any failure ends the others of the scope */
}

static int serve_or_fail(void *arg)
{
    server *s = arg;
    return th_serve_on(&s->listener, 1, echo, NULL, NULL);
}

/* A fault to come once the runtime runs. */
typedef struct fault {
    int64_t allocation;
} fault;

/* One connection to a server, after which both end; -EINTR when all of it worked. */
static int one_connection(void *arg)
{
    fault *f = arg;
    server s = { .result = 0 };
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &s.listener), 0);
    ck_assert_int_eq(th_scope_open(&s.scope, &(th_scope_opts){ .cancel_rest = 1 }), 0);
    if (f->allocation)
        thi_alloc_fail_at(f->allocation);
    int err = th_spawn(&s.scope, serve_or_fail, &s);
    if (err == 0)
        err = th_spawn(&s.scope, call_and_end, &s);
    if (err < 0)
        (void)th_scope_cancel(&s.scope, err);
    int closed = th_scope_close(&s.scope);
    th_listener_close(s.listener);
    return err < 0 ? err : closed;
}

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int run_one(fault *f, unsigned workers, int engine)
{
    th_run_opts opts = { .workers = workers, .backend = engine_names[engine], .no_signals = 1 };
    return th_run(one_connection, f, &opts);
}

static void refuse_each_allocation(unsigned workers, int engine)
{
    fault none = { .allocation = 0 };
    ck_assert_int_eq(run_one(&none, workers, engine), -EINTR);
    int descriptors = count_descriptors();
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        fault f = { .allocation = n };
        int err = run_one(&f, workers, engine);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_msg(err == -EINTR || err == -ENOMEM || err == TH_EOF || err == -ECONNRESET,
                      "allocation %d: %s", (int)n, th_errname(err));
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_eq(count_descriptors(), descriptors);
        if (untouched)
            break;
        ck_assert_int_lt(n, 500);
    }
}

START_TEST(without_memory_nothing_leaks_or_hangs)
{
    refuse_each_allocation(1, _i);
}
END_TEST

START_TEST(without_memory_two_workers_neither_leak_nor_hang)
{
    refuse_each_allocation(2, _i);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "serving");
    add_on_engines(tcase, connections_are_served_until_the_server_is_cancelled);
    tcase_add_test(tcase, a_connection_that_fails_hurts_nobody_else);
    tcase_add_test(tcase, an_address_is_served_and_told);
    add_on_engines(tcase, several_listeners_are_served_at_once);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, there_is_no_serving_outside_of_fibers);
    tcase = thi_check_case(suite, "limit");
    add_on_engines(tcase, no_more_connections_are_open_than_the_limit_says);
    add_on_engines(tcase, a_full_server_can_be_stopped);
    tcase = thi_check_case(suite, "balance");
    add_on_engines(tcase, two_workers_share_connections_evenly);
    add_on_engines(tcase, four_workers_share_connections_evenly);
    tcase = thi_check_case(suite, "end");
    add_on_engines(tcase, a_stop_lets_connections_finish);
    add_on_engines(tcase, clients_that_come_after_a_stop_are_refused);
    add_on_engines(tcase, a_stop_of_an_idle_server_ends_it);
    add_on_engines(tcase, what_is_left_after_the_time_of_grace_is_cancelled);
    tcase = thi_check_case(suite, "kernel");
    add_on_engines(tcase, without_descriptors_accepting_pauses_and_goes_on_later);
    add_on_engines(tcase, an_error_of_one_connection_is_skipped);
    tcase = thi_check_case(suite, "torture");
    tcase_set_timeout(tcase, 10);
    add_on_engines(tcase, without_memory_nothing_leaks_or_hangs);
    add_on_engines(tcase, without_memory_two_workers_neither_leak_nor_hang);
}

int main(void)
{
    return thi_check_run("net/serve", fill_suite);
}
