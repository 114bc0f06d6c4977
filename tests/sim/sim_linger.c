/* SPDX-License-Identifier: MIT */

/*
 * Clients that send a body which their answer does not need: how long the server reads on.
 *
 * Who goes on sending gets the answer, however slow the line; who pauses for long, or never ends,
 * is cut.
 */
#include "sim_seeds.h"

#include <thrum/dial.h>
#include <thrum/http.h>
#include <thrum/runtime.h>
#include <thrum/stream.h>

#include <errno.h>

#define PIECE 100

static th_listener *listener;
static th_http_router *router;
static char dial_at[TH_ADDR_TEXT];

/* Answers without a look at the body. */
static int on_ignored(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    return th_http_reply_text(reply, 202, "ignored");
}

static int run_server(void *arg)
{
    (void)arg;
    int result = th_http_serve_on(&listener, 1, th_http_router_handle, router, NULL);
    expect_value(result == 0 || result == -ECANCELED, result);
    return 0;
}

/* Dials and sends the head of a request with a body of so many pieces. */
static th_stream *begin_request(int pieces)
{
    char head[128];
    th_stream *stream = NULL;
    expect(th_dial(dial_at, NULL, &stream) == 0);
    int n = snprintf(head, sizeof head,
                     "POST /ignored HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n"
                     "Content-Length: %d\r\n\r\n",
                     pieces * PIECE);
    expect(th_stream_write(stream, head, (size_t)n) == n);
    return stream;
}

/* Sends pieces, each after a pause; gives how many went out before it failed. */
static int send_slowly(th_stream *stream, int pieces, int64_t pause)
{
    static const char piece[PIECE];
    for (int i = 0; i < pieces; i++) {
        th_sleep(pause);
        if (th_stream_write(stream, piece, sizeof piece) < 0)
            return i;
    }
    return pieces;
}

/* Reads while others send, for the answer may be larger than what the wire holds. */
static int read_answer(void *arg)
{
    th_stream *stream = arg;
    char text[512];
    size_t len = 0;
    ssize_t n;
    while ((n = th_stream_read(stream, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    expect_value(n == TH_EOF, n);
    expect(strncmp(text, "HTTP/1.1 202 ", 13) == 0);
    expect(len > 7 && strcmp(text + len - 7, "ignored") == 0);
    return 0;
}

/* A client gets its answer, and does what `send` does meanwhile. */
static int ask(int pieces, void (*send)(th_stream *stream))
{
    th_scope scope;
    th_stream *stream = begin_request(pieces);
    expect(th_scope_open(&scope, NULL) == 0);
    expect(th_spawn(&scope, read_answer, stream) == 0);
    send(stream);
    expect(th_scope_close(&scope) == 0);
    th_stream_free(stream);
    return 0;
}

static void send_all(th_stream *stream)
{
    int sent = send_slowly(stream, 20, TH_SECOND);
    expect_value(sent == 20, sent);
}

/* The first piece after the pause is answered with a reset, which a later one finds. */
static void send_and_pause(th_stream *stream)
{
    expect(send_slowly(stream, 2, TH_SECOND) == 2);
    th_sleep(4 * TH_SECOND);
    int sent = send_slowly(stream, 18, TH_SECOND);
    expect_value(sent < 3, sent);
}

/* The wire is of any speed, so how many pieces it took says nothing. */
static void send_for_ever(th_stream *stream)
{
    int64_t began = th_now();
    expect(send_slowly(stream, 1000, TH_SECOND) < 1000);
    int64_t time = th_now() - began;
    expect_value(time >= 30 * TH_SECOND && time < 34 * TH_SECOND, time);
}

static int be_slow(void *arg)
{
    (void)arg;
    return ask(20, send_all);
}

static int fall_silent(void *arg)
{
    (void)arg;
    return ask(20, send_and_pause);
}

static int never_end(void *arg)
{
    (void)arg;
    return ask(1000, send_for_ever);
}

static int play(void *arg)
{
    static const th_fiber_fn clients[] = { be_slow, fall_silent, never_end };
    th_addr addr;
    th_scope serving, asking;
    (void)arg;
    expect(th_http_router_new(&router) == 0);
    expect(th_http_router_add(router, "POST", "/ignored", on_ignored, NULL) == 0);
    expect(th_listen("127.0.0.1:0", NULL, &listener) == 0);
    th_listener_addr(listener, &addr);
    th_addr_format(&addr, dial_at, sizeof dial_at);
    expect(th_scope_open(&serving, NULL) == 0);
    expect(th_spawn(&serving, run_server, NULL) == 0);
    expect(th_scope_open(&asking, NULL) == 0);
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++)
        expect(th_spawn(&asking, clients[i], NULL) == 0);
    expect(th_scope_close(&asking) == 0);
    expect(th_stop() == 0);
    th_scope_close(&serving);
    th_listener_close(listener);
    th_http_router_free(router);
    return 0;
}

static void configure(th_sim_opts *opts)
{
    opts->workers = 1 + (unsigned)(opts->seed % 2);
}

START_TEST(the_server_reads_on_as_long_as_something_comes)
{
    sim_seeds(play, NULL, configure);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "linger");
    tcase_add_test(tcase, the_server_reads_on_as_long_as_something_comes);
}

int main(void)
{
    return thi_check_run("sim/linger", fill_suite);
}
