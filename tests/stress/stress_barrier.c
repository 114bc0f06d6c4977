/* SPDX-License-Identifier: MIT */

/* A crowd at barriers: nobody goes before all have come, and one that breaks breaks for all. */
#include "crowd.h"

#include <thrum/barrier.h>
#include <thrum/error.h>

#define ROUNDS 300
#define FEW    4

static th_barrier barrier;
static atomic_int zeros, ones; /* what waits said */

static void begin_with(uint32_t parties)
{
    surely(th_barrier_init(&barrier, parties));
    atomic_store(&zeros, 0);
    atomic_store(&ones, 0);
}

/* Of each round that was completed one party is the last. */
static void check_lasts(int parties)
{
    ck_assert_int_eq(atomic_load(&zeros), (parties - 1) * atomic_load(&ones));
}

static void note_result(int result)
{
    if (result == 0)
        atomic_fetch_add(&zeros, 1);
    else if (result == 1)
        atomic_fetch_add(&ones, 1);
}

/* ---- all meet, again and again ---- */

/* Each round fills one of two rows, so that a round may be read while the next one is written. */
static int number[2][CROWD];

static void begin_all(void)
{
    begin_with(CROWD);
    memset(number, 0, sizeof number);
}

static void meet(int me)
{
    for (int round = 1; round <= ROUNDS; round++) {
        int *row = number[round % 2];
        row[me] = round;
        int result = th_barrier_wait(&barrier);
        ck_assert_int_ge(result, 0);
        note_result(result);
        for (int i = 0; i < CROWD; i++)
            ck_assert_int_eq(row[i], round);
    }
}

static void check_all(void)
{
    check_lasts(CROWD);
    ck_assert_int_eq(atomic_load(&ones), ROUNDS);
    ck_assert_int_eq(th_barrier_is_broken(&barrier), 0);
}

CROWD_TEST(nobody_goes_before_all_have_come, .begin = begin_all, .act = meet, .check = check_all)

/* ---- any four meet, unless somebody breaks it ---- */

static atomic_int gone;

static void begin_fragile(void)
{
    begin_with(FEW);
    atomic_store(&gone, 0);
}

/*
 * Makes a broken barrier whole, unless somebody has left: then it stays broken for all. One who
 * leaves counts himself and then breaks it, so whoever makes it whole looks at the count
 * afterwards.
 */
static bool mend(void)
{
    surely(th_barrier_reset(&barrier));
    return atomic_load(&gone) == 0;
}

static void come_for_a_moment(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        int result = briefly(20 * (1 + i % 5), th_barrier_wait(&barrier));
        note_result(result);
        ck_assert(result == 0 || result == 1 || result == -ETIMEDOUT || result == TH_EBROKEN);
        if (result == TH_EBROKEN && !mend())
            break;
        if (me % 8 == 0 && i % 50 == 49)
            surely(th_barrier_abort(&barrier));
    }
    atomic_fetch_add(&gone, 1);
    surely(th_barrier_abort(&barrier));
}

static void come(int me)
{
    (void)me;
    int result = th_barrier_wait(&barrier);
    ck_assert_int_ge(result, 0);
    note_result(result);
}

static void check_fragile(void)
{
    check_lasts(FEW);
    ck_assert_int_eq(th_barrier_is_broken(&barrier), 1);
    surely(th_barrier_reset(&barrier));
    int before = atomic_load(&ones);
    crowd_act(come);
    check_lasts(FEW);
    ck_assert_int_eq(atomic_load(&ones) - before, CROWD / FEW);
}

CROWD_TEST(arrivals_deadlines_breaks_and_resets_race, .begin = begin_fragile,
           .act = come_for_a_moment, .check = check_fragile)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "barrier");
    tcase_add_test(tcase, nobody_goes_before_all_have_come);
    tcase_add_test(tcase, arrivals_deadlines_breaks_and_resets_race);
}

int main(void)
{
    return thi_check_run("stress/barrier", fill);
}
