/* SPDX-License-Identifier: MIT */

/* What is said of a fiber whose stack has overflowed, under each kind of guard. */
#include "capture.h"
#include "in_fiber.h"

#include "base/alloc.h"
#include "fiber/pool.h"
#include "runtime/worker.h"
#include "sys/sys.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

enum { MADV_GUARD = 102 };

/* ---- what overflows -------------------------------------------------------------------------- */

/* Volatile, so that the recursion is neither seen through nor turned into a loop. */
static volatile int levels = 1 << 20;

static int recurse(int level)
{
    volatile char frame[512];
    frame[0] = (char)level;
    frame[511] = (char)level;
    if (level < levels)
        (void)recurse(level + 1);
    return frame[0] + frame[511];
}

static int overflow(void *arg)
{
    (void)arg;
    return recurse(0);
}

/* A large frame must not jump over the guard. */
static int overflow_at_once(void *arg)
{
    (void)arg;
    volatile char frame[300 * 1024];
    for (size_t i = 0; i < sizeof frame; i += (size_t)levels)
        frame[i] = 1;
    return frame[0];
}

/* Writes where a stack without a guard ends, as an overflow would, and comes back. */
static int overwrite_canary(void *arg)
{
    (void)arg;
    memset(th_fiber_self()->stack_low, 'x', 16);
    return 0;
}

static unsigned worker;
static th_fiber_fn body;
static size_t stack_size;

static int run_body(void *arg)
{
    (void)arg;
    th_scope scope;
    th_spawn_opts opts = { .name = "the greedy one",
                           .stack_size = stack_size,
                           .place = 1 + (int)worker };
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_with(&scope, body, NULL, &opts, NULL), 0);
    return th_scope_close(&scope);
}

/* In the child process: a runtime whose fiber overflows on the chosen worker. */
static int run_runtime(void)
{
    return th_run(run_body, NULL, &(th_run_opts){ .workers = 2 });
}

/* ---- kernels without a guard ----------------------------------------------------------------- */

static thi_sys poor_kernel;

static int refuse_guard(void *at, size_t n, int advice)
{
    return advice == MADV_GUARD ? -EINVAL : thi_sys_real.madvise(at, n, advice);
}

static int refuse_protection(void *at, size_t n, int prot)
{
    (void)at;
    (void)n;
    (void)prot;
    return -ENOMEM;
}

static int run_without_light_guards(void)
{
    poor_kernel = *thi_sys_table;
    poor_kernel.madvise = refuse_guard;
    thi_sys_table = &poor_kernel;
    return run_runtime();
}

static int run_without_guards(void)
{
    poor_kernel = *thi_sys_table;
    poor_kernel.madvise = refuse_guard;
    poor_kernel.mprotect = refuse_protection;
    thi_sys_table = &poor_kernel;
    return run_runtime();
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void expect_message(const capture *c, const char *size)
{
    char text[128];
    expect_said(c, "thrum: stack overflow in fiber 'the greedy one' #");
    expect_said(c, ", spawned at test_overflow.c:");
    snprintf(text, sizeof text, ": its %s KiB stack at 0x", size);
    expect_said(c, text);
    expect_said(c, " is used up (");
    expect_said(c, "); spawn it with a larger stack_size\n");
    ck_assert_msg(!WIFEXITED(c->status) || WEXITSTATUS(c->status) != 0, "it went on");
}

static void expect_fault(const capture *c, const char *size)
{
    expect_message(c, size);
    expect_said(c, " (fault at 0x");
#if !THI_ALLOC_SANITIZED
    ck_assert(WIFSIGNALED(c->status)); /* a sanitizer makes a report and an exit of it */
    ck_assert_int_eq(WTERMSIG(c->status), SIGSEGV);
#endif
}

START_TEST(an_overflow_is_told_with_name_and_size_and_address)
{
    static const size_t sizes[] = { 0, 16384, (size_t)1 << 20 };
    static const char *const kib[] = { "64", "16", "1024" };
    body = overflow;
    worker = (unsigned)_i;
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        stack_size = sizes[i];
        capture c = run_captured(run_runtime);
        expect_fault(&c, kib[i]);
    }
}
END_TEST

START_TEST(a_large_frame_does_not_jump_over_the_guard)
{
    body = overflow_at_once;
    worker = (unsigned)_i;
    capture c = run_captured(run_runtime);
    expect_fault(&c, "64");
}
END_TEST

START_TEST(a_guard_by_mprotect_catches_it_as_well)
{
    body = overflow;
    worker = (unsigned)_i;
    capture c = run_captured(run_without_light_guards);
    expect_fault(&c, "64");
}
END_TEST

START_TEST(without_a_guard_it_is_found_when_the_fiber_ends)
{
    body = overwrite_canary;
    worker = (unsigned)_i;
    capture c = run_captured(run_without_guards);
    expect_message(&c, "64");
    expect_said(&c, " (overwritten at 0x");
    ck_assert(WIFSIGNALED(c.status));
    ck_assert_int_eq(WTERMSIG(c.status), SIGABRT);
}
END_TEST

START_TEST(without_a_guard_all_else_works)
{
    body = do_nothing;
    worker = (unsigned)_i;
    capture c = run_captured(run_without_guards);
    ck_assert_int_eq(c.status, 0);
    ck_assert_str_eq(c.said, "");
}
END_TEST

static int write_to_null(void *arg)
{
    (void)arg;
    *(volatile char *)NULL = 1;
    return 0;
}

static int write_below_another_stack(void *arg)
{
    (void)arg;
    th_scope scope;
    open_scope(&scope);
    th_fiber *other = spawn_handle(&scope, do_nothing, NULL);
    *(volatile char *)(other->stack_low - 8) = 1;
    return 0;
}

START_TEST(other_faults_are_not_called_overflows)
{
    static const th_fiber_fn faults[] = { write_to_null, write_below_another_stack };
    for (size_t i = 0; i < thi_array_len(faults); i++) {
        body = faults[i];
        worker = (unsigned)_i;
        capture c = run_captured(run_runtime);
        ck_assert_ptr_null(strstr(c.said, "thrum: stack overflow"));
#if !THI_ALLOC_SANITIZED
        ck_assert(WIFSIGNALED(c.status));
        ck_assert_int_eq(WTERMSIG(c.status), SIGSEGV);
#endif
    }
}
END_TEST

static void on_segv(int signo)
{
    (void)signo;
    static const char said[] = "handled\n";
    (void)!write(STDERR_FILENO, said, sizeof said - 1);
    _exit(3);
}

static int run_with_handler(void)
{
    struct sigaction mine = { .sa_handler = on_segv, .sa_flags = SA_ONSTACK };
    (void)sigaction(SIGSEGV, &mine, NULL);
    return run_runtime();
}

START_TEST(a_handler_that_was_there_before_has_the_last_word)
{
    body = overflow;
    worker = (unsigned)_i;
    capture c = run_captured(run_with_handler);
    expect_message(&c, "64");
    expect_said(&c, "handled\n");
    ck_assert_int_eq(WEXITSTATUS(c.status), 3);
}
END_TEST

/* Each test once for worker 0, which is the calling thread, and once for a thread of its own. */
static void add_on_workers(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 0, 2);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "overflow");
    add_on_workers(tcase, an_overflow_is_told_with_name_and_size_and_address);
    add_on_workers(tcase, a_large_frame_does_not_jump_over_the_guard);
    add_on_workers(tcase, a_guard_by_mprotect_catches_it_as_well);
    add_on_workers(tcase, without_a_guard_it_is_found_when_the_fiber_ends);
    add_on_workers(tcase, without_a_guard_all_else_works);
    add_on_workers(tcase, other_faults_are_not_called_overflows);
    add_on_workers(tcase, a_handler_that_was_there_before_has_the_last_word);
}

int main(void)
{
    return thi_check_run("runtime/overflow", fill);
}
