/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/callbacks-dispatchers.md. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

/* A fiber with the stream of a client. */
static int talk(void *arg)
{
    th_stream *stream = arg;
    ssize_t n = th_stream_write(stream, "by a fiber", 10);
    th_stream_free(stream);
    return n < 0 ? (int)n : 0;
}

#include "both.inc"

static int ask(void *arg)
{
    th_stream *stream;
    char got[11] = "";
    CHECK(th_dial(arg, NULL, &stream) == 0);
    CHECK(th_stream_read_all(stream, got, 10) == 10);
    CHECK(strcmp(got, "by a fiber") == 0);
    th_stream_free(stream);
    CHECK(th_dispatch_map_close_all(NULL) == 0);
    return 0;
}

static int app(int argc, char **argv)
{
    static const th_dispatcher_ops ops = { .accepted = on_accepted };
    th_dispatcher *d;
    th_scope scope;
    th_addr addr;
    char text[TH_ADDR_TEXT];
    (void)argc;
    (void)argv;
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_dispatcher_new(&ops, &scope, NULL, &d) == 0);
    CHECK(th_dispatcher_bind(d, "127.0.0.1:0") == 0);
    CHECK(th_dispatcher_listen(d, 0) == 0);
    th_dispatcher_addr(d, &addr);
    CHECK(th_spawn(&scope, ask, th_addr_format(&addr, text, sizeof text)) == 0);
    CHECK(th_dispatch_map_loop(NULL, TH_NEVER, -1) == 0);
    return th_scope_close(&scope);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
