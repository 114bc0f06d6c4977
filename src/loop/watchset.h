/* SPDX-License-Identifier: MIT */

/*
 * The watches of one loop by descriptor, for engines whose kernel interface keeps no such list.
 *
 * epoll refuses by itself what cannot be watched; poll, select and io_uring do not. This table
 * makes them refuse alike, and finds the watch that a reported descriptor belongs to.
 */
#ifndef THI_LOOP_WATCHSET_H
#define THI_LOOP_WATCHSET_H

#include "loop/loop.h"

#include <stddef.h>

typedef struct thi_watchset {
    thi_watch **by_fd; /* NULL for a descriptor that is not watched */
    size_t size;       /* elements of by_fd */
} thi_watchset;

/* The watch on a descriptor, NULL when there is none. */
static inline thi_watch *thi_watchset_find(const thi_watchset *set, int fd)
{
    return fd >= 0 && (size_t)fd < set->size ? set->by_fd[fd] : NULL;
}

/*
 * Takes up watch under watch->fd. -EBADF when that is not open, -EPERM for what never has to be
 * waited for (regular file, directory, block device), -EEXIST when it is watched already, -ENOMEM.
 */
TH_MUST int thi_watchset_add(thi_watchset *set, thi_watch *watch);

/* Forgets a watch; no-op when it is not in the set. */
void thi_watchset_remove(thi_watchset *set, const thi_watch *watch);

/* Frees the table, not the watches. A zeroed set is empty and needs no initialisation. */
void thi_watchset_deinit(thi_watchset *set);

#endif
