/* SPDX-License-Identifier: MIT */

/*
 * An HTTP server against a model of it.
 *
 * Clients send several random requests over one connection, pipelined, in random pieces; the model
 * knows the answer to each. Every answer that arrives must be right and in order. Missing ones, and
 * a connection that is cut, are excused only while there are faults.
 */
#include "sim_play.h"

#include <thrum/dial.h>
#include <thrum/http.h>
#include <thrum/runtime.h>
#include <thrum/stream.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define PATIENCE     (60 * TH_SECOND)
#define CLIENTS      4
#define REQUESTS_MAX 6
#define BODY_MAX     900
#define WIRE_MAX     (REQUESTS_MAX * (4 * BODY_MAX + 200))
#define FILE_SIZE    700

static sim_play stage;
static th_listener *listener;
static th_http_router *router;
static char dial_at[TH_ADDR_TEXT];
static int file = -1;

static char pattern(size_t i)
{
    return (char)('a' + i * 7 % 26);
}

/* ---- the server ---- */

static int on_text(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)arg;
    th_str n = th_http_request_param(request, "n");
    char text[64];
    snprintf(text, sizeof text, "number %.*s", (int)n.len, n.ptr);
    th_sleep((int64_t)th_sim_random(2 * TH_MILLISECOND));
    return th_http_reply_text(reply, 200, text);
}

static int on_echo(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)arg;
    th_str body;
    int err = th_http_request_read_all(request, BODY_MAX, &body);
    return err < 0 ? err : th_http_reply_bytes(reply, 200, "text/plain", body.ptr, body.len);
}

/* Sends back what it reads while it reads. */
static int on_stream(th_http_request *request, th_http_reply *reply, void *arg)
{
    char buf[100];
    ssize_t n;
    (void)arg;
    int err = th_http_reply_begin(reply, 200, -1);
    while (err == 0 && (n = th_http_request_read(request, buf, 1 + th_sim_random(99))) != TH_EOF)
        err = n < 0 ? (int)n : th_http_reply_write(reply, buf, (size_t)n);
    return err;
}

static int on_file(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    return th_http_reply_file(reply, 200, file, 0, FILE_SIZE);
}

/* Does not read the body: the server has to step over it. */
static int on_ignored(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    return th_http_reply_text(reply, 202, "ignored");
}

static int make_router(void)
{
    static const struct {
        const char *method, *pattern;
        th_http_handler handler;
    } routes[] = { { "GET", "/text/:n", on_text },
                   { "POST", "/echo", on_echo },
                   { "POST", "/stream", on_stream },
                   { "GET", "/file", on_file },
                   { "POST", "/ignored", on_ignored } };
    router = NULL;
    int err = th_http_router_new(&router);
    for (size_t i = 0; err == 0 && i < sizeof routes / sizeof routes[0]; i++)
        err = th_http_router_add(router, routes[i].method, routes[i].pattern, routes[i].handler,
                                 NULL);
    if (err < 0) {
        th_http_router_free(router);
        router = NULL;
    }
    return err;
}

static int run_server(void *arg)
{
    th_http_opts opts = { .min_rate = 1, .max_connections = th_sim_random(2) ? 3 : 0 };
    (void)arg;
    for (;;) {
        bool excused = faults_are_on(&stage);
        int result = th_http_serve_on(&listener, 1, th_http_router_handle, router, &opts);
        if (result == 0 || result == -ECANCELED)
            return 0;
        expect_value(excused, result);
        th_sleep(100 * TH_MILLISECOND);
    }
}

/* ---- the model ---- */

/* What a connection sends, and what must come back. */
typedef struct dialogue {
    th_stream *stream;
    bool excused; /* it began while there were faults: it may fail */
    char wire[WIRE_MAX];
    size_t size;
    unsigned count;
    struct answer {
        int status;
        bool head; /* it is an answer to HEAD */
        size_t body_size;
        char body[BODY_MAX];
    } answers[REQUESTS_MAX];
} dialogue;

static void put(dialogue *d, const char *data, size_t size)
{
    memcpy(d->wire + d->size, data, size);
    d->size += size;
}

static void put_text(dialogue *d, const char *text)
{
    put(d, text, strlen(text));
}

/* A body, by its length or in random chunks. */
static void put_body(dialogue *d, const char *body, size_t size)
{
    char line[64];
    if (th_sim_random(2)) {
        snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", size);
        put_text(d, line);
        put(d, body, size);
        return;
    }
    put_text(d, "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < size;) {
        size_t part = 1 + (size_t)th_sim_random(size - at);
        snprintf(line, sizeof line, "%zx\r\n", part);
        put_text(d, line);
        put(d, body + at, part);
        put_text(d, "\r\n");
        at += part;
    }
    put_text(d, "0\r\n\r\n");
}

static void answer_text(struct answer *a, int status, const char *text)
{
    a->status = status;
    a->body_size = strlen(text);
    memcpy(a->body, text, a->body_size);
}

static void add_get(dialogue *d, struct answer *a, const char *fields)
{
    char line[128];
    char text[64];
    unsigned n = (unsigned)th_sim_random(1000);
    const char *method = th_sim_random(4) ? "GET" : "HEAD";
    a->head = method[0] == 'H';
    snprintf(line, sizeof line, "%s /text/%u HTTP/1.1\r\nHost: sim\r\n%s\r\n", method, n, fields);
    put_text(d, line);
    snprintf(text, sizeof text, "number %u", n);
    answer_text(a, 200, text);
}

static void add_post(dialogue *d, struct answer *a, const char *path, const char *fields)
{
    char line[128];
    snprintf(line, sizeof line, "POST %s HTTP/1.1\r\nHost: sim\r\n%s", path, fields);
    put_text(d, line);
    a->status = 200;
    a->body_size = (size_t)th_sim_random(BODY_MAX);
    for (size_t i = 0; i < a->body_size; i++)
        a->body[i] = pattern(i + a->body_size);
    put_body(d, a->body, a->body_size);
}

static void add_file(dialogue *d, struct answer *a, const char *fields)
{
    char line[128];
    snprintf(line, sizeof line, "GET /file HTTP/1.1\r\nHost: sim\r\n%s\r\n", fields);
    put_text(d, line);
    a->status = 200;
    a->body_size = FILE_SIZE;
    for (size_t i = 0; i < FILE_SIZE; i++)
        a->body[i] = pattern(i);
}

static void add_request(dialogue *d, bool last)
{
    struct answer *a = &d->answers[d->count++];
    const char *fields = last ? "Connection: close\r\n" : "";
    switch (th_sim_random(5)) {
    case 0:
        add_post(d, a, "/echo", fields);
        break;
    case 1:
        add_post(d, a, "/stream", fields);
        break;
    case 2:
        add_file(d, a, fields);
        break;
    case 3:
        add_post(d, a, "/ignored", fields);
        answer_text(a, 202, "ignored");
        break;
    default:
        add_get(d, a, fields);
        break;
    }
}

/* ---- the client ---- */

static int send_requests(void *arg)
{
    dialogue *d = arg;
    ssize_t n = 0;
    for (size_t sent = 0; sent < d->size && n >= 0; sent += (size_t)n) {
        n = th_stream_write(d->stream, d->wire + sent, 1 + th_sim_random(d->size - sent));
        if (th_sim_random(2))
            th_sleep((int64_t)th_sim_random(5 * TH_MILLISECOND));
    }
    return n < 0 ? (int)n : 0;
}

/* One byte of an answer; it need not be fast. */
static int get_byte(dialogue *d, char *byte)
{
    ssize_t n = th_stream_read(d->stream, byte, 1);
    return n < 0 ? (int)n : 0;
}

/* A line without its CRLF. */
static int get_line(dialogue *d, char *line, size_t size)
{
    size_t len = 0;
    for (;;) {
        char byte;
        int err = get_byte(d, &byte);
        if (err < 0)
            return err;
        if (byte == '\n')
            break;
        if (len + 1 < size)
            line[len++] = byte;
    }
    expect(len > 0 && line[len - 1] == '\r');
    line[len > 0 ? len - 1 : 0] = '\0';
    return 0;
}

static int check_bytes(dialogue *d, const struct answer *a, size_t at, size_t size)
{
    int err = 0;
    expect(at + size <= a->body_size);
    for (size_t i = at; i < at + size && err == 0; i++) {
        char byte;
        err = get_byte(d, &byte);
        if (err == 0 && i < a->body_size)
            expect(byte == a->body[i]);
    }
    return err;
}

static int check_chunks(dialogue *d, const struct answer *a)
{
    char line[64];
    size_t at = 0;
    for (;;) {
        int err = get_line(d, line, sizeof line);
        size_t size = err == 0 ? strtoul(line, NULL, 16) : 0;
        if (err == 0)
            err = check_bytes(d, a, at, size);
        if (err == 0)
            err = get_line(d, line, sizeof line);
        if (err < 0)
            return err;
        expect(line[0] == '\0');
        at += size;
        if (size == 0)
            break;
    }
    expect(at == a->body_size);
    return 0;
}

/* What the head of an answer says. */
typedef struct head {
    int status;
    long length;
    bool chunked;
} head;

static int get_head(dialogue *d, head *h)
{
    char line[256];
    int err = get_line(d, line, sizeof line);
    *h = (head){ .length = -1 };
    if (err == 0 && sscanf(line, "HTTP/1.1 %d", &h->status) != 1)
        expect(false); /* no status line */
    while (err == 0 && (err = get_line(d, line, sizeof line)) == 0 && line[0] != '\0') {
        if (strncasecmp(line, "content-length:", 15) == 0)
            h->length = strtol(line + 15, NULL, 10);
        if (strcasecmp(line, "transfer-encoding: chunked") == 0)
            h->chunked = true;
    }
    return err;
}

static int check_answer(dialogue *d, const struct answer *a)
{
    head h;
    int err = get_head(d, &h);
    if (err < 0)
        return err;
    if (d->excused && (h.status >= 500 || h.status == 408))
        return -EAGAIN; /* the server was short of something, or of patience, and says so */
    expect_value(h.status == a->status, h.status);
    expect(h.chunked || h.length == (long)a->body_size);
    if (a->head || sim_failure[0])
        return 0;
    return h.chunked ? check_chunks(d, a) : check_bytes(d, a, 0, a->body_size);
}

static int check_answers(dialogue *d)
{
    int err = 0;
    for (unsigned i = 0; i < d->count && err == 0; i++)
        err = check_answer(d, &d->answers[i]);
    if (err == 0) {
        char byte;
        int end = get_byte(d, &byte);
        expect_value(end == TH_EOF || d->excused, end);
    }
    return err;
}

static int attempt(dialogue *d)
{
    int result = th_dial(dial_at, NULL, &d->stream);
    if (result < 0)
        return result;
    th_scope both;
    result = th_scope_open(&both, &(th_scope_opts){ .deadline = th_after(PATIENCE) });
    if (result == 0)
        result = th_spawn(&both, send_requests, d);
    if (result == 0)
        result = check_answers(d);
    if (result < 0)
        th_scope_cancel(&both, 0);
    int sent = th_scope_close(&both);
    th_stream_free(d->stream);
    return result < 0 ? result : sent;
}

static int run_client(void *arg)
{
    (void)arg;
    th_sleep((int64_t)th_sim_random(TH_SECOND));
    for (;;) {
        bool excused = faults_are_on(&stage);
        dialogue *d = calloc(1, sizeof *d);
        d->excused = excused;
        for (uint64_t n = 1 + th_sim_random(REQUESTS_MAX); n > 0; n--)
            add_request(d, n == 1);
        int result = attempt(d);
        free(d);
        if (result == 0)
            break;
        expect_value(excused, result);
        if (!excused)
            return 0;
        th_sleep((int64_t)th_sim_random(TH_SECOND));
    }
    stage.done++;
    return 0;
}

/* ---- the play ---- */

static int play(void *arg)
{
    (void)arg;
    play_begin(&stage);
    until_it_works(&stage, make_router());
    int err = play_listen(&stage, "127.0.0.1:0", &listener, dial_at);
    if (err == 0)
        err = play_out(&stage, run_server, CLIENTS, run_client, NULL);
    th_listener_close(listener);
    th_http_router_free(router);
    return err;
}

static void make_file(void)
{
    char name[] = "/tmp/thrum-sim-http-XXXXXX";
    file = mkstemp(name);
    ck_assert_int_ge(file, 0);
    unlink(name);
    for (size_t i = 0; i < FILE_SIZE; i++)
        ck_assert_int_eq(write(file, (char[]){ pattern(i) }, 1), 1);
}

static void slow_with_jumps(th_sim_opts *opts)
{
    friendly(opts);
    opts->faults[TH_SIM_SHORT_READ].per_million = 100000;
    opts->faults[TH_SIM_SHORT_WRITE].per_million = 100000;
    opts->faults[TH_SIM_AGAIN].per_million = 100000;
    opts->faults[TH_SIM_WALL_JUMP].per_million = 100000;
}

START_TEST(pipelined_requests_are_answered_in_order)
{
    make_file();
    stage.faulty = false;
    sim_seeds(play, NULL, friendly);
}
END_TEST

START_TEST(short_transfers_and_clock_jumps_change_no_answer)
{
    make_file();
    stage.faulty = false;
    sim_seeds(play, NULL, slow_with_jumps);
}
END_TEST

START_TEST(answers_are_right_or_missing_under_every_fault)
{
    make_file();
    stage.faulty = true;
    sim_seeds(play, NULL, hostile);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "server");
    tcase_add_test(tcase, pipelined_requests_are_answered_in_order);
    tcase_add_test(tcase, short_transfers_and_clock_jumps_change_no_answer);
    tcase_add_test(tcase, answers_are_right_or_missing_under_every_fault);
}

int main(void)
{
    return thi_check_run("sim/http", fill_suite);
}
