/* SPDX-License-Identifier: MIT */

/*
 * Values that belong to a fiber: each fiber has its own under the same key, and so has each plain
 * thread.
 *
 * A key is a static variable; its address is what tells it from others:
 *
 *     static const th_local user = { free };
 *
 * When a fiber's function has returned, the values are destroyed on the fiber itself, which may
 * suspend in that: the one that was set first last, each under its key's function. One that a
 * destructor sets is destroyed as well. Of a plain thread they are destroyed when it ends, and of
 * the main thread not at exit. Children inherit nothing.
 */
#ifndef THRUM_LOCAL_H
#define THRUM_LOCAL_H

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* A key; it must stay where it is as long as anybody has a value under it. */
typedef struct th_local {
    void (*destroy)(void *value); /* called with each value that is left; NULL: nothing is done */
} th_local;

/**
 * Gives the calling fiber's value.
 *
 * @param key  the key
 * @return the value; NULL when none was set, or for a NULL key. Outside a fiber it is the thread's.
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void *th_local_get(const th_local *key);

/**
 * Sets the calling fiber's value. The former one is not destroyed.
 *
 * @param key    the key
 * @param value  the value; taken over: it will be destroyed. NULL takes it away.
 * @return 0; -EINVAL for a NULL key; -ENOMEM: then the value still belongs to the caller
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_local_set(const th_local *key, void *value);

TH_END_DECLS

#endif
