/* SPDX-License-Identifier: MIT */

/* A crowd at futures: each is completed once, and all who wait or are told hear the same. */
#include "crowd.h"

#include <thrum/future.h>

/* ---- promises that several keep, cancel and wait for ---- */

#define PROMISES 500

static th_promise *promises[PROMISES];
static th_future *futures[PROMISES];
static int payload[PROMISES][CROWD]; /* written by one each before it keeps the promise */
static atomic_int kept_by[PROMISES]; /* 1 + the member whose result it is */
static atomic_int results[PROMISES]; /* as the first one heard it, plus 1000; 0: nobody has */
static atomic_int told[PROMISES];    /* calls of what was registered */
static atomic_int to_tell[PROMISES]; /* registrations */
static atomic_bool cancelled[PROMISES];

static void begin_promises(void)
{
    memset(payload, 0, sizeof payload);
    for (int i = 0; i < PROMISES; i++) {
        surely(th_promise_new(&promises[i], &futures[i]));
        atomic_store(&kept_by[i], 0);
        atomic_store(&results[i], 0);
        atomic_store(&told[i], 0);
        atomic_store(&to_tell[i], 0);
        atomic_store(&cancelled[i], false);
    }
}

/* Everybody hears the same, and sees what was written before. */
static void hear(int i, int result)
{
    int before = 0;
    if (!atomic_compare_exchange_strong(&results[i], &before, result + 1000))
        ck_assert_int_eq(before, result + 1000);
    if (result != -ECANCELED)
        ck_assert_int_eq(payload[i][result], i + 1);
}

static void keep(int me, int i)
{
    payload[i][me] = i + 1;
    int err = th_promise_set(promises[i], me);
    ck_assert(err == 0 || err == -EALREADY);
    if (err == 0)
        ck_assert_int_eq(atomic_exchange(&kept_by[i], me + 1), 0);
}

static void cancel(int i)
{
    int err = th_future_cancel(futures[i]);
    ck_assert(err == 0 || err == -EALREADY);
    if (err == 0)
        atomic_store(&cancelled[i], true);
}

static void wait_for(int me, int i)
{
    int result;
    int err = -ETIMEDOUT;
    th_future *own = th_future_ref(futures[i]);
    for (int how = me + i; err == -ETIMEDOUT; how++)
        err = how % 2 ? th_future_wait(own, &result) : briefly(20, th_future_wait(own, &result));
    surely(err);
    hear(i, result);
    th_future_unref(own);
}

static void wait_for_any(int i)
{
    size_t index;
    int result;
    th_future *some[] = { futures[i], futures[(i + 1) % PROMISES], futures[(i + 2) % PROMISES] };
    int err = briefly(50, th_future_wait_any(some, thi_array_len(some), &index));
    ck_assert(err == 0 || err == -ETIMEDOUT);
    if (err == 0) {
        surely(th_future_peek(some[index], &result));
        hear((i + (int)index) % PROMISES, result);
    }
}

static void note_told(th_future *future, int result, void *arg)
{
    int i = (int)((th_future **)arg - futures);
    ck_assert_ptr_eq(future, futures[i]);
    hear(i, result);
    atomic_fetch_add(&told[i], 1);
}

static void be_told(int i)
{
    atomic_fetch_add(&to_tell[i], 1);
    surely(th_future_then(futures[i], note_told, &futures[i]));
}

/* Of the sixteen, whatever the number of the promise, some keep it. Nobody waits before that. */
static void use_promises(int me)
{
    for (int i = 0; i < PROMISES; i++) {
        if ((me + i) % 3 == 0)
            be_told(i);
        if ((me + i) % 4 == 0)
            keep(me, i);
        else if ((me + i) % 16 == 1)
            cancel(i);
        else if ((me + i) % 4 == 2)
            wait_for_any(i);
        wait_for(me, i);
    }
}

static void check_promises(void)
{
    for (int i = 0; i < PROMISES; i++) {
        int result;
        surely(th_future_peek(futures[i], &result));
        hear(i, result);
        ck_assert_int_eq(atomic_load(&kept_by[i]), result == -ECANCELED ? 0 : result + 1);
        ck_assert_int_eq(atomic_load(&cancelled[i]), result == -ECANCELED);
        ck_assert_int_eq(atomic_load(&told[i]), atomic_load(&to_tell[i]));
        th_promise_free(promises[i]);
        th_future_unref(futures[i]);
    }
}

CROWD_TEST(each_is_completed_once_and_all_hear_the_same, .begin = begin_promises,
           .act = use_promises, .check = check_promises)

/* ---- one gather that all add to and take from ---- */

#define GATHERED 500 /* by each */

static th_gather *gather;
static int made[CROWD * GATHERED]; /* written before the promise is kept */
static atomic_uchar given[CROWD * GATHERED];
static int added[CROWD], got[CROWD];

static void begin_gather(void)
{
    surely(th_gather_new(&gather));
    memset(made, 0, sizeof made);
    memset(added, 0, sizeof added);
    memset(got, 0, sizeof got);
    for (int i = 0; i < CROWD * GATHERED; i++)
        atomic_store(&given[i], 0);
}

static void note_given(th_future *future)
{
    int number;
    surely(th_future_peek(future, &number));
    ck_assert_int_eq(made[number], number + 1);
    ck_assert_int_eq(atomic_fetch_add(&given[number], 1), 0);
    th_future_unref(future);
}

/* Takes no more than it has added, so there is always one to wait for. */
static void add_and_take(int me)
{
    for (int i = 0; i < GATHERED; i++) {
        th_promise *promise;
        th_future *future;
        int number = me * GATHERED + i;
        surely(th_promise_new(&promise, &future));
        if (i % 2)
            surely(th_gather_add(gather, future));
        made[number] = number + 1;
        surely(th_promise_set(promise, number));
        if (i % 2 == 0)
            surely(th_gather_add(gather, future));
        added[me]++;
        th_promise_free(promise);
        th_future_unref(future);
        int err = briefly(20, th_gather_next(gather, &future));
        ck_assert(err == 0 || err == -ETIMEDOUT);
        if (err == 0) {
            note_given(future);
            got[me]++;
        }
    }
}

static void check_gather(void)
{
    int left = 0;
    th_future *future;
    for (int i = 0; i < CROWD; i++)
        left += added[i] - got[i];
    for (; left > 0; left--) {
        surely(th_gather_next(gather, &future));
        note_given(future);
    }
    ck_assert_int_eq(th_gather_next(gather, &future), -ENOENT);
    for (int i = 0; i < CROWD * GATHERED; i++)
        ck_assert_int_eq(atomic_load(&given[i]), 1);
    th_gather_free(gather);
}

CROWD_TEST(each_is_given_out_once_by_a_gather, .begin = begin_gather, .act = add_and_take,
           .check = check_gather)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "future");
    tcase_add_test(tcase, each_is_completed_once_and_all_hear_the_same);
    tcase_add_test(tcase, each_is_given_out_once_by_a_gather);
}

int main(void)
{
    return thi_check_run("stress/future", fill);
}
