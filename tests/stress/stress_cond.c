/* SPDX-License-Identifier: MIT */

/* A crowd at conditions: no signal is lost, and whoever comes back holds the mutex. */
#include "crowd.h"

#include <thrum/cond.h>
#include <thrum/mutex.h>

#define ROUNDS 500

static th_mutex mutex = TH_MUTEX_INIT;
static th_cond emptied = TH_COND_INIT;
static th_cond filled = TH_COND_INIT;
static th_cond changed = TH_COND_INIT;

/* All below are guarded by the mutex. */
static int box; /* holds one number; 0 when empty */
static int64_t taken;
static int present, meetings;
static int inside, visits;

/* ---- a box that numbers go through ---- */

static void begin_box(void)
{
    box = 0;
    taken = 0;
}

/* What a wait says that may be broken off; the caller looks at its condition again anyhow. */
static void await(th_cond *cond, int how)
{
    int result = how % 2 ? briefly(30, th_cond_wait(cond, &mutex)) : th_cond_wait(cond, &mutex);
    ck_assert(result == 0 || result == -ETIMEDOUT);
}

static void put(int number)
{
    surely(th_mutex_lock(&mutex));
    while (box != 0)
        await(&emptied, number);
    box = number;
    surely(th_mutex_unlock(&mutex));
    surely(th_cond_signal(&filled)); /* without the mutex */
}

static void take(int how)
{
    surely(th_mutex_lock(&mutex));
    while (box == 0)
        await(&filled, how);
    taken += box;
    box = 0;
    surely(th_cond_signal(&emptied)); /* and with it */
    surely(th_mutex_unlock(&mutex));
}

/* Half of the fibers and half of the threads put, the others take. */
static void hand_over(int me)
{
    for (int i = 1; i <= ROUNDS; i++) {
        if (me % 2)
            put(i);
        else
            take(i);
    }
}

static void check_box(void)
{
    ck_assert_int_eq(taken, (int64_t)CROWD / 2 * ROUNDS * (ROUNDS + 1) / 2);
    ck_assert_int_eq(box, 0);
    surely(th_mutex_trylock(&mutex));
    surely(th_mutex_unlock(&mutex));
}

CROWD_TEST(every_number_goes_through_the_box, .begin = begin_box, .act = hand_over,
           .check = check_box)

/* ---- meetings: who comes last lets the others go ---- */

static void begin_meetings(void)
{
    present = meetings = 0;
}

static void meet(int me)
{
    for (int i = 0; i < ROUNDS / 5; i++) {
        surely(th_mutex_lock(&mutex));
        int meeting = meetings;
        ck_assert_int_eq(meeting, i);
        if (++present == CROWD) {
            present = 0;
            meetings++;
            surely(th_cond_broadcast(&changed));
        }
        while (meeting == meetings)
            await(&changed, me + i);
        surely(th_mutex_unlock(&mutex));
    }
}

static void check_meetings(void)
{
    ck_assert_int_eq(meetings, ROUNDS / 5);
    ck_assert_int_eq(present, 0);
}

CROWD_TEST(a_broadcast_reaches_all, .begin = begin_meetings, .act = meet, .check = check_meetings)

/* ---- waits that end in all ways at once ---- */

static void begin_visits(void)
{
    inside = visits = 0;
}

/* A thread cannot break off, so it is the one that wakes; a fiber's wait ends by itself. */
static void visit(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        surely(th_mutex_lock(&mutex));
        if (me < CROWD_FIBERS)
            await(&changed, 1);
        ck_assert_int_eq(inside++, 0);
        visits++;
        if (i % 32 == 0)
            crowd_yield();
        ck_assert_int_eq(--inside, 0);
        surely(th_mutex_unlock(&mutex));
        surely(i % 2 ? th_cond_signal(&changed) : th_cond_broadcast(&changed));
    }
}

static void check_visits(void)
{
    ck_assert_int_eq(visits, CROWD * ROUNDS);
    surely(th_mutex_trylock(&mutex));
    surely(th_mutex_unlock(&mutex));
}

CROWD_TEST(however_a_wait_ends_the_mutex_is_held, .begin = begin_visits, .act = visit,
           .check = check_visits)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "cond");
    tcase_add_test(tcase, every_number_goes_through_the_box);
    tcase_add_test(tcase, a_broadcast_reaches_all);
    tcase_add_test(tcase, however_a_wait_ends_the_mutex_is_held);
}

int main(void)
{
    return thi_check_run("stress/cond", fill);
}
