/* SPDX-License-Identifier: MIT */

/*
 * Intrusive singly linked FIFO: the run queue's shape.
 *
 * A node is in at most one queue. `tail` points at the link that the next push fills in, which is
 * `head` itself while the queue is empty; no operation has a special case for that. A queue must
 * not be copied, for the same reason.
 */
#ifndef THI_BASE_QUEUE_H
#define THI_BASE_QUEUE_H

#include "base/util.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct thi_qnode thi_qnode;

struct thi_qnode {
    thi_qnode *next; /* valid only while queued; NULL in the last one */
};

typedef struct thi_queue {
    thi_qnode *head;
    thi_qnode **tail;
} thi_queue;

/* The object that holds the node. */
#define thi_queue_item(node, type, member) thi_container_of(node, type, member)

static inline void thi_queue_init(thi_queue *queue)
{
    queue->head = NULL;
    queue->tail = &queue->head;
}

static inline bool thi_queue_empty(const thi_queue *queue)
{
    return queue->head == NULL;
}

static inline void thi_queue_push(thi_queue *queue, thi_qnode *node)
{
    node->next = NULL;
    *queue->tail = node;
    queue->tail = &node->next;
}

/* Puts a node before all others. */
static inline void thi_queue_push_front(thi_queue *queue, thi_qnode *node)
{
    node->next = queue->head;
    if (!queue->head)
        queue->tail = &node->next;
    queue->head = node;
}

/* Removes and returns the oldest node, NULL when there is none. */
static inline thi_qnode *thi_queue_pop(thi_queue *queue)
{
    thi_qnode *node = queue->head;
    if (node && !(queue->head = node->next))
        queue->tail = &queue->head;
    return node;
}

/* Moves all nodes of `from` behind those of `queue`, in order; `from` is empty afterwards. */
static inline void thi_queue_concat(thi_queue *queue, thi_queue *from)
{
    if (thi_queue_empty(from))
        return;
    *queue->tail = from->head;
    queue->tail = from->tail;
    thi_queue_init(from);
}

#endif
