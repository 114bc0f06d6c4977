/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/more-on-streams.md. */
#include <thrum.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "writers.inc"

#include "relay.inc"

#include "pass.inc"

static int failed(const char *what, int result)
{
    fprintf(stderr, "%s: %s\n", what, th_strerror(result));
    return 1;
}

static int read_to_end(void *arg)
{
    char buf[256];
    ssize_t n;
    int total = 0;
    while ((n = th_stream_read(arg, buf, sizeof buf)) > 0)
        total += (int)n;
    return n == TH_EOF ? total : (int)n;
}

static int try_writers(void)
{
    th_stream *ends[2];
    th_scope scope;
    int err = th_stream_memory(16, ends);
    if (err == 0)
        err = th_scope_open(&scope, NULL);
    if (err < 0)
        return failed("open", err);
    err = th_spawn(&scope, read_to_end, ends[0]);
    if (err == 0)
        err = shout_into(ends[1], &scope);
    th_stream_shutdown(ends[1]);
    int total = th_scope_close(&scope);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    return err < 0 || total < 0 ? failed("writers", err < 0 ? err : total) : 0;
}

static int try_relay(void)
{
    th_stream *client[2];
    th_stream *server[2];
    th_relayed moved;
    int err = th_stream_pair(client);
    if (err == 0)
        err = th_stream_pair(server);
    if (err < 0)
        return failed("pair", err);
    if (th_stream_write(client[0], "question", 8) < 0 ||
        th_stream_write(server[0], "answer", 6) < 0)
        return failed("write", -EIO);
    th_stream_shutdown(client[0]);
    th_stream_shutdown(server[0]);
    err = forward(client[1], server[1], &moved);
    if (err == 0 && (moved.there != 8 || moved.back != 6))
        err = -EIO;
    for (int i = 0; i < 2; i++) {
        th_stream_free(client[i]);
        th_stream_free(server[i]);
    }
    return err < 0 ? failed("relay", err) : 0;
}

static int try_pass(void)
{
    th_stream *ends[2];
    int passed = -1;
    int err = th_stream_pair(ends);
    if (err == 0)
        err = hand_over(ends[0], STDOUT_FILENO);
    if (err == 0)
        err = receive(ends[1], &passed);
    if (err < 0)
        return failed("pass", err);
    if (!(fcntl(passed, F_GETFD) & FD_CLOEXEC))
        return failed("pass", -EIO);
    close(passed);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    return 0;
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return try_writers() || try_relay() || try_pass();
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
