/* SPDX-License-Identifier: MIT */

/*
 * The machine, and what control groups leave of it: CPUs, memory, threads.
 *
 * A limit may be set on any level above our own group, and the lowest one holds. In version 1 each
 * controller has a tree of its own, in version 2 there is one for all.
 */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 1024

/*
 * What an idle connection needs: the kernel keeps a socket, a file and a place in the back end's
 * table, about 4 KiB; of Thrum's own there are some hundred bytes for one of HTTP, and one page of
 * a stack for one with a fiber.
 */
#define KERNEL_PER_CONNECTION 4096
#define OURS_PER_CONNECTION   4608

/* ---- control groups -------------------------------------------------------------------------- */

/* Where the process is in the tree of one controller; "" for version 2. */
typedef struct group {
    char base[64];       /* the root of the tree */
    char dir[PATH_SIZE]; /* our group, from the base on */
    bool v2;
} group;

static bool is_there(const doctor *d, const char *base, const char *dir, const char *file)
{
    char path[2 * PATH_SIZE];
    char text[64];
    snprintf(path, sizeof path, "%s%s/%s", base, dir, file);
    return doctor_read(d, path, text, sizeof text);
}

/* Whether a comma-separated list has a word. */
static bool has_word(const char *list, size_t len, const char *word)
{
    size_t n = strlen(word);
    for (size_t at = 0; at + n <= len; at++)
        if (strncmp(list + at, word, n) == 0 && (at == 0 || list[at - 1] == ',') &&
            (at + n == len || list[at + n] == ','))
            return true;
    return false;
}

/* Finds the group of a controller in /proc/self/cgroup: lines "number:controllers:path". */
static bool find_group(const doctor *d, const char *controller, const char *file, group *g)
{
    char text[8192];
    char *rest = NULL;
    bool found = false;
    if (!doctor_read(d, "/proc/self/cgroup", text, sizeof text))
        return false;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *list = strchr(line, ':');
        const char *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        bool v2 = path == list + 1;
        if (!v2 && !has_word(list + 1, (size_t)(path - list - 1), controller))
            continue;
        snprintf(g->base, sizeof g->base, "/sys/fs/cgroup%s%s", v2 ? "" : "/",
                 v2 ? "" : controller);
        snprintf(g->dir, sizeof g->dir, "%s", strcmp(path + 1, "/") == 0 ? "" : path + 1);
        g->v2 = v2;
        found = true;
        if (!v2)
            return true; /* a controller is in one of the two, and this one names it */
    }
    /* In a namespace our own path may be hidden: then the top is where the limits are. */
    if (found && !is_there(d, g->base, g->dir, file) && is_there(d, g->base, "", file))
        g->dir[0] = '\0';
    return found;
}

/* One level up; false at the top. */
static bool go_up(group *g)
{
    char *slash = strrchr(g->dir, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return true;
}

static int64_t number_in(const doctor *d, const group *g, const char *file, int64_t *second)
{
    char path[2 * PATH_SIZE];
    int64_t numbers[2] = { DOCTOR_UNKNOWN, DOCTOR_UNKNOWN };
    snprintf(path, sizeof path, "%s%s/%s", g->base, g->dir, file);
    size_t n = doctor_numbers(d, path, numbers, 2);
    if (second)
        *second = numbers[1];
    return n > 0 ? numbers[0] : DOCTOR_UNKNOWN;
}

/* The lowest limit of a controller on all levels; *used is what is used on that one. */
static int64_t lowest(const doctor *d, const char *controller, const char *const v2[2],
                      const char *const v1[2], int64_t *used)
{
    group g;
    int64_t least = DOCTOR_UNKNOWN;
    *used = DOCTOR_UNKNOWN;
    if (!find_group(d, controller, v2[0], &g))
        return least;
    do {
        int64_t limit = number_in(d, &g, g.v2 ? v2[0] : v1[0], NULL);
        if (limit >= INT64_MAX / 2) /* version 1 says so of what has no limit */
            limit = DOCTOR_UNLIMITED;
        if (limit == DOCTOR_UNKNOWN || (least != DOCTOR_UNKNOWN && limit >= least))
            continue;
        least = limit;
        *used = number_in(d, &g, g.v2 ? v2[1] : v1[1], NULL);
    } while (go_up(&g));
    return least;
}

/* Thousandths of a CPU. */
static int64_t cpu_quota(const doctor *d)
{
    group g;
    int64_t least = DOCTOR_UNLIMITED;
    if (!find_group(d, "cpu", "cpu.max", &g))
        return least;
    do {
        int64_t period;
        int64_t quota = number_in(d, &g, g.v2 ? "cpu.max" : "cpu.cfs_quota_us", &period);
        if (!g.v2)
            period = number_in(d, &g, "cpu.cfs_period_us", NULL);
        if (quota > 0 && quota < INT64_MAX / 1000 && period > 0 && quota * 1000 / period < least)
            least = quota * 1000 / period;
    } while (go_up(&g));
    return least;
}

/* ---- CPUs ------------------------------------------------------------------------------------ */

/* The CPUs of a list such as "0-3,7" in /proc/self/status. */
static unsigned allowed_cpus(const doctor *d)
{
    static const char word[] = "\nCpus_allowed_list:";
    char text[8192];
    unsigned count = 0;
    char *at = doctor_read(d, "/proc/self/status", text, sizeof text) ? strstr(text, word) : NULL;
    if (!at)
        return 1;
    at += sizeof word - 1;
    for (;;) {
        char *end;
        unsigned long first = strtoul(at, &end, 10);
        unsigned long last = first;
        if (end == at)
            break;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (last >= first && last - first < 65536)
            count += (unsigned)(last - first + 1);
        if (*end != ',')
            break;
        at = end + 1;
    }
    return count > 0 ? count : 1;
}

static void look_at_cpus(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "CPUs");
    unsigned cpus = allowed_cpus(d);
    int64_t quota = cpu_quota(d);
    d->cpus = cpus;
    doctor_fact(f, "%u may be used", cpus);
    doctor_value_add(f, "allowed", cpus);
    doctor_value_add(f, "quota_milli", quota);
    if (quota < (int64_t)cpus * 1000) {
        d->cpus = (unsigned)((quota + 999) / 1000);
        doctor_fact(f, ", and a control group grants the time of %" PRId64 ".%02" PRId64,
                    (quota / 1000), (quota % 1000 / 10));
        if (quota % 1000 != 0)
            doctor_change(f, DOCTOR_NOTE, "in [Service]: CPUQuota=%u%%", d->cpus * 100);
    }
    doctor_means(f,
                 "%u worker%s; a share of a CPU is used up in bursts, and then all workers stand "
                 "still until the period of 100 ms is over",
                 d->cpus, d->cpus == 1 ? "" : "s");
    if (f->level == DOCTOR_FINE)
        snprintf(f->meaning, sizeof f->meaning, "%u worker%s", d->cpus, d->cpus == 1 ? "" : "s");
    doctor_value_add(f, "workers", d->cpus);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void look_at_memory(doctor *d)
{
    static const char *const v2[2] = { "memory.max", "memory.current" };
    static const char *const v1[2] = { "memory.limit_in_bytes", "memory.usage_in_bytes" };
    doctor_finding *f = doctor_begin(d, "memory");
    doctor_words a;
    doctor_words b;
    int64_t used;
    int64_t total = doctor_line(d, "/proc/meminfo", "MemTotal:");
    int64_t available = doctor_line(d, "/proc/meminfo", "MemAvailable:");
    int64_t limit = lowest(d, "memory", v2, v1, &used);
    if (total != DOCTOR_UNKNOWN)
        total = doctor_finite(total) * 1024;
    if (available != DOCTOR_UNKNOWN)
        available = doctor_finite(available) * 1024;
    int64_t free_here = limit == DOCTOR_UNLIMITED || used == DOCTOR_UNKNOWN ? limit : limit - used;
    d->memory = doctor_least(available, free_here);
    doctor_fact(f, "%s, of which %s can be had", doctor_size(total, &a),
                doctor_size(available, &b));
    if (limit != DOCTOR_UNKNOWN && limit != DOCTOR_UNLIMITED)
        doctor_fact(f, "; a control group grants %s", doctor_size(limit, &a));
    doctor_value_add(f, "total", total);
    doctor_value_add(f, "available", available);
    doctor_value_add(f, "group", limit);
    int64_t each = KERNEL_PER_CONNECTION + OURS_PER_CONNECTION;
    doctor_value_add(f, "per_idle_connection", each);
    if (d->memory == DOCTOR_UNKNOWN || d->memory == DOCTOR_UNLIMITED)
        return;
    int64_t holds = d->memory > 0 ? d->memory / each : 0;
    doctor_means(f, "%s idle connections of about %s, the kernel's part included",
                 doctor_count(holds, &a), doctor_size(each, &b));
    doctor_bound(d, f, holds);
    if (holds >= d->goal)
        return;
    if (free_here != DOCTOR_UNKNOWN && free_here <= d->memory && limit != DOCTOR_UNLIMITED)
        doctor_change(f, DOCTOR_MEND, "in [Service]: MemoryMax=%" PRId64 "M",
                      ((limit - free_here + d->goal * each) / 1048576 + 64));
    else
        doctor_change(f, DOCTOR_MEND, "%s more memory",
                      doctor_size(d->goal * each - d->memory, &a));
}

static void look_at_threads(doctor *d)
{
    static const char *const names[2] = { "pids.max", "pids.current" };
    doctor_finding *f = doctor_begin(d, "threads");
    doctor_words a;
    doctor_words b;
    int64_t used;
    int64_t group_limit = lowest(d, "pids", names, names, &used);
    int64_t user_limit = doctor_line(d, "/proc/self/limits", "Max processes");
    int64_t machine_limit = doctor_number(d, "/proc/sys/kernel/threads-max");
    int64_t left = group_limit;
    if (group_limit != DOCTOR_UNKNOWN && group_limit != DOCTOR_UNLIMITED && used > 0)
        left = used < group_limit ? group_limit - used : 0;
    left = doctor_least(left, doctor_least(user_limit, machine_limit));
    /* Workers, the pools for files and the like with their default sizes, and some air. */
    int64_t need = (int64_t)d->cpus + 64;
    doctor_fact(f, "%s for this user, %s in this control group", doctor_count(user_limit, &a),
                doctor_count(group_limit, &b));
    doctor_value_add(f, "user", user_limit);
    doctor_value_add(f, "group", group_limit);
    doctor_value_add(f, "left", left);
    doctor_means(f, "%s more can be started; workers and pools want some %" PRId64,
                 doctor_count(left, &a), need);
    if (left == DOCTOR_UNKNOWN || left >= need)
        return;
    if (group_limit != DOCTOR_UNKNOWN && group_limit != DOCTOR_UNLIMITED)
        doctor_change(f, DOCTOR_MEND, "in [Service]: TasksMax=%" PRId64,
                      (need + doctor_finite(used)));
    if (user_limit < need)
        doctor_change(f, DOCTOR_MEND, "in [Service]: LimitNPROC=%" PRId64, need);
}

void doctor_look_at_machine(doctor *d)
{
    char release[128] = "unknown";
    doctor_finding *f = doctor_begin(d, "kernel");
    (void)doctor_read(d, "/proc/sys/kernel/osrelease", release, sizeof release);
    doctor_fact(f, "Linux %s", release);
    look_at_cpus(d);
    look_at_memory(d);
    look_at_threads(d);
}
