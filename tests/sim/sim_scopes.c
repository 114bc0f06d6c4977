/* SPDX-License-Identifier: MIT */

/*
 * Random trees of scopes on one to three workers, and what must be true of each of them.
 *
 * Every fiber of the tree performs a few random acts: it sleeps, yields, opens a scope with random
 * options and spawns children in it, cancels, joins. Beside each scope stands a record of what the
 * test itself knows about it: who runs in it, and whether anything could have cancelled it. The
 * outermost scope has a deadline, so that fibers may wait for ever.
 */
#include "sim_seeds.h"

#include <errno.h>
#include <stdbool.h>

/* The longest a shield holds its host back. */
#define SHIELDED (5 * TH_MILLISECOND)

/*
 * After a scope has been cancelled or its time is up, all in it ends within this: a shield on each
 * level of the tree, and some turns; when workers stall, some stalls more.
 */
#define BOUND         (10 * SHIELDED)
#define BOUND_STALLED (2 * TH_SECOND)

#define DEPTH_MAX    4
#define CHILDREN_MAX 6
#define FIBERS_MAX   400

/* What the test knows about a scope. */
typedef struct record {
    struct record *parent; /* the scope around; NULL around the outermost */
    th_scope *scope;
    uint32_t limit;
    bool shield;
    bool may_be_cancelled; /* somebody cancelled it, or a failed child did */
    bool cancel_rest;
    int64_t ends;    /* when it was cancelled or its time is up; TH_NEVER */
    unsigned live;   /* children that have begun and not ended */
    unsigned failed; /* children that failed */
} record;

typedef struct child {
    record *home;
    int depth;
} child;

static unsigned fibers; /* spawned in this run */
static int64_t bound;   /* BOUND or BOUND_STALLED */

static int64_t random_span(int64_t most)
{
    return (int64_t)th_sim_random((uint64_t)most);
}

static bool one_in(uint64_t n)
{
    return th_sim_random(n) == 0;
}

/* Whether -ECANCELED can be right for somebody inside. */
static bool may_see_cancel(const record *r)
{
    for (; r; r = r->shield ? NULL : r->parent)
        if (r->may_be_cancelled)
            return true;
    return false;
}

/* Looks at what a suspending call inside a scope returned. */
static void check_result(const record *in, int result)
{
    expect_value(result == 0 || result == -ECANCELED || result == -ETIMEDOUT, result);
    if (result == -ECANCELED)
        expect(may_see_cancel(in));
    if (result == -ETIMEDOUT)
        expect(th_now() >= th_scope_deadline(in->scope));
    if (result < 0) /* it is a state, not an event */
        expect(th_yield() == result || (result == -ETIMEDOUT && th_yield() == -ECANCELED));
}

static int sleep_a_while(const record *in)
{
    int64_t span = one_in(8) ? TH_NEVER : random_span(20 * TH_MILLISECOND);
    int64_t start = th_now();
    int result = th_sleep(span);
    if (result == 0)
        expect(span != TH_NEVER && th_now() - start >= span);
    check_result(in, result);
    return result;
}

/* From now on whoever is in the scope may find it cancelled, and ends soon. */
static void note_cancel(record *r)
{
    r->may_be_cancelled = true;
    r->ends = th_now() < r->ends ? th_now() : r->ends;
}

static int spawn_child(record *r, int depth, th_fiber **handle);

/* A child, on whatever worker, reaches for the scope it lives in. */
static void meddle(record *home, int depth)
{
    if (one_in(4) && fibers < FIBERS_MAX) {
        int result = spawn_child(home, depth, NULL);
        expect_value(result == 0 || result == -ECANCELED || result == -ETIMEDOUT, result);
    }
    if (one_in(12)) {
        note_cancel(home);
        expect(th_scope_cancel(home->scope, -EINTR) == 0);
    }
}

static int live_in_scopes(record *in, int depth);

static int run_child(void *arg)
{
    child self = *(child *)arg;
    record *home = self.home;
    free(arg);
    home->live++;
    expect(home->live <= home->limit);
    meddle(home, self.depth);
    int result = live_in_scopes(home, self.depth);
    if (one_in(10))
        result = -EIO;
    if (result < 0) {
        home->failed++;
        if (home->cancel_rest)
            note_cancel(home);
    }
    home->live--;
    return result;
}

static int spawn_child(record *r, int depth, th_fiber **handle)
{
    th_spawn_opts opts = { .place = handle ? TH_PLACE_HERE : TH_PLACE_ROUND };
    child *arg = malloc(sizeof *arg);
    *arg = (child){ .home = r, .depth = depth };
    fibers++;
    int result = th_spawn_with(r->scope, run_child, arg, &opts, handle);
    if (result < 0)
        free(arg);
    return result;
}

/* Spawns some children and perhaps joins one of them. */
static void raise_children(record *r, int depth)
{
    for (uint64_t n = th_sim_random(CHILDREN_MAX); n > 0 && fibers < FIBERS_MAX; n--) {
        th_fiber *fiber = NULL;
        int result = spawn_child(r, depth, one_in(3) ? &fiber : NULL);
        check_result(r, result);
        if (result == 0 && fiber && one_in(2))
            check_result(r, th_join(fiber, NULL));
        th_fiber_unref(fiber);
    }
}

static void maybe_cancel(record *r)
{
    if (!one_in(4))
        return;
    note_cancel(r);
    expect(th_scope_cancel(r->scope, 0) == 0);
    expect(th_scope_reason(r->scope) < 0);
}

/* When the scope is ended from outside or by itself, as far as the test knows. */
static int64_t end_of(const record *r)
{
    int64_t ends = TH_NEVER;
    for (; r; r = r->shield ? NULL : r->parent)
        ends = r->ends < ends ? r->ends : ends;
    return ends;
}

static int open_scope(record *in, int depth)
{
    th_scope scope;
    record r = { .parent = in, .scope = &scope, .limit = UINT32_MAX, .ends = TH_NEVER };
    th_scope_opts opts = { .cancel_rest = one_in(4), .shield = in && one_in(8) };
    if (one_in(3))
        r.limit = opts.limit = 1 + (uint32_t)th_sim_random(3);
    if (!in)
        opts.deadline = th_after(random_span(5 * TH_SECOND));
    else if (opts.shield)
        opts.deadline = th_after(random_span(SHIELDED));
    else if (one_in(4))
        opts.deadline = th_after(random_span(50 * TH_MILLISECOND));
    r.shield = opts.shield;
    r.cancel_rest = opts.cancel_rest;
    if (opts.deadline)
        r.ends = opts.deadline;
    expect(th_scope_open(&scope, &opts) == 0);
    raise_children(&r, depth + 1);
    if (one_in(3))
        check_result(&r, th_scope_wait(&scope));
    maybe_cancel(&r);
    if (one_in(4))
        (void)sleep_a_while(&r);
    int64_t entered = th_now();
    int64_t ends = end_of(&r);
    int result = th_scope_close(&scope);
    expect_value(r.live == 0, r.live);
    expect((result < 0) == (r.failed > 0));
    if (end_of(&r) < ends)
        ends = end_of(&r);
    if (ends != TH_NEVER)
        expect_value(th_now() <= (ends > entered ? ends : entered) + bound, th_now() - ends);
    return in ? th_check() : 0;
}

/* The life of a fiber: random acts until they are done or something ends it. */
static int live_in_scopes(record *in, int depth)
{
    int result = 0;
    for (uint64_t acts = 1 + th_sim_random(4); acts > 0 && result == 0; acts--) {
        switch (th_sim_random(depth < DEPTH_MAX ? 4 : 2)) {
        case 0:
            result = sleep_a_while(in);
            break;
        case 1:
            result = th_yield();
            check_result(in, result);
            break;
        default:
            result = open_scope(in, depth);
            break;
        }
    }
    return result;
}

static int scopes(void *arg)
{
    bound = *(const int64_t *)arg;
    fibers = 0;
    for (int trees = 0; trees < 8; trees++)
        (void)open_scope(NULL, 0);
    return 0;
}

static void calm(th_sim_opts *opts)
{
    opts->workers = 1 + (unsigned)(opts->seed % 3);
}

static void with_stalls(th_sim_opts *opts)
{
    opts->workers = 1 + (unsigned)(opts->seed % 3);
    opts->faults[TH_SIM_STALL].per_million = 1000;
}

START_TEST(trees_of_scopes_keep_their_promises)
{
    int64_t within = BOUND;
    sim_seeds(scopes, &within, calm);
}
END_TEST

START_TEST(trees_of_scopes_keep_their_promises_while_workers_stall)
{
    int64_t within = BOUND_STALLED;
    sim_seeds(scopes, &within, with_stalls);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "trees");
    tcase_add_test(tcase, trees_of_scopes_keep_their_promises);
    tcase_add_test(tcase, trees_of_scopes_keep_their_promises_while_workers_stall);
}

int main(void)
{
    return thi_check_run("sim/scopes", fill_suite);
}
