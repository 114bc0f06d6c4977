/* SPDX-License-Identifier: MIT */

/* What is told of the stacks of fibers, by place. */
#include "in_fiber.h"

#include "fiber/depth.h"
#include "fiber/pool.h"
#include "runtime/worker.h"
#include "sys/sys.h"

#include <thrum/marks.h>

#include <stdio.h>
#include <sys/mman.h>

#define NEEDS_DEPTH() SKIP_UNLESS(thi_depth_is_told(), "no depth is measured under this tool")

/* ---- bodies of a known depth ----------------------------------------------------------------- */

static __attribute__((noinline)) void touch(size_t bytes)
{
    volatile char *deepest = __builtin_alloca(bytes);
    deepest[0] = 1;
}

static int use_stack(void *arg)
{
    touch(*(const size_t *)arg);
    return 0;
}

static int use_stack_and_wait(void *arg)
{
    touch(*(const size_t *)arg);
    return th_yield();
}

/* Frames of some hundred bytes, all of them written in part only. */
static volatile char *deepest_frame;

static __attribute__((noinline)) int descend(int levels)
{
    volatile char frame[300];
    frame[0] = frame[299] = (char)levels;
    deepest_frame = frame;
    return levels > 0 ? descend(levels - 1) + frame[299] : frame[0];
}

static size_t descended;

static int descend_and_tell(void *arg)
{
    char *here = __builtin_frame_address(0);
    (void)descend(*(const int *)arg);
    descended = (size_t)(here - (char *)(uintptr_t)deepest_frame);
    return 0;
}

/* ---- looking at what is told ------------------------------------------------------------------
 */

static th_stack_mark known[2048];

static const th_stack_mark *mark_of(const char *fn, size_t stack_size)
{
    size_t count = th_stack_marks(known, thi_array_len(known));
    ck_assert_uint_le(count, thi_array_len(known));
    for (size_t i = 0; i < count; i++)
        if (strncmp(known[i].place, fn, strlen(fn)) == 0 && known[i].place[strlen(fn)] == ' ' &&
            (stack_size == 0 || known[i].stack_size == stack_size))
            return &known[i];
    return NULL;
}

static const th_stack_mark *the_mark(const char *fn)
{
    const th_stack_mark *mark = mark_of(fn, 0);
    ck_assert_msg(mark != NULL, "nothing is known of %s", fn);
    return mark;
}

static void spawn_many(int count, th_fiber_fn fn, void *arg, const char *origin)
{
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(th_spawn_from(&scope, fn, arg, origin), 0);
        if (i % 100 == 0)
            th_yield();
    }
    close_scope(&scope);
}

#define run_many(count, fn, arg) spawn_many(count, fn, arg, TH_ORIGIN(fn))

static void expect_within(size_t value, size_t wanted, size_t by)
{
    ck_assert_uint_ge(value, wanted);
    ck_assert_uint_le(value, wanted + by);
}

/* ---- the tests ---------------------------------------------------------------------------------
 */

FIBER_TEST(a_known_depth_is_told_to_within_512_bytes)
{
    NEEDS_DEPTH();
    size_t bytes = 9000;
    run_many(1, use_stack, &bytes);
    const th_stack_mark *mark = the_mark("use_stack");
    expect_within(mark->peak, bytes, 512);
    ck_assert_uint_eq(mark->fibers, 1);
    ck_assert_uint_eq(mark->sampled, 1);
    ck_assert_uint_eq(mark->stack_size, 65536);
    ck_assert_uint_eq(mark->advice, 32768);
    ck_assert_ptr_nonnull(strstr(mark->place, " at "));
    ck_assert_ptr_nonnull(strstr(mark->place, "test_marks.c:"));
}

FIBER_TEST(recursion_is_told_to_within_512_bytes)
{
    NEEDS_DEPTH();
    int levels = 60;
    run_many(1, descend_and_tell, &levels);
    size_t peak = the_mark("descend_and_tell")->peak;
    expect_within(peak + 512, descended, 1024); /* of the deepest frame only zeros may be written */
}

FIBER_TEST(a_wait_in_between_changes_nothing)
{
    NEEDS_DEPTH();
    size_t bytes = 20000;
    run_many(3, use_stack_and_wait, &bytes);
    const th_stack_mark *mark = the_mark("use_stack_and_wait");
    expect_within(mark->peak, bytes, 512);
    ck_assert_uint_eq(mark->fibers, 3);
}

FIBER_TEST(a_reused_stack_tells_of_its_present_user_alone)
{
    NEEDS_DEPTH();
    size_t much = 30000;
    size_t little = 5000;
    run_many(1, use_stack, &much);
    run_many(1, use_stack_and_wait, &little);
    expect_within(the_mark("use_stack_and_wait")->peak, little, 512);
}

FIBER_TEST(a_peak_is_the_highest_of_all)
{
    NEEDS_DEPTH();
    size_t bytes[] = { 3000, 12000, 6000 };
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < thi_array_len(bytes); i++)
        ck_assert_int_eq(th_spawn(&scope, use_stack, &bytes[i]), 0);
    close_scope(&scope);
    const th_stack_mark *mark = the_mark("use_stack");
    expect_within(mark->peak, 12000, 512);
    ck_assert_uint_eq(mark->sampled, 3);
}

FIBER_TEST(many_are_counted_and_few_measured)
{
    NEEDS_DEPTH();
    size_t bytes = 1000;
    run_many(40000, use_stack, &bytes);
    const th_stack_mark *mark = the_mark("use_stack");
    ck_assert_uint_le(mark->fibers, 40000);
    ck_assert_uint_ge(mark->fibers, 30000);
    ck_assert_uint_ge(mark->sampled, 40);
    ck_assert_uint_le(mark->sampled, 100);
}

FIBER_TEST(fibers_that_are_not_measured_do_not_touch_the_table)
{
    NEEDS_DEPTH();
    size_t bytes = 1000;
    run_many(40, use_stack, &bytes);
    uint64_t sampled = the_mark("use_stack")->sampled;
    ck_assert_uint_lt(sampled, 40);
    ck_assert_uint_ge(sampled, 4);
}

FIBER_TEST_ON(4, all_workers_tell_into_one_table)
{
    NEEDS_DEPTH();
    size_t bytes[4] = { 2000, 3000, 14000, 4000 };
    th_scope scope;
    open_scope(&scope);
    for (unsigned w = 0; w < 4; w++)
        for (int i = 0; i < 2; i++)
            spawn_on(&scope, w, use_stack, &bytes[w]);
    close_scope(&scope);
    const th_stack_mark *mark = the_mark("fn");
    ck_assert_uint_eq(mark->fibers, 8);
    expect_within(mark->peak, 14000, 512);
}

FIBER_TEST(stacks_of_another_size_are_told_apart)
{
    NEEDS_DEPTH();
    size_t sizes[] = { 16384, 131072 };
    size_t bytes = 4000;
    th_scope scope;
    open_scope(&scope);
    for (size_t i = 0; i < 2; i++) {
        th_spawn_opts opts = { .stack_size = sizes[i] };
        ck_assert_int_eq(th_spawn_with(&scope, use_stack, &bytes, &opts, NULL), 0);
    }
    close_scope(&scope);
    for (size_t i = 0; i < 2; i++) {
        const th_stack_mark *mark = mark_of("use_stack", sizes[i]);
        ck_assert_ptr_nonnull(mark);
        ck_assert_uint_eq(mark->fibers, 1);
        ck_assert_uint_eq(mark->advice, 16384);
    }
}

FIBER_TEST(one_text_at_two_addresses_is_one_place)
{
    NEEDS_DEPTH();
    static const char one[] = "fn at same.h:1";
    static const char other[] = "fn at same.h:1";
    size_t bytes = 2000;
    th_scope scope;
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_from(&scope, use_stack, &bytes, one), 0);
    ck_assert_int_eq(th_spawn_from(&scope, use_stack, &bytes, other), 0);
    close_scope(&scope);
    ck_assert_uint_eq(the_mark("fn")->fibers, 2);
}

/* More places than there is room for; their texts are gone afterwards, as an unloaded object's. */
FIBER_TEST(places_beyond_the_limit_are_counted_together)
{
    NEEDS_DEPTH();
    enum { PLACES = 1500 };
    static char texts[PLACES][40];
    size_t bytes = 2000;
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < PLACES; i++) {
        snprintf(texts[i], sizeof texts[i], "fn at many.c:%d", i);
        ck_assert_int_eq(th_spawn_from(&scope, use_stack, &bytes, texts[i]), 0);
    }
    close_scope(&scope);
    memset(texts, 'x', sizeof texts);
    size_t count = th_stack_marks(known, thi_array_len(known));
    ck_assert_uint_eq(count, 1025);
    ck_assert_str_eq(known[1024].place, "other places");
    ck_assert_uint_gt(known[1024].sampled, 0);
    ck_assert_uint_eq(th_stack_marks(known, 3), 1025);
    ck_assert_uint_eq(th_stack_marks(NULL, 0), 1025);
}

static thi_sys poor_kernel;

static int refuse_guard(void *at, size_t n, int advice)
{
    return advice == 102 /* MADV_GUARD_INSTALL */ ? -EINVAL : thi_sys_real.madvise(at, n, advice);
}

static int refuse_protection(void *at, size_t n, int prot)
{
    (void)at;
    (void)n;
    (void)prot;
    return -ENOMEM;
}

static size_t expected;

static int main_without_guards(void *arg)
{
    th_spawn_opts opts = { .stack_size = 16384 };
    th_scope scope;
    open_scope(&scope);
    ck_assert_uint_gt(thi_worker_self->fibers.unguarded, 0);
    ck_assert_int_eq(th_spawn_with(&scope, use_stack, arg, &opts, NULL), 0);
    close_scope(&scope);
    return 0;
}

START_TEST(a_stack_without_a_guard_is_measured_as_well)
{
    NEEDS_DEPTH();
    poor_kernel = thi_sys_real;
    poor_kernel.madvise = refuse_guard;
    poor_kernel.mprotect = refuse_protection;
    thi_sys_table = &poor_kernel;
    expected = 9000;
    run_in_fiber(1, 0, main_without_guards, &expected);
    const th_stack_mark *mark = the_mark("use_stack");
    expect_within(mark->peak, expected, 512);
    ck_assert_uint_eq(mark->stack_size, 16384);
    ck_assert_uint_eq(mark->advice, 32768);
}
END_TEST

FIBER_TEST(what_uses_more_than_half_is_told_to_take_more)
{
    NEEDS_DEPTH();
    size_t bytes = 40000;
    run_many(1, use_stack, &bytes);
    ck_assert_uint_eq(the_mark("use_stack")->advice, 131072);
    th_scope scope;
    size_t most = 3000000;
    open_scope(&scope);
    th_spawn_opts opts = { .stack_size = 4 << 20 };
    ck_assert_int_eq(th_spawn_with(&scope, use_stack_and_wait, &most, &opts, NULL), 0);
    close_scope(&scope);
    ck_assert_uint_eq(the_mark("use_stack_and_wait")->advice, 0);
}

FIBER_TEST(advice_is_a_line_for_each_place)
{
    NEEDS_DEPTH();
    size_t little = 3000;
    size_t much = 50000;
    size_t fitting = 20000;
    run_many(2, use_stack, &little);
    run_many(1, use_stack_and_wait, &much);
    th_scope scope;
    open_scope(&scope);
    ck_assert_int_eq(th_spawn_from(&scope, use_stack, &fitting, "fit at a.c:1"), 0);
    close_scope(&scope);
    char text[1024];
    size_t len = th_stack_advice(text, sizeof text);
    ck_assert_uint_eq(len, strlen(text));
    ck_assert_ptr_nonnull(strstr(text, "(2 fibers, 2 measured): stack_size = 16384 would do\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "(1 fiber, 1 measured): stack_size = 131072 would be safer\n"));
    ck_assert_ptr_nonnull(strstr(text, "fit at a.c:1 (1 fiber, 1 measured): it fits\n"));
    ck_assert_ptr_nonnull(strstr(text, "peak 3."));

    char part[40];
    memset(part, 'x', sizeof part);
    ck_assert_uint_eq(th_stack_advice(part, 20), len);
    ck_assert_uint_eq(strlen(part), 19);
    ck_assert_mem_eq(part, text, 19);
    ck_assert_int_eq(part[20], 'x');
    ck_assert_uint_eq(th_stack_advice(NULL, 0), len);
}

START_TEST(nothing_is_known_before_anything_has_run)
{
    char text[8] = "x";
    ck_assert_uint_eq(th_stack_marks(NULL, 0), 0);
    ck_assert_uint_eq(th_stack_advice(text, sizeof text), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

static int run_one(void *arg)
{
    run_many(1, use_stack, arg);
    return 0;
}

START_TEST(what_is_known_outlasts_the_runtime)
{
    NEEDS_DEPTH();
    size_t bytes = 7000;
    run_in_fiber(1, 0, run_one, &bytes);
    run_in_fiber(2, 0, run_one, &bytes);
    ck_assert_uint_eq(the_mark("use_stack")->fibers, 2);
    ck_assert_str_eq(known[1].place, "main");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "marks");
    tcase_add_test(tcase, a_known_depth_is_told_to_within_512_bytes);
    tcase_add_test(tcase, recursion_is_told_to_within_512_bytes);
    tcase_add_test(tcase, a_wait_in_between_changes_nothing);
    tcase_add_test(tcase, a_reused_stack_tells_of_its_present_user_alone);
    tcase_add_test(tcase, a_peak_is_the_highest_of_all);
    tcase_add_test(tcase, many_are_counted_and_few_measured);
    tcase_add_test(tcase, fibers_that_are_not_measured_do_not_touch_the_table);
    tcase_add_test(tcase, all_workers_tell_into_one_table);
    tcase_add_test(tcase, stacks_of_another_size_are_told_apart);
    tcase_add_test(tcase, one_text_at_two_addresses_is_one_place);
    tcase_add_test(tcase, places_beyond_the_limit_are_counted_together);
    tcase_add_test(tcase, a_stack_without_a_guard_is_measured_as_well);
    tcase_add_test(tcase, what_uses_more_than_half_is_told_to_take_more);
    tcase_add_test(tcase, advice_is_a_line_for_each_place);
    tcase_add_test(tcase, nothing_is_known_before_anything_has_run);
    tcase_add_test(tcase, what_is_known_outlasts_the_runtime);
}

int main(void)
{
    return thi_check_run("runtime/marks", fill);
}
