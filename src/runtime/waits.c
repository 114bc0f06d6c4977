/* SPDX-License-Identifier: MIT */

/*
 * What a wait says about who can end it.
 *
 * A wait for something whose owner is the party itself is not tied to anybody: it has just been
 * handed over, and its fiber is about to be woken.
 */
#include "runtime/waits.h"

#include "runtime/tree.h"

/* The pointer in what is waited for. Others may change it. */
static const void *word_of(const thi_wait *wait)
{
    size_t at = thi_wait_kind_of(wait)->at;
    const void *word = (const char *)__atomic_load_n(&wait->object, __ATOMIC_RELAXED) + at;
    return atomic_load_explicit((const _Atomic(const void *) *)word, memory_order_relaxed);
}

static bool tie_to_owner(const thi_wait *wait, const void *party, thi_tie *tie)
{
    uintptr_t owner = (uintptr_t)word_of(wait) & ~(uintptr_t)1;
    tie->target = (const char *)party + (owner - (uintptr_t)party);
    return owner != 0 && owner != (uintptr_t)party;
}

static bool tie_to_children(const thi_wait *wait, thi_tie *tie)
{
    const thi_scope *scope = wait->object;
    tie->way = tie->kind->at == 0 ? THI_TIE_CHILD : THI_TIE_CHILDREN;
    tie->target = scope;
    tie->need = tie->way == THI_TIE_CHILDREN ? scope->live : 0;
    return atomic_load(&scope->inflight) == 0;
}

bool thi_tie_of(const thi_wait *wait, const void *party, thi_tie *tie)
{
    const thi_wait_kind *kind = thi_wait_kind_of(wait);
    *tie = (thi_tie){ .party = party, .kind = kind, .since = wait->since };
    tie->object = __atomic_load_n(&wait->object, __ATOMIC_RELAXED);
    switch (kind->ends) {
    case THI_BY_OWNER:
        return tie_to_owner(wait, party, tie);
    case THI_BY_FIBER:
        tie->target = word_of(wait);
        return tie->target != NULL;
    case THI_BY_CHILDREN:
        return tie_to_children(wait, tie);
    default:
        return false;
    }
}
