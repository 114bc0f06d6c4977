/* SPDX-License-Identifier: MIT */

/* Starting fibers, their limits and their order, and joining them. */
#include "in_fiber.h"

#include "runtime/sched.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* ---- starting -------------------------------------------------------------------------------- */

FIBER_TEST(a_new_fiber_runs_when_the_spawner_suspends)
{
    th_scope scope;
    open_scope(&scope);
    note('1');
    spawn(&scope, note_letter, "a");
    spawn(&scope, note_letter, "b");
    note('2');
    th_yield();
    note('3');
    spawn(&scope, note_letter, "c");
    close_scope(&scope);
    note('4');
    ck_assert_str_eq(trace, "12ab3c4");
}

static int start_c_and_d(void *arg)
{
    note('a');
    spawn(arg, note_letter, "c");
    spawn(arg, note_letter, "d");
    note('A');
    return 0;
}

FIBER_TEST(children_of_children_queue_behind_all_that_are_ready)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, start_c_and_d, &scope);
    spawn(&scope, note_letter, "b");
    close_scope(&scope);
    ck_assert_str_eq(trace, "aAbcd");
}

FIBER_TEST(misuse_of_spawn_is_refused_and_starts_nothing)
{
    th_scope scope;
    th_scope never_opened = { { 0 } };
    th_fiber *fiber = NULL;
    open_scope(&scope);
    ck_assert_int_eq(th_spawn(&scope, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_spawn(NULL, note_letter, "x"), -EINVAL);
    ck_assert_int_eq(th_spawn(&never_opened, note_letter, "x"), -EINVAL);
    ck_assert_int_eq(th_spawn_with(&scope, NULL, NULL, NULL, &fiber), -EINVAL);
    ck_assert_int_eq(th_spawn_with(NULL, note_letter, "x", NULL, &fiber), -EINVAL);
    ck_assert_uint_eq(th_scope_children(&scope), 0);
    close_scope(&scope);
    ck_assert_int_eq(th_spawn(&scope, note_letter, "x"), -EINVAL);
    ck_assert_ptr_null(fiber);
    ck_assert_str_eq(trace, "");
}

FIBER_TEST_ON(2, options_outside_their_range_are_refused)
{
    static const th_spawn_opts wrong[] = {
        { .size = sizeof(th_spawn_opts) + 1 },
        { .stack_size = ((size_t)4 << 20) + 1 },
        { .place = TH_PLACE_ROUND - 1 },
        { .place = 3 },
        { .delay = -1 },
    };
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(wrong); i++)
        ck_assert_int_eq(th_spawn_with(&scope, note_letter, "x", &wrong[i], NULL), -EINVAL);
    close_scope(&scope);
    ck_assert_str_eq(trace, "");
}

/* Writes over most of a stack of that many bytes. */
static int use_stack(void *arg)
{
    size_t size = *(size_t *)arg;
    volatile char *bytes = __builtin_alloca(size);
    for (size_t i = 0; i < size; i += 512)
        bytes[i] = 1;
    return bytes[0];
}

FIBER_TEST(a_stack_is_as_large_as_asked_for)
{
    static const size_t sizes[] = {
        1, 16384, 16385, 65536, 262144, (size_t)1 << 20, (size_t)4 << 20
    };
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        size_t rounded = 16384;
        while (rounded < sizes[i])
            rounded *= 2;
        size_t use =
            rounded - 10240; /* the guard, the colour, frames and a sanitizer's red zones */
        th_spawn_opts opts = { .stack_size = sizes[i] };
        ck_assert_int_eq(th_spawn_with(&scope, use_stack, &use, &opts, NULL), 0);
        ck_assert_int_eq(th_scope_wait(&scope), 0);
    }
    close_scope(&scope);
}

static int name_and_number(void *arg)
{
    th_fiber *self = th_fiber_self();
    ck_assert_ptr_nonnull(self);
    ck_assert_str_eq(th_fiber_name(self), arg);
    ck_assert_uint_ne(th_fiber_id(self), 0);
    return 0;
}

FIBER_TEST(a_fiber_knows_itself_by_name_and_number)
{
    th_scope scope;
    char named[] = "the named one";
    char plain[64];
    char wrapped[] = "somebody at else.c:7";
    char unknown[] = "fiber";
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_with(&scope, name_and_number, named,
                                   &(th_spawn_opts){ .name = "the named one" }, NULL),
                     0);
    snprintf(plain, sizeof plain, "name_and_number at test_spawn.c:%d", __LINE__ + 1);
    ck_assert_int_eq(th_spawn(&scope, name_and_number, plain), 0);
    ck_assert_int_eq(th_spawn_from(&scope, name_and_number, wrapped, "somebody at else.c:7"), 0);
    ck_assert_int_eq((th_spawn)(&scope, name_and_number, unknown), 0);
    ck_assert_int_eq((th_spawn_with)(&scope, name_and_number, unknown, NULL, NULL), 0);
    close_scope(&scope);
    ck_assert_str_eq(th_fiber_name(NULL), "fiber");
    ck_assert_uint_eq(th_fiber_id(NULL), 0);
}

static int check_place(void *arg)
{
    ck_assert_str_eq(th_fiber_place(th_fiber_self()), arg);
    return 0;
}

FIBER_TEST_ON(2, a_fiber_knows_where_it_was_spawned)
{
    static const th_spawn_opts named = { .name = "named" };
    static const th_spawn_opts elsewhere = { .place = 2 };
    th_scope scope;
    char place[3][32];
    open_scope(&scope);
    for (int i = 0; i < 3; i++)
        snprintf(place[i], sizeof place[i], "test_spawn.c:%d", __LINE__ + 1 + i);
    ck_assert_int_eq(th_spawn(&scope, check_place, place[0]), 0);
    ck_assert_int_eq(th_spawn_with(&scope, check_place, place[1], &named, NULL), 0);
    ck_assert_int_eq(th_spawn_with(&scope, check_place, place[2], &elsewhere, NULL), 0);
    ck_assert_str_eq(th_fiber_place(th_fiber_self()), "");
    ck_assert_str_eq(th_fiber_name(th_fiber_self()), "main");
    ck_assert_str_eq(th_fiber_place(NULL), "");
    close_scope(&scope);
}

START_TEST(outside_a_fiber_there_is_none)
{
    ck_assert_ptr_null(th_fiber_self());
    ck_assert_ptr_null(th_scope_root());
    ck_assert_int_eq(th_yield(), -EPERM);
    ck_assert_int_eq(th_sleep(1), -EPERM);
    ck_assert_int_eq(th_sleep(0), -EPERM);
    ck_assert_int_eq(th_sleep_until(0), -EPERM);
    ck_assert_int_eq(th_check(), -EPERM);
    ck_assert_int_eq(th_join(NULL, NULL), -EINVAL);
    th_fiber_unref(NULL);
}
END_TEST

/* Ids of ten fibers that use the same object after each other. */
static int store_id(void *arg)
{
    *(uint64_t *)arg = th_fiber_id(th_fiber_self());
    return 0;
}

FIBER_TEST(numbers_are_never_used_twice)
{
    uint64_t ids[10];
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < 10; i++) {
        spawn(&scope, store_id, &ids[i]);
        ck_assert_int_eq(th_scope_wait(&scope), 0);
        for (int k = 0; k < i; k++)
            ck_assert_uint_ne(ids[k], ids[i]);
    }
    close_scope(&scope);
}

FIBER_TEST(a_million_short_fibers_need_the_memory_of_one)
{
    th_scope scope;
    open_scope(&scope);
    size_t before = thi_worker_self->fibers.total;
    int64_t live = 0;
    for (int i = 0; i < 1000000; i++) {
        spawn(&scope, do_nothing, NULL);
        ck_assert_int_eq(th_scope_wait(&scope), 0);
        if (i == 0)
            live = (int64_t)thi_worker_self->fibers.total;
    }
    ck_assert_uint_le(thi_worker_self->fibers.total, before + 1);
    ck_assert_int_eq((int64_t)thi_worker_self->fibers.total, live);
    close_scope(&scope);
}

/* ---- limits ---------------------------------------------------------------------------------- */

typedef struct crowd {
    th_scope scope;
    int running;
    int most;
    int done;
} crowd;

static int be_counted(void *arg)
{
    crowd *c = arg;
    c->most = thi_max(c->most, ++c->running);
    th_yield();
    th_yield();
    c->running--;
    c->done++;
    return 0;
}

FIBER_TEST(a_limit_holds_the_spawner_back)
{
    static crowd c;
    ck_assert_int_eq(th_scope_open(&c.scope, &(th_scope_opts){ .limit = 3 }), 0);
    for (int i = 0; i < 100; i++) {
        spawn(&c.scope, be_counted, &c);
        ck_assert_uint_le(th_scope_children(&c.scope), 3);
    }
    close_scope(&c.scope);
    ck_assert_int_eq(c.most, 3);
    ck_assert_int_eq(c.done, 100);
}

FIBER_TEST(at_the_limit_nobody_waits)
{
    th_scope scope;
    th_scope impatient;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 2 }), 0);
    open_cancelled_scope(&impatient); /* whoever has to wait fails */
    spawn(&scope, do_nothing, NULL);
    spawn(&scope, do_nothing, NULL);
    ck_assert_int_eq(th_spawn(&scope, do_nothing, NULL), -ECANCELED);
    ck_assert_uint_eq(th_scope_children(&scope), 2);
    close_scope(&impatient);
    close_scope(&scope);
}

/* A letter of its own for each of many who want to spawn into a full scope. */
typedef struct applicant {
    th_scope *scope;
    char letter[2];
} applicant;

static int apply(void *arg)
{
    applicant *a = arg;
    return th_spawn(a->scope, note_letter, a->letter);
}

FIBER_TEST(places_are_given_in_the_order_of_asking)
{
    th_scope scope;
    th_scope applicants;
    applicant all[26];
    char expected[27] = { 0 };
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    open_scope(&applicants);
    spawn(&scope, be_counted, &(crowd){ .running = 0 });
    for (int i = 0; i < 26; i++) {
        all[i] = (applicant){ .scope = &scope, .letter = { (char)('a' + i) } };
        expected[i] = all[i].letter[0];
        spawn(&applicants, apply, &all[i]);
    }
    close_scope(&applicants);
    close_scope(&scope);
    ck_assert_str_eq(trace, expected);
}

static int try_to_spawn(void *arg)
{
    int result = th_spawn(arg, note_letter, "x");
    note('c');
    return result;
}

FIBER_TEST(a_spawner_that_is_cancelled_while_it_waits_starts_nothing)
{
    th_scope scope;
    th_scope spawners;
    bool go_on = false;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    spawn(&scope, wait_for_flag, &go_on);
    open_scope(&spawners);
    spawn(&spawners, try_to_spawn, &scope);
    spawn(&spawners, try_to_spawn, &scope);
    th_yield();
    th_scope_cancel(&spawners, 0);
    ck_assert_int_eq(th_scope_close(&spawners), -ECANCELED);
    ck_assert_uint_eq(th_scope_children(&scope), 1);
    go_on = true;
    spawn(&scope, note_letter, "a"); /* nobody stands in the queue any more */
    close_scope(&scope);
    ck_assert_str_eq(trace, "cca");
}

FIBER_TEST(a_place_given_to_a_spawner_that_is_then_cancelled_goes_to_the_next)
{
    th_scope scope;
    th_scope first;
    th_scope second;
    th_fiber *occupant;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    occupant = spawn_handle(&scope, do_nothing, NULL);
    open_scope(&second);
    applicant b = { .scope = &scope, .letter = "b" };
    open_scope(&first);
    spawn(&first, try_to_spawn, &scope);
    spawn(&second, apply, &b);
    /* In one turn: the occupant ends, its place goes to the first, who is cancelled before it runs.
     * The cancellation comes too late for the wait but in time for the start of the child. */
    ck_assert_int_eq(th_join(occupant, NULL), 0);
    th_scope_cancel(&first, 0);
    th_fiber_unref(occupant);
    (void)th_scope_close(&first);
    close_scope(&second);
    close_scope(&scope);
    ck_assert_ptr_nonnull(strchr(trace, 'b'));
}

FIBER_TEST(a_spawner_that_waits_learns_that_the_scope_was_cancelled)
{
    th_scope scope;
    th_scope spawners;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    spawn(&scope, wait_for_cancel, NULL);
    open_scope(&spawners);
    spawn(&spawners, try_to_spawn, &scope);
    th_yield();
    th_scope_cancel(&scope, 0);
    ck_assert_int_eq(th_scope_close(&spawners), -ECANCELED);
    close_scope(&scope);
    ck_assert_str_eq(trace, "c");
}

FIBER_TEST(a_deadline_ends_the_wait_for_room)
{
    th_scope scope;
    th_scope hurry;
    ck_assert_int_eq(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }), 0);
    spawn(&scope, wait_for_cancel, NULL);
    open_scope_for(&hurry, 5 * TH_MILLISECOND);
    ck_assert_int_eq(th_spawn(&scope, note_letter, "x"), -ETIMEDOUT);
    close_scope(&hurry);
    th_scope_cancel(&scope, 0);
    close_scope(&scope);
    ck_assert_str_eq(trace, "");
}

/* ---- refusing -------------------------------------------------------------------------------- */

FIBER_TEST(nothing_starts_in_a_cancelled_scope)
{
    th_scope scope;
    th_fiber *fiber = NULL;
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_spawn(&scope, note_letter, "x"), -ECANCELED);
    ck_assert_int_eq(th_spawn_with(&scope, note_letter, "x", NULL, &fiber), -ECANCELED);
    ck_assert_ptr_null(fiber);
    close_scope(&scope);
    ck_assert_str_eq(trace, "");
}

FIBER_TEST(nothing_starts_in_a_scope_whose_time_is_up)
{
    th_scope scope;
    open_scope_for(&scope, -1);
    ck_assert_int_eq(th_spawn(&scope, note_letter, "x"), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_str_eq(trace, "");
}

/* Tries everything that suspends, twice, and finds that nothing does. */
static int find_all_calls_failing(void *arg)
{
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(th_yield(), -ECANCELED);
        ck_assert_int_eq(th_sleep(1), -ECANCELED);
        ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED);
        ck_assert_int_eq(th_sleep_until(1), -ECANCELED);
        ck_assert_int_eq(th_check(), -ECANCELED);
    }
    *(bool *)arg = true; /* what was handed over is taken care of */
    return -ECANCELED;
}

FIBER_TEST(a_fiber_cancelled_before_its_first_run_runs_and_finds_all_calls_failing)
{
    bool released = false;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, find_all_calls_failing, &released);
    th_scope_cancel(&scope, 0);
    ck_assert(!released);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert(released);
}

/* ---- joining --------------------------------------------------------------------------------- */

FIBER_TEST(join_brings_the_result)
{
    th_scope scope;
    int number = 42;
    int result = 0;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, return_number, &number);
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, 42);
    th_fiber_unref(fiber);
    close_scope(&scope);
}

FIBER_TEST(a_fiber_that_has_ended_can_still_be_joined_again_and_again)
{
    th_scope scope;
    int number = -7;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, return_number, &number);
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    for (int i = 0; i < 3; i++) {
        int result = 0;
        spawn(&scope, do_nothing, NULL); /* nobody takes the place of the one with a handle */
        ck_assert_int_eq(th_scope_wait(&scope), 0);
        ck_assert_int_eq(th_join(fiber, &result), 0);
        ck_assert_int_eq(result, -7);
    }
    ck_assert_int_eq(th_join(fiber, NULL), 0);
    th_fiber_unref(fiber);
    ck_assert_int_eq(th_scope_close(&scope), -7);
}

typedef struct join_job {
    th_fiber *fiber;
    th_scope *scope;
    int got;
    bool unref;
    int (*then)(struct join_job *job);
} join_job;

static int join_it(void *arg)
{
    join_job *job = arg;
    int err = th_join(job->fiber, &job->got);
    if (job->unref)
        th_fiber_unref(job->fiber);
    return err < 0 || !job->then ? err : job->then(job);
}

FIBER_TEST(all_who_join_get_the_result)
{
    th_scope scope;
    int number = 9;
    join_job jobs[5] = { { .got = 0 } };
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, return_number, &number);
    for (int i = 0; i < 5; i++) {
        jobs[i].fiber = fiber;
        spawn(&scope, join_it, &jobs[i]);
    }
    close_scope(&scope);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(jobs[i].got, 9);
    th_fiber_unref(fiber);
}

static int sleep_a_little(void *arg)
{
    (void)arg;
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    return 11;
}

/* Spawns until the object of the joined fiber has been used again and has ended. */
static int overwrite(join_job *job)
{
    int other = 5;
    for (int i = 0; i < 3; i++) {
        th_fiber *next = spawn_handle(job->scope, return_number, &other);
        ck_assert_int_eq(th_join(next, NULL), 0);
        th_fiber_unref(next);
    }
    return 0;
}

FIBER_TEST(a_joiner_keeps_the_result_when_another_gives_the_handle_back)
{
    th_scope scope;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, sleep_a_little, NULL);
    join_job jobs[2] = {
        { .fiber = fiber, .scope = &scope, .unref = true, .then = overwrite },
        { .fiber = fiber },
    };
    spawn(&scope, join_it, &jobs[0]);
    spawn(&scope, join_it, &jobs[1]);
    close_scope(&scope);
    ck_assert_int_eq(jobs[0].got, 11);
    ck_assert_int_eq(jobs[1].got, 11);
}

static int join_oneself(void *arg)
{
    (void)arg;
    int result = 77;
    ck_assert_int_eq(th_join(th_fiber_self(), &result), -EDEADLK);
    ck_assert_int_eq(result, 77);
    return 0;
}

FIBER_TEST(joining_oneself_is_a_deadlock_and_refused)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, join_oneself, NULL);
    close_scope(&scope);
    join_oneself(NULL);
}

static int number_five = 5;

FIBER_TEST(join_gives_up_at_the_deadline_and_can_be_tried_again)
{
    th_scope scope;
    th_scope hurry;
    int result = 77;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, wait_for_cancel, NULL);
    open_scope_for(&hurry, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_join(fiber, &result), -ETIMEDOUT);
    ck_assert_int_eq(th_join(fiber, &result), -ETIMEDOUT);
    ck_assert_int_eq(result, 77);
    close_scope(&hurry);
    ck_assert_uint_eq(th_scope_children(&scope), 1);
    th_fiber *other = spawn_handle(&scope, return_number, &number_five);
    ck_assert_int_eq(th_join(other, &result), 0);
    ck_assert_int_eq(result, 5);
    th_scope_cancel(&scope, 0);
    close_scope(&scope);
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, 0);
    th_fiber_unref(fiber);
    th_fiber_unref(other);
}

FIBER_TEST(a_joiner_that_is_cancelled_leaves_the_fiber_alone)
{
    th_scope scope;
    th_scope joiners;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, sleep_a_little, NULL);
    join_job jobs[3] = { { .fiber = fiber }, { .fiber = fiber }, { .fiber = fiber } };
    open_scope(&joiners);
    spawn(&scope, join_it, &jobs[0]);
    spawn(&joiners, join_it, &jobs[1]);
    spawn(&scope, join_it, &jobs[2]);
    th_yield();
    th_scope_cancel(&joiners, 0);
    ck_assert_int_eq(th_scope_close(&joiners), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(jobs[0].got, 11);
    ck_assert_int_eq(jobs[1].got, 0);
    ck_assert_int_eq(jobs[2].got, 11);
    th_fiber_unref(fiber);
}

FIBER_TEST(an_ended_fiber_can_be_joined_where_nothing_may_suspend)
{
    th_scope scope;
    th_scope cancelled;
    int result = 0;
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, return_number, &number_five);
    ck_assert_int_eq(th_scope_wait(&scope), 0);
    open_cancelled_scope(&cancelled);
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, 5);
    close_scope(&cancelled);
    close_scope(&scope);
    th_fiber_unref(fiber);
}

/* ---- what must be right across a switch ------------------------------------------------------ */

static int keep_errno(void *arg)
{
    int mine = *(int *)arg;
    errno = mine;
    for (int i = 0; i < 10; i++) {
        th_yield();
        ck_assert_int_eq(errno, mine);
    }
    th_sleep(TH_MICROSECOND);
    ck_assert_int_eq(errno, mine);
    return 0;
}

FIBER_TEST(each_fiber_sees_its_own_errno)
{
    static int numbers[] = { 1, 2, 3 };
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(numbers); i++)
        spawn(&scope, keep_errno, &numbers[i]);
    close_scope(&scope);
}

/* The end of the main fiber with a handle that nobody gave back. It outlives the runtime, so it is
 * still reachable when the leak sanitizer looks. */
FIBER_TEST(a_handle_that_is_never_given_back_does_no_harm)
{
    static th_fiber *volatile kept;
    th_scope scope;
    open_scope(&scope);
    kept = spawn_handle(&scope, do_nothing, NULL);
    close_scope(&scope);
    ck_assert_ptr_nonnull(kept);
}

static void fill(Suite *suite)
{
    TCase *start = thi_check_case(suite, "start");
    tcase_add_test(start, a_new_fiber_runs_when_the_spawner_suspends);
    tcase_add_test(start, children_of_children_queue_behind_all_that_are_ready);
    tcase_add_test(start, misuse_of_spawn_is_refused_and_starts_nothing);
    tcase_add_test(start, options_outside_their_range_are_refused);
    tcase_add_test(start, a_stack_is_as_large_as_asked_for);
    tcase_add_test(start, a_fiber_knows_itself_by_name_and_number);
    tcase_add_test(start, a_fiber_knows_where_it_was_spawned);
    tcase_add_test(start, outside_a_fiber_there_is_none);
    tcase_add_test(start, numbers_are_never_used_twice);
    tcase_add_test(start, each_fiber_sees_its_own_errno);
    tcase_add_test(start, nothing_starts_in_a_cancelled_scope);
    tcase_add_test(start, nothing_starts_in_a_scope_whose_time_is_up);
    tcase_add_test(start, a_fiber_cancelled_before_its_first_run_runs_and_finds_all_calls_failing);

    TCase *many = thi_check_case(suite, "many");
    tcase_set_timeout(many, 30);
    tcase_add_test(many, a_million_short_fibers_need_the_memory_of_one);

    TCase *limit = thi_check_case(suite, "limit");
    tcase_add_test(limit, a_limit_holds_the_spawner_back);
    tcase_add_test(limit, at_the_limit_nobody_waits);
    tcase_add_test(limit, places_are_given_in_the_order_of_asking);
    tcase_add_test(limit, a_spawner_that_is_cancelled_while_it_waits_starts_nothing);
    tcase_add_test(limit, a_place_given_to_a_spawner_that_is_then_cancelled_goes_to_the_next);
    tcase_add_test(limit, a_spawner_that_waits_learns_that_the_scope_was_cancelled);
    add_on_engines(limit, a_deadline_ends_the_wait_for_room);

    TCase *join = thi_check_case(suite, "join");
    tcase_add_test(join, join_brings_the_result);
    tcase_add_test(join, a_fiber_that_has_ended_can_still_be_joined_again_and_again);
    tcase_add_test(join, all_who_join_get_the_result);
    tcase_add_test(join, a_joiner_keeps_the_result_when_another_gives_the_handle_back);
    tcase_add_test(join, joining_oneself_is_a_deadlock_and_refused);
    add_on_engines(join, join_gives_up_at_the_deadline_and_can_be_tried_again);
    add_on_engines(join, a_joiner_that_is_cancelled_leaves_the_fiber_alone);
    tcase_add_test(join, an_ended_fiber_can_be_joined_where_nothing_may_suspend);
    tcase_add_test(join, a_handle_that_is_never_given_back_does_no_harm);
}

int main(void)
{
    return thi_check_run("runtime/spawn", fill);
}
