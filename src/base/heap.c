/* SPDX-License-Identifier: MIT */

/*
 * The pairing heap (Fredman, Sedgewick, Sleator, Tarjan, 1986).
 *
 * A tree whose every node comes before its children. Merging two trees makes the later root the
 * first child of the other. Taking a root away leaves its children, which are merged in pairs from
 * left to right and then, from right to left, into one: that is what bounds the amortised cost.
 *
 * Chosen over an array heap because it cannot run out of memory: arming a timer never fails. Depth
 * is unbounded, so nothing here recurses.
 *
 * Every linked node knows the one pointer that leads to it (`link`: the root, its parent's child or
 * its elder sibling's next), which makes cutting it out a matter of two stores.
 */
#include "base/heap.h"

#include "base/assert.h"

static bool before(const thi_heap_node *a, const thi_heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

/* Makes *link lead to the node. */
static void attach(thi_heap_node **link, thi_heap_node *node)
{
    *link = node;
    if (node)
        node->link = link;
}

/* Merges two trees into one; the sibling of the winner is left as it was. */
static thi_heap_node *merge(thi_heap_node *a, thi_heap_node *b)
{
    thi_heap_node *winner = before(a, b) ? a : b;
    thi_heap_node *loser = winner == a ? b : a;
    attach(&loser->next, winner->child);
    attach(&winner->child, loser);
    return winner;
}

/* Merges a row of siblings into one tree; NULL for none. */
static thi_heap_node *merge_row(thi_heap_node *first)
{
    thi_heap_node *pairs = NULL; /* the last pair first */
    while (first) {
        thi_heap_node *one = first, *other = one->next;
        first = other ? other->next : NULL;
        thi_heap_node *pair = other ? merge(one, other) : one;
        pair->next = pairs;
        pairs = pair;
    }
    thi_heap_node *tree = NULL;
    while (pairs) {
        thi_heap_node *pair = pairs;
        pairs = pair->next;
        tree = tree ? merge(tree, pair) : pair;
    }
    return tree;
}

static void set_root(thi_heap *heap, thi_heap_node *tree)
{
    if (tree)
        tree->next = NULL;
    attach(&heap->root, tree);
}

void thi_heap_push(thi_heap *heap, thi_heap_node *node, int64_t key)
{
    thi_heap_push_ranked(heap, node, key, heap->seq++);
}

void thi_heap_push_ranked(thi_heap *heap, thi_heap_node *node, int64_t key, uint64_t seq)
{
    TH_ASSERT(!thi_heap_linked(node));
    node->key = key;
    node->seq = seq;
    node->child = NULL;
    set_root(heap, heap->root ? merge(heap->root, node) : node);
    heap->count++;
}

void thi_heap_remove(thi_heap *heap, thi_heap_node *node)
{
    if (!thi_heap_linked(node))
        return;
    attach(node->link, node->next);
    thi_heap_node *children = merge_row(node->child);
    if (children && heap->root)
        children = merge(heap->root, children);
    if (children)
        set_root(heap, children);
    node->link = NULL;
    heap->count--;
}

thi_heap_node *thi_heap_pop(thi_heap *heap)
{
    thi_heap_node *first = heap->root;
    if (first)
        thi_heap_remove(heap, first);
    return first;
}
