/* SPDX-License-Identifier: MIT */

/* Walking the stacks of contexts that do not run. */
#include "fiber/unwind.h"

#include "base/util.h"
#include "fiber/context.h"
#include "sys/symbolize.h"

#include "check_main.h"

#include <string.h>

#define STACK (64 * 1024)

static _Alignas(64) char stack[STACK];
static th_fiber fiber;
static thi_context driver;

/* Compilers must neither inline these nor leave them before the call returns. */
static __attribute__((noinline)) void innermost(void)
{
    thi_context_switch(&fiber.context, &driver);
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void between(int depth)
{
    if (depth > 0)
        between(depth - 1);
    else
        innermost();
    __asm__ volatile("" ::: "memory");
}

static int depth;

static void entry(void *arg)
{
    (void)arg;
    thi_context_entered(&fiber.context);
    between(depth);
    thi_context_switch(&fiber.context, &driver);
}

static void run_to_innermost(int calls)
{
    depth = calls;
    fiber = (th_fiber){ .stack_low = stack, .stack_size = sizeof stack };
    thi_context_init_thread(&driver);
    thi_context_init(&fiber.context, stack, sizeof stack, entry, NULL);
    thi_context_switch(&driver, &fiber.context);
}

static void end(void)
{
    thi_context_switch(&driver, &fiber.context);
    thi_context_deinit(&fiber.context);
    thi_context_deinit(&driver);
}

static void expect_in(const void *pc, const char *function)
{
    char name[THI_SYMBOL_SIZE];
    ck_assert(thi_symbolize((const char *)pc - 1, name, sizeof name));
    ck_assert_msg(strncmp(name, function, strlen(function)) == 0, "%s is not %s", name, function);
}

START_TEST(callers_come_innermost_first)
{
    const void *pcs[16];
    run_to_innermost(3);
    size_t n = thi_unwind(&fiber, pcs, thi_array_len(pcs));
    ck_assert_uint_ge(n, 6);
    expect_in(pcs[0], "innermost+");
    for (int i = 1; i <= 4; i++)
        expect_in(pcs[i], "between+");
    expect_in(pcs[5], "entry+");
    end();
}
END_TEST

START_TEST(no_more_than_asked_for)
{
    const void *pcs[3] = { NULL, NULL, &pcs };
    run_to_innermost(3);
    ck_assert_uint_eq(thi_unwind(&fiber, pcs, 0), 0);
    ck_assert_uint_eq(thi_unwind(&fiber, pcs, 2), 2);
    ck_assert_ptr_eq(pcs[2], &pcs);
    expect_in(pcs[1], "between+");
    end();
}
END_TEST

START_TEST(bare_stack_has_no_frames)
{
    const void *pcs[4];
    th_fiber bare = { .stack_bare = true };
    ck_assert_uint_eq(thi_unwind(&bare, pcs, thi_array_len(pcs)), 0);
}
END_TEST

/* Whatever a frame pointer holds, nothing but the stack is read, and the walk ends. */
START_TEST(frames_of_nonsense_end_the_walk)
{
    const void *pcs[64];
    run_to_innermost(8);
    static char saved[STACK];
    memcpy(saved, stack, sizeof stack);
    for (size_t at = 0; at < STACK; at += sizeof(uintptr_t)) {
        uintptr_t nonsense[] = { 0,
                                 1,
                                 UINTPTR_MAX,
                                 (uintptr_t)stack + at,
                                 (uintptr_t)stack,
                                 (uintptr_t)stack + STACK - 8,
                                 (uintptr_t)stack + at + 3 };
        if (at < STACK - 4096)
            continue;
        for (size_t i = 0; i < thi_array_len(nonsense); i++) {
            memcpy(stack + at, &nonsense[i], sizeof nonsense[i]);
            ck_assert_uint_le(thi_unwind(&fiber, pcs, thi_array_len(pcs)), thi_array_len(pcs));
        }
        memcpy(stack, saved, sizeof stack);
    }
    end();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "unwind");
    tcase_add_test(tcase, callers_come_innermost_first);
    tcase_add_test(tcase, no_more_than_asked_for);
    tcase_add_test(tcase, bare_stack_has_no_frames);
    tcase_add_test(tcase, frames_of_nonsense_end_the_walk);
}

int main(void)
{
    return thi_check_run("fiber/unwind", fill);
}
