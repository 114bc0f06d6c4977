/* SPDX-License-Identifier: MIT */

/* Tests whose body is the main fiber of a runtime, and what such bodies share. */
#ifndef THI_TEST_IN_FIBER_H
#define THI_TEST_IN_FIBER_H

#include "check_main.h"

#include "base/util.h"

#include <thrum/error.h>
#include <thrum/fiber.h>
#include <thrum/runtime.h>
#include <thrum/scope.h>
#include <thrum/time.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The back ends; a test added by add_on_engines() runs once on each, others on the first. Where the
 * system refuses one, the runtime takes the default in its place. */
static const char *const engine_names[] = { "epoll", "uring", "poll", "select" };

/*
 * Runs the function as main fiber, with no hand on signals, and wants it to return 0. Without a
 * watchdog: on a busy machine it would find workers held up, and placement would avoid them.
 */
static inline void run_in_fiber(unsigned workers, int engine, int (*fn)(void *arg), void *arg)
{
    th_run_opts opts = {
        .workers = workers, .backend = engine_names[engine], .no_signals = 1, .watchdog = TH_NEVER
    };
    int result = th_run(fn, arg, &opts);
    ck_assert_msg(result == 0, "%s", th_errname(result));
}

/* A test whose body runs as the main fiber of a runtime with so many workers. */
#define FIBER_TEST_ON(workers, name)                                                               \
    static void name##_body(void);                                                                 \
    static int name##_main(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        run_in_fiber(workers, _i, name##_main, NULL);                                              \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(void)

#define FIBER_TEST(name) FIBER_TEST_ON(1, name)

static inline void add_on_engines(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 0, (int)thi_array_len(engine_names));
}

/* What happened, letter by letter. */
static char trace[256];

static inline void note(char c)
{
    size_t len = strlen(trace);
    if (len < sizeof trace - 1)
        trace[len] = c;
}

static inline void open_scope(th_scope *scope)
{
    ck_assert_int_eq(th_scope_open(scope, NULL), 0);
}

static inline void close_scope(th_scope *scope)
{
    ck_assert_int_eq(th_scope_close(scope), 0);
}

/* Opens a scope whose calls all fail with -ECANCELED. */
static inline void open_cancelled_scope(th_scope *scope)
{
    open_scope(scope);
    ck_assert_int_eq(th_scope_cancel(scope, 0), 0);
}

/*
 * Opens a scope whose time is up a span from now. On a machine that stalls, that may be before it
 * is open; then its span is longer.
 */
static inline void open_scope_for(th_scope *scope, int64_t span)
{
    for (;; span *= 2) {
        int64_t deadline = th_after(span);
        ck_assert_int_eq(th_scope_open(scope, &(th_scope_opts){ .deadline = deadline }), 0);
        bool own = th_scope_deadline(scope) == deadline;
        if (span <= 0 || !own || th_check() != -ETIMEDOUT)
            break;
        close_scope(scope);
    }
}

static inline void spawn(th_scope *scope, th_fiber_fn fn, void *arg)
{
    ck_assert_int_eq(th_spawn(scope, fn, arg), 0);
}

/* Starts a fiber and gives its handle. */
static inline th_fiber *spawn_handle(th_scope *scope, th_fiber_fn fn, void *arg)
{
    th_fiber *fiber = NULL;
    ck_assert_int_eq(th_spawn_with(scope, fn, arg, NULL, &fiber), 0);
    ck_assert_ptr_nonnull(fiber);
    return fiber;
}

/* Starts a fiber on the worker with that number. */
static inline void spawn_on(th_scope *scope, unsigned worker, th_fiber_fn fn, void *arg)
{
    th_spawn_opts opts = { .place = 1 + (int)worker };
    ck_assert_int_eq(th_spawn_with(scope, fn, arg, &opts, NULL), 0);
}

/* Bodies that many tests want. */

static inline int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Notes the letter that arg points to. */
static inline int note_letter(void *arg)
{
    note(*(const char *)arg);
    return 0;
}

/* Returns the number that arg points to. */
static inline int return_number(void *arg)
{
    return *(const int *)arg;
}

/* Sleeps until its scope ends the sleep, and returns what that said. */
static inline int sleep_for_ever(void *arg)
{
    (void)arg;
    return th_sleep(TH_NEVER);
}

/* The same, but a cancelled sleep is success. */
static inline int wait_for_cancel(void *arg)
{
    (void)arg;
    (void)th_sleep(TH_NEVER);
    return 0;
}

/* Lets others run until the flag is set. */
static inline int wait_for_flag(void *arg)
{
    while (!*(bool *)arg)
        th_yield();
    return 0;
}

#endif
