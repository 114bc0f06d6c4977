/* SPDX-License-Identifier: MIT */

/* Switching between stacks: what is kept, what is not, and how unwinders see it. */
#include "check_main.h"

#include "fiber/context.h"

#include <execinfo.h>
#include <fenv.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { STACK_SIZE = 256 * 1024 };

/* A context with its stack, and the one that started it. */
typedef struct strand {
    thi_context context;
    thi_context *back;
    int (*body)(struct strand *self, int step);
    int steps; /* taken so far */
    int last;  /* what the last one returned */
    void *stack;
} strand;

static thi_context thread;

/* Runs the body step by step, each time it is switched to. */
static void run_steps(void *arg)
{
    strand *self = arg;
    thi_context_entered(&self->context);
    for (;;) {
        self->last = self->body(self, self->steps++);
        thi_context_switch(&self->context, self->back);
    }
}

static void open_strand(strand *s, int (*body)(strand *self, int step))
{
    thi_context_init_thread(&thread);
    *s = (strand){ .body = body, .back = &thread, .stack = aligned_alloc(4096, STACK_SIZE) };
    ck_assert_ptr_nonnull(s->stack);
    thi_context_init(&s->context, s->stack, STACK_SIZE, run_steps, s);
}

static int step(strand *s)
{
    thi_context_switch(&thread, &s->context);
    return s->last;
}

static void close_strand(strand *s)
{
    thi_context_deinit(&s->context);
    thi_context_deinit(&thread);
    free(s->stack);
}

/* ---- control --------------------------------------------------------------------------------- */

static int return_square(strand *self, int number)
{
    (void)self;
    return number * number;
}

START_TEST(a_context_starts_in_its_entry_and_goes_on_where_it_left)
{
    strand s;
    open_strand(&s, return_square);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(step(&s), i * i);
    close_strand(&s);
}
END_TEST

/* Is the local variable of each step on the strand's own stack? */
static int is_on_stack(strand *self, int number)
{
    char local = (char)number;
    uintptr_t at = (uintptr_t)__builtin_frame_address(0) + (uintptr_t)(local - local);
    return at > (uintptr_t)self->stack && at < (uintptr_t)self->stack + STACK_SIZE;
}

START_TEST(it_runs_on_its_own_stack)
{
    strand s;
    open_strand(&s, is_on_stack);
    ck_assert_int_eq(step(&s), 1);
    ck_assert_int_eq(step(&s), 1);
    close_strand(&s);
}
END_TEST

static __attribute__((noinline)) int is_aligned(strand *self, int number)
{
    (void)self;
    _Alignas(16) volatile char bytes[64];
    bytes[number] = 1;
    return ((uintptr_t)bytes | (uintptr_t)__builtin_frame_address(0)) % 16 == 0;
}

START_TEST(its_frames_are_aligned_as_the_abi_says)
{
    for (size_t off = 0; off < 32; off++) { /* wherever the stack may end */
        strand s;
        open_strand(&s, is_aligned);
        thi_context_deinit(&s.context);
        thi_context_init(&s.context, s.stack, STACK_SIZE - off, run_steps, &s);
        ck_assert_int_eq(step(&s), 1);
        close_strand(&s);
    }
}
END_TEST

static int many_levels(strand *self, int level)
{
    volatile int here = level;
    if (level % 50 != 0)
        return many_levels(self, level + 1) + here - level;
    thi_context_switch(&self->context, self->back);
    return level + here - level;
}

static int leave_from_the_depth(strand *self, int number)
{
    return many_levels(self, number * 100 + 1);
}

START_TEST(it_may_leave_from_any_depth)
{
    strand s;
    open_strand(&s, leave_from_the_depth);
    for (int i = 0; i < 10; i++) {
        (void)step(&s); /* out of the depth */
        ck_assert_int_eq(step(&s), i * 100 + 50);
    }
    close_strand(&s);
}
END_TEST

static strand *ring[3];
static char order[32];

static int hand_on(strand *self, int number)
{
    (void)number;
    for (int i = 0; i < 3; i++) {
        if (ring[i] != self)
            continue;
        order[strlen(order)] = (char)('a' + i);
        self->back = i < 2 ? &ring[i + 1]->context : &thread;
    }
    return 0;
}

START_TEST(contexts_hand_over_to_each_other)
{
    strand s[3];
    for (int i = 0; i < 3; i++) {
        open_strand(&s[i], hand_on);
        ring[i] = &s[i];
    }
    for (int i = 0; i < 4; i++)
        (void)step(&s[0]);
    ck_assert_str_eq(order, "abcabcabcabc");
    for (int i = 0; i < 3; i++)
        close_strand(&s[i]);
}
END_TEST

/* ---- what a switch keeps --------------------------------------------------------------------- */

/* More live values than there are registers of either kind, used before and after a switch. */
static __attribute__((noinline)) uint64_t churn(thi_context *from, thi_context *to, uint64_t seed)
{
    uint64_t v[24];
    double d[24];
    for (unsigned i = 0; i < 24; i++) {
        v[i] = seed = seed * 6364136223846793005u + 1442695040888963407u;
        d[i] = (double)(seed >> 40);
    }
    thi_context_switch(from, to);
    uint64_t sum = 0;
    for (unsigned i = 0; i < 24; i++)
        sum = sum * 31 + v[i] + (uint64_t)d[i];
    return sum;
}

static uint64_t churn_straight(uint64_t seed)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 24; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        sum = sum * 31 + seed + (uint64_t)(double)(seed >> 40);
    }
    return sum;
}

static int churn_there(strand *self, int number)
{
    uint64_t seed = (uint64_t)number * 77;
    return churn(&self->context, self->back, seed) == churn_straight(seed);
}

START_TEST(registers_keep_their_values)
{
    strand s;
    open_strand(&s, churn_there);
    (void)step(&s);
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(churn(&thread, &s.context, i), churn_straight(i));
        ck_assert_int_eq(s.last, i == 0 ? s.last : 1);
    }
    close_strand(&s);
}
END_TEST

static volatile double one = 1;
static volatile double three = 3;

static int round_upwards(strand *self, int number)
{
    (void)self;
    if (number == 0)
        return fesetround(FE_UPWARD);
    ck_assert_int_eq(fegetround(), FE_UPWARD);
    ck_assert(one / three * three >= 1);
    return 0;
}

START_TEST(rounding_belongs_to_the_context)
{
    strand s;
    open_strand(&s, round_upwards);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(step(&s), 0);
        ck_assert_int_eq(fegetround(), FE_TONEAREST);
    }
    close_strand(&s);
}
END_TEST

static int report_rounding(strand *self, int number)
{
    (void)self;
    (void)number;
    return fegetround();
}

START_TEST(a_new_context_rounds_like_a_new_process)
{
    strand s;
    ck_assert_int_eq(fesetround(FE_DOWNWARD), 0);
    open_strand(&s, report_rounding);
    ck_assert_int_eq(step(&s), FE_TONEAREST);
    ck_assert_int_eq(fegetround(), FE_DOWNWARD);
    close_strand(&s);
}
END_TEST

/* A context that leaves as one whose body has ended. */
static void leave_rounding_upwards(void *arg)
{
    strand *s = arg;
    thi_context_entered(&s->context);
    for (;;) {
        ck_assert_int_eq(fegetround(), FE_TONEAREST);
        ck_assert_int_eq(fesetround(FE_UPWARD), 0);
        thi_context_leave(&s->context, s->back);
    }
}

START_TEST(what_follows_an_ended_body_rounds_like_a_new_process)
{
    strand s;
    open_strand(&s, report_rounding);
    thi_context_deinit(&s.context);
    thi_context_init(&s.context, s.stack, STACK_SIZE, leave_rounding_upwards, &s);
    for (int i = 0; i < 3; i++) {
        thi_context_switch(&thread, &s.context);
        ck_assert_int_eq(fegetround(), FE_TONEAREST);
    }
    close_strand(&s);
}
END_TEST

/* ---- unwinding ------------------------------------------------------------------------------- */

static int frames_by_unwinder(strand *self, int number)
{
    (void)self;
    (void)number;
    void *frames[64];
    return backtrace(frames, 64);
}

START_TEST(unwinding_ends_at_the_first_frame)
{
    strand s;
    open_strand(&s, frames_by_unwinder);
    int frames = step(&s);
    ck_assert_int_ge(frames, 3); /* the body, the entry, what called that */
    ck_assert_int_lt(frames, 16);
    close_strand(&s);
}
END_TEST

#if !defined(THI_FIBER_CONTEXT_UCONTEXT_H)
/* Profilers walk by frame pointers: they are kept everywhere, and the chain has an end. */
static __attribute__((noinline)) int frames_by_pointer(strand *self, int number)
{
    (void)number;
    int count = 0;
    uintptr_t *frame = __builtin_frame_address(0);
    uintptr_t top = (uintptr_t)self->stack + STACK_SIZE;
    while (frame) {
        if ((uintptr_t)frame < (uintptr_t)self->stack || (uintptr_t)frame >= top || count > 16)
            return -1;
        count++;
        frame = (uintptr_t *)frame[0];
    }
    return count;
}

START_TEST(the_chain_of_frame_pointers_has_an_end)
{
    strand s;
    open_strand(&s, frames_by_pointer);
    ck_assert_int_ge(step(&s), 2);
    ck_assert_int_ge(step(&s), 2);
    close_strand(&s);
}
END_TEST
#endif

/* ---- threads --------------------------------------------------------------------------------- */

static void *step_in_thread(void *arg)
{
    (void)arg;
    thi_context mine;
    strand s;
    open_strand(&s, return_square);
    thi_context_init_thread(&mine);
    s.back = &mine;
    for (int i = 0; i < 10; i++) {
        thi_context_switch(&mine, &s.context);
        ck_assert_int_eq(s.last, i * i);
    }
    close_strand(&s);
    return NULL;
}

START_TEST(every_thread_can_switch_to_contexts)
{
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, step_in_thread, NULL), 0);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
    (void)step_in_thread(NULL);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *control = thi_check_case(suite, "control");
    tcase_add_test(control, a_context_starts_in_its_entry_and_goes_on_where_it_left);
    tcase_add_test(control, it_runs_on_its_own_stack);
    tcase_add_test(control, its_frames_are_aligned_as_the_abi_says);
    tcase_add_test(control, it_may_leave_from_any_depth);
    tcase_add_test(control, contexts_hand_over_to_each_other);
    tcase_add_test(control, every_thread_can_switch_to_contexts);

    TCase *kept = thi_check_case(suite, "kept");
    tcase_add_test(kept, registers_keep_their_values);
    tcase_add_test(kept, rounding_belongs_to_the_context);
    tcase_add_test(kept, a_new_context_rounds_like_a_new_process);
    tcase_add_test(kept, what_follows_an_ended_body_rounds_like_a_new_process);

    TCase *unwind = thi_check_case(suite, "unwind");
    tcase_add_test(unwind, unwinding_ends_at_the_first_frame);
#if !defined(THI_FIBER_CONTEXT_UCONTEXT_H)
    tcase_add_test(unwind, the_chain_of_frame_pointers_has_an_end);
#endif
}

int main(void)
{
    return thi_check_run("fiber/context", fill);
}
