/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/descriptors-and-signals.md. */
#define _GNU_SOURCE
#include <thrum.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

static int loads;

static void reload(void)
{
    loads++;
}

#include "reload.inc"

static int signals(void)
{
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_spawn(&scope, reload_on_hangup, NULL);
    for (int i = 1; i <= 3 && err == 0; i++) {
        th_yield(); /* it watches */
        kill(getpid(), SIGHUP);
        while (loads < i && err == 0)
            err = th_sleep(TH_MICROSECOND);
    }
    th_scope_cancel(&scope, 0);
    th_scope_close(&scope);
    return err;
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int err = descriptors();
    return err < 0 ? err : signals();
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
