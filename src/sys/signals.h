/* SPDX-License-Identifier: MIT */

/*
 * Signals of the process, noted for those who want to know.
 *
 * A sink names the signals it wants. Whichever thread the kernel interrupts, the handler notes the
 * signal in every sink that wants it and makes the sink's descriptor readable; the owner takes the
 * notes at leisure, in ordinary code. Signals of the same number may merge, as they do in the
 * kernel.
 */
#ifndef THI_SYS_SIGNALS_H
#define THI_SYS_SIGNALS_H

#include <thrum/defs.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct thi_sigsink thi_sigsink;

/* The owner's storage, from open to close; it must not move. */
struct thi_sigsink {
    _Atomic(thi_sigsink *) next; /* read by the handler */
    uint64_t wanted;             /* bit signo - 1 for each signal */
    _Atomic uint64_t noted;      /* signals that came since they were last taken */
    int fd;                      /* an eventfd, readable while something is noted */
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

/* What came since the last call, bit signo - 1 for each signal; the descriptor is quiet again. */
uint64_t thi_sigsink_take(thi_sigsink *sink);

/* Ends it. When this returns no handler looks at the sink any more. */
void thi_sigsink_close(thi_sigsink *sink);

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
