/* SPDX-License-Identifier: MIT */

/* Parks fibers in known places, then calls look_here(), where test_gdb.py stops it to look. */

#include <thrum.h>

#include <errno.h>

#if defined(__clang__)
#define KEPT __attribute__((noinline, optnone))
#else
#define KEPT __attribute__((noipa, optimize("no-optimize-sibling-calls")))
#endif

KEPT void look_here(void);
KEPT int inner(void);
KEPT int outer(void);

KEPT void look_here(void)
{
    __asm__ volatile("");
}

KEPT int inner(void)
{
    int err = th_sleep(TH_SECOND * 3600);
    __asm__ volatile(""); /* so that the call above is none that leaves no frame */
    return err;
}

KEPT int outer(void)
{
    int err = inner();
    __asm__ volatile("");
    return err;
}

KEPT static int sleeper(void *arg)
{
    (void)arg;
    int err = outer();
    __asm__ volatile("");
    return err;
}

static int looker(void *arg)
{
    (void)th_yield();
    look_here();
    return th_scope_cancel(arg, 0);
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_spawn_with(&scope, sleeper, NULL, &(th_spawn_opts){ .name = "sleeper" }, NULL);
    if (err == 0)
        err = th_spawn(&scope, looker, &scope);
    int closed = th_scope_close(&scope);
    return err < 0 ? err : closed == -ECANCELED ? 0 : closed;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
