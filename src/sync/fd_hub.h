/* SPDX-License-Identifier: MIT */

/*
 * Waiting for descriptors that belong to somebody else: to another library, to the program.
 *
 * A loop has one watch for a descriptor. Here any number of waits on it share one, which is there
 * as long as somebody waits and no longer: whoever owns the descriptor may close it, or use its
 * number anew, whenever nobody waits. If somebody may be waiting, th_fd_closing() comes first.
 */
#ifndef THI_SYNC_FD_HUB_H
#define THI_SYNC_FD_HUB_H

#include "base/list.h"

#include <thrum/defs.h>
#include <thrum/wait_fd.h>

#include <stdbool.h>

typedef struct thi_fd_entry thi_fd_entry;
typedef struct thi_fd_wait thi_fd_wait;

/* One wait of a fiber; its owner's storage. */
struct thi_fd_wait {
    thi_list link;
    thi_fd_entry *entry; /* NULL: it is over, or has not begun */
    unsigned dirs;       /* TH_FD_READ, TH_FD_WRITE */
    /* On the fiber's loop, once, after the end of the wait: what is ready, or a failure. */
    void (*fn)(thi_fd_wait *wait, int result);
};

/*
 * Looks without waiting: the directions of `dirs` that are ready, and TH_FD_HANGUP with them; 0 for
 * none, also when the kernel cannot tell just now; -EBADF.
 */
TH_MUST int thi_fd_look(int fd, unsigned dirs);

/*
 * Begins a wait of the running fiber; the caller has set dirs and fn. -EEXIST when something else
 * watches the descriptor on this worker; -EPERM for what never has to be waited for, -EBADF,
 * -ECANCELED when it is about to be closed, -ENOMEM.
 */
TH_MUST int thi_fd_enter(thi_fd_wait *wait, int fd);

/* Ends it; no-op when it is over. */
void thi_fd_leave(thi_fd_wait *wait);

/* The whole wait of a plain thread: what is ready, -EBADF, -ECANCELED, -EMFILE, -ENOMEM. */
TH_MUST int thi_fd_wait_as_thread(int fd, unsigned dirs);

#endif
