/* SPDX-License-Identifier: MIT */

/*
 * Ten thousand fibers to be looked at from outside, for profile.py.
 *
 * usage: profile_target resting|moving SECONDS
 *
 * `resting`: all but a hundred wait for one event; these hand over to each other. `moving`: each
 * sleeps for 50 ms again and again. Four times a second it prints how often they went on since the
 * last time, and the CPU time of the thread.
 */
#include <thrum.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIBERS 10000
#define BUSY   100
#define WINDOW (250 * TH_MILLISECOND)

static th_event over;
static unsigned long long went_on;
static int64_t end;

static int rest(void *arg)
{
    (void)arg;
    return th_event_wait(&over);
}

static int hand_over(void *arg)
{
    (void)arg;
    int err = 0;
    while (err == 0 && th_now() < end) {
        err = th_yield();
        went_on++;
    }
    th_event_set(&over);
    return err;
}

static int doze(void *arg)
{
    int err = th_sleep((int64_t)(uintptr_t)arg * (50 * TH_MILLISECOND / FIBERS)); /* spread out */
    while (err == 0 && th_now() < end) {
        err = th_sleep(50 * TH_MILLISECOND);
        went_on++;
    }
    return err;
}

static int64_t cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * TH_SECOND + t.tv_nsec;
}

static int report(void *arg)
{
    (void)arg;
    int err = 0;
    int64_t before = cpu_time();
    unsigned long long seen = went_on;
    for (int64_t next = th_after(WINDOW); err == 0 && next < end; next += WINDOW) {
        err = th_sleep_until(next);
        int64_t now = cpu_time();
        printf("%llu %lld\n", went_on - seen, (long long)(now - before));
        fflush(stdout);
        seen = went_on;
        before = now;
    }
    return err;
}

static int app(int argc, char **argv)
{
    if (argc != 3)
        return -1;
    bool moving = strcmp(argv[1], "moving") == 0;
    end = th_after((int64_t)(strtod(argv[2], NULL) * (double)TH_SECOND));
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    for (uintptr_t i = 0; err == 0 && i < FIBERS; i++)
        err = th_spawn(&scope, moving ? doze : i < BUSY ? hand_over : rest, (void *)i);
    if (err == 0)
        err = th_spawn(&scope, report, NULL);
    int closed = th_scope_close(&scope);
    return err < 0 ? err : closed;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
