/* SPDX-License-Identifier: MIT */

/*
 * A buffer in front of a stream, from which a fiber of its own writes.
 *
 * Any number of fibers of the stream's worker may write to it, in turns, and go on at once: small
 * writes are sent together. What waits for the peer is bounded: whoever would exceed the high mark
 * waits until the low one is reached.
 */
#ifndef THRUM_WRITER_H
#define THRUM_WRITER_H

#include <stddef.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/scope.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

typedef struct th_writer th_writer;

/* How to buffer; all zero is the default. */
typedef struct th_writer_opts {
    size_t size; /* sizeof(th_writer_opts), or 0 for the present one */
    size_t high; /* bytes that may wait for the peer; 0: 64 KiB */
    size_t low;  /* whoever had to wait goes on when no more than this waits; 0: a quarter */
} th_writer_opts;

/**
 * Puts a writer in front of a stream.
 *
 * Nobody else may write to the stream until the writer is closed.
 *
 * @param scope   where its fiber runs: an open scope of the caller's worker, which it keeps from
 *                ending until the writer is closed; when it is cancelled, the writer fails
 * @param stream  borrowed until the writer is closed
 * @param opts    NULL: the defaults
 * @param writer  out: the writer, for th_writer_close()
 * @return 0; -EINVAL for NULL, wrong options, or low above high; -EPERM outside a fiber; -ENOMEM;
 *         else as th_spawn()
 *
 * Suspends: yes, while the scope's limit is reached
 * Thread: fiber
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_writer_open(th_scope *scope, th_stream *stream, const th_writer_opts *opts,
                                  th_writer **writer);

/**
 * Takes bytes to be written, after all that were taken before.
 *
 * @param writer  the writer
 * @param buf     the bytes; copied
 * @param size    how many; up to the high mark they are taken whole or not at all, more in parts
 *                without those of another between them; with 0 the call returns 0 at once
 * @return size; what the stream has failed with, now or before, and then whatever was taken and not
 *         yet written is lost; -ECANCELED or -ETIMEDOUT when the caller's scope says so, and then
 *         the detail tells if a part was taken; -EINVAL; -EPERM outside a fiber or on another
 *         worker; -ENOMEM
 *
 * Suspends: yes, while there is no room, and while others do that came before
 * Thread: fiber
 * On cancel: nothing taken, but of more than the high mark perhaps a part
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_writer_write(th_writer *writer, const void *buf, size_t size);

/**
 * Waits until nothing waits for the peer any more.
 *
 * @param writer  the writer
 * @return 0; what the stream has failed with; -ECANCELED or -ETIMEDOUT when the caller's scope says
 *         so; -EINVAL for NULL; -EPERM on another worker
 *
 * Suspends: yes, until all is written
 * Thread: fiber
 * On cancel: writing goes on
 * Since: 0.1
 */
TH_API TH_MUST int th_writer_flush(th_writer *writer);

/**
 * Tells how many bytes wait for the peer.
 *
 * @param writer  the writer; NULL: 0
 * @return bytes, up to the high mark; 0 after a failure
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_writer_pending(const th_writer *writer);

/**
 * Writes what is left, and ends and frees the writer.
 *
 * Nobody may be in a call on it. The stream stays open.
 *
 * @param writer  the writer; NULL is allowed and does nothing
 * @return 0; what the stream has failed with, or the caller's scope says, and then bytes are lost
 *
 * Suspends: yes, until all is written
 * Thread: fiber
 * On cancel: drops what is left, and ends and frees the writer all the same
 * Since: 0.1
 */
TH_API int th_writer_close(th_writer *writer);

TH_END_DECLS

#endif
