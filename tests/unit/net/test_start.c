/* SPDX-License-Identifier: MIT */

/* The start of a server: who is there before all workers are is shared out all the same. */
#include "runtime/in_fiber.h"

#include "net/listener.h"
#include "runtime/worker.h"
#include "sys/sys.h"

#include <thrum/http.h>
#include <thrum/pool.h>
#include <thrum/serve.h>

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 200

/* Lets the loop turn until the condition holds; the test's time limit is the patience. */
#define wait_until(cond)                                                                           \
    while (!(cond))                                                                                \
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0)

static atomic_int on_worker[2];

static int count_and_stay(th_stream *stream, void *arg)
{
    char byte;
    (void)arg;
    atomic_fetch_add(&on_worker[thi_worker_self->index], 1);
    return (int)th_stream_read(stream, &byte, 1);
}

static int count_and_answer(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    atomic_fetch_add(&on_worker[thi_worker_self->index], 1);
    return th_http_reply_text(reply, 200, "there");
}

/* ---- a server and a burst of clients ----------------------------------------------------------
 */

static th_listener *listener;
static int served;

static int serve(void *arg)
{
    (void)arg;
    served = th_serve_on(&listener, 1, count_and_stay, NULL, NULL);
    return 0;
}

static int serve_http(void *arg)
{
    (void)arg;
    served = th_http_serve_on(&listener, 1, count_and_answer, NULL, NULL);
    return 0;
}

static int client(void)
{
    th_addr addr;
    th_listener_addr(listener, &addr);
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(addr.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    return fd;
}

static int sum(void)
{
    return atomic_load(&on_worker[0]) + atomic_load(&on_worker[1]);
}

typedef struct crowd {
    bool ask; /* a request each */
    int fds[CLIENTS];
} crowd;

/* On a thread of a pool: a worker that is busy with it would be held up, and get nothing. */
static int connect_all(void *arg)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    crowd *clients = arg;
    for (int i = 0; i < CLIENTS; i++) {
        clients->fds[i] = client();
        if (clients->ask)
            ck_assert_int_eq(send(clients->fds[i], request, sizeof request - 1, 0),
                             sizeof request - 1);
    }
    return 0;
}

static void is_shared_out(void)
{
    int a = atomic_load(&on_worker[0]);
    int b = atomic_load(&on_worker[1]);
    ck_assert_msg(2 * thi_max(a, b) <= 3 * thi_min(a, b), "%d and %d", a, b);
}

/* A burst that is there before the server, or comes right after its start. */
static void burst_at_start(th_fiber_fn server, bool before)
{
    crowd clients = { .ask = server == serve_http };
    th_scope scope;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &listener), 0);
    open_scope(&scope);
    if (before)
        (void)connect_all(&clients);
    spawn(&scope, server, NULL);
    th_yield();
    if (!before)
        ck_assert_int_eq(th_offload(NULL, connect_all, &clients), 0);
    wait_until(sum() == CLIENTS);
    is_shared_out();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    th_scope_close(&scope);
    ck_assert_int_eq(served, -ECANCELED);
    for (int i = 0; i < CLIENTS; i++)
        close(clients.fds[i]);
    th_listener_close(listener);
    atomic_store(&on_worker[0], 0);
    atomic_store(&on_worker[1], 0);
}

FIBER_TEST_ON(2, a_burst_before_the_start_is_shared_out)
{
    burst_at_start(serve, true);
    burst_at_start(serve_http, true);
}

FIBER_TEST_ON(2, a_burst_right_after_the_start_is_shared_out)
{
    burst_at_start(serve, false);
    burst_at_start(serve_http, false);
}

/* ---- a worker that is late --------------------------------------------------------------------
 */

static atomic_bool busy;
static atomic_bool let_go;

/* Keeps its worker from everything else until it is told to let go, or for a while. */
static int keep_busy(void *arg)
{
    int64_t until = th_after(arg ? *(int64_t *)arg : TH_HOUR);
    atomic_store(&busy, true);
    while (!atomic_load(&let_go) && th_now() < until)
        usleep(100);
    return 0;
}

static void start_hog(th_scope *scope, unsigned worker, int64_t *span)
{
    atomic_store(&busy, false);
    atomic_store(&let_go, false);
    spawn_on(scope, worker, keep_busy, span);
    while (worker != 0 && !atomic_load(&busy))
        usleep(100);
}

FIBER_TEST_ON(2, a_burst_waits_for_a_worker_that_is_late)
{
    th_scope scope;
    int64_t span = 30 * TH_MILLISECOND;
    for (int i = 0; i < 2; i++) {
        open_scope(&scope);
        start_hog(&scope, 1, &span);
        burst_at_start(i == 0 ? serve : serve_http, true);
        close_scope(&scope);
    }
}

FIBER_TEST_ON(2, a_worker_that_does_not_come_does_not_hold_up_the_others)
{
    th_scope hogs;
    th_scope scope;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &listener), 0);
    open_scope(&hogs);
    start_hog(&hogs, 1, NULL);
    open_scope(&scope);
    spawn(&scope, serve, NULL);
    int fd = client();
    wait_until(sum() == 1);
    ck_assert_int_eq(atomic_load(&on_worker[0]), 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    atomic_store(&let_go, true);
    th_scope_close(&scope);
    close_scope(&hogs);
    close(fd);
    th_listener_close(listener);
}

/* ---- an end before the start ------------------------------------------------------------------
 */

/* The server is stopped or cancelled while a part of it has yet to begin. */
static void end_before_start(bool stop)
{
    th_scope hogs;
    th_scope scope;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &listener), 0);
    open_scope(&hogs);
    start_hog(&hogs, 1, NULL);
    open_scope(&scope);
    spawn(&scope, serve, NULL);
    ck_assert_int_eq(th_sleep(2 * TH_MILLISECOND), 0);
    int fd = client();
    if (stop)
        ck_assert_int_eq(th_stop(), 0);
    else
        ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_sleep(2 * TH_MILLISECOND);
    atomic_store(&let_go, true);
    th_scope_close(&scope);
    ck_assert_int_eq(served, stop ? 0 : -ECANCELED);
    ck_assert_int_eq(sum(), 0);
    close_scope(&hogs);
    close(fd);
    th_listener_close(listener);
}

FIBER_TEST_ON(2, a_server_can_be_stopped_before_all_parts_have_begun)
{
    end_before_start(true);
}

FIBER_TEST_ON(2, a_server_can_be_cancelled_before_all_parts_have_begun)
{
    end_before_start(false);
}

/* ---- a start that fails -----------------------------------------------------------------------
 */

static int refuse_to_watch(int ep, int op, int fd, struct epoll_event *ev)
{
    if (op == EPOLL_CTL_ADD && fd == listener->fd)
        return -ENOSPC;
    return thi_sys_real.epoll_ctl(ep, op, fd, ev);
}

FIBER_TEST_ON(2, a_part_that_cannot_listen_is_a_start_that_failed)
{
    static thi_sys sys;
    const thi_sys *before = thi_sys_table;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &listener), 0);
    sys = *before;
    sys.epoll_ctl = refuse_to_watch;
    thi_sys_table = &sys; /* of worker 0 */
    (void)serve(NULL);
    thi_sys_table = before;
    ck_assert_msg(served == -ENOSPC, "%s", th_errname(served));
    th_listener_close(listener);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "burst");
    add_on_engines(tcase, a_burst_before_the_start_is_shared_out);
    add_on_engines(tcase, a_burst_right_after_the_start_is_shared_out);
    add_on_engines(tcase, a_burst_waits_for_a_worker_that_is_late);
    tcase = thi_check_case(suite, "late");
    tcase_add_test(tcase, a_worker_that_does_not_come_does_not_hold_up_the_others);
    add_on_engines(tcase, a_server_can_be_stopped_before_all_parts_have_begun);
    add_on_engines(tcase, a_server_can_be_cancelled_before_all_parts_have_begun);
    tcase = thi_check_case(suite, "failure");
    tcase_add_test(tcase, a_part_that_cannot_listen_is_a_start_that_failed);
}

int main(void)
{
    return thi_check_run("net/start", fill_suite);
}
