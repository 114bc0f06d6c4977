/* SPDX-License-Identifier: MIT */

/*
 * Signals of the process, noted for those who want to know.
 *
 * A sink names the signals it wants. Whichever thread the kernel interrupts, the handler notes the
 * signal in every sink that wants it and makes the sink's descriptor readable; the owner takes the
 * notes at leisure, in ordinary code. Signals of the same number may merge, as they do in the
 * kernel. A sink that wants to know more has a ring, in which each signal is kept with what the
 * kernel says of it; when that is full they merge again.
 */
#ifndef THI_SYS_SIGNALS_H
#define THI_SYS_SIGNALS_H

#include <thrum/defs.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct thi_sigsink thi_sigsink;
typedef struct thi_sigring thi_sigring;

/* What is known of a signal. */
typedef struct thi_siginfo {
    int signo;
    int code;  /* SI_USER, SI_QUEUE, CLD_EXITED, ...: sigaction(2) */
    pid_t pid; /* who sent it; the child of a SIGCHLD */
    uid_t uid;
    int status;     /* of a SIGCHLD */
    intptr_t value; /* of sigqueue(3) */
    bool known;     /* the rest: false of one that came when the ring was full */
} thi_siginfo;

/* How to note; all zero is the default. */
typedef struct thi_sigsink_opts {
    unsigned infos;   /* that are kept one by one, a power of 2; 0: none, only which signals came */
    bool is_fallback; /* it does not hear of what another one takes instead */
    bool instead;     /* what it wants is kept from the fallbacks */
    const void
        *world; /* the signals of a simulation, by thi_sigsink_raise(); NULL: the real ones */
} thi_sigsink_opts;

/* The owner's storage, from open to close; it must not move. */
struct thi_sigsink {
    _Atomic(thi_sigsink *) next; /* read by the handler */
    uint64_t wanted;             /* bit signo - 1 for each signal */
    _Atomic uint64_t noted;      /* signals that came since they were last taken */
    int fd;                      /* an eventfd, readable while something is noted */
    thi_sigsink_opts opts;
    thi_sigring *ring; /* NULL without infos */
};

/*
 * Starts noting the signals listed, a 0 after the last one. The process's action for each is
 * replaced as long as some sink wants it, and the former one is put back afterwards.
 *
 * -EINVAL for a number that is no signal, for SIGKILL and SIGSTOP, for what the processor raises
 * (SIGSEGV, SIGBUS, SIGFPE, SIGILL: the handler would return into the fault), and for an empty
 * list. -EMFILE and the like when there is no descriptor.
 */
TH_MUST int thi_sigsink_open(thi_sigsink *sink, const int *signals);

/* The same with options; -ENOMEM. */
TH_MUST int thi_sigsink_open_with(thi_sigsink *sink, const int *signals,
                                  const thi_sigsink_opts *opts);

/*
 * Takes the next signal of a sink with infos: true, or false when there is none. The descriptor
 * stays readable until there is none.
 */
TH_MUST bool thi_sigsink_next(thi_sigsink *sink, thi_siginfo *info);

/* A signal of a simulation: how many sinks have noted it; *instead: one took it over. */
int thi_sigsink_raise(const void *world, const thi_siginfo *info, bool *instead);

/* What came since the last call, bit signo - 1 for each signal; the descriptor is quiet again. */
uint64_t thi_sigsink_take(thi_sigsink *sink);

/* Makes the descriptor readable, whatever is noted. */
void thi_sigsink_nudge(const thi_sigsink *sink);

/* Ends it. When this returns no handler looks at the sink any more. */
void thi_sigsink_close(thi_sigsink *sink);

/* The same in two steps: no more signals are noted; and all of it is given back. */
void thi_sigsink_stop(thi_sigsink *sink);
void thi_sigsink_deinit(thi_sigsink *sink);

/*
 * Holds SIGPIPE back on the calling thread, for as long as it is a worker: of the calls that write
 * to sockets, sendfile() cannot be told to raise none, and to hold it back around each call costs
 * two more. Returns whether it was not held back before, which the release wants to know.
 */
TH_MUST bool thi_sigpipe_hold(void);

/* Lets SIGPIPE through again if `held` says so; one that came meanwhile is dropped. */
void thi_sigpipe_release(bool held);

/* Whether the calling thread is between the two. */
extern _Thread_local bool thi_sigpipe_held __attribute__((tls_model("initial-exec")));

#endif
