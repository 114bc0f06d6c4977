/* SPDX-License-Identifier: MIT */

/* The queue: order, ranks, patience. */
#include "pool/jobs.h"

#include "check_main.h"

#define MANY 100

static thi_job high[MANY], normal[MANY], low[MANY];
static thi_jobs jobs;

static void push(thi_job *job, uint8_t rank)
{
    job->rank = rank;
    thi_jobs_push(&jobs, job);
    ck_assert_int_eq(job->state, THI_JOB_WAITING);
}

static void expect(thi_job *job)
{
    ck_assert_ptr_eq(thi_jobs_pop(&jobs), job);
}

START_TEST(empty_it_gives_nothing)
{
    ck_assert_ptr_null(thi_jobs_pop(&jobs));
    ck_assert_ptr_null(thi_jobs_take_all(&jobs));
}
END_TEST

START_TEST(jobs_of_a_rank_keep_their_order)
{
    for (int i = 0; i < MANY; i++)
        push(&normal[i], THI_JOB_NORMAL);
    for (int i = 0; i < MANY; i++)
        expect(&normal[i]);
    expect(NULL);
}
END_TEST

START_TEST(a_higher_rank_goes_first)
{
    push(&low[0], THI_JOB_LOW);
    push(&normal[0], THI_JOB_NORMAL);
    push(&high[0], THI_JOB_HIGH);
    push(&high[1], THI_JOB_HIGH);
    expect(&high[0]);
    expect(&high[1]);
    expect(&normal[0]);
    expect(&low[0]);
}
END_TEST

START_TEST(any_place_of_the_queue_can_be_left)
{
    for (int i = 0; i < 4; i++)
        push(&normal[i], THI_JOB_NORMAL);
    thi_jobs_remove(&jobs, &normal[0]);
    thi_jobs_remove(&jobs, &normal[3]);
    thi_jobs_remove(&jobs, &normal[1]);
    ck_assert_uint_eq(jobs.count, 1);
    push(&normal[4], THI_JOB_NORMAL);
    expect(&normal[2]);
    expect(&normal[4]);
    expect(NULL);
}
END_TEST

/* At the limit the high ones still go first; one above it does not. */
START_TEST(a_low_one_is_passed_over_so_often_and_no_more)
{
    push(&low[0], THI_JOB_LOW);
    for (int i = 0; i < THI_JOBS_PATIENCE + 1; i++)
        push(&high[i], THI_JOB_HIGH);
    for (int i = 0; i < THI_JOBS_PATIENCE; i++)
        expect(&high[i]);
    expect(&low[0]);
    expect(&high[THI_JOBS_PATIENCE]);
}
END_TEST

START_TEST(under_a_stream_of_high_ones_both_others_go_on)
{
    int taken[THI_JOB_RANKS] = { 0 };
    for (int i = 0; i < MANY; i++) {
        push(&high[i], THI_JOB_HIGH);
        push(&normal[i], THI_JOB_NORMAL);
        push(&low[i], THI_JOB_LOW);
    }
    for (int i = 0; i < MANY; i++)
        taken[thi_jobs_pop(&jobs)->rank]++;
    ck_assert_int_eq(taken[THI_JOB_NORMAL], MANY / (THI_JOBS_PATIENCE + 1));
    ck_assert_int_eq(taken[THI_JOB_LOW], MANY / (THI_JOBS_PATIENCE + 1));
}
END_TEST

START_TEST(all_are_taken_as_a_chain)
{
    push(&low[0], THI_JOB_LOW);
    push(&high[0], THI_JOB_HIGH);
    thi_job *all = thi_jobs_take_all(&jobs);
    ck_assert_ptr_eq(all, &high[0]);
    ck_assert_ptr_eq(all->next, &low[0]);
    ck_assert_ptr_null(all->next->next);
    ck_assert_uint_eq(jobs.count, 0);
    ck_assert_int_eq(low[0].state, THI_JOB_ELSEWHERE);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "jobs");
    tcase_add_test(tcase, empty_it_gives_nothing);
    tcase_add_test(tcase, jobs_of_a_rank_keep_their_order);
    tcase_add_test(tcase, a_higher_rank_goes_first);
    tcase_add_test(tcase, any_place_of_the_queue_can_be_left);
    tcase_add_test(tcase, a_low_one_is_passed_over_so_often_and_no_more);
    tcase_add_test(tcase, under_a_stream_of_high_ones_both_others_go_on);
    tcase_add_test(tcase, all_are_taken_as_a_chain);
}

int main(void)
{
    return thi_check_run("pool/jobs", fill);
}
