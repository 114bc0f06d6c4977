/* SPDX-License-Identifier: MIT */

/* thrum tree: the fibers of a process or a core as a tree, each below the one whose scope it is in.
 */
#include "commands.h"
#include "inspection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDENT_MAX 200

static const option tree_options[] = {
    INSPECT_OPTIONS,
    { 0 },
};

const command tree_command = {
    .name = "tree",
    .arguments = "PID | --core FILE",
    .purpose = "Shows the fibers of a process or a core file as a tree.",
    .details = "A fiber stands below the one that opened the scope it was started in.\n",
    .options = tree_options,
    .argument = take_process,
};

/* The children of each fiber, as chains. */
typedef struct family {
    size_t *parent;
    size_t *first; /* of each fiber, and at the end of those without a parent; or NOBODY */
    size_t *next;
} family;

static const snapshot *sorted;

/* The last comes first: chains are built from their ends. */
static int by_id(const void *a, const void *b)
{
    uint64_t x = sorted->fibers[*(const size_t *)a].id;
    uint64_t y = sorted->fibers[*(const size_t *)b].id;
    return (x < y) - (x > y);
}

/* Parents were born before their children. Of what was read at different moments that may not hold,
 * so that a circle is possible: who has an older child is no child itself. */
static size_t parent_of(const snapshot *s, size_t i)
{
    size_t parent = s->fibers[i].parent;
    size_t steps = 0;
    for (size_t p = parent; p != NOBODY; p = s->fibers[p].parent)
        if (p == i || ++steps > s->fiber_count)
            return NOBODY;
    return parent;
}

static bool find_families(const snapshot *s, family *of)
{
    size_t n = s->fiber_count;
    size_t *order = malloc((n + 1) * sizeof *order);
    of->parent = malloc((n + 1) * sizeof *of->parent);
    of->first = malloc((n + 1) * sizeof *of->first);
    of->next = malloc((n + 1) * sizeof *of->next);
    if (!order || !of->parent || !of->first || !of->next) {
        free(order);
        return false;
    }
    for (size_t i = 0; i <= n; i++) {
        order[i] = i;
        of->first[i] = of->next[i] = NOBODY;
    }
    sorted = s;
    if (n > 0)
        qsort(order, n, sizeof *order, by_id);
    for (size_t k = 0; k < n; k++) {
        size_t i = order[k];
        of->parent[i] = parent_of(s, i);
        size_t chain = of->parent[i] == NOBODY ? n : of->parent[i];
        of->next[i] = of->first[chain];
        of->first[chain] = i;
    }
    free(order);
    return true;
}

static void print_one(inspection *in, size_t i, const char *indent, const char *branch)
{
    char name[NAME_SIZE];
    char waited[32];
    char text[DESCRIPTION_SIZE];
    const fiber_view *f = &in->s.fibers[i];
    inspect_wait(in, f, text, sizeof text);
    inspect_span(inspect_waited(f), waited, sizeof waited);
    printf("%s%s%" PRIu64 " %s, worker %u: %s%s%s%s%s%s\n", indent, branch, f->id,
           inspect_name(in, f, name, sizeof name), f->worker->index,
           *text ? text : inspect_state(f), f->kind ? " (for " : "", f->kind ? waited : "",
           f->kind ? ")" : "", f->cancelled ? " [cancelled]" : "", f->moving ? " [moving]" : "");
}

/* Prints all below, without recursion: a chain of scopes may be long. */
static void print_families(inspection *in, const family *of)
{
    char indent[INDENT_MAX * 3 + 1] = "";
    size_t n = in->s.fiber_count;
    size_t depth = 0;
    size_t at = of->first[n];
    while (at != NOBODY) {
        bool last = of->next[at] == NOBODY;
        size_t shown = depth < INDENT_MAX ? depth : INDENT_MAX;
        print_one(in, at, indent, depth == 0 ? "" : last ? "`- " : "|- ");
        if (of->first[at] != NOBODY) { /* its children, and then whoever comes after it */
            if (depth > 0 && depth < INDENT_MAX)
                memcpy(indent + (shown - 1) * 3, last ? "   " : "|  ", 4);
            depth++;
            at = of->first[at];
            continue;
        }
        while (at != NOBODY && of->next[at] == NOBODY) {
            at = of->parent[at];
            depth -= depth > 0;
            if (depth > 0 && depth <= INDENT_MAX)
                indent[(depth - 1) * 3] = '\0';
        }
        if (at != NOBODY)
            at = of->next[at];
    }
}

int tree_main(int argc, char **argv)
{
    inspect_settings settings = { .fiber = 0 };
    inspection in;
    family of = { NULL, NULL, NULL };
    int status = options_read(&tree_command, argc, argv, &settings);
    if (status < 0)
        status = inspection_open(&in, &tree_command, &settings.choice);
    if (status >= 0)
        return status;
    bool ok = find_families(&in.s, &of);
    if (ok)
        print_families(&in, &of);
    else
        print_error("thrum tree: there is not enough memory");
    free(of.parent);
    free(of.first);
    free(of.next);
    inspection_close(&in);
    return ok ? 0 : 1;
}
