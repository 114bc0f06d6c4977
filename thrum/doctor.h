/* SPDX-License-Identifier: MIT */

/*
 * What `thrum doctor` finds out: a list of findings, each with what is there, what that means, and
 * what would mend it.
 *
 * Everything is judged against a goal, a number of connections at the same time. What stands in its
 * way must be mended; what costs speed or surprises people is noted. Files are read below a root,
 * so that a copy of another machine's /proc and /sys can be judged as well. The kernel itself is
 * asked only about the machine that we are on.
 */
#ifndef THRUM_PROGRAM_DOCTOR_H
#define THRUM_PROGRAM_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOCTOR_FINDINGS  32
#define DOCTOR_CHANGES   4
#define DOCTOR_VALUES    10
#define DOCTOR_TEXT      400
#define DOCTOR_UNLIMITED INT64_MAX
#define DOCTOR_UNKNOWN   (-1)

/* How much a finding matters. */
typedef enum doctor_level { DOCTOR_FINE, DOCTOR_NOTE, DOCTOR_MEND } doctor_level;

typedef struct doctor_value {
    const char *name;
    int64_t number; /* or DOCTOR_UNLIMITED or DOCTOR_UNKNOWN */
} doctor_value;

typedef struct doctor_finding {
    const char *topic;
    doctor_level level;
    char fact[DOCTOR_TEXT];    /* what is there */
    char meaning[DOCTOR_TEXT]; /* what that means; may be empty */
    char changes[DOCTOR_CHANGES][160];
    size_t change_count;
    doctor_value values[DOCTOR_VALUES]; /* for programs */
    size_t value_count;
} doctor_finding;

typedef struct doctor {
    const char *root; /* stands before each path; "" for this machine */
    bool live;        /* this machine: the kernel may be asked */
    bool outgoing;    /* the connections are made from here, to one address */
    int64_t goal;     /* connections at the same time */
    unsigned cpus;
    int64_t memory;   /* that the process may have, bytes; or DOCTOR_UNKNOWN */
    int64_t ports;    /* for connections that are made from here */
    int64_t window;   /* most bytes under way to one receiver */
    int64_t allows;   /* connections at the same time, so far */
    const char *held; /* the topic that allows no more */
    doctor_finding findings[DOCTOR_FINDINGS];
    size_t count;
} doctor;

/* ---- reading --------------------------------------------------------------------------------- */

/* The start of a file as a string without its last newline; whether there was anything. */
bool doctor_read(const doctor *d, const char *path, char *text, size_t size);

/* The number at *text, which then stands behind it; as the next one says. */
int64_t doctor_parse(const char **text);

/* The number in a file; DOCTOR_UNLIMITED for "max", DOCTOR_UNKNOWN for what is none. */
int64_t doctor_number(const doctor *d, const char *path);

/* The numbers in a file; how many of the `want` there are. */
size_t doctor_numbers(const doctor *d, const char *path, int64_t *numbers, size_t want);

/* The same for numbers that are never unlimited, so that one can calculate with them. */
size_t doctor_counts(const doctor *d, const char *path, int64_t *numbers, size_t want);

/* A number to calculate with: 0 for what is unknown, very much for what is unlimited. */
int64_t doctor_finite(int64_t number);

/* The number behind a word at the start of a line, as in /proc/meminfo. */
int64_t doctor_line(const doctor *d, const char *path, const char *word);

/* ---- telling --------------------------------------------------------------------------------- */

/* Begins a finding, in which nothing is wrong yet. */
doctor_finding *doctor_begin(doctor *d, const char *topic);

void doctor_fact(doctor_finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_means(doctor_finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_value_add(doctor_finding *f, const char *name, int64_t number);

/* Adds a change that mends it, and with it how much that matters. */
void doctor_change(doctor_finding *f, doctor_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* This topic allows so many connections; DOCTOR_UNKNOWN and DOCTOR_UNLIMITED say nothing. */
void doctor_bound(doctor *d, const doctor_finding *f, int64_t connections);

/* A number with commas, a size in KiB, MiB, ...; in a buffer of the caller. */
typedef struct doctor_words {
    char text[32];
} doctor_words;
const char *doctor_count(int64_t number, doctor_words *words);
const char *doctor_size(int64_t bytes, doctor_words *words);

/* The smaller one, when both are known. */
int64_t doctor_least(int64_t a, int64_t b);

/* ---- the parts ------------------------------------------------------------------------------- */

void doctor_look_at_machine(doctor *d); /* doctor_machine.c: kernel, memory, control groups */
void doctor_look_at_limits(doctor *d);  /* doctor_limits.c: descriptors, threads, mappings */
void doctor_look_at_network(doctor *d); /* doctor_network.c: queues, ports, buffers */
void doctor_look_at_kernel(doctor *d);  /* doctor_kernel.c: io_uring, guards, clock, kTLS */
void doctor_look_at_keys(doctor *d);    /* doctor_keys.c: what signatures cost */
void doctor_print(const doctor *d);     /* doctor_print.c */
void doctor_print_json(const doctor *d);

/* How many findings must be mended. */
size_t doctor_to_mend(const doctor *d);

#endif
