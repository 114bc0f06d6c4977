/* SPDX-License-Identifier: MIT */

/*
 * thrum profile --wait: where the fibers of a process wait, as folded stacks for a flame graph.
 *
 * From time to time all fibers are read, and each stack on which one waits counts once per sample.
 * A fiber that has not moved since the last sample (the same wait, since the same time, in the same
 * place) has the stack that it had, so its memory is not touched again: what costs is what happens
 * between samples, not how many fibers there are.
 */
#include "commands.h"
#include "inspection.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_SIZE 8192

typedef struct profile_settings {
    inspect_settings inspect;
    bool wait;
    bool stats;
    long seconds;
    long rate;
} profile_settings;

/* A stack and how often it was seen. They are few, compared with fibers. */
typedef struct folded {
    struct folded *next; /* with the same hash */
    uint64_t count;
    uint64_t hash;
    char text[];
} folded;

#define BUCKETS 4096

/* What a fiber was seen doing: whoever is the same still does it. */
typedef struct seen {
    uint64_t id; /* 0: nothing is here */
    uint64_t context;
    uint64_t wait;
    int64_t since;
    folded *stack;
} seen;

typedef struct profile {
    inspection in;
    folded *buckets[BUCKETS];
    seen *former; /* a hash table by id, of the sample before */
    size_t former_room;
    seen *now; /* the one that is being filled */
    size_t now_room;
    uint64_t samples;
    uint64_t walks; /* stacks that had to be read */
    uint64_t fibers;
} profile;

static const char *set_wait(void *settings, const char *value)
{
    (void)value;
    ((profile_settings *)settings)->wait = true;
    return NULL;
}

static const char *set_stats(void *settings, const char *value)
{
    (void)value;
    ((profile_settings *)settings)->stats = true;
    return NULL;
}

static const char *set_seconds(void *settings, const char *value)
{
    bool ok = options_number(value, 1, 86400, &((profile_settings *)settings)->seconds);
    return ok ? NULL : "must be a number from 1 to 86400";
}

static const char *set_rate(void *settings, const char *value)
{
    bool ok = options_number(value, 1, 1000, &((profile_settings *)settings)->rate);
    return ok ? NULL : "must be a number from 1 to 1000";
}

static const option profile_options[] = {
    { "wait", NULL, "where fibers wait; the only profile so far", set_wait },
    { "seconds", "N", "how long; 10, or until Ctrl-C", set_seconds },
    { "rate", "HZ", "samples per second; 10", set_rate },
    { "stats", NULL, "tell on standard error how many stacks were read", set_stats },
    { 0 },
};

const command profile_command = {
    .name = "profile",
    .arguments = "PID --wait",
    .purpose = "Samples where the fibers of a process wait, as folded stacks.",
    .details = "Each line is a stack from the outermost function on, with the kind of wait at its "
               "end, and how\noften a fiber was seen there: input for flame graph tools.\n",
    .options = profile_options,
    .argument = take_process,
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
    (void)signo;
    interrupted = 1;
}

/* ---- folding --------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* The record of a stack; NULL without memory. */
static folded *record_of(profile *p, const char *text)
{
    uint64_t hash = hash_of(text);
    folded **bucket = &p->buckets[hash % BUCKETS];
    for (folded *f = *bucket; f; f = f->next)
        if (f->hash == hash && strcmp(f->text, text) == 0)
            return f;
    size_t size = strlen(text) + 1;
    folded *f = malloc(sizeof *f + size);
    if (!f)
        return NULL;
    *f = (folded){ .next = *bucket, .hash = hash };
    memcpy(f->text, text, size);
    *bucket = f;
    return f;
}

/* The separators of the format stand for something: they become others in names. */
static size_t add_name(char *line, size_t len, const char *name)
{
    for (; *name && len < LINE_MAX_SIZE - 1; name++)
        line[len++] = *name == ';' ? ':' : *name == '\n' ? '?' : *name;
    return len;
}

static size_t add_place(char *line, size_t len, const place_view *place)
{
    char text[64];
    const char *slash = place->module ? strrchr(place->module, '/') : NULL;
    if (place->function)
        return add_name(line, len, place->function);
    snprintf(text, sizeof text, "%s+0x%" PRIx64, slash ? slash + 1 : "?", place->offset);
    return add_name(line, len, text);
}

/* Walks a stack and folds it: name of the fiber, functions from the outermost on, kind of wait. */
static folded *fold(profile *p, fiber_view *f)
{
    char line[LINE_MAX_SIZE];
    char name[NAME_SIZE];
    stack_view stack;
    if (!stacks_walk(p->in.k, &p->in.s, f, &stack) || !f->kind)
        return NULL;
    p->walks++;
    size_t len = add_name(line, 0, inspect_name(&p->in, f, name, sizeof name));
    for (size_t i = stack.count; i-- > 0;) {
        const place_view *places;
        size_t count = stacks_places(p->in.k, stack.at[i], i > 0, &places);
        while (count-- > 0) {
            len = add_name(line, len, "\n");
            line[len - 1] = ';';
            len = add_place(line, len, &places[count]);
        }
    }
    len = add_name(line, len, "\n");
    line[len - 1] = ';';
    len = add_name(line, len, f->kind->what);
    line[len] = '\0';
    return record_of(p, line);
}

/* ---- sampling -------------------------------------------------------------------------------- */

static seen *slot_in(seen *table, size_t room, uint64_t id)
{
    size_t i = (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (room - 1);
    while (table[i].id != 0 && table[i].id != id)
        i = (i + 1) & (room - 1);
    return &table[i];
}

/* Empties the table that is filled next, and makes it as large as it has to be. */
static bool begin_sample(profile *p)
{
    size_t room = p->now_room ? p->now_room : 1024;
    while (room < p->in.s.fiber_count * 2)
        room *= 2;
    if (room != p->now_room) {
        seen *more = realloc(p->now, room * sizeof *more);
        if (!more)
            return false;
        p->now = more;
        p->now_room = room;
    }
    memset(p->now, 0, p->now_room * sizeof *p->now);
    return true;
}

static void end_sample(profile *p)
{
    seen *table = p->former;
    size_t room = p->former_room;
    p->former = p->now;
    p->former_room = p->now_room;
    p->now = table;
    p->now_room = room;
    p->samples++;
}

/* Of one that was read again since the snapshot, what it does now is what counts. */
static void count_fiber(profile *p, fiber_view *f)
{
    const seen *before = p->former ? slot_in(p->former, p->former_room, f->id) : NULL;
    bool same = before && before->id == f->id && before->context == f->context &&
                before->wait == f->wait && before->since == f->since;
    folded *stack = same && before->stack ? before->stack : fold(p, f);
    if (!stack)
        return;
    stack->count++;
    *slot_in(p->now, p->now_room, f->id) = (seen){
        .id = f->id, .context = f->context, .wait = f->wait, .since = f->since, .stack = stack
    };
}

static bool sample(profile *p)
{
    if (!snapshot_take(&p->in.s) || !begin_sample(p))
        return false;
    for (size_t i = 0; i < p->in.s.fiber_count; i++)
        if (p->in.s.fibers[i].kind)
            count_fiber(p, &p->in.s.fibers[i]);
    p->fibers += p->in.s.fiber_count;
    end_sample(p);
    return true;
}

/* Sleeps until a moment, or until a signal. */
static void sleep_until(const struct timespec *at)
{
    while (!interrupted && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, at, NULL) == EINTR)
        ;
}

/* Samples at even distances; what was missed because a sample took long is left out. */
static bool run(profile *p, const profile_settings *settings)
{
    struct timespec next;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &next);
    time_t end = next.tv_sec + settings->seconds;
    long end_nsec = next.tv_nsec;
    for (;;) {
        if (!sample(p))
            return false;
        clock_gettime(CLOCK_MONOTONIC, &now);
        do {
            next.tv_nsec += 1000000000 / settings->rate;
            next.tv_sec += next.tv_nsec / 1000000000;
            next.tv_nsec %= 1000000000;
        } while (next.tv_sec < now.tv_sec ||
                 (next.tv_sec == now.tv_sec && next.tv_nsec < now.tv_nsec));
        bool over = next.tv_sec > end || (next.tv_sec == end && next.tv_nsec >= end_nsec);
        if (over || interrupted || p->in.s.worker_count == 0) /* the last: it has ended */
            return true;
        sleep_until(&next);
    }
}

static void print_folded(const profile *p)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (const folded *f = p->buckets[i]; f; f = f->next)
            if (f->count > 0)
                printf("%s %" PRIu64 "\n", f->text, f->count);
}

static void close_profile(profile *p)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (p->buckets[i]) {
            folded *f = p->buckets[i];
            p->buckets[i] = f->next;
            free(f);
        }
    }
    free(p->former);
    free(p->now);
    inspection_close(&p->in);
    free(p);
}

static int run_profile(const profile_settings *settings)
{
    profile *p = calloc(1, sizeof *p);
    if (!p) {
        print_error("thrum profile: there is not enough memory");
        return 1;
    }
    int status = inspection_open(&p->in, &profile_command, &settings->inspect.choice);
    if (status >= 0) {
        free(p);
        return status;
    }
    struct sigaction action = { .sa_handler = on_interrupt };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bool ok = run(p, settings);
    if (ok)
        print_folded(p);
    else
        print_error("thrum profile: there is not enough memory");
    if (settings->stats)
        fprintf(stderr, "%" PRIu64 " samples, %" PRIu64 " fibers seen, %" PRIu64 " stacks read\n",
                p->samples, p->fibers, p->walks);
    close_profile(p);
    return ok ? 0 : 1;
}

int profile_main(int argc, char **argv)
{
    profile_settings settings = { .seconds = 10, .rate = 10 };
    int status = options_read(&profile_command, argc, argv, &settings);
    if (status >= 0)
        return status;
    if (!settings.wait)
        return options_wrong(&profile_command, "--wait is missing: it is the only profile so far");
    return run_profile(&settings);
}
