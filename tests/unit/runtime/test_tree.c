/* SPDX-License-Identifier: MIT */

/* Trees of scopes: deep, wide, and random ones that are cancelled from all sides. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "base/random.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- deep and wide --------------------------------------------------------------------------- */

enum { DEPTH = 10000 };

FIBER_TEST(a_status_goes_down_through_ten_thousand_scopes)
{
    th_scope *scopes = calloc(DEPTH, sizeof *scopes);
    ck_assert_ptr_nonnull(scopes);
    for (int i = 0; i < DEPTH; i++)
        open_scope(&scopes[i]);
    th_scope_cancel(&scopes[0], -ESHUTDOWN);
    for (int i = 0; i < DEPTH; i++)
        ck_assert_int_eq(th_scope_reason(&scopes[i]), -ESHUTDOWN);
    for (int i = DEPTH; i-- > 0;) {
        ck_assert_int_eq(th_yield(), -ECANCELED);
        close_scope(&scopes[i]);
    }
    ck_assert_int_eq(th_yield(), 0);
    free(scopes);
}

/* Each fiber opens a scope and starts the next one in it. */
static int descend(void *arg)
{
    int depth = *(int *)arg - 1;
    th_scope scope;
    open_scope(&scope);
    if (depth > 0)
        spawn(&scope, descend, &depth);
    int err = th_sleep(TH_NEVER);
    int closed = th_scope_close(&scope);
    return closed < 0 ? closed : err;
}

FIBER_TEST(a_chain_of_fibers_ends_from_its_far_end)
{
    int depth = 1000;
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, descend, &depth);
    while (thi_worker_self->load < 1001)
        th_yield();
    th_scope_cancel(&scope, 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    ck_assert_uint_eq(thi_worker_self->load, 1);
}

FIBER_TEST(what_hangs_below_shields_is_left_out_and_the_rest_reached)
{
    th_scope top;
    th_scope shield;
    th_scope below;
    open_scope(&top);
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    open_scope(&below);
    spawn(&below, wait_for_cancel, NULL);
    spawn(&top, wait_for_cancel, NULL);
    th_yield();
    th_scope_cancel(&top, 0);
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert_uint_eq(th_scope_children(&below), 1);
    ck_assert_uint_eq(th_scope_children(&top), 0);
    th_scope_cancel(&below, 0);
    close_scope(&below);
    close_scope(&shield);
    close_scope(&top);
}

FIBER_TEST(a_million_child_scopes_leave_no_trace_in_their_parent)
{
    th_scope outer;
    th_scope inner;
    open_scope(&outer);
    int64_t live = thi_alloc_live();
    for (int i = 0; i < 1000000; i++) {
        open_scope(&inner);
        ck_assert_int_eq(th_scope_close(&inner), 0);
    }
    ck_assert_int_eq(thi_alloc_live(), live);
    th_scope_cancel(&outer, 0);
    close_scope(&outer);
}

/* ---- random trees ---------------------------------------------------------------------------- */

/*
 * A node is a fiber that does random things: yields, sleeps, opens scopes with random options,
 * starts nodes in them on random workers, cancels scopes around it. It knows the scopes it lives
 * in, and these are open as long as it runs. Two plain threads cancel and start as well.
 *
 * What must hold whatever happens: each start that succeeded ran once; a scope is empty when close
 * returns; a status once seen stays until the scope is closed; everything ends.
 */
enum { NODES_MAX = 5000, ROUNDS_MAX = 8, DEPTH_MAX = 6, CHILDREN_MAX = 5 };

typedef struct grove {
    th_scope scope;
    struct grove *around; /* NULL for the top */
    bool limited;
    atomic_int nodes; /* alive, or started and not yet run */
} grove;

typedef struct node {
    thi_random random;
    grove *home;
    int depth;
} node;

static atomic_int budget; /* nodes that may still be started */
static atomic_int nodes_alive;

static int pick(thi_random *random, int below)
{
    return (int)thi_random_below(random, (uint64_t)below);
}

static int live_as_node(void *arg);

static void start_node(grove *where, thi_random *random, int depth)
{
    if (atomic_fetch_sub(&budget, 1) <= 0)
        return;
    node *n = malloc(sizeof *n);
    ck_assert_ptr_nonnull(n);
    n->home = where;
    n->depth = depth;
    thi_random_seed(&n->random, thi_random_next(random));
    th_spawn_opts opts = { .place = pick(random, 5) - 2 };
    if (opts.place > 0)
        opts.place = TH_PLACE_HERE;
    atomic_fetch_add(&where->nodes, 1);
    atomic_fetch_add(&nodes_alive, 1);
    int err = th_spawn_with(&where->scope, live_as_node, n, &opts, NULL);
    if (err == 0)
        return;
    ck_assert_msg(err == -ECANCELED || err == -ETIMEDOUT, "%s", th_errname(err));
    atomic_fetch_sub(&where->nodes, 1);
    atomic_fetch_sub(&nodes_alive, 1);
    free(n);
}

/* A scope around the node, its own home or further out. */
static grove *pick_around(node *n, grove *innermost)
{
    grove *g = innermost;
    while (g->around && pick(&n->random, 2) == 0)
        g = g->around;
    return g;
}

static int pause_somehow(node *n)
{
    switch (pick(&n->random, 4)) {
    case 0:
        return th_sleep(pick(&n->random, 200) * TH_MICROSECOND);
    case 1:
        return th_check();
    default:
        return th_yield();
    }
}

/* One call that obeys the scope; what it says must not be taken back. */
static void pause_and_compare(node *n, int *seen)
{
    int err = pause_somehow(n);
    ck_assert(err == 0 || err == -ECANCELED || err == -ETIMEDOUT);
    if (*seen == -ECANCELED)
        ck_assert_int_eq(err, -ECANCELED);
    else if (*seen < 0)
        ck_assert_int_lt(err, 0);
    *seen = err;
}

static void open_grove(node *n, grove *g, grove *around)
{
    th_scope_opts opts = { .cancel_rest = pick(&n->random, 3) == 0,
                           .shield = pick(&n->random, 8) == 0 };
    if (pick(&n->random, 3) == 0)
        opts.deadline = th_after(pick(&n->random, 1000) * TH_MICROSECOND);
    if (pick(&n->random, 3) == 0)
        opts.limit = 1 + (uint32_t)pick(&n->random, 3);
    *g = (grove){ .around = around, .limited = opts.limit > 0 };
    ck_assert_int_eq(th_scope_open(&g->scope, &opts), 0);
}

static void visit_grove(node *n, grove *around)
{
    grove g;
    open_grove(n, &g, around);
    int seen = 0;
    for (int i = pick(&n->random, CHILDREN_MAX); i-- > 0;) {
        start_node(&g, &n->random, n->depth + 1);
        pause_and_compare(n, &seen);
        if (pick(&n->random, 10) == 0)
            th_scope_cancel(&pick_around(n, &g)->scope, 0);
        if (pick(&n->random, 8) == 0)
            (void)!th_scope_wait(&g.scope);
    }
    if (pick(&n->random, 6) == 0)
        th_scope_cancel(&g.scope, -ESHUTDOWN);
    (void)th_scope_close(&g.scope);
    ck_assert_int_eq(atomic_load(&g.nodes), 0);
}

static int live_as_node(void *arg)
{
    node *n = arg;
    for (int i = pick(&n->random, ROUNDS_MAX); i-- > 0;) {
        grove *around = pick_around(n, n->home);
        if (n->depth < DEPTH_MAX && pick(&n->random, 2) == 0)
            visit_grove(n, n->home);
        else if (!around->limited && pick(&n->random, 4) == 0)
            start_node(around, &n->random, n->depth + 1);
        else
            (void)pause_somehow(n);
    }
    int result = pick(&n->random, 20) == 0 ? -EIO : 0;
    grove *home = n->home;
    free(n);
    atomic_fetch_sub(&nodes_alive, 1);
    atomic_fetch_sub(&home->nodes, 1);
    return result;
}

/* A plain thread that starts nodes in the top scope and in the end cancels it. */
typedef struct meddler {
    grove *top;
    uint64_t seed;
    atomic_bool done;
    pthread_t thread;
} meddler;

static void *meddle(void *arg)
{
    meddler *m = arg;
    thi_random random;
    thi_random_seed(&random, m->seed);
    for (int i = 0; i < 50; i++)
        start_node(m->top, &random, 1);
    if (m->seed % 2 == 0)
        th_scope_cancel(&m->top->scope, -EPIPE);
    atomic_store(&m->done, true);
    return NULL;
}

static int grow_tree(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    node main_node = { .depth = 0 };
    thi_random_seed(&main_node.random, seed);
    atomic_store(&budget, NODES_MAX);
    grove top = { .around = NULL };
    meddler meddlers[2];
    open_scope(&top.scope);
    for (size_t i = 0; i < thi_array_len(meddlers); i++) {
        meddlers[i] = (meddler){ .top = &top, .seed = seed * 2 + i };
        ck_assert_int_eq(pthread_create(&meddlers[i].thread, NULL, meddle, &meddlers[i]), 0);
    }
    for (int i = 0; i < 10; i++)
        visit_grove(&main_node, &top);
    th_scope shield; /* the threads must be gone before the scope is */
    ck_assert_int_eq(th_scope_open(&shield, &(th_scope_opts){ .shield = 1 }), 0);
    for (size_t i = 0; i < thi_array_len(meddlers); i++) {
        while (!atomic_load(&meddlers[i].done))
            ck_assert_int_eq(th_sleep(50 * TH_MICROSECOND), 0);
        ck_assert_int_eq(pthread_join(meddlers[i].thread, NULL), 0);
    }
    close_scope(&shield);
    (void)th_scope_close(&top.scope);
    ck_assert_int_eq(atomic_load(&top.nodes), 0);
    ck_assert_int_eq(atomic_load(&nodes_alive), 0);
    return 0;
}

static void grow_on(unsigned workers, int seed)
{
    uint64_t number = (uint64_t)seed;
    int64_t before = thi_alloc_live();
    run_in_fiber(workers, seed % (int)thi_array_len(engine_names), grow_tree, &number);
    ck_assert_int_eq(thi_alloc_live(), before);
}

START_TEST(random_trees_on_one_worker)
{
    grow_on(1, _i);
}
END_TEST

START_TEST(random_trees_on_two_workers)
{
    grow_on(2, _i);
}
END_TEST

START_TEST(random_trees_on_four_workers)
{
    grow_on(4, _i);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *shape = thi_check_case(suite, "shape");
    tcase_set_timeout(shape, 30);
    tcase_add_test(shape, a_status_goes_down_through_ten_thousand_scopes);
    tcase_add_test(shape, a_chain_of_fibers_ends_from_its_far_end);
    tcase_add_test(shape, what_hangs_below_shields_is_left_out_and_the_rest_reached);
    tcase_add_test(shape, a_million_child_scopes_leave_no_trace_in_their_parent);

    TCase *random = thi_check_case(suite, "random");
    tcase_set_timeout(random, 60);
    tcase_add_loop_test(random, random_trees_on_one_worker, 0, 20);
    tcase_add_loop_test(random, random_trees_on_two_workers, 0, 20);
    tcase_add_loop_test(random, random_trees_on_four_workers, 0, 20);
}

int main(void)
{
    return thi_check_run("runtime/tree", fill);
}
