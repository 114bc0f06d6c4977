/* SPDX-License-Identifier: MIT */

/* Answers that leave together: many in one turn, and more than the kernel takes. */
#include "runtime/in_fiber.h"

#include "base/metrics.h"

#include <thrum/http.h>

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS     300 /* more than the outbox has entries */
#define BODY_SIZE 3000
#define TURNS_MAX 10000

static th_listener *listener;
static th_scope scope;

/* Answers with the path, and so many bytes behind it that the body has `BODY_SIZE`. */
static int answer(th_http_request *q, th_http_reply *r, void *arg)
{
    static char body[BODY_SIZE];
    bool large = *(const bool *)arg;
    th_str path = th_http_request_path(q);
    memset(body, '.', sizeof body);
    memcpy(body, path.ptr, path.len);
    return th_http_reply_bytes(r, 200, "text/plain", body, large ? sizeof body : path.len);
}

static int run_server(void *arg)
{
    int err = th_http_serve_on(&listener, 1, answer, arg, NULL);
    return err == -ECANCELED ? 0 : err;
}

static void start_server(bool *large)
{
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &listener), 0);
    open_scope(&scope);
    spawn(&scope, run_server, large);
}

static void end_server(void)
{
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    th_listener_close(listener);
}

static int connect_to_server(void)
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

static void ask(int fd, int number)
{
    char text[64];
    int len = snprintf(text, sizeof text, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", number);
    ck_assert_int_eq(send(fd, text, (size_t)len, 0), len);
}

static void wait_for_idle(int64_t count)
{
    while (thi_metric_read(THI_M_HTTP_CONNS_IDLE) != count)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
}

/* Reads one byte string of `size` bytes, while the server runs. */
static void take(int fd, char *buf, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = recv(fd, buf + got, size - got, MSG_DONTWAIT);
        if (n > 0)
            got += (size_t)n;
        else
            ck_assert_msg(n < 0 && errno == EAGAIN, "the server has closed");
        if (n < 0)
            ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    }
}

/* Reads an answer; its body must begin with the number asked for. */
static void expect_answer(int fd, int number)
{
    char head[512] = "";
    char body[BODY_SIZE + 1];
    char expected[16];
    size_t len = 0;
    size_t size = 0;
    while (!strstr(head, "\r\n\r\n")) {
        ck_assert_uint_lt(len, sizeof head - 1);
        take(fd, head + len++, 1);
    }
    ck_assert_ptr_eq(strstr(head, "HTTP/1.1 200 OK\r\n"), head);
    ck_assert_int_eq(sscanf(strstr(head, "Content-Length: "), "Content-Length: %zu", &size), 1);
    ck_assert_uint_lt(size, sizeof body);
    take(fd, body, size);
    body[size] = '\0';
    int n = snprintf(expected, sizeof expected, "/%d", number);
    ck_assert_int_eq(strncmp(body, expected, (size_t)n), 0);
    ck_assert(body[n] == '\0' || body[n] == '.');
}

FIBER_TEST(all_answers_of_a_turn_arrive)
{
    static int fds[CONNS];
    bool large = false;
    start_server(&large);
    for (int i = 0; i < CONNS; i++)
        fds[i] = connect_to_server();
    wait_for_idle(CONNS);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CONNS; i++)
            ask(fds[i], round * CONNS + i);
        for (int i = 0; i < CONNS; i++)
            expect_answer(fds[i], round * CONNS + i);
    }
    ck_assert_int_eq(thi_metric_read(THI_M_HTTP_REQUESTS_2XX), 3 * CONNS);
    for (int i = 0; i < CONNS; i++)
        close(fds[i]);
    end_server();
}

/* The client asks and does not read, until a connection that has answered does not become idle. */
FIBER_TEST(what_the_kernel_does_not_take_follows_later)
{
    bool large = true;
    start_server(&large);
    int fd = connect_to_server();
    int asked = 0;
    wait_for_idle(1);
    do {
        ck_assert_int_lt(asked, TURNS_MAX);
        ask(fd, asked++);
        while (thi_metric_read(THI_M_HTTP_REQUESTS_2XX) < asked)
            ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    } while (thi_metric_read(THI_M_HTTP_CONNS_IDLE) == 1);
    for (int i = 0; i < asked; i++)
        expect_answer(fd, i);
    wait_for_idle(1); /* and it goes on as ever */
    ask(fd, asked);
    expect_answer(fd, asked);
    close(fd);
    end_server();
}

/* The same, but the client goes. */
FIBER_TEST(what_nobody_takes_ends_with_its_connection)
{
    bool large = true;
    start_server(&large);
    int fd = connect_to_server();
    int asked = 0;
    wait_for_idle(1);
    do {
        ask(fd, asked++);
        while (thi_metric_read(THI_M_HTTP_REQUESTS_2XX) < asked)
            ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    } while (thi_metric_read(THI_M_HTTP_CONNS_IDLE) == 1);
    close(fd);
    while (thi_metric_read(THI_M_CONNS_OPEN) > 0)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    end_server();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "outbox");
    add_on_engines(tcase, all_answers_of_a_turn_arrive);
    add_on_engines(tcase, what_the_kernel_does_not_take_follows_later);
    add_on_engines(tcase, what_nobody_takes_ends_with_its_connection);
}

int main(void)
{
    return thi_check_run("http/outbox", fill);
}
