/* SPDX-License-Identifier: MIT */

/* Stacks without libdw: frame pointers, files and offsets. */
#include "inspect_stack.h"

#include <stdlib.h>

#define COPY_MAX 65536

struct stacks {
    target *t;
    place_view place;
    unsigned char copy[COPY_MAX];
};

stacks *stacks_open(target *t)
{
    stacks *k = calloc(1, sizeof *k);
    if (k)
        k->t = t;
    return k;
}

void stacks_close(stacks *k)
{
    free(k);
}

bool stacks_walk(stacks *k, snapshot *s, fiber_view *f, stack_view *stack)
{
    saved_context context;
    size_t size = snapshot_copy_stack(s, f, k->copy, sizeof k->copy);
    if (size == 0 || !stacks_context(f, k->copy, size, &context))
        return false;
    stacks_follow_frames(f, k->copy, size, &context, stack);
    return true;
}

size_t stacks_places(stacks *k, uint64_t at, bool call, const place_view **places)
{
    const target_map *map = target_map_at(k->t, at - call);
    k->place = (place_view){ .offset = at };
    if (map) {
        k->place.module = map->path;
        k->place.offset = at - map->start + map->offset;
    }
    *places = &k->place;
    return 1;
}

const char *stacks_name(stacks *k, uint64_t at, uint64_t *offset)
{
    (void)k;
    (void)at;
    *offset = 0;
    return NULL;
}
