/* SPDX-License-Identifier: MIT */

/*
 * Signals as something to read: a fiber waits for the next one like for the next bytes.
 *
 * Nothing of the program runs in signal context. Every watcher gets every signal that it has asked
 * for, however many there are, in order and with what the kernel says of it; only when it reads so
 * late that more than 64 are waiting, those of the same number merge. When the last watcher of a
 * signal is closed the action that was there before is put back.
 */
#ifndef THRUM_SIGNALS_H
#define THRUM_SIGNALS_H

#include <stdint.h>
#include <sys/types.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

typedef struct th_signals th_signals;

/* What is known of a signal. */
typedef struct th_signal_info {
    int signo;
    int known;      /* 0: signals of this number have merged, and the rest is 0 */
    int code;       /* SI_USER, SI_QUEUE, CLD_EXITED, ...: sigaction(2) */
    int status;     /* of SIGCHLD: exit code or signal */
    pid_t pid;      /* who sent it, or the child */
    uid_t uid;      /* of that one */
    intptr_t value; /* that came with sigqueue(3) */
} th_signal_info;

/*
 * As long as this watcher is open its signals ask for no orderly stop: the program says what
 * SIGTERM or SIGINT mean, and calls th_stop() when it likes. Holds for all runtimes of the process.
 */
#define TH_SIGNALS_NO_STOP 1u

/**
 * Starts watching signals.
 *
 * @param signals  their numbers, a 0 after the last one; read during the call only
 * @param flags    0 or TH_SIGNALS_NO_STOP
 * @param watcher  out: for th_signals_close()
 * @return 0; -EINVAL for an empty list, a number that is no signal, SIGKILL and SIGSTOP, signals
 *         that the processor raises (SIGSEGV, SIGBUS, SIGFPE, SIGILL), unknown flags or NULL;
 *         -EMFILE, -ENFILE or -ENOMEM; then no action is changed
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_signals_open(const int *signals, unsigned flags, th_signals **watcher);

/**
 * Takes the next signal, waiting for it.
 *
 * Several fibers and threads may read from one watcher; each signal goes to one of them.
 *
 * @param watcher  a watcher
 * @param info     out: the signal; may be NULL
 * @return the signal's number; -ECANCELED or -ETIMEDOUT when the caller's scope says so, -ECANCELED
 *         also when the watcher is closed meanwhile; -EPERM on a worker outside of a fiber; -EINVAL
 *         for NULL; -ENOMEM
 *
 * Suspends: yes, until a signal comes
 * Thread: any
 * On cancel: no signal is taken
 * Since: 0.1
 */
TH_API TH_MUST int th_signals_read(th_signals *watcher, th_signal_info *info);

/**
 * Takes the next signal if there is one.
 *
 * @param watcher  a watcher
 * @param info     out: the signal; may be NULL
 * @return the signal's number; -EAGAIN when there is none; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_signals_tryread(th_signals *watcher, th_signal_info *info);

/**
 * Gives a descriptor that is readable while there is a signal to read, for th_select().
 *
 * @param watcher  a watcher
 * @return the descriptor, which is the watcher's: it is not to be read or closed; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_signals_fd(const th_signals *watcher);

/**
 * Ends a watcher. Those who wait in it return -ECANCELED; signals that were not read are dropped.
 *
 * @param watcher  the watcher; NULL is allowed and does nothing. No call may begin on it any more.
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_signals_close(th_signals *watcher);

TH_END_DECLS

#endif
