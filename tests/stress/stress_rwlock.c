/* SPDX-License-Identifier: MIT */

/* A crowd at a readers-writer lock: many read or one writes, and nothing is lost. */
#include "crowd.h"

#include <thrum/rwlock.h>

#define ROUNDS 1000

static th_rwlock lock;
static int left, right;    /* guarded by it, the same whenever nobody writes */
static int written[CROWD]; /* by each, by its own count */

static void begin(void)
{
    lock = (th_rwlock)TH_RWLOCK_INIT;
    left = right = 0;
    memset(written, 0, sizeof written);
}

static void write_both(int me, bool pauses)
{
    left++;
    if (pauses)
        crowd_yield();
    right++;
    written[me]++;
    surely(th_rwlock_wrunlock(&lock));
}

static void read_both(bool pauses)
{
    int before = left;
    ck_assert_int_eq(right, before);
    if (pauses)
        crowd_yield();
    ck_assert_int_eq(left, before);
    ck_assert_int_eq(right, before);
    surely(th_rwlock_rdunlock(&lock));
}

static void write_somehow(int me, int how)
{
    int result;
    if (how % 3 == 0)
        result = th_rwlock_wrlock(&lock);
    else if (how % 3 == 1)
        result = briefly(10 + how % 30, th_rwlock_wrlock(&lock));
    else
        result = th_rwlock_trywrlock(&lock);
    ck_assert(result == 0 || (how % 3 == 1 && result == -ETIMEDOUT) ||
              (how % 3 == 2 && result == -EBUSY));
    if (result == 0)
        write_both(me, how % 4 == 0);
}

static void read_somehow(int how)
{
    int result;
    if (how % 3 == 0)
        result = th_rwlock_rdlock(&lock);
    else if (how % 3 == 1)
        result = briefly(10 + how % 30, th_rwlock_rdlock(&lock));
    else
        result = th_rwlock_tryrdlock(&lock);
    ck_assert(result == 0 || (how % 3 == 1 && result == -ETIMEDOUT) ||
              (how % 3 == 2 && result == -EBUSY));
    if (result == 0)
        read_both(how % 4 == 0);
}

static void read_and_write(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 4 == 0)
            write_somehow(me, i / 4);
        else
            read_somehow(i);
    }
}

static void check(void)
{
    int sum = 0;
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_ge(written[i], ROUNDS / 12); /* the third of its turns that cannot fail */
        sum += written[i];
    }
    ck_assert_int_eq(left, sum);
    ck_assert_int_eq(right, sum);
    surely(th_rwlock_trywrlock(&lock));
    surely(th_rwlock_wrunlock(&lock));
}

CROWD_TEST(many_read_or_one_writes, .begin = begin, .act = read_and_write, .check = check)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "rwlock");
    tcase_add_test(tcase, many_read_or_one_writes);
}

int main(void)
{
    return thi_check_run("stress/rwlock", fill);
}
