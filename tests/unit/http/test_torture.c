/* SPDX-License-Identifier: MIT */

/* An HTTP server and its client while each system call of them fails in turn. */
#include "torture.h"

#include "http/site_folder.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/http.h>
#include <thrum/serve.h>

#define FILE_SIZE 200000 /* more than the socket takes at once */

/* ---- the server -------------------------------------------------------------------------------
 */

typedef struct service {
    th_listener *listener;
    th_http_router *router;
    th_http_site *site;
    char address[TH_ADDR_TEXT];
    int served; /* results */
    int called;
    int statuses[3];
} service;

static int hello(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    return th_http_reply_text(reply, 200, "hello, world\n");
}

/* Whoever waits in the queue of a server that has failed is told by the end of the listener. */
static int serve(void *arg)
{
    service *s = arg;
    s->served = th_http_serve_on(&s->listener, 1, th_http_router_handle, s->router, NULL);
    th_listener_close(s->listener);
    return 0;
}

/* ---- the client -------------------------------------------------------------------------------
 */

static char answer[FILE_SIZE + 4096];

/* Reads the head of an answer: its size, or a failure. What came of the body lies behind it. */
static ssize_t read_head(th_stream *stream, size_t *len)
{
    char *end;
    *len = 0;
    answer[0] = '\0';
    while (!(end = strstr(answer, "\r\n\r\n"))) {
        ssize_t n = th_stream_read(stream, answer + *len, 4096);
        if (n < 0)
            return n;
        *len += (size_t)n;
        ck_assert_uint_lt(*len, sizeof answer - 4096);
        answer[*len] = '\0';
    }
    return end + 4 - answer;
}

/* Asks for a path on a connection that stays; the body's size goes to *size. */
static int get(th_stream *stream, const char *path, int *status, size_t *size)
{
    char text[128];
    size_t len;
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    ssize_t sent = th_stream_write(stream, text, (size_t)n);
    ssize_t head = sent < 0 ? sent : read_head(stream, &len);
    if (head < 0)
        return (int)head;
    ck_assert_int_eq(sscanf(answer, "HTTP/1.1 %d ", status), 1);
    const char *field = strstr(answer, "\r\nContent-Length: ");
    ck_assert_ptr_nonnull(field);
    ck_assert_int_eq(sscanf(field + 18, "%zu", size), 1);
    size_t here = len - (size_t)head;
    ck_assert_uint_le(here, *size);
    ck_assert_uint_lt((size_t)head + *size, sizeof answer);
    return (int)th_stream_read_all(stream, answer + len, *size - here);
}

/* Two requests on one connection, the second for the file; then one more while the server drains,
 * whose connection is idle or gone. */
static int call(service *s)
{
    th_stream *stream = NULL;
    size_t size = 0;
    int err = th_dial(s->address, NULL, &stream);
    if (err == 0)
        err = get(stream, "/hello", &s->statuses[0], &size);
    if (err >= 0)
        err = get(stream, "/files/large", &s->statuses[1], &size);
    if (err >= 0 && s->statuses[1] == 200)
        ck_assert_uint_eq(size, FILE_SIZE);
    if (err >= 0)
        err = get(stream, "/files/none", &s->statuses[2], &size);
    th_stream_free(stream);
    return err;
}

/* ---- the scenario -----------------------------------------------------------------------------
 */

static int set_up(service *s)
{
    th_addr addr;
    int err = th_http_site_new(folder, NULL, &s->site);
    if (err == 0)
        err = th_http_router_new(&s->router);
    if (err == 0)
        err = th_http_router_add(s->router, "GET", "/hello", hello, NULL);
    if (err == 0)
        err = th_http_router_add(s->router, "GET", "/files/*path", th_http_site_handle, s->site);
    if (err == 0)
        err = th_listen("127.0.0.1:0", NULL, &s->listener);
    if (err < 0)
        return err;
    th_listener_addr(s->listener, &addr);
    th_addr_format(&addr, s->address, sizeof s->address);
    return 0;
}

static int serve_and_call(void *arg)
{
    service *s = arg;
    th_scope scope;
    int err = set_up(s);
    if (err == 0) {
        open_scope(&scope);
        err = th_spawn(&scope, serve, s);
        if (err == 0)
            s->called = call(s);
        else
            th_listener_close(s->listener);
        ck_assert_int_eq(th_stop(), 0);
        ck_assert_int_eq(th_scope_close(&scope), 0);
    }
    th_http_router_free(s->router);
    th_http_site_free(s->site);
    return err;
}

/* Without a fault all is as it should be; with one, what was answered is what was asked for, or a
 * failure of the server's. */
static void check_statuses(const run *r, const service *s)
{
    static const int wanted[3] = { 200, 200, 404 };
    for (int i = 0; i < 3; i++) {
        int status = s->statuses[i];
        bool good =
            status == wanted[i] || (r->hit && (status == 0 || status == 500 || status == 503));
        ck_assert_msg(good, "%s%s: answer %d is %d", torture_now, hit_of(r), i, status);
    }
}

static int scenario(void *arg)
{
    run *r = arg;
    service s = { .served = 0 };
    int result = torment_body(r, serve_and_call, &s);
    ck_assert_msg(is_as_ordered(r, result) || (r->hit && result == -ENOMEM), "%s%s: start: %s",
                  torture_now, hit_of(r), th_errname(result));
    ck_assert_msg(is_as_ordered(r, s.served) || (r->hit && s.served == -ENOMEM), "%s%s: server: %s",
                  torture_now, hit_of(r), th_errname(s.served));
    bool good = is_as_peer_ordered(r, s.called) || (s.served < 0 && s.called == -ECONNREFUSED);
    ck_assert_msg(good, "%s%s: client: %s", torture_now, hit_of(r), th_errname(s.called));
    if (result == 0)
        check_statuses(r, &s);
    return 0;
}

START_TEST(a_server_lives_through_what_its_system_calls_do)
{
    torture(1, _i, scenario);
}
END_TEST

START_TEST(a_server_of_two_workers_lives_through_it_as_well)
{
    torture(2, _i, scenario);
}
END_TEST

static void make_files(void)
{
    static char bytes[FILE_SIZE];
    memset(bytes, 'x', sizeof bytes);
    make_folder();
    write_bytes("large", bytes, sizeof bytes);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "torture");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, make_files, remove_folder);
    add_on_engines(tcase, a_server_lives_through_what_its_system_calls_do);
    add_on_engines(tcase, a_server_of_two_workers_lives_through_it_as_well);
}

int main(void)
{
    return thi_check_run("http/torture", fill_suite);
}
