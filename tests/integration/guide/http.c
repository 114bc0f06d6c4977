/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/http.md, in a simulation. */
#include <thrum.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

static int hello(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    return th_http_reply_text(reply, 200, "hello\n");
}

static int compute(const th_http_request *request, void *arg)
{
    (void)arg;
    return th_sleep(th_http_request_query(request).len > 0 ? TH_MINUTE : TH_SECOND);
}

#include "query.inc"
#include "upload.inc"
#include "events.inc"
#include "site.inc"
#include "timely.inc"
#include "access.inc"

static int values(th_http_request *request, th_http_reply *reply, void *arg)
{
    th_str a = query_value(request, TH_STR("a"));
    th_str b = query_value(request, TH_STR("b"));
    char *text = th_arena_printf(th_http_request_arena(request), "%.*s %.*s %s", TH_STR_ARG(a),
                                 TH_STR_ARG(b), query_value(request, TH_STR("c")).ptr ? "c" : "-");
    (void)arg;
    return text ? th_http_reply_text(reply, 200, text) : -ENOMEM;
}

/* ---- a client ---- */

/* Sends a request, after a moment in which the server starts; what comes back, up to its end. */
static int ask(const char *request, char *answer, size_t size)
{
    th_stream *stream;
    size_t len = 0;
    CHECK(th_sleep(TH_MILLISECOND) == 0);
    CHECK(th_dial("127.0.0.1:8080", NULL, &stream) == 0);
    ssize_t n = th_stream_write(stream, request, strlen(request));
    while (n > 0 && len < size - 1 &&
           (n = th_stream_read(stream, answer + len, size - 1 - len)) > 0)
        len += (size_t)n;
    th_stream_free(stream);
    answer[len] = '\0';
    return 0;
}

/* Runs a server and asks it once. */
static int expect(int (*serve)(void *arg), void *arg, const char *request, const char *expected)
{
    char answer[2048];
    th_scope scope;
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_spawn(&scope, serve, arg) == 0);
    CHECK(ask(request, answer, sizeof answer) == 0);
    th_scope_cancel(&scope, 0);
    CHECK(th_scope_close(&scope) == -ECANCELED);
    if (!strstr(answer, expected))
        printf("expected %s, got %s\n", expected, answer);
    return strstr(answer, expected) ? 0 : -EINVAL;
}

typedef struct service {
    th_http_handler handler;
    void *arg;
} service;

static int serve_handler(void *arg)
{
    const service *s = arg;
    return th_http_serve("http://127.0.0.1:8080", s->handler, s->arg, NULL);
}

static int serve_site(void *arg)
{
    return serve_files(arg);
}

static int serve_logged(void *arg)
{
    return serve_with_log(*(int *)arg);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static int test_handlers(void)
{
    char stored[8] = "";
    service s = { .handler = values };
    CHECK(expect(serve_handler, &s, GET("/?x&a=1&b=&d=2"), "1  -") == 0);
    CHECK(expect(serve_handler, &s, GET("/?b=2&a=1"), "1 2 -") == 0);
    s = (service){ upload, "uploaded" };
    CHECK(expect(serve_handler, &s,
                 "PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nweft",
                 "stored") == 0);
    int fd = open("uploaded", O_RDONLY | O_CLOEXEC);
    CHECK(read(fd, stored, sizeof stored) == 4 && strcmp(stored, "weft") == 0);
    close(fd);
    s.handler = timely;
    CHECK(expect(serve_handler, &s, GET("/"), "\r\n\r\ndone\n") == 0);
    CHECK(expect(serve_handler, &s, GET("/?slow"), " 504 ") == 0);
    return 0;
}

static int test_events(void)
{
    service s = { .handler = events };
    char answer[256]; /* what does not fit is not waited for */
    th_scope scope;
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_spawn(&scope, serve_handler, &s) == 0);
    CHECK(ask(GET("/"), answer, sizeof answer) == 0);
    CHECK(strstr(answer, "data: 1\n\n") && strstr(answer, "data: 2\n\n"));
    th_scope_cancel(&scope, 0);
    CHECK(th_scope_close(&scope) == -ECANCELED);
    return 0;
}

static int test_files(void)
{
    CHECK(mkdir("folder", 0755) == 0);
    int fd = open("folder/file.txt", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK(write(fd, "selvedge\n", 9) == 9);
    close(fd);
    CHECK(expect(serve_site, "folder", GET("/files/file.txt"), "\r\n\r\nselvedge\n") == 0);
    CHECK(expect(serve_site, "folder", GET("/files/"), "file.txt") == 0);
    CHECK(expect(serve_site, "folder", GET("/files/../../x"), " 400 ") == 0);
    CHECK(expect(serve_site, "folder", GET("/"), " 404 ") == 0);
    return 0;
}

static int test_log(void)
{
    char line[512] = "";
    int fd = open("log", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    CHECK(expect(serve_logged, &fd, GET("/x"), "hello") == 0);
    CHECK(pread(fd, line, sizeof line - 1, 0) > 0 && strstr(line, "\"target\":\"/x\""));
    close(fd);
    return 0;
}

static int app(void *arg)
{
    (void)arg;
    CHECK(test_handlers() == 0);
    CHECK(test_events() == 0);
    CHECK(test_files() == 0);
    return test_log();
}

int main(void)
{
    th_sim_result result;
    int err = th_sim_run(app, NULL, &(th_sim_opts){ .seed = 1, .workers = 2 }, &result);
    if (err < 0 || result.open_descriptors > 0)
        printf("%s %s, %zu descriptors open\n", th_errname(err), th_err_detail(),
               result.open_descriptors);
    return err < 0;
}
