/* SPDX-License-Identifier: MIT */

/*
 * Simulation: a whole service on a virtual clock and an in-memory network, with faults from a seed.
 *
 * What runs in it is unchanged: fibers, scopes, streams, servers and clients, on as many workers as
 * you like, all on the calling thread. Whatever chance decides in production is decided here by the
 * seed: who runs next, how long bytes travel, where they are split, what fails. Time passes only
 * when nobody has anything to do, so hours take moments. The same seed gives the same run, step by
 * step, and `hash` proves it.
 *
 * Sockets, pipes, names, clocks and random numbers are simulated. Files are the real ones.
 */
#ifndef THRUM_SIM_H
#define THRUM_SIM_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/*
 * What can go wrong. Each chance for a fault is one call, connection, delivery or step that it
 * could strike.
 *
 * - SHORT_READ: a read gives less than is there, down to one byte
 * - SHORT_WRITE: a write takes less than there is room for, down to one byte
 * - AGAIN: EAGAIN although the socket was reported ready; it is reported again later
 * - RESET: a TCP connection breaks under a read or write: ECONNRESET at both ends
 * - BROKEN_PIPE: the same, told to a writer as EPIPE
 * - REFUSE: a TCP connection is refused
 * - NO_ANSWER: nobody answers an attempt to connect: ETIMEDOUT after 127 seconds
 * - ABORTED: accept finds the client gone already, ECONNABORTED
 * - ACCEPT_FULL: accept fails with EMFILE or ENFILE
 * - NO_FILES: a new socket, pipe or eventfd fails with EMFILE
 * - NO_BUFFERS: a write on a socket fails with ENOBUFS or ENOMEM
 * - NO_MEMORY: an allocation of the library fails (`at` counts allocations, `per_million` steps)
 * - DELAY: bytes or a connection travel for up to three seconds more
 * - STALL: a worker stands still for up to 200 milliseconds
 * - NEVER_READS: an end of a TCP connection takes in nothing until the faults are over
 * - NO_SPACE: a write to a file fails with ENOSPC
 * - WALL_JUMP: the calendar clock jumps by up to an hour, either way
 * - NAME_FAILS: a question about a name gets no useful answer: TH_ENAMESERVER
 * - LOST: a datagram never arrives
 * - TWICE: a datagram arrives a second time
 * - OVERTAKEN: a datagram arrives after some that were sent later
 */
#define TH_SIM_FAULT_LIST(X)                                                                       \
    X(SHORT_READ, "short-read")                                                                    \
    X(SHORT_WRITE, "short-write")                                                                  \
    X(AGAIN, "again")                                                                              \
    X(RESET, "reset")                                                                              \
    X(BROKEN_PIPE, "broken-pipe")                                                                  \
    X(REFUSE, "refuse")                                                                            \
    X(NO_ANSWER, "no-answer")                                                                      \
    X(ABORTED, "aborted")                                                                          \
    X(ACCEPT_FULL, "accept-full")                                                                  \
    X(NO_FILES, "no-files")                                                                        \
    X(NO_BUFFERS, "no-buffers")                                                                    \
    X(NO_MEMORY, "no-memory")                                                                      \
    X(DELAY, "delay")                                                                              \
    X(STALL, "stall")                                                                              \
    X(NEVER_READS, "never-reads")                                                                  \
    X(NO_SPACE, "no-space")                                                                        \
    X(WALL_JUMP, "wall-jump")                                                                      \
    X(NAME_FAILS, "name-fails")                                                                    \
    X(LOST, "lost")                                                                                \
    X(TWICE, "twice")                                                                              \
    X(OVERTAKEN, "overtaken")

enum th_sim_fault {
#define TH_SIM_FAULT_ENUM(name, text) TH_SIM_##name,
    TH_SIM_FAULT_LIST(TH_SIM_FAULT_ENUM)
#undef TH_SIM_FAULT_ENUM
        TH_SIM_FAULTS /* how many there are */
};

/* When a fault strikes; both may be set, all zero is never. */
typedef struct th_sim_odds {
    uint32_t per_million; /* of its chances */
    uint32_t at;          /* at the n-th chance, the first being 1 */
} th_sim_odds;

struct th_deadlock; /* <thrum/runtime.h> */

/*
 * A name of the simulated world. Names that are not in its table do not exist; files and name
 * servers of the machine are not asked. A name may have several entries, say one for each family of
 * addresses, with delays of their own: a question is answered by the first that has what is asked
 * for.
 */
typedef struct th_sim_host {
    const char *name;
    const char *answer; /* its addresses, with blanks between them: "192.0.2.1 2001:db8::1"; of a
                           service (th_resolve_srv()): "priority weight port host", with commas
                           between them; NULL: none, though the name exists */
    int64_t delay;      /* virtual ns until the answer comes, TH_NEVER: it does not; 0: as long as
                           a question and its answer travel */
    int64_t ttl;        /* virtual ns for which it may be remembered; 0: a minute */
    int error;          /* what a look-up fails with instead, TH_ENAME or TH_ENAMESERVER; 0: none */
} th_sim_host;

/* How to simulate; all zero is a friendly world. */
typedef struct th_sim_opts {
    size_t size;          /* sizeof(th_sim_opts), or 0 for the present one */
    uint64_t seed;        /* decides everything; any number is good */
    unsigned workers;     /* virtual ones, up to 64; 0: 1 */
    size_t stack_size;    /* of a fiber, bytes; 0: the runtime's default */
    int64_t grace;        /* as in th_run_opts, virtual ns; 0: the runtime's default */
    int64_t time_limit;   /* virtual ns that the run may take; 0: a day */
    uint64_t step_limit;  /* turns of workers that it may take; 0: ten million */
    int64_t latency_min;  /* the shortest way of bytes over TCP, virtual ns */
    int64_t latency_max;  /* the longest one without a fault; both 0: 20 us to 2 ms */
    size_t buffer_max;    /* largest buffer of a connection, bytes; sizes are drawn; 0: 64 KiB */
    unsigned descriptors; /* that may be open; 0: 65536 */
    const char *schedule; /* choices to make instead of drawn ones, as th_sim_explore() tells them;
                             what follows them is as calm as can be; NULL: by the seed */
    void (*trace)(void *arg, const char *line); /* told each event as text; may be NULL */
    void *trace_arg;
    void (*on_deadlock)(void *arg, const struct th_deadlock *found); /* as in th_run_opts: of
                             circles when nobody can go on at present, of the rest at the end */
    void *deadlock_arg;
    int64_t
        fault_until; /* virtual ns from the start after which nothing fails any more; 0: never */
    th_sim_odds faults[TH_SIM_FAULTS];
    uint64_t cancel_at; /* as in th_run_opts: which wait is cancelled, counted from 1; 0: none */
    const th_sim_host *hosts; /* the names that there are; borrowed for the run */
    size_t host_count;
    const char *silent; /* addresses where nobody answers an attempt to connect, with blanks between
                           them, as th_addr_format() writes them but for port and brackets */
} th_sim_opts;

/* How a run went. */
typedef struct th_sim_result {
    uint64_t seed;
    uint64_t hash;                  /* over every choice and event; equal for equal runs */
    uint64_t steps;                 /* turns of workers */
    uint64_t waits;                 /* of fibers, each a point at which cancel_at may strike */
    int64_t time;                   /* virtual ns that passed */
    int verdict;                    /* 0; -EDEADLK or TH_ELIMIT when the run had to be broken off */
    size_t open_descriptors;        /* that nobody closed */
    int64_t live_allocations;       /* of the library that nobody freed */
    uint64_t faults[TH_SIM_FAULTS]; /* that struck */
} th_sim_result;

/**
 * Runs a function as the main fiber of a simulated runtime.
 *
 * When every fiber waits and nothing can ever wake one, or when a limit of opts is reached, the
 * root scope is cancelled, so that everything unwinds; what does not end even then is abandoned.
 *
 * @param app     the main fiber's function
 * @param arg     handed to app
 * @param opts    options, or NULL for the defaults; read during the call only
 * @param result  out: how it went, filled in whenever app was called; may be NULL
 * @return app's result; -EDEADLK when fibers waited for ever, with a detail that names them and
 * what they waited for; TH_ELIMIT when a limit was reached, with a detail; -EINVAL for wrong
 *         options; -EBUSY when the thread runs a runtime or a simulation already; -ENOMEM
 *
 * Suspends: no (the calling thread simulates until the end)
 * Thread: any that runs no fibers
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_sim_run(int (*app)(void *arg), void *arg, const th_sim_opts *opts,
                              th_sim_result *result);

/* How to explore; all zero is the default. */
typedef struct th_sim_explore_opts {
    size_t size;            /* sizeof(th_sim_explore_opts), or 0 for the present one */
    unsigned depth;         /* choices of a run whose alternatives are all tried; 0: 16 */
    uint64_t runs_max;      /* runs to make at most; 0: 100,000 */
    const th_sim_opts *sim; /* the world; its schedule and chances are not used, `at` is; or NULL */
} th_sim_explore_opts;

/* What an exploration has seen. */
typedef struct th_sim_explored {
    uint64_t runs;
    size_t choices;           /* of the longest run */
    int complete;             /* 1: every schedule to the depth was run */
    size_t open_descriptors;  /* the most that a run left open */
    int64_t live_allocations; /* the most that a run left behind */
    char schedule[256];       /* of the last run: the failed one, if there was one */
} th_sim_explored;

/**
 * Runs a small scenario under every schedule, instead of under one that a seed draws.
 *
 * Each point at which the simulation chooses who goes first is taken in all ways, to a depth;
 * delays, sizes and splits stay at their calmest. Two fibers and a lock make hundreds of schedules,
 * so keep the scenario small.
 *
 * @param app       the main fiber's function, called once for each schedule; it must do the same
 *                  each time but for the schedule, and return a negative result when it found
 *                  something wrong
 * @param arg       handed to app
 * @param opts      options, or NULL for the defaults; read during the call only
 * @param explored  out: what was seen; may be NULL
 * @return 0 when no run failed; else the result of th_sim_run() for the first run that did, with
 *         `schedule` to replay it and a detail that tells it too; -EINVAL for wrong options; -EBUSY
 *         as th_sim_run(); -ENOMEM
 *
 * Suspends: no
 * Thread: any that runs no fibers
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_sim_explore(int (*app)(void *arg), void *arg, const th_sim_explore_opts *opts,
                                  th_sim_explored *explored);

/**
 * Gives every fault the same odds, for a hostile world.
 *
 * @param opts         in and out: the options
 * @param per_million  of each fault's chances
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_sim_set_faults(th_sim_opts *opts, uint32_t per_million);

/**
 * Names a fault.
 *
 * @param fault  TH_SIM_SHORT_READ ...
 * @return a static text such as "short-read"; "?" for another number
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_sim_fault_name(int fault);

/**
 * Draws a number for the scenario itself: what a client sends, when it gives up.
 *
 * The numbers depend on the seed alone, not on what was drawn elsewhere in the simulation.
 *
 * @param n  how many numbers there are to draw from
 * @return a number from 0 to n - 1; 0 for n = 0 and outside of a simulation
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API uint64_t th_sim_random(uint64_t n);

/**
 * Puts an event of the scenario into the trace, and so into the hash.
 *
 * Does nothing outside of a simulation.
 *
 * @param text  what happened; borrowed for the call
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_sim_note(const char *text);

/**
 * Sends a signal to the simulated process.
 *
 * All who watch it (th_signals_open()) are told. SIGTERM and SIGINT also ask for an orderly stop,
 * unless somebody watches them with TH_SIGNALS_NO_STOP.
 *
 * @param signo  the signal
 * @return 0; -EINVAL for a signal other than SIGTERM and SIGINT that nobody watches, and for what
 *         is no signal; -EPERM outside of a simulation; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_sim_signal(int signo);

TH_END_DECLS

#endif
