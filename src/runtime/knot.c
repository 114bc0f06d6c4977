/* SPDX-License-Identifier: MIT */

/*
 * The search for waits that nobody can end.
 *
 * A tie may end if a party that can end it may go on: the owner of the lock; for one who waits for
 * all children, all of them; for one who waits for room among them, any of them. So what may end is
 * found by starting from the parties that are not tied at all, and taking away, as long as there is
 * one, each tie that may end. What is left waits for others that are left. Each is looked at as
 * often as something it waits for was taken away, so this takes time in proportion to the ties,
 * after they have been sorted.
 *
 * In what is left every tie leads to another one; of several children any that is left is as good
 * as another. Following these from any tie leads into a circle, of which the rest hangs behind.
 *
 * Circles are told by that one way out. Of two circles that share a scope's host the second shows
 * once the first is gone.
 */
#include "runtime/knot.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdlib.h>

#define NONE SIZE_MAX

/* One tie in the search; all numbers are indices of ties, or NONE. */
typedef struct node {
    size_t waiting;      /* the first of those that wait for this party */
    size_t next_waiting; /* among those that wait for the same party or scope */
    size_t next_child;   /* among the children of one scope */
    size_t group;        /* what it waits for, if that is a scope */
    size_t home;         /* the group of its home, if somebody waits for that */
    bool free;
} node;

/* A scope that is waited for. */
typedef struct group {
    const void *scope;
    size_t children; /* the first that is tied */
    size_t tied;     /* how many of them are, and may not end */
    size_t waiting;
} group;

typedef struct search {
    const thi_ties *ties;
    node *nodes;
    group *groups;
    size_t group_count;
    size_t *freed; /* a stack of ties that may end, whose waiters have not been looked at */
    size_t freed_count;
} search;

static int by_party(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const thi_tie *)a)->party;
    uintptr_t y = (uintptr_t)((const thi_tie *)b)->party;
    return (x > y) - (x < y);
}

static int by_scope(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const group *)a)->scope;
    uintptr_t y = (uintptr_t)((const group *)b)->scope;
    return (x > y) - (x < y);
}

static size_t find_party(const thi_ties *ties, const void *party)
{
    thi_tie key = { .party = party };
    const thi_tie *found =
        ties->count ? bsearch(&key, ties->at, ties->count, sizeof key, by_party) : NULL;
    return found ? (size_t)(found - ties->at) : NONE;
}

static size_t find_group(const search *s, const void *scope)
{
    group key = { .scope = scope };
    if (!s->groups || s->group_count == 0 || !scope)
        return NONE;
    const group *found = bsearch(&key, s->groups, s->group_count, sizeof key, by_scope);
    return found ? (size_t)(found - s->groups) : NONE;
}

/* The scopes that are waited for, each once. */
static void list_groups(search *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->ties->count; i++)
        if (s->ties->at[i].way != THI_TIE_ONE)
            s->groups[n++] = (group){ s->ties->at[i].target, NONE, 0, NONE };
    if (n > 0)
        qsort(s->groups, n, sizeof *s->groups, by_scope);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || s->groups[i].scope != s->groups[s->group_count - 1].scope)
            s->groups[s->group_count++] = s->groups[i];
}

/* Puts each tie where what it waits for, and its home, will find it. */
static void link_ties(search *s)
{
    for (size_t i = 0; i < s->ties->count; i++)
        s->nodes[i] = (node){ NONE, NONE, NONE, NONE, NONE, false };
    for (size_t i = 0; i < s->ties->count; i++) {
        const thi_tie *tie = &s->ties->at[i];
        node *n = &s->nodes[i];
        size_t *list = NULL;
        if (tie->way != THI_TIE_ONE) {
            n->group = find_group(s, tie->target);
            list = &s->groups[n->group].waiting;
        } else {
            size_t target = find_party(s->ties, tie->target);
            list = target != NONE ? &s->nodes[target].waiting : NULL;
        }
        if (list) {
            n->next_waiting = *list;
            *list = i;
        }
        n->home = find_group(s, tie->home);
        if (n->home != NONE) {
            group *g = &s->groups[n->home];
            n->next_child = g->children;
            g->children = i;
            g->tied++;
        }
    }
}

static void set_free(search *s, size_t i)
{
    if (s->nodes[i].free)
        return;
    s->nodes[i].free = true;
    s->freed[s->freed_count++] = i;
}

static bool may_end(const search *s, size_t i)
{
    const thi_tie *tie = &s->ties->at[i];
    if (tie->timed)
        return true;
    if (tie->way == THI_TIE_ONE) {
        size_t target = find_party(s->ties, tie->target);
        return target == NONE || s->nodes[target].free;
    }
    size_t tied = s->groups[s->nodes[i].group].tied;
    return tie->way == THI_TIE_CHILD ? tied == 0 : tied == 0 || tied < tie->need;
}

/* A child of the scope may end: so may some of those who wait there. How many may not. */
static size_t look_at_waiting(search *s, const group *g)
{
    size_t left = 0;
    for (size_t w = g->waiting; w != NONE; w = s->nodes[w].next_waiting) {
        if (may_end(s, w))
            set_free(s, w);
        left += !s->nodes[w].free;
    }
    return left;
}

static void free_all_that_may_end(search *s)
{
    for (size_t i = 0; i < s->ties->count; i++)
        if (may_end(s, i))
            set_free(s, i);
    while (s->freed_count > 0) {
        const node *n = &s->nodes[s->freed[--s->freed_count]];
        for (size_t w = n->waiting; w != NONE; w = s->nodes[w].next_waiting)
            set_free(s, w);
        if (n->home == NONE)
            continue;
        group *g = &s->groups[n->home];
        g->tied--;
        if (look_at_waiting(s, g) == 0)
            g->waiting = NONE;
    }
}

/* The tie of somebody that a tie that is left waits for; it is left as well. */
static size_t successor(const search *s, size_t i)
{
    const thi_tie *tie = &s->ties->at[i];
    if (tie->way == THI_TIE_ONE)
        return find_party(s->ties, tie->target);
    size_t child = s->groups[s->nodes[i].group].children;
    while (s->nodes[child].free)
        child = s->nodes[child].next_child;
    return child;
}

/* Follows the ties from one on until one that has been seen; a new circle is numbered. */
static void follow(const search *s, thi_knots *knots, size_t from)
{
    size_t trail = NONE - 2 - from; /* a mark of this walk, which is no number of a circle */
    size_t i = from;
    for (; knots->circle[i] == THI_KNOT_FREE; i = knots->next[i]) {
        knots->circle[i] = trail;
        knots->next[i] = successor(s, i);
    }
    if (knots->circle[i] == trail) {
        for (; knots->circle[i] == trail; i = knots->next[i])
            knots->circle[i] = knots->circles;
        knots->circles++;
    }
    for (i = from; knots->circle[i] == trail; i = knots->next[i]) {
        knots->circle[i] = THI_KNOT_BEHIND;
        knots->behind++;
    }
}

static int prepare(search *s, thi_knots *knots)
{
    size_t n = s->ties->count + 1;
    s->nodes = thi_calloc(n, sizeof *s->nodes);
    s->groups = thi_calloc(n, sizeof *s->groups);
    s->freed = thi_calloc(n, sizeof *s->freed);
    knots->next = thi_calloc(n, sizeof *knots->next);
    knots->circle = thi_calloc(n, sizeof *knots->circle);
    return s->nodes && s->groups && s->freed && knots->next && knots->circle ? 0 : -ENOMEM;
}

int thi_knots_find(thi_ties *ties, thi_knots *knots)
{
    search s = { .ties = ties };
    *knots = (thi_knots){ .circles = 0 };
    int err = prepare(&s, knots);
    if (err == 0) {
        if (ties->count > 0)
            qsort(ties->at, ties->count, sizeof *ties->at, by_party);
        list_groups(&s);
        link_ties(&s);
        free_all_that_may_end(&s);
        for (size_t i = 0; i < ties->count; i++)
            knots->circle[i] = THI_KNOT_FREE;
        for (size_t i = 0; i < ties->count; i++)
            if (!s.nodes[i].free && knots->circle[i] == THI_KNOT_FREE)
                follow(&s, knots, i);
    } else {
        thi_knots_deinit(knots);
    }
    thi_free(s.nodes);
    thi_free(s.groups);
    thi_free(s.freed);
    return err;
}

void thi_knots_deinit(thi_knots *knots)
{
    thi_free(knots->next);
    thi_free(knots->circle);
    *knots = (thi_knots){ .circles = 0 };
}
