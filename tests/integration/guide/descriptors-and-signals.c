/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/descriptors-and-signals.md. */
#define _GNU_SOURCE
#include <thrum.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "wait.inc"

#include "close.inc"

static int device[2];

static int speak(void *arg)
{
    (void)arg;
    return write(device[1], "warp", 4) == 4 ? 0 : -errno;
}

static int descriptors(void)
{
    char buf[8];
    th_scope scope;
    if (pipe2(device, O_NONBLOCK | O_CLOEXEC) < 0)
        return -errno;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_spawn(&scope, speak, NULL);
    ssize_t n = read_from(device[0], buf, sizeof buf);
    int closed = th_scope_close(&scope);
    stop_device(device[0]);
    close(device[1]);
    if (err < 0 || closed < 0)
        return err < 0 ? err : closed;
    return n == 4 && memcmp(buf, "warp", 4) == 0 ? 0 : -EPROTO;
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return descriptors();
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
