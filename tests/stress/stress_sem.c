/* SPDX-License-Identifier: MIT */

/* A crowd at semaphores: units are neither lost nor made, and never more are out than there are. */
#include "crowd.h"

#include <thrum/sem.h>

#define ROUNDS 1000

static th_sem sem;
static int limit;  /* units there are */
static int shared; /* plain, and touched only where one unit is a lock */
static atomic_int inside;
static int taken[CROWD]; /* by each, by its own count */
static int brought[CROWD];

static void begin_with(uint32_t units)
{
    sem = (th_sem)TH_SEM_INIT(units);
    atomic_store(&inside, 0);
    memset(taken, 0, sizeof taken);
    memset(brought, 0, sizeof brought);
}

static int sum_of(const int figures[CROWD])
{
    int sum = 0;
    for (int i = 0; i < CROWD; i++)
        sum += figures[i];
    return sum;
}

/* Takes all units that there are, and counts them. */
static int drain(void)
{
    int units = 0;
    while (th_sem_tryacquire(&sem) == 0)
        units++;
    return units;
}

static bool acquire_somehow(int how)
{
    int result;
    if (how % 4 == 0)
        result = th_sem_tryacquire(&sem);
    else if (how % 4 == 1)
        result = briefly(20, th_sem_acquire(&sem));
    else
        result = th_sem_acquire(&sem);
    ck_assert(result == 0 || (how % 4 == 0 && result == -EAGAIN) ||
              (how % 4 == 1 && result == -ETIMEDOUT));
    return result == 0;
}

/* ---- a few units that all want ---- */

static void begin_few(void)
{
    limit = 3;
    begin_with(3);
}

static void begin_one(void)
{
    limit = 1;
    shared = 0;
    begin_with(1);
}

static void use_units(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (!acquire_somehow(i))
            continue;
        ck_assert_int_lt(atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed), limit);
        if (limit == 1)
            shared++;
        taken[me]++;
        if (i % 16 < 4)
            crowd_yield(); /* while it has the unit */
        atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
        surely(th_sem_release(&sem, 1));
    }
}

static void check_few(void)
{
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_ge(taken[i], ROUNDS / 2);
    ck_assert_int_eq(drain(), limit);
}

static void check_one(void)
{
    check_few();
    ck_assert_int_eq(shared, sum_of(taken));
}

CROWD_TEST(never_more_than_there_are_units_get_in, .begin = begin_few, .act = use_units,
           .check = check_few)

CROWD_TEST(a_single_unit_is_a_lock, .begin = begin_one, .act = use_units, .check = check_one)

/* ---- units that are brought and taken away ---- */

static void begin_none(void)
{
    begin_with(0);
}

/* A thread that cannot break off takes no more than it has brought: so nobody waits for ever. */
static void bring_and_take(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t units = 1 + (uint32_t)(i + me) % 3;
        surely(th_sem_release(&sem, units));
        brought[me] += (int)units;
        for (uint32_t k = 0; k < units; k++)
            taken[me] += acquire_somehow(i % 4 < 2 ? i : 1);
    }
}

static void check_none(void)
{
    ck_assert_int_eq(sum_of(taken) + drain(), sum_of(brought));
}

CROWD_TEST(what_is_brought_is_taken_or_still_there, .begin = begin_none, .act = bring_and_take,
           .check = check_none)

/* ---- the last place below a bound ---- */

static void begin_bounded(void)
{
    begin_with(0);
    sem = (th_sem)TH_SEM_BOUNDED_INIT(1, 2);
}

static void release_at_the_bound(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        int result = th_sem_release(&sem, 1);
        ck_assert(result == 0 || result == -EOVERFLOW);
        brought[me] += result == 0;
        if (i % 8 == me % 8)
            taken[me] += th_sem_tryacquire(&sem) == 0;
    }
}

static void check_bounded(void)
{
    int left = drain();
    ck_assert_int_le(left, 2);
    ck_assert_int_eq(sum_of(taken) + left, 1 + sum_of(brought));
}

CROWD_TEST(of_those_who_race_for_the_last_place_one_gets_it, .begin = begin_bounded,
           .act = release_at_the_bound, .check = check_bounded)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "sem");
    tcase_add_test(tcase, never_more_than_there_are_units_get_in);
    tcase_add_test(tcase, a_single_unit_is_a_lock);
    tcase_add_test(tcase, what_is_brought_is_taken_or_still_there);
    tcase_add_test(tcase, of_those_who_race_for_the_last_place_one_gets_it);
}

int main(void)
{
    return thi_check_run("stress/sem", fill);
}
