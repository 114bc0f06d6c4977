/* SPDX-License-Identifier: MIT */

/* Dialling and serving while each system call of them fails in turn. */
#include "torture.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/proxied.h>
#include <thrum/serve.h>

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CLIENTS 3

static const char ping[] = "There and back again.";

/* Sends the ping and reads it back. */
static int exchange(th_stream *stream)
{
    char pong[sizeof ping] = "";
    ssize_t n = th_stream_write(stream, ping, sizeof ping);
    if (n > 0)
        n = th_stream_read_all(stream, pong, sizeof pong);
    if (n < 0)
        return (int)n;
    ck_assert_str_eq(pong, ping);
    return 0;
}

/* ---- dialling ---------------------------------------------------------------------------------
 */

static pid_t peer;
static char peer_address[TH_ADDR_TEXT];

/* Echoes to one client after the other, with none of our code. */
static void be_peer(int listener)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        char buf[256];
        ssize_t n;
        int fd = accept(listener, NULL, NULL);
        while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
            if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) < 0)
                break;
        close(fd);
    }
}

/* A process of its own, so that its descriptors are not counted. */
static void start_peer(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(listener, 16), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    snprintf(peer_address, sizeof peer_address, "127.0.0.1:%u", ntohs(in.sin_port));
    peer = fork();
    ck_assert_int_ge(peer, 0);
    if (peer == 0)
        be_peer(listener);
    close(listener);
}

static void stop_peer(void)
{
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
}

static int call_peer(void *arg)
{
    th_stream *stream = NULL;
    char byte;
    (void)arg;
    int err = th_dial(peer_address, NULL, &stream);
    if (err < 0) {
        ck_assert_ptr_null(stream);
        ck_assert_ptr_nonnull(strstr(th_err_detail(), peer_address));
        return err;
    }
    err = exchange(stream);
    if (err == 0)
        err = th_stream_shutdown(stream);
    if (err == 0)
        err = (int)th_stream_read(stream, &byte, 1);
    ck_assert_int_ne(err, 1);
    ck_assert_int_eq(th_stream_close(stream), 0);
    th_stream_free(stream);
    return err == TH_EOF ? 0 : err;
}

static int dialling(void *arg)
{
    run *r = arg;
    int result = torment_body(r, call_peer, NULL);
    ck_assert_msg(is_as_ordered(r, result), "%s%s: %s", torture_now, hit_of(r), th_errname(result));
    return 0;
}

START_TEST(a_call_fails_as_its_system_calls_do)
{
    torture(1, _i, dialling);
}
END_TEST

START_TEST(a_call_beside_another_worker_fails_so_as_well)
{
    torture(2, _i, dialling);
}
END_TEST

/* ---- serving ----------------------------------------------------------------------------------
 */

/* One server and its clients, in one runtime. */
typedef struct service {
    th_listener *listener;
    char address[TH_ADDR_TEXT];
    th_serve_opts opts;
    th_listen_opts how;
    int clients; /* besides the one that stops the server */
    int served;  /* results */
    int called;
    int others[CLIENTS];
    int next; /* of the others */
} service;

static int echo(th_stream *stream, void *arg)
{
    char buf[64];
    ssize_t n;
    (void)arg;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

/* Whoever waits in the queue of a server that has failed is told by the end of the listener. */
static int serve(void *arg)
{
    service *s = arg;
    s->served = th_serve_on(&s->listener, 1, echo, NULL, &s->opts);
    th_listener_close(s->listener);
    return 0;
}

/* Dials, and says first who calls where the server wants to know. */
static int call_server(const service *s, th_stream **stream)
{
    int err = th_dial(s->address, NULL, stream);
    if (err == 0 && s->how.proxy_protocol)
        err = th_proxied_send(&(th_proxied){ .version = 2 }, *stream);
    return err;
}

static int call_once(void *arg)
{
    service *s = arg;
    int *result = &s->others[s->next++];
    th_stream *stream = NULL;
    *result = call_server(s, &stream);
    if (*result == 0)
        *result = exchange(stream);
    th_stream_free(stream);
    return 0;
}

/* The other clients together, more of them than the server takes at once. */
static int call_together(service *s)
{
    th_scope scope;
    int err = 0;
    open_scope(&scope);
    for (int i = 0; i < s->clients && err == 0; i++)
        err = th_spawn(&scope, call_once, s);
    close_scope(&scope);
    return err;
}

/* Two exchanges, the second while the server drains. */
static int call_and_stop(service *s)
{
    th_stream *stream = NULL;
    int err = call_together(s);
    if (err == 0)
        err = call_server(s, &stream);
    if (err == 0)
        err = exchange(stream);
    ck_assert_int_eq(th_stop(), 0);
    if (err == 0)
        err = exchange(stream);
    th_stream_free(stream);
    return err;
}

static int serve_and_call(void *arg)
{
    service *s = arg;
    th_scope scope;
    th_addr addr;
    int err = th_listen("127.0.0.1:0", &s->how, &s->listener);
    if (err < 0)
        return err;
    th_listener_addr(s->listener, &addr);
    th_addr_format(&addr, s->address, sizeof s->address);
    open_scope(&scope);
    err = th_spawn(&scope, serve, s);
    if (err == 0)
        s->called = call_and_stop(s);
    else
        th_listener_close(s->listener);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    return err;
}

/* What a client may get: where the server could not start, nobody listens. */
static bool is_good(const run *r, const service *s, int result)
{
    return is_as_peer_ordered(r, result) || (s->served < 0 && result == -ECONNREFUSED) ||
           (r->hit && result == -ENOMEM);
}

static int serve_under_torment(run *r, service s)
{
    int result = torment_body(r, serve_and_call, &s);
    ck_assert_msg(is_as_ordered(r, result) || (r->hit && result == -ENOMEM), "%s%s: start: %s",
                  torture_now, hit_of(r), th_errname(result));
    ck_assert_msg(is_as_ordered(r, s.served) || (r->hit && s.served == -ENOMEM), "%s%s: server: %s",
                  torture_now, hit_of(r), th_errname(s.served));
    ck_assert_msg(is_good(r, &s, s.called), "%s%s: client: %s", torture_now, hit_of(r),
                  th_errname(s.called));
    for (int i = 0; i < s.next; i++)
        ck_assert_msg(is_good(r, &s, s.others[i]), "%s%s: client %d: %s", torture_now, hit_of(r), i,
                      th_errname(s.others[i]));
    return 0;
}

static int serving(void *arg)
{
    return serve_under_torment(arg, (service){ .clients = 0 });
}

static int serving_many(void *arg)
{
    return serve_under_torment(arg,
                               (service){ .clients = CLIENTS, .opts = { .max_connections = 2 } });
}

/* Everything that accepting can do besides. */
static int serving_strictly(void *arg)
{
    return serve_under_torment(arg, (service){ .clients = 1,
                                               .opts = { .max_per_peer = 9 },
                                               .how = { .proxy_protocol = TH_PROXY_REQUIRED,
                                                        .tune = "quickack,priority=3,latency" } });
}

START_TEST(a_server_behind_proxies_lives_through_it)
{
    torture(1, _i, serving_strictly);
}
END_TEST

START_TEST(a_server_of_two_workers_behind_proxies_lives_through_it)
{
    torture(2, _i, serving_strictly);
}
END_TEST

START_TEST(a_server_lives_through_what_its_system_calls_do)
{
    torture(1, _i, serving);
}
END_TEST

START_TEST(a_server_of_two_workers_lives_through_it_as_well)
{
    torture(2, _i, serving);
}
END_TEST

START_TEST(a_server_that_is_full_lives_through_it)
{
    torture(1, _i, serving_many);
}
END_TEST

START_TEST(a_server_of_two_workers_that_is_full_lives_through_it)
{
    torture(2, _i, serving_many);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "dialling");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, start_peer, stop_peer);
    add_on_engines(tcase, a_call_fails_as_its_system_calls_do);
    add_on_engines(tcase, a_call_beside_another_worker_fails_so_as_well);
    tcase = thi_check_case(suite, "serving");
    tcase_set_timeout(tcase, 60);
    add_on_engines(tcase, a_server_lives_through_what_its_system_calls_do);
    add_on_engines(tcase, a_server_of_two_workers_lives_through_it_as_well);
    add_on_engines(tcase, a_server_behind_proxies_lives_through_it);
    add_on_engines(tcase, a_server_of_two_workers_behind_proxies_lives_through_it);
    tcase_add_test(tcase, a_server_that_is_full_lives_through_it);
    add_on_engines(tcase, a_server_of_two_workers_that_is_full_lives_through_it);
}

int main(void)
{
    return thi_check_run("net/torture", fill_suite);
}
