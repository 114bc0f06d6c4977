/* SPDX-License-Identifier: MIT */

/* Stacks and fiber objects: sizes, reuse, guards, and what is given back to the system. */
#include "check_main.h"

#include "base/alloc.h"
#include "fiber/pool.h"
#include "sys/sys.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MADV_GUARD = 102 };

static thi_fiber_pool pool;

/* The fibers of these tests never run. */
static void never(void *fiber)
{
    (void)fiber;
    abort();
}

static void open_pool(void)
{
    thi_fiber_pool_init(&pool, never);
}

static th_fiber *get(unsigned stack_class)
{
    th_fiber *fiber = thi_fiber_pool_get(&pool, stack_class);
    ck_assert_ptr_nonnull(fiber);
    ck_assert(!fiber->stack_bare);
    fiber->state = THI_FIBER_READY;
    return fiber;
}

static void put(th_fiber *fiber)
{
    thi_fiber_pool_put(&pool, fiber);
}

static unsigned default_class(void)
{
    return (unsigned)thi_stack_class(0);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

START_TEST(a_size_gets_the_smallest_class_that_holds_it)
{
    size_t size = (size_t)1 << THI_STACK_CLASS_MIN;
    ck_assert_int_eq(thi_stack_class(1), 0);
    for (int c = 0; c < THI_STACK_CLASSES; c++, size *= 2) {
        ck_assert_int_eq(thi_stack_class(size), c);
        ck_assert_int_eq(thi_stack_class(size + 1), c + 1 < THI_STACK_CLASSES ? c + 1 : -EINVAL);
    }
    ck_assert_int_eq(thi_stack_class(SIZE_MAX), -EINVAL);
    ck_assert_int_eq(thi_stack_class(0), thi_stack_class(THI_STACK_DEFAULT));
}
END_TEST

/* A sanitizer poisons nothing here: these stacks have not been in use. */
static void fill_stack(th_fiber *fiber, char byte)
{
    size_t used_by_context = 4096;
    for (size_t i = fiber->guarded ? 0 : 8; i < fiber->stack_size - used_by_context; i += 1024)
        fiber->stack_low[i] = byte;
}

START_TEST(stacks_are_as_large_as_their_class_less_a_guard_and_do_not_overlap)
{
    open_pool();
    for (unsigned c = 0; c < THI_STACK_CLASSES; c++) {
        size_t size = (size_t)1 << (THI_STACK_CLASS_MIN + c);
        th_fiber *fibers[3];
        for (int i = 0; i < 3; i++) {
            fibers[i] = get(c);
            ck_assert_uint_ge(fibers[i]->stack_size, size - THI_STACK_GUARD);
            fill_stack(fibers[i], (char)('a' + i));
        }
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(fibers[i]->stack_low[1024], 'a' + i);
            put(fibers[i]);
        }
    }
    thi_fiber_pool_deinit(&pool);
}
END_TEST

START_TEST(first_frames_of_neighbours_lie_on_different_cache_lines)
{
    open_pool();
    th_fiber *a = get(default_class());
    th_fiber *b = get(default_class());
    ck_assert_uint_ne((uintptr_t)a->context.sp / 64 % 64, (uintptr_t)b->context.sp / 64 % 64);
    put(a);
    put(b);
    thi_fiber_pool_deinit(&pool);
}
END_TEST

/* ---- reuse ----------------------------------------------------------------------------------- */

START_TEST(the_last_one_put_is_the_first_one_got)
{
    open_pool();
    th_fiber *a = get(default_class());
    th_fiber *b = get(default_class());
    th_fiber *small = get(0);
    put(a);
    put(small);
    put(b);
    ck_assert_ptr_eq(get(default_class()), b);
    ck_assert_ptr_eq(get(default_class()), a);
    ck_assert_ptr_eq(get(0), small);
    ck_assert_uint_eq(pool.total, 3);
    put(a);
    put(b);
    put(small);
    thi_fiber_pool_deinit(&pool);
}
END_TEST

START_TEST(what_is_too_many_to_keep_warm_is_given_back_and_serves_again)
{
    enum { EXTRA = 100 };
    static th_fiber *fibers[THI_POOL_HOT_MAX + EXTRA];
    unsigned c = default_class();
    open_pool();
    for (int i = 0; i < THI_POOL_HOT_MAX + EXTRA; i++)
        fibers[i] = get(c);
    for (int i = 0; i < THI_POOL_HOT_MAX + EXTRA; i++)
        put(fibers[i]);
    ck_assert_ptr_nonnull(pool.cold[c]);
    ck_assert(thi_fiber_pool_strip(&pool, EXTRA - 1)); /* one is left */
    ck_assert(!thi_fiber_pool_strip(&pool, 2));
    ck_assert(!thi_fiber_pool_strip(&pool, 2));
    ck_assert_ptr_null(pool.cold[c]);
    ck_assert(fibers[THI_POOL_HOT_MAX]->stack_bare);
    size_t total = pool.total;
    for (int i = 0; i < THI_POOL_HOT_MAX + EXTRA; i++)
        fibers[i] = get(c);
    ck_assert_uint_eq(pool.total, total);
    for (int i = 0; i < THI_POOL_HOT_MAX + EXTRA; i++) {
        ck_assert(thi_stack_intact(fibers[i]));
        put(fibers[i]);
    }
    thi_fiber_pool_deinit(&pool);
}
END_TEST

START_TEST(what_is_kept_warm_cools_by_and_by)
{
    enum { KEEP = 100, MORE = 300 };
    static th_fiber *fibers[KEEP + MORE];
    unsigned c = default_class();
    size_t before = KEEP + MORE;
    open_pool();
    for (int i = 0; i < KEEP + MORE; i++)
        fibers[i] = get(c);
    for (int i = 0; i < KEEP + MORE; i++)
        put(fibers[i]);
    ck_assert_uint_eq(pool.hot_count, before);
    thi_fiber_pool_cool(&pool, KEEP);
    ck_assert_uint_eq(pool.hot_count, before - MORE / 4);
    while (pool.hot_count > KEEP) {
        before = pool.hot_count;
        thi_fiber_pool_cool(&pool, KEEP);
        ck_assert_uint_lt(pool.hot_count, before);
    }
    ck_assert_uint_eq(pool.hot_count, KEEP);
    thi_fiber_pool_cool(&pool, KEEP);
    ck_assert_uint_eq(pool.hot_count, KEEP);
    ck_assert(!thi_fiber_pool_strip(&pool, MORE));
    for (int i = 0; i < KEEP + MORE; i++)
        fibers[i] = get(c);
    ck_assert_uint_eq(pool.total, KEEP + MORE);
    ck_assert_uint_eq(pool.hot_count, 0);
    for (int i = 0; i < KEEP + MORE; i++)
        put(fibers[i]);
    thi_fiber_pool_deinit(&pool);
}
END_TEST

static int seen;

static void count(th_fiber *fiber, void *arg)
{
    ck_assert_int_ne(fiber->state, THI_FIBER_FREE);
    *(int *)arg += 1;
}

START_TEST(each_visits_those_that_are_not_free)
{
    th_fiber *fibers[5];
    open_pool();
    thi_fiber_pool_each(&pool, count, &seen);
    ck_assert_int_eq(seen, 0);
    for (int i = 0; i < 5; i++)
        fibers[i] = get(i < 3 ? default_class() : 0);
    put(fibers[1]);
    thi_fiber_pool_each(&pool, count, &seen);
    ck_assert_int_eq(seen, 4);
    for (int i = 0; i < 5; i++)
        if (i != 1)
            put(fibers[i]);
    thi_fiber_pool_deinit(&pool);
}
END_TEST

/* ---- guards ---------------------------------------------------------------------------------- */

START_TEST(an_address_in_a_guard_names_the_fiber)
{
    open_pool();
    th_fiber *a = get(default_class());
    th_fiber *b = get(default_class());
    ck_assert(a->guarded && b->guarded);
    ck_assert_ptr_eq(thi_fiber_pool_overflowed(&pool, a->stack_low - 1), a);
    ck_assert_ptr_eq(thi_fiber_pool_overflowed(&pool, a->stack_low - THI_STACK_GUARD), a);
    ck_assert_ptr_eq(thi_fiber_pool_overflowed(&pool, b->stack_low - 1), b);
    ck_assert_ptr_null(thi_fiber_pool_overflowed(&pool, a->stack_low));
    ck_assert_ptr_null(thi_fiber_pool_overflowed(&pool, a->stack_low + a->stack_size - 1));
    ck_assert_ptr_null(thi_fiber_pool_overflowed(&pool, NULL));
    ck_assert_ptr_null(thi_fiber_pool_overflowed(&pool, &pool));
    put(a);
    put(b);
    thi_fiber_pool_deinit(&pool);
}
END_TEST

/* A kernel that knows no light guards, and lets pages be protected until it does not. */
static thi_sys poor_kernel;
static int protections_left;

static int refuse_guard(void *at, size_t n, int advice)
{
    return advice == MADV_GUARD ? -EINVAL : thi_sys_real.madvise(at, n, advice);
}

/* Only counts: thousands of real ones are slow. */
static int count_protection(void *at, size_t n, int prot)
{
    (void)at;
    ck_assert_uint_eq(n, THI_STACK_GUARD);
    ck_assert_int_eq(prot, PROT_NONE);
    return protections_left-- > 0 ? 0 : -ENOMEM;
}

static void use_poor_kernel(int protections)
{
    poor_kernel = thi_sys_real;
    poor_kernel.madvise = refuse_guard;
    poor_kernel.mprotect = count_protection;
    thi_sys_table = &poor_kernel;
    protections_left = protections;
}

/* Whether the kernel lets nobody read there, found out as the library does not. */
static bool is_shut(const char *at)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    ssize_t n = write(fds[1], at, 1);
    int err = errno;
    close(fds[0]);
    close(fds[1]);
    ck_assert(n == 1 || err == EFAULT);
    return n < 0;
}

/* Some stacks, each with a guard that is one. */
static void check_guards(void)
{
    th_fiber *fibers[3];
    open_pool();
    for (int i = 0; i < 3; i++) {
        fibers[i] = get(0);
        ck_assert(fibers[i]->guarded);
        ck_assert(is_shut(fibers[i]->stack_low - THI_STACK_GUARD));
        ck_assert(is_shut(fibers[i]->stack_low - 1));
        ck_assert(!is_shut(fibers[i]->stack_low));
    }
    for (int i = 0; i < 3; i++)
        put(fibers[i]);
    thi_fiber_pool_deinit(&pool);
}

START_TEST(a_guard_keeps_everybody_out)
{
    check_guards();
}
END_TEST

static int advices; /* that were not followed, though accepted */

static int accept_guard(void *at, size_t n, int advice)
{
    if (advice != MADV_GUARD)
        return thi_sys_real.madvise(at, n, advice);
    advices++;
    return 0;
}

static void use_careless_kernel(void)
{
    poor_kernel = thi_sys_real;
    poor_kernel.madvise = accept_guard;
    thi_sys_table = &poor_kernel;
}

START_TEST(advice_that_is_accepted_and_not_followed_is_no_guard)
{
    use_careless_kernel();
    check_guards();
    ck_assert_int_eq(advices, 1); /* found out once, and not tried again */
}
END_TEST

static int futex_calls;

static int interrupted_futex(uint32_t *word, uint32_t value, int64_t timeout)
{
    return futex_calls++ == 0 ? -EINTR : thi_sys_real.futex_wait(word, value, timeout);
}

START_TEST(a_guard_that_could_not_be_tried_is_not_relied_on)
{
    use_careless_kernel();
    poor_kernel.futex_wait = interrupted_futex;
    check_guards();
    ck_assert_int_eq(futex_calls, 2);
    ck_assert_int_eq(advices, 2);
}
END_TEST

START_TEST(without_a_guard_a_canary_watches)
{
    use_poor_kernel(1);
    open_pool();
    th_fiber *guarded = get(0);
    th_fiber *bare = get(0);
    ck_assert(guarded->guarded);
    ck_assert(!bare->guarded);
    ck_assert_uint_eq(bare->stack_size, (size_t)1 << THI_STACK_CLASS_MIN);
    ck_assert_uint_eq(pool.unguarded, 1);
    ck_assert(thi_stack_intact(guarded));
    ck_assert(thi_stack_intact(bare));
    fill_stack(bare, 'x');
    ck_assert(thi_stack_intact(bare));
    bare->stack_low[7] = 'x';
    ck_assert(!thi_stack_intact(bare));
    put(guarded);
    put(bare);
    thi_fiber_pool_deinit(&pool);
}
END_TEST

/* Gets as many of the smallest stacks; how many of them are guarded. */
static int count_guards(int fibers)
{
    int guarded = 0;
    th_fiber *first = NULL;
    open_pool();
    for (int i = 0; i < fibers; i++) {
        ck_assert_int_eq(thi_fiber_pool_grow(&pool, 0), 0);
        first = pool.bare[0];
        guarded += first->guarded;
    }
    ck_assert_uint_eq(pool.unguarded, (size_t)(fibers - guarded));
    thi_fiber_pool_deinit(&pool);
    return guarded;
}

START_TEST(guards_by_mprotect_have_a_budget_that_is_given_back)
{
    enum { MORE_THAN_ALLOWED = 40000 };
    use_poor_kernel(1000000);
    int guarded = count_guards(MORE_THAN_ALLOWED);
    ck_assert_int_gt(guarded, 5000);
    ck_assert_int_lt(guarded, 65530 / 2);
    ck_assert_int_eq(count_guards(MORE_THAN_ALLOWED), guarded);
    use_poor_kernel(10); /* a refusal costs nothing of it */
    ck_assert_int_eq(count_guards(1000), 10);
    use_poor_kernel(1000000);
    ck_assert_int_eq(count_guards(MORE_THAN_ALLOWED), guarded);
}
END_TEST

/* ---- no memory ------------------------------------------------------------------------------- */

static int refuse_mapping(void **at, size_t n, int prot, int flags, int fd, off_t offset)
{
    (void)at;
    (void)n;
    (void)prot;
    (void)flags;
    (void)fd;
    (void)offset;
    return -EAGAIN;
}

START_TEST(without_memory_there_is_no_fiber_and_all_is_as_before)
{
    open_pool();
    int64_t live = thi_alloc_live();
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_fiber_pool_get(&pool, 0));
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    poor_kernel = thi_sys_real;
    poor_kernel.mmap = refuse_mapping;
    thi_sys_table = &poor_kernel;
    ck_assert_int_eq(thi_fiber_pool_grow(&pool, 0), -EAGAIN);
    ck_assert_ptr_null(thi_fiber_pool_get(&pool, 0));
    thi_sys_table = &thi_sys_real;
    ck_assert_int_eq(thi_alloc_live(), live);
    ck_assert_uint_eq(pool.total, 0);
    put(get(0));
    thi_fiber_pool_deinit(&pool);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *sizes = thi_check_case(suite, "sizes");
    tcase_add_test(sizes, a_size_gets_the_smallest_class_that_holds_it);
    tcase_add_test(sizes, stacks_are_as_large_as_their_class_less_a_guard_and_do_not_overlap);
    tcase_add_test(sizes, first_frames_of_neighbours_lie_on_different_cache_lines);

    TCase *reuse = thi_check_case(suite, "reuse");
    tcase_add_test(reuse, the_last_one_put_is_the_first_one_got);
    tcase_add_test(reuse, what_is_too_many_to_keep_warm_is_given_back_and_serves_again);
    tcase_add_test(reuse, what_is_kept_warm_cools_by_and_by);
    tcase_add_test(reuse, each_visits_those_that_are_not_free);

    TCase *guards = thi_check_case(suite, "guards");
    tcase_add_test(guards, an_address_in_a_guard_names_the_fiber);
    tcase_add_test(guards, a_guard_keeps_everybody_out);
    tcase_add_test(guards, advice_that_is_accepted_and_not_followed_is_no_guard);
    tcase_add_test(guards, a_guard_that_could_not_be_tried_is_not_relied_on);
    tcase_add_test(guards, without_a_guard_a_canary_watches);
    tcase_add_test(guards, guards_by_mprotect_have_a_budget_that_is_given_back);

    TCase *memory = thi_check_case(suite, "memory");
    tcase_add_test(memory, without_memory_there_is_no_fiber_and_all_is_as_before);
}

int main(void)
{
    return thi_check_run("fiber/pool", fill);
}
