/* SPDX-License-Identifier: MIT */

/*
 * A process as what is looked into.
 *
 * The kernel lets one process read another if it may trace it: see ptrace(2), "Ptrace access mode
 * checking". A refusal is explained, since what there is to be done about it differs.
 */
#include "inspect_target.h"
#include "inspect_words.h"
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH 512 /* pieces read by one system call; the kernel takes up to 1024 */

/* ---- its memory ------------------------------------------------------------------------------ */

/* Says of the first pieces of a batch that they have come; how many. */
static size_t settle(target_piece *pieces, size_t count, size_t bytes)
{
    size_t i = 0;
    for (; i < count && bytes >= pieces[i].size; i++) {
        bytes -= pieces[i].size;
        pieces[i].done = true;
    }
    return i;
}

/*
 * The kernel stops at the first piece that is not there, after having copied a part of it perhaps.
 * That piece is passed over, and the rest tried again.
 */
static void read_batch(int pid, target_piece *pieces, size_t count)
{
    struct iovec here[BATCH];
    struct iovec there[BATCH];
    for (size_t i = 0; i < count; i++) {
        pieces[i].done = false;
        here[i] = (struct iovec){ .iov_base = pieces[i].to, .iov_len = pieces[i].size };
        there[i] = (struct iovec){ .iov_base = (void *)(uintptr_t)pieces[i].at,
                                   .iov_len = pieces[i].size };
    }
    size_t at = 0;
    while (at < count) {
        size_t left = count - at;
        ssize_t n = process_vm_readv(pid, here + at, left, there + at, left, 0);
        if (n < 0 && errno != EFAULT)
            return;
        size_t settled = settle(pieces + at, left, n < 0 ? 0 : (size_t)n);
        at += settled + (settled < left);
    }
}

static void read_process(target *t, target_piece *pieces, size_t count)
{
    for (size_t at = 0; at < count; at += BATCH)
        read_batch(t->pid, pieces + at, count - at < BATCH ? count - at : BATCH);
}

/* ---- its clock ------------------------------------------------------------------------------- */

/* A process in a time namespace of its own has a clock that is ahead: time_namespaces(7). */
static int64_t clock_ahead(int pid)
{
    char path[64];
    char line[128];
    snprintf(path, sizeof path, "/proc/%d/timens_offsets", pid);
    FILE *f = fopen(path, "re");
    int64_t ahead = 0;
    while (f && fgets(line, sizeof line, f)) {
        uint64_t seconds;
        uint64_t nanoseconds;
        const char *at = line;
        words_skip(&at, 1);
        if (strncmp(line, "monotonic", 9) == 0 && words_number(&at, 10, &seconds) &&
            words_number(&at, 10, &nanoseconds))
            ahead = (int64_t)(seconds * 1000000000 + nanoseconds);
    }
    if (f)
        fclose(f);
    return ahead;
}

static int64_t clock_of_process(target *t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + clock_ahead(t->pid) -
           clock_ahead(getpid());
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Why the kernel refuses, and what helps. */
static void explain_refusal(const char *who, int pid)
{
    char path[64];
    struct stat st;
    char line[16] = "";
    FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    bool any = f && fgets(line, sizeof line, f);
    if (f)
        fclose(f);
    int scope = any ? (int)strtol(line, NULL, 10) : 0;
    snprintf(path, sizeof path, "/proc/%d", pid);
    if (geteuid() != 0 && stat(path, &st) == 0 && st.st_uid != geteuid())
        print_error("thrum %s: process %d belongs to another user (%u), or has changed its rights: "
                    "try as root",
                    who, pid, (unsigned)st.st_uid);
    else if (scope > 0)
        print_error("thrum %s: the system lets nobody read the memory of process %d "
                    "(kernel.yama.ptrace_scope is %d): try as root, or see ptrace(2)",
                    who, pid, scope);
    else
        print_error("thrum %s: the system does not let us read the memory of process %d: "
                    "CAP_SYS_PTRACE is needed",
                    who, pid);
}

/* A line of maps(5): START-END MODE OFFSET DEVICE INODE PATH. */
static bool take_line(target *t, char *line)
{
    uint64_t start;
    uint64_t end;
    uint64_t offset;
    const char *at = line;
    line[strcspn(line, "\n")] = '\0';
    if (!words_number(&at, 16, &start) || *at++ != '-' || !words_number(&at, 16, &end))
        return true;
    words_skip(&at, 1);
    if (!words_number(&at, 16, &offset))
        return true;
    words_skip(&at, 2);
    return *at != '/' || target_add_map(t, start, end, offset, at);
}

/* Reads what is mapped; 0, or the errno of the attempt. ENOEXEC: it has no memory. */
static int read_maps(target *t)
{
    char path[64];
    char *line = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", t->pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return errno;
    int err = 0;
    errno = 0;
    while (err == 0 && getline(&line, &size, f) >= 0)
        if (!take_line(t, line))
            err = ENOMEM;
    if (err == 0 && ferror(f))
        err = errno ? errno : EIO;
    free(line);
    fclose(f);
    return err;
}

/* The first bytes of what is mapped tell whether its memory may be read at all. */
static int try_memory(target *t)
{
    char byte;
    if (t->map_count == 0)
        return ENOEXEC;
    struct iovec here = { .iov_base = &byte, .iov_len = 1 };
    struct iovec there = { .iov_base = (void *)(uintptr_t)t->maps[0].start, .iov_len = 1 };
    return process_vm_readv(t->pid, &here, 1, &there, 1, 0) < 0 && errno != EFAULT ? errno : 0;
}

static void explain(const char *who, int pid, int err)
{
    if (err == ENOENT || err == ESRCH)
        print_error("thrum %s: there is no process %d", who, pid);
    else if (err == EACCES || err == EPERM)
        explain_refusal(who, pid);
    else if (err == ENOEXEC)
        print_error("thrum %s: process %d has no memory: it has ended, or belongs to the kernel",
                    who, pid);
    else
        print_error("thrum %s: process %d cannot be read: %s", who, pid, strerror(err));
}

target *target_open_process(const char *who, int pid)
{
    char path[64];
    target *t = calloc(1, sizeof *t);
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (t)
        t->program = strdup(path);
    if (!t || !t->program) {
        free(t);
        print_error("thrum %s: %s", who, strerror(ENOMEM));
        return NULL;
    }
    t->pid = pid;
    t->read = read_process;
    t->clock = clock_of_process;
    int err = read_maps(t);
    if (err == 0)
        err = try_memory(t);
    if (err == 0)
        return t;
    explain(who, pid, err);
    target_close(t);
    return NULL;
}
