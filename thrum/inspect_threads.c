/* SPDX-License-Identifier: MIT */

/*
 * What threads do, as far as it can be told from outside: by their folders in /proc for a process,
 * by their registers in a core.
 */
#include "inspect_words.h"
#include "inspection.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_MAX 65536 /* bytes of thread-local storage that the program itself may have */

/* Reads the start of a file of a thread; "" when it cannot be read. */
static void read_of_thread(int pid, int thread, const char *name, char *text, size_t size)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, thread, name);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* The system call that a thread waits in, -1 for none, and its stack pointer; false while it runs.
 * See "syscall" in proc(5). */
static bool blocked_in(int pid, int thread, long *call, uint64_t *stack)
{
    char line[256];
    uint64_t number;
    const char *at = line;
    read_of_thread(pid, thread, "syscall", line, sizeof line);
    if (!words_number(&at, 10, &number))
        return false;
    *call = (long)number;
    words_skip(&at, *call < 0 ? 0 : 6); /* its arguments */
    return words_number(&at, 16, stack);
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* The storage of a thread lies right below where the processor points for it. */
static int owner_in_core(const target *t, uint64_t owner)
{
    const target_thread *best = NULL;
    for (size_t i = 0; i < t->thread_count; i++) {
        const target_thread *thread = &t->threads[i];
        if (thread->local > owner && thread->local - owner < LOCAL_MAX &&
            (!best || thread->local < best->local))
            best = thread;
    }
    return best ? best->id : 0;
}

static bool bounds_of(const char *line, uint64_t *start, uint64_t *end)
{
    return words_number(&line, 16, start) && *line++ == '-' && words_number(&line, 16, end);
}

/* The bounds of what is mapped around an address. */
static bool mapped_around(int pid, uint64_t at, uint64_t *start, uint64_t *end)
{
    char path[64];
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *f = fopen(path, "re");
    while (f && !found && getline(&line, &size, f) >= 0)
        found = bounds_of(line, start, end) && at >= *start && at < *end;
    free(line);
    if (f)
        fclose(f);
    return found;
}

/*
 * The C library keeps the storage of a thread in the mapping of its stack, where its stack pointer
 * shows who it is; that of the first thread lies elsewhere. A thread that is running right now does
 * not show its stack pointer.
 */
static int owner_in_process(int pid, uint64_t owner)
{
    char path[64];
    uint64_t start;
    uint64_t end;
    bool all_seen = true;
    int found = 0;
    if (!mapped_around(pid, owner, &start, &end))
        return 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    const struct dirent *entry;
    while (tasks && found == 0 && (entry = readdir(tasks))) {
        int thread = (int)strtol(entry->d_name, NULL, 10);
        long call;
        uint64_t stack;
        if (thread <= 0)
            continue;
        if (!blocked_in(pid, thread, &call, &stack))
            all_seen = false;
        else if (stack >= start && stack < end)
            found = thread;
    }
    if (tasks)
        closedir(tasks);
    return found > 0 ? found : tasks && all_seen ? pid : 0;
}

int inspect_owner_thread(inspection *in, uint64_t owner)
{
    return in->t->core ? owner_in_core(in->t, owner) : owner_in_process(in->t->pid, owner);
}

/* ---- workers --------------------------------------------------------------------------------- */

void inspect_worker(inspection *in, const worker_view *w, char *text, size_t size)
{
    char where[64] = "";
    char name[NAME_SIZE];
    long call = 0;
    uint64_t stack;
    bool blocked =
        !in->t->core && w->thread > 0 && blocked_in(in->t->pid, w->thread, &call, &stack);
    if (!in->t->core && w->thread > 0)
        read_of_thread(in->t->pid, w->thread, "wchan", where, sizeof where);
    size_t place = snapshot_find(&in->s, w->current);
    if (place == NOBODY) {
        snprintf(text, size, "%s",
                 w->current    ? "runs a fiber"
                 : blocked     ? "waits for events"
                 : in->t->core ? "runs no fiber"
                               : "looks for events");
        return;
    }
    const fiber_view *f = &in->s.fibers[place];
    int n = snprintf(text, size, "runs fiber %" PRIu64 " (%s)", f->id,
                     inspect_name(in, f, name, sizeof name));
    if (blocked && n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, ", which blocks it in system call %ld%s%s", call,
                 where[0] > '0' ? ", " : "", where[0] > '0' ? where : "");
}
