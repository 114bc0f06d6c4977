/* SPDX-License-Identifier: MIT */

/*
 * The event trace: what each worker did, event by event, with time, channel and duration.
 *
 * While it is on, each worker keeps the last so many of its events in memory: which descriptor,
 * timer, message or call was handled and by which function, which fiber ran from when to when, and
 * how long the loop slept. th_trace_save() writes them to a file at any time, also while the
 * program goes on, and `thrum trace FILE` makes text of it, or JSON for Perfetto and Chrome's trace
 * viewer. With the environment variable THRUM_TRACE=FILE a program does all that by itself.
 *
 * Off, it costs one predictable branch an event. On, it is cheap enough to be left on: it allocates
 * nothing after the first event of a worker, takes no lock and makes no system call.
 *
 * A file is as this header describes it, in the byte order of the machine: a th_trace_head; for
 * each ring of events a th_trace_ring and its th_trace_record, in the order in which they ended;
 * then `names` times a th_trace_name with its text.
 */
#ifndef THRUM_TRACE_H
#define THRUM_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

#define TH_TRACE_MAGIC   "thrumtr"
#define TH_TRACE_VERSION 1

/* Kinds of events, and what `channel` and `extra` are. */
enum {
    TH_TRACE_SLEEP = 1,    /* the loop waited; nothing */
    TH_TRACE_EVENT = 2,    /* a descriptor; it, and TH_FD_... that were seen */
    TH_TRACE_TIMER = 3,    /* a timer; its due time */
    TH_TRACE_MESSAGE = 4,  /* a message of another thread; its address */
    TH_TRACE_DEFERRED = 5, /* what was put off to the end of the events; its address */
    TH_TRACE_CALL = 6,     /* a call that the engine made is done; its address; 1: it failed */
    TH_TRACE_FIBER = 7,    /* a fiber ran; its number; 1: it has ended; `function` is its body */
    TH_TRACE_CALLBACK = 8, /* a callback of a dispatcher, protocol or the like; its descriptor */
    TH_TRACE_MARK = 9      /* th_trace_mark(); the text is in `channel` and `function` */
};

/* One event. */
typedef struct th_trace_record {
    int64_t at;        /* when it began, of th_now() */
    uint32_t span;     /* ns that it took; UINT32_MAX: that or more */
    uint8_t kind;      /* TH_TRACE_... */
    uint8_t reserved;  /* 0 */
    uint16_t extra;    /* as said there */
    uint64_t channel;  /* likewise */
    uint64_t function; /* address of the function that handled it */
} th_trace_record;

/* What a file begins with. */
typedef struct th_trace_head {
    char magic[8]; /* TH_TRACE_MAGIC with its NUL */
    uint32_t version;
    uint32_t record; /* sizeof(th_trace_record) */
    int64_t now;     /* when it was saved, of th_now(), */
    int64_t wall;    /* and ns since 1970 at that time */
    uint32_t pid;
    uint32_t rings;
    uint64_t names;
} th_trace_head;

/* What the events of one worker begin with. */
typedef struct th_trace_ring {
    uint32_t worker;
    uint32_t thread;  /* the kernel's number */
    uint64_t count;   /* records that follow */
    uint64_t dropped; /* older ones, that have been overwritten */
} th_trace_ring;

/* The name of a function. */
typedef struct th_trace_name {
    uint64_t address;
    uint32_t size; /* bytes of text that follow */
    uint32_t reserved;
} th_trace_name;

/* How to trace; all zero is the default. */
typedef struct th_trace_opts {
    size_t size;   /* sizeof(th_trace_opts), or 0 for the present one */
    size_t events; /* that each worker keeps, rounded up to a power of two; 0: 65,536, which take 2
                      MiB */
} th_trace_opts;

/**
 * Switches the trace on, for all workers of the process; what was kept before is forgotten.
 *
 * @param opts  options, or NULL for the defaults
 * @return 0; -EBUSY when it is on; -EINVAL for unknown options or more than 16,777,216 events
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_trace_start(const th_trace_opts *opts);

/**
 * Switches the trace off. What was kept can still be saved.
 *
 * @return 0; -EALREADY when it is off
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_trace_stop(void);

/**
 * Writes what is kept to a file, for `thrum trace`. Workers go on meanwhile.
 *
 * @param path  a file, which is made for the user alone, or overwritten
 * @return 0; -EINVAL for NULL; -ENOENT, -EACCES, ... when it cannot be made; -ENOSPC; -ENOMEM
 *
 * Suspends: no; it writes as many megabytes as are kept, so off-load it (th_offload()) where that
 *           matters
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_trace_save(const char *path);

/**
 * Puts an event of your own into the trace of the calling worker.
 *
 * @param text   what happened; the first 16 bytes are kept
 * @param since  when it began, a time of th_now(); 0: it is a moment
 * @return 0, also when the trace is off; -EPERM outside a worker; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_trace_mark(const char *text, int64_t since);

TH_END_DECLS

#endif
