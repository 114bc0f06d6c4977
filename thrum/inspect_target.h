/* SPDX-License-Identifier: MIT */

/*
 * What is looked into: a process that runs, hangs or is stopped, or a core file.
 *
 * A process is read from outside, by process_vm_readv(2) and its folder in /proc: none of its code
 * runs, none of its threads is stopped, nothing is written. What is read of it may therefore be of
 * different moments; whoever reads has to expect that.
 */
#ifndef THRUM_PROGRAM_INSPECT_TARGET_H
#define THRUM_PROGRAM_INSPECT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A part of its memory that comes from a file. */
typedef struct target_map {
    uint64_t start;
    uint64_t end;
    uint64_t offset; /* of `start` in the file */
    char *path;
} target_map;

/* Something to read, and whether that was possible. */
typedef struct target_piece {
    uint64_t at;
    void *to;
    size_t size;
    bool done;
} target_piece;

/* As many as DWARF numbers for the processors that are known here. */
#define TARGET_REGISTERS 33

/* A thread of a core, whose registers are known; by their numbers in DWARF. */
typedef struct target_thread {
    int id;
    uint64_t pc;
    uint64_t local; /* its thread-local storage ends here; 0: not known */
    unsigned register_count;
    uint64_t registers[TARGET_REGISTERS];
} target_thread;

typedef struct target target;

struct target {
    int pid;          /* of the process, also of the one that left the core; 0: not known */
    const char *core; /* NULL: it is a process */
    char *program;    /* path of its program, as can be opened here */
    target_map *maps; /* in the order of their addresses */
    size_t map_count;
    target_thread *threads; /* of a core */
    size_t thread_count;
    void (*read)(target *t, target_piece *pieces, size_t count);
    void (*close)(target *t);
    int64_t (*clock)(target *t); /* its monotonic clock; INT64_MIN: not known */
};

/* What the subcommands know of it from their command line. */
typedef struct target_choice {
    int pid; /* 0: none was given */
    const char *core;
    const char *program; /* NULL: the one that the core names */
} target_choice;

/* Opens what was chosen; NULL after having told why not, in the name of a subcommand. */
target *target_open(const char *who, const target_choice *choice);
target *target_open_process(const char *who, int pid);
target *target_open_core(const char *who, const char *core, const char *program);

void target_close(target *t);

/* Reads one piece, all of it or nothing. */
bool target_read(target *t, uint64_t at, void *to, size_t size);

/* Reads a text, cut to what fits; "" if it cannot be read. What is no UTF-8, and control
 * characters, become
 * '?'. */
void target_read_text(target *t, uint64_t at, char *text, size_t size);

/* What is mapped at an address, or NULL. */
const target_map *target_map_at(const target *t, uint64_t at);

/* For those who open: adds what is mapped. False without memory. */
bool target_add_map(target *t, uint64_t start, uint64_t end, uint64_t offset, const char *path);

#endif
