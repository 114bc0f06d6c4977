/* SPDX-License-Identifier: MIT */

/*
 * Ties: waits that name the party that can end them, as the search for deadlocks sees them.
 *
 * A tie is a copy, taken by the worker whose fiber waits. Parties and scopes in it are names, to be
 * compared and not to be followed.
 */
#ifndef THI_RUNTIME_TIE_H
#define THI_RUNTIME_TIE_H

#include "fiber/fiber.h"

#include <thrum/defs.h>

/* How many of those that can end a wait have to come to rest before nobody can. */
enum {
    THI_TIE_ONE,     /* `target`, a party */
    THI_TIE_CHILD,   /* any child of `target`, a scope, as the wait is for all of them */
    THI_TIE_CHILDREN /* all of them, `need`, as the wait is for one of them */
};

typedef struct thi_tie {
    const void *party;            /* who waits: a fiber, or the mark of a thread */
    const void *target;           /* who or what can end that */
    const struct thi_scope *home; /* whose child the party is; NULL for a thread */
    const thi_wait_kind *kind;
    const void *object;
    uint64_t id;   /* of the fiber; of a thread's wait its number */
    int64_t since; /* when it began to wait */
    uint32_t need; /* children that the scope has */
    uint16_t worker;
    uint8_t way;  /* THI_TIE_* */
    bool timed;   /* a deadline ends it */
    bool foreign; /* the party is a thread */
} thi_tie;

/* Whether two looks saw the same wait, for the same party. */
static inline bool thi_tie_same(const thi_tie *a, const thi_tie *b)
{
    return a->party == b->party && a->target == b->target && a->home == b->home &&
           a->kind == b->kind && a->object == b->object && a->id == b->id && a->since == b->since &&
           a->need == b->need && a->foreign == b->foreign;
}

/* Several of them. */
typedef struct thi_ties {
    thi_tie *at;
    size_t count;
    size_t room;
} thi_ties;

/* Adds one; -ENOMEM. */
TH_MUST int thi_ties_add(thi_ties *ties, const thi_tie *tie);

/* Forgets them all; NULL at is none. */
void thi_ties_deinit(thi_ties *ties);

#endif
