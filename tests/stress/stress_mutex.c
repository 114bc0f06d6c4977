/* SPDX-License-Identifier: MIT */

/* A crowd at a mutex, plain and recursive: one at a time, and no lock is lost or had twice. */
#include "crowd.h"

#include <thrum/mutex.h>

#define ROUNDS 1000

static th_mutex mutex;
static int shared;     /* guarded by it */
static int got[CROWD]; /* how often each had it, by its own count */

static void begin_plain(void)
{
    mutex = (th_mutex)TH_MUTEX_INIT;
    shared = 0;
    memset(got, 0, sizeof got);
}

static void begin_recursive(void)
{
    begin_plain();
    mutex = (th_mutex)TH_MUTEX_RECURSIVE_INIT;
}

/* In one of the ways to get it; whether it was got. */
static bool lock_somehow(int how)
{
    int result;
    if (how % 4 == 0)
        result = th_mutex_trylock(&mutex);
    else if (how % 4 == 1)
        result = briefly(20, th_mutex_lock(&mutex));
    else
        result = th_mutex_lock(&mutex);
    ck_assert(result == 0 || (how % 4 == 0 && result == -EBUSY) ||
              (how % 4 == 1 && result == -ETIMEDOUT));
    return result == 0;
}

static void use(int how)
{
    int before = shared;
    if (how % 16 < 4)
        crowd_yield(); /* while it has the mutex */
    shared = before + 1;
}

static void lock_plain(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (!lock_somehow(i))
            continue;
        use(i);
        surely(th_mutex_unlock(&mutex));
        got[me]++;
    }
}

static void lock_recursively(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (!lock_somehow(i))
            continue;
        surely(th_mutex_lock(&mutex));
        use(i);
        surely(th_mutex_trylock(&mutex));
        surely(th_mutex_unlock(&mutex));
        surely(th_mutex_unlock(&mutex));
        use(i); /* it still has it */
        surely(th_mutex_unlock(&mutex));
        got[me] += 2;
    }
}

static void check(void)
{
    int sum = 0;
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_ge(got[i], ROUNDS / 2); /* for half of the ways know no failure */
        sum += got[i];
    }
    ck_assert_int_eq(shared, sum);
    ck_assert_int_eq(th_mutex_unlock(&mutex), -EPERM);
    surely(th_mutex_trylock(&mutex));
    surely(th_mutex_unlock(&mutex));
}

CROWD_TEST(one_at_a_time_has_it, .begin = begin_plain, .act = lock_plain, .check = check)

CROWD_TEST(one_at_a_time_has_a_recursive_one_however_deep, .begin = begin_recursive,
           .act = lock_recursively, .check = check)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "mutex");
    tcase_add_test(tcase, one_at_a_time_has_it);
    tcase_add_test(tcase, one_at_a_time_has_a_recursive_one_however_deep);
}

int main(void)
{
    return thi_check_run("stress/mutex", fill);
}
