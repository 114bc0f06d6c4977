/* SPDX-License-Identifier: MIT */

/*
 * What only streams on Unix sockets have: who is at the other end, and descriptors that are passed.
 */
#ifndef THRUM_UNIX_H
#define THRUM_UNIX_H

#include <stddef.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

/* Who connected, or listens. */
typedef struct th_cred {
    pid_t pid;
    uid_t uid;
    gid_t gid;
} th_cred;

/**
 * Tells who is at the other end of a Unix socket, as the kernel knows it.
 *
 * That is the process which connected, or called listen(), with its effective user and group at
 * that time; it may have passed the socket on since, or have ended.
 *
 * @param stream  the stream
 * @param cred    out: process, user and group
 * @return 0; -EOPNOTSUPP unless it is a Unix socket; -EBADF; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_peer_cred(th_stream *stream, th_cred *cred);

/* As many descriptors go with one write (the kernel's SCM_MAX_FD). */
#define TH_FDS_MAX 253

/**
 * Writes bytes, and passes descriptors with the first of them.
 *
 * The receiver gets descriptors of its own for the same files; those here stay open and may be
 * closed as soon as the call has returned.
 *
 * @param stream  the stream, on a Unix socket
 * @param buf     the bytes; borrowed during the call
 * @param size    how many, at least 1: descriptors do not travel alone
 * @param fds     the descriptors; borrowed during the call; may be NULL when there are none
 * @param count   how many, 0 to TH_FDS_MAX
 * @return size; -EINVAL for what is said here; -EBADF also for one of the descriptors;
 * -ETOOMANYREFS when this user has too many on their way; -EOPNOTSUPP unless it is a Unix socket,
 * and in a simulation if there are any descriptors; else as th_stream_write()
 *
 * Suspends: yes, while the peer takes no more
 * Thread: fiber
 * On cancel: some of the bytes may have been written, and all of the descriptors with them
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_send_fds(th_stream *stream, const void *buf, size_t size,
                                          const int *fds, size_t count);

/* Room for descriptors that arrive. */
typedef struct th_fds {
    int *fds;     /* where to put them; may be NULL when there is no room */
    size_t room;  /* how many there may be */
    size_t count; /* out: how many there are */
} th_fds;

/**
 * Reads bytes, and the descriptors that came with the first of them.
 *
 * They are the caller's, closed on exec, and neither made non-blocking nor otherwise changed. A
 * read ends before the next byte with which descriptors come. th_stream_read() and its like close
 * whatever descriptors they meet.
 *
 * @param stream  the stream, on a Unix socket
 * @param buf     out: the bytes
 * @param size    room at buf, bytes, at least 1
 * @param fds     in and out: the descriptors
 * @return the number of bytes, 1 to size; TH_ELIMIT when more descriptors came than there is room
 *         for, -EMFILE when the process may not have so many: then all of them were closed, and the
 *         detail tells how many bytes are in buf and gone from the stream, whose two sides do not
 *         agree any more; -EOPNOTSUPP unless it is a Unix socket; else as th_stream_read()
 *
 * Suspends: yes, until there is something to read
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_stream_recv_fds(th_stream *stream, void *buf, size_t size, th_fds *fds);

TH_END_DECLS

#endif
