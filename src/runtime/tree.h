/* SPDX-License-Identifier: MIT */

/*
 * The tree of scopes: what a scope holds, how a status spreads through it, how children are
 * counted.
 *
 * A scope belongs to the worker on which it was opened; only that worker touches it. Other threads
 * send messages, and `inflight` counts these so that a scope does not close under one.
 */
#ifndef THI_RUNTIME_TREE_H
#define THI_RUNTIME_TREE_H

#include "base/list.h"
#include "fiber/fiber.h"
#include "loop/loop.h"

#include <thrum/scope.h>

#include <stdatomic.h>

typedef struct thi_scope thi_scope;
typedef struct thi_place_wait thi_place_wait;
typedef struct thi_far_child thi_far_child;
struct thi_worker;

struct thi_scope {
    uint64_t magic;
    struct thi_worker *worker;
    thi_scope *parent; /* the scope around; NULL for the root and for those of remote children */
    th_fiber *host;    /* who opened it */
    const thi_scope *origin; /* of the scope of a remote child: the one on the other worker that it
                                stands for, for whoever looks from outside; NULL of all others */
    thi_list sibling;        /* in parent->scopes */
    thi_list scopes;         /* opened inside this one, by its members */
    thi_list fibers;         /* members: those whose innermost scope this is */
    thi_list far;            /* children on other workers */
    thi_list waiting;        /* starts that wait for a place, in order */
    thi_wait *closer;        /* the wait of the host in wait or close */
    void (*emptied)(thi_scope *scope); /* called when the last child has ended; may be NULL */
    int64_t deadline;                  /* the earliest that applies; TH_NEVER without one */
    int64_t own;                       /* its own, whether or not that is the earliest */
    thi_timer timer;                   /* set when this scope's own deadline is the earliest */
    uint32_t live;  /* children that have not ended, and places handed to waiting spawners */
    uint32_t limit; /* UINT32_MAX: none */
    int status;     /* 0, -ECANCELED, -ETIMEDOUT: what suspending calls return */
    int reason;     /* why; 0 while status is */
    int first_error;
    bool echoed; /* first_error only repeats the status */
    bool shield;
    bool cancel_rest;
    thi_msg cancel_msg;      /* a cancellation by another thread: one is enough, it stays */
    atomic_int cancel_asked; /* its reason; 0: nobody has asked yet */
    atomic_uint inflight;    /* messages about this scope that are under way */
};

/*
 * A start that waits for room. `admit` is called once, off the list, with a place already counted;
 * when it fails the place is free again, and the failure counts as one of a child.
 */
struct thi_place_wait {
    thi_list link;
    int (*admit)(thi_place_wait *wait);
};

/* A child on another worker. `tell` is called when the status or the deadline of its scope has
 * changed. */
struct thi_far_child {
    thi_list link;
    void (*tell)(thi_far_child *child);
};

/* Who is told of the end of a fiber: first on the fiber, when its function has returned, then when
 * it is gone and only its scope has to be told, which is then the follower's to do. */
typedef struct thi_follower thi_follower;
struct thi_follower {
    void (*leaves)(thi_follower *follower);
    void (*ended)(thi_follower *follower, thi_scope *home, int result);
};

#define THI_SCOPE_MAGIC UINT64_C(0x7468726d73636f70)

_Static_assert(sizeof(thi_scope) <= sizeof(th_scope), "th_scope has no room for a thi_scope");

static inline thi_scope *thi_scope_of(th_scope *scope)
{
    return (thi_scope *)(void *)scope;
}

static inline bool thi_scope_is_open(const thi_scope *scope)
{
    return scope && scope->magic == THI_SCOPE_MAGIC;
}

/* Opens a scope on the calling worker under a parent, or under none. */
void thi_scope_init(thi_scope *scope, thi_scope *parent, const th_scope_opts *opts);

/* Takes an empty scope out of the tree. */
void thi_scope_deinit(thi_scope *scope);

/* Gives a scope and all inside it that is no shield a status, and wakes whoever waits there. */
void thi_scope_mark(thi_scope *scope, int status, int reason);

/* Gives a scope another deadline of its own, and all inside it what follows from that. */
void thi_scope_move_deadline(thi_scope *scope, int64_t deadline);

/* Marks the outermost scope around this one, itself included, whose deadline has passed. */
void thi_scope_expire(thi_scope *scope, int64_t now);

/* Gives free places to those who have waited longest for one. */
void thi_scope_admit(thi_scope *scope);

/* Accounts for a child that has ended. */
void thi_scope_child_ended(thi_scope *scope, int result);

/* Moves a fiber into another scope as its innermost one. */
static inline void thi_scope_enter(thi_scope *scope, th_fiber *fiber)
{
    fiber->scope = scope;
    thi_list_push_back(&scope->fibers, &fiber->member);
}

static inline void thi_scope_leave(th_fiber *fiber)
{
    fiber->member.prev->next = fiber->member.next;
    fiber->member.next->prev = fiber->member.prev;
}

#endif
