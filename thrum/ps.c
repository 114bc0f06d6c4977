/* SPDX-License-Identifier: MIT */

/* thrum ps: every fiber of a process or a core, and what it waits for. */
#include "commands.h"
#include "inspection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BY_ID, BY_TIME, BY_KIND, BY_NAME, BY_WORKER };

typedef struct ps_settings {
    inspect_settings inspect; /* first: the table of options sets these as well */
    const char *wait;         /* only this kind of wait; NULL: all */
    int sort;
    bool stacks;
    bool summary;
} ps_settings;

static const char *set_stacks(void *settings, const char *value)
{
    (void)value;
    ((ps_settings *)settings)->stacks = true;
    return NULL;
}

static const char *set_summary(void *settings, const char *value)
{
    (void)value;
    ((ps_settings *)settings)->summary = true;
    return NULL;
}

static const char *set_wait(void *settings, const char *value)
{
    ((ps_settings *)settings)->wait = value;
    return NULL;
}

static const char *set_sort(void *settings, const char *value)
{
    static const char *const names[] = { "id", "time", "kind", "name", "worker" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], value) == 0) {
            ((ps_settings *)settings)->sort = (int)i;
            return NULL;
        }
    }
    return "must be id, time, kind, name or worker";
}

static const option ps_options[] = {
    { "stacks", NULL, "show the stack of each fiber", set_stacks },
    { "summary", NULL, "count by what they wait for and where", set_summary },
    { "wait", "KIND", "only fibers with this wait: read, mutex, ...", set_wait },
    { "sort", "KEY", "by id, time (the longest wait first), kind, name or worker", set_sort },
    { "json", NULL, "print all that is known as JSON", set_json },
    INSPECT_OPTIONS,
    { 0 },
};

const command ps_command = {
    .name = "ps",
    .arguments = "PID | --core FILE",
    .purpose = "Lists the fibers of a process or a core file, and what each waits for.",
    .details =
        "The process is neither stopped nor changed; it may be stopped or hang. What is read "
        "of one\nthat runs is not all of the same moment.\n",
    .options = ps_options,
    .argument = take_process,
};

/* ---- which, and in which order --------------------------------------------------------------- */

/* What is compared by; qsort() passes no context along. */
static const snapshot *sorted;
static int sort_key;

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare(const void *left, const void *right)
{
    const fiber_view *a = &sorted->fibers[*(const size_t *)left];
    const fiber_view *b = &sorted->fibers[*(const size_t *)right];
    int order = 0;
    switch (sort_key) {
    case BY_TIME:
        order = (inspect_waited(a) < inspect_waited(b)) - (inspect_waited(a) > inspect_waited(b));
        break;
    case BY_KIND:
        order = strcmp(a->kind ? a->kind->what : "", b->kind ? b->kind->what : "");
        break;
    case BY_NAME:
        order = strcmp(a->name, b->name);
        break;
    case BY_WORKER:
        order = compare_numbers(a->worker->address, b->worker->address);
        break;
    default:
        break;
    }
    return order != 0 ? order : compare_numbers(a->id, b->id);
}

/* The places of those that are shown; NULL without memory. */
static size_t *choose(const snapshot *s, const ps_settings *settings, size_t *count)
{
    size_t *order = malloc((s->fiber_count + 1) * sizeof *order);
    *count = 0;
    for (size_t i = 0; order && i < s->fiber_count; i++) {
        const wait_kind *kind = s->fibers[i].kind;
        if (!settings->wait || (kind && strcmp(kind->what, settings->wait) == 0))
            order[(*count)++] = i;
    }
    sorted = s;
    sort_key = settings->sort;
    if (order && *count > 0)
        qsort(order, *count, sizeof *order, compare);
    return order;
}

/* ---- the list -------------------------------------------------------------------------------- */

static void print_head(inspection *in)
{
    char text[DESCRIPTION_SIZE];
    if (in->t->core)
        printf("core %s", in->t->core);
    else
        printf("process %d", in->t->pid);
    printf(": Thrum %s, %zu fibers, %zu worker%s\n", in->s.layouts[0].library, in->s.fiber_count,
           in->s.worker_count, in->s.worker_count == 1 ? "" : "s");
    for (size_t i = 0; i < in->s.worker_count; i++) {
        const worker_view *w = &in->s.workers[i];
        inspect_worker(in, w, text, sizeof text);
        printf("worker %u: thread %d, %s, %s\n", w->index, w->thread, w->engine, text);
    }
    if (in->s.cut)
        printf("not all of it could be read\n");
    size_t lost = 0;
    for (size_t i = 0; in->t->core && i < in->s.fiber_count; i++)
        lost += in->s.fibers[i].state == TH_INSPECT_PARKED && !in->s.fibers[i].kind;
    if (lost > 0)
        printf("of %zu fibers the stacks are not in this core\n", lost);
}

static void print_row(inspection *in, const fiber_view *f)
{
    char name[NAME_SIZE];
    char waited[32];
    char deadline[32] = "-";
    char text[DESCRIPTION_SIZE];
    char parent[24] = "-";
    inspect_span(inspect_waited(f), waited, sizeof waited);
    if (f->deadline != NEVER && f->worker->now != INT64_MIN)
        inspect_span(f->deadline > f->worker->now ? f->deadline - f->worker->now : 0, deadline,
                     sizeof deadline);
    if (f->parent != NOBODY)
        snprintf(parent, sizeof parent, "%" PRIu64, in->s.fibers[f->parent].id);
    inspect_wait(in, f, text, sizeof text);
    printf("%6" PRIu64 " %6s %6u  %-8s %12s %12s  %-20s %s%s%s\n", f->id, parent, f->worker->index,
           inspect_state(f), waited, deadline, inspect_name(in, f, name, sizeof name), text,
           f->cancelled ? " [cancelled]" : "", f->moving ? " [moving]" : "");
}

static void print_list(inspection *in, const size_t *order, size_t count, bool with_stacks)
{
    print_head(in);
    printf("    id parent worker  state        waiting     deadline  name                 waits "
           "for\n");
    for (size_t i = 0; i < count; i++) {
        stack_view stack;
        fiber_view *f = &in->s.fibers[order[i]];
        bool walked = with_stacks && stacks_walk(in->k, &in->s, f, &stack);
        print_row(in, f);
        if (with_stacks)
            inspect_print_stack(in, f, walked ? &stack : NULL);
    }
}

/* ---- the summary ----------------------------------------------------------------------------- */

/* Fibers that wait for the same kind of thing in the same place. */
typedef struct group {
    size_t count;
    int64_t longest;
    char kind[32];
    char place[160];
} group;

static int by_place(const void *a, const void *b)
{
    const group *x = a;
    const group *y = b;
    int order = strcmp(x->kind, y->kind);
    return order != 0 ? order : strcmp(x->place, y->place);
}

static int by_count(const void *a, const void *b)
{
    const group *x = a;
    const group *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_place(a, b);
}

/* Puts equal ones together; how many are left. */
static size_t merge(group *groups, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && by_place(&groups[kept - 1], &groups[i]) == 0) {
            groups[kept - 1].count++;
            if (groups[i].longest > groups[kept - 1].longest)
                groups[kept - 1].longest = groups[i].longest;
        } else {
            groups[kept++] = groups[i];
        }
    }
    return kept;
}

static bool print_summary(inspection *in, const size_t *order, size_t count)
{
    char longest[32];
    group *groups = calloc(count + 1, sizeof *groups);
    if (!groups)
        return false;
    for (size_t i = 0; i < count; i++) {
        fiber_view *f = &in->s.fibers[order[i]];
        group *g = &groups[i];
        inspect_caller(in, f, g->place, sizeof g->place);
        g->count = 1;
        g->longest = inspect_waited(f);
        snprintf(g->kind, sizeof g->kind, "%s", f->kind ? f->kind->what : inspect_state(f));
    }
    qsort(groups, count, sizeof *groups, by_place);
    count = merge(groups, count);
    qsort(groups, count, sizeof *groups, by_count);
    print_head(in);
    printf(" fibers      longest  waits for        in\n");
    for (size_t i = 0; i < count; i++) {
        inspect_span(groups[i].longest, longest, sizeof longest);
        printf("%7zu %12s  %-16s %s\n", groups[i].count, longest, groups[i].kind, groups[i].place);
    }
    free(groups);
    return true;
}

int ps_main(int argc, char **argv)
{
    ps_settings settings = { .sort = BY_ID };
    inspection in;
    size_t count;
    int status = options_read(&ps_command, argc, argv, &settings);
    if (status < 0)
        status = inspection_open(&in, &ps_command, &settings.inspect.choice);
    if (status >= 0)
        return status;
    size_t *order = choose(&in.s, &settings, &count);
    bool ok = order != NULL;
    if (ok && settings.inspect.json)
        inspect_print_json(&in, order, count, settings.stacks);
    else if (ok && settings.summary)
        ok = print_summary(&in, order, count);
    else if (ok)
        print_list(&in, order, count, settings.stacks);
    if (!ok)
        print_error("thrum ps: there is not enough memory");
    free(order);
    inspection_close(&in);
    return ok ? 0 : 1;
}
