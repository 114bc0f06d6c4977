/* SPDX-License-Identifier: MIT */

/* Accepting under hardship: limits, no descriptors, no memory, many connections, restarts. */
#include "serving.h"

#include "base/metrics.h"
#include "runtime/worker.h"
#include "sys/sys.h"

#include <thrum/dial.h>
#include <thrum/log.h>
#include <thrum/sim.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- what is told ---------------------------------------------------------------------------- */

static atomic_int suspended_lines;
static atomic_int resumed_lines;

static void hear(void *ctx, th_log_level level, th_str text)
{
    (void)ctx;
    if (memmem(text.ptr, text.len, "accepting is suspended", 22)) {
        ck_assert_int_eq(level, TH_LOG_WARNING);
        atomic_fetch_add(&suspended_lines, 1);
    }
    if (memmem(text.ptr, text.len, "accepting goes on", 17))
        atomic_fetch_add(&resumed_lines, 1);
}

static void listen_to_log(void)
{
    ck_assert_int_eq(th_log_set_sink(hear, NULL, TH_LOG_INFO), 0);
}

/* ---- the limit per peer ---------------------------------------------------------------------- */

static void is_turned_away(int fd)
{
    char state;
    if (fd < 0) /* already */
        return;
    wait_until((state = state_of(fd)) != 'o');
    ck_assert_int_eq(state, 'r'); /* which is told once */
    close(fd);
}

FIBER_TEST_ON(2, each_peer_has_so_many_connections_and_one_more_is_reset)
{
    int64_t refused = thi_metric_read(THI_M_CONNS_REFUSED_PEER);
    server s = { .fn = echo, .opts.max_per_peer = 3 };
    int fds[3];
    start_server(&s);
    for (int i = 0; i < 3; i++)
        echoes(fds[i] = client_from(&s, 5));
    for (int i = 0; i < 4; i++)
        is_turned_away(client_from(&s, 5));
    ck_assert_int_eq(thi_metric_read(THI_M_CONNS_REFUSED_PEER), refused + 4);
    int other = client_from(&s, 6);
    echoes(other);
    close(fds[0]);
    wait_until(atomic_load(&over_now) == 1);
    wait_until(thi_metric_read(THI_M_CONNS_OPEN) == 3);
    fds[0] = client_from(&s, 5);
    echoes(fds[0]);
    is_turned_away(client_from(&s, 5));
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close(other);
    cancel_server(&s);
}

FIBER_TEST(a_peer_may_be_a_network)
{
    server s = { .fn = echo, .opts = { .max_per_peer = 1, .peer_bits4 = 30 } };
    start_server(&s);
    int a = client_from(&s, 4);
    echoes(a);
    is_turned_away(client_from(&s, 7));
    int b = client_from(&s, 8);
    echoes(b);
    close(a);
    close(b);
    cancel_server(&s);
}

/* Whoever is turned away takes no place from others. */
FIBER_TEST(both_limits_hold_together)
{
    server s = { .fn = echo, .opts = { .max_per_peer = 1, .max_connections = 2 } };
    start_server(&s);
    int a = client_from(&s, 4);
    echoes(a);
    for (int i = 0; i < 5; i++)
        is_turned_away(client_from(&s, 4));
    int b = client_from(&s, 5);
    echoes(b);
    int waits = client_from(&s, 6);
    ck_assert_int_eq(th_sleep(5 * TH_MILLISECOND), 0);
    ck_assert_int_eq(atomic_load(&taken_now), 2);
    close(a);
    echoes(waits);
    close(b);
    close(waits);
    cancel_server(&s);
}

FIBER_TEST(clients_of_unix_sockets_are_not_counted)
{
    char address[80];
    (void)snprintf(address, sizeof address, "unix:@thrum-accept-%ld", (long)getpid());
    server s = { .fn = echo, .address = address, .opts.max_per_peer = 1 };
    int fds[5];
    start_server(&s);
    for (int i = 0; i < 5; i++)
        echoes(fds[i] = client_of(&s));
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    cancel_server(&s);
}

FIBER_TEST(a_peer_s_bits_are_checked)
{
    th_listener *l = NULL;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &l), 0);
    ck_assert_int_eq(th_serve_on(&l, 1, echo, NULL, &(th_serve_opts){ .peer_bits4 = 33 }), -EINVAL);
    ck_assert_int_eq(th_serve_on(&l, 1, echo, NULL, &(th_serve_opts){ .peer_bits6 = 129 }),
                     -EINVAL);
    th_listener_close(l);
}

/* ---- no descriptors, really ------------------------------------------------------------------ */

/* Allows so many descriptors beyond those that are open; the limit before. */
static rlim_t allow_more(rlim_t count)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    int free_one = dup(0);
    close(free_one);
    limit.rlim_cur = (rlim_t)free_one + count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void allow(rlim_t count)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

enum { CROWD = 40, ROOM = 7 };

/* Clients that have connected, of which only some can be accepted for want of descriptors. */
static rlim_t crowd(server *s, int fds[CROWD])
{
    thi_sockaddr sa;
    listen_to_log();
    start_server(s);
    socklen_t len = thi_addr_to_sockaddr(&s->listener->addr, &sa);
    int first = client_of(s); /* the workers are at it */
    echoes(first);
    for (int i = 0; i < CROWD; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    rlim_t before = allow_more(ROOM);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(connect(fds[i], &sa.sa, len), 0);
    wait_until(atomic_load(&serving_now) == 1 + ROOM && atomic_load(&suspended_lines) > 0);
    echoes(first); /* who is in is served as ever */
    close(first);
    return before;
}

static void serve_all(const int fds[CROWD])
{
    for (int i = 0; i < CROWD; i++)
        echoes(fds[i]);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    wait_until(atomic_load(&resumed_lines) > 0);
    ck_assert_int_eq(atomic_load(&suspended_lines), 1);
    ck_assert_int_eq(atomic_load(&resumed_lines), 1);
}

FIBER_TEST_ON(2, out_of_descriptors_accepting_waits_and_nobody_is_lost)
{
    int fds[CROWD];
    server s = { .fn = echo };
    rlim_t before = crowd(&s, fds);
    int64_t errors = thi_metric_read(THI_M_ACCEPT_ERRORS);
    int64_t turns = thi_metric_read(THI_M_LOOP_TURNS);
    ck_assert_int_eq(th_sleep(150 * TH_MILLISECOND), 0);
    ck_assert_int_le(thi_metric_read(THI_M_ACCEPT_ERRORS), errors + 8); /* it does not spin */
    ck_assert_int_le(thi_metric_read(THI_M_LOOP_TURNS), turns + 60);
    allow(before);
    serve_all(fds);
    int late = client_of(&s); /* and the listener still listens */
    echoes(late);
    close(late);
    cancel_server(&s);
}

/* Each end of a connection lets the next one in, without waiting for the pause to be over. */
FIBER_TEST(a_descriptor_that_becomes_free_is_used_at_once)
{
    int fds[CROWD];
    server s = { .fn = echo };
    rlim_t before = crowd(&s, fds);
    int64_t began = th_now();
    for (int i = 0; i < CROWD; i++) { /* in the order of the queue */
        echoes(fds[i]);
        ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
    }
    ck_assert_int_lt(th_now() - began, (CROWD - ROOM) * 80 * TH_MILLISECOND);
    allow(before);
    wait_until(atomic_load(&over_now) == CROWD + 1);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    cancel_server(&s);
}

FIBER_TEST_ON(2, a_server_without_descriptors_can_be_stopped)
{
    int fds[CROWD];
    server s = { .fn = echo };
    rlim_t before = crowd(&s, fds);
    cancel_server(&s);
    allow(before);
    for (int i = 0; i < CROWD; i++) {
        char state;
        wait_until((state = state_of(fds[i])) != 'o'); /* in the queue they are reset */
        close(fds[i]);
    }
}

/* ---- what else accept(2) may say ------------------------------------------------------------- */

static int lack;
static atomic_int lacks;

/* Fails some times like a kernel that lacks something, whoever may be waiting. */
static int accept_in_need(int fd, struct sockaddr *sa, socklen_t *len)
{
    return atomic_fetch_sub(&lacks, 1) > 0 ? -lack : thi_sys_real.accept(fd, sa, len);
}

static void suffer(int error)
{
    static thi_sys sys;
    const thi_sys *before = thi_sys_table;
    server s = { .fn = echo };
    sys = *before;
    sys.accept = accept_in_need;
    lack = error;
    atomic_store(&lacks, 2);
    atomic_store(&suspended_lines, 0);
    atomic_store(&resumed_lines, 0);
    listen_to_log();
    thi_sys_table = &sys;
    start_server(&s);
    int64_t began = th_now();
    int fd = client_of(&s);
    echoes(fd);
    ck_assert_int_ge(th_now() - began, 300 * TH_MILLISECOND); /* 0.1 and 0.2 s */
    ck_assert_int_eq(atomic_load(&suspended_lines), 1);
    ck_assert_int_eq(atomic_load(&resumed_lines), 1);
    close(fd);
    cancel_server(&s);
    thi_sys_table = before;
}

FIBER_TEST(a_lack_is_told_once_and_the_pauses_grow)
{
    suffer(ENFILE);
    suffer(ENOBUFS);
    suffer(ENOMEM);
}

/* A client that was reset while it waited is no error of the server's. */
FIBER_TEST(a_client_that_has_gone_already_hurts_nobody)
{
    struct linger at_once = { .l_onoff = 1 };
    int64_t errors = thi_metric_read(THI_M_ACCEPT_ERRORS);
    server s = { .fn = echo };
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &s.listener), 0);
    for (int i = 0; i < 20; i++) {
        int gone = client_of(&s);
        ck_assert_int_eq(setsockopt(gone, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
        close(gone);
    }
    int fd = client_of(&s);
    open_scope(&s.scope);
    spawn(&s.scope, run_server, &s);
    echoes(fd);
    wait_until(atomic_load(&serving_now) == 1);
    ck_assert_int_eq(thi_metric_read(THI_M_ACCEPT_ERRORS), errors);
    close(fd);
    cancel_server(&s);
}

/* ---- balance --------------------------------------------------------------------------------- */

static atomic_int on_worker[2];

static int stay(th_stream *stream, void *arg)
{
    char byte;
    (void)arg;
    atomic_fetch_add(&on_worker[thi_worker_self->index], 1);
    return (int)th_stream_read(stream, &byte, 1);
}

static void is_balanced(int count)
{
    int a = atomic_load(&on_worker[0]);
    int b = atomic_load(&on_worker[1]);
    ck_assert_int_eq(a + b, count);
    ck_assert_msg(thi_max(a, b) * 10 <= thi_min(a, b) * 11, "%d and %d", a, b);
}

/* A process that holds so many connections until its standard input ends. */
static pid_t hold_connections(const struct sockaddr_in *in, int count, const int end[2])
{
    char byte;
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    close(end[1]);
    for (int i = 0; i < count; i++) { /* from several addresses, not to depend on free ports */
        struct sockaddr_in own = { .sin_family = AF_INET,
                                   .sin_addr.s_addr =
                                       htonl(INADDR_LOOPBACK + 1 + (uint32_t)i % 16) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || thi_tune_apply(fd, "bind_late") < 0 ||
            bind(fd, (struct sockaddr *)&own, sizeof own) < 0 ||
            connect(fd, (const struct sockaddr *)in, sizeof *in) < 0)
            _exit(1);
    }
    _exit(read(end[0], &byte, 1) == 0 ? 0 : 2);
}

/* ThreadSanitizer knows no more than 8128 threads, and counts each fiber as one. */
#ifdef __SANITIZE_THREAD__
enum { LONG_ONES = 3000 };
#else
enum { LONG_ONES = 10000 };
#endif

static void balance(void)
{
    server s = { .fn = stay };
    thi_sockaddr sa;
    int end[2];
    int status = 0;
    start_server(&s);
    (void)thi_addr_to_sockaddr(&s.listener->addr, &sa);
    ck_assert_int_eq(pipe(end), 0);
    pid_t pid = hold_connections((struct sockaddr_in *)&sa, LONG_ONES, end);
    close(end[0]);
    wait_until(atomic_load(&on_worker[0]) + atomic_load(&on_worker[1]) == LONG_ONES);
    is_balanced(LONG_ONES);
    close(end[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    wait_until(thi_metric_read(THI_M_CONNS_OPEN) == 0);
    cancel_server(&s);
}

static bool may_open(rlim_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < count)
        return false;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static int balance_main(void *arg)
{
    (void)arg;
    balance();
    return 0;
}

START_TEST(ten_thousand_long_connections_are_shared_evenly)
{
    SKIP_UNLESS(may_open(LONG_ONES + 100), "so many descriptors are not allowed");
    run_in_fiber(2, _i, balance_main, NULL);
}
END_TEST

static int dial_and_stay(void *arg)
{
    char byte;
    th_stream *stream = NULL;
    ck_assert_int_eq(th_dial(arg, NULL, &stream), 0);
    (void)!th_stream_read(stream, &byte, 1);
    th_stream_free(stream);
    return 0;
}

static int balance_in_sim(void *arg)
{
    char text[TH_ADDR_TEXT];
    server s = { .fn = stay };
    th_scope clients;
    (void)arg;
    start_server(&s);
    (void)th_addr_format(&s.listener->addr, text, sizeof text);
    open_scope(&clients);
    for (int i = 1; i <= LONG_ONES; i++) {
        spawn_on(&clients, (unsigned)i % 2, dial_and_stay, text); /* they are a load as well */
        if (i % 100 == 0) /* more than a queue holds would be refused */
            wait_until(atomic_load(&on_worker[0]) + atomic_load(&on_worker[1]) == i);
    }
    is_balanced(LONG_ONES);
    ck_assert_int_eq(th_scope_cancel(&clients, 0), 0);
    (void)th_scope_close(&clients);
    cancel_server(&s);
    return 0;
}

START_TEST(in_a_simulation_they_are_as_well)
{
    th_sim_opts opts = { .seed = (uint64_t)_i + 1, .workers = 2 };
    int err = th_sim_run(balance_in_sim, NULL, &opts, NULL);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
}
END_TEST

/* ---- restarts -------------------------------------------------------------------------------- */

/* A process that connects again and again, and counts those who were refused or cut off. */
static pid_t keep_connecting(const struct sockaddr_in *in, const int end[2])
{
    int failed = 0;
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    close(end[1]);
    struct pollfd stop = { .fd = end[0], .events = POLLIN };
    while (poll(&stop, 1, 0) == 0 && failed < 100) {
        char byte = 'x';
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool good = connect(fd, (const struct sockaddr *)in, sizeof *in) == 0 &&
                    send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1;
        failed += !good;
        close(fd);
    }
    _exit(failed);
}

/* Answers one byte, cancelled or not: whoever was accepted is served. */
static int answer_once(th_stream *stream, void *arg)
{
    char byte;
    (void)arg;
    ssize_t n = th_stream_read(stream, &byte, 1);
    if (n == 1)
        n = th_stream_write(stream, &byte, 1);
    atomic_fetch_add(&taken_now, 1);
    return (int)n;
}

static int lasting; /* the listening socket, which somebody else holds as well: systemd, say */

/* Serves on all workers until so many more have been served, then stops in order. */
static int serve_for_a_while(void *arg)
{
    char text[20];
    server s = { .fn = answer_once, .address = text };
    int before = atomic_load(&taken_now);
    (void)snprintf(text, sizeof text, "fd:%d", dup(lasting));
    start_server(&s);
    wait_until(atomic_load(&taken_now) >= before + *(int *)arg);
    ck_assert_int_eq(th_stop(), 0);
    close_scope(&s.scope);
    ck_assert_int_eq(s.result, 0);
    th_listener_close(s.listener);
    return 0;
}

/*
 * The socket outlives the runtime: all worker threads, and their listeners, end and are started
 * anew. Some clients are in the kernel's queue then; none is refused, and none is cut off.
 */
START_TEST(no_connection_is_refused_while_workers_are_restarted)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int end[2];
    int status = 0;
    int count = 50;
    lasting = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(lasting, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(lasting, 100), 0);
    ck_assert_int_eq(getsockname(lasting, (struct sockaddr *)&in, &len), 0);
    ck_assert_int_eq(pipe(end), 0);
    pid_t pid = keep_connecting(&in, end);
    close(end[0]);
    for (unsigned i = 0; i < 20; i++)
        run_in_fiber(1 + i % 3, _i, serve_for_a_while, &count);
    close(end[1]);
    count = 0; /* the last client may wait for its answer, or have had it */
    while (waitpid(pid, &status, WNOHANG) == 0)
        run_in_fiber(1, _i, serve_for_a_while, &count);
    ck_assert_int_eq(status, 0);
    close(lasting);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "limits");
    add_on_engines(tcase, each_peer_has_so_many_connections_and_one_more_is_reset);
    tcase_add_test(tcase, a_peer_may_be_a_network);
    tcase_add_test(tcase, both_limits_hold_together);
    tcase_add_test(tcase, clients_of_unix_sockets_are_not_counted);
    tcase_add_test(tcase, a_peer_s_bits_are_checked);
    tcase = thi_check_case(suite, "lacks");
    tcase_set_timeout(tcase, 60);
    add_on_engines(tcase, out_of_descriptors_accepting_waits_and_nobody_is_lost);
    add_on_engines(tcase, a_descriptor_that_becomes_free_is_used_at_once);
    add_on_engines(tcase, a_server_without_descriptors_can_be_stopped);
    add_on_engines(tcase, a_lack_is_told_once_and_the_pauses_grow);
    tcase_add_test(tcase, a_client_that_has_gone_already_hurts_nobody);
    tcase = thi_check_case(suite, "balance");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, ten_thousand_long_connections_are_shared_evenly);
    tcase_add_loop_test(tcase, in_a_simulation_they_are_as_well, 0, 3);
    tcase = thi_check_case(suite, "restarts");
    tcase_set_timeout(tcase, 60);
    add_on_engines(tcase, no_connection_is_refused_while_workers_are_restarted);
}

int main(void)
{
    return thi_check_run("net/accept", fill);
}
