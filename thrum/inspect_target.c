/* SPDX-License-Identifier: MIT */

/* What processes and core files have in common. */
#include "inspect_target.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096

target *target_open(const char *who, const target_choice *choice)
{
    if (choice->core)
        return target_open_core(who, choice->core, choice->program);
    return target_open_process(who, choice->pid);
}

void target_close(target *t)
{
    if (!t)
        return;
    if (t->close)
        t->close(t);
    for (size_t i = 0; i < t->map_count; i++)
        free(t->maps[i].path);
    free(t->maps);
    free(t->threads);
    free(t->program);
    free(t);
}

bool target_read(target *t, uint64_t at, void *to, size_t size)
{
    target_piece piece = { .at = at, .to = to, .size = size };
    t->read(t, &piece, 1);
    return piece.done;
}

/* Bytes of the UTF-8 sequence at a place; 0: it is none. Too long ones are not told apart. */
static size_t sequence(const unsigned char *c)
{
    size_t more = c[0] >= 0xf5 ? 0 : c[0] >= 0xf0 ? 3 : c[0] >= 0xe0 ? 2 : c[0] >= 0xc2 ? 1 : 0;
    for (size_t i = 1; i <= more; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    return more > 0 ? more + 1 : 0;
}

/* Makes what cannot be shown a question mark; the length of what is there. */
static size_t clean(char *text)
{
    unsigned char c = (unsigned char)*text;
    if (c >= ' ' && c < 0x7f)
        return 1;
    size_t len = sequence((const unsigned char *)text);
    if (len > 0)
        return len;
    *text = '?';
    return 1;
}

void target_read_text(target *t, uint64_t at, char *text, size_t size)
{
    size_t have = 0;
    while (have < size - 1 && !memchr(text, '\0', have)) {
        size_t n = PAGE - (size_t)((at + have) % PAGE); /* the next page may not be there */
        if (n > size - 1 - have)
            n = size - 1 - have;
        if (!target_read(t, at + have, text + have, n))
            break;
        have += n;
    }
    text[have] = '\0';
    for (char *c = text; *c;)
        c += clean(c);
}

const target_map *target_map_at(const target *t, uint64_t at)
{
    size_t low = 0;
    size_t high = t->map_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at >= t->maps[middle].end)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->map_count && at >= t->maps[low].start ? &t->maps[low] : NULL;
}

bool target_add_map(target *t, uint64_t start, uint64_t end, uint64_t offset, const char *path)
{
    if (t->map_count % 64 == 0) {
        target_map *more = realloc(t->maps, (t->map_count + 64) * sizeof *more);
        if (!more)
            return false;
        t->maps = more;
    }
    char *copy = strdup(path);
    if (!copy)
        return false;
    t->maps[t->map_count++] =
        (target_map){ .start = start, .end = end, .offset = offset, .path = copy };
    return true;
}
