/* SPDX-License-Identifier: MIT */

/*
 * The behaviours that matter at every primitive, three ways: the other party is a fiber of the same
 * worker, a fiber of another one, and a plain thread. Each test runs once for each.
 */
#include "parties.h"

#include "sync/event.h"
#include "sync/mutex.h"
#include "sync/queue.h"
#include "sync/sem.h"

#include <thrum/barrier.h>
#include <thrum/cond.h>
#include <thrum/event.h>
#include <thrum/future.h>
#include <thrum/mutex.h>
#include <thrum/once.h>
#include <thrum/queue.h>
#include <thrum/rwlock.h>
#include <thrum/sem.h>
#include <thrum/waitgroup.h>

/* ---- the other party ------------------------------------------------------------------------- */

enum { SAME_WORKER, OTHER_WORKER, THREAD, WAYS };

static int way; /* of the run at hand */

/* Somebody who does something beside the main fiber. */
typedef struct party {
    int (*fn)(void *arg);
    void *arg;
    int result;
    atomic_bool ended;
    th_scope scope;
    pthread_t thread;
} party;

static int run_party(void *arg)
{
    party *p = arg;
    p->result = p->fn(p->arg);
    atomic_store(&p->ended, true);
    return 0;
}

static void *run_as_thread(void *arg)
{
    (void)run_party(arg);
    return NULL;
}

static th_scope around; /* of all parties that are fibers */

static void begin(party *p, int (*fn)(void *arg), void *arg)
{
    p->fn = fn;
    p->arg = arg;
    p->result = INT32_MIN;
    atomic_store(&p->ended, false);
    if (way == THREAD)
        p->thread = start_thread(run_as_thread, p);
    else
        spawn_on(&around, way == OTHER_WORKER, run_party, p);
}

/* Waits for its end; what it returned. */
static int end(party *p)
{
    wait_until(atomic_load(&p->ended));
    if (way == THREAD)
        join_thread(p->thread);
    return p->result;
}

#define THREE_WAYS(name)                                                                           \
    static void name##_body(void);                                                                 \
    static int name##_main(void *arg)                                                              \
    {                                                                                              \
        way = *(int *)arg;                                                                         \
        open_scope(&around);                                                                       \
        name##_body();                                                                             \
        close_scope(&around);                                                                      \
        return 0;                                                                                  \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        run_in_fiber(2, 0, name##_main, &_i);                                                      \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(void)

/* Does a call with a deadline that passes while it waits: it must say so, and not early. */
#define EXPECT_TIME_OUT(call)                                                                      \
    do {                                                                                           \
        th_scope hurry_;                                                                           \
        int64_t due_ = th_after(TH_MILLISECOND);                                                   \
        ck_assert_int_eq(th_scope_open(&hurry_, &(th_scope_opts){ .deadline = due_ }), 0);         \
        ck_assert_int_eq(call, -ETIMEDOUT);                                                        \
        ck_assert_int_ge(th_now(), due_);                                                          \
        close_scope(&hurry_);                                                                      \
    } while (0)

/* Where the other party is told to go on. */
static th_event go;

static void let_go(void)
{
    ck_assert_int_eq(th_event_set(&go), 0);
}

/* ---- mutex ----------------------------------------------------------------------------------- */

static th_mutex mutex = TH_MUTEX_INIT;

static int hold_until_told(void *arg)
{
    int err = th_mutex_lock(&mutex);
    if (err == 0)
        err = th_event_set(arg);
    if (err == 0)
        err = th_event_wait(&go);
    return err < 0 ? err : th_mutex_unlock(&mutex);
}

THREE_WAYS(a_mutex_that_is_held_is_busy_and_foreign_and_outlasts_a_deadline)
{
    party other;
    th_event held = TH_EVENT_INIT;
    begin(&other, hold_until_told, &held);
    ck_assert_int_eq(th_event_wait(&held), 0);
    ck_assert_int_eq(th_mutex_trylock(&mutex), -EBUSY);
    ck_assert_int_eq(th_mutex_unlock(&mutex), -EPERM);
    EXPECT_TIME_OUT(th_mutex_lock(&mutex));
    let_go();
    ck_assert_int_eq(end(&other), 0);
    ck_assert_int_eq(th_mutex_trylock(&mutex), 0); /* whoever timed out has left its queue */
    ck_assert_int_eq(th_mutex_unlock(&mutex), 0);
    ck_assert_int_eq(th_mutex_unlock(&mutex), -EPERM);
}

static int lock_and_unlock(void *arg)
{
    (void)arg;
    int err = th_mutex_lock(&mutex);
    return err < 0 ? err : th_mutex_unlock(&mutex);
}

THREE_WAYS(a_mutex_lets_one_through_for_each_unlocking)
{
    party others[3];
    th_mutex *m = &mutex;
    ck_assert_int_eq(th_mutex_lock(m), 0);
    ck_assert_int_eq(th_mutex_lock(m), -EDEADLK);
    for (int i = 0; i < 3; i++)
        begin(&others[i], lock_and_unlock, NULL);
    wait_until(count_waiters(&thi_mutex_of(m)->queue) == 3);
    for (int i = 0; i < 3; i++)
        ck_assert(!atomic_load(&others[i].ended));
    ck_assert_int_eq(th_mutex_unlock(m), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(end(&others[i]), 0);
    ck_assert_int_eq(th_mutex_trylock(m), 0);
    ck_assert_int_eq(th_mutex_unlock(m), 0);
}

static int try_and_unlock(void *arg)
{
    int err = th_mutex_trylock(arg);
    return err < 0 ? err : th_mutex_unlock(arg);
}

static int unlock_a_strangers(void *arg)
{
    return th_mutex_unlock(arg);
}

THREE_WAYS(a_recursive_mutex_is_free_after_as_many_unlockings)
{
    party other;
    th_mutex m = TH_MUTEX_RECURSIVE_INIT;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_mutex_lock(&m), 0);
    for (int i = 0; i < 3; i++) {
        begin(&other, try_and_unlock, &m);
        ck_assert_int_eq(end(&other), -EBUSY);
        begin(&other, unlock_a_strangers, &m); /* its depth is 0, whatever it is for the holder */
        ck_assert_int_eq(end(&other), -EPERM);
        ck_assert_int_eq(th_mutex_unlock(&m), 0);
    }
    ck_assert_int_eq(th_mutex_unlock(&m), -EPERM);
    begin(&other, try_and_unlock, &m);
    ck_assert_int_eq(end(&other), 0);
}

/* ---- condition ------------------------------------------------------------------------------- */

static th_cond cond = TH_COND_INIT;
static int waiting, passed;

static int wait_on_cond(void *arg)
{
    (void)arg;
    int err = th_mutex_lock(&mutex);
    if (err < 0)
        return err;
    waiting++;
    err = th_cond_wait(&cond, &mutex);
    passed++;
    int unlocked = th_mutex_unlock(&mutex);
    return err < 0 ? err : unlocked;
}

static int count_under_mutex(const int *count)
{
    ck_assert_int_eq(th_mutex_lock(&mutex), 0);
    int now = *count;
    ck_assert_int_eq(th_mutex_unlock(&mutex), 0);
    return now;
}

THREE_WAYS(a_signal_wakes_one_and_a_broadcast_the_rest_and_none_is_remembered)
{
    party others[3];
    waiting = passed = 0;
    ck_assert_int_eq(th_cond_signal(&cond), 0); /* nobody waits */
    for (int i = 0; i < 3; i++)
        begin(&others[i], wait_on_cond, NULL);
    wait_until(count_under_mutex(&waiting) == 3); /* then all have unlocked it to wait */
    ck_assert_int_eq(count_under_mutex(&passed), 0);
    ck_assert_int_eq(th_cond_signal(&cond), 0);
    wait_until(count_under_mutex(&passed) == 1);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(count_under_mutex(&passed), 1);
    ck_assert_int_eq(th_cond_broadcast(&cond), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(end(&others[i]), 0);
    ck_assert_int_eq(passed, 3);
}

THREE_WAYS(who_timed_out_on_a_condition_has_the_mutex_and_no_signal)
{
    party other;
    waiting = passed = 0;
    ck_assert_int_eq(th_mutex_lock(&mutex), 0);
    EXPECT_TIME_OUT(th_cond_wait(&cond, &mutex));
    ck_assert_int_eq(th_mutex_lock(&mutex), -EDEADLK); /* it is held */
    ck_assert_int_eq(th_mutex_unlock(&mutex), 0);
    ck_assert_int_eq(th_cond_wait(&cond, &mutex), -EPERM);
    begin(&other, wait_on_cond, NULL);
    wait_until(count_under_mutex(&waiting) == 1);
    ck_assert_int_eq(th_cond_signal(&cond), 0); /* for the one who is still there */
    ck_assert_int_eq(end(&other), 0);
}

/* ---- event ----------------------------------------------------------------------------------- */

static int wait_for_event(void *arg)
{
    return th_event_wait(arg);
}

THREE_WAYS(all_who_wait_for_an_event_have_seen_it_though_it_is_cleared_at_once)
{
    party others[3];
    th_event event = TH_EVENT_INIT;
    EXPECT_TIME_OUT(th_event_wait(&event));
    for (int i = 0; i < 3; i++)
        begin(&others[i], wait_for_event, &event);
    wait_until(count_waiters(&thi_event_of(&event)->queue) == 3);
    ck_assert_int_eq(th_event_set(&event), 0);
    ck_assert_int_eq(th_event_clear(&event), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(end(&others[i]), 0);
    EXPECT_TIME_OUT(th_event_wait(&event));
}

/* ---- semaphore ------------------------------------------------------------------------------- */

static int take_unit(void *arg)
{
    return th_sem_acquire(arg);
}

static int try_unit(void *arg)
{
    return th_sem_tryacquire(arg);
}

THREE_WAYS(so_many_acquire_as_units_are_released_and_a_time_out_takes_none)
{
    party others[4];
    th_sem sem = TH_SEM_INIT(0);
    EXPECT_TIME_OUT(th_sem_acquire(&sem));
    for (int i = 0; i < 4; i++)
        begin(&others[i], take_unit, &sem);
    wait_until(count_waiters(&thi_sem_of(&sem)->queue) == 4);
    EXPECT_TIME_OUT(th_sem_acquire(&sem));
    ck_assert_int_eq(th_sem_release(&sem, 0), -EINVAL);
    ck_assert_int_eq(th_sem_release(&sem, 3), 0);
    wait_until(count_waiters(&thi_sem_of(&sem)->queue) == 1);
    int ended = 0;
    wait_until((ended = others[0].ended + others[1].ended + others[2].ended + others[3].ended) ==
               3);
    ck_assert_int_eq(th_sem_release(&sem, 2), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(end(&others[i]), 0);
    ck_assert_int_eq(th_sem_tryacquire(&sem), 0); /* the one that was left over */
    ck_assert_int_eq(th_sem_tryacquire(&sem), -EAGAIN);
}

THREE_WAYS(so_many_trials_succeed_as_there_are_units)
{
    party others[10];
    th_sem sem = TH_SEM_BOUNDED_INIT(7, 7);
    int got = 0;
    ck_assert_int_eq(th_sem_release(&sem, 1), -EOVERFLOW);
    for (int i = 0; i < 10; i++)
        begin(&others[i], try_unit, &sem);
    for (int i = 0; i < 10; i++) {
        int result = end(&others[i]);
        ck_assert(result == 0 || result == -EAGAIN);
        got += result == 0;
    }
    ck_assert_int_eq(got, 7);
}

/* ---- barrier --------------------------------------------------------------------------------- */

static int meet(void *arg)
{
    return th_barrier_wait(arg);
}

THREE_WAYS(a_barrier_tells_one_of_each_round_that_it_is_the_one)
{
    party others[2];
    th_barrier barrier = TH_BARRIER_INIT(3);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 2; i++)
            begin(&others[i], meet, &barrier);
        int mine = th_barrier_wait(&barrier);
        ck_assert(mine == 0 || mine == 1);
        ck_assert_int_eq(mine + end(&others[0]) + end(&others[1]), 1);
    }
}

THREE_WAYS(a_barrier_breaks_for_all_when_one_times_out_or_it_is_aborted)
{
    party others[2];
    th_barrier barrier = TH_BARRIER_INIT(4);
    for (int i = 0; i < 2; i++)
        begin(&others[i], meet, &barrier);
    EXPECT_TIME_OUT(th_barrier_wait(&barrier));
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end(&others[i]), TH_EBROKEN); /* those who came before and after */
    ck_assert_int_eq(th_barrier_is_broken(&barrier), 1);
    ck_assert_int_eq(th_barrier_reset(&barrier), 0);
    ck_assert_int_eq(th_barrier_is_broken(&barrier), 0);
    for (int i = 0; i < 2; i++)
        begin(&others[i], meet, &barrier);
    ck_assert_int_eq(th_barrier_abort(&barrier), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end(&others[i]), TH_EBROKEN);
    ck_assert_int_eq(th_barrier_wait(&barrier), TH_EBROKEN);
}

/* ---- queue ----------------------------------------------------------------------------------- */

static char items[100];

static int put_all(void *arg)
{
    int err = 0;
    for (int i = 0; i < 100 && err == 0; i++)
        err = th_queue_put(arg, &items[i]);
    return err;
}

static int get_one(void *arg)
{
    void *item = NULL;
    int err = th_queue_get(arg, &item);
    return err < 0 ? err : (int)((char *)item - items);
}

static th_queue *new_queue(size_t capacity)
{
    th_queue *queue;
    ck_assert_int_eq(th_queue_new(&(th_queue_opts){ .capacity = capacity }, &queue), 0);
    return queue;
}

THREE_WAYS(between_two_a_queue_keeps_the_order_and_nothing_is_lost)
{
    for (size_t capacity = 0; capacity < 4; capacity++) { /* 0: without a bound */
        party other;
        th_queue *queue = new_queue(capacity);
        begin(&other, put_all, queue);
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(get_one(queue), i);
        ck_assert_int_eq(end(&other), 0);
        EXPECT_TIME_OUT(get_one(queue));
        th_queue_free(queue);
    }
}

THREE_WAYS(a_time_out_at_a_queue_takes_nothing_and_puts_nothing_in)
{
    party other;
    th_queue *queue = new_queue(1);
    EXPECT_TIME_OUT(get_one(queue));
    begin(&other, get_one, queue);
    wait_until(count_waiters(&queue->waiting) == 1);
    ck_assert_int_eq(th_queue_tryput(queue, &items[7]), 0); /* for the one who is still there */
    ck_assert_int_eq(end(&other), 7);
    ck_assert_int_eq(th_queue_tryput(queue, &items[8]), 0);
    ck_assert_int_eq(th_queue_tryput(queue, &items[9]), -EAGAIN);
    EXPECT_TIME_OUT(th_queue_put(queue, &items[9]));
    begin(&other, get_one, queue);
    ck_assert_int_eq(end(&other), 8);
    ck_assert_uint_eq(th_queue_len(queue), 0);
    th_queue_free(queue);
}

THREE_WAYS(closing_a_queue_tells_those_who_wait)
{
    party others[2];
    th_queue *queue = new_queue(1);
    for (int i = 0; i < 2; i++)
        begin(&others[i], get_one, queue);
    wait_until(count_waiters(&queue->waiting) == 2);
    ck_assert_int_eq(th_queue_close(queue), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end(&others[i]), TH_EOF);
    ck_assert_int_eq(th_queue_close(queue), TH_ECLOSED);
    ck_assert_int_eq(th_queue_put(queue, &items[0]), TH_ECLOSED);
    th_queue_free(queue);
}

static int work_off(void *arg)
{
    void *item;
    int err;
    while ((err = th_queue_get(arg, &item)) == 0)
        ck_assert_int_eq(th_queue_task_done(arg), 0);
    return err;
}

THREE_WAYS(joining_a_queue_waits_for_all_that_was_put_in_twice)
{
    party others[3];
    th_queue *queue = new_queue(2);
    ck_assert_int_eq(th_queue_join(queue), 0);
    for (int i = 0; i < 3; i++)
        begin(&others[i], work_off, queue);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(put_all(queue), 0);
        ck_assert_int_eq(th_queue_join(queue), 0);
        ck_assert_uint_eq(th_queue_len(queue), 0);
    }
    ck_assert_int_eq(th_queue_task_done(queue), -EINVAL);
    ck_assert_int_eq(th_queue_close(queue), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(end(&others[i]), TH_EOF);
    th_queue_free(queue);
}

/* ---- futures --------------------------------------------------------------------------------- */

static int wait_for_result(void *arg)
{
    int result = 0;
    int err = th_future_wait(arg, &result);
    return err < 0 ? err : result;
}

/* What waits is in a list of the future's own, which nobody can look at; it comes soon or sooner.
 */
THREE_WAYS(a_result_reaches_those_who_wait_and_stays)
{
    party others[2];
    th_promise *promise;
    th_future *future;
    ck_assert_int_eq(th_promise_new(&promise, &future), 0);
    for (int i = 0; i < 2; i++)
        begin(&others[i], wait_for_result, future);
    EXPECT_TIME_OUT(th_future_wait(future, NULL));
    ck_assert_int_eq(th_promise_set(promise, 7), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end(&others[i]), 7);
    ck_assert_int_eq(wait_for_result(future), 7);
    ck_assert_int_eq(th_future_cancel(future), -EALREADY);
    th_promise_free(promise);
    th_future_unref(future);
}

THREE_WAYS(a_cancelled_future_wakes_those_who_wait_and_takes_no_result)
{
    party other;
    th_promise *promise;
    th_future *future;
    ck_assert_int_eq(th_promise_new(&promise, &future), 0);
    begin(&other, wait_for_result, future);
    ck_assert_int_eq(th_future_cancel(future), 0);
    ck_assert_int_eq(th_future_cancel(future), 0);
    ck_assert_int_eq(end(&other), -ECANCELED);
    ck_assert_int_eq(th_promise_set(promise, 7), -EALREADY);
    ck_assert_int_eq(wait_for_result(future), -ECANCELED);
    ck_assert_int_eq(th_future_state(future), TH_FUTURE_DONE);
    th_promise_free(promise);
    th_future_unref(future);
}

/* ---- read-write lock, once, wait group ------------------------------------------------------- */

static int try_reading(void *arg)
{
    int err = th_rwlock_tryrdlock(arg);
    return err < 0 ? err : th_rwlock_rdunlock(arg);
}

static int try_writing(void *arg)
{
    int err = th_rwlock_trywrlock(arg);
    return err < 0 ? err : th_rwlock_wrunlock(arg);
}

THREE_WAYS(many_read_or_one_writes)
{
    party other;
    th_rwlock lock = TH_RWLOCK_INIT;
    ck_assert_int_eq(th_rwlock_rdlock(&lock), 0);
    begin(&other, try_reading, &lock);
    ck_assert_int_eq(end(&other), 0);
    begin(&other, try_writing, &lock);
    ck_assert_int_eq(end(&other), -EBUSY);
    ck_assert_int_eq(th_rwlock_rdunlock(&lock), 0);
    ck_assert_int_eq(th_rwlock_wrlock(&lock), 0);
    begin(&other, try_reading, &lock);
    ck_assert_int_eq(end(&other), -EBUSY);
    ck_assert_int_eq(th_rwlock_wrunlock(&lock), 0);
    begin(&other, try_writing, &lock);
    ck_assert_int_eq(end(&other), 0);
}

static th_once once;
static atomic_int done_times;

static int do_slowly(void *arg)
{
    (void)arg;
    int err = th_event_wait(&go);
    atomic_fetch_add(&done_times, 1);
    return err;
}

static int call_once(void *arg)
{
    (void)arg;
    return th_once_call(&once, do_slowly, NULL);
}

THREE_WAYS(what_is_to_be_done_once_is_and_the_others_wait_for_it)
{
    party others[3];
    for (int i = 0; i < 3; i++)
        begin(&others[i], call_once, NULL);
    EXPECT_TIME_OUT(th_event_wait(&go));
    ck_assert_int_eq(atomic_load(&done_times), 0);
    let_go();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(end(&others[i]), 0);
    ck_assert_int_eq(atomic_load(&done_times), 1);
}

static int wait_for_group(void *arg)
{
    return th_waitgroup_wait(arg);
}

THREE_WAYS(a_wait_group_lets_all_go_at_zero_and_never_goes_below)
{
    party others[2];
    th_waitgroup group = TH_WAITGROUP_INIT;
    ck_assert_int_eq(th_waitgroup_done(&group), -EINVAL);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(th_waitgroup_add(&group, 2), 0);
        for (int i = 0; i < 2; i++)
            begin(&others[i], wait_for_group, &group);
        EXPECT_TIME_OUT(th_waitgroup_wait(&group));
        ck_assert_int_eq(th_waitgroup_add(&group, -3), -EINVAL);
        ck_assert_int_eq(th_waitgroup_done(&group), 0);
        ck_assert_int_eq(th_waitgroup_done(&group), 0);
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(end(&others[i]), 0);
    }
}

static void fill(Suite *suite)
{
    const TTest *const tests[] = {
        a_mutex_that_is_held_is_busy_and_foreign_and_outlasts_a_deadline,
        a_mutex_lets_one_through_for_each_unlocking,
        a_recursive_mutex_is_free_after_as_many_unlockings,
        a_signal_wakes_one_and_a_broadcast_the_rest_and_none_is_remembered,
        who_timed_out_on_a_condition_has_the_mutex_and_no_signal,
        all_who_wait_for_an_event_have_seen_it_though_it_is_cleared_at_once,
        so_many_acquire_as_units_are_released_and_a_time_out_takes_none,
        so_many_trials_succeed_as_there_are_units,
        a_barrier_tells_one_of_each_round_that_it_is_the_one,
        a_barrier_breaks_for_all_when_one_times_out_or_it_is_aborted,
        between_two_a_queue_keeps_the_order_and_nothing_is_lost,
        a_time_out_at_a_queue_takes_nothing_and_puts_nothing_in,
        closing_a_queue_tells_those_who_wait,
        joining_a_queue_waits_for_all_that_was_put_in_twice,
        a_result_reaches_those_who_wait_and_stays,
        a_cancelled_future_wakes_those_who_wait_and_takes_no_result,
        many_read_or_one_writes,
        what_is_to_be_done_once_is_and_the_others_wait_for_it,
        a_wait_group_lets_all_go_at_zero_and_never_goes_below,
    };
    TCase *tcase = thi_check_case(suite, "three ways");
    for (size_t i = 0; i < thi_array_len(tests); i++)
        tcase_add_loop_test(tcase, tests[i], 0, WAYS);
}

int main(void)
{
    return thi_check_run("sync/three_ways", fill);
}
