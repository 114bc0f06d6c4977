/* SPDX-License-Identifier: MIT */

/*
 * The fibers of a target at one moment, more or less: a snapshot.
 *
 * Of a process that runs, each fiber is read again after what belongs to it. If it was the same,
 * what was read in between belongs together; otherwise it is tried a few times more, and at last
 * the fiber is called moving, and only what it is itself is shown.
 */
#ifndef THRUM_PROGRAM_INSPECT_FIBERS_H
#define THRUM_PROGRAM_INSPECT_FIBERS_H

#include "inspect_layout.h"

#define NOBODY    SIZE_MAX
#define NAME_SIZE 64

/* How long until; of waits and of deadlines. */
#define NEVER INT64_MAX

/* A kind of wait. */
typedef struct wait_kind {
    uint64_t address;
    char what[32];
    uint16_t ends; /* TH_INSPECT_BY_... */
    uint16_t at;
} wait_kind;

typedef struct worker_view {
    const th_inspect *layout;
    uint64_t address;
    unsigned runtime; /* which of the process, from 0 */
    unsigned index;   /* which of the runtime */
    int thread;
    uint64_t current; /* address of the fiber that runs; 0: none */
    char engine[16];
    int64_t now; /* by the clock of the target, or of the simulation; INT64_MIN: not known */
} worker_view;

typedef struct fiber_view {
    uint64_t address;
    uint64_t id;
    const worker_view *worker;
    uint8_t state; /* TH_INSPECT_... */
    bool moving;   /* it changed while it was read */
    char name[NAME_SIZE];
    char origin[NAME_SIZE]; /* "FUNCTION at FILE:LINE" of the call that started it, or "" */
    uint64_t fn;
    uint64_t stack_low;
    uint64_t stack_size;
    uint64_t context;
    uint64_t wait;  /* address of its wait */
    uint64_t scope; /* the innermost it is in */
    uint64_t home;  /* where it was started */
    uint64_t parent_address;
    size_t parent; /* place of its parent in the snapshot, or NOBODY */
    int64_t deadline;
    bool cancelled;
    /* What it waits for; kind is NULL unless it is parked and was seen at rest. */
    const wait_kind *kind;
    uint64_t object;
    int64_t since;
    uint64_t datum;        /* by the kind: owner, descriptor, time, function; else 0 */
    char pool[NAME_SIZE];  /* by the kind: its name */
    size_t waits_for;      /* the fiber that can end it, or NOBODY */
    uint32_t scope_live;   /* of the scope it waits for: children, */
    uint32_t scope_limit;  /* and how many there may be */
    uint64_t scope_origin; /* of the scope of another worker that `home` stands for, or 0 */
} fiber_view;

typedef struct snapshot {
    target *t;
    th_inspect layouts[LAYOUTS_MAX];
    int layout_count;
    worker_view *workers;
    size_t worker_count;
    fiber_view *fibers; /* in the order of their addresses */
    size_t fiber_count;
    bool cut;                     /* there are more than were read, or a list made no sense */
    struct chunk *single;         /* for reading one fiber anew */
    struct wait_kind *kinds[256]; /* by their addresses; they stay from one take to the next */
    size_t kind_count;
} snapshot;

/* Prepares an empty one; finds the layouts. 0, or -1 after having told what is wrong. */
int snapshot_open(const char *who, target *t, snapshot *s);

/* Reads everything anew. False without memory. */
bool snapshot_take(snapshot *s);

void snapshot_close(snapshot *s);

/* The place of the fiber at an address, or with an id; NOBODY when there is none. */
size_t snapshot_find(const snapshot *s, uint64_t address);
size_t snapshot_find_id(const snapshot *s, uint64_t id);

/*
 * Copies what a fiber at rest has on its stack, from its context on. If it has gone on since it was
 * read, it is read again, so that it and the copy belong together. Bytes copied; 0 when it does not
 * rest, or is no more.
 */
size_t snapshot_copy_stack(snapshot *s, fiber_view *f, void *to, size_t size);

#endif
