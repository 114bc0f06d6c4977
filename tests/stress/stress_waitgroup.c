/* SPDX-License-Identifier: MIT */

/* A crowd at wait groups: whoever has waited sees all that was done before. */
#include "crowd.h"

#include <thrum/waitgroup.h>

#define ROUNDS 500

static th_waitgroup groups[ROUNDS];
static int finished[ROUNDS][CROWD]; /* by one each; read by whoever has waited */
static th_waitgroup common = TH_WAITGROUP_INIT;

static void begin(void)
{
    memset(groups, 0, sizeof groups);
    memset(finished, 0, sizeof finished);
    for (int i = 0; i < ROUNDS; i++)
        surely(th_waitgroup_add(&groups[i], CROWD));
}

static void wait_for(th_waitgroup *group, int how)
{
    int result = -ETIMEDOUT;
    while (result == -ETIMEDOUT)
        result = how % 3 ? th_waitgroup_wait(group)
                         : briefly(10 * (1 + how % 4), th_waitgroup_wait(group));
    surely(result);
}

static void look(int round)
{
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(finished[round][i], round + 1);
}

/* Not all of them wait each time, so that the crowd is spread over several groups. */
static void finish_and_wait(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 7 == me % 7)
            surely(th_waitgroup_add(&groups[i], 1));
        finished[i][me] = i + 1;
        surely(th_waitgroup_done(&groups[i]));
        if (i % 7 == me % 7)
            surely(th_waitgroup_done(&groups[i]));
        if ((i + me) % 4 == 0)
            continue;
        wait_for(&groups[i], me + i);
        look(i);
    }
}

static void check(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        look(i);
        surely(th_waitgroup_wait(&groups[i]));
        ck_assert_int_eq(th_waitgroup_done(&groups[i]), -EINVAL);
    }
}

CROWD_TEST(whoever_has_waited_sees_all_that_was_done, .begin = begin, .act = finish_and_wait,
           .check = check)

/* ---- one group that is used again and again ---- */

static void count_and_wait(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        surely(th_waitgroup_add(&common, 1 + i % 3));
        if ((i + me) % 5 == 0)
            crowd_yield();
        for (int k = 0; k < i % 3; k++)
            surely(th_waitgroup_done(&common));
        surely(th_waitgroup_done(&common));
        int result = briefly(10 * (1 + i % 3), th_waitgroup_wait(&common));
        ck_assert(result == 0 || result == -ETIMEDOUT);
    }
}

static void check_common(void)
{
    surely(th_waitgroup_wait(&common));
    ck_assert_int_eq(th_waitgroup_done(&common), -EINVAL);
}

CROWD_TEST(nobody_is_forgotten_by_one_that_is_used_again, .act = count_and_wait,
           .check = check_common)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "waitgroup");
    tcase_add_test(tcase, whoever_has_waited_sees_all_that_was_done);
    tcase_add_test(tcase, nobody_is_forgotten_by_one_that_is_used_again);
}

int main(void)
{
    return thi_check_run("stress/waitgroup", fill);
}
