/* SPDX-License-Identifier: MIT */

/* Running a runtime: options, results, the root scope, several of them, what is left afterwards. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "base/log.h"
#include "runtime/worker.h"
#include "sys/machine.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

static bool called;

static int be_called(void *arg)
{
    called = true;
    return arg ? *(int *)arg : 0;
}

/* Open descriptors of the process below 256. */
static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- options and results --------------------------------------------------------------------- */

START_TEST(the_result_is_that_of_the_function)
{
    static int results[] = { 0, 1, 255, 100000, -EIO, TH_EPROTO };
    for (size_t i = 0; i < thi_array_len(results); i++)
        ck_assert_int_eq(th_run(be_called, &results[i], &(th_run_opts){ .workers = 1 }),
                         results[i]);
}
END_TEST

START_TEST(wrong_options_are_refused_and_nothing_is_called)
{
    static const th_run_opts wrong[] = {
        { .size = sizeof(th_run_opts) + 1 },
        { .workers = 1025 },
        { .backend = "carrier pigeon" },
        { .workers = 1, .stack_size = ((size_t)4 << 20) + 1 },
    };
    for (size_t i = 0; i < thi_array_len(wrong); i++)
        ck_assert_int_eq(th_run(be_called, NULL, &wrong[i]), -EINVAL);
    ck_assert_int_eq(th_run(NULL, NULL, NULL), -EINVAL);
    ck_assert(!called);
}
END_TEST

FIBER_TEST(a_worker_cannot_run_a_second_runtime)
{
    ck_assert_int_eq(th_run(be_called, NULL, NULL), -EBUSY);
    ck_assert(!called);
}

START_TEST(outside_there_is_no_information)
{
    th_run_info info = { .workers = 77 };
    ck_assert_int_eq(th_run_get_info(&info), -EPERM);
    ck_assert_int_eq(th_run_get_info(NULL), -EINVAL);
    ck_assert_uint_eq(info.workers, 77);
}
END_TEST

static int look_around(void *arg)
{
    const th_run_info *expected = arg;
    th_run_info info;
    ck_assert_int_eq(th_run_get_info(&info), 0);
    ck_assert_uint_eq(info.workers, expected->workers);
    if (expected->backend)
        ck_assert_str_eq(info.backend, expected->backend);
    ck_assert_ptr_nonnull(info.backend_why);
    ck_assert_int_gt((int)strlen(info.backend_why), 0);
    return 0;
}

START_TEST(workers_are_as_many_as_asked_for_or_as_there_are_cpus)
{
    th_run_info expected = { .workers = 3 };
    ck_assert_int_eq(th_run(look_around, &expected, &(th_run_opts){ .workers = 3 }), 0);
    expected.workers = thi_machine_cpus();
    ck_assert_int_eq(th_run(look_around, &expected, NULL), 0);
}
END_TEST

START_TEST(the_back_end_is_the_one_asked_for)
{
    th_run_info expected = { .workers = 1, .backend = "poll" };
    th_run_opts opts = { .workers = 1, .backend = "poll" };
    ck_assert_int_eq(setenv("THRUM_BACKEND", "select", 1), 0);
    ck_assert_int_eq(th_run(look_around, &expected, &opts), 0);
    opts.backend = NULL;
    expected.backend = "select";
    ck_assert_int_eq(th_run(look_around, &expected, &opts), 0);
    opts.backend = "auto";
    ck_assert_int_eq(th_run(look_around, &expected, &opts), 0);
    ck_assert_int_eq(setenv("THRUM_BACKEND", "carrier pigeon", 1), 0);
    ck_assert_int_eq(th_run(look_around, &expected, &opts), -EINVAL);
    ck_assert_int_eq(unsetenv("THRUM_BACKEND"), 0);
    expected.backend = "epoll";
    ck_assert_int_eq(th_run(look_around, &expected, &opts), 0);
}
END_TEST

static int use_a_lot_of_stack(void *arg)
{
    (void)arg;
    volatile char bytes[200 * 1024];
    for (size_t i = 0; i < sizeof bytes; i += 512)
        bytes[i] = 1;
    return bytes[0] - 1;
}

START_TEST(stacks_are_as_large_as_the_runtime_was_told)
{
    th_run_opts opts = { .workers = 1, .stack_size = (size_t)256 * 1024 };
    ck_assert_int_eq(th_run(use_a_lot_of_stack, NULL, &opts), 0);
}
END_TEST

/* ---- the root scope and the end -------------------------------------------------------------- */

FIBER_TEST(the_main_fiber_lives_in_the_root_scope_and_has_a_name)
{
    th_scope *root = th_scope_root();
    ck_assert_ptr_nonnull(root);
    ck_assert_str_eq(th_fiber_name(th_fiber_self()), "main");
    ck_assert_int_eq(th_scope_reason(root), 0);
    ck_assert_int_eq(th_scope_deadline(root), TH_NEVER);
    ck_assert_uint_eq(th_scope_children(root), 0);
    th_scope_cancel(root, -ESHUTDOWN);
    ck_assert_int_eq(th_yield(), -ECANCELED);
}

static int report_end(void *arg)
{
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(th_scope_root()), -ECANCELED);
    atomic_fetch_add((atomic_int *)arg, 1);
    return -ECANCELED;
}

static int leave_children_behind(void *arg)
{
    for (unsigned i = 0; i < 10; i++)
        spawn_on(th_scope_root(), i % 2, report_end, arg);
    return th_sleep(TH_MILLISECOND);
}

START_TEST(what_is_left_when_main_returns_is_cancelled_and_waited_for)
{
    atomic_int ended = 0;
    ck_assert_int_eq(th_run(leave_children_behind, &ended, &(th_run_opts){ .workers = 2 }), 0);
    ck_assert_int_eq(ended, 10);
}
END_TEST

static int spawn_into_root(void *arg)
{
    return th_spawn(th_scope_root(), note_letter, arg);
}

FIBER_TEST(work_in_the_root_scope_outlives_its_starter)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, spawn_into_root, "a");
    close_scope(&scope);
    ck_assert_int_eq(th_scope_wait(th_scope_root()), 0);
    ck_assert_str_eq(trace, "a");
}

/* ---- several runtimes ------------------------------------------------------------------------ */

static int work_a_little(void *arg)
{
    (void)arg;
    th_scope scope;
    open_scope(&scope);
    for (unsigned i = 0; i < 20; i++)
        spawn_on(&scope, i % 2, do_nothing, NULL);
    close_scope(&scope);
    return th_sleep(TH_MICROSECOND);
}

START_TEST(a_runtime_leaves_nothing_behind)
{
    int64_t live = thi_alloc_live();
    int descriptors = count_descriptors();
    for (int i = 0; i < 20; i++) {
        run_in_fiber(2, _i, work_a_little, NULL);
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_eq(count_descriptors(), descriptors);
    }
}
END_TEST

static void *run_one(void *arg)
{
    for (int i = 0; i < 20; i++)
        run_in_fiber(2, 0, work_a_little, NULL);
    return arg;
}

START_TEST(runtimes_in_several_threads_do_not_know_of_each_other)
{
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_one, NULL), 0);
    run_one(NULL);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

START_TEST(without_descriptors_nothing_is_called)
{
    struct rlimit before;
    int descriptors = count_descriptors();
    int64_t live = thi_alloc_live();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int spare = 0; spare < 4; spare++) { /* each worker wants two, the signals one more */
        struct rlimit tight = { .rlim_cur = 0, .rlim_max = before.rlim_max };
        int next = fcntl(0, F_DUPFD, 3);
        ck_assert_int_ge(next, 0);
        close(next);
        tight.rlim_cur = (rlim_t)(next + spare);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
        ck_assert_int_eq(th_run(be_called, NULL, &(th_run_opts){ .workers = 2 }), -EMFILE);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    }
    ck_assert(!called);
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

static void count_message(void *ctx, th_log_level level, th_str text)
{
    (void)level;
    (void)text;
    (*(int *)ctx)++;
}

FIBER_TEST(a_message_that_repeats_is_limited)
{
    int heard = 0;
    ck_assert_int_eq(th_log_set_sink(count_message, &heard, TH_LOG_WARNING), 0);
    for (int i = 0; i < 1000; i++)
        thi_log(TH_LOG_WARNING, "again");
    ck_assert_int_ge(heard, THI_LOG_BURST);
    ck_assert_int_lt(heard, 1000);
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, TH_LOG_OFF), 0);
}

/* ---- many fibers ----------------------------------------------------------------------------- */

#ifdef __SANITIZE_THREAD__
enum { MANY = 1000 }; /* each is a thread to it, and it knows no more than some 8,000 */
#else
enum { MANY = 20000 };
#endif

FIBER_TEST(many_fibers_wait_and_end)
{
    th_scope scope;
    int64_t load = (int64_t)thi_worker_self->load;
    open_scope(&scope);
    for (int i = 0; i < MANY; i++)
        spawn(&scope, wait_for_cancel, NULL);
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert_uint_eq(th_scope_children(&scope), MANY);
    ck_assert_int_eq((int64_t)thi_worker_self->load, load + MANY);
    th_scope_cancel(&scope, 0);
    close_scope(&scope);
    ck_assert_int_eq((int64_t)thi_worker_self->load, load);
    /* Beyond what is worth keeping warm, their stacks' memory goes back to the system. */
    for (int i = 0; i < 1000 && thi_worker_self->fibers.cold[2]; i++)
        ck_assert_int_eq(th_sleep(1), 0);
    ck_assert_ptr_null(thi_worker_self->fibers.cold[2]);
    spawn(th_scope_root(), do_nothing, NULL);
}

static void fill(Suite *suite)
{
    TCase *options = thi_check_case(suite, "options");
    tcase_add_test(options, the_result_is_that_of_the_function);
    tcase_add_test(options, wrong_options_are_refused_and_nothing_is_called);
    tcase_add_test(options, a_worker_cannot_run_a_second_runtime);
    tcase_add_test(options, outside_there_is_no_information);
    tcase_add_test(options, workers_are_as_many_as_asked_for_or_as_there_are_cpus);
    tcase_add_test(options, the_back_end_is_the_one_asked_for);
    tcase_add_test(options, stacks_are_as_large_as_the_runtime_was_told);

    TCase *root = thi_check_case(suite, "root");
    tcase_add_test(root, the_main_fiber_lives_in_the_root_scope_and_has_a_name);
    tcase_add_test(root, what_is_left_when_main_returns_is_cancelled_and_waited_for);
    tcase_add_test(root, work_in_the_root_scope_outlives_its_starter);

    TCase *several = thi_check_case(suite, "several");
    add_on_engines(several, a_runtime_leaves_nothing_behind);
    tcase_add_test(several, runtimes_in_several_threads_do_not_know_of_each_other);
    tcase_add_test(several, without_descriptors_nothing_is_called);

    TCase *log = thi_check_case(suite, "log");
    tcase_add_test(log, a_message_that_repeats_is_limited);

    TCase *many = thi_check_case(suite, "many");
    tcase_set_timeout(many, 30);
    tcase_add_test(many, many_fibers_wait_and_end);
}

int main(void)
{
    return thi_check_run("runtime/runtime", fill);
}
