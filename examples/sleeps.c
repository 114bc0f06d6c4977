/* SPDX-License-Identifier: MIT */

/*
 * Many sleeps at once under one deadline: a scope owns five thousand fibers, some of which would
 * sleep too long. It closes when all have ended, and none outlives the deadline.
 */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>

#define SLEEPERS 5000

typedef struct tally {
    int rested;  /* slept as long as they wanted */
    int aroused; /* woken by the deadline */
} tally;

/* The n-th sleeper wants n/25 milliseconds: up to 200. All share a worker, so no lock is needed. */
typedef struct sleeper {
    int n;
    tally *tally;
} sleeper;

static int sleep_well(void *arg)
{
    sleeper *s = arg;
    int err = th_sleep(s->n * TH_MILLISECOND / 25);
    if (err == 0)
        s->tally->rested++;
    else
        s->tally->aroused++;
    return err;
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    static sleeper sleepers[SLEEPERS];
    tally counts = { 0, 0 };
    th_scope scope;
    int64_t start = th_now();
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = start + 100 * TH_MILLISECOND });
    if (err < 0)
        return err;
    for (int i = 0; i < SLEEPERS && err == 0; i++) {
        sleepers[i] = (sleeper){ .n = i, .tally = &counts };
        err = th_spawn(&scope, sleep_well, &sleepers[i]);
    }
    err = th_scope_close(&scope); /* waits for all; gives the first error */
    printf("%d rested, %d were woken by the deadline after %lld ms: %s\n", counts.rested,
           counts.aroused, (long long)((th_now() - start) / TH_MILLISECOND), th_strerror(err));
    return err == -ETIMEDOUT ? 0 : err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
