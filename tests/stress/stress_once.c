/* SPDX-License-Identifier: MIT */

/* A crowd at things to be done once: each is done once, however often it fails before. */
#include "crowd.h"

#include <thrum/once.h>

#define ROUNDS 500

static th_once onces[ROUNDS];
static int made[ROUNDS];  /* by the call that succeeds; read after it */
static int tries[ROUNDS]; /* counted by whoever does it */
static atomic_int failures;

static void begin(void)
{
    memset(onces, 0, sizeof onces);
    memset(made, 0, sizeof made);
    memset(tries, 0, sizeof tries);
    atomic_store(&failures, 0);
}

/* Fails up to three times. */
static int make(void *arg)
{
    int round = *(const int *)arg;
    int before = tries[round];
    if (round % 2)
        crowd_yield();
    tries[round] = before + 1;
    if (before < round % 4)
        return -EAGAIN;
    made[round] = round + 1;
    return 0;
}

static int call_somehow(int round, int how)
{
    return how % 2 ? briefly(10 * (1 + how % 3), th_once_call(&onces[round], make, &round))
                   : th_once_call(&onces[round], make, &round);
}

static void use_all(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        int result;
        while ((result = call_somehow(i, me + i / 2)) != 0) {
            ck_assert(result == -EAGAIN || result == -ETIMEDOUT);
            atomic_fetch_add(&failures, result == -EAGAIN);
        }
        ck_assert_int_eq(made[i], i + 1);
        ck_assert_int_eq(tries[i], i % 4 + 1);
    }
}

static void check(void)
{
    int wanted = 0;
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(made[i], i + 1);
        ck_assert_int_eq(tries[i], i % 4 + 1);
        wanted += i % 4;
    }
    ck_assert_int_eq(atomic_load(&failures), wanted); /* each is told to the one who failed */
}

CROWD_TEST(each_is_done_once, .begin = begin, .act = use_all, .check = check)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "once");
    tcase_add_test(tcase, each_is_done_once);
}

int main(void)
{
    return thi_check_run("stress/once", fill);
}
