/* SPDX-License-Identifier: MIT */

/* The inbox: order, shut and open, credits, and submitters against one who has the lock. */
#include "pool/inbox.h"

#include "check_main.h"

#include <pthread.h>
#include <sched.h>

enum { MANY = 5, SUBMITTERS = 4, EACH = 20000, CREDITS = 7 };

static thi_inbox inbox;
static thi_job jobs[SUBMITTERS][EACH];
static atomic_int left;

START_TEST(jobs_come_out_in_the_order_of_their_pushes)
{
    thi_inbox_grant(&inbox, MANY);
    ck_assert(!thi_inbox_stirs(&inbox));
    for (int i = 0; i < MANY; i++)
        ck_assert(thi_inbox_push(&inbox, &jobs[0][i]));
    ck_assert(thi_inbox_stirs(&inbox));
    thi_job *job = thi_inbox_take(&inbox, false);
    for (int i = 0; i < MANY; i++, job = job->next)
        ck_assert_ptr_eq(job, &jobs[0][i]);
    ck_assert_ptr_null(job);
    ck_assert_ptr_null(thi_inbox_take(&inbox, false));
    ck_assert(!thi_inbox_stirs(&inbox));
}
END_TEST

START_TEST(every_push_takes_a_credit)
{
    ck_assert(!thi_inbox_push(&inbox, &jobs[0][0]));
    thi_inbox_grant(&inbox, 2);
    ck_assert(thi_inbox_push(&inbox, &jobs[0][0]));
    ck_assert(thi_inbox_push(&inbox, &jobs[0][1]));
    ck_assert(!thi_inbox_push(&inbox, &jobs[0][2]));
    thi_inbox_grant(&inbox, 3);
    ck_assert(thi_inbox_push(&inbox, &jobs[0][2]));
    ck_assert_uint_eq(thi_inbox_revoke(&inbox), 2);
    ck_assert_uint_eq(thi_inbox_revoke(&inbox), 0);
    ck_assert(!thi_inbox_push(&inbox, &jobs[0][3]));
}
END_TEST

START_TEST(shut_it_takes_nothing_and_keeps_its_credits)
{
    thi_inbox_grant(&inbox, 2);
    ck_assert(thi_inbox_push(&inbox, &jobs[0][0]));
    ck_assert_ptr_eq(thi_inbox_take(&inbox, true), &jobs[0][0]);
    ck_assert(thi_inbox_stirs(&inbox));
    ck_assert(!thi_inbox_push(&inbox, &jobs[0][1]));
    ck_assert_ptr_null(thi_inbox_take(&inbox, true));
    thi_inbox_open(&inbox);
    ck_assert(!thi_inbox_stirs(&inbox));
    ck_assert(thi_inbox_push(&inbox, &jobs[0][1]));
    ck_assert_uint_eq(thi_inbox_revoke(&inbox), 0);
}
END_TEST

static void *submit_all(void *arg)
{
    thi_job *mine = arg;
    for (int i = 0; i < EACH; i++)
        while (!thi_inbox_push(&inbox, &mine[i]))
            sched_yield();
    atomic_fetch_sub(&left, 1);
    return NULL;
}

/* Takes what is there, which each submitter has pushed in order: how many. */
static int take_some(bool shut, int next[SUBMITTERS])
{
    int taken = 0;
    thi_job *following;
    for (thi_job *job = thi_inbox_take(&inbox, shut); job; job = following, taken++) {
        following = job->next;
        long at = job - &jobs[0][0];
        ck_assert_int_eq(at % EACH, next[at / EACH]++);
    }
    return taken;
}

/* Credits are granted for as many as were taken: there are never more jobs in it than the first
 * grant allowed, and in the end all credits are back. */
START_TEST(whoever_shuts_it_sees_each_job_once_and_all_credits)
{
    pthread_t threads[SUBMITTERS];
    int next[SUBMITTERS] = { 0 };
    atomic_store(&left, SUBMITTERS);
    thi_inbox_grant(&inbox, CREDITS);
    for (int i = 0; i < SUBMITTERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, submit_all, jobs[i]), 0);
    for (int round = 0, all = 0; all < SUBMITTERS * EACH; round++) {
        bool shut = round % 2;
        int taken = take_some(shut, next);
        ck_assert_int_le(taken, CREDITS);
        thi_inbox_grant(&inbox, (size_t)taken);
        if (shut)
            thi_inbox_open(&inbox);
        all += taken;
        if (taken == 0)
            sched_yield();
    }
    for (int i = 0; i < SUBMITTERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_eq(atomic_load(&left), 0);
    ck_assert_ptr_null(thi_inbox_take(&inbox, true));
    ck_assert_uint_eq(thi_inbox_revoke(&inbox), CREDITS);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "inbox");
    tcase_add_test(tcase, jobs_come_out_in_the_order_of_their_pushes);
    tcase_add_test(tcase, every_push_takes_a_credit);
    tcase_add_test(tcase, shut_it_takes_nothing_and_keeps_its_credits);
    tcase_add_test(tcase, whoever_shuts_it_sees_each_job_once_and_all_credits);
}

int main(void)
{
    return thi_check_run("pool/inbox", fill);
}
