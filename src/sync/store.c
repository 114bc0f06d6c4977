/* SPDX-License-Identifier: MIT */

/*
 * Rings, and the heap.
 *
 * First in, first out and last in, first out share a ring: items go in at its end, and come out at
 * one end or the other. By priority it is a binary heap in an array, whose slots also hold the
 * number of their arrival: that decides between equal items, which a heap would mix up.
 */
#include "sync/store.h"

#include "base/alloc.h"

#include <string.h>

typedef struct slot {
    void *item;
    uint64_t arrival;
} slot;

/* Whether a leaves before b. */
static bool before(const thi_store *s, const slot *a, const slot *b)
{
    int order = s->compare(a->item, b->item, s->compare_arg);
    return order < 0 || (order == 0 && a->arrival < b->arrival);
}

void thi_store_push_by_priority_(thi_store *s, void *item)
{
    slot *slots = s->room;
    slot new = { .item = item, .arrival = s->arrivals++ };
    size_t at = thi_store_count(s);
    thi_store_set_count_(s, at + 1);
    while (at > 0 && before(s, &new, &slots[(at - 1) / 2])) {
        slots[at] = slots[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    slots[at] = new;
}

void *thi_store_pop_by_priority_(thi_store *s)
{
    slot *slots = s->room;
    void *item = slots[0].item;
    size_t count = thi_store_count(s) - 1;
    thi_store_set_count_(s, count);
    slot last = slots[count]; /* goes down from the root, to where it fits */
    size_t at = 0;
    for (size_t next; (next = 2 * at + 1) < count; at = next) {
        if (next + 1 < count && before(s, &slots[next + 1], &slots[next]))
            next++;
        if (!before(s, &slots[next], &last))
            break;
        slots[at] = slots[next];
    }
    slots[at] = last;
    return item;
}

static size_t slot_size(const thi_store *s)
{
    return s->order == TH_QUEUE_PRIORITY ? sizeof(slot) : sizeof(void *);
}

void *thi_store_make_room(const thi_store *s, size_t size)
{
    return size > SIZE_MAX / sizeof(slot) ? NULL : thi_alloc(size * slot_size(s));
}

void *thi_store_move(thi_store *s, void *room, size_t size)
{
    char *from = s->room;
    char *to = room;
    size_t bytes = slot_size(s);
    size_t count = thi_store_count(s);
    size_t start = s->size > 0 ? s->first & (s->size - 1) : 0;
    size_t head = count < s->size - start ? count : s->size - start; /* up to the ring's seam */
    if (head > 0)
        memcpy(to, from + start * bytes, head * bytes);
    if (count > head)
        memcpy(to + head * bytes, from, (count - head) * bytes);
    s->room = room;
    s->size = size;
    s->first = 0;
    return from;
}
