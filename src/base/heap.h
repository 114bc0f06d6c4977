/* SPDX-License-Identifier: MIT */

/*
 * Intrusive priority queue that never allocates: a pairing heap.
 *
 * Nodes leave by ascending key; equal keys leave in the order of their insertion. Pushing is O(1),
 * popping and removing O(log n) amortised. A heap or a linked node must not be moved in memory.
 */
#ifndef THI_BASE_HEAP_H
#define THI_BASE_HEAP_H

#include "base/util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct thi_heap_node thi_heap_node;

/* In the caller's object; zeroed or initialised before the first push. All fields are the heap's.
 */
struct thi_heap_node {
    int64_t key;          /* set by push; reading is fine */
    uint64_t seq;         /* order of insertion among equal keys */
    thi_heap_node *child; /* first of those that come later than this */
    thi_heap_node *next;  /* sibling */
    thi_heap_node **link; /* what points at this node; NULL while it is in no heap */
};

typedef struct thi_heap {
    thi_heap_node *root; /* the next to leave; NULL when empty */
    uint64_t seq;        /* nodes pushed so far */
    size_t count;        /* nodes in the heap */
} thi_heap;

/* The object that holds the node. */
#define thi_heap_item(node, type, member) thi_container_of(node, type, member)

static inline void thi_heap_init(thi_heap *heap)
{
    *heap = (thi_heap){ .root = NULL };
}

static inline void thi_heap_node_init(thi_heap_node *node)
{
    node->link = NULL;
}

static inline bool thi_heap_linked(const thi_heap_node *node)
{
    return node->link != NULL;
}

static inline size_t thi_heap_count(const thi_heap *heap)
{
    return heap->count;
}

/* The node that is next to leave, NULL when the heap is empty. */
static inline thi_heap_node *thi_heap_first(const thi_heap *heap)
{
    return heap->root;
}

/* Puts a node that is in no heap into this one. */
void thi_heap_push(thi_heap *heap, thi_heap_node *node, int64_t key);

/* The same with an order of the caller's own among equal keys, for nodes that entered elsewhere. */
void thi_heap_push_ranked(thi_heap *heap, thi_heap_node *node, int64_t key, uint64_t seq);

/* Removes and returns the first node, NULL when the heap is empty. */
thi_heap_node *thi_heap_pop(thi_heap *heap);

/* Takes a node out of this heap; a node that is in none is left alone. */
void thi_heap_remove(thi_heap *heap, thi_heap_node *node);

#endif
