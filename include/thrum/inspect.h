/* SPDX-License-Identifier: MIT */

/*
 * Seeing inside a process from outside: where its fibers lie, as data.
 *
 * A debugger, a monitor or a reader of core files finds every fiber of a process that uses Thrum,
 * and what it waits for, without debug information, without running or stopping anything there, and
 * whatever version of the library it has: th_inspect_layout tells the offset of each field that is
 * needed. `thrum ps` is such a reader.
 *
 * How it is found: the program or library that contains Thrum has an ELF note, reached through its
 * program headers, so that it is there in stripped files as in memory. The name of the note is
 * TH_INSPECT_NOTE_NAME, its type TH_INSPECT_NOTE_TYPE, and its content one int64_t: the distance
 * from itself to th_inspect_layout.
 *
 * How it is read: `runtimes` is the address of a pointer to the first runtime. Runtimes are chained
 * by runtime_next; each has an array of workers, and each worker a chain of slabs. A slab has an
 * array of fibers, of which the first slab_used have ever been used; those whose state is
 * TH_INSPECT_FREE are to be passed over. Slabs stay as long as their runtime, so it is enough to
 * look whether numbers are possible. Everything else changes while a process runs: read it twice,
 * and believe what was the same both times.
 *
 * A parked fiber has the address of its wait. That has the address of a kind, which is constant,
 * that of an object, and the time since when. The kind says in words what is waited for, who can
 * end the wait, and at which offset in the object there is more about that: TH_INSPECT_BY_...
 *
 * All offsets are in bytes; all addresses and sizes are of a process of 64 bits. New fields are
 * added at the end: `size` tells which there are. What is there changes its meaning only with
 * `version`.
 */
#ifndef THRUM_INSPECT_H
#define THRUM_INSPECT_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* How the note is found, with its terminating NUL, and what a layout begins with. */
#define TH_INSPECT_NOTE_NAME "Thrum"
#define TH_INSPECT_NOTE_TYPE 1
#define TH_INSPECT_MAGIC     "Thrum inspect 1"
#define TH_INSPECT_VERSION   1

/* What a fiber does: `fiber_state`. */
enum {
    TH_INSPECT_FREE,    /* there is none: a place for one */
    TH_INSPECT_READY,   /* will run, in its turn */
    TH_INSPECT_RUNNING, /* runs, on the thread of its worker */
    TH_INSPECT_PARKED,  /* waits */
    TH_INSPECT_ENDED    /* has just ended */
};

/* Who can end a wait, `kind_ends`, and what is in its object at the offset `kind_at`. */
enum {
    TH_INSPECT_BY_ANYBODY,  /* any party of the process; nothing is there */
    TH_INSPECT_BY_OWNER,    /* an address, whose lowest bit does not count: the fiber that holds the
                               object, or another one if a plain thread does; 0: nobody */
    TH_INSPECT_BY_FIBER,    /* an address: the fiber whose end is waited for; 0: not started yet */
    TH_INSPECT_BY_CHILDREN, /* the object itself is the scope whose children are waited for: for all
                               of them where kind_at is 0, else for any one */
    TH_INSPECT_BY_DESCRIPTOR, /* int32_t, the descriptor */
    TH_INSPECT_BY_TIME,       /* int64_t, when, of the monotonic clock; INT64_MAX: never */
    TH_INSPECT_BY_POOL,       /* a text that ends with NUL: the name of a thread pool */
    TH_INSPECT_BY_WORK        /* the address of the function that a pool runs for the fiber */
};

/* A field or a way that there is not. */
#define TH_INSPECT_NONE UINT32_MAX

/* Where everything is. `x_y` is the offset of y in an x; x_size the size of an x in an array. */
typedef struct th_inspect {
    char magic[16];       /* TH_INSPECT_MAGIC */
    uint32_t version;     /* TH_INSPECT_VERSION */
    uint32_t size;        /* of this structure, in the library that is looked into */
    char library[16];     /* the library's version */
    const void *runtimes; /* where the address of the first runtime is; that is 0 if none runs */

    uint32_t runtime_next;    /* address of the next runtime; 0: none */
    uint32_t runtime_workers; /* address of the array of workers */
    uint32_t runtime_count;   /* uint32_t, workers in it */

    uint32_t worker_size;
    uint32_t worker_index;   /* uint32_t, from 0 */
    uint32_t worker_current; /* address of the fiber that runs; 0: the loop does */
    uint32_t worker_thread;  /* int32_t, the kernel's number of its thread */
    uint32_t worker_slabs;   /* address of its first slab; 0: none yet */
    uint32_t worker_engine;  /* address of the engine of its loop */
    uint32_t worker_now;     /* int64_t, the time as its loop knows it */
    uint32_t engine_name;    /* address of the name of the back end; "sim" in a simulation, whose
                                clock is its own */

    uint32_t slab_next;   /* address of the next slab; 0: none */
    uint32_t slab_count;  /* uint32_t, fibers there is room for */
    uint32_t slab_used;   /* uint32_t, of these, how many have ever been used */
    uint32_t slab_fibers; /* the array of fibers itself */

    uint32_t fiber_size;
    uint32_t fiber_id;    /* uint64_t, never used twice in a process */
    uint32_t fiber_state; /* uint8_t, TH_INSPECT_FREE ... */
    uint32_t fiber_fn;    /* address of its function */
    uint32_t fiber_name;  /* address of its name; 0: it has none */
    uint32_t
        fiber_origin;    /* address of a text "FUNCTION at FILE:LINE", where it was started, or 0 */
    uint32_t fiber_wait; /* address of its wait, while it is parked */
    uint32_t fiber_scope;      /* address of its innermost scope */
    uint32_t fiber_home;       /* address of the scope in which it was started */
    uint32_t fiber_stack;      /* lowest address of its stack */
    uint32_t fiber_stack_size; /* uint64_t */
    uint32_t fiber_context;    /* address of its saved context, unless it runs */

    uint32_t context_pc;    /* in a saved context: the address at which it goes on */
    uint32_t context_frame; /* the frame pointer */
    uint32_t
        context_stack; /* the stack pointer; TH_INSPECT_NONE: it is the address of the context */
    uint32_t context_step; /*                    and this many bytes more */

    uint32_t wait_kind;   /* address of its kind */
    uint32_t wait_object; /* address of what is waited for; 0: nothing that has one */
    uint32_t wait_since;  /* int64_t, since when, of the monotonic clock */

    uint32_t kind_what; /* address of a word for it: "read", "mutex", ... */
    uint32_t kind_ends; /* uint16_t, TH_INSPECT_BY_... */
    uint32_t kind_at;   /* uint16_t, see there */

    uint32_t scope_parent;   /* address of the scope around it; 0: none */
    uint32_t scope_host;     /* address of the fiber that opened it; 0: none did */
    uint32_t scope_origin;   /* address of the scope on another worker that it stands for; or 0 */
    uint32_t scope_deadline; /* int64_t, the earliest that applies; INT64_MAX: none */
    uint32_t scope_live;     /* uint32_t, children that have not ended */
    uint32_t scope_limit;    /* uint32_t, as many at once; UINT32_MAX: any number */
    uint32_t scope_status;   /* int32_t, 0, or what its cancellation tells every call */
} th_inspect;

/* The layout of this very library. */
TH_API extern const th_inspect th_inspect_layout;

TH_END_DECLS

#endif
