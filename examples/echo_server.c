/* SPDX-License-Identifier: MIT */

/* A TCP echo server: a fiber per connection, on all cores, drained on SIGTERM. */
#include <thrum.h>

#include <stdio.h>

static int echo(th_stream *stream, void *arg)
{
    (void)arg;
    char buf[4096];
    ssize_t n;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0) /* writes all, or fails */
            break;
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
    th_serve_opts opts = { .listening = listening };
    return th_serve(argc > 1 ? argv[1] : "tcp://127.0.0.1:7000", echo, NULL, &opts);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
