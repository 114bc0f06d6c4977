/* SPDX-License-Identifier: MIT */

/*
 * thrum why: why a fiber does not go on.
 *
 * What a fiber waits for may itself depend on a fiber: the holder of a lock, one that is joined,
 * the children of a scope. That one is explained next, and so on to the one that somebody else has
 * to wake. Whoever comes up again on the way closes a circle, and none of it will ever go on.
 */
#include "commands.h"
#include "inspection.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_CIRCLE  3
#define CHILDREN_MAX 10  /* explained of one scope */
#define DEPTH_MAX    500 /* of fibers that wait for each other */

enum { UNSEEN, ON_THE_WAY, EXPLAINED };

typedef struct why_settings {
    inspect_settings inspect;
    uint64_t numbers[2];
    size_t count;
} why_settings;

typedef struct explanation {
    inspection *in;
    unsigned char *seen; /* of each fiber: UNSEEN, ... */
    bool circle;
} explanation;

static const option why_options[] = {
    INSPECT_OPTIONS,
    { 0 },
};

/* The process and the fiber; of a core the fiber alone. */
static const char *take_number(void *settings, const char *text)
{
    why_settings *s = settings;
    char *end;
    if (s->count == 2)
        return "is one too many";
    unsigned long long n = strtoull(text, &end, 10);
    if (end == text || *end || *text < '0' || *text > '9' || n == 0)
        return "is no number of a process or a fiber";
    s->numbers[s->count++] = n;
    return NULL;
}

const command why_command = {
    .name = "why",
    .arguments = "PID FIBER | --core FILE FIBER",
    .purpose = "Tells why a fiber does not go on: what it waits for, and what that waits for.",
    .details = "The exit status is 3 when fibers wait for each other in a circle.\n",
    .options = why_options,
    .argument = take_number,
};

static void explain(explanation *e, size_t i, int depth);

static void print_fiber(inspection *in, fiber_view *f, int indent)
{
    char name[NAME_SIZE];
    char span[32];
    char text[DESCRIPTION_SIZE];
    char place[160];
    inspect_caller(in, f, place, sizeof place);
    printf("%*sfiber %" PRIu64 " (%s), worker %u, ", indent, "", f->id,
           inspect_name(in, f, name, sizeof name), f->worker->index);
    if (!f->kind) {
        printf("is %s%s\n", inspect_state(f), f->moving ? " and goes on" : "");
        return;
    }
    inspect_span(inspect_waited(f), span, sizeof span);
    inspect_wait(in, f, text, sizeof text);
    printf("has waited for %s\n%*s  for: %s\n", span, indent, "", text);
    if (*place)
        printf("%*s  in:  %s\n", indent, "", place);
    if (f->deadline != NEVER && f->worker->now != INT64_MIN) {
        inspect_span(f->deadline > f->worker->now ? f->deadline - f->worker->now : 0, span,
                     sizeof span);
        printf("%*s  its deadline comes in %s\n", indent, "", span);
    }
    if (f->cancelled)
        printf("%*s  its scope is cancelled\n", indent, "");
}

/* Who ends a wait that depends on no fiber. */
static const char *who_ends(const fiber_view *f)
{
    switch (f->kind->ends) {
    case TH_INSPECT_BY_DESCRIPTOR:
        return "the other side of the descriptor ends that";
    case TH_INSPECT_BY_TIME:
        return (int64_t)f->datum == NEVER ? "only a cancellation ends that" : "the clock ends that";
    case TH_INSPECT_BY_POOL:
        return "a thread of the pool ends that";
    case TH_INSPECT_BY_WORK:
        return "the thread of a pool that does this work ends that";
    case TH_INSPECT_BY_OWNER:
        return f->datum ? "a thread that is no fiber holds it: see the stacks of threads"
                        : "it was free a moment ago";
    default:
        return "anybody can end that";
    }
}

static void follow(explanation *e, size_t i, int depth)
{
    const fiber_view *f = &e->in->s.fibers[i];
    int indent = depth * 2;
    if (e->seen[i] == ON_THE_WAY) {
        printf("%*sfiber %" PRIu64 " again: they wait for each other in a circle\n", indent, "",
               f->id);
        e->circle = true;
    } else if (e->seen[i] == EXPLAINED) {
        printf("%*sfiber %" PRIu64 ": see above\n", indent, "", f->id);
    } else if (depth > DEPTH_MAX) {
        printf("%*sand so on\n", indent, "");
    } else {
        explain(e, i, depth);
    }
}

/*
 * The end of a scope waits for each of its children, the start of one more for any of them: there a
 * circle is one only if all of them are in it.
 */
static void follow_children(explanation *e, const fiber_view *waiter, int depth)
{
    size_t count = 0;
    size_t circles = 0;
    bool before = e->circle;
    for (size_t i = 0; i < e->in->s.fiber_count; i++) {
        const fiber_view *f = &e->in->s.fibers[i];
        if ((f->home != waiter->object && f->scope_origin != waiter->object) ||
            f->state == TH_INSPECT_ENDED)
            continue;
        if (count++ >= CHILDREN_MAX)
            continue;
        e->circle = false;
        follow(e, i, depth);
        circles += e->circle;
    }
    if (count > CHILDREN_MAX)
        printf("%*sand for %zu more: see thrum tree\n", depth * 2, "", count - CHILDREN_MAX);
    bool any = waiter->kind && waiter->kind->at != 0;
    if (any && circles > 0 && circles < count)
        printf("%*sbut the end of any of them will do\n", depth * 2, "");
    e->circle = before || (any ? circles > 0 && circles == count : circles > 0);
}

/* Who is not parked: why it does not run, if it does not. */
static void explain_active(inspection *in, const fiber_view *f, int indent)
{
    char text[DESCRIPTION_SIZE];
    if (f->state != TH_INSPECT_READY && f->state != TH_INSPECT_RUNNING)
        return;
    inspect_worker(in, f->worker, text, sizeof text);
    printf("%*s  thread %d of worker %u %s\n", indent, "", f->worker->thread, f->worker->index,
           text);
}

static void explain(explanation *e, size_t i, int depth)
{
    fiber_view *f = &e->in->s.fibers[i];
    e->seen[i] = ON_THE_WAY;
    print_fiber(e->in, f, depth * 2);
    if (!f->kind)
        explain_active(e->in, f, depth * 2);
    else if (f->waits_for != NOBODY)
        follow(e, f->waits_for, depth + 1);
    else if (f->kind->ends == TH_INSPECT_BY_CHILDREN)
        follow_children(e, f, depth + 1);
    else
        printf("%*s  %s\n", depth * 2, "", who_ends(f));
    e->seen[i] = EXPLAINED;
}

/* Tells numbers apart, which may stand before and after the option that says what they are. */
static int sort_numbers(why_settings *s)
{
    size_t wanted = s->inspect.choice.core ? 1 : 2;
    if (s->count != wanted)
        return options_wrong(&why_command, wanted == 1 ? "which fiber of the core?"
                                                       : "which process, and which fiber of it?");
    if (wanted == 2 && s->numbers[0] > INT32_MAX)
        return options_wrong(&why_command, "there is no such process");
    if (wanted == 2)
        s->inspect.choice.pid = (int)s->numbers[0];
    s->inspect.fiber = s->numbers[wanted - 1];
    return -1;
}

int why_main(int argc, char **argv)
{
    why_settings settings = { .count = 0 };
    inspection in;
    int status = options_read(&why_command, argc, argv, &settings);
    if (status < 0)
        status = sort_numbers(&settings);
    if (status < 0)
        status = inspection_open(&in, &why_command, &settings.inspect.choice);
    if (status >= 0)
        return status;
    size_t i = snapshot_find_id(&in.s, settings.inspect.fiber);
    explanation e = { .in = &in, .seen = calloc(in.s.fiber_count + 1, 1) };
    if (i == NOBODY) {
        print_error("thrum why: there is no fiber %" PRIu64 "; thrum ps lists them",
                    settings.inspect.fiber);
        status = 1;
    } else if (!e.seen) {
        print_error("thrum why: there is not enough memory");
        status = 1;
    } else {
        explain(&e, i, 0);
        status = e.circle ? EXIT_CIRCLE : 0;
    }
    free(e.seen);
    inspection_close(&in);
    return status;
}
