/* SPDX-License-Identifier: MIT */

/* A scenario of everything, run with each allocation and each system call failing in turn. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "runtime/stop.h"
#include "sys/fault.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

/* Whether a start, successful or not, was accounted for: what ran is what was said to be started.
 */
static atomic_int started;
static atomic_int ran;

static int count_and_sleep(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran, 1);
    return th_sleep(20 * TH_MICROSECOND);
}

static int start(th_scope *scope, int place, size_t stack_size, th_fiber **handle)
{
    th_spawn_opts opts = { .place = place, .stack_size = stack_size };
    int err = th_spawn_with(scope, count_and_sleep, NULL, &opts, handle);
    if (err == 0)
        atomic_fetch_add(&started, 1);
    return err;
}

static int starts_of_all_kinds(th_scope *scope)
{
    static const int places[] = { TH_PLACE_HERE, TH_PLACE_ROUND, TH_PLACE_LEAST, TH_PLACE_ROUND };
    static const size_t sizes[] = { 0, 16384, (size_t)1 << 20 };
    int err = 0;
    for (size_t i = 0; err == 0 && i < thi_array_len(places); i++)
        err = start(scope, places[i], 0, NULL);
    for (size_t i = 0; err == 0 && i < thi_array_len(sizes); i++)
        err = start(scope, TH_PLACE_HERE, sizes[i], NULL);
    if (err < 0)
        return err;
    for (size_t i = 0; err == 0 && i < thi_array_len(places); i++) {
        th_fiber *fiber = NULL;
        err = start(scope, places[i], 0, &fiber);
        if (err == 0)
            err = th_join(fiber, NULL);
        th_fiber_unref(fiber);
    }
    return err;
}

static void *start_in_thread(void *arg)
{
    (void)start(arg, TH_PLACE_HERE, 0, NULL);
    (void)start(arg, TH_PLACE_ROUND, 0, NULL);
    ck_assert_int_eq(th_scope_cancel(arg, -ESHUTDOWN), 0);
    return NULL;
}

static int starts_of_a_thread(th_scope *scope)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, start_in_thread, scope) != 0)
        return 0;
    int err = th_sleep(TH_NEVER); /* until the thread's cancellation */
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return err == -ECANCELED ? 0 : err;
}

static void on_stop(thi_stopper *stopper)
{
    (void)stopper;
}

static int scenario(void *arg)
{
    th_scope scope;
    thi_stopper stopper;
    (void)arg;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 3 }), 0);
    int err = starts_of_all_kinds(&scope);
    int closed = th_scope_close(&scope);
    err = err < 0 ? err : closed;
    if (err < 0)
        return err;
    open_scope_for(&scope, 10 * TH_SECOND);
    err = starts_of_a_thread(&scope);
    closed = th_scope_close(&scope);
    thi_stopper_add(&stopper, on_stop);
    ck_assert_int_eq(th_stop(), 0);
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    thi_stopper_remove(&stopper);
    if (err < 0 || closed == -ECANCELED)
        return err;
    return closed;
}

/* Open descriptors of the process below 64. */
static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int run_scenario(unsigned workers, int engine)
{
    th_run_opts opts = { .workers = workers, .backend = engine_names[engine] };
    atomic_store(&started, 0);
    atomic_store(&ran, 0);
    return th_run(scenario, NULL, &opts);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void refuse_each_allocation(unsigned workers, int engine)
{
    ck_assert_int_eq(run_scenario(workers, engine), 0); /* what is allocated once is there now */
    int descriptors = count_descriptors();
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        int err = run_scenario(workers, engine);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_msg(err == 0 || err == -ENOMEM, "allocation %d: %s", (int)n, th_errname(err));
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_eq(count_descriptors(), descriptors);
        ck_assert_int_le(atomic_load(&ran), atomic_load(&started));
        if (err == 0 && untouched)
            break;
        ck_assert_int_lt(n, 1000);
    }
}

START_TEST(without_memory_calls_fail_and_nothing_leaks)
{
    refuse_each_allocation(1, _i);
}
END_TEST

START_TEST(without_memory_two_workers_fail_as_well_as_one)
{
    refuse_each_allocation(2, _i);
}
END_TEST

/* ---- system calls ---------------------------------------------------------------------------- */

/*
 * A run with the n-th call of worker 0's thread failing. What the kernel may refuse is a start;
 * once the workers run, only more memory for stacks can be missing.
 */
static void refuse_each_call(int engine, int error)
{
    ck_assert_int_eq(run_scenario(1, engine), 0);
    int descriptors = count_descriptors();
    int64_t live = thi_alloc_live();
    for (unsigned long n = 1;; n++) {
        thi_fault_begin(n, error);
        int err = run_scenario(1, engine);
        const char *hit = thi_fault_hit();
        thi_fault_end();
        ck_assert_msg(err == 0 || err == -error || err == -ENOMEM, "%s, call %lu: %s",
                      hit ? hit : "none", n, th_errname(err));
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_msg(count_descriptors() == descriptors, "%s leaves a descriptor", hit);
        if (!hit)
            break;
        ck_assert_uint_lt(n, 5000);
    }
}

START_TEST(each_call_may_find_no_memory)
{
    refuse_each_call(_i, ENOMEM);
}
END_TEST

START_TEST(each_call_may_find_no_descriptor)
{
    refuse_each_call(_i, EMFILE);
}
END_TEST

START_TEST(each_call_may_not_be_known)
{
    refuse_each_call(_i, ENOSYS);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *memory = thi_check_case(suite, "memory");
    tcase_set_timeout(memory, 60);
    add_on_engines(memory, without_memory_calls_fail_and_nothing_leaks);
    add_on_engines(memory, without_memory_two_workers_fail_as_well_as_one);

    TCase *calls = thi_check_case(suite, "calls");
    tcase_set_timeout(calls, 60);
    add_on_engines(calls, each_call_may_find_no_memory);
    add_on_engines(calls, each_call_may_find_no_descriptor);
    add_on_engines(calls, each_call_may_not_be_known);
}

int main(void)
{
    return thi_check_run("runtime/torture", fill);
}
