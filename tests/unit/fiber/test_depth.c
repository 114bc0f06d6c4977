/* SPDX-License-Identifier: MIT */

/* How deep a body went, where nobody but the test runs on the stack. */
#include "check_main.h"

#include "fiber/depth.h"
#include "fiber/pool.h"

#include <stdint.h>

static thi_fiber_pool pool;
static thi_context outside;
static th_fiber *fiber;
static size_t use;         /* bytes that the body touches the end of */
static size_t below_frame; /* how far below the first frame that was */
static size_t measured;
static bool below_before; /* what lay below was clear before the body */

static __attribute__((noinline)) void body(const char *frame)
{
    char *deepest = __builtin_alloca(use); /* aligned to 16 */
    *(volatile uint64_t *)(void *)deepest = 1;
    below_frame = (size_t)(frame - deepest);
}

static void entry(void *arg)
{
    th_fiber *self = arg;
    thi_context_entered(&self->context);
    for (;;) {
        const char *frame = __builtin_frame_address(0);
        const char *from = thi_depth_clear(self);
        below_before = thi_depth_reached(self, from) == from;
        body(frame);
        measured = (size_t)(frame - thi_depth_reached(self, from));
        thi_context_leave(&self->context, &outside);
    }
}

static void setup(void)
{
    thi_fiber_pool_init(&pool, entry);
    thi_context_init_thread(&outside);
    fiber = thi_fiber_pool_get(&pool, 0);
    ck_assert_ptr_nonnull(fiber);
}

static void run_using(size_t bytes)
{
    use = bytes;
    thi_context_switch(&outside, &fiber->context);
}

static void expect_measured(void)
{
    ck_assert_uint_ge(measured + 16, below_frame);
    ck_assert_uint_le(measured, below_frame + 512);
}

START_TEST(a_depth_is_found_to_within_512_bytes)
{
    SKIP_UNLESS(thi_depth_is_told(), "a tool forbids looking below the running frame");
    setup();
    for (size_t bytes = 16; bytes < 11000; bytes += 100) {
        run_using(bytes);
        expect_measured();
    }
}
END_TEST

START_TEST(what_others_left_below_does_not_count)
{
    SKIP_UNLESS(thi_depth_is_told(), "a tool forbids looking below the running frame");
    setup();
    run_using(11000);
    expect_measured();
    run_using(2000);
    ck_assert(below_before);
    expect_measured();
}
END_TEST

START_TEST(a_gap_that_is_not_touched_hides_nothing)
{
    SKIP_UNLESS(thi_depth_is_told(), "a tool forbids looking below the running frame");
    thi_fiber_pool_init(&pool, entry);
    thi_context_init_thread(&outside);
    fiber = thi_fiber_pool_get(&pool, 4);
    ck_assert_ptr_nonnull(fiber);
    run_using(200000);
    expect_measured();
}
END_TEST

START_TEST(a_canary_is_left_alone_and_not_counted)
{
    SKIP_UNLESS(thi_depth_is_told(), "a tool forbids looking below the running frame");
    setup();
    fiber->guarded = false;
    *(uint64_t *)(void *)fiber->stack_low = THI_STACK_CANARY;
    run_using(1000);
    expect_measured();
    ck_assert(thi_stack_intact(fiber));
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "depth");
    tcase_add_test(tcase, a_depth_is_found_to_within_512_bytes);
    tcase_add_test(tcase, what_others_left_below_does_not_count);
    tcase_add_test(tcase, a_gap_that_is_not_touched_hides_nothing);
    tcase_add_test(tcase, a_canary_is_left_alone_and_not_counted);
}

int main(void)
{
    return thi_check_run("fiber/depth", fill);
}
