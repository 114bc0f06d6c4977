/* SPDX-License-Identifier: MIT */

/* An HTTP server with two routes. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>

static int hello(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    return th_http_reply_text(reply, 200, "hello, world\n");
}

static int greet(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)arg;
    th_str name = th_http_request_param(request, "name");
    char *text =
        th_arena_printf(th_http_request_arena(request), "hello, %.*s\n", (int)name.len, name.ptr);
    return text ? th_http_reply_text(reply, 200, text) : -ENOMEM;
}

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    char text[TH_ADDR_TEXT];
    printf("listening on http://%s/\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int app(int argc, char **argv)
{
    th_http_router *router;
    th_http_opts opts = { .listening = listening };
    int err = th_http_router_new(&router);
    if (err < 0)
        return err;
    err = th_http_router_add(router, "GET", "/", hello, NULL);
    if (err == 0)
        err = th_http_router_add(router, "GET", "/hello/:name", greet, NULL);
    if (err == 0)
        err = th_http_serve(argc > 1 ? argv[1] : "http://127.0.0.1:8080", th_http_router_handle,
                            router, &opts);
    th_http_router_free(router);
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
