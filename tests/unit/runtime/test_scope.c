/* SPDX-License-Identifier: MIT */

/* Scopes on one worker: opening, waiting, closing, cancelling, deadlines, shields. */
#include "in_fiber.h"

#include "capture.h"
#include "runtime/worker.h"

/* ---- opening and misuse ---------------------------------------------------------------------- */

START_TEST(outside_a_fiber_no_scope_opens)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, NULL), -EPERM);
    ck_assert_int_eq(th_scope_open(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_scope_close(&scope), -EPERM);
    ck_assert_int_eq(th_scope_wait(&scope), -EPERM);
}
END_TEST

static int leave_a_scope_open(void *arg)
{
    static th_scope scope;
    (void)arg;
    return th_scope_open(&scope, NULL);
}

static int run_and_leave(void)
{
    return th_run(leave_a_scope_open, NULL, &(th_run_opts){ .workers = 1 });
}

START_TEST(a_scope_that_is_left_open_ends_the_process_with_a_message)
{
    capture c = run_captured(run_and_leave);
    expect_said(&c, "assertion failed: a fiber closes every scope that it opened");
    ck_assert(WIFSIGNALED(c.status));
    ck_assert_int_eq(WTERMSIG(c.status), SIGABRT);
}
END_TEST

FIBER_TEST(misuse_of_a_scope_is_refused)
{
    th_scope scope = { { 0 } };
    th_scope inner;
    ck_assert_int_eq(th_scope_open(NULL, NULL), -EINVAL);
    th_scope_opts unknown = { .size = sizeof(th_scope_opts) + 1 };
    ck_assert_int_eq(th_scope_open(&scope, &unknown), -EINVAL);
    ck_assert_int_eq(th_scope_close(&scope), -EINVAL);
    ck_assert_int_eq(th_scope_close(NULL), -EINVAL);
    ck_assert_int_eq(th_scope_wait(&scope), -EINVAL);
    ck_assert_int_eq(th_scope_wait(NULL), -EINVAL);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), -EINVAL);
    ck_assert_int_eq(th_scope_cancel(NULL, 0), -EINVAL);
    ck_assert_int_eq(th_scope_reason(&scope), 0);
    ck_assert_int_eq(th_scope_reason(NULL), 0);
    ck_assert_int_eq(th_scope_deadline(NULL), TH_NEVER);
    ck_assert_uint_eq(th_scope_children(NULL), 0);

    open_scope(&scope);
    ck_assert_int_eq(th_scope_cancel(&scope, 1), -EINVAL);
    ck_assert_int_eq(th_scope_reason(&scope), 0);
    open_scope(&inner);
    ck_assert_int_eq(th_scope_close(&scope), -EINVAL); /* not the innermost one */
    close_scope(&inner);
    close_scope(&scope);
    ck_assert_int_eq(th_scope_close(&scope), -EINVAL);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), -EINVAL);
}

static int touch_a_strangers_scope(void *arg)
{
    ck_assert_int_eq(th_scope_close(arg), -EINVAL);
    ck_assert_int_eq(th_scope_wait(arg), -EINVAL);
    return 0;
}

FIBER_TEST(only_the_fiber_that_opened_a_scope_waits_for_it_and_closes_it)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, touch_a_strangers_scope, &scope);
    close_scope(&scope);
}

FIBER_TEST(storage_of_a_closed_scope_can_be_used_again)
{
    th_scope scope;
    for (int i = 0; i < 3; i++) {
        open_cancelled_scope(&scope);
        ck_assert_int_eq(th_yield(), -ECANCELED);
        close_scope(&scope);
        ck_assert_int_eq(th_yield(), 0);
    }
}

/* ---- waiting and closing --------------------------------------------------------------------- */

FIBER_TEST(waiting_for_nobody_returns_at_once)
{
    th_scope scope;
    open_scope(&scope);
    uint64_t turns = thi_worker_self->loop.turns;
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    close_scope(&scope);
    ck_assert_uint_eq(turns, thi_worker_self->loop.turns);
}

static int sleep_then_note(void *arg)
{
    const char *letter = arg;
    int err = th_sleep((letter[0] - 'a' + 1) * TH_MILLISECOND);
    note(letter[0]);
    return err;
}

FIBER_TEST(wait_lasts_until_the_last_child_has_ended_and_the_scope_serves_again)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, sleep_then_note, "b");
    spawn(&scope, sleep_then_note, "a");
    ck_assert_uint_eq(th_scope_children(&scope), 2);
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    ck_assert_uint_eq(th_scope_children(&scope), 0);
    note('|');
    spawn(&scope, sleep_then_note, "c");
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    note('|');
    spawn(&scope, sleep_then_note, "d");
    close_scope(&scope);
    ck_assert_str_eq(trace, "ab|c|d");
}

FIBER_TEST(wait_gives_up_at_the_scopes_own_deadline)
{
    th_scope scope;
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    spawn(&scope, sleep_for_ever, NULL);
    ck_assert_int_eq(th_scope_wait(&scope), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_wait(&scope), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_close(&scope), -ETIMEDOUT);
}

FIBER_TEST(wait_under_an_inner_deadline_leaves_the_children_alone)
{
    th_scope scope;
    th_scope hurry;
    bool go_on = false;
    open_scope(&scope);
    spawn(&scope, wait_for_flag, &go_on);
    for (int i = 0; i < 2; i++) {
        open_scope_for(&hurry, 2 * TH_MILLISECOND);
        ck_assert_int_eq(th_scope_wait(&scope), -ETIMEDOUT);
        close_scope(&hurry);
        ck_assert_uint_eq(th_scope_children(&scope), 1);
        ck_assert_int_eq(th_scope_reason(&scope), 0);
    }
    go_on = true;
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    close_scope(&scope);
}

static int cancel_it(void *arg)
{
    ck_assert_int_eq(th_scope_cancel(arg, 0), 0);
    return 0;
}

FIBER_TEST(wait_that_is_cancelled_can_be_repeated)
{
    th_scope scope;
    th_scope inner;
    th_scope helpers;
    bool go_on = false;
    open_scope(&scope);
    spawn(&scope, wait_for_flag, &go_on);
    open_scope(&helpers);
    open_scope(&inner);
    spawn(&helpers, cancel_it, &inner);
    ck_assert_int_eq(th_scope_wait(&scope), -ECANCELED);
    close_scope(&inner);
    close_scope(&helpers);
    go_on = true;
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    close_scope(&scope);
}

typedef struct cleaner {
    int err;
    bool cleaned;
} cleaner;

static int sleep_and_clean_up(void *arg)
{
    cleaner *c = arg;
    c->err = th_sleep(100 * TH_SECOND);
    c->cleaned = true;
    return c->err;
}

FIBER_TEST(a_cancelled_scope_closes_promptly_and_each_child_has_cleaned_up)
{
    cleaner all[50] = { { .err = 0 } };
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(all); i++)
        spawn(&scope, sleep_and_clean_up, &all[i]);
    th_yield();
    int64_t begin = th_now();
    th_scope_cancel(&scope, 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_int_lt(th_now() - begin, 50 * TH_SECOND);
    for (size_t i = 0; i < thi_array_len(all); i++) {
        ck_assert_int_eq(all[i].err, -ECANCELED);
        ck_assert(all[i].cleaned);
    }
}

static int ignore_cancellation(void *arg)
{
    ck_assert_int_eq(th_sleep(1), -ECANCELED);
    th_scope shield;
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(th_sleep(3 * TH_MILLISECOND), 0);
    close_scope(&shield);
    note(*(char *)arg);
    return 0;
}

FIBER_TEST(close_waits_for_a_child_that_ignores_the_cancellation)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, ignore_cancellation, "a");
    th_scope_cancel(&scope, 0);
    close_scope(&scope);
    note('b');
    ck_assert_str_eq(trace, "ab");
}

static int cancel_and_sleep(void *arg)
{
    th_scope_cancel(arg, -ESHUTDOWN);
    return sleep_for_ever(NULL);
}

FIBER_TEST(close_is_not_cut_short_by_cancellation_or_deadline)
{
    th_scope scope;
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    spawn(&scope, cancel_and_sleep, &scope);
    spawn(&scope, ignore_cancellation, "a");
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_str_eq(trace, "a");
}

static int spawn_a_sibling(void *arg)
{
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    return th_spawn(arg, note_letter, "s");
}

FIBER_TEST(children_may_start_siblings_while_the_host_closes)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, spawn_a_sibling, &scope);
    close_scope(&scope);
    ck_assert_str_eq(trace, "s");
}

/* ---- what close returns ---------------------------------------------------------------------- */

static int fail_with_eio(void *arg)
{
    (void)arg;
    return -EIO;
}

static int fail_after_cancellation(void *arg)
{
    (void)arg;
    (void)th_sleep(TH_NEVER);
    return -EPIPE;
}

static int seven = 7;

FIBER_TEST(close_returns_the_first_failure)
{
    th_scope scope;
    int broken_pipe = -EPIPE;
    open_scope(&scope);
    spawn(&scope, return_number, &seven);
    spawn(&scope, fail_with_eio, NULL);
    spawn(&scope, return_number, &broken_pipe);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
}

FIBER_TEST(a_failure_leaves_the_others_alone_unless_asked_for)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, fail_with_eio, NULL);
    spawn(&scope, sleep_then_note, "a");
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    ck_assert_int_eq(th_scope_reason(&scope), 0);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
    ck_assert_str_eq(trace, "a");
}

FIBER_TEST(with_cancel_rest_a_failure_cancels_siblings_and_body)
{
    th_scope scope;
    cleaner c = { .err = 0 };
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 }), 0);
    spawn(&scope, sleep_and_clean_up, &c);
    spawn(&scope, fail_with_eio, NULL);
    ck_assert_int_eq(th_sleep(100 * TH_SECOND), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&scope), -EIO);
    ck_assert_int_eq(th_spawn(&scope, do_nothing, NULL), -ECANCELED);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
    ck_assert(c.cleaned);
    ck_assert_int_eq(th_yield(), 0);
}

FIBER_TEST(cancel_rest_wants_a_failure)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 }), 0);
    spawn(&scope, return_number, &seven);
    spawn(&scope, sleep_then_note, "a");
    close_scope(&scope);
    ck_assert_str_eq(trace, "a");
}

FIBER_TEST(a_real_failure_wins_over_those_who_only_report_the_cancellation)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, sleep_for_ever, NULL);
    spawn(&scope, fail_after_cancellation, NULL);
    spawn(&scope, sleep_for_ever, NULL);
    th_yield();
    th_scope_cancel(&scope, 0);
    ck_assert_int_eq(th_scope_close(&scope), -EPIPE);
}

FIBER_TEST(the_failure_that_cancelled_wins_over_later_ones)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 }), 0);
    spawn(&scope, fail_after_cancellation, NULL);
    spawn(&scope, fail_with_eio, NULL);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
}

/* Whoever is told to stop and does so with success has not failed. */
FIBER_TEST(a_cancelled_scope_whose_children_end_well_closes_with_success)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, wait_for_cancel, NULL);
    th_scope_cancel(&scope, 0);
    close_scope(&scope);
}

static int keep_spawning(void *arg)
{
    int err;
    while ((err = th_spawn(arg, do_nothing, NULL)) == 0)
        th_yield();
    return err;
}

static int fail_a_little_later(void *arg)
{
    (void)arg;
    th_yield();
    th_yield();
    return -EIO;
}

FIBER_TEST(children_that_keep_starting_children_end_when_one_fails)
{
    th_scope scope;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 }), 0);
    spawn(&scope, keep_spawning, &scope);
    spawn(&scope, keep_spawning, &scope);
    spawn(&scope, fail_a_little_later, NULL);
    ck_assert_int_eq(th_scope_close(&scope), -EIO);
}

static int run_inner_group(void *arg)
{
    th_scope inner;
    (void)arg;
    open_scope(&inner);
    for (int i = 0; i < 5; i++)
        spawn(&inner, sleep_for_ever, NULL);
    int err = th_scope_close(&inner);
    note('i');
    return err;
}

FIBER_TEST(when_a_child_of_the_outer_group_fails_the_inner_one_is_cancelled_as_a_whole)
{
    th_scope outer;
    ck_assert_int_eq(th_scope_open(&outer, &(th_scope_opts){ .cancel_rest = 1 }), 0);
    spawn(&outer, run_inner_group, NULL);
    spawn(&outer, fail_a_little_later, NULL);
    ck_assert_int_eq(th_scope_close(&outer), -EIO);
    note('o');
    ck_assert_str_eq(trace, "io");
}

FIBER_TEST(the_scope_of_one_child_can_be_cancelled_and_the_group_goes_on)
{
    th_scope scope;
    th_scope one;
    open_scope(&scope);
    spawn(&scope, sleep_then_note, "a");
    open_scope(&one);
    spawn(&one, sleep_then_note, "b");
    th_yield();
    th_scope_cancel(&one, 0);
    ck_assert_int_eq(th_scope_close(&one), -ECANCELED);
    ck_assert_int_eq(th_scope_reason(&scope), 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "ba");
}

/* ---- cancelling ------------------------------------------------------------------------------ */

FIBER_TEST(the_first_reason_is_kept)
{
    th_scope scope;
    open_scope(&scope);
    ck_assert_int_eq(th_scope_reason(&scope), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, -ESHUTDOWN), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, -EIO), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_scope_reason(&scope), -ESHUTDOWN);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&scope);
}

FIBER_TEST(without_a_reason_it_is_cancelled)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_scope_reason(&scope), -ECANCELED);
    close_scope(&scope);
}

FIBER_TEST(cancelling_a_child_scope_does_not_touch_its_parent)
{
    th_scope outer;
    th_scope inner;
    open_scope(&outer);
    open_cancelled_scope(&inner);
    ck_assert_int_eq(th_scope_reason(&outer), 0);
    close_scope(&inner);
    ck_assert_int_eq(th_yield(), 0);
    close_scope(&outer);
}

FIBER_TEST(cancelling_a_parent_reaches_all_below_before_the_call_returns)
{
    th_scope a;
    th_scope b;
    th_scope c;
    open_scope(&a);
    open_scope(&b);
    open_scope(&c);
    th_scope_cancel(&a, -ESHUTDOWN);
    ck_assert_int_eq(th_scope_reason(&b), -ESHUTDOWN);
    ck_assert_int_eq(th_scope_reason(&c), -ESHUTDOWN);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&c);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&b);
    close_scope(&a);
    ck_assert_int_eq(th_yield(), 0);
}

FIBER_TEST(a_scope_opened_under_a_cancelled_one_is_cancelled_from_the_start)
{
    th_scope outer;
    th_scope inner;
    open_scope(&outer);
    th_scope_cancel(&outer, -ESHUTDOWN);
    open_scope(&inner);
    ck_assert_int_eq(th_scope_reason(&inner), -ESHUTDOWN);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&inner);
    close_scope(&outer);
}

/* Each of a pair cancels the other and then itself. */
typedef struct duel {
    th_scope scope;
    struct duel *other;
} duel;

static int fight(void *arg)
{
    duel *d = arg;
    open_scope(&d->scope);
    th_yield();
    th_scope_cancel(&d->other->scope, -EPIPE);
    int err = th_sleep(TH_NEVER);
    ck_assert_int_eq(th_scope_reason(&d->scope), -EPIPE);
    th_scope_cancel(&d->scope, -EIO);
    ck_assert_int_eq(th_scope_reason(&d->scope), -EPIPE);
    th_yield();
    close_scope(&d->scope);
    return err;
}

FIBER_TEST(fibers_that_cancel_each_other_both_end)
{
    static duel a;
    static duel b;
    th_scope scope;
    a.other = &b;
    b.other = &a;
    open_scope(&scope);
    spawn(&scope, fight, &a);
    spawn(&scope, fight, &b);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
}

static int cancel_own_scope(void *arg)
{
    th_scope_cancel(arg, 0);
    return th_yield();
}

FIBER_TEST(a_child_may_cancel_the_scope_it_lives_in)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, cancel_own_scope, &scope);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

FIBER_TEST(the_earliest_deadline_wins)
{
    th_scope outer;
    th_scope later;
    th_scope earlier;
    int64_t soon = th_after(TH_SECOND);
    ck_assert_int_eq(th_scope_open(&outer, &(th_scope_opts){ .deadline = soon }), 0);
    ck_assert_int_eq(th_scope_open(&later, &(th_scope_opts){ .deadline = soon + 1 }), 0);
    ck_assert_int_eq(th_scope_deadline(&later), soon);
    ck_assert_int_eq(th_scope_open(&earlier, &(th_scope_opts){ .deadline = soon - 1 }), 0);
    ck_assert_int_eq(th_scope_deadline(&earlier), soon - 1);
    ck_assert_int_eq(th_scope_deadline(&outer), soon);
    close_scope(&earlier);
    close_scope(&later);
    close_scope(&outer);
}

FIBER_TEST(without_a_deadline_there_is_none)
{
    th_scope scope;
    th_scope never;
    open_scope(&scope);
    ck_assert_int_eq(th_scope_deadline(&scope), TH_NEVER);
    ck_assert_int_eq(th_scope_open(&never, &(th_scope_opts){ .deadline = TH_NEVER }), 0);
    ck_assert_int_eq(th_scope_deadline(&never), TH_NEVER);
    ck_assert_int_eq(th_yield(), 0);
    close_scope(&never);
    close_scope(&scope);
}

FIBER_TEST(a_deadline_ends_the_sleep_not_before_it_has_come)
{
    th_scope scope;
    open_scope_for(&scope, 3 * TH_MILLISECOND);
    int64_t deadline = th_scope_deadline(&scope);
    ck_assert_int_eq(th_sleep(100 * TH_SECOND), -ETIMEDOUT);
    ck_assert_int_ge(th_now(), deadline);
    ck_assert_int_eq(th_scope_reason(&scope), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_sleep(1), 0);
}

FIBER_TEST(a_parents_deadline_reaches_grandchildren)
{
    th_scope outer;
    open_scope_for(&outer, 3 * TH_MILLISECOND);
    spawn(&outer, run_inner_group, NULL);
    ck_assert_int_eq(th_scope_close(&outer), -ETIMEDOUT);
    ck_assert_str_eq(trace, "i");
}

/* The reason of the scope whose time is up is known at the same time as that of the one inside. */
FIBER_TEST(a_deadline_is_marked_where_it_belongs)
{
    th_scope outer;
    th_scope inner;
    open_scope_for(&outer, TH_MILLISECOND);
    open_scope(&inner);
    while (th_now() <= th_scope_deadline(&outer))
        ;
    ck_assert_int_eq(th_check(), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&inner), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&outer), -ETIMEDOUT);
    close_scope(&inner);
    ck_assert_int_eq(th_yield(), -ETIMEDOUT);
    close_scope(&outer);
}

FIBER_TEST(cancellation_wins_over_a_deadline_that_has_passed)
{
    th_scope scope;
    open_scope_for(&scope, -1);
    ck_assert_int_eq(th_yield(), -ETIMEDOUT);
    th_scope_cancel(&scope, 0);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&scope);
}

FIBER_TEST(a_cancelled_scope_stays_cancelled_when_its_time_is_up)
{
    th_scope scope;
    th_scope shield;
    open_scope_for(&scope, TH_MILLISECOND);
    th_scope_cancel(&scope, -ESHUTDOWN);
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(th_sleep(3 * TH_MILLISECOND), 0);
    close_scope(&shield);
    ck_assert_int_gt(th_now(), th_scope_deadline(&scope));
    ck_assert_int_eq(th_scope_reason(&scope), -ESHUTDOWN);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&scope);
}

FIBER_TEST(a_deadline_and_a_cancellation_in_one_turn_are_a_cancellation)
{
    th_scope scope;
    th_scope canceller;
    open_scope(&canceller);
    open_scope_for(&scope, TH_MILLISECOND);
    spawn(&canceller, cancel_it, &scope);
    while (th_now() <= th_scope_deadline(&scope))
        ; /* both happen before this fiber runs again */
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
    close_scope(&scope);
    close_scope(&canceller);
}

FIBER_TEST(closing_takes_the_deadlines_timer_away)
{
    th_scope scope;
    size_t before = thi_worker_self->loop.timers.count;
    open_scope_for(&scope, TH_SECOND);
    ck_assert_uint_eq(thi_worker_self->loop.timers.count, before + 1);
    close_scope(&scope);
    ck_assert_uint_eq(thi_worker_self->loop.timers.count, before);
}

/* ---- shields --------------------------------------------------------------------------------- */

FIBER_TEST(what_happens_around_a_shield_does_not_reach_inside)
{
    th_scope outer;
    th_scope shield;
    th_scope inside;
    open_scope_for(&outer, TH_HOUR);
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(th_scope_deadline(&shield), TH_NEVER);
    open_scope(&inside);
    th_scope_cancel(&outer, 0);
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert_int_eq(th_scope_reason(&inside), 0);
    spawn(&inside, sleep_then_note, "a");
    close_scope(&inside);
    close_scope(&shield);
    ck_assert_int_eq(th_sleep(1), -ECANCELED); /* it arrives at the end of the shield */
    close_scope(&outer);
    ck_assert_str_eq(trace, "a");
}

FIBER_TEST(a_shield_opens_in_a_cancelled_scope_and_has_a_deadline_of_its_own)
{
    th_scope outer;
    th_scope shield;
    open_cancelled_scope(&outer);
    th_scope_opts opts = { .shield = 1, .deadline = th_after(50 * TH_MILLISECOND) };
    ck_assert_int_eq(th_scope_open(&shield, &opts), 0);
    ck_assert_int_eq(th_scope_deadline(&shield), opts.deadline);
    ck_assert_int_eq(th_sleep(1), 0);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    close_scope(&shield);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&outer);
}

FIBER_TEST(a_shield_itself_can_be_cancelled)
{
    th_scope shield;
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    th_scope_cancel(&shield, 0);
    ck_assert_int_eq(th_yield(), -ECANCELED);
    close_scope(&shield);
}

FIBER_TEST(a_deadline_that_passed_around_a_shield_is_none_of_its_business)
{
    th_scope outer;
    th_scope shield;
    open_scope_for(&outer, -1);
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(th_check(), 0);
    ck_assert_int_eq(th_sleep(1), 0);
    close_scope(&shield);
    ck_assert_int_eq(th_check(), -ETIMEDOUT);
    close_scope(&outer);
}

static int wait_behind_a_shield(void *arg)
{
    th_scope shield;
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(wait_for_flag(arg), 0);
    close_scope(&shield);
    return th_yield();
}

FIBER_TEST(who_waits_for_a_shielded_one_can_itself_time_out)
{
    th_scope scope;
    th_scope hurry;
    bool go_on = false;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, wait_behind_a_shield, &go_on);
    th_yield();
    th_scope_cancel(&scope, 0);
    th_scope_opts opts = { .shield = 1, .deadline = th_after(2 * TH_MILLISECOND) };
    ck_assert_int_eq(th_scope_open(&hurry, &opts), 0);
    ck_assert_int_eq(th_join(fiber, NULL), -ETIMEDOUT);
    close_scope(&hurry);
    go_on = true;
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    th_fiber_unref(fiber);
}

static void fill_closing(Suite *suite)
{
    TCase *misuse = thi_check_case(suite, "misuse");
    tcase_add_test(misuse, outside_a_fiber_no_scope_opens);
    tcase_add_test(misuse, misuse_of_a_scope_is_refused);
    tcase_add_test(misuse, a_scope_that_is_left_open_ends_the_process_with_a_message);
    tcase_add_test(misuse, only_the_fiber_that_opened_a_scope_waits_for_it_and_closes_it);
    tcase_add_test(misuse, storage_of_a_closed_scope_can_be_used_again);

    TCase *wait = thi_check_case(suite, "wait");
    tcase_add_test(wait, waiting_for_nobody_returns_at_once);
    tcase_add_test(wait, wait_lasts_until_the_last_child_has_ended_and_the_scope_serves_again);
    add_on_engines(wait, wait_gives_up_at_the_scopes_own_deadline);
    add_on_engines(wait, wait_under_an_inner_deadline_leaves_the_children_alone);
    tcase_add_test(wait, wait_that_is_cancelled_can_be_repeated);
    tcase_add_test(wait, a_cancelled_scope_closes_promptly_and_each_child_has_cleaned_up);
    tcase_add_test(wait, close_waits_for_a_child_that_ignores_the_cancellation);
    tcase_add_test(wait, close_is_not_cut_short_by_cancellation_or_deadline);
    tcase_add_test(wait, children_may_start_siblings_while_the_host_closes);

    TCase *results = thi_check_case(suite, "results");
    tcase_add_test(results, close_returns_the_first_failure);
    tcase_add_test(results, a_failure_leaves_the_others_alone_unless_asked_for);
    tcase_add_test(results, with_cancel_rest_a_failure_cancels_siblings_and_body);
    tcase_add_test(results, cancel_rest_wants_a_failure);
    tcase_add_test(results, a_real_failure_wins_over_those_who_only_report_the_cancellation);
    tcase_add_test(results, the_failure_that_cancelled_wins_over_later_ones);
    tcase_add_test(results, a_cancelled_scope_whose_children_end_well_closes_with_success);
    tcase_add_test(results, children_that_keep_starting_children_end_when_one_fails);
    tcase_add_test(results,
                   when_a_child_of_the_outer_group_fails_the_inner_one_is_cancelled_as_a_whole);
    tcase_add_test(results, the_scope_of_one_child_can_be_cancelled_and_the_group_goes_on);
}

/* ---- deadlines that move -----------------------------------------------------------------------
 */

FIBER_TEST(a_deadline_moved_earlier_or_later_counts_at_once)
{
    th_scope scope;
    int64_t start = th_now();
    open_scope_for(&scope, TH_HOUR);
    ck_assert_int_eq(th_scope_set_deadline(&scope, start + 2 * TH_MILLISECOND), 0);
    ck_assert_int_eq(th_scope_deadline(&scope), start + 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_scope_set_deadline(&scope, start + 4 * TH_MILLISECOND), 0);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    ck_assert_int_ge(th_now() - start, 4 * TH_MILLISECOND);
    close_scope(&scope);
}

FIBER_TEST(a_deadline_taken_away_never_comes)
{
    th_scope scope;
    th_scope inner;
    open_scope_for(&scope, TH_MILLISECOND);
    open_scope(&inner);
    ck_assert_int_eq(th_scope_set_deadline(&scope, TH_NEVER), 0);
    ck_assert_int_eq(th_scope_deadline(&inner), TH_NEVER);
    ck_assert_int_eq(th_sleep(3 * TH_MILLISECOND), 0);
    close_scope(&inner);
    close_scope(&scope);
}

FIBER_TEST(a_moved_deadline_is_that_of_all_inside_but_those_with_an_earlier_one_and_shields)
{
    th_scope outer;
    th_scope earlier;
    th_scope shield;
    th_scope inner;
    int64_t now = th_now();
    open_scope(&outer);
    ck_assert_int_eq(th_scope_open(&earlier, &(th_scope_opts){ .deadline = now + TH_SECOND }), 0);
    open_scope(&inner);
    ck_assert_int_eq(th_scope_set_deadline(&outer, now + TH_HOUR), 0);
    ck_assert_int_eq(th_scope_deadline(&inner), now + TH_SECOND);
    ck_assert_int_eq(th_scope_set_deadline(&earlier, now + 2 * TH_HOUR), 0);
    ck_assert_int_eq(th_scope_deadline(&inner), now + TH_HOUR); /* the one around is the earliest */
    ck_assert_int_eq(th_scope_set_deadline(&outer, TH_NEVER), 0);
    ck_assert_int_eq(th_scope_deadline(&inner), now + 2 * TH_HOUR);
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    ck_assert_int_eq(th_scope_set_deadline(&outer, now + TH_SECOND), 0);
    ck_assert_int_eq(th_scope_deadline(&inner), now + TH_SECOND);
    ck_assert_int_eq(th_scope_deadline(&shield), TH_NEVER);
    close_scope(&shield);
    close_scope(&inner);
    close_scope(&earlier);
    close_scope(&outer);
}

FIBER_TEST(a_deadline_moved_to_the_past_ends_the_scope_at_once)
{
    th_scope scope;
    th_scope around;
    open_scope(&around);
    open_scope(&scope);
    th_fiber *sleeper = spawn_handle(&scope, sleep_for_ever, NULL);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_scope_set_deadline(&scope, th_now() - 1), 0);
    ck_assert_int_eq(th_scope_reason(&scope), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_reason(&around), 0);
    ck_assert_int_eq(th_yield(), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_close(&scope), -ETIMEDOUT);
    th_fiber_unref(sleeper);
    close_scope(&around);
}

FIBER_TEST(a_deadline_that_has_passed_moves_no_more)
{
    th_scope scope;
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_sleep(TH_NEVER), -ETIMEDOUT);
    ck_assert_int_eq(th_scope_set_deadline(&scope, TH_NEVER), -ETIMEDOUT);
    ck_assert_int_eq(th_yield(), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_scope_set_deadline(&scope, TH_NEVER), -EINVAL);
    ck_assert_int_eq(th_scope_set_deadline(NULL, TH_NEVER), -EINVAL);
    ck_assert_int_eq(th_scope_set_limit(&scope, 1), -EINVAL);
    ck_assert_int_eq(th_scope_set_limit(NULL, 1), -EINVAL);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_scope_set_deadline(&scope, TH_NEVER), -ECANCELED);
    close_scope(&scope);
}

/* ---- the last word --------------------------------------------------------------------------- */

static int sleep_a_little(void *arg)
{
    int err = th_sleep(*(const int64_t *)arg);
    note(err == 0 ? 'a' : 't');
    return err == 0 ? 7 : err;
}

static int be_cancelled_and_clean_up(void *arg)
{
    int err = th_sleep(TH_NEVER);
    ck_assert_int_eq(err, -ECANCELED);
    ck_assert_int_eq(th_shielded(5 * TH_MILLISECOND, sleep_a_little, arg), 7);
    return th_yield(); /* outside of the shield it is cancelled as before */
}

FIBER_TEST(clean_up_in_a_shield_runs_though_all_around_is_cancelled)
{
    th_scope scope;
    int64_t span = TH_MILLISECOND;
    open_scope(&scope);
    spawn(&scope, be_cancelled_and_clean_up, &span);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_str_eq(trace, "a");
}

FIBER_TEST(clean_up_in_a_shield_ends_at_its_own_deadline)
{
    th_scope scope;
    int64_t span = TH_HOUR;
    int64_t start = th_now();
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_shielded(2 * TH_MILLISECOND, sleep_a_little, &span), -ETIMEDOUT);
    ck_assert_int_ge(th_now() - start, 2 * TH_MILLISECOND);
    close_scope(&scope);
    ck_assert_str_eq(trace, "t");
    ck_assert_int_eq(th_shielded(0, sleep_a_little, &span), -EINVAL);
    ck_assert_int_eq(th_shielded(-1, sleep_a_little, &span), -EINVAL);
    ck_assert_int_eq(th_shielded(1, NULL, &span), -EINVAL);
}

START_TEST(outside_a_fiber_nothing_is_shielded)
{
    int64_t span = 0;
    ck_assert_int_eq(th_shielded(1, sleep_a_little, &span), -EPERM);
}
END_TEST

static void fill(Suite *suite)
{
    fill_closing(suite);
    TCase *cancel = thi_check_case(suite, "cancel");
    tcase_add_test(cancel, the_first_reason_is_kept);
    tcase_add_test(cancel, without_a_reason_it_is_cancelled);
    tcase_add_test(cancel, cancelling_a_child_scope_does_not_touch_its_parent);
    tcase_add_test(cancel, cancelling_a_parent_reaches_all_below_before_the_call_returns);
    tcase_add_test(cancel, a_scope_opened_under_a_cancelled_one_is_cancelled_from_the_start);
    tcase_add_test(cancel, fibers_that_cancel_each_other_both_end);
    tcase_add_test(cancel, a_child_may_cancel_the_scope_it_lives_in);

    TCase *deadline = thi_check_case(suite, "deadline");
    tcase_add_test(deadline, the_earliest_deadline_wins);
    tcase_add_test(deadline, without_a_deadline_there_is_none);
    add_on_engines(deadline, a_deadline_ends_the_sleep_not_before_it_has_come);
    add_on_engines(deadline, a_parents_deadline_reaches_grandchildren);
    tcase_add_test(deadline, a_deadline_is_marked_where_it_belongs);
    tcase_add_test(deadline, cancellation_wins_over_a_deadline_that_has_passed);
    tcase_add_test(deadline, a_cancelled_scope_stays_cancelled_when_its_time_is_up);
    tcase_add_test(deadline, a_deadline_and_a_cancellation_in_one_turn_are_a_cancellation);
    tcase_add_test(deadline, closing_takes_the_deadlines_timer_away);

    TCase *shield = thi_check_case(suite, "shield");
    tcase_add_test(shield, what_happens_around_a_shield_does_not_reach_inside);
    tcase_add_test(shield, a_shield_opens_in_a_cancelled_scope_and_has_a_deadline_of_its_own);
    tcase_add_test(shield, a_shield_itself_can_be_cancelled);
    tcase_add_test(shield, a_deadline_that_passed_around_a_shield_is_none_of_its_business);
    tcase_add_test(shield, who_waits_for_a_shielded_one_can_itself_time_out);
    TCase *tcase = thi_check_case(suite, "moved");
    tcase_add_test(tcase, a_deadline_moved_earlier_or_later_counts_at_once);
    tcase_add_test(tcase, a_deadline_taken_away_never_comes);
    tcase_add_test(
        tcase, a_moved_deadline_is_that_of_all_inside_but_those_with_an_earlier_one_and_shields);
    tcase_add_test(tcase, a_deadline_moved_to_the_past_ends_the_scope_at_once);
    tcase_add_test(tcase, a_deadline_that_has_passed_moves_no_more);
    tcase_add_test(tcase, clean_up_in_a_shield_runs_though_all_around_is_cancelled);
    tcase_add_test(tcase, clean_up_in_a_shield_ends_at_its_own_deadline);
    tcase_add_test(tcase, outside_a_fiber_nothing_is_shielded);
}

int main(void)
{
    return thi_check_run("runtime/scope", fill);
}
