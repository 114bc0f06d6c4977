/* SPDX-License-Identifier: MIT */

/*
 * A server with a limit on connections, and one on the time of each: the third client waits in the
 * kernel's queue until one of the first two has gone.
 */
#include <thrum.h>

#include <stdio.h>

static int greet(th_stream *stream, void *arg)
{
    (void)arg;
    char buf[256];
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(30 * TH_SECOND) });
    if (err < 0)
        return err;
    ssize_t n = th_stream_write(stream, "welcome\n", 8);
    while (n >= 0 && (n = th_stream_read(stream, buf, sizeof buf)) > 0)
        n = th_stream_write(stream, buf, (size_t)n);
    th_scope_close(&scope);
    return (int)n;
}

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    char text[TH_ADDR_TEXT];
    printf("listening on %s\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int app(int argc, char **argv)
{
    th_serve_opts opts = { .max_connections = 2, .listening = listening };
    return th_serve(argc > 1 ? argv[1] : "127.0.0.1:7001", greet, NULL, &opts);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
