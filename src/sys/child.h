/* SPDX-License-Identifier: MIT */

/*
 * Child processes: their end, and that none is left behind.
 *
 * A child is reaped by whoever asks first and finds it ended, under its lock; nobody signals it
 * after that, when its number may be another's. A child that is let go of while it runs is given to
 * a thread that waits for it, so that none becomes a zombie. Children of others are never touched.
 */
#ifndef THI_SYS_CHILD_H
#define THI_SYS_CHILD_H

#include "sys/spawn.h"

#include <thrum/defs.h>

#include <stdint.h>

typedef struct thi_child thi_child;

/* How it ended. UNKNOWN: somebody else has reaped it, or SIGCHLD is ignored. */
typedef enum thi_child_how { THI_CHILD_EXITED, THI_CHILD_KILLED, THI_CHILD_UNKNOWN } thi_child_how;

typedef struct thi_child_end {
    thi_child_how how;
    int code;  /* of exit(), or the signal */
    bool core; /* dumped */
    struct rusage usage;
} thi_child_end;

/* Starts one as thi_spawn() does; the caller has one reference. -ENOMEM as well. */
TH_MUST int thi_child_start(const thi_spawn_plan *plan, thi_child **child, thi_spawn_step *step);

pid_t thi_child_pid(const thi_child *child);

/* Readable once it has ended. It is the child's. */
int thi_child_fd(const thi_child *child);

/* Whether it has ended; and how, in *end, which may be NULL. */
bool thi_child_ended(thi_child *child, thi_child_end *end);

/* Whether it is stopped by a signal, at present. */
bool thi_child_stopped(const thi_child *child);

/* Sends a signal, also to its process group if it leads one and `group` says so. -ESRCH after its
 * end. */
int thi_child_signal(thi_child *child, int signo, bool group);

thi_child *thi_child_ref(thi_child *child);

/* Gives a reference back. With the last one a child that still runs goes on by itself. */
void thi_child_unref(thi_child *child);

#endif
