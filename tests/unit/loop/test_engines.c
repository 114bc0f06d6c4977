/* SPDX-License-Identifier: MIT */

/* The choice of a back end, what happens when the system refuses one, and failure at every step. */
#include "../sys/forbid.h"
#include "engines_table.h"

#include "base/alloc.h"
#include "sys/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static thi_engine_choice choice;

static void choose(const char *name)
{
    ck_assert_int_eq(thi_engine_choose(name, &choice), 0);
}

/* ---- by name, environment, itself ---------------------------------------------------------------
 */

START_TEST(nothing_asked_for_gives_the_default)
{
    unsetenv("THRUM_BACKEND");
    static const char *const names[] = { NULL, "", "auto" };
    for (size_t i = 0; i < thi_array_len(names); i++) {
        choose(names[i]);
        ck_assert_ptr_eq(choice.engine, &thi_engine_epoll);
        ck_assert_str_eq(choice.why, "default");
    }
}
END_TEST

START_TEST(engine_asked_for_by_name_is_given)
{
    choose(every_engine[_i]->name);
    ck_assert_ptr_eq(choice.engine, every_engine[_i]);
    ck_assert_str_eq(choice.why, "asked for");
}
END_TEST

START_TEST(environment_chooses_when_nobody_else_does)
{
    setenv("THRUM_BACKEND", every_engine[_i]->name, 1);
    choose("auto");
    ck_assert_ptr_eq(choice.engine, every_engine[_i]);
    ck_assert_ptr_nonnull(strstr(choice.why, "THRUM_BACKEND"));
    choose("select");
    ck_assert_ptr_eq(choice.engine, &thi_engine_select);
}
END_TEST

START_TEST(unknown_name_is_refused_and_the_known_ones_are_told)
{
    thi_engine_choice untouched = { .engine = NULL };
    ck_assert_int_eq(thi_engine_choose("kpoll", &untouched), -EINVAL);
    ck_assert_ptr_null(untouched.engine);
    for (size_t i = 0; i < thi_array_len(every_engine); i++)
        ck_assert_ptr_nonnull(strstr(th_err_detail(), every_engine[i]->name));
    setenv("THRUM_BACKEND", "kpoll", 1);
    ck_assert_int_eq(thi_engine_choose(NULL, &untouched), -EINVAL);
}
END_TEST

START_TEST(choosing_leaves_nothing_behind)
{
    int before = count_descriptors();
    int64_t live = thi_alloc_live();
    choose(every_engine[_i]->name);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

/* ---- a system that refuses io_uring -------------------------------------------------------------
 */

static const int refusals[] = { EPERM, ENOSYS };

START_TEST(refused_engine_is_replaced_and_the_reason_told)
{
    int before = count_descriptors();
    if (!forbid_call(SYS_io_uring_setup, refusals[_i]))
        return;
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_uring), -refusals[_i]);
    choose("uring");
    ck_assert_ptr_eq(choice.engine, &thi_engine_epoll);
    ck_assert_ptr_nonnull(strstr(choice.why, "uring"));
    ck_assert_ptr_nonnull(strstr(choice.why, th_strerror(-refusals[_i])));
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

/* Kernels before 5.12 count the rings as locked memory; later ones do not. Both are fine. */
START_TEST(without_lockable_memory_a_ring_opens_or_is_refused_cleanly)
{
    struct rlimit none = { 0, 0 };
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    if (geteuid() == 0) /* who may lock whatever the limit */
        ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
    int before = count_descriptors();
    int err = thi_loop_open(&loop, &thi_engine_uring);
    if (err == 0)
        thi_loop_close(&loop);
    else
        ck_assert(err == -ENOMEM || err == -EPERM || err == -ENOSYS);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

/* ---- failure at every step ----------------------------------------------------------------------
 */

static int calls;

static void count_call(thi_watch *watch, unsigned events)
{
    (void)watch;
    (void)events;
    calls++;
}

/* Takes part in what a loop does; returns the first failure. */
static int scenario(const thi_engine *engine, int fd)
{
    int err = thi_loop_open(&loop, engine);
    if (err < 0)
        return err;
    thi_watch watch;
    err = thi_loop_watch(&loop, &watch, fd, 0, count_call);
    if (err == 0) {
        err = thi_loop_want(&loop, &watch, THI_READ);
        for (int i = 0; i < 3 && err >= 0; i++)
            err = thi_loop_turn(&loop, 0);
        thi_loop_unwatch(&loop, &watch);
    }
    thi_loop_close(&loop);
    return err;
}

static const int errors[] = { EMFILE, ENOMEM, EAGAIN, EINTR, EINVAL };

START_TEST(each_system_call_may_fail)
{
    int fd = eventfd(1, EFD_NONBLOCK);
    int before = count_descriptors();
    int64_t live = thi_alloc_live();
    for (size_t e = 0; e < thi_array_len(errors); e++) {
        const char *hit;
        unsigned long n = 0;
        do {
            thi_fault_begin(++n, errors[e]);
            int err = scenario(every_engine[_i], fd);
            hit = thi_fault_hit();
            thi_fault_end();
            ck_assert(err >= 0 || err == -errors[e] || err == -ENOSYS);
            ck_assert_int_eq(count_descriptors(), before);
            ck_assert_int_eq(thi_alloc_live(), live);
        } while (hit);
        ck_assert_uint_gt(n, 3);
    }
    calls = 0;
    ck_assert_int_ge(scenario(every_engine[_i], fd), 0);
    ck_assert_int_gt(calls, 0);
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    int fd = eventfd(1, EFD_NONBLOCK);
    int before = count_descriptors();
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        int err = scenario(every_engine[_i], fd);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_int_eq(count_descriptors(), before);
        ck_assert_int_eq(thi_alloc_live(), live);
        if (untouched) {
            ck_assert_int_ge(err, 0);
            break;
        }
        ck_assert_int_eq(err, -ENOMEM);
    }
}
END_TEST

START_TEST(choice_survives_each_failure_with_a_reason)
{
    int before = count_descriptors();
    const char *hit;
    unsigned long n = 0;
    do {
        thi_fault_begin(++n, EMFILE);
        choose(every_engine[_i]->name);
        hit = thi_fault_hit();
        thi_fault_end();
        ck_assert(choice.engine == every_engine[_i] || strstr(choice.why, th_strerror(-EMFILE)));
        ck_assert_int_eq(count_descriptors(), before);
    } while (hit);
}
END_TEST

START_TEST(choice_survives_lack_of_memory_with_a_reason)
{
    thi_alloc_fail_at(1);
    choose("poll");
    ck_assert_ptr_eq(choice.engine, &thi_engine_epoll);
    ck_assert_ptr_nonnull(strstr(choice.why, th_strerror(-ENOMEM)));
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "choice");
    tcase_add_test(tcase, nothing_asked_for_gives_the_default);
    add_for_engines(tcase, engine_asked_for_by_name_is_given);
    add_for_engines(tcase, environment_chooses_when_nobody_else_does);
    tcase_add_test(tcase, unknown_name_is_refused_and_the_known_ones_are_told);
    add_for_engines(tcase, choosing_leaves_nothing_behind);

    tcase = thi_check_case(suite, "refusal");
    tcase_add_loop_test(tcase, refused_engine_is_replaced_and_the_reason_told, 0,
                        (int)thi_array_len(refusals));
    tcase_add_test(tcase, without_lockable_memory_a_ring_opens_or_is_refused_cleanly);

    tcase = thi_check_case(suite, "torture");
    add_for_engines(tcase, each_system_call_may_fail);
    add_for_engines(tcase, each_allocation_may_fail);
    add_for_engines(tcase, choice_survives_each_failure_with_a_reason);
    tcase_add_test(tcase, choice_survives_lack_of_memory_with_a_reason);
}

int main(void)
{
    return thi_check_run("loop/engines", fill_suite);
}
