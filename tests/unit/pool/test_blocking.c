/* SPDX-License-Identifier: MIT */

/* Work that blocks: where it runs, and what is told of its failure. */
#include "pools.h"

#include "base/error.h"
#include "pool/blocking.h"
#include "sys/sys.h"

static pthread_t ran_on;
static const thi_sys *ran_with;

static int remember(void *arg)
{
    (void)arg;
    ran_on = pthread_self();
    ran_with = thi_sys_table;
    return 7;
}

FIBER_TEST(a_fiber_waits_while_a_thread_works_with_its_system_calls)
{
    thi_sys own = *thi_sys_table;
    const thi_sys *before = thi_sys_table;
    thi_sys_table = &own;
    ck_assert_int_eq(thi_blocking_run("files", remember, NULL), 7);
    thi_sys_table = before;
    ck_assert(!pthread_equal(ran_on, pthread_self()));
    ck_assert_ptr_eq(ran_with, &own);
}

START_TEST(a_plain_thread_works_itself)
{
    ck_assert_int_eq(thi_compute(remember, NULL), 7);
    ck_assert(pthread_equal(ran_on, pthread_self()));
}
END_TEST

static int remember_further(void *arg)
{
    pthread_t here = pthread_self();
    int result = thi_blocking_run("files", remember, arg);
    return pthread_equal(here, ran_on) ? result : -1;
}

FIBER_TEST(a_thread_of_a_pool_works_itself)
{
    ck_assert_int_eq(th_offload(NULL, remember_further, NULL), 7);
}

static void try_in_loop(void)
{
    ck_assert_int_eq(thi_err_set(-EIO, "of before"), -EIO);
    ck_assert_int_eq(thi_compute(remember, NULL), -EPERM);
    ck_assert_str_eq(th_err_detail(), "");
}

FIBER_TEST(loops_must_not_block)
{
    call_in_loop(try_in_loop);
}

static int break_down(void *arg)
{
    return arg ? thi_err_set(-EIO, "%s is broken", (char *)arg) : -ENOENT;
}

FIBER_TEST(a_failure_has_its_own_detail_or_none)
{
    ck_assert_int_eq(thi_compute(break_down, "the disk"), -EIO);
    ck_assert_str_eq(th_err_detail(), "the disk is broken");
    ck_assert_int_eq(thi_compute(break_down, NULL), -ENOENT);
    ck_assert_str_eq(th_err_detail(), "");
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "blocking");
    tcase_add_test(tcase, a_fiber_waits_while_a_thread_works_with_its_system_calls);
    tcase_add_test(tcase, a_plain_thread_works_itself);
    tcase_add_test(tcase, a_thread_of_a_pool_works_itself);
    tcase_add_test(tcase, loops_must_not_block);
    tcase_add_test(tcase, a_failure_has_its_own_detail_or_none);
}

int main(void)
{
    return thi_check_run("pool/blocking", fill);
}
