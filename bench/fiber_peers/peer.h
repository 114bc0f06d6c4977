/* SPDX-License-Identifier: MIT */

/*
 * What the fiber and sync benchmarks of all libraries share: the command line, clocks, memory.
 *
 * Each program is `PROGRAM CASE COUNT` and prints one JSON object. A case receives the count and
 * fills in the result; it returns 0, or -1 when the library could not do it, with `value` saying
 * how far it came. Header only, so that C and C++ programs include it alike.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PEER_STACK_SIZE = 64 * 1024 }; /* for every library the same */

struct peer_result {
    double value;   /* what the case measures: nanoseconds, bytes or a number of fibers */
    double seconds; /* what it took altogether; 0: not of interest */
    double bytes;   /* memory per fiber at its height; 0: not of interest */
};

struct peer_case {
    const char *name;
    int (*run)(unsigned long count, struct peer_result *result);
};

/*
 * CPU time of the process, all its threads together. These cases compute without waiting, so this
 * is the time they take on a machine that has nothing else to do, even on one that has.
 */
static inline double peer_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The monotonic clock in seconds, for cases in which threads wait for each other. */
static inline double peer_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Anonymous memory of this process in bytes; 0 when the kernel does not tell. */
static inline double peer_memory(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    double kib = 0;

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "Pss_Anon:", 9) == 0)
            kib = strtod(line + 9, NULL);
    if (f != NULL)
        fclose(f);
    return kib * 1024;
}

static inline int peer_main(int argc, char **argv, const struct peer_case *cases)
{
    struct peer_result result = { 0, 0, 0 };
    unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

    for (; count > 0 && cases->name != NULL; cases++) {
        if (strcmp(cases->name, argv[1]) != 0)
            continue;
        int rc = cases->run(count, &result);
        printf("{\"case\": \"%s\", \"count\": %lu, \"ok\": %s, \"value\": %.4f, "
               "\"seconds\": %.6f, \"bytes\": %.1f}\n",
               argv[1], count, rc == 0 ? "true" : "false", result.value, result.seconds,
               result.bytes);
        return 0;
    }
    fprintf(stderr, "usage: %s CASE COUNT\n", argv[0]);
    return 2;
}

#endif
