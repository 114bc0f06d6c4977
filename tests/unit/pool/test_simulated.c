/* SPDX-License-Identifier: MIT */

/* Pools in a simulation: the same seed, the same run, whatever happens. */
#include "pool/pools.h"

#include <thrum/sim.h>

#define SEEDS 200

static th_sim_result simulate(int (*app)(void *arg), th_sim_opts opts, int wanted)
{
    th_sim_result result = { 0 };
    int err = th_sim_run(app, NULL, &opts, &result);
    ck_assert_msg(err == wanted, "seed %d: %s: %s", (int)opts.seed, th_errname(err),
                  th_err_detail());
    ck_assert_msg(result.live_allocations == 0 || result.verdict != 0, "seed %d leaks %d",
                  (int)opts.seed, (int)result.live_allocations);
    return result;
}

static int note_work(void *arg)
{
    th_sim_note(arg);
    return 0;
}

static int off_load_some(void *arg)
{
    for (int i = 0; i < 5; i++) {
        int err = th_offload(NULL, note_work, arg);
        if (err < 0)
            return err;
    }
    return 0;
}

static int many_fibers(void *arg)
{
    static char names[4][8] = { "a", "b", "c", "d" };
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    for (unsigned i = 0; i < 4; i++)
        spawn_on(&scope, i % 2, off_load_some, names[i]);
    close_scope(&scope);
    return stats_of(th_pool_default("default")).done == 20 ? 0 : -EIO;
}

START_TEST(the_seed_decides_and_the_run_can_be_repeated)
{
    bool differ = false;
    uint64_t first = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        th_sim_opts opts = { .seed = seed, .workers = 2 };
        uint64_t hash = simulate(many_fibers, opts, 0).hash;
        ck_assert_uint_eq(simulate(many_fibers, opts, 0).hash, hash);
        first = first ? first : hash;
        differ |= hash != first;
    }
    ck_assert(differ);
}
END_TEST

static int try_to_wait(void *arg)
{
    ck_assert_int_eq(th_sleep(1), -EPERM);
    ck_assert_int_eq(th_future_wait(arg, NULL), -EPERM);
    ck_assert_int_eq(th_work_cancelled(), 0);
    return th_offload(NULL, count, NULL); /* of the same pool: in place */
}

static int one_of_all(void *arg)
{
    th_scope scope;
    th_promise *promise;
    th_future *pending;
    (void)arg;
    atomic_store(&counted, 0);
    ck_assert_int_eq(th_promise_new(&promise, &pending), 0);
    ck_assert_int_eq(th_offload(NULL, try_to_wait, pending), 1);
    open_scope_for(&scope, 0);
    ck_assert_int_eq(th_offload(NULL, count, NULL), -ETIMEDOUT);
    close_scope(&scope);
    th_promise_free(promise);
    th_future_unref(pending);
    th_pool *pool = new_pool(&(th_pool_opts){ .threads_max = 2, .queue_max = 1 });
    for (int i = 0; i < 10; i++)
        throw_in(pool, count, NULL, TH_POOL_LOW);
    ck_assert_uint_gt(stats_of(pool).waited, 0);
    free_pool(pool);
    ck_assert_int_eq(atomic_load(&counted), 11);
    th_future_abandon(submit(NULL, count, NULL)); /* may be left to the end */
    throw_in(NULL, count, NULL, TH_POOL_LOW);
    return 0;
}

START_TEST(everything_works_there)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        (void)simulate(one_of_all, (th_sim_opts){ .seed = seed, .workers = 3 }, 0);
}
END_TEST

static int taken, told, ran;

static int is_wanted(void *arg)
{
    (void)arg;
    ran++;
    return th_work_cancelled() < 0 ? 2 : 1;
}

/* The deadline finds the job waiting, running, or done. */
static int off_load_in_time(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++) {
        th_scope scope;
        open_scope_for(&scope, 500 * TH_MICROSECOND);
        int result = th_offload(th_pool_default("names"), is_wanted, NULL);
        close_scope(&scope);
        taken += result == -ETIMEDOUT;
        told += result == 2;
        ck_assert(result == 1 || result == 2 || result == -ETIMEDOUT);
    }
    return 0;
}

static int deadlines(void *arg)
{
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    for (int i = 0; i < 8; i++)
        spawn(&scope, off_load_in_time, NULL);
    close_scope(&scope);
    return 0;
}

START_TEST(deadlines_find_jobs_at_every_moment)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        (void)simulate(deadlines, (th_sim_opts){ .seed = seed }, 0);
    ck_assert_int_gt(taken, 0);
    ck_assert_int_gt(told, 0);
    ck_assert_int_eq(taken + ran, SEEDS * 40);
}
END_TEST

static int without_memory(void *arg)
{
    th_pool *pool = NULL;
    (void)arg;
    int err = th_pool_new(NULL, &pool);
    for (int i = 0; err == 0 && i < 5; i++) {
        th_future *future = NULL;
        err = th_pool_submit(pool, is_wanted, NULL, TH_POOL_HIGH, &future);
        th_future_unref(future);
        int result = th_offload(pool, is_wanted, NULL);
        ck_assert(result == 1 || result == -ENOMEM);
    }
    ck_assert(err == 0 || err == -ENOMEM);
    ck_assert_int_eq(th_pool_free(pool), 0);
    return 0;
}

START_TEST(memory_may_be_missing)
{
    for (uint32_t n = 1; n < 30; n++) {
        th_sim_opts opts = { .seed = n, .faults[TH_SIM_NO_MEMORY] = { .at = n } };
        (void)simulate(without_memory, opts, 0);
    }
}
END_TEST

static int wait_for_ever(void *arg)
{
    th_promise *promise;
    th_future *future;
    (void)arg;
    ck_assert_int_eq(th_promise_new(&promise, &future), 0);
    ck_assert_int_eq(th_future_wait(future, NULL), -ECANCELED);
    th_promise_free(promise);
    th_future_unref(future);
    return 0;
}

START_TEST(a_future_that_nobody_completes_is_a_deadlock)
{
    (void)simulate(wait_for_ever, (th_sim_opts){ .seed = 1 }, -EDEADLK);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "future"));
}
END_TEST

static th_pool *outside;

static int use_from_inside(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_offload(outside, count, NULL), -EINVAL);
    return th_pool_submit(outside, count, NULL, 0, NULL) == -EINVAL ? 0 : -EIO;
}

START_TEST(a_pool_of_the_world_outside_is_none_of_the_simulation)
{
    outside = pool_of(1);
    (void)simulate(use_from_inside, (th_sim_opts){ .seed = 1 }, 0);
    free_pool(outside);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "simulated");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, the_seed_decides_and_the_run_can_be_repeated);
    tcase_add_test(tcase, everything_works_there);
    tcase_add_test(tcase, deadlines_find_jobs_at_every_moment);
    tcase_add_test(tcase, memory_may_be_missing);
    tcase_add_test(tcase, a_future_that_nobody_completes_is_a_deadlock);
    tcase_add_test(tcase, a_pool_of_the_world_outside_is_none_of_the_simulation);
}

int main(void)
{
    return thi_check_run("pool/simulated", fill);
}
