/* SPDX-License-Identifier: MIT */

/*
 * What preload/debug_locks.c, where it is loaded, tells of a thread: the locks of <pthread.h> that
 * it holds.
 */
#ifndef THI_SYS_HELD_H
#define THI_SYS_HELD_H

#include <stdbool.h>
#include <stddef.h>

#define THI_HELD_MAX 32 /* further ones are not kept */

typedef struct thi_held {
    const void *lock;
    const void *site; /* the return address of the call that took it */
    const char *what; /* "mutex" or "rwlock" */
    bool seen;        /* for the reader: it has been looked at */
} thi_held;

/* Those of the calling thread, and how many. */
typedef thi_held *thi_held_fn(size_t *count);

/* The name of that function. */
#define THI_HELD_SYMBOL "thrum_debug_locks_held"

#endif
