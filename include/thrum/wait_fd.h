/* SPDX-License-Identifier: MIT */

/*
 * Waiting for descriptors of other libraries: a database's connection, an inotify queue, a device.
 *
 * A library that can be told to return instead of blocking, and that hands out its descriptor, can
 * be used from fibers as it is: call it, and where it would block, th_wait_fd().
 *
 *     while ((status = PQconnectPoll(c)) != PGRES_POLLING_OK) {
 *         unsigned dir = status == PGRES_POLLING_READING ? TH_FD_READ : TH_FD_WRITE;
 *         int err = th_wait_fd(PQsocket(c), dir, NULL);
 *         ...
 *
 * The descriptor stays its owner's: it is watched while somebody waits, and neither its flags nor
 * what is in it are touched. It has to stay open as long as anybody waits; th_fd_closing() wakes
 * them.
 */
#ifndef THRUM_WAIT_FD_H
#define THRUM_WAIT_FD_H

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* Directions, and what else can be seen of a descriptor. */
enum {
    TH_FD_READ = 1,  /* it can be read from, if only its end or an error */
    TH_FD_WRITE = 2, /* it can be written to, likewise */
    TH_FD_HANGUP = 4 /* told, not asked for: the other end is gone, or an error is pending */
};

/**
 * Waits until a descriptor is ready.
 *
 * Any number of fibers and threads may wait for the same descriptor. What never has to be waited
 * for, as a regular file, is ready at once. As after poll(2), what was ready may no longer be when
 * it is used, if others use it too. In a simulation the descriptors are those of the simulation;
 * those of the real system can be looked at, and waiting for them is refused.
 *
 * @param fd     an open descriptor, of any kind that poll(2) takes; it stays the caller's
 * @param dirs   TH_FD_READ, TH_FD_WRITE, or both: then until one of them is ready
 * @param ready  out: which of these are ready, and TH_FD_HANGUP; may be NULL
 * @return 0; -ECANCELED or -ETIMEDOUT when the caller's scope says so, asked first, -ECANCELED also
 *         when somebody else is about to close the descriptor (th_fd_closing()); -EBADF when it is
 *         not open, also when it was closed during the wait, as far as the kernel tells; -EINVAL
 *         for other directions; -EEXIST when a stream of this worker has it; -EPERM on a worker
 *         outside of a fiber when it would have to wait; -EMFILE or -ENOMEM
 *
 * Suspends: yes, unless it is ready (and even then now and then, to let others run)
 * Thread: any
 * On cancel: nothing done, and nothing of the wait is left
 * Since: 0.1
 */
TH_API TH_MUST int th_wait_fd(int fd, unsigned dirs, unsigned *ready);

/**
 * Wakes everybody who waits for a descriptor, for whoever is about to close it.
 *
 * They return -ECANCELED, those in th_select() with that as the case's result. When the call
 * returns nobody watches the descriptor any more, on any worker.
 *
 * @param fd  the descriptor
 * @return 0, also when nobody waits; -EBADF for a negative one; -EPERM on a worker outside of a
 *         fiber when there are waits of others to wait for
 *
 * Suspends: yes, until those on other workers have let go
 * Thread: any
 * On cancel: goes on
 * Since: 0.1
 */
TH_API int th_fd_closing(int fd);

TH_END_DECLS

#endif
