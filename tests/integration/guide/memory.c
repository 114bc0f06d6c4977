/* SPDX-License-Identifier: MIT */

/* Runs the fragment of docs/guide/memory.md, in a simulation. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greet.inc"

static int serve(void *arg)
{
    return th_http_serve("http://127.0.0.1:8080", th_http_router_handle, arg, NULL);
}

static int ask(char *answer, size_t size)
{
    static const char request[] = "GET /ada HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    th_stream *stream;
    size_t len = 0;
    int err = th_sleep(TH_MILLISECOND); /* the server starts */
    if (err == 0)
        err = th_dial("127.0.0.1:8080", NULL, &stream);
    if (err < 0)
        return err;
    ssize_t n = th_stream_write(stream, request, sizeof request - 1);
    while (n > 0 && (n = th_stream_read(stream, answer + len, size - 1 - len)) > 0)
        len += (size_t)n;
    th_stream_free(stream);
    return n == TH_EOF ? 0 : (int)n;
}

static int app(void *arg)
{
    char answer[1024] = "";
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_spawn(&scope, serve, arg);
    if (err == 0)
        err = ask(answer, sizeof answer);
    th_scope_cancel(&scope, 0);
    th_scope_close(&scope);
    if (err == 0 && !strstr(answer, "\r\n\r\nhello, ada\n"))
        err = TH_EPROTO;
    return err;
}

int main(void)
{
    th_http_router *router;
    int err = th_http_router_new(&router);
    if (err < 0)
        return 1;
    err = th_http_router_add(router, "GET", "/:name", greet, NULL);
    if (err == 0)
        err = th_sim_run(app, router, &(th_sim_opts){ .seed = 1 }, NULL);
    th_http_router_free(router);
    if (err < 0)
        printf("%s %s\n", th_errname(err), th_err_detail());
    return err < 0;
}
