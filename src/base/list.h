/* SPDX-License-Identifier: MIT */

/*
 * Intrusive doubly linked circular list.
 *
 * The list head and the nodes are the same type; an empty list and an unlinked node point at
 * themselves. Removal therefore needs no head, and removing an unlinked node does nothing. A node
 * must be initialised before thi_list_linked() or thi_list_remove() looks at it; pushing does not
 * need it.
 */
#ifndef THI_BASE_LIST_H
#define THI_BASE_LIST_H

#include "base/assert.h"
#include "base/util.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct thi_list thi_list;

struct thi_list {
    thi_list *next; /* first node of a head; itself when empty or unlinked */
    thi_list *prev; /* last node of a head */
};

/* For static storage: thi_list all = THI_LIST_INIT(all); */
#define THI_LIST_INIT(name)                                                                        \
    {                                                                                              \
        &(name), &(name)                                                                           \
    }

/* The object that holds the node. */
#define thi_list_item(node, type, member) thi_container_of(node, type, member)

/* Visits the nodes in order. The body must not remove the current node. */
#define thi_list_each(node, list)                                                                  \
    for (thi_list *node = (list)->next; node != (list); node = node->next)

/* The same, but the body may remove (and free) the current node; no other one. */
#define thi_list_each_safe(node, list)                                                             \
    for (thi_list *node = (list)->next, *node##_next_ = node->next; node != (list);                \
         node = node##_next_, node##_next_ = node->next)

static inline void thi_list_init(thi_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool thi_list_empty(const thi_list *list)
{
    return list->next == list;
}

/* Whether an initialised node is in some list. */
static inline bool thi_list_linked(const thi_list *node)
{
    return node->next != node;
}

/* Links an unlinked node right before `at`; before a head means at the end. */
static inline void thi_list_insert_before(thi_list *at, thi_list *node)
{
    TH_DEBUG_ASSERT(at != node);
    node->next = at;
    node->prev = at->prev;
    at->prev->next = node;
    at->prev = node;
}

/* Links an unlinked node right after `at`; after a head means at the front. */
static inline void thi_list_insert_after(thi_list *at, thi_list *node)
{
    thi_list_insert_before(at->next, node);
}

static inline void thi_list_push_front(thi_list *list, thi_list *node)
{
    thi_list_insert_after(list, node);
}

static inline void thi_list_push_back(thi_list *list, thi_list *node)
{
    thi_list_insert_before(list, node);
}

/* Takes a node out of whatever list it is in and leaves it unlinked. */
static inline void thi_list_remove(thi_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    thi_list_init(node);
}

/* The first or last node, NULL when the list is empty; the node stays in the list. */
static inline thi_list *thi_list_first(const thi_list *list)
{
    return thi_list_empty(list) ? NULL : list->next;
}

static inline thi_list *thi_list_last(const thi_list *list)
{
    return thi_list_empty(list) ? NULL : list->prev;
}

/* Removes and returns the first or last node, NULL when the list is empty. */
static inline thi_list *thi_list_pop_front(thi_list *list)
{
    thi_list *node = thi_list_first(list);
    if (node)
        thi_list_remove(node);
    return node;
}

static inline thi_list *thi_list_pop_back(thi_list *list)
{
    thi_list *node = thi_list_last(list);
    if (node)
        thi_list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the end of `list`, in order; `from` is empty afterwards. */
static inline void thi_list_splice_back(thi_list *list, thi_list *from)
{
    if (thi_list_empty(from))
        return;
    from->next->prev = list->prev;
    from->prev->next = list;
    list->prev->next = from->next;
    list->prev = from->prev;
    thi_list_init(from);
}

#endif
