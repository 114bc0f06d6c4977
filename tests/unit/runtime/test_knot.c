/* SPDX-License-Identifier: MIT */

/* The search among ties, compared with a plain one on random ties. */
#include "runtime/knot.h"

#include "base/alloc.h"
#include "base/random.h"

#include "check_main.h"

#include <errno.h>

#define PARTIES 12
#define SCOPES  4

static char parties[PARTIES]; /* addresses to be compared */
static char scopes[SCOPES];
static const thi_wait_kind kind = { "test", THI_BY_OWNER, 0 };

static thi_tie tie_of(int party, int target)
{
    return (thi_tie){ .party = &parties[party], .target = &parties[target], .kind = &kind };
}

static size_t index_of(const thi_tie *tie)
{
    return (size_t)((const char *)tie->party - parties);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static size_t find(const thi_tie *ties, size_t count, thi_knots *knots)
{
    thi_ties all = { .at = NULL };
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(thi_ties_add(&all, &ties[i]), 0);
    ck_assert_int_eq(thi_knots_find(&all, knots), 0);
    thi_ties_deinit(&all);
    return knots->circles;
}

START_TEST(nothing_has_no_circles)
{
    thi_knots knots;
    ck_assert_uint_eq(find(NULL, 0, &knots), 0);
    thi_knots_deinit(&knots);
}
END_TEST

START_TEST(chain_to_somebody_untied_is_free)
{
    thi_tie ties[] = { tie_of(0, 1), tie_of(1, 2), tie_of(2, 3) };
    thi_knots knots;
    ck_assert_uint_eq(find(ties, 3, &knots), 0);
    ck_assert_uint_eq(knots.behind, 0);
    thi_knots_deinit(&knots);
}
END_TEST

START_TEST(circle_has_its_order_and_others_behind)
{
    thi_tie ties[] = { tie_of(5, 2), tie_of(0, 5), tie_of(2, 0), tie_of(3, 2), tie_of(4, 3) };
    thi_knots knots;
    ck_assert_uint_eq(find(ties, 5, &knots), 1);
    ck_assert_uint_eq(knots.behind, 2);
    /* In the order of parties: 0, 2, 3, 4, 5. */
    ck_assert_uint_eq(knots.next[0], 4);
    ck_assert_uint_eq(knots.next[4], 1);
    ck_assert_uint_eq(knots.next[1], 0);
    ck_assert_uint_eq(knots.circle[2], THI_KNOT_BEHIND);
    ck_assert_uint_eq(knots.circle[3], THI_KNOT_BEHIND);
    thi_knots_deinit(&knots);
}
END_TEST

START_TEST(who_waits_for_himself_is_a_circle)
{
    thi_tie ties[] = { tie_of(1, 1) };
    thi_knots knots;
    ck_assert_uint_eq(find(ties, 1, &knots), 1);
    ck_assert_uint_eq(knots.next[0], 0);
    thi_knots_deinit(&knots);
}
END_TEST

START_TEST(deadline_in_a_circle_frees_all_of_it)
{
    thi_tie ties[] = { tie_of(0, 1), tie_of(1, 2), tie_of(2, 0), tie_of(3, 0) };
    ties[1].timed = true;
    thi_knots knots;
    ck_assert_uint_eq(find(ties, 4, &knots), 0);
    ck_assert_uint_eq(knots.behind, 0);
    thi_knots_deinit(&knots);
}
END_TEST

START_TEST(without_memory_it_says_so)
{
    for (int n = 1;; n++) {
        thi_ties all = { .at = NULL };
        thi_tie tie = tie_of(0, 0);
        thi_knots knots;
        ck_assert_int_eq(thi_ties_add(&all, &tie), 0);
        int64_t live = thi_alloc_live();
        thi_alloc_fail_at(n);
        int err = thi_knots_find(&all, &knots);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_int_eq(err, untouched ? 0 : -ENOMEM);
        if (err == 0)
            thi_knots_deinit(&knots);
        ck_assert_int_eq(thi_alloc_live(), live);
        thi_ties_deinit(&all);
        if (untouched)
            break;
    }
}
END_TEST

/* ---- at random ------------------------------------------------------------------------------- */

static bool is_child(const thi_tie *tie, const void *scope)
{
    return tie->home == scope;
}

/* Whether somebody who is not `stuck`, or not tied at all, can end it. */
static bool may_end(const thi_ties *ties, const bool *stuck, const thi_tie *tie)
{
    size_t tied = 0;
    if (tie->timed)
        return true;
    for (size_t i = 0; i < ties->count; i++) {
        const thi_tie *other = &ties->at[i];
        if (tie->way == THI_TIE_ONE && other->party == tie->target && stuck[i])
            return false;
        tied += tie->way != THI_TIE_ONE && is_child(other, tie->target) && stuck[i];
    }
    if (tie->way == THI_TIE_ONE)
        return true;
    return tie->way == THI_TIE_CHILD ? tied == 0 : tied == 0 || tied < tie->need;
}

static void find_plainly(const thi_ties *ties, bool *stuck)
{
    bool changed = true;
    for (size_t i = 0; i < ties->count; i++)
        stuck[i] = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < ties->count; i++)
            if (stuck[i] && may_end(ties, stuck, &ties->at[i])) {
                stuck[i] = false;
                changed = true;
            }
    }
}

static void draw(thi_random *random, thi_ties *ties)
{
    ties->count = 0;
    for (int i = 0; i < PARTIES; i++) {
        thi_tie tie = tie_of(i, (int)thi_random_below(random, PARTIES));
        if (thi_random_below(random, 5) == 0)
            continue;
        tie.timed = thi_random_below(random, 20) == 0;
        tie.home = (const void *)&scopes[thi_random_below(random, SCOPES)];
        if (thi_random_below(random, 3) == 0) {
            tie.way = thi_random_below(random, 2) ? THI_TIE_CHILD : THI_TIE_CHILDREN;
            tie.target = &scopes[thi_random_below(random, SCOPES)];
            tie.need = tie.way == THI_TIE_CHILDREN ? (uint32_t)thi_random_below(random, 4) : 0;
        }
        ck_assert_int_eq(thi_ties_add(ties, &tie), 0);
    }
}

/* What is next can end the wait, and is in the same circle. */
static void check_step(const thi_ties *ties, const thi_knots *knots, size_t i)
{
    const thi_tie *tie = &ties->at[i];
    const thi_tie *next = &ties->at[knots->next[i]];
    ck_assert_uint_eq(knots->circle[knots->next[i]], knots->circle[i]);
    if (tie->way == THI_TIE_ONE)
        ck_assert_ptr_eq(tie->target, next->party);
    else
        ck_assert(is_child(next, tie->target));
}

static void check_circles(const thi_ties *ties, const thi_knots *knots)
{
    bool seen[PARTIES] = { false };
    for (size_t i = 0; i < ties->count; i++) {
        if (knots->circle[i] >= knots->circles)
            continue;
        check_step(ties, knots, i);
        seen[knots->circle[i]] = true;
        size_t at = knots->next[i];
        for (int steps = 0; at != i; at = knots->next[at])
            ck_assert_int_lt(steps++, PARTIES); /* it leads back */
    }
    for (size_t c = 0; c < knots->circles; c++)
        ck_assert(seen[c]);
}

START_TEST(it_finds_what_a_plain_search_finds)
{
    thi_ties ties = { .at = NULL };
    thi_random random;
    size_t with_circles = 0;
    thi_random_seed(&random, 1);
    for (int round = 0; round < 20000; round++) {
        thi_knots knots;
        bool stuck[PARTIES];
        size_t behind = 0;
        draw(&random, &ties);
        ck_assert_int_eq(thi_knots_find(&ties, &knots), 0);
        find_plainly(&ties, stuck);
        for (size_t i = 0; i < ties.count; i++) {
            ck_assert_int_eq(stuck[i], knots.circle[i] != THI_KNOT_FREE);
            behind += knots.circle[i] == THI_KNOT_BEHIND;
            ck_assert(i == 0 || index_of(&ties.at[i]) > index_of(&ties.at[i - 1]));
        }
        ck_assert_uint_eq(behind, knots.behind);
        check_circles(&ties, &knots);
        with_circles += knots.circles > 0;
        thi_knots_deinit(&knots);
    }
    ck_assert_uint_gt(with_circles, 1000);
    thi_ties_deinit(&ties);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "knot");
    tcase_add_test(tcase, nothing_has_no_circles);
    tcase_add_test(tcase, chain_to_somebody_untied_is_free);
    tcase_add_test(tcase, circle_has_its_order_and_others_behind);
    tcase_add_test(tcase, who_waits_for_himself_is_a_circle);
    tcase_add_test(tcase, deadline_in_a_circle_frees_all_of_it);
    tcase_add_test(tcase, without_memory_it_says_so);
    tcase_add_test(tcase, it_finds_what_a_plain_search_finds);
}

int main(void)
{
    return thi_check_run("runtime/knot", fill);
}
