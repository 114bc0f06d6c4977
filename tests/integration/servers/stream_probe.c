/* SPDX-License-Identifier: MIT */

/* A server of streams for tests: one mode for each way in which a connection's function ends. */
#include "settings.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static settings set;
static atomic_int calls;

static int echo(th_stream *stream)
{
    char buf[4096];
    ssize_t n;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int say_hello(th_stream *stream)
{
    ssize_t n = th_stream_write(stream, "hello\n", 6);
    return n < 0 ? (int)n : 0;
}

static int fail(th_stream *stream)
{
    int err = say_hello(stream);
    return err < 0 ? err : -EIO;
}

static int close_and_fail(th_stream *stream)
{
    int err = say_hello(stream);
    if (err == 0)
        err = th_stream_close(stream);
    if (err == 0 && th_stream_write(stream, "more\n", 5) != -EBADF)
        th_stop();
    return err < 0 ? err : -EIO;
}

static int stop(th_stream *stream)
{
    int err = say_hello(stream);
    return err < 0 ? err : th_stop();
}

static const struct {
    const char *name;
    int (*fn)(th_stream *stream);
} modes[] = {
    { "echo", echo }, { "return", say_hello }, { "fail", fail }, { "close", close_and_fail },
    { "stop", stop },
};

static int serve(th_stream *stream, void *arg)
{
    (void)arg;
    atomic_fetch_add(&calls, 1);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, set.mode) == 0)
            return modes[i].fn(stream);
    return -EINVAL;
}

static int app(void *arg)
{
    (void)arg;
    th_serve_opts opts = { .max_connections = set.http.max_connections };
    int err = settings_listen(&set);
    if (err == 0)
        err = th_serve_on(set.listeners, set.listen_count, serve, NULL, &opts);
    printf("calls %d\n", atomic_load(&calls));
    fflush(stdout);
    return err;
}

int main(int argc, char **argv)
{
    settings_read(&set, argc, argv);
    return settings_run(&set, app);
}
