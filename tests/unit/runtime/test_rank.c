/* SPDX-License-Identifier: MIT */

/* Priorities: who runs first, and that nobody waits for good. */
#include "in_fiber.h"

#include "runtime/worker.h"

#include <thrum/sim.h>

static void spawn_at(th_scope *scope, int priority, th_fiber_fn fn, void *arg)
{
    th_spawn_opts opts = { .priority = priority };
    ck_assert_int_eq(th_spawn_with(scope, fn, arg, &opts, NULL), 0);
}

FIBER_TEST(the_higher_one_runs_first)
{
    th_scope scope;
    open_scope(&scope);
    spawn_at(&scope, TH_PRIO_LOW, note_letter, "e");
    spawn_at(&scope, TH_PRIO_NORMAL, note_letter, "c");
    spawn_at(&scope, TH_PRIO_HIGH, note_letter, "a");
    spawn_at(&scope, TH_PRIO_LOW, note_letter, "f");
    spawn_at(&scope, TH_PRIO_NORMAL, note_letter, "d");
    spawn_at(&scope, TH_PRIO_HIGH, note_letter, "b");
    close_scope(&scope);
    ck_assert_str_eq(trace, "abcdef");
}

/* Fibers that are always ready; the counts say how often each priority had its turn. */
typedef struct contest {
    long turns[3]; /* of LOW, NORMAL and HIGH */
    long all;
    long end;
} contest;

typedef struct runner {
    contest *c;
    int priority;
    long turns;
} runner;

static int run(void *arg)
{
    runner *r = arg;
    while (r->c->all < r->c->end) {
        r->c->all++;
        r->c->turns[r->priority + 1]++;
        r->turns++;
        th_yield();
    }
    return 0;
}

static void run_race(contest *c, runner *runners, int count)
{
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < 3 * count; i++) {
        runners[i] = (runner){ .c = c, .priority = i / count - 1 };
        spawn_at(&scope, runners[i].priority, run, &runners[i]);
    }
    close_scope(&scope);
}

static void expect_shares(const contest *c, long low, long normal, long high)
{
    long share = c->end / (low + normal + high);
    ck_assert_int_le(labs(c->turns[0] - low * share), 3 * low + 40);
    ck_assert_int_le(labs(c->turns[1] - normal * share), 3 * normal + 40);
    ck_assert_int_le(labs(c->turns[2] - high * share), 3 * high + 40);
}

FIBER_TEST(all_have_their_share_and_equals_the_same)
{
    contest c = { .end = 21000 };
    runner runners[15];
    run_race(&c, runners, 5);
    expect_shares(&c, 1, 4, 16);
    for (int i = 0; i < 15; i++)
        ck_assert_int_le(labs(runners[i].turns - runners[i / 5 * 5].turns), 4);
}

static int race_with_weights(void *arg)
{
    (void)arg;
    contest c = { .end = 20000 };
    runner runners[6];
    run_race(&c, runners, 2);
    expect_shares(&c, 2, 3, 5);
    return 0;
}

START_TEST(weights_can_be_chosen)
{
    th_run_opts opts = {
        .workers = 1, .no_signals = 1, .weight_low = 2, .weight_normal = 3, .weight_high = 5
    };
    ck_assert_int_eq(th_run(race_with_weights, NULL, &opts), 0);
}
END_TEST

static int race_in_simulation(void *arg)
{
    (void)arg;
    contest c = { .end = 2100 };
    runner runners[9];
    run_race(&c, runners, 3);
    ck_assert_int_gt(c.turns[2], c.turns[1]);
    ck_assert_int_gt(c.turns[1], c.turns[0]);
    ck_assert_int_gt(c.turns[0], 50);
    return 0;
}

START_TEST(a_simulation_picks_among_those_whose_turn_it_is)
{
    for (unsigned seed = 1; seed <= 10; seed++)
        ck_assert_int_eq(th_sim_run(race_in_simulation, NULL,
                                    &(th_sim_opts){ .seed = seed, .workers = 1 }, NULL),
                         0);
}
END_TEST

static int set_flag_after_sleep(void *arg)
{
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    *(bool *)arg = true;
    return 0;
}

FIBER_TEST(the_loop_is_looked_at_however_busy_the_ranks_are)
{
    th_scope scope;
    bool done = false;
    open_scope(&scope);
    spawn_at(&scope, TH_PRIO_LOW, set_flag_after_sleep, &done);
    for (int i = 0; i < 10; i++)
        spawn_at(&scope, i % 2 ? TH_PRIO_HIGH : TH_PRIO_LOW, wait_for_flag, &done);
    close_scope(&scope);
}

static int lower_oneself(void *arg)
{
    ck_assert_int_eq(th_fiber_set_priority(th_fiber_self(), TH_PRIO_LOW), 0);
    th_yield();
    return note_letter(arg);
}

FIBER_TEST(a_priority_can_be_changed)
{
    th_scope scope;
    th_fiber *raised = NULL;
    open_scope(&scope);
    spawn_at(&scope, TH_PRIO_HIGH, lower_oneself, "d");
    ck_assert_int_eq(th_spawn_with(&scope, note_letter, "c", NULL, &raised), 0);
    /* It is ready already: that is for the next time. */
    ck_assert_int_eq(th_fiber_set_priority(raised, TH_PRIO_LOW), 0);
    spawn(&scope, note_letter, "e");
    close_scope(&scope);
    ck_assert_str_eq(trace, "ced");
    ck_assert_int_eq(th_fiber_set_priority(raised, TH_PRIO_LOW), -EINVAL); /* it has ended */
    th_fiber_unref(raised);
}

static int check_rank(void *arg)
{
    ck_assert_int_eq(th_fiber_self()->rank, *(int *)arg);
    return 0;
}

FIBER_TEST_ON(2, a_priority_goes_along_wherever_the_fiber_is_placed_and_no_further)
{
    static const int places[] = { TH_PLACE_HERE, TH_PLACE_LEAST, TH_PLACE_ROUND, 1, 2 };
    static int low = THI_RANK_LOW;
    static int normal = THI_RANK_NORMAL;
    th_scope scope;
    open_scope(&scope);
    ck_assert_int_eq(th_fiber_set_priority(th_fiber_self(), TH_PRIO_HIGH), 0);
    for (size_t i = 0; i < thi_array_len(places); i++) {
        th_spawn_opts opts = { .place = places[i], .priority = TH_PRIO_LOW };
        ck_assert_int_eq(th_spawn_with(&scope, check_rank, &low, &opts, NULL), 0);
        opts.delay = 1;
        ck_assert_int_eq(th_spawn_with(&scope, check_rank, &low, &opts, NULL), 0);
        opts.delay = 0;
        opts.priority = 0;
        ck_assert_int_eq(th_spawn_with(&scope, check_rank, &normal, &opts, NULL), 0);
        ck_assert_int_eq(th_spawn(&scope, check_rank, &normal), 0);
    }
    close_scope(&scope);
}

FIBER_TEST_ON(2, misuse_is_refused)
{
    th_scope scope;
    th_fiber *elsewhere = NULL;
    open_scope(&scope);
    ck_assert_int_eq(
        th_spawn_with(&scope, do_nothing, NULL, &(th_spawn_opts){ .priority = 2 }, NULL), -EINVAL);
    ck_assert_int_eq(
        th_spawn_with(&scope, do_nothing, NULL, &(th_spawn_opts){ .priority = -2 }, NULL), -EINVAL);
    ck_assert_int_eq(th_fiber_set_priority(NULL, 0), -EINVAL);
    ck_assert_int_eq(th_fiber_set_priority(th_fiber_self(), 2), -EINVAL);
    th_spawn_opts opts = { .place = 2 };
    ck_assert_int_eq(th_spawn_with(&scope, wait_for_cancel, NULL, &opts, &elsewhere), 0);
    ck_assert_int_eq(th_fiber_set_priority(elsewhere, TH_PRIO_LOW), -EINVAL);
    th_scope_cancel(&scope, 0);
    close_scope(&scope);
    th_fiber_unref(elsewhere);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "rank");
    tcase_add_test(tcase, the_higher_one_runs_first);
    tcase_add_test(tcase, all_have_their_share_and_equals_the_same);
    tcase_add_test(tcase, weights_can_be_chosen);
    tcase_add_test(tcase, a_simulation_picks_among_those_whose_turn_it_is);
    tcase_add_test(tcase, the_loop_is_looked_at_however_busy_the_ranks_are);
    tcase_add_test(tcase, a_priority_can_be_changed);
    tcase_add_test(tcase, a_priority_goes_along_wherever_the_fiber_is_placed_and_no_further);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("runtime/rank", fill);
}
