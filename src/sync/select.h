/* SPDX-License-Identifier: MIT */

/*
 * The inside of a select: what a kind of case has to do.
 *
 * A kind that waits by a thi_waiter needs no more than the four functions; a descriptor, or another
 * source of events on the fiber's own loop, calls thi_select_complete() when it is ready.
 */
#ifndef THI_SYNC_SELECT_H
#define THI_SYNC_SELECT_H

#include "sync/fd_hub.h"
#include "runtime/waiter.h"

#include <thrum/select.h>

typedef struct thi_select thi_select;

typedef struct thi_case_kind {
    /* Completes the case if that is possible at once: 0, -EAGAIN, or why the call must fail. */
    int (*attempt)(th_case *c);
    /*
     * Completes the case for the party, or sees to it that it will be told: THI_TAKEN, THI_QUEUED,
     * THI_LOST, or why the call must fail.
     */
    int (*enter)(thi_select *s, th_case *c);
    /* Undoes an enter() that came out as THI_QUEUED; not of the case that won. */
    void (*leave)(thi_select *s, th_case *c);
    /* The end of the case that was won by a waker; what that gave. Also undoes. */
    void (*finish)(thi_select *s, th_case *c, int result);
} thi_case_kind;

/* Lives on the stack of the call. */
struct thi_select {
    thi_waiter party;
    th_case *cases;
    size_t count;
    size_t first;   /* where the round begins */
    size_t entered; /* so many of the round have been entered */
    th_case *due;   /* the earliest of the times; NULL: none */
    thi_timer timer;
};

/* What a case keeps while the call lasts. */
typedef union thi_case_state {
    thi_waiter waiter;
    struct {
        thi_fd_wait wait;
        thi_waiter *party;
        th_case *of;
    } fd;
} thi_case_state;

_Static_assert(sizeof(thi_case_state) <= sizeof(((th_case *)0)->private_),
               "th_case has no room for a thi_case_state");

static inline thi_case_state *thi_case_state_of(th_case *c)
{
    return (thi_case_state *)(void *)c->private_;
}

/* What stands for a case in party.winner, whether it waits by a waiter or not. */
static inline thi_waiter *thi_case_waiter(th_case *c)
{
    return &thi_case_state_of(c)->waiter;
}

/* The case at a place of the round. */
static inline th_case *thi_select_at(const thi_select *s, size_t place)
{
    size_t index = s->first + place;
    return &s->cases[index < s->count ? index : index - s->count];
}

/* On the loop of the fiber that waits: a case is ready. */
static inline void thi_select_complete(thi_waiter *party, th_case *c)
{
    if (thi_waiter_decide(party, thi_case_waiter(c)))
        thi_waiter_wake(party, 0);
}

extern const thi_case_kind thi_case_fd;

#endif
