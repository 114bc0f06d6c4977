/* SPDX-License-Identifier: MIT */

/* Services: the order of starting and stopping, and what fails on the way. */
#include "runtime/in_fiber.h"

#include "base/alloc.h"

#include <thrum/event.h>
#include <thrum/service.h>

typedef struct part {
    char name[2];
    int start_result;
    int stop_result;
    bool slow; /* suspends in both */
    th_service *service;
} part;

/* Upper case: started; lower case: stopped; a dot: freed. */
static int part_start(th_service *service, void *self)
{
    part *p = self;
    ck_assert_ptr_eq(service, p->service);
    if (p->slow)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    note((char)(p->name[0] - 'a' + 'A'));
    return p->start_result;
}

static int part_stop(th_service *service, void *self)
{
    part *p = self;
    ck_assert_ptr_eq(service, p->service);
    if (p->slow)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    note(p->name[0]);
    return p->stop_result;
}

static void part_free(void *self)
{
    (void)self;
    note('.');
}

static const th_service_ops part_ops = { .start = part_start,
                                         .stop = part_stop,
                                         .free = part_free };

static part parts[5];

/* a above b and c, c above d; e for itself. */
static void make_tree(void)
{
    memset(trace, 0, sizeof trace);
    for (int i = 0; i < 5; i++) {
        parts[i] = (part){ .name = { (char)('a' + i) } };
        ck_assert_int_eq(th_service_new(parts[i].name, &part_ops, &parts[i], &parts[i].service), 0);
    }
    ck_assert_int_eq(th_service_add(parts[0].service, parts[1].service), 0);
    ck_assert_int_eq(th_service_add(parts[0].service, parts[2].service), 0);
    ck_assert_int_eq(th_service_add(parts[2].service, parts[3].service), 0);
}

static void free_all(void)
{
    ck_assert_int_eq(th_service_free(parts[0].service), 0);
    ck_assert_int_eq(th_service_free(parts[4].service), 0);
}

static void is_in_state(int index, int state)
{
    ck_assert_int_eq(th_service_state(parts[index].service), state);
}

FIBER_TEST(they_start_in_order_and_stop_in_the_opposite_one)
{
    make_tree();
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(th_service_start(parts[0].service), 0);
    ck_assert_str_eq(trace, "ABCD");
    for (int i = 0; i < 4; i++)
        is_in_state(i, TH_SERVICE_RUNNING);
    ck_assert_int_eq(th_service_free(parts[0].service), -EBUSY);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(th_service_stop(parts[0].service), 0);
    ck_assert_str_eq(trace, "ABCDdcba");
    for (int i = 0; i < 4; i++)
        is_in_state(i, TH_SERVICE_STOPPED);
    ck_assert_int_eq(th_service_start(parts[0].service), 0);
    ck_assert_int_eq(th_service_stop(parts[0].service), 0);
    ck_assert_str_eq(trace, "ABCDdcbaABCDdcba");
    free_all();
    ck_assert_str_eq(trace, "ABCDdcbaABCDdcba.....");
}

FIBER_TEST(a_start_that_fails_stops_those_that_were_started)
{
    make_tree();
    parts[3].start_result = -EADDRINUSE;
    ck_assert_int_eq(th_service_start(parts[0].service), -EADDRINUSE);
    ck_assert_str_eq(trace, "ABCDcba");
    for (int i = 0; i < 4; i++)
        is_in_state(i, TH_SERVICE_STOPPED);
    parts[3].start_result = 0;
    parts[0].start_result = -EPERM;
    ck_assert_int_eq(th_service_start(parts[0].service), -EPERM);
    ck_assert_str_eq(trace, "ABCDcbaA");
    free_all();
}

FIBER_TEST(stopping_goes_on_after_a_failure_and_tells_the_first)
{
    make_tree();
    ck_assert_int_eq(th_service_start(parts[0].service), 0);
    parts[3].stop_result = -EIO;
    parts[1].stop_result = -EPERM;
    ck_assert_int_eq(th_service_stop(parts[0].service), -EIO);
    ck_assert_str_eq(trace, "ABCDdcba");
    for (int i = 0; i < 4; i++)
        is_in_state(i, TH_SERVICE_STOPPED);
    free_all();
}

FIBER_TEST(what_is_added_to_one_that_runs_is_started)
{
    make_tree();
    ck_assert_int_eq(th_service_start(parts[0].service), 0);
    parts[4].start_result = -EPERM;
    ck_assert_int_eq(th_service_add(parts[0].service, parts[4].service), -EPERM);
    is_in_state(4, TH_SERVICE_STOPPED);
    ck_assert_int_eq(th_service_remove(parts[4].service), 0);
    parts[4].start_result = 0;
    ck_assert_int_eq(th_service_add(parts[0].service, parts[4].service), 0);
    is_in_state(4, TH_SERVICE_RUNNING);
    ck_assert_int_eq(th_service_remove(parts[1].service), 0);
    is_in_state(1, TH_SERVICE_STOPPED);
    ck_assert_int_eq(th_service_stop(parts[0].service), 0);
    ck_assert_str_eq(trace, "ABCDEEbedca");
    ck_assert_int_eq(th_service_free(parts[0].service), 0);
    ck_assert_int_eq(th_service_free(parts[1].service), 0);
}

FIBER_TEST(they_are_found_by_name)
{
    make_tree();
    ck_assert_ptr_eq(th_service_find(parts[0].service, "c"), parts[2].service);
    ck_assert_ptr_null(th_service_find(parts[0].service, "d"));
    ck_assert_ptr_null(th_service_find(NULL, "c"));
    ck_assert_str_eq(th_service_name(parts[2].service), "c");
    ck_assert_str_eq(th_service_name(NULL), "");
    free_all();
}

static int start_tree(void *arg)
{
    (void)arg;
    return th_service_start(parts[0].service);
}

FIBER_TEST(while_somebody_is_at_it_others_are_refused)
{
    th_scope scope;
    make_tree();
    parts[1].slow = true;
    open_scope(&scope);
    spawn(&scope, start_tree, NULL);
    ck_assert_int_eq(th_yield(), 0);
    is_in_state(0, TH_SERVICE_STARTING);
    ck_assert_int_eq(th_service_start(parts[0].service), -EBUSY);
    ck_assert_int_eq(th_service_stop(parts[0].service), -EBUSY);
    ck_assert_int_eq(th_service_add(parts[0].service, parts[4].service), -EBUSY);
    ck_assert_int_eq(th_service_remove(parts[2].service), -EBUSY);
    close_scope(&scope);
    ck_assert_str_eq(trace, "ABCD");
    ck_assert_int_eq(th_service_stop(parts[0].service), 0);
    free_all();
}

FIBER_TEST(misuse_is_refused)
{
    th_service *s;
    th_service_ops newer = { .size = sizeof newer + 1 };
    make_tree();
    ck_assert_int_eq(th_service_new(NULL, NULL, NULL, &s), -EINVAL);
    ck_assert_int_eq(th_service_new("x", NULL, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_service_new("x", &newer, NULL, &s), -EINVAL);
    ck_assert_int_eq(th_service_task("x", NULL, NULL, &s), -EINVAL);
    ck_assert_int_eq(th_service_add(parts[3].service, parts[0].service), -EINVAL);
    ck_assert_int_eq(th_service_add(parts[0].service, parts[0].service), -EINVAL);
    ck_assert_int_eq(th_service_add(parts[4].service, parts[1].service), -EINVAL);
    ck_assert_int_eq(th_service_add(NULL, parts[4].service), -EINVAL);
    ck_assert_int_eq(th_service_remove(parts[0].service), -EINVAL);
    ck_assert_int_eq(th_service_free(parts[1].service), -EINVAL);
    ck_assert_int_eq(th_service_start(NULL), -EINVAL);
    ck_assert_int_eq(th_service_stop(NULL), -EINVAL);
    ck_assert_int_eq(th_service_state(NULL), -EINVAL);
    ck_assert_int_eq(th_service_run(NULL, 0), -EINVAL);
    ck_assert_int_eq(th_service_run(parts[0].service, -1), -EINVAL);
    ck_assert_int_eq(th_service_free(NULL), 0);
    free_all();
}

START_TEST(outside_a_fiber_nothing_is_started)
{
    th_service *s;
    ck_assert_int_eq(th_service_new("x", NULL, NULL, &s), 0);
    ck_assert_int_eq(th_service_start(s), -EPERM);
    ck_assert_int_eq(th_service_stop(s), -EPERM);
    ck_assert_int_eq(th_service_free(s), 0);
}
END_TEST

/* ---- tasks, and running ---------------------------------------------------------------------- */

static th_event begun = TH_EVENT_AUTO_INIT;

static int task_body(void *arg)
{
    int *result = arg;
    note('T');
    th_event_set(&begun);
    int err = th_sleep(TH_NEVER);
    note('t');
    return *result ? *result : err;
}

FIBER_TEST(a_task_is_a_fiber_that_is_cancelled_and_joined)
{
    th_service *s;
    int result = 0;
    memset(trace, 0, sizeof trace);
    ck_assert_int_eq(th_service_task("task", task_body, &result, &s), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(th_service_start(s), 0);
        ck_assert_int_eq(th_event_wait(&begun), 0);
        ck_assert_int_eq(th_service_stop(s), 0);
    }
    result = -EIO;
    ck_assert_int_eq(th_service_start(s), 0);
    ck_assert_int_eq(th_event_wait(&begun), 0);
    ck_assert_int_eq(th_service_stop(s), -EIO);
    ck_assert_str_eq(trace, "TtTtTt");
    ck_assert_int_eq(th_service_free(s), 0);
}

static int run_tree(void *arg)
{
    int *result = arg;
    *result = th_service_run(parts[0].service, 0);
    return 0;
}

FIBER_TEST(running_one_ends_with_an_orderly_stop)
{
    th_scope scope;
    int result = 77;
    make_tree();
    parts[2].slow = true;
    open_scope(&scope);
    spawn(&scope, run_tree, &result);
    while (th_service_state(parts[0].service) != TH_SERVICE_RUNNING)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_stop(), 0);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    ck_assert_int_eq(result, 0);
    ck_assert_str_eq(trace, "ABCDdcba");
    free_all();
}

FIBER_TEST(a_cancelled_one_stops_in_order_all_the_same)
{
    th_scope scope;
    int result = 77;
    make_tree();
    parts[1].slow = parts[3].slow = true;
    open_scope(&scope);
    spawn(&scope, run_tree, &result);
    while (th_service_state(parts[0].service) != TH_SERVICE_RUNNING)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(result, -ECANCELED);
    ck_assert_str_eq(trace, "ABCDdcba");
    parts[1].start_result = -EIO;
    parts[1].slow = false;
    ck_assert_int_eq(th_service_run(parts[0].service, 0), -EIO);
    free_all();
}

FIBER_TEST(each_allocation_may_fail)
{
    static int result;
    for (int64_t n = 1;; n++) {
        th_service *s = NULL;
        thi_alloc_fail_at(n);
        int err = th_service_task("task", task_body, &result, &s);
        if (err == 0) {
            err = th_service_start(s);
            if (err == 0)
                ck_assert_int_eq(th_event_wait(&begun), 0);
            int stopped = th_service_stop(s);
            ck_assert(stopped == 0 || stopped == -ENOMEM);
            if (stopped < 0)
                ck_assert_int_eq(th_service_stop(s), 0);
            ck_assert_int_eq(th_service_free(s), 0);
        }
        ck_assert(err == 0 || err == -ENOMEM);
        if (thi_alloc_fail_at(0) > 0)
            break;
    }
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "service");
    tcase_add_test(tcase, they_start_in_order_and_stop_in_the_opposite_one);
    tcase_add_test(tcase, a_start_that_fails_stops_those_that_were_started);
    tcase_add_test(tcase, stopping_goes_on_after_a_failure_and_tells_the_first);
    tcase_add_test(tcase, what_is_added_to_one_that_runs_is_started);
    tcase_add_test(tcase, they_are_found_by_name);
    tcase_add_test(tcase, while_somebody_is_at_it_others_are_refused);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, outside_a_fiber_nothing_is_started);
    tcase = thi_check_case(suite, "running");
    tcase_add_test(tcase, a_task_is_a_fiber_that_is_cancelled_and_joined);
    tcase_add_test(tcase, running_one_ends_with_an_orderly_stop);
    tcase_add_test(tcase, a_cancelled_one_stops_in_order_all_the_same);
    tcase_add_test(tcase, each_allocation_may_fail);
}

int main(void)
{
    return thi_check_run("callback/service", fill_suite);
}
